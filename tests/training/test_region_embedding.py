"""Region embeddings: learned from texts, read alike by Keras, ONNX and NumPy, kept as learned."""

from __future__ import annotations

import fixtures_lstm as reference
import numpy as np
import pytest
from fixtures_runs import random_weights, text_config

from lstm_cli.explain import forward_pass
from lstm_cli.models import classifier
from lstm_cli.models.region_embedding import learn_region_embedding
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.batching import pad_batch
from lstm_cli.text.corpus import fit_and_encode

VOCAB = 12
TEXTS = [np.array(ids, np.int32) for ids in ([5], [2, 9, 11, 1, 7, 4], [3, 3], [1, 2, 3, 4])]
LENGTHS = np.array([len(ids) for ids in TEXTS], np.int32)
WIDTHS = {"embedding__region_widths": (1, 4, 5), "embedding__region_dim": 3}


@pytest.mark.parametrize("regions", [(), (2,)])
def test_keras_onnx_and_numpy_agree(regions):
    config = text_config(
        embedding__bigram_buckets=13, model__regions=regions, model__region_units=5, **WIDTHS
    )
    model = classifier.build_classifier(config, 3, VOCAB, None)
    weights = random_weights(config, 3, VOCAB)
    assert set(classifier.get_weights(model)) == set(weights)
    classifier.set_weights(model, weights)
    graph = onnx_graph.build(config, weights, 3, None)
    session = open_session(graph.SerializeToString())
    embedded = [reference.embed(ids, weights, config) for ids in TEXTS]
    expected = [reference.probabilities(vectors, weights, config) for vectors in embedded]
    narrow = pad_batch(TEXTS)
    for tokens in (narrow, np.pad(narrow, ((0, 0), (0, 7)))):
        found = session.run(None, {"tokens": tokens, "lengths": LENGTHS})[0]
        assert np.abs(found - expected).max() < 1e-6
        assert np.abs(np.asarray(model(tokens, training=False)) - expected).max() < 1e-6
    for ids, vectors in zip(TEXTS, embedded, strict=True):
        assert np.abs(forward_pass.embed(config, weights, ids) - vectors).max() < 1e-6
    # Some vectors are 0, and others are not.
    assert 0.2 < np.mean(np.concatenate(embedded)[:, -3:] > 0) < 0.8


def test_training_leaves_the_embedding_as_it_is():
    config = text_config(embedding__dropout=0.5, **WIDTHS)
    model = classifier.build_classifier(config, 2, VOCAB, None)
    classifier.set_weights(model, random_weights(config, 2, VOCAB))
    classifier.compile_classifier(model, config.train, 2)
    before = classifier.get_weights(model)
    labels = np.array([[0], [1], [1], [0]], np.float32)
    model.train_on_batch(pad_batch(TEXTS), labels)
    after = classifier.get_weights(model)
    changed = {name for name in after if not np.array_equal(after[name], before[name])}
    assert changed == {name for name in after if not name.startswith("region_embedding_")}


def corpus_of_topics(num=60):
    """Texts of two topics, whose words are never together."""
    rng = np.random.default_rng(0)
    words = np.array([[f"{topic}{i}" for i in range(8)] for topic in "ab"])
    texts = [" ".join(rng.choice(words[i % 2], 30)) for i in range(num)]
    return fit_and_encode(texts, text_config(text__max_tokens=100).text)


def learn(corpus, size, dim=6, width=3, epochs=20, seed=0, **options):
    losses = []
    arrays = learn_region_embedding(
        [corpus], size, dim, width, epochs, seed, lambda step: losses.append(step.loss), **options
    )
    return arrays, losses


def test_learning_finds_what_words_have_in_common():
    tokenizer, corpus = corpus_of_topics()
    (embeddings, bias), losses = learn(corpus, tokenizer.vocab_size)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    assert not embeddings[:2].any()
    vectors = np.maximum(embeddings[2:] + bias, 0)
    is_first = np.array([word.startswith("a") for word in tokenizer.words[2:]])
    means = [vectors[is_first].mean(axis=0), vectors[~is_first].mean(axis=0)]
    nearest = np.square(vectors[:, None] - means).sum(axis=2).argmin(axis=1)
    assert np.array_equal(nearest == 0, is_first)


def test_learning_is_the_same_on_any_number_of_cores(monkeypatch):
    tokenizer, corpus = corpus_of_topics()
    found = []
    for cores, seed in ((1, 0), (3, 0), (3, 1)):
        monkeypatch.setattr("lstm_cli.models.region_embedding._num_threads", lambda n=cores: n)
        found.append(learn(corpus, tokenizer.vocab_size, epochs=2, seed=seed)[0])
    assert np.array_equal(found[0].embeddings, found[1].embeddings)
    assert np.array_equal(found[0].bias, found[1].bias)
    assert not np.array_equal(found[0].embeddings, found[2].embeddings)


def test_vectors_have_a_fixed_size_and_texts_do_not_touch():
    tokenizer, corpus = corpus_of_topics()
    (embeddings, bias), _ = learn(corpus, tokenizer.vocab_size, width=4, epochs=1)
    config = text_config(embedding__region_widths=(4,), embedding__region_dim=6)
    weights = {"region_embedding_4/embeddings": embeddings, "region_embedding_4/bias": bias}
    texts = [reference.around(corpus[i], weights, 4) for i in range(len(corpus))]
    assert config.embedding is not None
    assert np.sqrt(np.mean(np.concatenate(texts) ** 2)) == pytest.approx(0.265, rel=0.02)
    # Alone, each text has no word beside a region as long as it is: nothing is predicted.
    _, alone = fit_and_encode(["a b c"] * 30, text_config().text)
    (embeddings, _), losses = learn(alone, 5, width=7, epochs=3)
    assert losses == [0.0] * len(losses)
    assert np.isfinite(embeddings).all()


@pytest.mark.parametrize("texts", [["word"] * 20, ["", "..."], ["a b", "b a", "c"]])
def test_tiny_texts_are_learned_from(texts):
    tokenizer, corpus = fit_and_encode([*texts, "x"], text_config().text)
    (embeddings, bias), losses = learn(corpus, tokenizer.vocab_size, width=9, epochs=2)
    assert embeddings.shape == (tokenizer.vocab_size, 6)
    assert np.isfinite(embeddings).all()
    assert np.isfinite(bias).all()
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("width", [2, 3, 6])
def test_step_follows_the_gradient(width):
    """The gradient of the loss, from its definition in plain loops, by finite differences."""
    import lstm_cli.models.region_embedding as module

    rng = np.random.default_rng(1)
    counts = np.array([0, 0, 9, 4, 2, 1, 1])
    learner = module._Learner(counts, 2, width, rng)
    assert not learner._shares[:2].any()
    for table in (learner.embeddings, learner.bias, *learner._beside):
        table.values = rng.normal(0, 0.5, table.values.shape).astype(np.float32)
    learner.embeddings.values[:2] = 0
    learner._moments = [t.values.T @ (learner._shares[:, None] * t.values) for t in learner._beside]
    ids = np.pad(rng.integers(1, 7, 40), (0, 20)).astype(np.int32)
    tokens = np.pad(ids, 2 * width)[: module._BLOCK + 3 * width - 1][None]
    arrays = [learner.embeddings, learner.bias, *learner._beside]
    found = {}
    for index, table in enumerate(arrays):
        table.update = lambda g, _, index=index: found.__setitem__(index, g.copy())

    def loss():
        return slow_loss(tokens[0], learner, width, module._BLOCK)

    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        assert learner.fit(tokens, 0.1, pool) == pytest.approx(loss(), rel=1e-5)
    for index, table in enumerate(arrays):
        table.values = table.values.astype(np.float64)
        for _ in range(4):
            place = tuple(rng.integers(2 if index == 0 else 0, n) for n in table.values.shape[:1])
            place += (int(rng.integers(table.values.shape[1])),)
            place = (0, *place[1:]) if index == 1 else place
            ends = []
            for sign in (1, -1):
                table.values[place] += sign * 1e-5
                ends.append(loss())
                table.values[place] -= sign * 1e-5
            assert found[index][place] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=2e-3)


def slow_loss(tokens, learner, width, block):
    """The loss of one block, one pair at a time."""
    table, bias = learner.embeddings.values, learner.bias.values[0]
    squares, num_pairs, vectors = np.zeros(2), np.zeros(2), []
    for t in range(block):
        start = width + t
        if tokens[start + width // 2] == 0:
            continue
        u = np.append(np.maximum(0, table[tokens[start : start + width]].sum(axis=0) + bias), 1)
        vectors.append(u)
        for side, first in ((0, start - width), (1, start + width)):
            for word in tokens[first : first + width]:
                if learner._shares[word] > 0:
                    squares[side] += (1 - learner._beside[side].values[word] @ u) ** 2
                    num_pairs[side] += 1
    zeros = sum(
        learner._shares @ np.square(side.values @ u) for side in learner._beside for u in vectors
    )
    return (squares / num_pairs).sum() + 5 * zeros / len(vectors)
