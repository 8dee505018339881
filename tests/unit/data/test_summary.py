from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from lstm_cli import cli
from lstm_cli.data import DataSource, describe, prepare


def test_texts_are_counted_by_split_class_and_words(tmp_path):
    path = tmp_path / "films.csv"
    rows = [f"{'word ' * i},{'good' if i % 4 else 'bad'}" for i in range(100)]
    path.write_text("\n".join(["text,label", *rows]))
    found = describe(DataSource(str(path)), num_examples=1)
    assert found.name == "films"
    assert (found.kind, found.shape, found.labels) == ("text", None, ("bad", "good"))
    assert [(split.name, split.num_examples) for split in found.splits] == [
        ("train", 72),
        ("validation", 8),
        ("test", 20),
    ]
    assert np.sum([split.class_counts for split in found.splits], axis=0).tolist() == [25, 75]
    assert sum(split.num_empty for split in found.splits) == 1
    assert max(split.word_percentiles[-1] for split in found.splits) == 99
    assert all(
        list(split.word_percentiles) == sorted(split.word_percentiles) for split in found.splits
    )
    assert found.splits[0].word_percentiles[0] in range(35, 65)
    assert {label: len(texts) for label, texts in found.examples.items()} == {"bad": 1, "good": 1}
    assert len(found.examples["bad"][0].split()) % 4 == 0
    assert "1 of 100 texts are empty" in found.notes[0]


@pytest.mark.parametrize(("num_bad", "is_uneven"), [(50, False), (6, True)])
def test_uneven_classes_are_noticed(tmp_path, num_bad, is_uneven):
    path = tmp_path / "films.csv"
    rows = [f"film {i},{'bad' if i < num_bad else 'good'}" for i in range(100)]
    path.write_text("\n".join(["text,label", *rows]))
    found = describe(DataSource(str(path)))
    assert (found.imbalance is not None) == is_uneven
    result = CliRunner().invoke(cli.app, ["data", "show", str(path)])
    assert ("--class-weights balanced" in result.output) == is_uneven
    shown = CliRunner().invoke(cli.app, ["data", "show", str(path), "--json"])
    values = json.loads(shown.stdout)["imbalance"]
    assert (values["smallest_count"] if is_uneven else values) == (4 if is_uneven else None)


def test_of_many_classes_the_largest_and_the_smallest_are_shown(tmp_path):
    path = tmp_path / "many.csv"
    rows = [f"text {i} {n},class {i:03}" for i in range(300) for n in range(60 if i == 77 else 6)]
    path.write_text("\n".join(["text,label", *rows]))
    result = CliRunner().invoke(cli.app, ["data", "show", str(path)])
    balance = result.output[result.output.index("share") :]
    assert "... 292 more" in balance
    assert balance.index("class 077") < balance.index("class 000")
    # Examples, too, are those of the classes shown.
    assert len(re.findall(r"^class \d", balance, re.MULTILINE)) == 2 * 8
    assert len(result.output.splitlines()) < 50


def test_a_long_label_is_shortened(tmp_path):
    path = tmp_path / "long.csv"
    rows = [f"text {i},{'x' * 50_000 if i % 2 else 'y'}" for i in range(10)]
    path.write_text("\n".join(["text,label", *rows]))
    result = CliRunner().invoke(cli.app, ["data", "show", str(path)])
    assert len(result.output) < 2500
    assert f"{'x' * 20}…{'x' * 19}" in result.output


def test_images_have_a_shape_and_no_words():
    found = describe(DataSource("digits"))
    assert (found.kind, found.shape) == ("image", (8, 8))
    assert {split.word_percentiles for split in found.splits} == {()}
    assert found.examples["7"][1].shape == (8, 8)
    assert sum(split.num_examples for split in found.splits) == 1797


def test_other_data_sets_need_no_preparation(tmp_path):
    assert "nothing to prepare" in prepare(DataSource("demo"))
    assert "nothing to prepare" in prepare(DataSource(str(tmp_path)))


def test_a_prepared_data_set_is_named_with_its_folder(tmp_path):
    place = tmp_path / "mnist" / "3.0.1"
    place.mkdir(parents=True)
    (place / "dataset_info.json").write_text("{}")
    assert f"mnist was already prepared in {place}" in prepare(
        DataSource("mnist", data_dir=tmp_path)
    )
