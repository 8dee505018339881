from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data import (
    DataSource,
    Split,
    load,
    load_for_labels,
    load_labeled,
    names,
    resolve,
    splits,
)
from lstm_cli.errors import ExitCode, LstmError


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, lstm_cli.data; heavy = {'tensorflow', 'tensorflow_datasets', 'sklearn', "
        "'keras', 'requests', 'csv'}; print(heavy & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


# Names


@pytest.mark.parametrize(
    ("name", "origin"),
    [("demo", "embedded"), ("digits", "embedded"), ("imdb", "tfds"), ("tfds:ag_news", "tfds")],
)
def test_a_name_resolves_to_its_origin(name, origin):
    assert resolve(name) == origin


def test_a_path_resolves_by_what_is_there(tmp_path):
    (tmp_path / "Reviews.CSV").write_text("text,label\n")
    assert resolve(str(tmp_path)) == "folder"
    assert resolve(str(tmp_path / "Reviews.CSV")) == "table"
    (tmp_path / "reviews").write_text("text,label\n")
    assert resolve(str(tmp_path / "reviews")) == "table"


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(LstmError, match="no data set 'imbd'") as caught:
        resolve("imbd")
    assert "'imdb'" in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("name", ["missing.csv", "some/folder", "data/reviews"])
def test_a_missing_path_is_distinguished_from_an_unknown_name(name):
    with pytest.raises(LstmError, match="no file or folder") as caught:
        resolve(name)
    assert caught.value.exit_code == ExitCode.DATA


@pytest.mark.parametrize("name", ["reviews.xlsx", "reviews.csv", "reviews"])
def test_a_file_of_another_kind_is_refused_by_its_content(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04" + b"\0" * 26 + b"xl/workbook.xml")
    with pytest.raises(LstmError, match="an Excel workbook") as caught:
        resolve(str(path))
    assert caught.value.exit_code == ExitCode.USAGE
    assert "CSV" in caught.value.hint


def test_the_list_has_the_sizes_of_the_built_in_data_sets():
    for entry in names():
        if entry.origin == "embedded":
            data = load(DataSource(entry.name))
            sizes = {name: len(split) for name, split in data.splits.items()}
            assert sizes["train"] + sizes["validation"] == entry.train
            assert sizes["test"] == entry.test
            assert len(data.labels) == entry.num_classes
            assert data.kind == entry.kind


# Loading


def test_digits_are_bytes_from_black_to_white():
    data = load(DataSource("digits"))
    images = data.splits["train"].inputs
    assert images.shape[1:] == (8, 8)
    assert images.dtype == np.uint8
    assert (images.min(), images.max()) == (0, 255)


def test_validation_has_a_tenth_of_train_and_its_share_of_each_class():
    data = load(DataSource("digits"))
    train, validation = (data.splits[name].labels for name in ("train", "validation"))
    whole = np.bincount(train) + np.bincount(validation)
    assert len(validation) == round(0.1 * whole.sum())
    assert np.abs(np.bincount(validation) - 0.1 * whole).max() < 1


def test_another_seed_changes_validation_but_not_test():
    first, second = load(DataSource("digits", seed=0)), load(DataSource("digits", seed=1))
    np.testing.assert_array_equal(first.splits["test"].inputs, second.splits["test"].inputs)
    assert not np.array_equal(first.splits["validation"].inputs, second.splits["validation"].inputs)


def test_a_limit_holds_for_every_split_and_loses_no_class():
    data = load(DataSource("digits", limit=50))
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 50,
        "validation": 50,
        "test": 50,
    }
    assert all(len(np.unique(split.labels)) == 10 for split in data.splits.values())


def test_a_limit_below_the_number_of_classes_is_refused():
    with pytest.raises(LstmError, match="10 classes") as caught:
        load(DataSource("digits", limit=9))
    assert "--limit 10" in caught.value.hint


def test_only_the_requested_splits_are_returned():
    assert set(load(DataSource("demo"), ["test"]).splits) == {"test"}
    assert set(load(DataSource("demo"), ["train", "validation"]).splits) == {"train", "validation"}
    with pytest.raises(LstmError, match="no split 'dev'"):
        load(DataSource("demo"), ["dev"])


def test_the_fingerprint_depends_on_content_and_settings_but_not_on_the_request():
    base = load(DataSource("demo"), ["test"]).fingerprint
    assert load(DataSource("demo"), ["train"]).fingerprint == base
    others = [
        DataSource("demo", seed=1),
        DataSource("demo", validation_fraction=0.2),
        DataSource("demo", limit=100),
        DataSource("demo", demo_train=5000),
        DataSource("demo", demo_test=500),
        DataSource("digits"),
    ]
    prints = [load(source, ["train"]).fingerprint for source in others]
    assert len({base, *prints}) == 7


@pytest.mark.parametrize(
    "wrong",
    [
        {"validation_fraction": 0.0},
        {"validation_fraction": 0.5},
        {"validation_fraction": float("nan")},
        {"test_fraction": 1.0},
        {"seed": -1},
        {"limit": 0},
        {"demo_train": 1},
        {"demo_test": 0},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(LstmError, match=rf"data\.{next(iter(wrong))} must be") as caught:
        DataSource("demo", **wrong)
    assert caught.value.exit_code == ExitCode.USAGE


def test_class_ids_are_mapped_to_those_of_the_run():
    own = load(DataSource("demo"), ["test"]).splits["test"]
    mapped = load_for_labels(DataSource("demo"), ["positive", "mixed", "negative"])
    assert mapped.labels == ("positive", "mixed", "negative")
    np.testing.assert_array_equal(mapped.splits["test"].labels, np.array([2, 0])[own.labels])


def test_labels_unknown_to_the_run_are_listed():
    with pytest.raises(LstmError, match=r"'negative' \(500 rows\)") as caught:
        load_for_labels(DataSource("demo"), ["positive", "neutral"])
    assert "'neutral'" in caught.value.hint


# Splits and samples


def _numbered(labels):
    return Split([str(i) for i in range(len(labels))], np.array(labels, np.int32))


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=80),
    st.floats(0.01, 0.6),
    st.integers(0, 5),
)
def test_a_split_has_every_example_once_and_keeps_the_order(labels, fraction, seed):
    rest, held_out = splits.stratified_split(_numbered(labels), fraction, seed, splits.TEST_SPLIT)
    for part in (rest, held_out):
        ids = [int(text) for text in part.inputs]
        assert ids == sorted(ids)
        assert [labels[i] for i in ids] == part.labels.tolist()
    assert sorted(int(text) for text in [*rest.inputs, *held_out.inputs]) == [*range(len(labels))]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=80), st.floats(0.01, 0.89))
def test_a_class_of_two_is_in_both_parts_of_a_split(labels, fraction):
    rest, held_out = splits.stratified_split(_numbered(labels), fraction, 0, splits.TEST_SPLIT)
    for label in set(labels):
        if labels.count(label) >= 2:
            assert label in rest.labels
            assert label in held_out.labels


@pytest.mark.parametrize(
    ("num_classes", "num_each", "fraction", "in_held_out"),
    [(1000, 3, 0.2, 600), (1000, 3, 0.1, 300), (100, 8, 0.1, 100), (30, 3, 0.1, 30)],
)
def test_of_many_classes_train_keeps_all_and_most_examples(
    num_classes, num_each, fraction, in_held_out
):
    whole = _numbered(np.repeat(np.arange(num_classes), num_each))
    rest, held_out = splits.stratified_split(whole, fraction, 0, splits.TEST_SPLIT)
    assert len(np.unique(rest.labels)) == num_classes
    assert len(held_out) == len(np.unique(held_out.labels)) == in_held_out


def test_which_of_many_classes_are_held_out_follows_the_seed_and_not_their_names():
    whole = _numbered(np.repeat(np.arange(1000), 3))
    drawn = [
        set(splits.stratified_split(whole, 0.1, seed, splits.TEST_SPLIT)[1].labels.tolist())
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert 400 < np.mean(list(drawn[0])) < 600


def test_a_frequent_class_keeps_its_share_among_many_rare_ones():
    whole = _numbered(np.array([0] * 1000 + [*range(1, 500)] * 2))
    _, held_out = splits.stratified_split(whole, 0.1, 0, splits.TEST_SPLIT)
    assert len(held_out) == 200
    assert (held_out.labels == 0).sum() == 100


def test_splits_with_other_purposes_and_seeds_differ():
    whole = _numbered([0, 1] * 200)
    drawn = [
        splits.stratified_split(whole, 0.2, seed, purpose)[1].inputs
        for seed in (0, 1)
        for purpose in (splits.TEST_SPLIT, splits.VALIDATION_SPLIT)
    ]
    assert len({tuple(inputs) for inputs in drawn}) == 4


@given(st.lists(st.integers(0, 3), min_size=1, max_size=60), st.integers(4, 70))
def test_a_limit_is_met_exactly_and_loses_no_class(labels, max_examples):
    sample = splits.stratified_sample(_numbered(labels), max_examples, 0, splits.TRAIN_SAMPLE)
    assert len(sample) == min(max_examples, len(labels))
    assert set(sample.labels.tolist()) == set(labels)


# Rows


def test_examples_keep_the_line_they_were_read_from(tmp_path):
    path = tmp_path / "notes.csv"
    rows = "".join(f'"note {i},\n{i}",{"ab"[i % 2]}\n' for i in range(40))
    path.write_text(f"text,label\n{rows}")
    lines = path.read_text().splitlines()
    dataset = load(DataSource(str(path), limit=12))
    whole = load_labeled(DataSource(str(path))).splits["train"]
    assert len(whole) == 40
    for split in (*dataset.splits.values(), whole):
        for text, row in zip(split.inputs, split.row_numbers.tolist(), strict=True):
            assert lines[row - 1] == f'"{text.splitlines()[0]}'
    joined = splits.concatenate(dataset.splits["train"], dataset.splits["test"])
    assert len(set(joined.row_numbers.tolist())) == len(joined)


def test_examples_without_lines_are_counted_from_one():
    whole = Split(np.zeros((10, 2, 2), np.uint8), np.zeros(10, np.int32))
    assert whole.row_numbers.tolist() == list(range(1, 11))
    taken = splits.take(splits.take(whole, np.array([5, 3, 8])), np.array([2, 0]))
    assert taken.row_numbers.tolist() == [9, 6]
