"""Texts without labels: which files are read, which texts are dropped, and what is refused."""

from __future__ import annotations

import json

import pytest
from fixtures_errors import refused

from lstm_cli.data import DataSource, describe, load, with_unlabeled
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.data.readers.texts import read_texts
from lstm_cli.errors import ExitCode


@pytest.fixture
def labeled(tmp_path):
    """A table of 40 rows whose texts are in the column `review`."""
    path = tmp_path / "labeled.csv"
    rows = [f"film number {i},{('bad', 'good')[i % 2]}" for i in range(40)]
    path.write_text("\n".join(["review,label", *rows]) + "\n")
    return path


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", 'text,label\n"one, a film",\n two ,good\n'),
        ("x.csv", 'text\n"one, a film"\n two \n'),
        ("x.tsv", "id\ttext\n1\tone, a film\n2\t two \n"),
        ("x.jsonl", '{"text": "one, a film", "label": 3}\n{"text": " two "}\n'),
        ("x.txt", "one, a film\r\n\n \n two "),
        ("x", "one, a film\n two \n"),
        ("x.txt", 'text,label\n"one, a film",\n two ,good\n'),
        ("x.json", '[{"text": "one, a film"}, {"text": " two "}]'),
        ("x.TXT", "\ufeffone, a film\n two \n"),
    ],
)
def test_a_file_has_one_text_per_row_or_line(name, content, tmp_path):
    texts, digest, _ = read_texts(write(tmp_path / name, content))
    assert texts == ["one, a film", " two "]
    assert len(digest) == 64


def test_the_column_of_the_labeled_texts_comes_first(tmp_path):
    path = write(tmp_path / "x.csv", "text,review\na,b\n")
    assert read_texts(path, ["review"])[0] == ["b"]
    assert read_texts(path, "body")[0] == ["a"]
    assert read_texts(path)[0] == ["a"]


def test_a_folder_has_one_text_per_file_at_any_depth(tmp_path):
    folder = tmp_path / "texts"
    write(folder / "b.txt", "first line\nsecond line\n")
    write(folder / "a" / "deep" / "c.TXT", "deep")
    write(folder / ".hidden" / "d.txt", "hidden")
    write(folder / "notes.md", "no text")
    (folder / "loop").symlink_to(folder)
    write(folder / "0001.1999-12-10", "no suffix")
    texts, digest, unread = read_texts(folder)
    assert texts == ["no suffix", "first line\nsecond line", "deep"]
    assert unread == f"2 files in {folder} are not read: 1 .md, 1 linked folder."
    write(folder / "notes.md", "changed")
    assert read_texts(folder)[1] == digest
    (folder / "b.txt").rename(folder / "bb.txt")
    assert read_texts(folder)[1] != digest


@pytest.mark.parametrize(
    ("name", "content", "code", "words"),
    [
        ("x.csv", None, ExitCode.DATA, "no file or folder"),
        ("x.json", "[3]", ExitCode.ERROR, "x.json, line 1"),
        ("x", "%PDF-1.4", ExitCode.USAGE, "a PDF"),
        ("x.csv", "a,b\n1,2\n", ExitCode.ERROR, "'review'"),
        ("x.csv", 'text\n"open\n', ExitCode.ERROR, "x.csv, line 2"),
        ("x.jsonl", '{"text": "a"}\n{"text": null}\n', ExitCode.ERROR, "x.jsonl, line 2"),
        ("folder/x.csv", "text\na\n", ExitCode.ERROR, "no text files"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(name, content, code, words, tmp_path):
    if content is not None:
        write(tmp_path / name, content)
    path = tmp_path / name.split("/")[0]
    error = refused(read_texts, path, ["review"], code=code)
    assert words in error.message
    assert path.name in error.message


def test_invalid_bytes_are_refused_with_their_line(tmp_path):
    path = tmp_path / "x.txt"
    path.write_bytes(b"fine\nna\xefve\n")
    assert f"{path}, line 2" in refused(read_texts, path).message


def test_copies_of_labeled_texts_are_dropped_and_counted_by_split(labeled, tmp_path):
    dataset = load(DataSource(str(labeled)))
    copies = [dataset.splits[name].inputs[0] for name in ("train", "validation", "test", "test")]
    # Only what is equal to the model, too.
    copies = [copies[0].upper(), copies[1].replace(" ", "\u00a0"), f"\u200b{copies[2]}", copies[3]]
    lines = [*copies, "new", "new ", "newer"]
    path = write(tmp_path / "x.jsonl", "")
    path.write_text("".join(json.dumps({"review": text}) + "\n" for text in lines))
    write(tmp_path / "y.csv", "review\nnewest\n\n")
    found = with_unlabeled(dataset, [str(path), str(tmp_path / "y.csv")])
    assert list(found.unlabeled.texts) == ["new", "newer", "newest"]
    assert list(found.unlabeled.files) == [str(path), str(tmp_path / "y.csv")]
    (note,) = [note for note in found.notes if "unlabeled" in note]
    assert "6 of 9" in note
    assert "2 in test, 1 in validation, 1 in train, 1 repeated, 1 empty" in note
    assert found.fingerprint == dataset.fingerprint
    assert list(with_unlabeled(dataset, [str(path)], 1).unlabeled.texts) == ["new"]


def test_unlabeled_texts_that_are_all_labeled_are_refused(labeled):
    dataset = load(DataSource(str(labeled)))
    assert "8 in test" in refused(with_unlabeled, dataset, [str(labeled)]).message


def test_images_have_no_unlabeled_texts(tmp_path):
    path = write(tmp_path / "x.txt", "a text\n")
    refused(with_unlabeled, load(DataSource("digits")), [str(path)], code=ExitCode.USAGE)
    overrides = {"data.unlabeled": [str(path)]}
    error = refused(dataset_settings, "digits", None, overrides, code=ExitCode.USAGE)
    assert "data.unlabeled" in error.message


def test_the_summary_has_the_unlabeled_texts_without_classes(labeled, tmp_path):
    path = write(tmp_path / "x.txt", "one two three\nfour\n")
    found = describe(DataSource(str(labeled)), unlabeled=[str(path)])
    assert found.unlabeled.num_examples == 2
    assert found.unlabeled.class_counts == ()
    assert found.unlabeled.word_percentiles[-1] == 3
    assert describe(DataSource(str(labeled))).unlabeled is None


def test_paths_in_the_settings_become_absolute(labeled, tmp_path, monkeypatch):
    write(tmp_path / "x.txt", "a text\n")
    write(tmp_path / "mine.yaml", "data: {unlabeled: [x.txt]}\nembedding: {vectors: train}\n")
    monkeypatch.chdir(tmp_path)
    config = dataset_settings("labeled.csv", None, {"data.unlabeled": ["x.txt"]})
    assert config.data.unlabeled == (str(tmp_path / "x.txt"),)
    assert config.embedding.vectors == "unlabeled"
    config = dataset_settings("labeled.csv", tmp_path / "mine.yaml")
    assert config.data.unlabeled == (str(tmp_path / "x.txt"),)
    assert config.embedding.vectors == "train"
    assert dataset_settings("labeled.csv").embedding.vectors == "random"
    missing = {"data.unlabeled": ["x.txt", "y.txt"]}
    assert "y.txt" in refused(dataset_settings, "demo", None, missing, code=3).message
