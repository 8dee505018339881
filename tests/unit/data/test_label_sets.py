from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data import DataSource, load, load_for_labels, splits
from lstm_cli.data.dataset import Split, class_counts, label_names
from lstm_cli.data.iterative_stratification import assign_parts
from lstm_cli.data.readers.label_sets import find_separator
from lstm_cli.errors import ExitCode, LstmError


def table(folder, values, name="t.csv"):
    path = folder / name
    rows = [f'text {i},"{value}"' for i, value in enumerate(values)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def jsonl(folder, values):
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps({"text": "a", "label": v}) + "\n" for v in values))
    return path


def sets_of(dataset):
    """All label sets of a data set, by text."""
    return {
        text: names
        for split in dataset.splits.values()
        for text, names in zip(split.inputs, label_names(split.labels, dataset.labels), strict=True)
    }


VALUES = ["joy", "love", "joy|love", "pride | joy", "love|pride", ""] * 5


# Reading


def test_separator_is_found_and_an_empty_cell_has_no_label(tmp_path):
    dataset = load(DataSource(str(table(tmp_path, VALUES))))
    assert (dataset.multi_label, dataset.labels) == ("|", ("joy", "love", "pride"))
    found = sets_of(dataset)
    assert [found[f"text {i}"] for i in range(6)] == [
        "joy", "love", "joy, love", "joy, pride", "love, pride", "",
    ]  # fmt: skip
    assert any("several labels" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("values", "separator"),
    [
        (["a", "b", "a|b", "b|a"], "|"),
        (["a;b", "a", "b"], ";"),
        (["size|S", "size|M", "size|L"], None),  # a path: no part stands alone
        (["a|b", "c", "d"], None),
        (["a, b", "a", "b"], None),  # a comma is common in names
    ],
)
def test_separator_is_found_only_where_it_is_unmistakable(values, separator):
    assert find_separator(values) == separator


def test_labels_that_may_be_several_are_one_with_a_note(tmp_path):
    path = table(tmp_path, ["size|S", "size|M"] * 6)
    dataset = load(DataSource(str(path)))
    assert (dataset.multi_label, dataset.labels) == ("none", ("size|M", "size|S"))
    assert any("--multi-label '|'" in note for note in dataset.notes)
    asked = load(DataSource(str(table(tmp_path, ["a", "b", "a,b", "c"] * 4)), multi_label=","))
    assert asked.labels == ("a", "b", "c")


def test_single_label_data_is_read_as_before(tmp_path):
    path = table(tmp_path, VALUES)
    with pytest.raises(LstmError, match="line 7: expected a label"):
        load(DataSource(str(path), multi_label="none"))
    plain = str(table(tmp_path, ["a", "b"] * 6, "plain.csv"))
    forced = load(DataSource(plain, multi_label="none"))
    assert load(DataSource(plain)).fingerprint == forced.fingerprint
    assert load(DataSource(plain)).splits["train"].labels.ndim == 1
    with pytest.raises(LstmError, match="line 2: expected a label"):
        load(DataSource(str(table(tmp_path, ["", "a", "b", "a"], "empty.csv"))))


def test_json_lists_are_found(tmp_path):
    dataset = load(DataSource(str(jsonl(tmp_path, [["x", "y"], [], ["x"], "y", ["y", "y"]] * 5))))
    assert (dataset.multi_label, dataset.labels) == ("list", ("x", "y"))
    counts = [class_counts(split.labels, 2) for split in dataset.splits.values()]
    assert np.sum(counts, axis=0).tolist() == [10, 15]
    with pytest.raises(LstmError, match="line 1: expected a label"):
        load(DataSource(str(jsonl(tmp_path, [["x", None]]))))


def test_columns_of_0_and_1_are_labels(tmp_path):
    path = tmp_path / "c.csv"
    rows = ["a,1,0,x", "b,0,1,x", "c,true,1,x", "d,,0,x"] * 5
    path.write_text("\n".join(["text,toxic,rude,other", *rows]) + "\n")
    dataset = load(DataSource(str(path), label_columns=("toxic", "rude")))
    assert dataset.labels == ("toxic", "rude")
    assert sets_of(dataset) == {"a": "toxic", "b": "rude", "c": "toxic, rude", "d": ""}
    for columns, message in {
        ("toxic", "other"): "line 2: expected 0 or 1 in 'other'",
        ("toxic", "rud"): "no column 'rud'",
        ("toxic", "text"): "'text' is named twice",
    }.items():
        with pytest.raises(LstmError, match=message):
            load(DataSource(str(path), label_columns=columns))


def test_folder_has_no_several_labels(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "1.txt").write_text("x")
    with pytest.raises(LstmError) as caught:
        load(DataSource(str(tmp_path), multi_label="|"))
    assert caught.value.exit_code == ExitCode.USAGE


def test_labels_that_no_split_can_have_are_refused(tmp_path):
    with pytest.raises(LstmError, match="no label has 3 texts"):
        load(DataSource(str(table(tmp_path, ["a|b", "a", "b", "", "", ""]))))


def test_other_data_gets_the_labels_of_the_run(tmp_path):
    path = str(table(tmp_path, ["love", "joy|love", ""] * 4))
    found = load_for_labels(DataSource(path, multi_label="|"), ("pride", "love", "joy"))
    assert found.splits["test"].labels[:3].tolist() == [[0, 1, 0], [0, 1, 1], [0, 0, 0]]
    with pytest.raises(LstmError, match=r"'joy' \(4 rows\)"):
        load_for_labels(DataSource(path, multi_label="|"), ("pride", "love"))


# Splits


def random_sets(num, seed=0):
    rng = np.random.default_rng(seed)
    shares = np.geomspace(0.01, 0.5, 8)
    return (rng.random((num, 8)) < shares).astype(np.int32)


def test_parts_have_exact_sizes_and_each_label_in_proportion():
    labels = random_sets(2000)
    part_of = assign_parts(labels, (1700, 300), np.random.default_rng(0))
    assert np.bincount(part_of).tolist() == [1700, 300]
    counts = labels.sum(axis=0)
    held_out = labels[part_of == 1].sum(axis=0)
    assert np.abs(held_out - 0.15 * counts).max() <= 1.5
    chance = np.random.default_rng(1).permutation(2000)[:300]
    assert np.abs(labels[chance].sum(axis=0) - 0.15 * counts).max() > 5


def test_split_is_seeded_keeps_the_order_and_both_parts_have_rare_labels():
    labels = np.zeros((40, 2), np.int32)
    labels[:20, 0] = 1
    labels[[5, 30], 1] = 1  # twice: one in each part, whatever the fraction
    split = Split([str(i) for i in range(40)], labels)
    first = splits.stratified_split(split, 0.1, 3, splits.VALIDATION_SPLIT)
    again = splits.stratified_split(split, 0.1, 3, splits.VALIDATION_SPLIT)
    other = splits.stratified_split(split, 0.1, 4, splits.VALIDATION_SPLIT)
    assert first[1].inputs == again[1].inputs != other[1].inputs
    assert [len(part) for part in first] == [36, 4]
    assert [part.labels[:, 1].sum() for part in first] == [1, 1]
    assert [int(text) for text in first[0].inputs] == sorted(map(int, first[0].inputs))


def test_sample_and_folds_are_stratified():
    labels = random_sets(600)
    split = Split(list(map(str, range(600))), labels)
    sample = splits.stratified_sample(split, 60, 0, splits.TRAIN_SAMPLE)
    assert len(sample) == 60
    assert np.abs(sample.labels.sum(axis=0) - 0.1 * labels.sum(axis=0)).max() <= 2
    fold_of = splits.stratified_folds(labels, 4, 0)
    assert np.bincount(fold_of).tolist() == [150] * 4
    by_fold = np.array([labels[fold_of == fold].sum(axis=0) for fold in range(4)])
    assert (by_fold.max(axis=0) - by_fold.min(axis=0)).max() <= 2


@given(st.integers(2, 30), st.integers(1, 4), st.integers(0, 99))
def test_every_example_gets_a_part(num, num_labels, seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (num, num_labels), np.int32)
    second = int(rng.integers(1, num))
    part_of = assign_parts(labels, (num - second, second), rng, 1)
    assert np.bincount(part_of, minlength=2).tolist() == [num - second, second]
