from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from fixtures_errors import refused

from lstm_cli.data import DataSource, load, load_for_labels
from lstm_cli.data.readers.read_options import ReadOptions
from lstm_cli.errors import ExitCode, LstmError

ROWS = [(f"film number {i}", ("bad", "good")[i % 2]) for i in range(40)]

FILES = ("validation_file", "test_file")


def write(path, rows=ROWS, columns=("text", "label")):
    if path.suffix == ".jsonl":
        lines = [json.dumps(dict(zip(columns, row, strict=True))) for row in rows]
    else:
        separator = "\t" if path.suffix == ".tsv" else ","
        lines = [separator.join(map(str, row)) for row in (columns, *rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def write_folder(root, rows=ROWS):
    for i, (text, label) in enumerate(rows):
        (root / label).mkdir(parents=True, exist_ok=True)
        (root / label / f"{i:03}.txt").write_text(text + "\n")
    return str(root)


def pairs(split, labels):
    return {(text, labels[i]) for text, i in zip(split.inputs, split.labels, strict=True)}


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "folder"])
def test_every_row_lands_in_one_split_with_its_label(tmp_path, kind):
    path = tmp_path / f"films.{kind}"
    data = load(DataSource(write_folder(path) if kind == "folder" else write(path)))
    assert data.labels == ("bad", "good")
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 29,
        "validation": 3,
        "test": 8,
    }
    found = [pairs(split, data.labels) for split in data.splits.values()]
    assert set().union(*found) == set(ROWS)
    assert sum(map(len, found)) == len(ROWS)


def test_splits_are_stratified_and_follow_the_seed(tmp_path):
    path = write(tmp_path / "films.csv")
    first, again, other = (load(DataSource(path, seed=seed)) for seed in (0, 0, 1))
    assert first.splits["test"].inputs == again.splits["test"].inputs
    assert first.splits["test"].inputs != other.splits["test"].inputs
    assert np.bincount(first.splits["test"].labels).tolist() == [4, 4]


def test_a_test_file_of_another_format_is_used_whole(tmp_path):
    path = write(tmp_path / "films.csv")
    test = tmp_path / "held_out.jsonl"
    write(test, [("new", "good"), ("newer", "good")])
    data = load(DataSource(path, test_file=test))
    assert list(data.splits["test"].inputs) == ["new", "newer"]
    assert data.splits["test"].labels.tolist() == [1, 1]
    assert len(data.splits["train"]) + len(data.splits["validation"]) == 40


def test_a_test_file_is_parsed_only_on_request(tmp_path):
    path = write(tmp_path / "films.csv")
    test = tmp_path / "held_out.csv"
    test.write_text("text,label\nnew,excellent\n")
    load(DataSource(path, test_file=test), ["train", "validation"])
    with pytest.raises(LstmError, match="'excellent'"):
        load(DataSource(path, test_file=test), ["test"])


@pytest.mark.parametrize("test_rows", [None, ROWS[:4]])
def test_a_validation_file_is_used_whole_and_nothing_is_split_off_for_it(tmp_path, test_rows):
    path, dev, test = (tmp_path / f"{name}.csv" for name in ("films", "dev", "test"))
    write(path)
    write(dev, [("new", "good"), ("newer", "bad")])
    if test_rows:
        write(test, test_rows)
    data = load(DataSource(str(path), validation_file=dev, test_file=test if test_rows else None))
    assert list(data.splits["validation"].inputs) == ["new", "newer"]
    assert data.splits["validation"].labels.tolist() == [1, 0]
    assert len(data.splits["train"]) == (40 if test_rows else 32)
    only = load(DataSource(str(path), validation_file=dev), ["validation"])
    assert list(only.splits["validation"].inputs) == ["new", "newer"]


@pytest.mark.parametrize("key", FILES)
def test_the_fingerprint_is_that_of_what_training_reads(tmp_path, key):
    path, other = write(tmp_path / "films.csv"), tmp_path / "other.csv"
    loaded = []
    for rows in (ROWS, ROWS[:-1]):
        write(other, rows)
        loaded.append(load(DataSource(path, **{key: other}), ["train"]))
    first, second = (data.fingerprint for data in loaded)
    assert (first != second) == (key == "validation_file")
    assert load(DataSource(path), ["train"]).fingerprint not in (first, second)
    split = key.removesuffix("_file")
    assert {data.files[split].path for data in loaded} == {str(other)}
    assert len({data.files[split].sha256 for data in loaded}) == 2
    assert len({data.files["train"].sha256 for data in loaded}) == 1


@pytest.mark.parametrize(
    ("columns", "values", "found"),
    [
        (("text", "label", "review"), ("id7", "good", "new"), "id7"),
        (("review", "label", "text"), ("id7", "good", "new"), "new"),
    ],
)
def test_the_columns_of_train_come_first_in_a_test_file(tmp_path, columns, values, found):
    path, test = write(tmp_path / "films.csv"), tmp_path / "test.csv"
    write(test, [values], columns)
    assert list(load(DataSource(path, test_file=test)).splits["test"].inputs) == [found]


def test_a_label_that_train_lacks_is_named_with_its_row(tmp_path):
    path, test = write(tmp_path / "films.csv"), tmp_path / "test.csv"
    write(test, [*ROWS[:20], ("lamp", "neutral"), ("lamps", "neutral")])
    with pytest.raises(LstmError, match=r"'neutral' \(2 rows, the first in line 22\)") as caught:
        load(DataSource(path, test_file=test))
    assert caught.value.message.startswith(str(test))


@pytest.mark.parametrize("key", FILES)
def test_files_of_splits_are_refused_where_they_have_no_effect(tmp_path, key):
    with pytest.raises(LstmError, match="splits of its own") as caught:
        load(DataSource("demo", **{key: tmp_path}))
    assert caught.value.exit_code == ExitCode.USAGE


@pytest.mark.parametrize("key", FILES)
def test_a_missing_file_of_another_split_is_named(tmp_path, key):
    with pytest.raises(LstmError, match=r"nowhere\.csv") as caught:
        load(DataSource(write(tmp_path / "films.csv"), **{key: tmp_path / "nowhere.csv"}))
    assert caught.value.exit_code == ExitCode.DATA
    assert f"--{key.removesuffix('_file')} " in caught.value.hint


@pytest.mark.parametrize(
    ("labels", "ordered"),
    [
        (["10", "9", "-1"], ("-1", "9", "10")),
        (["10", "9", "b"], ("10", "9", "b")),
        (["Pos", "neg"], ("Pos", "neg")),
    ],
)
def test_labels_are_sorted_as_integers_or_as_strings(tmp_path, labels, ordered):
    rows = [(f"text {i}", labels[i % len(labels)]) for i in range(30)]
    assert load(DataSource(write(tmp_path / "a.csv", rows))).labels == ordered


def test_integer_labels_of_jsonl_are_those_of_csv(tmp_path):
    rows = [(f"text {i}", i % 2) for i in range(20)]
    as_csv, as_json = write(tmp_path / "a.csv", rows), write(tmp_path / "b.jsonl", rows)
    assert load(DataSource(as_csv)).labels == load(DataSource(as_json)).labels == ("0", "1")


def test_columns_found_by_their_names_are_noted(tmp_path):
    path = write(tmp_path / "a.csv", columns=("Review", "Sentiment"))
    assert "column 'Review', labels from column 'Sentiment'" in load(DataSource(path)).notes[0]
    assert not load(DataSource(write(tmp_path / "b.csv"))).notes


def test_named_columns_are_used(tmp_path):
    path = write(tmp_path / "a.csv", columns=("opinion", "stars"))
    with pytest.raises(LstmError, match="no column named text"):
        load(DataSource(path))
    data = load(DataSource(path, text_columns=("opinion",), label_column="stars"))
    assert data.labels == ("bad", "good")
    with pytest.raises(LstmError, match="cannot be both"):
        load(DataSource(path, text_columns=("stars",), label_column="stars"))


def test_empty_texts_are_kept_and_copies_noted(tmp_path):
    rows = [*ROWS, ('""', "bad"), ("film number 0", "bad")]
    data = load(DataSource(write(tmp_path / "a.csv", rows)))
    assert sum(len(split) for split in data.splits.values()) == 42
    assert any("1 of 42 texts are empty" in note for note in data.notes)
    assert any("1 of 42 texts repeat" in note for note in data.notes)


def test_any_script_and_any_character_is_kept(tmp_path):
    texts = [
        "你好，世界",
        "مرحبا بالعالم",
        "👩‍👩‍👧 \u202eabc",
        "a\0b\x07",
        "[bold]x[/bold]\x1b[31m",
    ]
    rows = [(text, label) for text in texts for label in ("a", "b") for _ in range(3)]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"text": t, "label": y}) for t, y in rows), "utf-8")
    data = load(DataSource(str(path)))
    assert {text for split in data.splits.values() for text in split.inputs} == set(texts)


# Errors


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl"])
def test_a_file_without_rows_is_refused(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(LstmError, match=r"found nothing|holds no rows"):
        load(DataSource(str(tmp_path / name)))
    with pytest.raises(LstmError, match="holds no rows"):
        load(DataSource(write(tmp_path / name, rows=[])))


def test_a_single_class_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", [("a", "good"), ("b", "good"), ("c", "good")])
    with pytest.raises(LstmError, match=r"3 examples .*'good'"):
        load(DataSource(path))


def test_a_class_too_small_to_split_stays_in_train_with_a_note(tmp_path):
    path = write(tmp_path / "a.csv", [*ROWS, ("x", "mixed")])
    data = load(DataSource(path))
    mixed = data.labels.index("mixed")
    counts = {name: (split.labels == mixed).sum() for name, split in data.splits.items()}
    assert counts == {"train": 1, "validation": 0, "test": 0}
    assert [note for note in data.notes if "'mixed'" in note] == [
        f"The {name} split has no example of 1 class that train has ('mixed')."
        for name in ("validation", "test")
    ]
    assert not any("'mixed'" in note for note in load(DataSource(path), ["test"]).notes)


def test_classes_too_small_to_split_are_named_with_what_to_do(tmp_path):
    path = write(tmp_path / "a.csv", [("a", "good"), ("b", "good"), ("c", "good"), ("x", "mixed")])
    with pytest.raises(LstmError, match=r"too few examples of 'mixed' \(1\).*at least 3") as caught:
        load(DataSource(path))
    assert "merge them" in caught.value.hint
    assert "--test FILE" in caught.value.hint


def test_texts_in_the_label_column_are_shortened_in_the_error(tmp_path):
    rows = [("good", f"{i} " + "a long review " * 500) for i in range(99)]
    with pytest.raises(LstmError, match=r"too few examples of .* and 91 more") as caught:
        load(DataSource(write(tmp_path / "a.csv", rows)))
    assert len(caught.value.message) < 700


def test_two_examples_of_a_class_are_enough_with_a_test_file(tmp_path):
    path = write(tmp_path / "a.csv", [*ROWS, ("x", "mixed"), ("y", "mixed")])
    test = tmp_path / "test.csv"
    write(test, [("z", "mixed")])
    data = load(DataSource(path, test_file=test))
    for split in data.splits.values():
        assert 2 in split.labels


def test_a_row_without_a_label_is_refused_with_its_line(tmp_path):
    path = write(tmp_path / "a.csv", [("a", "good"), ("b", "")])
    with pytest.raises(LstmError, match=r"a\.csv, line 3: expected a label in 'label'"):
        load(DataSource(path))


def test_invalid_utf_8_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,label\ncaf\xe9\xe8\xe7,good\n")
    with pytest.raises(LstmError, match=r"a\.csv, line 2: .*0xe9"):
        load(DataSource(str(tmp_path / "a.csv")))


def test_what_the_encoding_was_guessed_to_be_is_a_note_and_the_named_one_is_used(tmp_path):
    path = write(tmp_path / "a.csv")
    with (tmp_path / "a.csv").open("ab") as file:
        file.write(b"isn\x92t,good\n")
    data = load(DataSource(path))
    assert any("windows-1252" in note and "1 line " in note for note in data.notes)
    assert "isn’t" in {text for split in data.splits.values() for text in split.inputs}
    options = ReadOptions(encoding="latin-1")
    other = load(DataSource(path, read_options=options))
    assert "isn\x92t" in {text for split in other.splits.values() for text in split.inputs}
    assert other.fingerprint != data.fingerprint


def test_how_a_test_file_was_read_is_a_note_too(tmp_path):
    test = tmp_path / "held_out.csv"
    test.write_bytes(b"text;label\nisn\x92t;good\nno;bad\n")
    notes = load(DataSource(write(tmp_path / "a.csv"), test_file=test)).notes
    assert sum("held_out.csv" in note for note in notes) == 2  # the delimiter, and the encoding


def test_plain_lines_are_no_labeled_table(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("A text.\nAnother, longer text.\n")
    error = refused(load, DataSource(str(path)), code=ExitCode.USAGE)
    assert "--input-format csv --no-header" in error.hint


def test_following_the_hint_for_a_file_without_a_header_loses_no_row(tmp_path):
    path = tmp_path / "a.csv"
    rows = [(f"film {i}", ("good", "bad")[i % 2]) for i in range(40)]
    path.write_text("".join(f"{text},{label}\n" for text, label in rows))
    assert "--no-header --text-column NUMBER" in refused(load, DataSource(str(path))).hint
    data = load(DataSource(str(path), None, ("1",), "2", read_options=ReadOptions(header=False)))
    assert sum(len(split) for split in data.splits.values()) == 40


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_reported(tmp_path):
    path = write(tmp_path / "a.csv")
    (tmp_path / "a.csv").chmod(0)
    with pytest.raises(LstmError, match="Cannot read"):
        load(DataSource(path))


# Folders


def test_a_folder_like_aclimdb_keeps_its_test_split_and_skips_unsup(tmp_path):
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "train", [("unlabelled", "unsup")])
    write_folder(tmp_path / "test", [("a", "bad"), ("b", "good")])
    data = load(DataSource(str(tmp_path)))
    assert data.labels == ("bad", "good")
    assert pairs(data.splits["test"], data.labels) == {("a", "bad"), ("b", "good")}


def test_hidden_and_other_files_are_skipped_and_files_are_sorted_by_name(tmp_path):
    path = write_folder(tmp_path / "films", [("b", "x"), ("c", "x"), ("d", "y")])
    (tmp_path / "films" / ".git").mkdir()
    (tmp_path / "films" / "x" / ".hidden.txt").write_text("no")
    (tmp_path / "films" / "x" / "notes.md").write_text("no")
    (tmp_path / "films" / "x" / "00.TXT").write_bytes(b"\xef\xbb\xbfa\r\n")
    data = load_for_labels(DataSource(path), ["y", "x"])
    assert list(data.splits["test"].inputs) == ["a", "b", "c", "d"]
    assert data.splits["test"].labels.tolist() == [1, 1, 1, 0]


def test_a_folder_without_classes_or_with_an_empty_one_is_refused(tmp_path):
    with pytest.raises(LstmError, match="no subfolders: expected one per class"):
        load(DataSource(str(tmp_path)))
    write_folder(tmp_path)
    (tmp_path / "images").mkdir()
    with pytest.raises(LstmError, match="images holds no texts"):
        load(DataSource(str(tmp_path)))


def test_file_names_may_be_any_bytes_but_class_names_must_be_utf_8(tmp_path):
    path = write_folder(tmp_path)
    raw = os.fsdecode(b"caf\xe9")
    before = load(DataSource(path), ["train"]).fingerprint
    (tmp_path / "bad" / f"{raw}.txt").write_text("a dull film")
    assert load(DataSource(path), ["train"]).fingerprint != before
    (tmp_path / raw).mkdir()
    (tmp_path / raw / "1.txt").write_text("a dull film")
    with pytest.raises(LstmError, match=r"caf\\udce9") as caught:
        load(DataSource(path))
    assert "Rename" in caught.value.hint


def test_invalid_utf_8_in_a_folder_names_the_file(tmp_path):
    path = write_folder(tmp_path)
    (tmp_path / "bad" / "999.txt").write_bytes(b"a\nb\xff\xff\xff\n")
    with pytest.raises(LstmError, match=r"999\.txt, line 2"):
        load(DataSource(path))


def test_a_guessed_encoding_in_a_folder_is_a_note_that_names_the_file(tmp_path):
    path = write_folder(tmp_path)
    (tmp_path / "bad" / "999.txt").write_bytes(b"isn\x92t")
    notes = [note for note in load(DataSource(path)).notes if "windows-1252" in note]
    assert "1 file is not UTF-8" in notes[0]
    assert "999.txt" in notes[0]


# Names and fingerprints


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("reviews.csv", "reviews"),
        ("my films (new).csv", "my-films-new"),
        ("imdb.csv", "imdb-csv"),
        ("v1.2.jsonl", "v1.2"),
        ("...csv", "data"),
    ],
)
def test_the_data_set_is_named_after_the_file(tmp_path, file, name):
    assert load(DataSource(write(tmp_path / file))).name == name


def test_the_current_folder_has_a_name_too(tmp_path, monkeypatch):
    write_folder(tmp_path / "my films")
    monkeypatch.chdir(tmp_path / "my films")
    assert load(DataSource(".")).name == "my-films"


@pytest.mark.parametrize("kind", ["csv", "folder"])
def test_the_fingerprint_depends_on_the_bytes_and_not_on_the_path(tmp_path, kind):
    def fingerprint(name, rows):
        (tmp_path / name).mkdir()
        path = tmp_path / name / f"films.{kind}"
        write_rows = write_folder if kind == "folder" else write
        return load(DataSource(write_rows(path, rows))).fingerprint

    changed = [*ROWS[:-1], ("film number thirty-nine", "good")]
    first, copy, other = (fingerprint(f"{i}", rows) for i, rows in enumerate((ROWS, ROWS, changed)))
    assert first == copy != other


# Evaluating a run on other data


def test_all_rows_of_a_file_are_used_with_the_class_ids_of_the_run(tmp_path):
    path = write(tmp_path / "new.csv", [("a", "good"), ("b", "good")])
    data = load_for_labels(DataSource(path), ["good", "bad", "mixed"])
    assert data.labels == ("good", "bad", "mixed")
    assert list(data.splits["test"].inputs) == ["a", "b"]
    assert data.splits["test"].labels.tolist() == [0, 0]


def test_labels_unknown_to_the_run_are_listed_with_their_counts(tmp_path):
    path = write(tmp_path / "new.csv", [("a", "good"), ("b", "awful"), ("c", "awful")])
    with pytest.raises(LstmError, match=r"'awful' \(2 rows\)") as caught:
        load_for_labels(DataSource(path), ["good", "bad"])
    assert "'bad'" in caught.value.hint


TRAIN = ("review", "label")


@pytest.mark.parametrize("option", FILES)
def test_other_files_are_read_from_the_columns_of_the_training_file(tmp_path, option):
    train = write(tmp_path / "train.csv", columns=TRAIN)
    rows = [(f"T-{i}", *row) for i, row in enumerate(ROWS)]
    other = write(tmp_path / "other.csv", rows, ("text", *TRAIN))
    data = load(DataSource(train, **{option: Path(other)}))
    split = data.splits[option.removesuffix("_file")]
    assert list(split.inputs) == [text for text, _ in ROWS]


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("missing", TRAIN)
def test_a_file_without_a_column_of_the_training_file_is_refused(tmp_path, suffix, missing):
    train = write(tmp_path / "train.csv", columns=TRAIN)
    columns = ["text" if name == missing == "review" else name for name in TRAIN]
    columns = ["class" if name == missing else name for name in columns]
    path = tmp_path / f"other.{suffix}"
    other = write(path, columns=columns)
    with pytest.raises(LstmError) as error:
        load(DataSource(train, test_file=Path(other)))
    for name in (train, other, repr(missing)):
        assert name in error.value.message
    # What the hint says works.
    path.write_text(path.read_text().replace("text" if missing == "review" else "class", missing))
    assert len(load(DataSource(train, test_file=Path(other))).splits["test"]) == len(ROWS)


def test_a_column_that_both_files_have_can_be_chosen(tmp_path):
    train = write(
        tmp_path / "train.csv", [(f"T-{i}", *row) for i, row in enumerate(ROWS)], ("text", *TRAIN)
    )
    other = Path(write(tmp_path / "other.csv", columns=TRAIN))
    with pytest.raises(LstmError) as error:
        load(DataSource(train, test_file=other))
    assert "--text-column" in error.value.hint
    data = load(DataSource(train, text_columns=("review",), test_file=other))
    assert data.splits["test"].inputs == [text for text, _ in ROWS]


def test_an_object_of_another_file_may_lack_one_of_several_text_columns(tmp_path):
    rows = [(f"title {i}", *row) for i, row in enumerate(ROWS)]
    columns = ("title", *TRAIN)
    train = write(tmp_path / "train.csv", rows, columns)
    other = tmp_path / "other.jsonl"
    write(other, [row[1:] for row in rows], TRAIN)
    other.write_text(other.read_text() + '{"title": "x", "label": "bad"}\n')
    source = DataSource(train, text_columns=("title", "review"), test_file=other)
    assert load(source).splits["test"].inputs[-1] == "x \u241f "


def test_a_table_without_one_of_several_text_columns_is_refused(tmp_path):
    rows = [(f"title {i}", *row) for i, row in enumerate(ROWS)]
    train = write(tmp_path / "train.csv", rows, ("title", *TRAIN))
    other = Path(write(tmp_path / "other.csv", columns=TRAIN))
    source = DataSource(train, text_columns=("title", "review"), test_file=other)
    with pytest.raises(LstmError) as error:
        load(source)
    assert all(name in error.value.message for name in ("'title'", train, str(other)))
