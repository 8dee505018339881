"""Words removed from encoded texts: as if the vocabulary had never had them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.text.corpus import encode
from lstm_cli.text.token_ids import SPECIAL_TOKENS, UNKNOWN_ID, is_unknown, lstm_ids
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training.stages import without_words

WORDS = ("fine", "dull", "film", "a", "films", "dully")
TEXTS = st.lists(
    st.lists(st.sampled_from([*WORDS, "strange"]), max_size=7).map(" ".join), min_size=1, max_size=6
)


@given(
    TEXTS, st.sets(st.sampled_from(WORDS)), st.sampled_from([0, 64]), st.sampled_from([0.0, 0.3])
)
def test_removed_words_are_those_of_a_smaller_vocabulary(
    texts, removed, char_buckets, min_similarity
):
    full = Tokenizer((*SPECIAL_TOKENS, *WORDS), 4, char_buckets, min_similarity)
    kept = [word for word in WORDS if word not in removed]
    smaller = Tokenizer((*SPECIAL_TOKENS, *kept), 4, char_buckets, min_similarity)
    corpus, expected = encode(texts, full), encode(texts, smaller)
    is_removed = np.array([word in removed for word in full.words])
    found = without_words(corpus, is_removed, full)
    assert np.array_equal(is_unknown(found.ids), is_unknown(expected.ids))
    read, expected_read = lstm_ids(found.ids), lstm_ids(expected.ids)
    assert [full.words[i] for i in read] == [smaller.words[i] for i in expected_read]
    assert np.array_equal(found.starts, expected.starts)
    assert np.array_equal(found.ngram_starts, expected.ngram_starts)
    for i in range(len(texts)):
        of_text = slice(found.ngram_starts[i], found.ngram_starts[i + 1])
        assert sorted(found.ngrams[of_text]) == sorted(expected.ngrams[of_text])
    # Tokens that truncation dropped are not looked at again.
    is_whole = corpus.num_tokens <= 4
    assert np.array_equal(found.num_unknown[is_whole], expected.num_unknown[is_whole])


def test_special_tokens_are_not_removed():
    tokenizer = Tokenizer((*SPECIAL_TOKENS, "film"), 4)
    corpus = encode(["film strange", ""], tokenizer)
    found = without_words(corpus, np.ones(3, bool), tokenizer)
    assert set(found.ids.tolist()) == {UNKNOWN_ID}
    assert found.num_unknown.tolist() == [2, 0]
