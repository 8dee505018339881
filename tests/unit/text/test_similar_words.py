"""Unknown words that the LSTM reads as similar known ones."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from lstm_cli.config.schema import TextSettings
from lstm_cli.text.corpus import encode, fit_and_encode
from lstm_cli.text.similar_words import SimilarWords
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID, is_unknown, lstm_ids, own_ids
from lstm_cli.text.tokenizer import Tokenizer

WORDS = ("delivery", "film", "terrible", "paying", "wunderbar")


def similar(min_similarity=0.3, words=WORDS):
    return SimilarWords(words, np.arange(10, 10 + len(words)), min_similarity)


def tokenizer(min_similarity=0.3, char_buckets=50):
    return Tokenizer(("[PAD]", "[UNK]", *WORDS), 20, char_buckets, min_similarity)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("deliveries", "delivery"),
        ("delivry", "delivery"),
        ("films", "film"),
        ("terribly", "terrible"),
        ("wunderbare", "wunderbar"),
    ],
)
def test_inflected_and_misspelt_words_are_found(word, expected):
    assert similar().find(word) == READ_AS + 10 + WORDS.index(expected)


@pytest.mark.parametrize("word", ["xyz", "q", "", "国", "\N{PILE OF POO}"])
def test_other_words_stay_unknown(word):
    assert similar(0.1).find(word) == UNKNOWN_ID


def test_the_similarity_of_equal_words_is_one():
    assert similar(1.0).find("film") == READ_AS + 11
    assert similar(1.0).find("films") == UNKNOWN_ID


def test_of_equally_similar_words_the_more_frequent_is_taken():
    assert similar(0.1, ("abcx", "abcy")).find("abcz") == READ_AS + 10
    assert similar(0.1, ("abcy", "abcx")).find("abcz") == READ_AS + 10


def test_a_long_word_costs_little():
    assert similar().find("a" * 100_000) == UNKNOWN_ID


def test_the_lstm_and_the_linear_model_read_different_ids():
    (encoding,) = tokenizer().encode(["terribly slow film"])
    assert is_unknown(encoding.ids).tolist() == [True, True, False]
    assert lstm_ids(encoding.ids).tolist() == [4, UNKNOWN_ID, 3]
    assert own_ids(encoding.ids).tolist() == [UNKNOWN_ID, UNKNOWN_ID, 3]
    assert encoding.num_unknown == 2
    # Both unknown words have their own character n-grams.
    assert set(encoding.ngram_positions.tolist()) == {0, 1}


def test_without_it_unknown_words_are_unknown():
    (encoding,) = tokenizer(min_similarity=0).encode(["terribly slow film"])
    assert encoding.ids.tolist() == [UNKNOWN_ID, UNKNOWN_ID, 3]


def test_a_corpus_has_the_ids_of_the_encodings():
    texts = ["terribly slow film", "", "film deliveries"]
    corpus = encode(texts, tokenizer())
    for index, encoding in enumerate(tokenizer().encode(texts)):
        assert np.array_equal(corpus[index], encoding.ids)
        assert corpus.num_unknown[index] == encoding.num_unknown
        ngrams = corpus.ngrams[corpus.ngram_starts[index] : corpus.ngram_starts[index + 1]]
        assert np.array_equal(ngrams, encoding.ngrams)
    assert corpus.ids.dtype == np.int32
    assert encode(texts, tokenizer(min_similarity=0)).ids.dtype == np.uint16


def test_rare_words_of_the_training_texts_are_read_as_frequent_ones():
    settings = TextSettings(min_count=2, min_similarity=0.3)
    fitted, corpus = fit_and_encode(["film film", "films"], settings, char_buckets=50)
    assert fitted.words[2:] == ("film",)
    assert corpus.ids.tolist() == [2, 2, READ_AS + 2]


def test_copies_find_the_same_words():
    original = tokenizer()
    original.encode(["films"])
    for other in (
        original.with_max_tokens(5),
        copy.copy(original),
        pickle.loads(pickle.dumps(original)),
    ):
        assert other.token_to_id("films") == original.token_to_id("films") == READ_AS + 3
