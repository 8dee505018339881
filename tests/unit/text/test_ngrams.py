"""Hashed n-grams: fixed values, a slow reference in plain Python, ends of texts and words."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.text.ngrams import MAX_WORD_CHARS, char_ngram_ids, word_ngram_ids
from lstm_cli.text.tokenizer import tokenize

WORD = st.text(st.characters(exclude_categories=()), min_size=1, max_size=9)


def reference_bucket(ngram, buckets):
    """FNV-1a over code points with the finalizer of MurmurHash3, one number at a time."""
    value = 2_166_136_261
    for letter in ngram:
        value = (value ^ ord(letter)) * 16_777_619 % 2**32
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        value = (value ^ value >> shift) * factor % 2**32
    return (value ^ value >> 16) % (buckets - 1) + 1


def reference_ngrams(word, buckets):
    """The buckets of one word, by first character, the shortest first."""
    marked = f"\x02{word}\x03"
    return [
        reference_bucket(marked[start : start + size], buckets)
        for start in range(len(marked))
        for size in range(2, 6)
        if start + size <= len(marked)
    ]


def test_the_hash_of_a_word_does_not_change():
    """Trained tables are read with this hash: another one would make them useless."""
    found = {word: char_ngram_ids([word], 65_536)[0].tolist() for word in FIXED}
    assert found == FIXED


# fmt: off
FIXED = {
    "a": [
        46896, 53985, 31368,
    ],
    "film": [
        41864, 19284, 51566, 40387, 20601, 45058, 5745, 61252, 17874, 34750,
        8945, 6392, 8992, 63111,
    ],
    "é😀": [
        33758, 45097, 14188, 19678, 56953, 30866,
    ],
}
# fmt: on


@pytest.mark.parametrize("word", ["a", "ab", "abc", "film", "a" * 30, "😀", "né", "电", "?"])
@pytest.mark.parametrize("buckets", [2, 3, 1009, 65_536, 4_000_000])
def test_each_character_ngram_is_hashed(word, buckets):
    ngrams, counts = char_ngram_ids([word], buckets)
    assert ngrams.tolist() == reference_ngrams(word, buckets)
    assert counts.tolist() == [len(ngrams)]
    assert ngrams.dtype == np.int32


@relaxed
@given(st.lists(WORD, max_size=8), st.integers(2, 5000))
def test_a_word_has_the_same_ngrams_alone_and_among_others(words, buckets):
    together, counts = char_ngram_ids(words, buckets)
    parts = np.split(together, np.cumsum(counts)[:-1]) if words else []
    assert len(together) == counts.sum()
    for word, part in zip(words, parts, strict=True):
        assert part.tolist() == char_ngram_ids([word], buckets)[0].tolist()


@relaxed
@given(st.lists(WORD, max_size=8), st.integers(2, 40))
def test_buckets_are_positive_because_0_is_padding(words, buckets):
    ngrams, _ = char_ngram_ids(words, buckets)
    assert all(0 < ngram < buckets for ngram in ngrams.tolist())


def test_all_buckets_are_used_evenly():
    words = [f"{number}" for number in range(20_000)]
    used = np.bincount(np.unique(char_ngram_ids(words, 2**20)[0]) % 64, minlength=64)
    assert used.min() > 0.8 * used.mean()


def test_the_number_of_ngrams_follows_from_the_length():
    # With its marks, a word of n characters has n + 2 characters.
    words = ["a", "ab", "abc", "abcd", "😀"]
    assert char_ngram_ids(words, 100)[1].tolist() == [3, 6, 10, 14, 3]


def test_no_words_have_no_ngrams():
    ngrams, counts = char_ngram_ids([], 100)
    assert (ngrams.tolist(), counts.tolist()) == ([], [])


def test_marks_tell_the_ends_of_a_word_from_its_middle():
    end, middle = (set(char_ngram_ids([word], 10**6)[0].tolist()) for word in ("xxly", "lyxx"))
    # Both have "ly", "xx"; only one has "ly" with the mark of the end.
    assert reference_bucket("ly\x03", 10**6) in end - middle
    assert reference_bucket("\x02ly", 10**6) in middle - end
    assert reference_bucket("ly", 10**6) in end & middle


def test_a_lone_surrogate_is_a_question_mark_as_in_the_tokenizer():
    assert tokenize("\ud800") == ["?"]
    surrogate, mark = (char_ngram_ids([w], 1000)[0].tolist() for w in ("a\ud800b", "a?b"))
    assert surrogate == mark


def test_only_the_beginning_of_a_very_long_word_is_hashed():
    longest = "ab" * (MAX_WORD_CHARS // 2)
    words = [longest, longest + "c" * 10**6, "d"]
    ngrams, counts = char_ngram_ids(words, 1000)
    assert counts.tolist() == [4 * MAX_WORD_CHARS - 2, 4 * MAX_WORD_CHARS - 2, 3]
    assert np.array_equal(*np.split(ngrams[:-3], 2))


def reference_word_ngrams(ids, order, buckets):
    padded = [0, 0, *ids]
    bigrams, trigrams = [], []
    for first, second, word in zip(padded, padded[1:], padded[2:], strict=False):
        bigrams.append((second * 32_749 + word) % buckets)
        trigrams.append(((first * 32_749 + second) % 65_521 * 32_749 + word) % buckets)
    return [bigrams, trigrams][: order - 1]


def test_word_ngrams_have_fixed_values():
    ids, is_first = np.array([5, 6, 7, 6], np.int32), np.array([True, False, False, True])
    bigrams, trigrams = word_ngram_ids(ids, is_first, 3, 1000)
    assert bigrams.tolist() == [5, 751, 501, 6]
    # (5 * 32749 + 6) mod 65521 = 32709, and (32709 * 32749 + 7) mod 1000 = 48.
    assert trigrams.tolist()[2] == 48
    assert [trigrams[0], trigrams[3]] == [5, 6]
    assert bigrams.dtype == trigrams.dtype == np.int32


@relaxed
@given(
    st.lists(st.lists(st.integers(1, 65_535), min_size=1, max_size=6), min_size=1, max_size=5),
    st.sampled_from([2, 3]),
    st.integers(1, 4_000_000),
)
def test_word_ngrams_do_not_cross_the_boundaries_of_texts(texts, order, buckets):
    ids = np.concatenate(texts).astype(np.int32)
    is_first = np.concatenate([[True] + [False] * (len(text) - 1) for text in texts])
    found = word_ngram_ids(ids, is_first, order, buckets)
    assert len(found) == order - 1
    expected = [reference_word_ngrams(text, order, buckets) for text in texts]
    for index, ngrams in enumerate(found):
        assert ngrams.tolist() == [n for text in expected for n in text[index]]
