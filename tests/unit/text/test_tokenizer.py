"""The tokenizer: tokens, spans, truncation, vocabulary, and unusual texts."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import TextSettings
from lstm_cli.errors import LstmError
from lstm_cli.io.fields import SEPARATOR, join_fields
from lstm_cli.text.ngrams import char_ngram_ids
from lstm_cli.text.token_ids import PAD_ID, UNKNOWN_ID
from lstm_cli.text.tokenizer import (
    Tokenizer,
    count_words,
    token_spans,
    tokenize,
)
from lstm_cli.text.vocabulary import fit_vocabulary

# Lone surrogates, NUL, control characters and everything else a shell or a JSON file lets through.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
TRICKY = st.text(st.sampled_from("␟aÉ'’<br />\n\0[]U\ud800映😀\u200d\u202eא\u0301İ."), max_size=40)


def fit(*texts, **settings):
    return Tokenizer.fit(texts, TextSettings(**{"min_count": 1, **settings}))


def tokens(text):
    """Tokenize a text with a vocabulary of its own tokens."""
    tokenizer = fit(text)
    return [tokenizer.id_to_token(int(i)) for i in tokenizer.encode([text])[0].ids]


def test_case_does_not_matter():
    assert tokens("GOOD Good gOOd") == ["good", "good", "good"]


def test_each_punctuation_mark_is_a_token():
    assert tokens('"Good," (he) said... 3.5!') == [
        '"', "good", ",", '"', "(", "he", ")", "said", ".", ".", ".", "3", ".", "5", "!",
    ]  # fmt: skip


@pytest.mark.parametrize("mark", ["<br />", "<BR>", "<Br/>", "<br   />", "<br\n/>"])
def test_html_line_breaks_separate_tokens_and_are_dropped(mark):
    assert tokens(f"good{mark}bad") == ["good", "bad"]


def test_other_html_tags_are_text():
    assert tokens("<i>a <bread>") == ["<", "i", ">", "a", "<", "bread", ">"]


def test_an_apostrophe_inside_a_word_is_part_of_it():
    assert tokens("wasn't 'twas rock'n'roll dogs'") == [
        "wasn't", "'", "twas", "rock'n'roll", "dogs", "'",
    ]  # fmt: skip


def test_a_curly_apostrophe_becomes_a_straight_one():
    assert tokens("don\u2019t don't") == ["don't", "don't"]


def test_a_cjk_character_is_a_token_and_a_korean_word_is_one():
    assert tokens("好电影good ひカ 영화는") == ["好", "电", "影", "good", "ひ", "カ", "영화는"]


def test_emoji_and_right_to_left_words_are_tokens():
    assert tokens("😀😀 \u05e9\u05dc\u05d5\u05dd \u0641\u064a\u0644\u0645") == [
        "😀", "😀", "\u05e9\u05dc\u05d5\u05dd", "\u0641\u064a\u0644\u0645",
    ]  # fmt: skip


def test_a_combining_accent_is_part_of_its_word():
    assert tokens("cafe\u0301 x\u0301y bar") == ["café", "x\u0301y", "bar"]


def test_words_are_counted_by_spaces_or_by_letters_where_there_are_none():
    assert tokenize("\u0e1a\u0e23\u0e34\u0e01\u0e32\u0e23\u0e41\u0e22\u0e48") == [
        "\u0e1a", "\u0e23\u0e34", "\u0e01", "\u0e32", "\u0e23", "\u0e41", "\u0e22\u0e48",
    ]  # fmt: skip
    assert count_words("\u0e1a\u0e23\u0e34\u0e01\u0e32\u0e23\u0e41\u0e22\u0e48") == 7
    assert count_words("caf\u00e9, don't  go!") == 3
    assert count_words(" \u00a0") == 0


@pytest.mark.parametrize("text", ["a\u200db", "a\u202eb", "a\ufeffb", "a\u00adb", "a\ufe0fb"])
def test_invisible_characters_are_removed(text):
    assert tokens(text) == ["ab"]


@pytest.mark.parametrize("text", ["a\0b", "a\x07b", "a\x1bb", "a\u200bb", "a\u2028b"])
def test_control_characters_separate_tokens_and_are_dropped(text):
    assert tokens(text) == ["a", "b"]


@pytest.mark.parametrize("text", ["", "   \n\t", "\0\0", "\u200b", "<br />"])
def test_a_text_without_tokens_is_one_unknown_token(text):
    encoding = fit("a").encode([text])[0]
    assert encoding.ids.tolist() == [UNKNOWN_ID]
    assert (encoding.num_tokens, encoding.num_unknown, encoding.truncated) == (0, 0, False)
    assert encoding.unknown_fraction == 0.0


def test_special_tokens_in_a_text_are_plain_words():
    tokenizer = fit("[PAD] [UNK] pad unk")
    ids = tokenizer.encode(["[PAD] [UNK] [pad]"])[0].ids
    assert not np.isin(ids, [PAD_ID, UNKNOWN_ID]).any()
    words = [tokenizer.id_to_token(int(i)) for i in ids]
    assert words == ["[", "pad", "]", "[", "unk", "]", "[", "pad", "]"]


def test_a_lone_surrogate_is_one_unknown_token():
    encoding = fit("good film").encode(["good \udc80 film"])[0]
    assert encoding.num_tokens == 3
    assert encoding.ids[1] == UNKNOWN_ID


def test_unknown_words_are_counted():
    encoding = fit("good film").encode(["good bad ugly film"])[0]
    assert (encoding.num_tokens, encoding.num_unknown, encoding.unknown_fraction) == (4, 2, 0.5)


def test_unknown_words_are_counted_before_truncation():
    encoding = fit("a b", max_tokens=2).encode(["a x y z b"])[0]
    assert encoding.ids.tolist() == fit("a b").encode(["a b"])[0].ids.tolist()
    assert (encoding.num_tokens, encoding.num_unknown, encoding.unknown_fraction) == (5, 3, 0.6)


@pytest.mark.parametrize(
    ("max_tokens", "expected"),
    [(1, "a"), (2, "ag"), (3, "abg"), (4, "abfg"), (6, "abcefg"), (7, "abcdefg"), (8, "abcdefg")],
)
def test_truncation_keeps_head_and_tail(max_tokens, expected):
    tokenizer = fit("a b c d e f g", max_tokens=max_tokens)
    encoding = tokenizer.encode(["a b c d e f g"])[0]
    assert "".join(tokenizer.id_to_token(int(i)) for i in encoding.ids) == expected
    assert encoding.num_tokens == 7
    assert encoding.truncated == (max_tokens < 7)


@relaxed
@given(st.integers(1, 30), st.integers(1, 30))
def test_kept_positions_match_the_ids(num_tokens, max_tokens):
    words = [f"w{i}" for i in range(num_tokens)]
    tokenizer = fit(" ".join(words), max_tokens=max_tokens)
    ids = tokenizer.encode([" ".join(words)])[0].ids
    kept = tokenizer.kept_positions(num_tokens)
    assert [tokenizer.id_to_token(int(i)) for i in ids] == [words[int(i)] for i in kept]
    assert len(kept) == min(num_tokens, max_tokens)


@relaxed
@given(ANY_TEXT | TRICKY)
def test_spans_are_ordered_and_inside_the_text(text):
    spans = token_spans(text)
    assert len(spans) == len(tokenize(text))
    previous = (0, 0)
    for start, end in spans:
        assert previous[0] <= start < end <= len(text)
        assert previous[1] <= end
        previous = (start, end)


@relaxed
@given(ANY_TEXT | TRICKY)
def test_any_text_becomes_at_least_one_valid_id(text):
    encoding = fit("a b c", max_tokens=5).encode([text])[0]
    assert 1 <= len(encoding.ids) <= 5
    assert encoding.ids.dtype == np.int32
    assert encoding.ids.min() >= UNKNOWN_ID
    assert encoding.num_unknown <= encoding.num_tokens


def test_spans_give_the_original_words():
    text = "Don’t<br/>MISS İt, 映画!"
    words = [text[start:end] for start, end in token_spans(text)]
    assert words == ["Don’t", "MISS", "İt", ",", "映", "画", "!"]


@relaxed
@given(st.lists(TRICKY, max_size=5))
def test_texts_are_encoded_independently(texts):
    tokenizer = fit("a b r")
    together = tokenizer.encode(texts)
    assert len(together) == len(texts)
    for text, encoding in zip(texts, together, strict=True):
        assert np.array_equal(encoding.ids, tokenizer.encode([text])[0].ids)


def test_special_tokens_have_the_first_ids():
    tokenizer = fit("a")
    assert (PAD_ID, UNKNOWN_ID) == (0, 1)
    assert [tokenizer.id_to_token(i) for i in range(tokenizer.vocab_size)] == [
        "[PAD]",
        "[UNK]",
        "a",
    ]


def test_words_are_sorted_by_frequency_then_alphabetically():
    tokenizer = fit("d c b a", "d c", "z z z")
    assert [tokenizer.id_to_token(i) for i in range(2, 7)] == ["z", "c", "d", "a", "b"]


def test_the_order_of_texts_does_not_change_the_vocabulary():
    texts = [f"w{i} w{i * 7 % 50} x" for i in range(50)]
    shuffled = random.Random(0).sample(texts, len(texts))
    assert fit(*texts, vocab_size=30).words == fit(*shuffled, vocab_size=30).words


def test_vocab_size_limits_the_vocabulary():
    tokenizer = fit("a b c d e f", "a b c", vocab_size=5)
    assert tokenizer.vocab_size == 5
    assert [tokenizer.id_to_token(i) for i in range(2, 5)] == ["a", "b", "c"]


def test_words_below_min_count_are_unknown():
    tokenizer = fit("a a b", min_count=2)
    assert tokenizer.encode(["a b"])[0].ids.tolist() == [2, UNKNOWN_ID]


@pytest.mark.parametrize("texts", [[], [""], ["a b c"], ["\0", "<br />"]])
def test_texts_without_a_frequent_word_are_refused(texts):
    with pytest.raises(LstmError, match="No word occurs 2 times") as error:
        fit(*texts, min_count=2)
    assert "min_count" in error.value.hint


def test_fit_vocabulary_also_returns_the_ids():
    texts = ["b a a", "", "a c \ud800"]
    fitted = fit_vocabulary(texts, TextSettings(min_count=2, max_tokens=1), char_buckets=9)
    assert fitted.tokenizer.words == ("[PAD]", "[UNK]", "a")
    assert fitted.tokenizer.char_buckets == 9
    ids = fitted.token_ids[fitted.numbers]
    assert (ids.tolist(), fitted.lengths.tolist()) == ([1, 2, 2, 2, 1, 1], [3, 0, 3])
    assert ids.dtype == np.uint16
    assert [fitted.tokens[i] for i in fitted.numbers] == ["b", "a", "a", "a", "c", "?"]


def test_a_megabyte_of_text_is_truncated():
    encoding = fit("a film", max_tokens=10).encode(["a film " * 150_000])[0]
    assert (encoding.num_tokens, len(encoding.ids), encoding.truncated) == (300_000, 10, True)


@relaxed
@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_ascii_texts_are_tokenized_like_other_texts(text):
    # The letter that is not ASCII disables the shortcut.
    assert [*tokenize(text), "é"] == tokenize(text + " é")
    assert [text[start:end].lower() for start, end in token_spans(text)] == tokenize(text)


@pytest.mark.parametrize("text", ["a'" * 100_000, "<br " * 50_000, "é" + "'a" * 100_000])
def test_no_text_takes_quadratic_time(text):
    began = time.process_time()
    tokenize(text)
    assert time.process_time() - began < 2


# Character n-grams of unknown words


def with_ngrams(max_tokens=12):
    return Tokenizer(("[PAD]", "[UNK]", "a", "film"), max_tokens, char_buckets=1000)


def ngrams_of(word):
    return char_ngram_ids([word], 1000)[0].tolist()


def test_the_ngrams_of_an_encoding_are_those_of_its_unknown_words():
    none, one, two = with_ngrams().encode(["a film", "a flim", "x film y"])
    assert (none.ngrams.tolist(), none.ngram_positions.tolist()) == ([], [])
    assert one.ngrams.tolist() == ngrams_of("flim")
    assert one.ngram_positions.tolist() == [1] * 14
    assert two.ngrams.tolist() == ngrams_of("x") + ngrams_of("y")
    assert two.ngram_positions.tolist() == [0] * 3 + [2] * 3


def test_a_truncated_encoding_has_the_ngrams_of_the_remaining_words():
    (encoding,) = with_ngrams(max_tokens=3).encode(["x a removed too y"])
    assert encoding.ids.tolist() == [UNKNOWN_ID, 2, UNKNOWN_ID]
    assert (encoding.num_unknown, encoding.truncated) == (4, True)
    assert encoding.ngrams.tolist() == ngrams_of("x") + ngrams_of("y")
    assert encoding.ngram_positions.tolist() == [0] * 3 + [2] * 3


def test_an_empty_text_has_no_ngrams():
    first, empty, last = with_ngrams().encode(["x", "", "y"])
    assert (empty.ids.tolist(), empty.ngrams.tolist()) == ([UNKNOWN_ID], [])
    assert first.ngrams.tolist() == ngrams_of("x")
    assert last.ngrams.tolist() == ngrams_of("y")


def test_a_tokenizer_without_buckets_hashes_no_ngrams():
    (encoding,) = Tokenizer(("[PAD]", "[UNK]", "a"), 5).encode(["a flim"])
    assert encoding.ngrams.tolist() == encoding.ngram_positions.tolist() == []


def test_a_masked_word_has_no_ngrams():
    (encoding,) = with_ngrams().encode(["x film y"])
    masked = encoding.masked(np.array([0, 1]))
    assert masked.ids.tolist() == [UNKNOWN_ID] * 3
    assert masked.ngrams.tolist() == ngrams_of("y")
    assert masked.ngram_positions.tolist() == [2] * 3
    assert encoding.ids.tolist() == [UNKNOWN_ID, 3, UNKNOWN_ID]


def test_take_moves_the_ngrams_with_their_words():
    (encoding,) = with_ngrams().encode(["x film y a zz"])
    taken = encoding.take(np.array([1, 2, 4]))
    (expected,) = with_ngrams().encode(["film y zz"])
    assert taken.ids.tolist() == expected.ids.tolist()
    assert taken.ngrams.tolist() == expected.ngrams.tolist()
    assert taken.ngram_positions.tolist() == expected.ngram_positions.tolist()


@pytest.mark.parametrize("text", ["x film y", "film", "x", ""])
def test_taking_no_word_gives_the_empty_text(text):
    (encoding,), (empty,) = with_ngrams().encode([text]), with_ngrams().encode([""])
    taken = encoding.take(np.zeros(0, np.int64))
    assert taken.ids.tolist() == empty.ids.tolist() == [UNKNOWN_ID]
    assert taken.ngrams.tolist() == taken.ngram_positions.tolist() == []


@pytest.mark.parametrize(
    "derive", [lambda t: t.without_truncation(), lambda t: t.with_max_tokens(2)]
)
def test_a_tokenizer_with_another_length_hashes_the_same_ngrams(derive):
    assert derive(with_ngrams()).char_buckets == 1000


def test_the_separator_of_columns_is_a_token_that_every_vocabulary_has():
    texts = [f"the the the {SEPARATOR} a" for _ in range(3)]
    tokenizer = Tokenizer.fit(texts, TextSettings(vocab_size=3))
    assert tokenizer.words == ("[PAD]", "[UNK]", SEPARATOR)
    assert tokenizer.encode([f"{SEPARATOR} a"])[0].ids.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Plain", "text"),
        ("", "no title"),
        ("don'", "'t"),
        ("cafe", "\u0301s"),
        ("line <br", "/> break"),
        ("Lego\u2122 \u00bd", "3\u00bd \uff01"),
        ("\u0e19\u0e4d", "\u0e32\u0e19"),
        ("\u0643\u0640", "\u064b\u0627"),
        ("\u200d", "\u200d x"),
    ],
)
def test_fields_are_tokenized_as_if_they_were_alone(first, second):
    text = join_fields([first, second])
    assert tokenize(text) == [*tokenize(first), SEPARATOR, *tokenize(second)]
    (place,) = [span for span in token_spans(text) if text[slice(*span)] == SEPARATOR]
    assert text[: place[0]].strip() == first.strip()


@relaxed
@given(st.lists(ANY_TEXT | TRICKY, min_size=2, max_size=3))
def test_any_fields_are_tokenized_as_if_they_were_alone(values):
    alone = [tokenize(value.replace(SEPARATOR, " ")) for value in values]
    expected = [token for tokens in alone for token in (*tokens, SEPARATOR)][:-1]
    is_blank = not any(value.strip() for value in values)
    assert tokenize(join_fields(values)) == ([] if is_blank else expected)
