"""Region features in Keras: the same as in the ONNX graph, and trained with a sparse gradient."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from fixtures_runs import image_config, random_weights, text_config

from lstm_cli.models import classifier
from lstm_cli.models.regions import RegionFeatures
from lstm_cli.prediction.predictor import open_session
from lstm_cli.runs import onnx_graph
from lstm_cli.text.batching import pad_batch

VOCAB = 12
TEXTS = [np.array(ids, np.int32) for ids in ([5], [2, 9, 11, 7], [3, 3], [1, 2, 3])]
LENGTHS = np.array([len(ids) for ids in TEXTS], np.int32)
REGIONS = {"model__regions": (2, 3, 6), "model__region_units": 5}


def built(config, num_classes, shape=None):
    model = classifier.build_classifier(config, num_classes, None if shape else VOCAB, shape)
    weights = random_weights(config, num_classes, VOCAB, shape and shape[1])
    # Padding must not win.
    if shape is None:
        weights["embedding/embeddings"][0] = 50
    assert set(classifier.get_weights(model)) == set(weights)
    classifier.set_weights(model, weights)
    graph = onnx_graph.build(config, weights, num_classes, shape)
    return model, open_session(graph.SerializeToString())


@pytest.mark.parametrize("training", [False, True])
def test_keras_and_onnx_agree_on_texts(training):
    config = text_config(embedding__bigram_buckets=13, **REGIONS)
    model, session = built(config, 3)
    tokens = pad_batch(TEXTS)
    expected = session.run(None, {"tokens": tokens, "lengths": LENGTHS})[0]
    for wide in (tokens, np.pad(tokens, ((0, 0), (0, 3)))):
        assert np.abs(np.asarray(model(wide, training=training)) - expected).max() < 1e-5
    alone = np.asarray(model(tokens[:1, :1], training=training))
    assert np.abs(alone - expected[:1]).max() < 1e-5


def test_keras_and_onnx_agree_on_images():
    model, session = built(image_config(**REGIONS), 10, (4, 5))
    images = np.random.default_rng(1).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    expected = session.run(None, {"images": images})[0]
    assert np.abs(np.asarray(model(images, training=False)) - expected).max() < 1e-5


def test_the_gradient_is_that_of_the_whole_convolution():
    rng = np.random.default_rng(0)
    x = keras.ops.convert_to_tensor(rng.normal(size=(3, 7, 4)).astype(np.float32))
    valid = keras.ops.convert_to_tensor(np.arange(7) < np.array([[1], [4], [7]]))
    layer = RegionFeatures(3, 6, "regions_3")
    layer(x, valid)
    gradients = []
    for training in (True, False):
        gradients.append(_gradients(layer, x, valid, training))
    for sparse, dense in zip(*gradients, strict=True):
        assert np.abs(dense).max() > 0.1
        assert np.abs(sparse - dense).max() < 1e-5


def _gradients(layer, x, valid, training):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(tf.square(layer(x, valid, training=training)))
    sources = [x, *(variable.value for variable in layer.trainable_variables)]
    return [np.asarray(gradient) for gradient in tape.gradient(total, sources)]
