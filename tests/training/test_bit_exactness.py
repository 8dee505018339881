"""Training resumed from a checkpoint ends with the same bits as without the interruption.

The loop, the model and the files are real.
"""

from __future__ import annotations

import math
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from fixtures_runs import image_config, text_config

from lstm_cli.config import load as configs
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted, Signals
from lstm_cli.models import classifier
from lstm_cli.training import checkpoint, device
from lstm_cli.training import loop as fit
from lstm_cli.training.loop import NonFiniteError, TrainingLoop
from lstm_cli.training.objectives import classification
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.objectives.self_training import SelfTrainingObjective


def texts(num, seed):
    """Random texts from ten words; one in four is of the second class."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, num)
    ids = rng.integers(2, 12, lengths.sum())
    corpus = corpus_of_ids(np.split(ids, np.cumsum(lengths)[:-1]))
    weighed = rng.normal(size=(num, 1)).astype(np.float32)
    return Examples(corpus, (np.arange(num) % 4 == 0).astype(np.int32), weighed)


def images(num, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (num, 8, 8), dtype=np.uint8)
    return Examples(pixels, np.arange(num, dtype=np.int32) % 3)


# A checkpoint after each step; all features that have state or use random numbers.
EVERY_STEP = {"train__checkpoint_seconds": 1e-9, "train__epochs": 3}
TEXT = text_config(
    **EVERY_STEP,
    embedding__dim=6,
    embedding__bigram_buckets=11,
    embedding__bigram_dim=3,
    embedding__region_widths=(3,),
    embedding__region_dim=4,
    embedding__dropout=0.3,
    embedding__word_dropout=0.2,
    linear__buckets=13,
    model__units=5,
    model__dropout=0.3,
    train__batch_size=8,
    train__ema_momentum=0.9,
    train__class_weights="balanced",
    train__weight_decay=0.01,
    train__label_smoothing=0.1,
    train__patience=2,
)
IMAGE = image_config(
    **EVERY_STEP,
    image__window=3,
    image__stride=2,
    image__shift=1,
    image__elastic=0.5,
    model__cell="peephole",
    model__units=4,
    model__dropout=0.3,
    model__bidirectional=False,
    model__pooling="last",
    train__batch_size=5,
    train__learning_rate=0.05,
    train__decay="linear",
    train__patience=0,
)
SELF_TRAINING = configs.from_dict(
    configs.to_dict(TEXT), {"train.self_training": True, "train.ema_momentum": 0.5}
)
UNLABELED = texts(14, 3)
PSEUDO_LABELS = np.random.default_rng(4).uniform(size=(14, 1)).astype(np.float32)
WEIGHTED = replace(texts(22, 1), weights=np.linspace(0.5, 3, 22))
KINDS = {
    "text": (TEXT, 2, 12, None, WEIGHTED, texts(9, 2)),
    "self_training": (SELF_TRAINING, 2, 12, None, WEIGHTED, texts(9, 2)),
    "image": (IMAGE, 3, None, (8, 8), images(17, 1), images(9, 2)),
}


class Uninterrupted:
    """A training without interruption, its state after each step, and a second model."""

    def __init__(self, kind):
        self.config, self.num_classes, self.vocab_size, self.shape, self.train, self.validation = (
            KINDS[kind]
        )
        self.states = []
        model = self.compiled()
        self.initial = checkpoint.model_state(model)
        self.result = self.loop(model, self.states.append).run()
        self.final = checkpoint.model_state(model)
        self.other = self.compiled()

    def compiled(self):
        device.configure_backend(self.config, "cpu", SilentReporter())
        model = classifier.build_classifier(
            self.config, self.num_classes, self.vocab_size, self.shape
        )
        classifier.compile_classifier(model, self.config.train, self.num_classes)
        model.optimizer.build(model.trainable_variables)
        return model

    def loop(self, model, save=None, config=None, signals=None):
        config = config or self.config
        given = (config, self.num_classes, self.train, self.validation)
        objective = classification.ClassificationObjective(*given)
        if config.train.self_training:
            objective = SelfTrainingObjective(*given, UNLABELED, PSEUDO_LABELS, SilentReporter())
        return TrainingLoop(model, config, objective, SilentReporter(), save, signals)

    def from_disk(self, state, folder):
        """Save and read a state, as a new process does."""
        checkpoint.save(folder, state)
        return checkpoint.newest(folder, SilentReporter())

    def resumed(self, state, folder, save=None):
        """Resume from a state with the second model, in any state."""
        loop = self.loop(self.other, save)
        loop.restore(self.from_disk(state, folder))
        result = loop.run()
        same_tensors(checkpoint.model_state(self.other), self.final)
        same_tensors(result.weights, self.result.weights)
        assert untimed(result.history) == untimed(self.result.history)
        assert (result.best_epoch, result.stop_reason) == (
            self.result.best_epoch,
            self.result.stop_reason,
        )


def same_tensors(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name


def untimed(history):
    return [replace(line, seconds=0.0) for line in history]


@pytest.fixture(scope="module", params=["text", "self_training", "image"])
def uninterrupted(request):
    return Uninterrupted(request.param)


def test_the_same_seed_gives_the_same_initial_state(uninterrupted):
    same_tensors(checkpoint.model_state(uninterrupted.compiled()), uninterrupted.initial)


def test_training_resumed_after_any_step_ends_with_the_same_bits(uninterrupted, tmp_path):
    places = [(s.progress["epoch"], s.progress["step"]) for s in uninterrupted.states]
    steps = uninterrupted.loop(uninterrupted.other).steps_per_epoch
    # The last step of an epoch, saved before validation; and its end, saved after.
    assert {(0, 1), (0, steps), (1, 0), (1, 1)} <= set(places)
    assert uninterrupted.result.history[0].loss != uninterrupted.result.history[1].loss
    for number, state in enumerate(uninterrupted.states):
        uninterrupted.resumed(state, tmp_path / str(number))


def test_training_resumed_twice_ends_with_the_same_bits(uninterrupted, tmp_path):
    again = []
    uninterrupted.resumed(uninterrupted.states[1], tmp_path / "first", again.append)
    uninterrupted.resumed(again[len(again) // 2], tmp_path / "second")


def test_checkpoints_of_different_steps_differ(uninterrupted):
    """Otherwise the tests above would pass without a restore."""
    digests = {
        name: {state.tensors[name].tobytes() for state in uninterrupted.states}
        for name in uninterrupted.initial
    }
    constant = {int(n.split("/")[1]) for n, seen in digests.items() if len(seen) == 1}
    # The random states of LSTM layers: their own dropout is not used.
    paths = {uninterrupted.other.variables[number].path for number in constant}
    lstms = [layer for layer in uninterrupted.other.layers if isinstance(layer, keras.layers.LSTM)]
    unused = {v.path for lstm in lstms for v in lstm.variables if "seed" in v.path}
    # Training does not change them.
    fixed = {path for path in paths if path.startswith("region_embedding_")}
    assert len(fixed) == (2 if "tokens" in str(uninterrupted.other.inputs) else 0)
    assert paths - fixed <= unused


def test_a_checkpoint_of_another_model_is_refused(uninterrupted):
    state = uninterrupted.states[0]
    name = "model/0"
    loop = uninterrupted.loop(uninterrupted.other)
    for tensors in (
        {key: value for key, value in state.tensors.items() if key != name},
        {**state.tensors, name: np.zeros((1, 1), np.float32)},
    ):
        with pytest.raises(LstmError, match="another model"):
            loop.restore(checkpoint.Checkpoint(tensors, state.progress))


# Stopping


def grown(config, epochs):
    return configs.from_dict(configs.to_dict(config), {"train.epochs": epochs})


def test_a_signal_during_the_last_validation_stops_training(uninterrupted, tmp_path, monkeypatch):
    (before,) = [s for s in uninterrupted.states if s.progress == last_step(uninterrupted).progress]
    signals, saved = Signals(), []
    loop = uninterrupted.loop(uninterrupted.other, saved.append, signals=signals)
    loop.restore(before)
    predict = classification.predict

    def interrupted(*args):
        signals.pending = signal.SIGTERM
        return predict(*args)

    monkeypatch.setattr(classification, "predict", interrupted)
    with pytest.raises(Interrupted, match="Saved at the end of epoch"):
        loop.run()
    uninterrupted.resumed(saved[-1], tmp_path)


def last_step(uninterrupted):
    return [state for state in uninterrupted.states if state.progress["step"]][-1]


class StopAfterTwo(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


def test_a_stop_request_of_a_callback_is_restored(uninterrupted, tmp_path):
    start, saved = uninterrupted.states[0], []
    loop = uninterrupted.loop(uninterrupted.other, saved.append)
    loop.restore(start)
    assert loop.run([StopAfterTwo()]).stop_reason == "a callback asked to stop"
    found = uninterrupted.from_disk(saved[-1], tmp_path)
    loop = uninterrupted.loop(uninterrupted.other)
    loop.restore(found)
    assert loop.stop_reason() == "a callback asked to stop"
    # A request for more epochs overrules it.
    loop = uninterrupted.loop(uninterrupted.other, config=grown(uninterrupted.config, 4))
    loop.restore(found)
    assert loop.stop_reason() == ""


def test_an_extended_run_ends_with_the_same_bits_after_interruptions(uninterrupted, tmp_path):
    config, saved = grown(uninterrupted.config, 5), []
    loop = uninterrupted.loop(uninterrupted.other, saved.append, config)
    loop.restore(uninterrupted.from_disk(uninterrupted.states[-1], tmp_path / "a"))
    whole = loop.run()
    final = checkpoint.model_state(uninterrupted.other)
    assert len(whole.history) == 5 or whole.stop_reason.startswith("validation")
    for number, state in enumerate(saved[::3]):
        loop = uninterrupted.loop(uninterrupted.other, config=config)
        loop.restore(uninterrupted.from_disk(state, tmp_path / f"b{number}"))
        assert untimed(loop.run().history) == untimed(whole.history)
        same_tensors(checkpoint.model_state(uninterrupted.other), final)


def test_seconds_of_an_interrupted_epoch_add_up(uninterrupted):
    state = last_step(uninterrupted)
    progress = {**state.progress, "epoch_seconds": 1000.0, "seconds": 5000.0}
    loop = uninterrupted.loop(uninterrupted.other)
    loop.restore(checkpoint.Checkpoint(state.tensors, progress))
    history = loop.run().history
    assert 1000 < history[state.progress["epoch"]].seconds < 1100
    assert loop.earlier_seconds == 5000
    assert 5000 < loop.seconds < 5100


# Non-finite loss or weights


def restored(uninterrupted):
    """The second model after its first epoch."""
    state = next(s for s in uninterrupted.states if s.progress["epoch"] == 1)
    loop = uninterrupted.loop(uninterrupted.other)
    loop.restore(state)
    return loop


def batch(uninterrupted, epoch, step):
    planned = uninterrupted.loop(uninterrupted.other).objective.batches(epoch, [step])
    return next(iter(planned))[0].tolist()


def poison(variable, value):
    variable.assign(np.full(variable.shape, value, np.float32))


def variable(variables, name):
    return next(v for v in variables if name in v.path)


def test_a_non_finite_loss_stops_training_with_step_rate_and_examples(uninterrupted):
    loop = restored(uninterrupted)
    best = {name: array.copy() for name, array in loop.best_weights.items()}
    poison(variable(loop.model.variables, "head/bias"), math.nan)
    with pytest.raises(NonFiniteError) as caught:
        loop.run()
    examples = batch(uninterrupted, 1, 0)
    message, found = caught.value.message, caught.value.details
    assert "The loss is not finite at epoch 2, step 1" in message
    assert f"training examples {examples[0]}" in message
    rate = fit.learning_rate(
        uninterrupted.config.train, loop.steps_per_epoch, 3 * loop.steps_per_epoch
    )
    assert f"learning rate {rate:.3g}" in message
    assert found == {
        "stage": 1, "epoch": 2, "step": 1, "loss": "nan", "learning_rate": rate,
        "examples": examples,
    }  # fmt: skip
    # The best weights so far are those of the first epoch, and finite.
    assert loop.best_epoch == 1
    same_tensors(loop.result("").weights, best)
    assert all(np.isfinite(array).all() for array in best.values())


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_non_finite_gradient_stops_training_before_a_checkpoint(uninterrupted, value):
    loop = restored(uninterrupted)
    saved = []
    loop._save_checkpoint = saved.append
    # The loss of this step is finite, but the update is not.
    poison(variable(loop.model.optimizer.variables, "head_bias_momentum"), value)
    with pytest.raises(NonFiniteError, match="A gradient is not finite at epoch 2"):
        loop.run()
    assert saved == []


def test_a_non_finite_validation_loss_stops_training(uninterrupted, monkeypatch):
    loop = restored(uninterrupted)
    monkeypatch.setattr(classification, "loss_and_accuracy", lambda *_: (math.nan, 0.5))
    with pytest.raises(NonFiniteError, match="validation loss of epoch 2"):
        loop.run()
