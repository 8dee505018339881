"""Encoded corpora: the same in memory and from the cache, even if the cache is damaged."""

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
from lstm_cli.errors import LstmError
from lstm_cli.text import corpus_cache, normalization, tokenizer_json
from lstm_cli.text.corpus import encode, fit_and_encode
from lstm_cli.text.ngrams import char_ngram_ids
from lstm_cli.text.token_ids import UNKNOWN_ID
from lstm_cli.text.tokenizer import Tokenizer

TEXTS = ["a fine film", "", "dull dull dull dull dull", "unknownword film", "a"]


@pytest.fixture(params=[0, 30])
def tokenizer(request):
    settings = TextSettings(min_count=1, max_tokens=4)
    return Tokenizer.fit(["a fine film dull"], settings, char_buckets=request.param)


@pytest.fixture
def stored(tokenizer):
    """The folder of a corpus in the cache."""
    corpus_cache.encode_cached(TEXTS, tokenizer)
    (folder,) = (corpus_cache.cache_dir() / "corpora").iterdir()
    return folder


def assert_equal(one, other):
    for name in corpus_cache._ARRAYS:
        found, expected = getattr(one, name), getattr(other, name)
        assert found.dtype == expected.dtype
        assert np.array_equal(found, expected), name


def ngrams_of(corpus, row):
    return corpus.ngrams[corpus.ngram_starts[row] : corpus.ngram_starts[row + 1]]


def folders():
    root = corpus_cache.cache_dir() / "corpora"
    return sorted(p.name for p in root.iterdir()) if root.is_dir() else []


def test_a_corpus_contains_the_encoding_of_each_text(tokenizer):
    corpus = encode(TEXTS, tokenizer)
    assert len(corpus) == len(TEXTS)
    for row, encoding in enumerate(tokenizer.encode(TEXTS)):
        assert np.array_equal(corpus[row], encoding.ids)
        assert corpus.num_tokens[row] == encoding.num_tokens
        assert corpus.num_unknown[row] == encoding.num_unknown
        assert np.array_equal(ngrams_of(corpus, row), encoding.ngrams)
    assert corpus.lengths.tolist() == [3, 1, 4, 2, 1]


def test_only_unknown_words_have_ngrams():
    settings = TextSettings(min_count=1, max_tokens=4)
    fitted = Tokenizer.fit(["a fine film dull"], settings, char_buckets=30)
    corpus = encode([*TEXTS, "x film yy"], fitted)
    assert np.diff(corpus.ngram_starts).tolist() == [0, 0, 0, 4 * 11 - 2, 0, 3 + 6]
    expected = np.concatenate([char_ngram_ids([word], 30)[0] for word in ("x", "yy")])
    assert np.array_equal(ngrams_of(corpus, 5), expected)


def test_removed_tokens_have_no_ngrams():
    fitted = Tokenizer.fit(["a a"], TextSettings(min_count=1, max_tokens=3), char_buckets=1000)
    corpus = encode(["x y removed a z"], fitted)
    assert (corpus.num_tokens.tolist(), corpus.num_unknown.tolist()) == ([5], [4])
    assert np.array_equal(corpus.ngrams, char_ngram_ids(["x", "y", "z"], 1000)[0])


def test_coverage_and_truncation_are_fractions(tokenizer):
    corpus = encode(TEXTS, tokenizer)
    assert corpus.coverage == pytest.approx(10 / 11)
    assert corpus.truncated_fraction == pytest.approx(1 / 5)


def test_a_corpus_without_texts_is_empty(tokenizer):
    for corpus in (encode([], tokenizer), corpus_cache.encode_cached([], tokenizer)):
        assert (len(corpus), corpus.coverage, corpus.truncated_fraction) == (0, 1.0, 0.0)
        assert corpus.lengths.tolist() == []


def test_chunks_are_encoded_in_order(tokenizer, monkeypatch):
    monkeypatch.setattr("lstm_cli.text.corpus._CHUNK", 2)
    in_chunks = encode(TEXTS, tokenizer)
    monkeypatch.undo()
    assert_equal(in_chunks, encode(TEXTS, tokenizer))


def test_take_returns_a_corpus_of_the_selected_texts(tokenizer):
    corpus = encode(TEXTS, tokenizer)
    subset = corpus.take(np.array([3, 0, 3]))
    assert_equal(subset, encode([TEXTS[3], TEXTS[0], TEXTS[3]], tokenizer))


def test_the_cache_returns_the_encoded_corpus(tokenizer):
    expected = encode(TEXTS, tokenizer)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), expected)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), expected)


def test_a_second_call_maps_the_arrays_without_encoding(tokenizer, monkeypatch):
    corpus_cache.encode_cached(TEXTS, tokenizer)
    monkeypatch.setattr("lstm_cli.text.corpus.encode_tokens", None)
    corpus = corpus_cache.encode_cached(list(TEXTS), tokenizer)
    assert isinstance(corpus.ids, np.memmap)
    assert corpus.ids.filename.is_relative_to(corpus_cache.cache_dir())


def test_cached_arrays_are_read_only(tokenizer):
    corpus = corpus_cache.encode_cached(TEXTS, tokenizer)
    with pytest.raises(ValueError, match="read-only"):
        corpus.ids[0] = 3


def test_the_key_depends_on_texts_and_tokenizer(tokenizer):
    def key(texts, char_buckets=0, **settings):
        settings = TextSettings(**{"min_count": 1, **settings})
        fitted = Tokenizer.fit(["a b c"], settings, char_buckets)
        return corpus_cache._key(texts, fitted)

    keys = [
        key(TEXTS),
        key(TEXTS, max_tokens=5),
        key(TEXTS, char_buckets=5),
        key(TEXTS, char_buckets=6),
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


def test_the_key_depends_on_the_rules_of_the_tokenization(tokenizer, monkeypatch):
    before = corpus_cache._key(TEXTS, tokenizer)
    for module, name in ((tokenizer_json, "TOKEN"), (normalization, "OPTIONAL_SIGNS")):
        monkeypatch.setattr(module, name, "x")
        assert corpus_cache._key(TEXTS, tokenizer) != before
        monkeypatch.undo()


def test_the_cache_follows_its_environment_variables(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "explicit"))
    assert corpus_cache.cache_dir() == tmp_path / "explicit"
    monkeypatch.delenv("LSTM_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert corpus_cache.cache_dir() == tmp_path / "xdg" / "lstm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert corpus_cache.cache_dir() == Path.home() / ".cache" / "lstm"


def _truncate(folder, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-3])


def _empty(folder, name):
    (folder / name).write_bytes(b"")


def _garbage(folder, name):
    (folder / name).write_bytes(b"not an array" * 20)


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


def update_checksums(folder):
    """Update the checksums of damaged files, so that only the arrays can reveal the damage."""
    if all((folder / f"{name}.npy").exists() for name in corpus_cache._ARRAYS):
        (folder / corpus_cache._CHECKSUMS).write_text(json.dumps(corpus_cache._checksums(folder)))


NAMES = [f"{name}.npy" for name in corpus_cache._ARRAYS]
FILE_DAMAGES = [_truncate, _empty, _garbage, _pickle, _remove, _archive]


@pytest.mark.parametrize("checksums_match", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", [*FILE_DAMAGES, _broken_header, _other_type, _endless])
def test_a_damaged_corpus_is_encoded_again(damage, name, checksums_match, tokenizer, stored):
    damage(stored, name)
    if checksums_match:
        update_checksums(stored)
    expected = encode(TEXTS, tokenizer)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), expected)
    mapped = corpus_cache.encode_cached(TEXTS, tokenizer)
    assert isinstance(mapped.ids, np.memmap)
    assert_equal(mapped, expected)


@pytest.mark.parametrize("name", NAMES)
def test_a_flipped_bit_in_an_array_is_detected(name, tokenizer, stored):
    _flipped_bit(stored, name)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))


@pytest.mark.parametrize("sums", ["", "{}", "[]", "nonsense", "\xff"])
def test_invalid_checksums_are_replaced(sums, tokenizer, stored):
    (stored / corpus_cache._CHECKSUMS).write_text(sums, encoding="latin-1")
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))
    assert json.loads((stored / corpus_cache._CHECKSUMS).read_text()) == corpus_cache._checksums(
        stored
    )


UNORDERED = [[0, 3, 2, 8, 10, 11], [5, 6, 7, 8, 9, 11], [0, 3, 3, 8, 9, 11]]
WRONG_END = [[0, 3, 4, 8, 10, 12], [0, 3, 4, 8, 9, 10]]


@pytest.mark.parametrize("starts", UNORDERED + WRONG_END)
def test_invalid_starts_are_encoded_again(starts, tokenizer, stored):
    np.save(stored / "starts.npy", np.array(starts, np.int64))
    update_checksums(stored)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))


@pytest.mark.parametrize("starts", [[0] * 5, [1] * 6, [0, 0, 5, 0, 0, 0], [0, 0, 0, 0, 0, 3]])
def test_invalid_starts_of_ngrams_are_encoded_again(starts, tokenizer, stored):
    np.save(stored / "ngram_starts.npy", np.array(starts, np.int64))
    update_checksums(stored)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))


def test_a_changed_header_never_gives_an_invalid_corpus(tokenizer, stored):
    rng = random.Random(0)
    originals = {stored / name: (stored / name).read_bytes() for name in NAMES}
    expected = encode(TEXTS, tokenizer)
    for _ in range(300):
        path = rng.choice(list(originals))
        content = bytearray(originals[path])
        content[rng.randrange(128)] = rng.randrange(256)
        path.write_bytes(content)
        update_checksums(stored)
        corpus = corpus_cache._open(stored)
        if corpus is not None:
            assert len(corpus) == len(expected)
            assert int(corpus.lengths.min()) >= 1
        path.write_bytes(originals[path])


def test_without_a_writable_cache_texts_are_encoded_in_memory(tokenizer, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))


def test_a_full_disk_leaves_no_files_and_still_gives_a_result(tokenizer, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))
    assert folders() == []


def test_without_a_home_folder_texts_are_encoded_in_memory(tokenizer, monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LSTM_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    assert_equal(corpus_cache.encode_cached(TEXTS, tokenizer), encode(TEXTS, tokenizer))


def test_the_least_recently_used_corpora_are_removed(tokenizer, monkeypatch):
    texts = [[f"film {number}"] for number in range(4)]
    for number, corpus in enumerate(texts[:3]):
        corpus_cache.encode_cached(corpus, tokenizer)
        folder = corpus_cache.cache_dir() / "corpora" / corpus_cache._key(corpus, tokenizer)
        os.utime(folder, (1000 + number, 1000 + number))
    corpus_cache.encode_cached(texts[0], tokenizer)  # used again: now the newest
    size = sum(f.stat().st_size for f in folder.iterdir())
    monkeypatch.setattr(corpus_cache, "_MAX_BYTES", 2 * size)
    corpus_cache.encode_cached(texts[3], tokenizer)
    assert folders() == sorted(corpus_cache._key(texts[i], tokenizer) for i in (0, 2, 3))


def test_old_temporary_folders_are_removed(tokenizer):
    root = corpus_cache.cache_dir() / "corpora"
    for name, age in ((".writing-old", 90_000), (".writing-now", 60)):
        (root / name).mkdir(parents=True)
        os.utime(root / name, (time.time() - age, time.time() - age))
    corpus_cache.encode_cached(TEXTS, tokenizer)
    assert folders() == [".writing-now", corpus_cache._key(TEXTS, tokenizer)]


def test_a_second_caller_waits_and_maps_the_stored_corpus(tokenizer, monkeypatch):
    calls = []

    def slowly(*args):
        calls.append(1)
        time.sleep(0.2)
        return encode(*args)

    monkeypatch.setattr(corpus_cache, "encode", slowly)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: corpus_cache.encode_cached(TEXTS, tokenizer), range(2)))
    assert len(calls) == 1
    assert_equal(*found)


def test_a_lock_timeout_still_gives_a_result(tokenizer, monkeypatch):
    monkeypatch.setattr(corpus_cache, "_LOCK_SECONDS", 0.05)
    folder = corpus_cache.cache_dir() / "corpora" / corpus_cache._key(TEXTS, tokenizer)
    with corpus_cache._corpus_lock(folder):
        found = corpus_cache.encode_cached(TEXTS, tokenizer)
    assert_equal(found, encode(TEXTS, tokenizer))


def test_a_vocabulary_beyond_uint16_is_refused(tokenizer, monkeypatch):
    monkeypatch.setattr(Tokenizer, "vocab_size", 65_537)
    with pytest.raises(LstmError, match="65537 tokens"):
        encode(TEXTS, tokenizer)


@relaxed
@given(
    st.lists(st.text(st.characters(exclude_categories=()), max_size=20), max_size=6),
    st.sampled_from([0, 20]),
)
def test_any_texts_survive_the_cache(texts, char_buckets):
    fitted = Tokenizer.fit(["a b c"], TextSettings(min_count=1, max_tokens=3), char_buckets)
    expected = encode(texts, fitted)
    assert_equal(corpus_cache.encode_cached(texts, fitted), expected)
    assert_equal(corpus_cache.encode_cached(texts, fitted), expected)


@relaxed
@given(
    st.lists(st.text("abc .\U0001f600", max_size=12), max_size=6),
    st.integers(1, 4),
    st.sampled_from([0, 2, 50]),
)
def test_three_ways_to_encode_agree(texts, max_tokens, char_buckets):
    settings = TextSettings(min_count=2, max_tokens=max_tokens)
    texts = ["a a", *texts]
    tokenizer, corpus = fit_and_encode(texts, settings, char_buckets)
    assert tokenizer.words == Tokenizer.fit(texts, settings).words
    assert tokenizer.char_buckets == char_buckets
    assert_equal(corpus, encode(texts, tokenizer))
    for row, encoding in enumerate(tokenizer.encode(texts)):
        assert np.array_equal(corpus[row], encoding.ids)
        assert np.array_equal(ngrams_of(corpus, row), encoding.ngrams)
        assert len(encoding.ngrams) == len(encoding.ngram_positions)
        # Exactly the unknown tokens that are left have n-grams.
        unknown = np.flatnonzero(encoding.ids == UNKNOWN_ID) if encoding.num_tokens else []
        expected = unknown if char_buckets else []
        assert np.unique(encoding.ngram_positions).tolist() == list(expected)
