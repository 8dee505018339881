"""Labels that are not names of classes: what they look like is said, with what to do."""

from __future__ import annotations

import pytest

from lstm_cli.data import DataSource, load
from lstm_cli.data.readers.label_kinds import describe_missing, find_suspicion
from lstm_cli.errors import LstmError

SCORES = [f"0.{i:03}" for i in range(7, 40)]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (SCORES, "scores"),
        (["joy, love", "anger, fear", "anger, love", "joy, anger"], "several labels"),
        (["a/b", "b/c", "c/a", "b"], "several labels"),
        (["['joy', 'love']", "['joy']", "[]"], "lists"),
        (["__label__pos a fine film", "__label__neg a bad one"], "a line of fastText"),
        (["__label__a __label__b", "__label__a"], "several labels in fastText"),
    ],
)
def test_labels_that_are_not_names_of_classes_are_known(labels, words):
    assert words in find_suspicion(labels).finding


@pytest.mark.parametrize(
    "labels",
    [
        ["good", "bad"],
        ["0", "1", "2.5"],
        [str(i) for i in range(77)],
        ["Sports, outdoor", "Sports, indoor", "Toys, games"],
        ["A+", "A", "B+", "B"],
        ["C", "C++", "C#"],
        ["__label__pos", "__label__neg"],
        ["[x]", "y"],
    ],
)
def test_names_of_classes_are_not_suspected(labels):
    assert find_suspicion(labels) is None


def test_whole_numbers_are_scores_if_there_are_too_few_rows_of_each():
    assert find_suspicion([str(i) for i in range(77)], has_too_few=True) is not None


def test_labels_that_may_stand_for_a_missing_one_are_counted():
    assert describe_missing({"good": 5, "nan": 2, "None": 1}).startswith(
        "3 rows with the label 'nan'"
    )
    assert describe_missing({"good": 5, "bad": 2}) == ""


def table(path, rows):
    path.write_text("text,label\n" + "".join(f'{text},"{label}"\n' for text, label in rows))
    return DataSource(str(path))


def test_scores_are_an_error_that_says_so_and_classes_of_them_can_be_read(tmp_path):
    rows = [(f"text {i}", score) for i, score in enumerate(SCORES)]
    with pytest.raises(LstmError, match="look like scores: 33 different numbers") as caught:
        load(table(tmp_path / "x.csv", rows))
    assert "classes such as low, middle and high" in caught.value.hint
    classes = [(text, "low" if float(score) < 0.02 else "high") for text, score in rows]
    assert load(table(tmp_path / "y.csv", classes)).labels == ("high", "low")


def test_several_labels_of_a_field_are_asked_about_and_can_be_read_as_the_note_says(tmp_path):
    labels = ["joy, love", "anger, fear", "anger, love", "joy, anger"] * 5
    source = table(tmp_path / "x.csv", [(f"text {i}", one) for i, one in enumerate(labels)])
    (note,) = load(source).notes
    assert "give --multi-label ','" in note
    found = load(DataSource(source.name, multi_label=","))
    assert found.labels == ("anger", "fear", "joy", "love")


def test_labels_of_fasttext_in_the_wrong_place_are_named(tmp_path):
    rows = [(i, f"__label__{'ab'[i % 2]} text {i}") for i in range(20)]
    with pytest.raises(LstmError, match="looks like a line of fastText's format") as caught:
        load(table(tmp_path / "x.csv", rows))
    assert "save these lines alone as a .txt file" in caught.value.hint
    (tmp_path / "x.txt").write_text("".join(f"{line}\n" for _, line in rows))
    assert load(DataSource(str(tmp_path / "x.txt"))).labels == ("a", "b")
    rows = [(f"__label__{'ab'[i % 2]} text {i}", "ab"[i % 2]) for i in range(20)]
    (note,) = load(table(tmp_path / "y.csv", rows)).notes
    assert note.startswith("20 of 20 texts begin with '__label__'")
