"""The Keras models: what the ONNX graph computes, what masked Keras layers compute, and no padding.

Everything here imports Keras; prediction without it is in test_graph.py and test_predictor.py.
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from fixtures_runs import image_config, random_weights, text_config
from keras import layers

from lstm_cli.config import load as configs
from lstm_cli.models import calibration, classifier, linear
from lstm_cli.models import compiled as network
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.batching import pad
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import UNKNOWN_ID

VOCAB = 12
TEXTS = [np.array(ids, np.int32) for ids in ([5], [2, 9, 11, 7], [3, 3], [1, 2, 3])]
LENGTHS = np.array([len(ids) for ids in TEXTS], np.int32)
POOLINGS = ("last", "max", "mean", "max_mean")
KINDS = list(itertools.product(POOLINGS, (1, 2), (True, False)))


def tokens(width=4):
    return np.pad(pad(TEXTS, np.arange(len(TEXTS))), ((0, 0), (0, width - 4)))


def built(config, num_classes, shape=None):
    """A model with random weights, and those weights."""
    vocab_size = VOCAB if shape is None else None
    model = classifier.build(config, num_classes, vocab_size, shape)
    weights = random_weights(config, num_classes, VOCAB, shape and shape[1])
    classifier.set_weights(model, weights)
    return model, weights


def says(model, inputs):
    """What a model says of inputs, a column for each class."""
    found = np.asarray(model(inputs, training=False))
    return np.hstack([1 - found, found]) if found.shape[1] == 1 else found


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("bigram_buckets", [0, 13])
@pytest.mark.parametrize(("pooling", "num_layers", "bidirectional"), KINDS)
def test_keras_and_onnx_agree(pooling, num_layers, bidirectional, bigram_buckets, num_classes):
    config = text_config(
        model__pooling=pooling,
        model__layers=num_layers,
        model__bidirectional=bidirectional,
        embedding__bigram_buckets=bigram_buckets,
        embedding__bigram_dim=3,
        embedding__word_dropout=0.5,
        embedding__dropout=0.5,
        model__dropout=0.5,
    )
    model, weights = built(config, num_classes)
    session = open_session(onnx_graph.build(config, weights, num_classes, None).SerializeToString())
    wide = tokens(6)
    expected = session.run(None, {"tokens": tokens(), "lengths": LENGTHS})[0]
    assert np.abs(says(model, wide) - expected).max() < 1e-5
    # One text of one token, with no padding at all.
    alone = session.run(None, {"tokens": wide[:1, :1], "lengths": LENGTHS[:1]})[0]
    assert np.abs(says(model, wide[:1, :1]) - alone).max() < 1e-5


@pytest.mark.parametrize("num_classes", [2, 3])
def test_keras_and_onnx_agree_on_evidence(num_classes):
    config = text_config(linear__buckets=7)
    model, weights = built(config, num_classes)
    session = open_session(onnx_graph.build(config, weights, num_classes, None).SerializeToString())
    expected = session.run(None, {"tokens": tokens(), "lengths": LENGTHS})[0]
    corpus = Corpus(np.concatenate(TEXTS), np.cumsum([0, *LENGTHS]), LENGTHS, 0 * LENGTHS)
    weighed = linear.of(corpus, weights["linear/table"])
    assert np.abs(says(model, [tokens(6), weighed]) - expected).max() < 1e-5


@pytest.mark.parametrize("buckets", [None, 7])
def test_predicting_many_batches_at_once_is_predicting_each(buckets):
    config = text_config(**({} if buckets is None else {"linear__buckets": buckets}))
    model, _ = built(config, 2)
    weighed = np.random.default_rng(0).normal(size=(len(TEXTS), 1)).astype(np.float32)
    inputs = tokens() if buckets is None else [tokens(), weighed]
    expected = model.predict_on_batch(inputs)
    assert np.array_equal(model.predict(inputs, batch_size=len(TEXTS), verbose=0), expected)
    assert np.allclose(model.predict(inputs, batch_size=2, verbose=0), expected, atol=1e-6)


def test_a_new_model_says_what_its_evidence_says():
    config = text_config(linear__buckets=7)
    model = classifier.build(config, 3, VOCAB, None)
    found = linear.LinearModel(
        np.zeros((7, 3)), np.zeros((4, 3)), 2.0, np.array([0.5, 0, 0], np.float32)
    )
    classifier.init_from_linear_model(model, found)
    weighed = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    logits = 2 * weighed + [0.5, 0, 0]
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(says(model, [tokens(), weighed]) - expected).max() < 1e-6


def test_in_training_some_texts_are_judged_without_evidence_and_after_it_none():
    said = np.full((400, 3), 5.0, np.float32)
    layer = classifier.AddLinearLogits(0.5, seed=0)
    trained = np.asarray(layer(0 * said, said, training=True))
    # A text has all of its evidence or none.
    assert set(trained.sum(axis=1)) == {0.0, 15.0}
    assert 150 < np.count_nonzero(trained[:, 0]) < 250
    assert np.array_equal(layer(0 * said, said, training=False), said)
    assert np.array_equal(
        classifier.AddLinearLogits(0.0, seed=0)(0 * said, said, training=True), said
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scaling_the_logits_scales_them(num_classes):
    config = text_config(linear__buckets=7)
    model, weights = built(config, num_classes)
    weighed = np.ones((len(TEXTS), 1 if num_classes == 2 else 3), np.float32)
    before = calibration.logits(says(model, [tokens(), weighed]))
    scaled = calibration.scale_logits(weights, 0.5, float(weights["linear/scale"][0]) / 2)
    classifier.set_weights(model, scaled)
    after = calibration.logits(says(model, [tokens(), weighed]))
    # Softmax forgets what is added to all logits alike.
    before, after = (
        before - before[:, :1] * (num_classes > 2),
        after - after[:, :1] * (num_classes > 2),
    )
    assert np.allclose(after, before / 2, atol=1e-4)


@pytest.mark.parametrize(("pooling", "num_layers", "bidirectional"), KINDS)
def test_keras_and_onnx_agree_on_images(pooling, num_layers, bidirectional):
    config = image_config(
        model__pooling=pooling, model__layers=num_layers, model__bidirectional=bidirectional
    )
    model, weights = built(config, 10, (4, 5))
    images = np.random.default_rng(1).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    session = open_session(onnx_graph.build(config, weights, 10, (4, 5)).SerializeToString())
    expected = session.run(None, {"images": images})[0]
    assert np.abs(says(model, images) - expected).max() < 1e-5


def stock(weights, num_layers):
    """The same network of Keras' own layers, masked: all outputs, and the last ones."""
    inputs = keras.Input((None,), dtype="int32")
    table = weights["embedding/embeddings"]
    embedding = layers.Embedding(*table.shape, mask_zero=True)
    x = embedding(inputs)
    wrapped = []
    units = len(weights["lstm_0_forward/recurrent_kernel"])
    for _ in range(num_layers):
        wrapped.append(layers.Bidirectional(layers.LSTM(units, return_sequences=True)))
        before, x = x, wrapped[-1](x)
    last = layers.Bidirectional(layers.LSTM(units))
    model = keras.Model(inputs, [x, last(before)])
    embedding.set_weights([table])
    for index, layer in enumerate([*wrapped, last]):
        name = f"lstm_{min(index, num_layers - 1)}"
        kinds = ("kernel", "recurrent_kernel", "bias")
        layer.set_weights(
            [weights[f"{name}_{side}/{kind}"] for side in ("forward", "backward") for kind in kinds]
        )
    return model


@pytest.mark.parametrize("num_layers", [1, 2])
def test_reading_each_text_reversed_is_what_masked_bidirectional_layers_do(num_layers):
    weights = random_weights(text_config(model__layers=num_layers), 2, VOCAB)
    outputs, last = (np.asarray(found) for found in stock(weights, num_layers)(tokens(6)))
    texts = [row[:length] for row, length in zip(outputs, LENGTHS, strict=True)]
    highest = np.array([rows.max(axis=0) for rows in texts])
    average = np.array([rows.mean(axis=0) for rows in texts])
    pooled = {"last": last, "max": highest, "mean": average}
    pooled["max_mean"] = np.hstack([highest, average])
    for pooling in POOLINGS:
        config = text_config(model__layers=num_layers, model__pooling=pooling)
        weights |= {k: v for k, v in random_weights(config, 2, VOCAB).items() if "head" in k}
        model = classifier.build(config, 2, VOCAB, None)
        classifier.set_weights(model, weights)
        logits = pooled[pooling] @ weights["head/kernel"] + weights["head/bias"]
        expected = 1 / (1 + np.exp(-logits))
        assert np.abs(says(model, tokens(6))[:, 1:] - expected).max() < 1e-6, pooling


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_a_text_and_its_gradients_are_turned_round_within_its_length(monkeypatch, backend):
    import tensorflow as tf

    # Which operations are used, not which backend computes them.
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    x, upstream = np.random.default_rng(3).normal(size=(2, 3, 5, 2)).astype(np.float32)
    lengths = np.array([[5], [3], [1]], np.int32)

    def reverse_within(rows):
        pairs = zip(rows, lengths[:, 0], strict=True)
        return np.stack([np.concatenate([row[:n][::-1], row[n:]]) for row, n in pairs])

    with tf.GradientTape() as tape:
        given = tf.constant(x)
        tape.watch(given)
        found = network.ReverseSequence()(given, lengths)
        total = tf.reduce_sum(found * upstream)
    assert np.array_equal(found, reverse_within(x))
    assert np.array_equal(tape.gradient(total, given), reverse_within(upstream))


def test_the_output_is_one_probability_for_two_classes_and_one_each_for_more():
    assert classifier.build(text_config(), 2, VOCAB, None).output_shape == (None, 1)
    assert classifier.build(text_config(), 3, VOCAB, None).output_shape == (None, 3)


def test_weights_are_named_by_layer_and_come_back_as_they_were_set():
    model, weights = built(text_config(embedding__bigram_buckets=5), 2)
    found = classifier.get_weights(model)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], weights[name]) for name in weights)


def test_weights_that_do_not_fit_are_refused():
    model, weights = built(text_config(), 2)
    with pytest.raises(KeyError, match="bias"):
        classifier.set_weights(model, {k: v for k, v in weights.items() if k != "head/bias"})
    with pytest.raises(ValueError, match="shape"):
        classifier.set_weights(model, weights | {"head/bias": np.zeros(2, np.float32)})


def test_the_same_seed_gives_the_same_first_weights():
    found = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        found.append(classifier.get_weights(classifier.build(text_config(), 2, VOCAB, None)))
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
    assert not np.array_equal(found[0]["head/kernel"], found[2]["head/kernel"])


def test_every_switch_for_dropout_changes_training_and_none_changes_prediction():
    for switch in ("embedding__dropout", "embedding__word_dropout", "model__dropout"):
        model, _ = built(text_config(**{switch: 0.5}), 2)
        plain, _ = built(text_config(), 2)
        assert np.array_equal(says(model, tokens()), says(plain, tokens()))
        drawn = [np.asarray(model(tokens(), training=True)) for _ in range(3)]
        assert not (np.array_equal(drawn[0], drawn[1]) and np.array_equal(drawn[1], drawn[2]))


def test_without_dropout_training_computes_what_prediction_does():
    model, _ = built(text_config(), 2)
    assert np.array_equal(model(tokens(), training=True), model(tokens(), training=False))


def test_word_dropout_puts_unknown_for_words_and_leaves_padding():
    layer = classifier.WordDropout(0.3, seed=0)
    given = np.full((40, 50), 7, np.int32)
    given[:, 30:] = 0
    dropped = np.asarray(layer(given, training=True))
    assert set(np.unique(dropped[:, :30])) == {UNKNOWN_ID, 7}
    assert (dropped[:, 30:] == 0).all()
    assert (dropped[:, :30] == UNKNOWN_ID).mean() == pytest.approx(0.3, abs=0.04)
    assert not np.array_equal(dropped, layer(given, training=True))


def test_word_dropout_changes_nothing_outside_training():
    layer = classifier.WordDropout(0.9, seed=0)
    given = tokens()
    assert np.array_equal(layer(given), given)
    assert np.array_equal(layer(given, training=False), given)


def test_a_dropped_word_is_dropped_from_its_pairs_too():
    config = text_config(embedding__bigram_buckets=13, embedding__word_dropout=0.99)
    model, weights = built(config, 2)
    unknown = np.full_like(tokens(), UNKNOWN_ID)[:, :1]
    trained = np.asarray(model(np.full((50, 1), 9, np.int32), training=True))
    share = np.isclose(trained, np.asarray(model(unknown, training=False))[:1], atol=1e-6).mean()
    assert share > 0.9
    assert "bigrams/embeddings" in weights


def test_targets_are_a_column_for_two_classes_and_one_hot_for_more():
    labels = np.array([0, 1, 1], np.int32)
    assert classifier.targets(labels, 2).tolist() == [[0], [1], [1]]
    assert classifier.targets(labels, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert classifier.targets(labels, 3).dtype == np.float32


def compiled(num_classes=2, **settings):
    config = text_config(**{f"train__{key}": value for key, value in settings.items()})
    model, _ = built(config, num_classes)
    classifier.compile_model(model, config.train, num_classes)
    return model


def test_the_optimizer_is_what_the_settings_say():
    optimizer = compiled(learning_rate=0.01, clip_norm=0.5, averaging=0.9).optimizer
    assert type(optimizer) is keras.optimizers.Adam
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert optimizer.global_clipnorm == 0.5
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.9)
    plain = compiled(clip_norm=0.0, weight_decay=0.01).optimizer
    assert type(plain) is keras.optimizers.AdamW
    assert plain.weight_decay == 0.01
    assert plain.global_clipnorm is None
    assert plain.use_ema is False


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_loss_is_the_cross_entropy_in_nats(num_classes):
    model = compiled(num_classes)
    labels = np.array([0, 1, 1, num_classes - 1], np.int32)
    found = model.test_on_batch(tokens(), classifier.targets(labels, num_classes), return_dict=True)
    chosen = says(model, tokens())[np.arange(4), labels]
    assert found["loss"] == pytest.approx(-np.log(chosen).mean(), abs=1e-5)
    assert found["accuracy"] == np.mean(says(model, tokens()).argmax(axis=1) == labels)


def test_label_smoothing_raises_the_loss_of_certain_answers():
    labels = classifier.targets(np.array([1, 1, 1, 1], np.int32), 2)
    plain, smooth = compiled(), compiled(label_smoothing=0.2)
    for model in (plain, smooth):
        weights = classifier.get_weights(model)
        classifier.set_weights(model, weights | {"head/bias": np.array([9.0], np.float32)})
    assert smooth.test_on_batch(tokens(), labels)[0] > 2 * plain.test_on_batch(tokens(), labels)[0]


def test_the_tutorials_network_has_the_number_of_weights_keras_would_give_it():
    config = configs.load_preset("imdb-tutorial")
    model = classifier.build(config, 2, 20_000, None)
    assert model.count_params() == 20_000 * 128 + 4 * 128 * (128 + 128 + 1) + 128 + 1
