"""The Keras classifier against the ONNX graph and against masked Keras layers.

Everything here imports Keras; prediction without it is in test_graph.py and test_predictor.py.
"""

from __future__ import annotations

import itertools

import keras
import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from fixtures_runs import image_config, random_weights, text_config
from keras import layers

from lstm_cli.config import load as configs
from lstm_cli.models import calibration, classifier, linear, linear_features
from lstm_cli.models import compiled as compiled_module
from lstm_cli.models.optimizer import FusedAdam
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.batching import pad_batch
from lstm_cli.text.token_ids import UNKNOWN_ID

VOCAB = 12
TEXTS = [np.array(ids, np.int32) for ids in ([5], [2, 9, 11, 7], [3, 3], [1, 2, 3])]
LENGTHS = np.array([len(ids) for ids in TEXTS], np.int32)
POOLINGS = ("last", "max", "mean", "max_mean")
KINDS = list(itertools.product(POOLINGS, (1, 2), (True, False)))


def tokens(width=4):
    return np.pad(pad_batch(TEXTS), ((0, 0), (0, width - 4)))


def built(config, num_classes, shape=None):
    """A model with random weights, and those weights."""
    vocab_size = VOCAB if shape is None else None
    model = classifier.build_classifier(config, num_classes, vocab_size, shape)
    weights = random_weights(config, num_classes, VOCAB, shape and shape[1])
    classifier.set_weights(model, weights)
    return model, weights


def predict(model, inputs):
    """Probabilities of a model, with a column for each class."""
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
    assert np.abs(predict(model, wide) - expected).max() < 1e-5
    # One text of one token, with no padding at all.
    alone = session.run(None, {"tokens": wide[:1, :1], "lengths": LENGTHS[:1]})[0]
    assert np.abs(predict(model, wide[:1, :1]) - alone).max() < 1e-5


@pytest.mark.parametrize("num_classes", [2, 3])
def test_keras_and_onnx_agree_with_a_linear_model(num_classes):
    config = text_config(linear__buckets=7)
    model, weights = built(config, num_classes)
    session = open_session(onnx_graph.build(config, weights, num_classes, None).SerializeToString())
    expected = session.run(None, {"tokens": tokens(), "lengths": LENGTHS})[0]
    tables = linear_features.LinearTables.from_arrays(weights)
    linear_logits = linear.linear_logits(corpus_of_ids(TEXTS), tables, config.linear)
    assert np.abs(predict(model, [tokens(6), linear_logits]) - expected).max() < 1e-5


@pytest.mark.parametrize("num_labels", [2, 3])
def test_keras_and_onnx_agree_on_several_labels(num_labels):
    config = text_config(data__multi_label="|", linear__buckets=7)
    model, weights = built(config, num_labels)
    graph = onnx_graph.build(config, weights, num_labels, None)
    expected = open_session(graph.SerializeToString()).run(
        None, {"tokens": tokens(), "lengths": LENGTHS}
    )[0]
    tables = linear_features.LinearTables.from_arrays(weights)
    linear_logits = linear.linear_logits(corpus_of_ids(TEXTS), tables, config.linear)
    found = np.asarray(model([tokens(6), linear_logits], training=False))
    assert found.shape == (len(TEXTS), num_labels)
    assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("buckets", [None, 7])
def test_predict_equals_predict_on_batch(buckets):
    config = text_config(**({} if buckets is None else {"linear__buckets": buckets}))
    model, _ = built(config, 2)
    linear_logits = np.random.default_rng(0).normal(size=(len(TEXTS), 1)).astype(np.float32)
    inputs = tokens() if buckets is None else [tokens(), linear_logits]
    expected = model.predict_on_batch(inputs)
    assert np.array_equal(model.predict(inputs, batch_size=len(TEXTS), verbose=0), expected)
    assert np.allclose(model.predict(inputs, batch_size=2, verbose=0), expected, atol=1e-6)


def test_a_new_model_predicts_like_its_linear_model():
    config = text_config(linear__buckets=7)
    model = classifier.build_classifier(config, 3, VOCAB, None)
    classifier.init_from_linear_model(model)
    linear_logits = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    expected = np.exp(linear_logits) / np.exp(linear_logits).sum(axis=1, keepdims=True)
    assert np.abs(predict(model, [tokens(), linear_logits]) - expected).max() < 1e-6


def test_linear_logits_are_dropped_in_training_only():
    logits = np.full((400, 3), 5.0, np.float32)
    layer = classifier.AddLinearLogits(0.5, seed=0)
    trained = np.asarray(layer(0 * logits, logits, training=True))
    # A text keeps all of its linear logits or none.
    assert set(trained.sum(axis=1)) == {0.0, 15.0}
    assert 150 < np.count_nonzero(trained[:, 0]) < 250
    assert np.array_equal(layer(0 * logits, logits, training=False), logits)
    assert np.array_equal(
        classifier.AddLinearLogits(0.0, seed=0)(0 * logits, logits, training=True), logits
    )


@pytest.mark.parametrize("num_classes", [2, 3])
def test_scale_logits_scales_the_logits(num_classes):
    config = text_config(linear__buckets=7)
    model, weights = built(config, num_classes)
    linear_logits = np.ones((len(TEXTS), 1 if num_classes == 2 else 3), np.float32)
    before = calibration.logits_from_probabilities(predict(model, [tokens(), linear_logits]))
    scaled = calibration.scale_logits(weights, 0.5, float(weights["linear/scale"][0]) / 2)
    classifier.set_weights(model, scaled)
    after = calibration.logits_from_probabilities(predict(model, [tokens(), linear_logits]))
    # Softmax is invariant to a constant added to all logits.
    before, after = (
        before - before[:, :1] * (num_classes > 2),
        after - after[:, :1] * (num_classes > 2),
    )
    assert np.allclose(after, before / 2, atol=1e-4)


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize(("pooling", "num_layers", "bidirectional"), KINDS)
def test_keras_and_onnx_agree_on_images(pooling, num_layers, bidirectional, window):
    config = image_config(
        image__window=window,
        model__pooling=pooling,
        model__layers=num_layers,
        model__bidirectional=bidirectional,
    )
    model, weights = built(config, 10, (4, 5))
    images = np.random.default_rng(1).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    session = open_session(onnx_graph.build(config, weights, 10, (4, 5)).SerializeToString())
    expected = session.run(None, {"images": images})[0]
    assert np.abs(predict(model, images) - expected).max() < 1e-5


def masked_keras_model(weights, num_layers):
    """The same model from Keras' own layers with masks: all outputs, and the last ones."""
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
def test_reversed_sequences_equal_masked_bidirectional_layers(num_layers):
    weights = random_weights(text_config(model__layers=num_layers), 2, VOCAB)
    outputs, last = (
        np.asarray(output) for output in masked_keras_model(weights, num_layers)(tokens(6))
    )
    texts = [row[:length] for row, length in zip(outputs, LENGTHS, strict=True)]
    highest = np.array([rows.max(axis=0) for rows in texts])
    average = np.array([rows.mean(axis=0) for rows in texts])
    pooled = {"last": last, "max": highest, "mean": average}
    pooled["max_mean"] = np.hstack([highest, average])
    for pooling in POOLINGS:
        config = text_config(model__layers=num_layers, model__pooling=pooling)
        weights |= {k: v for k, v in random_weights(config, 2, VOCAB).items() if "head" in k}
        model = classifier.build_classifier(config, 2, VOCAB, None)
        classifier.set_weights(model, weights)
        logits = pooled[pooling] @ weights["head/kernel"] + weights["head/bias"]
        expected = 1 / (1 + np.exp(-logits))
        assert np.abs(predict(model, tokens(6))[:, 1:] - expected).max() < 1e-6, pooling


def reversed_by_tensorflow(x, lengths, upstream):
    """The reversed rows, and the gradient of their product with `upstream`."""
    tf = pytest.importorskip("tensorflow")
    with tf.GradientTape() as tape:
        sequence = tf.constant(x)
        tape.watch(sequence)
        result = compiled_module.ReverseSequence()(sequence, lengths)
        total = tf.reduce_sum(result * upstream)
    return result, tape.gradient(total, sequence)


def reversed_by_jax(x, lengths, upstream):
    """The same, from the function that JAX gets."""
    jax = pytest.importorskip("jax")
    result, pull_back = jax.vjp(compiled_module.jax_reverse_sequence(), x, lengths)
    return result, pull_back(jax.numpy.asarray(upstream))[0]


@pytest.mark.parametrize("reverse", [reversed_by_tensorflow, reversed_by_jax])
def test_sequences_and_gradients_are_reversed_within_their_length(reverse):
    x, upstream = np.random.default_rng(3).normal(size=(2, 3, 5, 2)).astype(np.float32)
    lengths = np.array([[5], [3], [1]], np.int32)

    def reverse_within(rows):
        pairs = zip(rows, lengths[:, 0], strict=True)
        return np.stack([np.concatenate([row[:n][::-1], row[n:]]) for row, n in pairs])

    result, gradient = reverse(x, lengths, upstream)
    assert np.array_equal(result, reverse_within(x))
    assert np.array_equal(gradient, reverse_within(upstream))


def test_the_output_has_one_probability_for_two_classes():
    assert classifier.build_classifier(text_config(), 2, VOCAB, None).output_shape == (None, 1)
    assert classifier.build_classifier(text_config(), 3, VOCAB, None).output_shape == (None, 3)


def test_weights_round_trip_by_name():
    model, weights = built(text_config(embedding__bigram_buckets=5), 2)
    found = classifier.get_weights(model)
    assert found.keys() == weights.keys()
    assert all(np.array_equal(found[name], weights[name]) for name in weights)


def test_weights_with_wrong_names_or_shapes_are_refused():
    model, weights = built(text_config(), 2)
    with pytest.raises(KeyError, match="bias"):
        classifier.set_weights(model, {k: v for k, v in weights.items() if k != "head/bias"})
    with pytest.raises(ValueError, match="shape"):
        classifier.set_weights(model, weights | {"head/bias": np.zeros(2, np.float32)})


def test_the_seed_determines_the_initial_weights():
    found = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        found.append(
            classifier.get_weights(classifier.build_classifier(text_config(), 2, VOCAB, None))
        )
    assert all(np.array_equal(found[0][name], found[1][name]) for name in found[0])
    assert not np.array_equal(found[0]["head/kernel"], found[2]["head/kernel"])


def test_dropout_changes_training_and_not_prediction():
    for setting in ("embedding__dropout", "embedding__word_dropout", "model__dropout"):
        model, _ = built(text_config(**{setting: 0.5}), 2)
        plain, _ = built(text_config(), 2)
        assert np.array_equal(predict(model, tokens()), predict(plain, tokens()))
        outputs = [np.asarray(model(tokens(), training=True)) for _ in range(3)]
        assert not (
            np.array_equal(outputs[0], outputs[1]) and np.array_equal(outputs[1], outputs[2])
        )


def test_without_dropout_training_and_prediction_are_equal():
    model, _ = built(text_config(), 2)
    assert np.array_equal(model(tokens(), training=True), model(tokens(), training=False))


def test_word_dropout_replaces_words_and_not_padding():
    layer = classifier.WordDropout(0.3, seed=0)
    ids = np.full((40, 50), 7, np.int32)
    ids[:, 30:] = 0
    dropped = np.asarray(layer(ids, training=True))
    assert set(np.unique(dropped[:, :30])) == {UNKNOWN_ID, 7}
    assert (dropped[:, 30:] == 0).all()
    assert (dropped[:, :30] == UNKNOWN_ID).mean() == pytest.approx(0.3, abs=0.04)
    assert not np.array_equal(dropped, layer(ids, training=True))


def test_word_dropout_is_off_outside_training():
    layer = classifier.WordDropout(0.9, seed=0)
    ids = tokens()
    assert np.array_equal(layer(ids), ids)
    assert np.array_equal(layer(ids, training=False), ids)


def test_a_dropped_word_is_also_dropped_from_bigrams():
    config = text_config(embedding__bigram_buckets=13, embedding__word_dropout=0.99)
    model, weights = built(config, 2)
    unknown = np.full_like(tokens(), UNKNOWN_ID)[:, :1]
    trained = np.asarray(model(np.full((50, 1), 9, np.int32), training=True))
    fraction = np.isclose(trained, np.asarray(model(unknown, training=False))[:1], atol=1e-6).mean()
    assert fraction > 0.9
    assert "bigrams/embeddings" in weights


def test_labels_are_a_column_for_two_classes_and_one_hot_for_more():
    labels = np.array([0, 1, 1], np.int32)
    assert classifier.encode_labels(labels, 2).tolist() == [[0], [1], [1]]
    assert classifier.encode_labels(labels, 3).tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert classifier.encode_labels(labels, 3).dtype == np.float32


def compiled(num_classes=2, **settings):
    config = text_config(**{f"train__{key}": value for key, value in settings.items()})
    model, _ = built(config, num_classes)
    classifier.compile_classifier(model, config.train, num_classes)
    return model


def test_the_optimizer_follows_the_settings():
    optimizer = compiled(learning_rate=0.01, clip_norm=0.5, ema_momentum=0.9).optimizer
    assert type(optimizer) is FusedAdam
    assert float(optimizer.learning_rate) == pytest.approx(0.01)
    assert optimizer.global_clipnorm == 0.5
    assert optimizer.weight_decay is None
    assert (optimizer.use_ema, optimizer.ema_momentum) == (True, 0.9)
    plain = compiled(clip_norm=0.0, weight_decay=0.01).optimizer
    # Decoupled from the gradient, as in AdamW.
    assert plain.weight_decay == 0.01
    assert plain.global_clipnorm is None
    assert plain.use_ema is False


@pytest.mark.parametrize("num_classes", [2, 3])
def test_the_loss_is_the_cross_entropy_in_nats(num_classes):
    model = compiled(num_classes)
    labels = np.array([0, 1, 1, num_classes - 1], np.int32)
    found = model.test_on_batch(
        tokens(), classifier.encode_labels(labels, num_classes), return_dict=True
    )
    chosen = predict(model, tokens())[np.arange(4), labels]
    assert found["loss"] == pytest.approx(-np.log(chosen).mean(), abs=1e-5)
    assert found["accuracy"] == np.mean(predict(model, tokens()).argmax(axis=1) == labels)


def test_label_smoothing_raises_the_loss_of_confident_predictions():
    labels = classifier.encode_labels(np.array([1, 1, 1, 1], np.int32), 2)
    plain, smooth = compiled(), compiled(label_smoothing=0.2)
    for model in (plain, smooth):
        weights = classifier.get_weights(model)
        classifier.set_weights(model, weights | {"head/bias": np.array([9.0], np.float32)})
    assert smooth.test_on_batch(tokens(), labels)[0] > 2 * plain.test_on_batch(tokens(), labels)[0]


def test_the_tutorial_model_has_the_expected_number_of_weights():
    config = configs.load_preset("imdb-tutorial")
    model = classifier.build_classifier(config, 2, 20_000, None)
    assert model.count_params() == 20_000 * 128 + 4 * 128 * (128 + 128 + 1) + 128 + 1
