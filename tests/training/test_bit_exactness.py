"""Training that goes on from a checkpoint ends with the bits it would have ended with.

The loop and the network are real, and so is the disk between them.
"""

from __future__ import annotations

import math
import signal
from dataclasses import replace

import keras
import numpy as np
import pytest
from fixtures_runs import image_config, text_config

from lstm_cli.config import load as configs
from lstm_cli.errors import LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.io.signals import Interrupted, Signals
from lstm_cli.models import classifier
from lstm_cli.text.corpus import Corpus
from lstm_cli.training import checkpoint, device
from lstm_cli.training import loop as fit
from lstm_cli.training.loop import NonFiniteError, TrainingLoop
from lstm_cli.training.objectives import classification
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.objectives.self_training import SelfTrainingObjective


def texts(num, seed):
    """Random texts of a dozen words, few of them of the second class."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, num)
    ids = rng.integers(2, 12, lengths.sum()).astype(np.uint16)
    starts = np.cumsum([0, *lengths], dtype=np.int64)
    counts = lengths.astype(np.int32)
    corpus = Corpus(ids, starts, counts, np.zeros(num, np.int32))
    weighed = rng.normal(size=(num, 1)).astype(np.float32)
    return Examples(corpus, (np.arange(num) % 4 == 0).astype(np.int32), weighed)


def images(num, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (num, 8, 8), dtype=np.uint8)
    return Examples(pixels, np.arange(num, dtype=np.int32) % 3)


# A checkpoint after each step, and everything in use that has a state or draws at random.
EVERY_STEP = {"train__checkpoint_seconds": 1e-9, "train__epochs": 3}
TEXT = text_config(
    **EVERY_STEP,
    embedding__dim=6,
    embedding__bigram_buckets=11,
    embedding__bigram_dim=3,
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
    image__shift=1,
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
TAUGHT = configs.from_dict(
    configs.to_dict(TEXT), {"train.self_training": True, "train.ema_momentum": 0.5}
)
UNLABELED = texts(14, 3)
VERDICTS = np.random.default_rng(4).uniform(size=(14, 1)).astype(np.float32)
KINDS = {
    "text": (TEXT, 2, 12, None, texts(22, 1), texts(9, 2)),
    "taught": (TAUGHT, 2, 12, None, texts(22, 1), texts(9, 2)),
    "image": (IMAGE, 3, None, (8, 8), images(17, 1), images(9, 2)),
}


class Undisturbed:
    """Training that nobody interrupts, with its state after each step, and a second network."""

    def __init__(self, kind):
        self.config, self.num_classes, self.vocab_size, self.shape, self.train, self.validation = (
            KINDS[kind]
        )
        self.states = []
        model = self.compiled()
        self.initial = checkpoint.model_state(model)
        self.fitted = self.loop(model, self.states.append).run()
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
        work = classification.ClassificationObjective(*given)
        if config.train.self_training:
            work = SelfTrainingObjective(*given, UNLABELED, VERDICTS, SilentReporter())
        return TrainingLoop(model, config, work, SilentReporter(), save, signals)

    def from_disk(self, state, folder):
        """What a new process reads."""
        checkpoint.save(folder, state)
        return checkpoint.newest(folder, SilentReporter())

    def resumed(self, state, folder, save=None):
        """Go on from a state in the other network, whatever it was used for before."""
        loop = self.loop(self.other, save)
        loop.restore(self.from_disk(state, folder))
        fitted = loop.run()
        same_tensors(checkpoint.model_state(self.other), self.final)
        same_tensors(fitted.weights, self.fitted.weights)
        assert untimed(fitted.history) == untimed(self.fitted.history)
        assert (fitted.best_epoch, fitted.stop_reason) == (
            self.fitted.best_epoch,
            self.fitted.stop_reason,
        )


def same_tensors(found, expected):
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        assert found[name].tobytes() == array.tobytes(), name


def untimed(history):
    return [replace(line, seconds=0.0) for line in history]


@pytest.fixture(scope="module", params=["text", "taught", "image"])
def undisturbed(request):
    return Undisturbed(request.param)


def test_the_same_seed_begins_with_the_same_state(undisturbed):
    same_tensors(checkpoint.model_state(undisturbed.compiled()), undisturbed.initial)


def test_training_resumed_after_any_step_ends_with_the_same_bits(undisturbed, tmp_path):
    places = [(s.progress["epoch"], s.progress["step"]) for s in undisturbed.states]
    steps = undisturbed.loop(undisturbed.other).steps_per_epoch
    # The last step of an epoch, saved before validation; and its end, saved after.
    assert {(0, 1), (0, steps), (1, 0), (1, 1)} <= set(places)
    assert undisturbed.fitted.history[0].loss != undisturbed.fitted.history[1].loss
    for number, state in enumerate(undisturbed.states):
        undisturbed.resumed(state, tmp_path / str(number))


def test_training_resumed_twice_ends_with_the_same_bits(undisturbed, tmp_path):
    again = []
    undisturbed.resumed(undisturbed.states[1], tmp_path / "first", again.append)
    undisturbed.resumed(again[len(again) // 2], tmp_path / "second")


def test_the_states_that_are_restored_differ_from_step_to_step(undisturbed):
    """Or the tests above would show nothing."""
    digests = {
        name: {state.tensors[name].tobytes() for state in undisturbed.states}
        for name in undisturbed.initial
    }
    constant = {int(n.split("/")[1]) for n, seen in digests.items() if len(seen) == 1}
    # The random states of LSTM layers, which have a dropout of their own that is not used.
    paths = {undisturbed.other.variables[number].path for number in constant}
    lstms = [layer for layer in undisturbed.other.layers if isinstance(layer, keras.layers.LSTM)]
    assert paths <= {v.path for lstm in lstms for v in lstm.variables if "seed" in v.path}


def test_a_checkpoint_of_another_network_is_refused(undisturbed):
    state = undisturbed.states[0]
    name = "model/0"
    loop = undisturbed.loop(undisturbed.other)
    for tensors in (
        {key: value for key, value in state.tensors.items() if key != name},
        {**state.tensors, name: np.zeros((1, 1), np.float32)},
    ):
        with pytest.raises(LstmError, match="another model"):
            loop.restore(checkpoint.Checkpoint(tensors, state.progress))


# Stopping


def grown(config, epochs):
    return configs.from_dict(configs.to_dict(config), {"train.epochs": epochs})


def test_a_signal_while_the_last_epoch_is_validated_is_not_lost(undisturbed, tmp_path, monkeypatch):
    (before,) = [s for s in undisturbed.states if s.progress == last_step(undisturbed).progress]
    signals, saved = Signals(), []
    loop = undisturbed.loop(undisturbed.other, saved.append, signals=signals)
    loop.restore(before)
    predict = classification.predict

    def interrupted(*args):
        signals.pending = signal.SIGTERM
        return predict(*args)

    monkeypatch.setattr(classification, "predict", interrupted)
    with pytest.raises(Interrupted, match="Saved at the end of epoch"):
        loop.run()
    undisturbed.resumed(saved[-1], tmp_path)


def last_step(undisturbed):
    return [state for state in undisturbed.states if state.progress["step"]][-1]


class StopAfterTwo(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = epoch == 1


def test_a_callback_that_asked_to_stop_is_remembered(undisturbed, tmp_path):
    start, saved = undisturbed.states[0], []
    loop = undisturbed.loop(undisturbed.other, saved.append)
    loop.restore(start)
    assert loop.run([StopAfterTwo()]).stop_reason == "a callback asked to stop"
    found = undisturbed.from_disk(saved[-1], tmp_path)
    loop = undisturbed.loop(undisturbed.other)
    loop.restore(found)
    assert loop.stop_reason() == "a callback asked to stop"
    # Who asks for more epochs wants them.
    loop = undisturbed.loop(undisturbed.other, config=grown(undisturbed.config, 4))
    loop.restore(found)
    assert loop.stop_reason() == ""


def test_more_epochs_are_trained_the_same_way_however_often_it_is_interrupted(
    undisturbed, tmp_path
):
    config, saved = grown(undisturbed.config, 5), []
    loop = undisturbed.loop(undisturbed.other, saved.append, config)
    loop.restore(undisturbed.from_disk(undisturbed.states[-1], tmp_path / "a"))
    whole = loop.run()
    final = checkpoint.model_state(undisturbed.other)
    assert len(whole.history) == 5 or whole.stop_reason.startswith("validation")
    for number, state in enumerate(saved[::3]):
        loop = undisturbed.loop(undisturbed.other, config=config)
        loop.restore(undisturbed.from_disk(state, tmp_path / f"b{number}"))
        assert untimed(loop.run().history) == untimed(whole.history)
        same_tensors(checkpoint.model_state(undisturbed.other), final)


def test_seconds_of_an_interrupted_epoch_add_up(undisturbed):
    state = last_step(undisturbed)
    progress = {**state.progress, "epoch_seconds": 1000.0, "seconds": 5000.0}
    loop = undisturbed.loop(undisturbed.other)
    loop.restore(checkpoint.Checkpoint(state.tensors, progress))
    history = loop.run().history
    assert 1000 < history[state.progress["epoch"]].seconds < 1100
    assert loop.earlier_seconds == 5000
    assert 5000 < loop.seconds < 5100


# Numbers gone wrong


def restored(undisturbed):
    """The other network after its first epoch."""
    state = next(s for s in undisturbed.states if s.progress["epoch"] == 1)
    loop = undisturbed.loop(undisturbed.other)
    loop.restore(state)
    return loop


def batch(undisturbed, epoch, step):
    planned = undisturbed.loop(undisturbed.other).objective.batches(epoch, [step])
    return next(iter(planned))[0].tolist()


def poison(variable, value):
    variable.assign(np.full(variable.shape, value, np.float32))


def variable(variables, name):
    return next(v for v in variables if name in v.path)


def test_a_loss_that_is_no_number_stops_training_with_step_rate_and_examples(undisturbed):
    loop = restored(undisturbed)
    best = {name: array.copy() for name, array in loop.best_weights.items()}
    poison(variable(loop.model.variables, "head/bias"), math.nan)
    with pytest.raises(NonFiniteError) as caught:
        loop.run()
    examples = batch(undisturbed, 1, 0)
    message, found = caught.value.message, caught.value.details
    assert "The loss is not finite at epoch 2, step 1" in message
    assert f"training examples {examples[0]}" in message
    rate = fit.learning_rate(
        undisturbed.config.train, loop.steps_per_epoch, 3 * loop.steps_per_epoch
    )
    assert f"learning rate {rate:.3g}" in message
    assert found == {
        "epoch": 2, "step": 1, "loss": "nan", "learning_rate": rate, "examples": examples,
    }  # fmt: skip
    # The best weights so far are those of the first epoch, and finite.
    assert loop.best_epoch == 1
    same_tensors(loop.result("").weights, best)
    assert all(np.isfinite(array).all() for array in best.values())


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_gradient_that_is_no_number_stops_training_before_it_is_saved(undisturbed, value):
    loop = restored(undisturbed)
    saved = []
    loop._save_checkpoint = saved.append
    # The loss of this step is right; the step that it takes is not.
    poison(variable(loop.model.optimizer.variables, "head_bias_momentum"), value)
    with pytest.raises(NonFiniteError, match="A gradient is not finite at epoch 2"):
        loop.run()
    assert saved == []


def test_a_validation_loss_that_is_no_number_stops_training(undisturbed, monkeypatch):
    loop = restored(undisturbed)
    monkeypatch.setattr(classification, "loss_and_accuracy", lambda *_: (math.nan, 0.5))
    with pytest.raises(NonFiniteError, match="validation loss of epoch 2"):
        loop.run()
