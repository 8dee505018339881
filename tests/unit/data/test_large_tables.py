"""Tables whose texts are on disk: the same data set, vocabulary and corpus as in memory."""

from __future__ import annotations

import os

import numpy as np
import pytest

from lstm_cli.checks import quick_check
from lstm_cli.config.schema import TextSettings
from lstm_cli.data import DataSource, load, with_unlabeled
from lstm_cli.data.readers import path as reader
from lstm_cli.data.rows import read_rows
from lstm_cli.io import array_file, text_store
from lstm_cli.io.text_store import StoredTexts, is_stored
from lstm_cli.io.worker import start_worker
from lstm_cli.text import corpus_cache, vocabulary
from lstm_cli.text.corpus import encode, grow_and_encode
from lstm_cli.text.profile import describe_texts

WORDS = [
    "a",
    "fine",
    "dull",
    "film",
    "of",
    "the",
    "year",
    "was",
    "seen",
    "by",
    "nobody",
    "at",
    "all",
]


def write_table(folder, num=300, name="films.csv"):
    """Write texts of random words, some of them twice or empty."""
    rng = np.random.default_rng(0)
    rows = ["id,text,label,weight"]
    for i in range(num):
        text = " ".join(rng.choice(WORDS, rng.integers(0, 9))) + f" x{rng.integers(0, num)}" * (
            i % 2
        )
        rows.append(f"{'T-' * (i % 3 > 0)}{i % 250},{text},{'good' if i % 2 else 'bad'},{i % 5}")
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def on_disk(monkeypatch):
    """A function that returns the result of a call in memory, and on disk."""

    def call(function, *arguments):
        results = []
        for limit in (1 << 40, 100):
            monkeypatch.setattr(text_store, "MAX_IN_MEMORY", limit)
            monkeypatch.setattr(array_file, "_LARGE", limit)
            monkeypatch.setattr(reader, "_stored_tables", [])
            results.append(function(*arguments))
        return results

    monkeypatch.setattr(vocabulary, "_CHUNK", 7)
    monkeypatch.setattr(vocabulary, "_MANY_TOKENS", 100)
    monkeypatch.setattr(text_store, "_CHUNK", 16)
    return call


def assert_equal_corpora(one, other):
    assert vars(one).keys() == vars(other).keys()
    for name, values in vars(one).items():
        assert values.dtype == vars(other)[name].dtype
        assert np.array_equal(values, vars(other)[name]), name


def test_a_large_table_has_the_same_rows_and_notes(tmp_path, on_disk):
    source = DataSource(
        str(write_table(tmp_path)), id_column="id", weight_column="weight", limit=99
    )
    small, large = on_disk(load, source)
    assert (small.fingerprint, small.labels) == (large.fingerprint, large.labels)
    assert small.notes == large.notes
    assert any("repeat an earlier one" in note for note in small.notes)
    assert any("14 ids of several rows ('T-1', 'T-4', 'T-7' and" in note for note in small.notes)
    for name, split in small.splits.items():
        assert isinstance(large.splits[name].inputs, StoredTexts)
        assert is_stored(large.splits[name].ids)
        assert list(large.splits[name].inputs) == split.inputs
        assert list(large.splits[name].ids) == split.ids
        assert split.labels.tolist() == large.splits[name].labels.tolist()
        assert split.rows.tolist() == large.splits[name].rows.tolist()
        assert split.weights.tolist() == large.splits[name].weights.tolist()
    checks = [quick_check(dataset, source) for dataset in (small, large)]
    assert checks[0].warnings == checks[1].warnings
    assert checks[0].learned.labeled.tolist() == checks[1].learned.labeled.tolist()


def test_label_sets_of_a_large_table_are_the_same(tmp_path, on_disk):
    path = tmp_path / "t.csv"
    labels = ["a|b", "a", "b", "c", "b|c"]
    path.write_text("text,label\n" + "".join(f"text {i},{labels[i % 5]}\n" for i in range(100)))
    small, large = on_disk(load, DataSource(str(path)))
    assert (small.labels, small.multi_label, small.notes) == (
        large.labels,
        large.multi_label,
        large.notes,
    )
    assert np.array_equal(small.splits["train"].labels, large.splits["train"].labels)


@pytest.mark.parametrize("parallel", [False, True])
def test_vocabulary_and_corpus_are_the_same(tmp_path, on_disk, parallel):
    dataset = on_disk(load, DataSource(str(write_table(tmp_path))))
    settings = TextSettings(min_count=2, max_tokens=5, vocab_size=15, min_similarity=0.3)
    with start_worker(parallel) as worker:
        small, large = (
            grow_and_encode(each.splits["train"].inputs, settings, 50, worker) for each in dataset
        )
    assert small.tokenizer.words == large.tokenizer.words
    assert small.num_left_out == large.num_left_out > 0
    assert_equal_corpora(small.corpus, large.corpus)
    tests = [each.splits["test"].inputs for each in dataset]
    assert_equal_corpora(*(encode(texts, small.tokenizer) for texts in tests))
    assert len({corpus_cache._key(texts, small.tokenizer) for texts in tests}) == 1
    assert describe_texts(tests[0], 2) == describe_texts(tests[1], 2)


def test_unlabeled_texts_are_dropped_for_the_same_reasons(tmp_path, on_disk):
    dataset = on_disk(load, DataSource(str(write_table(tmp_path))))[0]
    other = write_table(tmp_path, 400, "other.csv")
    small, large = on_disk(with_unlabeled, dataset, [str(other)])
    assert list(large.unlabeled.texts) == small.unlabeled.texts
    assert large.unlabeled.sha256 == small.unlabeled.sha256
    assert large.notes == small.notes


def test_a_large_table_is_read_once_while_it_stays_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(text_store, "MAX_IN_MEMORY", 100)
    monkeypatch.setattr(reader, "_stored_tables", [])
    path = write_table(tmp_path)
    read = []
    original = reader.read_table
    monkeypatch.setattr(
        reader, "read_table", lambda *arguments: read.append(1) or original(*arguments)
    )
    first = load(DataSource(str(path)))
    named = DataSource(str(path), text_columns=("text",), label_column="label", seed=1)
    load(named)
    assert len(read) == 1
    load(DataSource(str(path), label_column="weight"))
    assert len(read) == 2
    os.utime(path, (1, 1))
    assert load(DataSource(str(path))).fingerprint == first.fingerprint
    assert len(read) == 3


def test_the_rows_of_a_check_are_the_same(tmp_path, on_disk):
    path = write_table(tmp_path)
    (small,), (large,) = on_disk(read_rows, [str(path)], (), None, None)
    assert list(large.texts) == list(small.texts)
    assert list(large.labels) == list(small.labels)
    assert large.place(7) == small.place(7)
