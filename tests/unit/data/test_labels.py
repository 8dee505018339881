"""Equal labels: the same for every reader."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lstm_cli import cli
from lstm_cli.data import DataSource, load, with_unlabeled
from lstm_cli.data.dataset import label_names
from lstm_cli.data.loading import load_for_labels
from lstm_cli.data.readers.labels import (
    clean_label,
    find_labels,
    label_identity,
    name_labels,
    written_label,
)
from lstm_cli.errors import ExitCode, LstmError

TRICKY = "e\u0301\u200b\u200d\u0645\u0939\u094d 10.+-TRUEtrue\u00a0\ufe0f\U0001f468"
CAFES = ("caf\u00e9", unicodedata.normalize("NFD", "caf\u00e9"), "caf\u200b\u00e9")


@pytest.mark.parametrize(
    "labels",
    [
        CAFES,
        ("caf\u00e9", "cafe\u200b\u0301"),
        ("caf\u00e9", "\ufeffcaf\u00e9", "ca\u00adf\u00e9", "\u202acaf\u00e9\u202c"),
        ("not good", "not  good", "not\u00a0good", "not\tgood "),
        ("true", "True", "TRUE"),
        ("1", "1.0", "01", "+1", "0001.0"),
        ("0", "-0", "0.0", "00"),
        ("-1", "-1.0", "-01"),
    ],
)
def test_equal_labels_have_one_identity(labels):
    assert len(set(map(label_identity, labels))) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("1", "-1"),
        ("1.1", "1.10"),
        ("250.0", "250.00"),
        ("1", "true"),
        ("good", "Good"),
        ("1e3", "1000"),
        # Persian, an emoji of two, the flags of England and Scotland: what joins them counts.
        ("\u0645\u06cc\u200c\u062e", "\u0645\u06cc\u062e"),
        ("\U0001f468\u200d\U0001f469", "\U0001f468\U0001f469"),
        ("\U0001f3f4\U000e0067\U000e0065", "\U0001f3f4\U000e0067\U000e0073"),
    ],
)
def test_other_labels_have_other_identities(first, second):
    assert label_identity(first) != label_identity(second)


def test_values_of_json_and_cells_have_equal_labels():
    assert written_label(date(2026, 1, 2)) == "2026-01-02"
    pairs = [
        (Decimal("1.00"), "1"),
        (Decimal("2.5"), "2.5"),
        (True, "True"),
        (1.0, "1"),
        (3, "3.0"),
        (0.5, "0.5"),
        (2.0**60, str(2.0**60)),
    ]
    for value, cell in pairs:
        assert label_identity(written_label(value)) == label_identity(written_label(cell))
    assert [written_label(value) for value in (None, "", "\u200b", float("inf"), [], {})] == [
        ""
    ] * 6


def test_the_name_of_a_class_is_its_most_frequent_spelling():
    names, merges = name_labels({"01": 4, "1": 2, "1.0": 1, "02": 1, "True": 4})
    assert names == {"01": "01", "1": "01", "1.0": "01", "02": "02", "True": "true"}
    assert [(m.written, m.name, m.num) for m in merges] == [("1", "01", 2), ("1.0", "01", 1)]
    assert name_labels({"1": 1, "1.0": 1})[0] == {"1": "1", "1.0": "1"}


def test_labels_of_other_data_are_found_by_what_they_mean():
    assert find_labels(["1", "002", "x"], ["01", "02"]) == {"1": 0, "002": 1}
    # Columns of 0 and 1 may have such names.
    assert find_labels(["1", "01"], ["1", "01"]) == {"1": 0, "01": 1}


@given(
    st.text(
        st.sampled_from("e\u0301\u200b\u200d\u0645\u0939\u094d 10.+-TRUEtrue\u00a0\ufe0f\U0001f468")
    )
)
def test_any_clean_label_stays_as_it_is_and_is_equal_to_what_was_written(label):
    clean = clean_label(label)
    assert clean_label(clean) == clean
    assert label_identity(clean) == label_identity(label) == label_identity(label_identity(label))
    assert unicodedata.is_normalized("NFC", clean)


def table(path, labels, kind):
    rows = [(f"text number {i}", label) for i, label in enumerate(labels)]
    lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
    if kind == "jsonl":
        lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return DataSource(str(path))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("labels", "names", "note"),
    [
        ((*CAFES, "bar"), ("bar", "caf\u00e9"), r"'cafe\u0301' (5 rows) counts as 'caf"),
        ((True, "true", "TRUE", False), ("false", "true"), "'TRUE' (5 rows) counts as 'true'"),
        ((1, 1.0, "01", 0), ("0", "1"), "'01' (5 rows) counts as '1'"),
        (("01", "01", "02"), ("01", "02"), None),
    ],
)
def test_equal_labels_are_one_class_in_every_format(kind, labels, names, note, tmp_path):
    dataset = load(table(tmp_path / f"x.{kind}", labels * 5, kind))
    assert dataset.labels == names
    counts = [label_names(split.labels, names) for split in dataset.splits.values()]
    assert sum(map(len, counts)) == 5 * len(labels)
    notes = [text for text in dataset.notes if "written differently" in text]
    assert len(notes) == (note is not None)
    assert note is None or note in notes[0]


def test_equal_labels_of_test_and_of_other_data_are_known(tmp_path):
    train = table(tmp_path / "train.csv", ["01", "02"] * 10, "csv")
    test = table(tmp_path / "test.jsonl", [1, 2.0, "02"], "jsonl")
    dataset = load_for_labels(test, ("01", "02"))
    assert dataset.splits["test"].labels.tolist() == [0, 1, 1]
    both = DataSource(train.name, test_file=tmp_path / "test.jsonl")
    loaded = load(both, ("test",))
    assert loaded.splits["test"].labels.tolist() == [0, 1, 1]
    (note,) = loaded.notes
    assert note.startswith(f"{tmp_path / 'test.jsonl'}: Labels that are only written differently")
    assert note.endswith("class: '2.0' (1 row) counts as '02', '1' (1 row) counts as '01'.")


def test_the_command_line_shows_what_was_merged(tmp_path):
    source = table(tmp_path / "x.csv", [*CAFES, "bar"] * 5, "csv")
    shown = CliRunner().invoke(cli.app, ["data", "show", source.name])
    assert shown.exit_code == 0
    assert r"'cafe\u0301' (5 rows) counts as 'caf" in shown.output
    checked = CliRunner().invoke(cli.app, ["data", "check", source.name, "--fail-on", "labels"])
    assert checked.exception.exit_code == ExitCode.THRESHOLD
    assert "count as one" in checked.output


def test_equal_labels_of_a_text_are_one(tmp_path):
    path = tmp_path / "x.jsonl"
    sets = [["a", CAFES[0]], [CAFES[1], CAFES[2]], [], ["a"]] * 5
    rows = [json.dumps({"text": f"text {i}", "label": labels}) for i, labels in enumerate(sets)]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    dataset = load(DataSource(str(path)))
    assert dataset.labels == ("a", CAFES[0])
    assert sum(split.labels.sum(axis=0) for split in dataset.splits.values()).tolist() == [10, 10]


def test_rows_without_a_label_are_counted_and_their_texts_can_be_used(tmp_path):
    labels = ["a", None, "b", "b", None, "a"] * 5
    source = table(tmp_path / "x.jsonl", labels, "jsonl")
    with pytest.raises(LstmError, match=r"line 2: .* 10 of 30 rows have none") as caught:
        load(source)
    assert "--unlabeled" in caught.value.hint
    lines = (tmp_path / "x.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "rest.jsonl").write_text("".join(line for line in lines if "null" in line))
    (tmp_path / "x.jsonl").write_text("".join(line for line in lines if "null" not in line))
    dataset = with_unlabeled(load(source), [str(tmp_path / "rest.jsonl")])
    assert sum(map(len, dataset.splits.values())) + len(dataset.unlabeled) == 30


def test_a_list_of_labels_can_be_read_as_the_error_says(tmp_path):
    source = table(tmp_path / "x.jsonl", [["a", "b"], ["a"], ["b"]] * 5, "jsonl")
    with pytest.raises(LstmError, match=r"line 1: .* found a list") as caught:
        load(replace(source, multi_label="none"))
    assert "--multi-label list" in caught.value.hint
    assert load(replace(source, multi_label="list")).labels == ("a", "b")
