"""The training loop: schedule, class weights, stopping, best weights, reports.

Everything here imports Keras. One compiled model serves most tests: tracing it is what takes time.
"""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from fixtures_properties import relaxed
from fixtures_runs import image_config, random_weights, text_config
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.config.schema import TrainSettings
from lstm_cli.data.augmentation import random_shift
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.text_format import pluralize
from lstm_cli.models import classifier
from lstm_cli.text.batching import pad_batch
from lstm_cli.training import loop as fit
from lstm_cli.training.loop import TrainingLoop
from lstm_cli.training.objectives import classification
from lstm_cli.training.objectives.classification import Examples

VOCAB = 8


# The class depends on whether 2 comes before 3. Every word occurs in both classes.
EIGHT = Examples(
    corpus_of_ids(
        [[2, 3], [3, 2], [2, 4, 3], [3, 4, 2], [5, 2, 3], [5, 3, 2], [2, 3, 6, 6], [3, 2, 6, 6]]
    ),
    np.array([0, 1] * 4, np.int32),
)


def config(**train):
    """Settings of a small text model; the settings here are not compiled into the model."""
    plain = {"patience": 0, "warmup": 0.0, "decay": "none", "calibrate": False}
    train = {"batch_size": 8, "epochs": 2, **plain, **train}
    settings = {"embedding__dim": 6, "model__units": 6}
    return text_config(**settings, **{f"train__{key}": value for key, value in train.items()})


def compiled(settings):
    keras.utils.set_random_seed(0)
    model = classifier.build_classifier(settings, 2, VOCAB, None)
    classifier.compile_classifier(model, settings.train, 2)
    return model


def variables(model):
    """All variables that training changes."""
    return {id(v): v for v in [*model.variables, *model.optimizer.variables]}.values()


@pytest.fixture(scope="module")
def shared():
    model = compiled(config())
    return model, [v.numpy() for v in variables(model)]


@pytest.fixture
def model(shared):
    """A small untrained model."""
    model, first = shared
    for variable, value in zip(variables(model), first, strict=True):
        variable.assign(value)
    return model


class RecordingReporter(SilentReporter):
    """A reporter that records steps and epochs."""

    def __init__(self):
        self.steps, self.epochs = [], []

    def step(self, step):
        self.steps.append(step)

    def epoch(self, epoch):
        self.epochs.append(epoch)


class Watch(keras.callbacks.Callback):
    """A callback that records its calls, and the weights after steps and epochs."""

    def __init__(self):
        super().__init__()
        self.events, self.rates, self.after_step, self.after_epoch = [], [], [], []
        self.logs = []

    def on_train_begin(self, logs=None):
        self.events.append("begin")

    def on_train_end(self, logs=None):
        self.events.append("end")

    def on_epoch_begin(self, epoch, logs=None):
        self.events.append(f"epoch {epoch}")

    def on_epoch_end(self, epoch, logs=None):
        self.events.append(f"done {epoch}")
        self.after_epoch.append(classifier.get_weights(self.model))
        self.logs.append(logs)

    def on_train_batch_begin(self, batch, logs=None):
        self.events.append(f"step {batch}")

    def on_train_batch_end(self, batch, logs=None):
        self.rates.append(float(self.model.optimizer.learning_rate.numpy()))
        self.after_step.append(classifier.get_weights(self.model))


def loop(model, train=EIGHT, validation=EIGHT, reporter=None, **settings):
    chosen = config(**settings)
    objective = classification.ClassificationObjective(chosen, 2, train, validation)
    return TrainingLoop(model, chosen, objective, reporter or SilentReporter())


def equal(one, other, tolerance=0.0):
    return one.keys() == other.keys() and all(
        np.abs(one[name] - other[name]).max() <= tolerance for name in one
    )


# Learning


def test_word_order_is_learned(model):
    result = loop(model, epochs=40, learning_rate=0.05).run()
    assert result.history[-1].accuracy == 1.0
    assert result.history[-1].loss < 0.1
    classifier.set_weights(model, result.weights)
    assert (classification.predict(model, EIGHT).argmax(axis=1) == EIGHT.labels).all()


def test_the_same_initial_weights_give_the_same_result(model, shared):
    ends = []
    for _ in range(2):
        for variable, value in zip(variables(model), shared[1], strict=True):
            variable.assign(value)
        ends.append(loop(model, batch_size=3, learning_rate=0.01).run().weights)
    assert equal(ends[0], ends[1], 1e-6)


def test_predictions_are_complete_and_in_order_for_any_batches(model, monkeypatch):
    classifier.set_weights(model, random_weights(config(), 2, VOCAB))
    monkeypatch.setattr(classification, "_VALIDATION_BATCH", 3)
    mixed = Examples(EIGHT.inputs.take(np.array([6, 0, 3, 7, 1, 5, 2, 4])), EIGHT.labels)
    found = classification.predict(model, mixed)
    assert found.shape == (8, 2)
    for i in range(8):
        alone = np.asarray(model(pad_batch([mixed.inputs[i]]), training=False))
        assert found[i, 1] == pytest.approx(float(alone[0, 0]), abs=1e-6)
    assert found.sum(axis=1) == pytest.approx(np.ones(8))


# The schedule


def rates(num_steps=20, **settings):
    chosen = TrainSettings(**{"learning_rate": 0.8, **settings})
    return [fit.learning_rate(chosen, step, num_steps) for step in range(num_steps)]


def test_without_warmup_and_decay_the_rate_stays():
    assert rates(warmup=0.0, decay="none") == [0.8] * 20


def test_the_warmup_rises_linearly_to_the_peak():
    found = rates(warmup=0.2, decay="none")
    assert found[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert found[4:] == [0.8] * 16


def test_linear_decay_falls_linearly_towards_zero():
    found = rates(warmup=0.2, decay="linear")
    assert found[4:] == pytest.approx([0.8 * (1 - step / 16) for step in range(16)])


def test_cosine_decay_is_half_the_peak_in_the_middle():
    found = rates(warmup=0.2, decay="cosine")
    assert found[4] == pytest.approx(0.8)
    assert found[12] == pytest.approx(0.4)
    assert found[-1] == pytest.approx(0.8 * 0.5 * (1 + math.cos(math.pi * 15 / 16)))


@pytest.mark.parametrize("decay", ["linear", "cosine"])
def test_decay_ends_at_decay_to(decay):
    found = rates(1000, warmup=0.0, decay=decay, decay_to=0.25)
    assert found[0] == pytest.approx(0.8)
    assert found[500] == pytest.approx((0.8 + 0.2) / 2)
    assert found[-1] == pytest.approx(0.2, abs=0.001)


@relaxed
@given(st.floats(0, 0.99), st.sampled_from(["none", "linear", "cosine"]), st.integers(1, 60))
def test_every_rate_is_above_zero_and_at_most_the_peak(warmup, decay, num_steps):
    found = rates(num_steps, warmup=warmup, decay=decay)
    assert all(0 < rate <= 0.8 * (1 + 1e-12) for rate in found)
    assert max(found) == pytest.approx(0.8)


def test_each_step_has_the_learning_rate_of_the_schedule(model):
    watch = Watch()
    settings = {"warmup": 0.4, "decay": "cosine", "learning_rate": 0.01, "batch_size": 3}
    result = loop(model, **settings).run([watch])
    expected = rates(6, warmup=0.4, decay="cosine", learning_rate=0.01)
    assert watch.rates == pytest.approx(expected)
    assert [e.learning_rate for e in result.history] == pytest.approx([expected[2], expected[5]])


# Class weights


def test_balanced_weights_raise_the_rare_class(model, shared):
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0], np.int32)
    same_text = Examples(corpus_of_ids([[2, 3]] * 8), labels)
    predicted = {}
    for choice in ("none", 0.5, "balanced"):
        for variable, value in zip(variables(model), shared[1], strict=True):
            variable.assign(value)
        settings = {"epochs": 60, "learning_rate": 0.05, "class_weights": choice}
        loop(model, same_text, same_text, **settings).run()
        predicted[choice] = classification.predict(model, same_text)[0, 1]
    assert predicted["none"] == pytest.approx(1 / 8, abs=0.03)
    assert predicted[0.5] == pytest.approx(1 / (1 + 7**0.5), abs=0.03)
    assert predicted["balanced"] == pytest.approx(1 / 2, abs=0.03)


# Row weights


@pytest.mark.parametrize("unit", [1.0, 40.0])
def test_a_row_counts_as_its_weight_says(model, unit):
    labels = np.array([1, 0, 0, 0, 0, 0, 0, 0], np.int32)
    weights = unit * np.where(labels, 7.0, 1.0)
    same_text = Examples(corpus_of_ids([[2, 3]] * 8), labels, None, weights)
    loop(model, same_text, same_text, epochs=60, learning_rate=0.05).run()
    assert classification.predict(model, same_text)[0, 1] == pytest.approx(1 / 2, abs=0.03)


def test_weights_go_with_their_rows():
    weighted = replace(EIGHT, weights=np.arange(8.0))
    assert weighted.take(np.array([5, 2])).weights.tolist() == [5, 2]
    assert EIGHT.take(np.array([5, 2])).weights is None
    assert EIGHT.row_weights.tolist() == [1] * 8


def test_row_weights_are_for_the_loss_and_not_for_the_accuracy(model):
    classifier.set_weights(model, random_weights(config(), 2, VOCAB))
    weights = np.arange(1.0, 9.0)
    weighted = replace(EIGHT, weights=weights)
    settings = {"epochs": 1, "learning_rate": 1e-12, "class_weights": "balanced"}
    (line,) = loop(model, weighted, weighted, **settings).run().history
    found = classification.predict(model, EIGHT)
    chosen = -np.log(found[np.arange(8), EIGHT.labels])
    sums = np.bincount(EIGHT.labels, weights)
    expected = np.mean(chosen * weights / weights.mean() * (weights.sum() / 2 / sums)[EIGHT.labels])
    assert line.loss == pytest.approx(expected, abs=1e-5)
    assert line.accuracy == pytest.approx(np.mean(found.argmax(axis=1) == EIGHT.labels))
    assert line.val_loss == pytest.approx(chosen.mean(), abs=1e-5)


# Reports


def test_loss_and_accuracy_of_an_epoch_are_means_over_its_examples(model):
    classifier.set_weights(model, random_weights(config(), 2, VOCAB))
    # With this learning rate the weights stay almost the same.
    result = loop(model, batch_size=3, epochs=1, learning_rate=1e-12).run()
    found = classification.predict(model, EIGHT)
    chosen = found[np.arange(8), EIGHT.labels]
    (line,) = result.history
    assert line.loss == pytest.approx(-np.log(chosen).mean(), abs=1e-5)
    assert line.accuracy == pytest.approx(np.mean(found.argmax(axis=1) == EIGHT.labels))
    assert (line.val_loss, line.val_accuracy) == pytest.approx((line.loss, line.accuracy), abs=1e-5)
    assert (line.epoch, line.steps, line.best) == (1, 3, True)
    assert line.seconds > 0


def test_every_epoch_and_its_last_step_are_reported(model, monkeypatch):
    monkeypatch.setattr(fit, "_REPORT_SECONDS", 1e9)
    reporter = RecordingReporter()
    result = loop(model, reporter=reporter, batch_size=3).run()
    assert tuple(reporter.epochs) == result.history
    assert [(s.epoch, s.step, s.steps, s.epochs) for s in reporter.steps] == [
        (1, 3, 3, 2),
        (2, 3, 3, 2),
    ]
    assert [s.loss for s in reporter.steps] == [e.loss for e in result.history]
    assert reporter.steps[-1].seconds_left == pytest.approx(0)
    assert all(step.rate > 0 for step in reporter.steps)


def test_slow_steps_are_all_reported(model, monkeypatch):
    monkeypatch.setattr(fit, "_REPORT_SECONDS", 0)
    reporter = RecordingReporter()
    loop(model, reporter=reporter, batch_size=3).run()
    assert [s.step for s in reporter.steps] == [1, 2, 3, 1, 2, 3]
    left = [s.seconds_left for s in reporter.steps]
    assert left[-1] == 0
    assert min(left) >= 0


# Callbacks


def test_callbacks_are_called_as_by_fit(model):
    watch = Watch()
    loop(model, batch_size=4).run([watch])
    assert watch.events == [
        "begin", "epoch 0", "step 0", "step 1", "done 0", "epoch 1", "step 0", "step 1", "done 1",
        "end",
    ]  # fmt: skip
    assert set(watch.logs[0]) == {"loss", "accuracy", "val_loss", "val_accuracy"}


def test_a_callback_stops_training_but_not_the_next_training(model):
    class Stop(Watch):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            self.model.stop_training = True

    stop = Stop()
    result = loop(model, epochs=5).run([stop])
    assert len(result.history) == 1
    assert "callback" in result.stop_reason
    assert stop.events[-1] == "end"
    assert len(loop(model, epochs=2).run().history) == 2


# Stopping and the best weights


def scripted(monkeypatch, losses):
    """Make validation return these losses, one per epoch."""
    found = iter(losses)
    monkeypatch.setattr(classification, "loss_and_accuracy", lambda *_: (next(found), 0.5))


@pytest.mark.parametrize(
    ("losses", "patience", "epochs", "best"),
    [
        ([1.0, 0.5, 0.6, 0.7, 0.4], 2, 4, 2),
        ([1.0, 0.5, 0.6, 0.4, 0.7], 2, 5, 4),
        ([1.0, 1.1, 0.4, 0.4, 0.4], 1, 2, 1),
        ([0.5, 0.5, 0.5, 0.5, 0.1], 3, 4, 1),
        ([1.0, 1.1, 1.2, 1.3, 0.4], 0, 5, 5),
    ],
)
def test_training_stops_after_patience_with_the_weights_of_the_best_epoch(
    losses, patience, epochs, best, model, monkeypatch
):
    scripted(monkeypatch, losses)
    watch = Watch()
    result = loop(model, epochs=5, patience=patience, learning_rate=0.01).run([watch])
    assert len(result.history) == epochs
    assert result.best_epoch == best
    assert equal(result.weights, watch.after_epoch[best - 1])
    assert not equal(result.weights, watch.after_epoch[best - 2])
    best_so_far = [min(losses[: i + 1]) == x and x not in losses[:i] for i, x in enumerate(losses)]
    assert [line.best for line in result.history] == best_so_far[:epochs]
    reason = "did not improve for" if epochs < 5 else "epoch 5 of 5 is done"
    assert reason in result.stop_reason


def test_pluralize():
    assert [pluralize(n, "epoch") for n in (1, 2, 1200)] == ["1 epoch", "2 epochs", "1,200 epochs"]


def test_averaged_weights_are_validated_and_saved_but_raw_weights_are_trained():
    settings = {"ema_momentum": 0.5, "batch_size": 3, "epochs": 2, "learning_rate": 0.05}
    model = compiled(config(**settings))
    watch = Watch()
    result = loop(model, **settings).run([watch])
    raw = watch.after_step
    averages = {name: raw[0][name] for name in raw[0]}
    found = []
    for step, weights in enumerate(raw):
        if step:
            averages = {name: 0.5 * averages[name] + 0.5 * weights[name] for name in weights}
        if step % 3 == 2:
            found.append(averages)
    assert equal(result.weights, found[result.best_epoch - 1], 1e-6)
    assert equal(watch.after_epoch[0], raw[2])
    classifier.set_weights(model, result.weights)
    expected = classification.loss_and_accuracy(EIGHT.labels, classification.predict(model, EIGHT))
    best = result.history[result.best_epoch - 1]
    assert (best.val_loss, best.val_accuracy) == pytest.approx(expected, abs=1e-6)


def test_epochs_are_compared_by_their_calibrated_loss(monkeypatch):
    """Two epochs with the same classes have the same loss, although one is overconfident."""
    # On few texts the scale would stay near 1.
    many = EIGHT.take(np.tile(np.arange(8), 5000))
    right = np.tile([2.0, 1.0, 3.0, -2.0, 1.0, 3.0, -1.0, 1.5], 5000)
    odds = np.where(many.labels == 1, right, -right)
    answers = [1 / (1 + np.exp(-factor * odds)) for factor in (1, 6)]
    predictions = iter(np.stack([1 - p, p], axis=1).astype(np.float32) for p in answers)
    monkeypatch.setattr(classification, "predict", lambda *_: next(predictions))
    objective = classification.ClassificationObjective(config(calibrate=True), 2, EIGHT, many)
    one, other = objective.validate(None), objective.validate(None)
    assert one == pytest.approx(other, abs=1e-4)
    assert (
        one[0]
        < classification.loss_and_accuracy(many.labels, objective.validation_probabilities)[0]
    )


def test_a_loss_of_nan_is_not_hidden_by_calibration(monkeypatch):
    predictions = np.full((8, 2), np.nan, np.float32)
    monkeypatch.setattr(classification, "predict", lambda *_: predictions)
    objective = classification.ClassificationObjective(config(calibrate=True), 2, EIGHT, EIGHT)
    assert math.isnan(objective.validate(None)[0])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="JAX builds beforehand")
def test_a_step_is_compiled_once_for_all_batch_sizes(monkeypatch):
    model, traced, so_far = compiled(config()), [], []
    step = model.train_step
    monkeypatch.setattr(model, "train_step", lambda batch: traced.append(1) or step(batch))
    for num in (8, 5):
        inputs, targets = EIGHT.gather(np.arange(num)), EIGHT.labels[:num, None]
        model.train_on_batch(inputs, targets.astype(np.float32), return_dict=True)
        so_far.append(len(traced))
    assert so_far == [1, 1]


# Non-finite loss or weights


def test_a_non_finite_loss_is_reported_with_step_examples_and_rate(model):
    class Poison(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 1:
                classifier.set_weights(self.model, {k: v * np.nan for k, v in weights.items()})

    weights = classifier.get_weights(model)
    with pytest.raises(LstmError) as caught:
        loop(model, batch_size=3, learning_rate=0.125).run([Poison()])
    message = caught.value.message
    assert message.startswith("The loss is not finite at epoch 1, step 3")
    assert "0.125" in message
    last = list(classification.training_batches(EIGHT, config(batch_size=3), 0))[2][0]
    assert all(str(i) in message.rsplit("examples", 1)[1] for i in last)
    assert "learning_rate" in caught.value.hint


def test_non_finite_weights_with_a_finite_loss_are_reported(model, monkeypatch):
    train_on_batch = model.train_on_batch

    def diverging(*args, **kwargs):
        logs = train_on_batch(*args, **kwargs)
        weights = classifier.get_weights(model)
        classifier.set_weights(model, weights | {"head/bias": np.array([np.inf], np.float32)})
        return logs

    monkeypatch.setattr(model, "train_on_batch", diverging)
    with pytest.raises(LstmError, match="gradient is not finite at epoch 1, step 1") as caught:
        loop(model).run()
    assert "learning_rate" in caught.value.hint


# Batches


def test_images_are_shifted_in_training_only():
    images = np.zeros((20, 8, 8), np.uint8)
    images[:, 4, 4] = np.arange(1, 21)
    examples = Examples(images, np.zeros(20, np.int32))
    assert examples.lengths.tolist() == [8] * 20
    still = image_config(train__batch_size=6)
    moving = image_config(train__batch_size=6, image__shift=2)
    for settings, moved in ((still, False), (moving, True)):
        seen, places = [], set()
        for indices, inputs in classification.training_batches(examples, settings, 0):
            assert inputs.reshape(len(indices), -1).max(axis=1).tolist() == (indices + 1).tolist()
            places |= {tuple(np.argwhere(image)[0]) for image in inputs}
            seen += indices.tolist()
        assert sorted(seen) == list(range(20))
        assert (len(places) > 1) == moved
    assert images[:, 4, 4].tolist() == list(range(1, 21))


def test_an_epochs_batches_are_a_function_of_seed_and_epoch():
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    examples = Examples(images, np.zeros(20, np.int32))

    def drawn(epoch, **settings):
        chosen = image_config(train__batch_size=6, image__shift=2, **settings)
        return [inputs for _, inputs in classification.training_batches(examples, chosen, epoch)]

    def same(one, other):
        return all(map(np.array_equal, one, other))

    assert same(drawn(3), drawn(3))
    assert not same(drawn(3), drawn(4))
    assert not same(drawn(3), drawn(3, seed=1))


def test_shuffling_and_shifts_of_the_first_batch_use_different_random_numbers():
    images = np.zeros((64, 8, 8), np.uint8)
    images[:, 4, 4] = 1
    settings = image_config(train__batch_size=64, image__shift=3)
    ((indices, inputs),) = classification.training_batches(
        Examples(images, np.zeros(64)), settings, 5
    )
    shuffling = np.random.default_rng([settings.seed, 5])
    assert not np.array_equal(inputs, random_shift(images[indices], 3, shuffling))


def test_an_epoch_can_start_at_any_step():
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8), dtype=np.uint8)
    examples = Examples(images, np.zeros(20, np.int32))
    settings = image_config(train__batch_size=6, image__shift=2)
    whole = list(classification.training_batches(examples, settings, 2))
    for first in range(5):
        rest = list(classification.training_batches(examples, settings, 2, range(first, 4)))
        assert len(rest) == 4 - first
        for one, other in zip(whole[first:], rest, strict=True):
            assert all(map(np.array_equal, one, other))


def test_texts_are_padded_batch_by_batch():
    for indices, inputs in classification.training_batches(EIGHT, config(batch_size=2), 0):
        assert np.array_equal(inputs, pad_batch([EIGHT.inputs[i] for i in indices]))
        assert inputs.shape[1] == EIGHT.lengths[indices].max()


def test_the_parameters_of_a_model_are_counted():
    model = classifier.build_classifier(config(), 2, VOCAB, None)
    assert fit.num_parameters(model) == model.count_params()
