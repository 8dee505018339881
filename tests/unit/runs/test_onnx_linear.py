"""The linear model in three forms: ONNX graph, NumPy over a corpus, and NumPy token by token."""

from __future__ import annotations

import itertools

import fixtures_lstm as reference
import numpy as np
import pytest
from fixtures_runs import TEXTS, random_weights, text_config

from lstm_cli.explain import forward_pass
from lstm_cli.models.linear import linear_logits
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.prediction.batches import text_batches
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.corpus import encode
from lstm_cli.text.token_ids import READ_AS, UNKNOWN_ID
from lstm_cli.text.tokenizer import Tokenizer

KNOWN, UNKNOWN = "a fine film", "finne flim zebra a"
# The batches differ in length and in n-grams: some texts have no unknown word, or no known one.
BATCHES = {
    "known words only": [KNOWN, "dull", "not a fine film , just a dull cast"],
    "unknown words only": ["zebra", "finne x"],
    "both": ["", KNOWN, UNKNOWN, "fine zebra", "x", "dull " * 9 + "dulll " * 9],
}
KINDS = list(itertools.product((2, 3), ("all", "unknown", "none"), (2, 5), (0.0, 0.3)))


def made(word_ngrams, char_ngrams, num_classes, min_similarity=0.0):
    """Settings, tokenizer, weights and session of a random classifier with a linear model."""
    config = text_config(
        linear__buckets=13,
        linear__word_ngrams=word_ngrams,
        linear__char_ngrams=char_ngrams,
        linear__char_buckets=37,
        text__min_similarity=min_similarity,
        embedding__bigram_buckets=11 if min_similarity else 0,
        embedding__bigram_dim=3,
    )
    tokenizer = Tokenizer.fit(TEXTS, config.text, config.char_buckets)
    weights = random_weights(config, num_classes, tokenizer.vocab_size)
    model = onnx_graph.build(config, weights, num_classes, None)
    return config, tokenizer, weights, open_session(model.SerializeToString())


def lstm_logits(config, weights, encoding):
    inputs = forward_pass.embed(config, weights, encoding.ids)[None]
    lengths = np.array([len(encoding.ids)])
    return forward_pass.run_layers(config.model, weights, inputs, lengths).logits[0]


def probabilities(logits):
    """Probabilities of logits, `[num, outputs]` to `[num, classes]`."""
    if logits.shape[1] == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    powers = np.exp(logits.astype(np.float64))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("word_ngrams", "char_ngrams", "num_classes", "min_similarity"), KINDS)
def test_graph_and_numpy_agree(word_ngrams, char_ngrams, num_classes, min_similarity, batch):
    config, tokenizer, weights, session = made(
        word_ngrams, char_ngrams, num_classes, min_similarity
    )
    texts = BATCHES[batch]
    corpus, encodings = encode(texts, tokenizer), tokenizer.encode(texts)
    scale = weights["linear/scale"]
    of_corpus = scale * linear_logits(corpus, LinearTables.from_arrays(weights), config.linear)
    by_token = [forward_pass.linear_logits(config, weights, e).sum(axis=0) for e in encodings]
    by_token = np.array(by_token) + forward_pass.linear_biases(config, weights)
    own = [[i if i < READ_AS else UNKNOWN_ID for i in e.ids.tolist()] for e in encodings]
    expected = [
        reference.linear(np.array(ids, np.int32), weights, config.linear, e.ngrams)
        for ids, e in zip(own, encodings, strict=True)
    ]
    assert of_corpus == pytest.approx(np.array(expected), abs=1e-5)
    assert by_token == pytest.approx(np.array(expected), abs=1e-5)

    lstm = np.array([lstm_logits(config, weights, e) for e in encodings])
    for source in (corpus, encodings):
        found = np.zeros((len(texts), num_classes), np.float32)
        for indices, feed in text_batches(source, char_ngrams != "none"):
            found[indices] = session.run(None, feed())[0]
        assert found == pytest.approx(probabilities(lstm + of_corpus), abs=1e-5)


def test_each_kind_of_ngram_matters():
    """Otherwise equal results would show nothing."""
    config, tokenizer, weights, _ = made(3, "all", 5)
    corpus = encode([UNKNOWN], tokenizer)
    before = linear_logits(corpus, LinearTables.from_arrays(weights), config.linear)
    for name in ("words", "word_ngrams", "char_ngrams", "biases"):
        changed = {**weights, f"linear/{name}": 0 * weights[f"linear/{name}"]}
        after = linear_logits(corpus, LinearTables.from_arrays(changed), config.linear)
        assert np.abs(after - before).max() > 0.1
    bigrams = text_config(linear__buckets=13, linear__char_ngrams="all").linear
    without_trigrams = linear_logits(corpus, LinearTables.from_arrays(weights), bigrams)
    assert np.abs(without_trigrams - before).max() > 0.1


@pytest.mark.parametrize("char_ngrams", ["all", "unknown"])
def test_padding_of_tokens_and_ngrams_changes_nothing(char_ngrams):
    _, tokenizer, _, session = made(3, char_ngrams, 5)
    (_, feed), = text_batches(tokenizer.encode([UNKNOWN]), True)  # fmt: skip
    inputs = feed()
    padded = {
        "tokens": np.pad(inputs["tokens"], ((0, 0), (0, 5))),
        "lengths": inputs["lengths"],
        "char_ngrams": np.pad(inputs["char_ngrams"], ((0, 0), (0, 99))),
    }
    expected = session.run(None, inputs)[0]
    assert session.run(None, padded)[0] == pytest.approx(expected, abs=1e-6)


def test_only_a_graph_with_character_ngrams_has_their_input():
    names = {
        kind: [value.name for value in made(2, kind, 2)[3].get_inputs()]
        for kind in ("all", "unknown", "none")
    }
    assert names["none"] == ["tokens", "lengths"]
    assert names["all"] == names["unknown"] == ["tokens", "lengths", "char_ngrams"]


def test_the_largest_trigram_hash_fits_int32():
    config = text_config(linear__buckets=4_000_000, linear__word_ngrams=3)
    weights = random_weights(text_config(linear__buckets=7), 2, 65_536)
    weights["linear/word_ngrams"] = np.arange(4_000_000, dtype=np.float32)[:, None] / 4e6
    ids = np.array([65_535, 65_535, 65_534, 65_533, 65_535], np.int32)
    model = onnx_graph.build(config, weights, 2, None)
    found = open_session(model.SerializeToString()).run(
        None, {"tokens": ids[None], "lengths": np.array([5], np.int32)}
    )[0]
    linear = reference.linear(ids, weights, config.linear)
    vectors = reference.embed(ids, weights, config)
    expected = reference.probabilities(vectors, weights, config, linear)
    assert found[0] == pytest.approx(expected, abs=1e-5)


def test_the_lstm_reads_a_similar_word():
    config, tokenizer, weights, session = made(2, "all", 3, 0.3)
    weights["linear/scale"][:] = 0
    session = open_session(onnx_graph.build(config, weights, 3, None).SerializeToString())
    assert tokenizer.token_to_id("filmm") == READ_AS + tokenizer.token_to_id("film")
    found = {}
    for text in ("a fine film", "a fine filmm", "a fine zebra"):
        ((_, feed),) = text_batches(tokenizer.encode([text]), True)
        found[text] = session.run(None, feed())[0]
    assert np.array_equal(found["a fine filmm"], found["a fine film"])
    assert not np.allclose(found["a fine zebra"], found["a fine film"])
