"""Self-training: pseudo-labels of unlabeled texts, and when they are predicted."""

from __future__ import annotations

import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures_corpora import corpus_of_ids
from fixtures_runs import image_config, text_config

from lstm_cli.config import load as configs
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import SilentReporter
from lstm_cli.models import calibration, classifier
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RUN, RunDir
from lstm_cli.training import teacher as teachers
from lstm_cli.training.checkpoint import Checkpoint
from lstm_cli.training.dry_run import dry_run
from lstm_cli.training.loop import TrainingLoop
from lstm_cli.training.objectives import classification
from lstm_cli.training.objectives import self_training as teaching
from lstm_cli.training.objectives.classification import Examples
from lstm_cli.training.objectives.self_training import SelfTrainingObjective
from lstm_cli.training.pipeline import resume, train

CONFIG = text_config(linear__buckets=50, train__self_training=True, train__batch_size=4)
SMALL = {
    "data.demo_train": 160,
    "data.demo_test": 20,
    "embedding.dim": 8,
    "linear.buckets": 500,
    "model.units": 8,
    "train.self_training": True,
    "train.epochs": 2,
    "train.batch_size": 16,
}


def examples(num, outputs=1, seed=0):
    """Texts of one to six words, with random linear logits."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, num)
    ids = rng.integers(2, 12, lengths.sum())
    corpus = corpus_of_ids(np.split(ids, np.cumsum(lengths)[:-1]))
    labels = rng.integers(0, max(2, outputs), num).astype(np.int32)
    return Examples(corpus, labels, rng.normal(size=(num, outputs)).astype(np.float32))


class RecordingReporter(SilentReporter):
    """A reporter that records notes."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        """Record a note."""
        self.notes.append(text)


def self_training_objective(classes=2, reporter=None, config=CONFIG):
    outputs = 1 if classes == 2 else classes
    rng = np.random.default_rng(9)
    pseudo_labels = rng.dirichlet(np.ones(classes), 10).astype(np.float32)
    splits = [examples(n, outputs, seed) for seed, n in enumerate((7, 6, 10))]
    given = pseudo_labels[:, 1:] if classes == 2 else pseudo_labels
    return SelfTrainingObjective(
        config, classes, *splits, given, reporter or SilentReporter()
    ), given


class TableModel:
    """A model that predicts from the first word and the linear logits; it records batches."""

    WEIGHT = np.array([0.9], np.float32)

    def __init__(self):
        self.seen = []

    def get_layer(self, _name):
        """Return the layer that scales the linear logits."""
        return SimpleNamespace(scale=self.WEIGHT)

    @staticmethod
    def own(tokens, outputs):
        """Logits without the linear model."""
        return (tokens[:, :1] - 6.0) * np.arange(1, outputs + 1) / 8

    def predict_on_batch(self, inputs):
        """Return the probabilities."""
        tokens, linear_logits = inputs
        return calibration.soft_targets(
            self.own(tokens, linear_logits.shape[1]) + self.WEIGHT * linear_logits
        )

    def train_on_batch(self, inputs, targets, **_):
        """Record the batch."""
        self.seen.append((inputs, targets))
        return {"loss": 0.5, "accuracy": 0.5}


@pytest.mark.parametrize("classes", [2, 3])
def test_each_text_is_trained_once_per_epoch_with_its_label_or_pseudo_label(classes):
    objective, pseudo_labels = self_training_objective(classes)
    model, wanted = TableModel(), []
    for indices, inputs in objective.batches(0, range(objective.num_steps)):
        objective.train_step(model, indices, inputs)
        wanted += indices.tolist()
    assert sorted(wanted) == list(range(17))
    assert objective.num_steps == len(model.seen) == 5
    learned = np.concatenate([targets for _, targets in model.seen])[np.argsort(wanted)]
    labels = objective.examples.labels[:7]
    hard = np.eye(classes, dtype=np.float32)[labels]
    assert (learned[:7] == (hard[:, 1:] if classes == 2 else hard)).all()
    assert (learned[7:] == pseudo_labels).all()


def test_the_linear_logits_of_unlabeled_texts_are_hidden_in_training():
    objective, _ = self_training_objective()
    model = TableModel()
    shown = np.full(17, np.nan)
    for indices, inputs in objective.batches(0, range(objective.num_steps)):
        objective.train_step(model, indices, inputs)
        shown[indices] = model.seen[-1][0][1][:, 0]
    assert (shown[7:] == 0).all()
    assert (shown[:7] != 0).all()


@pytest.mark.parametrize("classes", [2, 3])
def test_pseudo_labels_are_calibrated_predictions_of_lstm_and_linear_model(classes):
    reporter = RecordingReporter()
    objective, before = self_training_objective(classes, reporter)
    model = TableModel()
    objective.validate(model)
    objective.after_validation(model)

    def parts(examples):
        tokens = np.stack([examples.inputs[i][:1] for i in range(len(examples))]).astype(int)
        return TableModel.own(tokens, examples.linear.shape[1]), examples.linear

    scale, weight = calibration.fit_scales(
        parts(objective.validation),
        [calibration.LSTM_BESIDE_LINEAR, calibration.LINEAR],
        objective.validation.labels,
    )
    own, linear_logits = parts(objective.unlabeled)
    expected = calibration.soft_targets(scale * own + weight * linear_logits)
    assert objective.pseudo_labels == pytest.approx(expected, rel=1e-2, abs=1e-4)
    assert abs(scale - 1) > 0.1
    assert abs(weight - TableModel.WEIGHT[0]) > 0.02
    changed = np.mean(teaching._predicted_classes(before) != teaching._predicted_classes(expected))
    (note,) = reporter.notes
    assert f"10 unlabeled texts: {changed:.1%}" in note
    indices = np.array([8, 3, 0, 16])
    labels = classifier.encode_labels(objective.examples.labels[indices], classes)
    assert (objective.targets(indices)[[1, 2]] == labels[[1, 2]]).all()
    assert (objective.targets(indices)[[0, 3]] == objective.pseudo_labels[[1, 9]]).all()


def test_an_epoch_is_validated_with_the_calibrated_scales():
    objective, _ = self_training_objective()
    loss, accuracy = objective.validate(TableModel())
    logits = classification.split_logits(
        TableModel(), objective.validation, objective.validation_probabilities
    )
    labels = objective.validation.labels
    best = np.exp(calibration.log_probabilities(logits.scaled(*logits.fit_scales(labels))))
    assert loss == pytest.approx(-np.log(best[np.arange(6), labels]).mean(), rel=1e-4)
    assert accuracy == np.mean(best.argmax(axis=1) == labels)
    assert loss < classification.loss_and_accuracy(labels, objective.validation_probabilities)[0]


def test_the_state_of_other_texts_is_refused():
    objective, _ = self_training_objective()
    for state in (
        {},
        {"pseudo_labels": np.zeros((9, 1), np.float32)},
        {**objective.state(), "more": np.ones(1)},
    ):
        with pytest.raises(LstmError, match="another objective"):
            objective.set_state(state)
    plain = classification.ClassificationObjective(CONFIG, 2, examples(7), examples(6))
    plain.set_state({})
    with pytest.raises(LstmError, match="'pseudo_labels' does not fit"):
        plain.set_state(objective.state())


def test_a_checkpoint_has_the_pseudo_labels():
    objective, _ = self_training_objective()
    kept = objective.state()
    objective.after_validation(_validated(objective))
    assert (objective.pseudo_labels != kept["pseudo_labels"]).all()
    objective.set_state(kept)
    assert (objective.pseudo_labels == kept["pseudo_labels"]).all()


def _validated(objective):
    model = TableModel()
    objective.validate(model)
    return model


@pytest.mark.parametrize("epochs", [1, 3])
def test_pseudo_labels_are_not_predicted_after_the_last_epoch(epochs, monkeypatch):
    config = configs.from_dict(configs.to_dict(CONFIG), {"train.epochs": epochs})
    objective, _ = self_training_objective(config=config)
    calls = []
    monkeypatch.setattr(objective, "after_validation", calls.append)
    model = SimpleNamespace(
        stop_training=False,
        trainable_variables=[],
        trainable_weights=[],
        non_trainable_weights=[],
        variables=[],
        optimizer=SimpleNamespace(variables=[], learning_rate=SimpleNamespace(assign=float)),
        train_on_batch=TableModel().train_on_batch,
        predict_on_batch=TableModel().predict_on_batch,
        get_layer=TableModel().get_layer,
    )
    loop = TrainingLoop(model, objective.config, objective, SilentReporter())
    loop.run()
    assert calls == [model] * (epochs - 1)
    assert "objective/pseudo_labels" in loop.checkpoint().tensors
    assert isinstance(loop.checkpoint(), Checkpoint)


def test_self_training_needs_a_linear_model():
    with pytest.raises(LstmError, match="needs the section 'linear:'") as refused:
        text_config(train__self_training=True)
    assert refused.value.exit_code == ExitCode.USAGE
    with pytest.raises(LstmError, match="self_training"):
        image_config(train__self_training=True)


def test_unlabeled_texts_change_what_is_learned(monkeypatch, tmp_path):
    texts = ["not a triumph , a dull film", "a triumph , not dull"] * 30
    runs, reporter = {}, RecordingReporter()
    for name, found in (("with", texts), ("without", [])):
        monkeypatch.setattr("lstm_cli.data.load_unlabeled", lambda _, found=found: found)
        config = configs.load_preset("demo", SMALL)
        runs[name] = train(config, runs_dir=tmp_path, name=name, reporter=reporter)
    assert sum("New pseudo-labels for 60" in note for note in reporter.notes) == 1
    records = {name: run.read_json(RUN) for name, run in runs.items()}
    assert records["with"]["dataset"]["sizes"]["unlabeled"] == 60
    assert "unlabeled" not in records["without"]["dataset"]["sizes"]
    weights = {name: run.read_bytes("weights.safetensors") for name, run in runs.items()}
    assert weights["with"] != weights["without"]


def test_an_extended_run_has_the_pseudo_labels_and_bits_of_a_longer_run(monkeypatch, tmp_path):
    """With a constant learning rate, an extension equals a longer run."""
    texts = ["not a triumph , a dull film", "a triumph , not dull"] * 30
    monkeypatch.setattr("lstm_cli.data.load_unlabeled", lambda _: texts)
    constant = {"train.decay": "none", "train.warmup": 0, "train.ema_momentum": 0.5}

    def config(epochs):
        return configs.load_preset("demo", {**SMALL, **constant, "train.epochs": epochs})

    longer = train(config(3), runs_dir=tmp_path, name="longer")
    extended = train(config(1), runs_dir=tmp_path, name="extended")
    reporter = RecordingReporter()
    resume(extended, epochs=3, reporter=reporter)
    assert sum("New pseudo-labels" in note for note in reporter.notes) == 2
    names = ("weights.safetensors", "metrics.json")
    assert [longer.read_bytes(n) for n in names] == [extended.read_bytes(n) for n in names]


def test_a_teacher_predicts_the_first_pseudo_labels(monkeypatch, tmp_path):
    texts = ["not a triumph , a dull film", "a triumph , not dull"] * 30
    monkeypatch.setattr("lstm_cli.data.load_unlabeled", lambda _: texts)
    plain = {key: value for key, value in SMALL.items() if key != "train.self_training"}
    teacher = train(configs.load_preset("demo", plain), runs_dir=tmp_path, name="teacher")
    expected = Predictor.load(teacher).text_probabilities(texts)
    seen, reporter = [], RecordingReporter()

    def record(self, *arguments):
        original(self, *arguments)
        seen.append(self.pseudo_labels)

    original = SelfTrainingObjective.__init__
    monkeypatch.setattr(SelfTrainingObjective, "__init__", record)
    config = configs.load_preset("demo", {**SMALL, "train.teacher": "teacher"})
    run = train(config, runs_dir=tmp_path, name="student", reporter=reporter)
    assert seen[0] == pytest.approx(expected[:, 1:], abs=1e-6)
    assert "Teacher: run teacher predicts labels of 60 unlabeled texts." in reporter.notes
    assert run.config().train.teacher == str(teacher.path)
    # The checkpoint has the pseudo-labels, so a resume does not need the teacher.
    shutil.rmtree(teacher.path)
    resume(run, epochs=3)


def test_a_dry_run_looks_for_the_teacher_and_does_not_ask_it(monkeypatch, tmp_path):
    texts = ["not a triumph , a dull film", "a triumph , not dull"] * 30
    monkeypatch.setattr("lstm_cli.data.load_unlabeled", lambda _: texts)
    config = configs.load_preset("demo", {**SMALL, "train.teacher": "teacher"})
    with pytest.raises(LstmError, match="no run 'teacher'"):
        dry_run(config, runs_dir=tmp_path)
    monkeypatch.setattr(teachers.find, "find", lambda *_: SimpleNamespace(location=tmp_path / "t"))
    assert dry_run(config, runs_dir=tmp_path).unlabeled == 60


def test_classes_of_the_teacher_are_matched_by_name(monkeypatch):
    rows = np.array([[0.7, 0.2, 0.1]], np.float32)
    found = SimpleNamespace(
        labels=("a", "b", "c"), kind="text", thresholds=None, run=SimpleNamespace(name="t"),
        text_probabilities=lambda texts: rows.repeat(len(texts), 0),
    )  # fmt: skip
    monkeypatch.setattr(teachers.Predictor, "load", lambda _: found)
    monkeypatch.setattr(teachers.find, "find", lambda *_: None)
    config = configs.from_dict(configs.to_dict(CONFIG), {"train.teacher": "/runs/d/t"})

    def labels_for(*classes):
        return teachers.teacher_labels(config, classes, ["x", "y"], SilentReporter())

    assert labels_for("c", "a", "b") == pytest.approx(rows[:, [2, 0, 1]].repeat(2, 0))
    for change in ({"labels": ("a", "b")}, {"kind": "image"}, {"thresholds": object()}):
        other = SimpleNamespace(**{**vars(found), **change})
        monkeypatch.setattr(teachers.Predictor, "load", lambda _, other=other: other)
        with pytest.raises(LstmError, match="classes c, a, b for a text; run t") as caught:
            labels_for("c", "a", "b")
        assert caught.value.exit_code == ExitCode.USAGE


def test_the_option_names_a_run(tmp_path, lstm):
    plain = {key: value for key, value in SMALL.items() if key != "train.self_training"}
    train(configs.load_preset("demo", plain), runs_dir=tmp_path, name="teacher")
    options = [part for key, value in SMALL.items() for part in ("--set", f"{key}={value}")]
    options += ["--name", "student", "--runs-dir", tmp_path]
    code, _, err = lstm("train", "demo", "--teacher", "teacher", *options)
    assert code == 0, err
    student = RunDir(tmp_path / "demo" / "student")
    assert student.config().train.teacher == str(tmp_path / "demo" / "teacher")
    # `demo` has no unlabeled texts.
    assert "demo has no unlabeled texts" in err


def test_a_teacher_needs_self_training():
    with pytest.raises(LstmError, match="has no effect without"):
        text_config(linear__buckets=50, train__teacher="t")
