"""Encoded corpora: the same from memory and from disk, whatever has become of the disk."""

from __future__ import annotations

import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import TextSettings
from lstm_cli.text import corpus as encoded
from lstm_cli.text.tokenizer import Tokenizer

TEXTS = ["a fine film", "", "dull dull dull dull dull", "unknownword film", "a"]


@pytest.fixture
def tokenizer():
    return Tokenizer.fit(["a fine film dull"], TextSettings(min_count=1, max_tokens=4))


@pytest.fixture
def stored(tokenizer):
    """The folder of a corpus in the cache."""
    encoded.encode_cached(TEXTS, tokenizer)
    (folder,) = (encoded.cache_dir() / "corpora").iterdir()
    return folder


def assert_equal(one, other):
    for name in ("ids", "starts", "num_tokens", "num_unknown"):
        found, expected = getattr(one, name), getattr(other, name)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected), name


def folders():
    root = encoded.cache_dir() / "corpora"
    return sorted(p.name for p in root.iterdir()) if root.is_dir() else []


def test_a_corpus_holds_what_the_tokenizer_says_of_each_text(tokenizer):
    corpus = encoded.encode(TEXTS, tokenizer)
    assert len(corpus) == len(TEXTS)
    for row, encoding in enumerate(tokenizer.encode(TEXTS)):
        assert np.array_equal(corpus[row], encoding.ids)
        assert corpus.num_tokens[row] == encoding.num_tokens
        assert corpus.num_unknown[row] == encoding.num_unknown
    assert corpus.lengths.tolist() == [3, 1, 4, 2, 1]


def test_coverage_and_truncation_are_shares(tokenizer):
    corpus = encoded.encode(TEXTS, tokenizer)
    assert corpus.coverage == pytest.approx(10 / 11)
    assert corpus.truncated == pytest.approx(1 / 5)


def test_a_corpus_of_nothing_is_empty(tokenizer):
    for corpus in (encoded.encode([], tokenizer), encoded.encode_cached([], tokenizer)):
        assert (len(corpus), corpus.coverage, corpus.truncated) == (0, 1.0, 0.0)
        assert corpus.lengths.tolist() == []


def test_many_texts_are_encoded_in_their_order(tokenizer, monkeypatch):
    monkeypatch.setattr(encoded, "_CHUNK", 2)
    in_parts = encoded.encode(TEXTS, tokenizer)
    monkeypatch.undo()
    assert_equal(in_parts, encoded.encode(TEXTS, tokenizer))


def test_taken_texts_form_a_corpus_of_their_own(tokenizer):
    corpus = encoded.encode(TEXTS, tokenizer)
    some = corpus.take(np.array([3, 0, 3]))
    assert_equal(some, encoded.encode([TEXTS[3], TEXTS[0], TEXTS[3]], tokenizer))


def test_what_is_read_from_the_cache_is_what_was_encoded(tokenizer):
    expected = encoded.encode(TEXTS, tokenizer)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), expected)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), expected)


def test_a_second_call_maps_the_arrays_from_disk_and_encodes_nothing(tokenizer, monkeypatch):
    encoded.encode_cached(TEXTS, tokenizer)
    monkeypatch.setattr(encoded, "number", None)
    corpus = encoded.encode_cached(list(TEXTS), tokenizer)
    assert isinstance(corpus.ids, np.memmap)
    assert corpus.ids.filename.is_relative_to(encoded.cache_dir())


def test_the_cached_arrays_cannot_be_written_to(tokenizer):
    corpus = encoded.encode_cached(TEXTS, tokenizer)
    with pytest.raises(ValueError, match="read-only"):
        corpus.ids[0] = 3


def test_another_tokenizer_or_other_texts_have_a_place_of_their_own(tokenizer):
    def key(texts, **settings):
        fitted = Tokenizer.fit(["a b c"], TextSettings(**{"min_count": 1, **settings}))
        return encoded._key(texts, fitted)

    keys = [
        key(TEXTS),
        key(TEXTS, max_tokens=5),
        key(TEXTS, vocab_size=4),
        key(TEXTS[::-1]),
        key([*TEXTS, ""]),
        key([]),
        key([""]),
        key(["ab", "c"]),
        key(["a", "bc"]),
        key(["\ud800"]),
        key(["?"]),
    ]
    assert len(set(keys)) == len(keys)
    assert key(TEXTS) == keys[0]


def test_the_cache_follows_its_environment_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "given"))
    assert encoded.cache_dir() == tmp_path / "given"
    monkeypatch.delenv("LSTM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert encoded.cache_dir() == tmp_path / "xdg" / "lstm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert encoded.cache_dir() == Path.home() / ".cache" / "lstm"


def _truncate(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-3])


def _empty(folder, name):
    (folder / name).write_bytes(b"")


def _garbage(folder, name):
    (folder / name).write_bytes(b"no array at all" * 20)


def _pickle(folder, name):
    np.save(folder / name, np.array([object()]), allow_pickle=True)


def _remove(folder, name):
    (folder / name).unlink()


def _broken_header(folder, name):
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content.replace(b"(", b"[", 1))


def _archive(folder, name):
    with (folder / name).open("wb") as file:
        np.savez(file, a=np.arange(3))


def _endless(folder, name):
    header = {"descr": "<u2", "fortran_order": False, "shape": (10**30,)}
    with (folder / name).open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)


def _flipped_bit(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-1] ^= 1
    (folder / name).write_bytes(content)


def _other_type(folder, name):
    np.save(folder / name, np.load(folder / name).astype(np.float64))


def accept(folder):
    """Make the sums those of the damaged files: what they hide, the arrays themselves must tell."""
    if all((folder / f"{name}.npy").exists() for name in encoded._ARRAYS):
        (folder / encoded._SUMS).write_text(json.dumps(encoded._sums(folder)))


NAMES = ["ids.npy", "starts.npy", "num_tokens.npy", "num_unknown.npy"]
LENGTHS_OR_FILES = [_truncate, _empty, _garbage, _pickle, _remove, _archive]


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [*LENGTHS_OR_FILES, _broken_header, _other_type, _endless])
def test_a_damaged_cache_is_encoded_anew(damage, name, accepted, tokenizer, stored):
    damage(stored, name)
    if accepted:
        accept(stored)
    expected = encoded.encode(TEXTS, tokenizer)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), expected)
    mapped = encoded.encode_cached(TEXTS, tokenizer)
    assert isinstance(mapped.ids, np.memmap)
    assert_equal(mapped, expected)


@pytest.mark.parametrize("name", NAMES)
def test_one_flipped_bit_in_a_stored_array_is_found_out(name, tokenizer, stored):
    _flipped_bit(stored, name)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), encoded.encode(TEXTS, tokenizer))


@pytest.mark.parametrize("sums", ["", "{}", "[]", "nonsense", "\xff"])
def test_a_cache_without_its_sums_is_encoded_anew(sums, tokenizer, stored):
    (stored / encoded._SUMS).write_text(sums, encoding="latin-1")
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), encoded.encode(TEXTS, tokenizer))
    assert json.loads((stored / encoded._SUMS).read_text()) == encoded._sums(stored)


UNORDERED = [[0, 3, 2, 8, 10, 11], [5, 6, 7, 8, 9, 11], [0, 3, 3, 8, 9, 11]]
ENDING_ELSEWHERE = [[0, 3, 4, 8, 10, 12], [0, 3, 4, 8, 9, 10]]


@pytest.mark.parametrize("starts", UNORDERED + ENDING_ELSEWHERE)
def test_places_that_make_no_sense_are_encoded_anew(starts, tokenizer, stored):
    np.save(stored / "starts.npy", np.array(starts, np.int64))
    accept(stored)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), encoded.encode(TEXTS, tokenizer))


def test_no_flipped_byte_in_a_header_gets_out_of_the_cache(tokenizer, stored):
    dice = random.Random(0)
    whole = {stored / name: (stored / name).read_bytes() for name in NAMES}
    expected = encoded.encode(TEXTS, tokenizer)
    for _ in range(300):
        path = dice.choice(list(whole))
        content = bytearray(whole[path])
        content[dice.randrange(128)] = dice.randrange(256)
        path.write_bytes(content)
        accept(stored)
        corpus = encoded._open(stored)
        if corpus is not None:
            assert len(corpus) == len(expected)
            assert int(corpus.lengths.min()) >= 1
        path.write_bytes(whole[path])


def test_a_cache_that_cannot_be_written_costs_the_cache_alone(tokenizer, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), encoded.encode(TEXTS, tokenizer))


def test_a_full_disk_costs_the_cache_alone_and_leaves_no_litter(tokenizer, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), encoded.encode(TEXTS, tokenizer))
    assert folders() == []


def test_a_user_without_a_home_has_no_cache_but_a_result(tokenizer, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LSTM_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert_equal(encoded.encode_cached(TEXTS, tokenizer), encoded.encode(TEXTS, tokenizer))


def test_the_corpora_used_longest_ago_make_room(tokenizer, monkeypatch):
    texts = [[f"film {number}"] for number in range(4)]
    for number, corpus in enumerate(texts[:3]):
        encoded.encode_cached(corpus, tokenizer)
        folder = encoded.cache_dir() / "corpora" / encoded._key(corpus, tokenizer)
        os.utime(folder, (1000 + number, 1000 + number))
    encoded.encode_cached(texts[0], tokenizer)  # used again: now the newest
    size = sum(f.stat().st_size for f in folder.iterdir())
    monkeypatch.setattr(encoded, "_KEEP_BYTES", 2 * size)
    encoded.encode_cached(texts[3], tokenizer)
    assert folders() == sorted(encoded._key(texts[i], tokenizer) for i in (0, 2, 3))


def test_what_a_killed_process_left_is_removed_after_a_day(tokenizer):
    root = encoded.cache_dir() / "corpora"
    for name, age in ((".writing-old", 90_000), (".writing-now", 60)):
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - age, time.time() - age))
    encoded.encode_cached(TEXTS, tokenizer)
    assert folders() == [".writing-now", encoded._key(TEXTS, tokenizer)]


def test_who_comes_second_waits_and_maps_what_the_first_stored(tokenizer, monkeypatch):
    encoding, calls = encoded.encode, []

    def slowly(*args):
        calls.append(1)
        time.sleep(0.2)
        return encoding(*args)

    monkeypatch.setattr(encoded, "encode", slowly)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: encoded.encode_cached(TEXTS, tokenizer), range(2)))
    assert len(calls) == 1
    assert_equal(*found)


def test_a_lock_that_is_never_given_costs_the_wait_alone(tokenizer, monkeypatch):
    monkeypatch.setattr(encoded, "_LOCK_SECONDS", 0.05)
    folder = encoded.cache_dir() / "corpora" / encoded._key(TEXTS, tokenizer)
    with encoded._corpus_lock(folder):
        found = encoded.encode_cached(TEXTS, tokenizer)
    assert_equal(found, encoded.encode(TEXTS, tokenizer))


def test_a_vocabulary_too_large_for_the_store_is_refused(tokenizer, monkeypatch):
    monkeypatch.setattr(Tokenizer, "vocab_size", 65_537)
    with pytest.raises(encoded.LstmError, match="65537 tokens"):
        encoded.encode(TEXTS, tokenizer)


@relaxed
@given(st.lists(st.text(st.characters(exclude_categories=()), max_size=20), max_size=6))
def test_any_texts_come_back_from_disk_as_they_were_encoded(texts):
    fitted = Tokenizer.fit(["a b c"], TextSettings(min_count=1, max_tokens=3))
    expected = encoded.encode(texts, fitted)
    assert_equal(encoded.encode_cached(texts, fitted), expected)
    assert_equal(encoded.encode_cached(texts, fitted), expected)


@relaxed
@given(st.lists(st.text("ab .", max_size=12), max_size=6), st.integers(1, 4))
def test_fitting_and_encoding_at_once_is_both_one_after_the_other(texts, max_tokens):
    settings = TextSettings(min_count=2, max_tokens=max_tokens)
    texts = ["a a", *texts]
    tokenizer, corpus = encoded.fit_and_encode(texts, settings)
    assert tokenizer.words == Tokenizer.fit(texts, settings).words
    assert_equal(corpus, encoded.encode(texts, tokenizer))
