"""Training in stages: folds and refit; honest validation, and the same bits after interruptions."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import signal
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_results import results, whole
from fixtures_runs import text_config

from lstm_cli.cli import print_training
from lstm_cli.config import load as configs
from lstm_cli.data import load
from lstm_cli.data.source import from_config
from lstm_cli.errors import ExitCode
from lstm_cli.evaluation import metrics
from lstm_cli.evaluation.drift import read_reference
from lstm_cli.evaluation.evaluate import evaluate
from lstm_cli.evaluation.scored_split import make_scored
from lstm_cli.evaluation.set_thresholds import choose_thresholds
from lstm_cli.io.progress import Epoch, SilentReporter, selection_curve
from lstm_cli.io.signals import Interrupted
from lstm_cli.models import classifier
from lstm_cli.runs import directory as runs
from lstm_cli.runs import held_out, out_of_fold
from lstm_cli.runs import record as run_record
from lstm_cli.text.token_ids import UNKNOWN_ID
from lstm_cli.training import artifacts, checkpoint, device, folds, pipeline, replay, stages
from lstm_cli.training.init_weights import InitialWeights, read_initial_weights
from lstm_cli.training.objectives import classification
from lstm_cli.training.options import TrainOptions
from lstm_cli.training.prepare import load_training_data

WORDS = {"good": ("fine", "great", "warm"), "bad": ("dull", "poor", "cold")}
ROWS = 30


@pytest.fixture
def table(tmp_path):
    """Thirty texts of two classes; each has a word of its own, an id and a weight."""
    lines = ["text,label,id,weight"]
    for i in range(ROWS):
        label = "good" if i % 3 else "bad"
        text = f"a {WORDS[label][i % 2]} film {WORDS[label][2]} own{i:02}"
        lines.append(f"{text},{label},T-{i},{1 + i % 4}")
    path = tmp_path / "films.csv"
    path.write_text("\n".join(lines))
    return path


def config_for(table, **settings):
    """Settings of a small classifier of the table."""
    changes = {
        "data.name": str(table),
        "embedding.dim": 5,
        "embedding.word_dropout": 0.2,
        "model.units": 4,
        "model.dropout": 0.3,
        "train.epochs": 3,
        "train.batch_size": 8,
        "train.learning_rate": 0.02,
        **{key.replace("__", "."): value for key, value in settings.items()},
    }
    return configs.from_dict(configs.to_dict(text_config()), changes)


def train(config, root, name="x"):
    return pipeline.train(config, runs_dir=root, name=name, device="cpu")


def task_of(config):
    """The task of the settings before its first stage."""
    options = TrainOptions(device="cpu")
    info = device.configure_backend(config, "cpu", options.reporter)
    dataset = load_training_data(config, None)
    return pipeline.prepare(config, dataset, read_initial_weights(config), info, options)


def untimed(run):
    lines = [json.loads(line) for line in run.read_text(runs.HISTORY).splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def interrupt_after(num, monkeypatch):
    """Send SIGTERM after some checkpoints; return their positions (stage, epoch, step)."""
    save, saved = checkpoint.save, []

    def saving(folder, state):
        path = save(folder, state)
        progress = state.progress
        saved.append((len(progress["stages"]) + 1, progress["epoch"], progress["step"]))
        if len(saved) == num:
            os.kill(os.getpid(), signal.SIGTERM)
        return path

    monkeypatch.setattr(checkpoint, "save", saving)
    return saved


WEIGHTED = {"data__id_column": "id", "data__weight_column": "weight"}
KINDS = {
    "refit": {"train__refit": True, "train__ema_momentum": 0.5},
    "folds": {"data__folds": 2, "linear__buckets": 50, **WEIGHTED},
    "word vectors": {"data__folds": 2, "embedding__vectors": "train"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_interrupted_in_each_stage_ends_with_the_same_bits(
    kind, table, tmp_path, monkeypatch
):
    config = config_for(table, train__checkpoint_seconds=1e-9, **KINDS[kind])
    expected = train(config, tmp_path / "whole")
    run = runs.RunDir(tmp_path / "runs" / "films" / "x")
    places = []
    while not places or run.status == "interrupted":
        # Seven, so that it hits the first step, the last one, and the end of a stage.
        with monkeypatch.context() as patch:
            saved = interrupt_after(7, patch)
            try:
                if places:
                    pipeline.resume(run, device="cpu")
                else:
                    train(config, tmp_path / "runs")
            except Interrupted:
                assert run.status == "interrupted"
            # Interrupted at the last checkpoint, the run only has to be finished.
            places += saved[-1:]
    assert whole(run)
    assert {stage for stage, *_ in places} == set(range(1, len(stages_of(expected)) + 2))
    assert untimed(run) == untimed(expected)
    names = (runs.WEIGHTS, runs.MODEL, runs.METRICS, runs.GOLDEN)
    assert [results(run)[n] for n in names] == [results(expected)[n] for n in names]
    if kind != "refit":
        assert run.read_bytes(runs.OUT_OF_FOLD) == expected.read_bytes(runs.OUT_OF_FOLD)
    assert run.read_json(runs.RUN)["stages"] == stages_of(expected)


def stages_of(run):
    return run.read_json(runs.RUN)["stages"]


def test_folds_hold_out_every_row_once(table, tmp_path):
    config = config_for(table, data__folds=3, data__test_file=str(table), **WEIGHTED)
    run = train(config, tmp_path)
    record = run_record.read(run)
    assert record.validation.num_examples == ROWS
    assert record.validation_method == (
        "by 3-fold cross-validation, before the model was trained again on all rows"
    )
    assert [(s.kind, s.train, s.validation) for s in record.info.stages] == [("fold", 20, 10)] * 3
    refit = [line for line in record.history if line.stage == 4]
    assert {line.val_loss for line in refit} == {None}
    assert len(refit) == record.info.best_epoch
    folds = [line.val_loss for line in selection_curve(record.history)]
    assert len(refit) == 1 + int(np.argmin(folds))
    low, high = record.validation.accuracy_interval
    assert low <= record.validation.accuracy <= high
    rows = held_out.read(record.run, len(record.labels))
    report = metrics.compute(rows.labels, rows.probabilities, record.labels)
    assert report.to_dict() == record.validation.to_dict()
    assert choose_thresholds(run, best_f1=True).choice.rows == ROWS
    assert replay.replay(run).identical
    check_out_of_fold(run, record, table)
    check_statistics(run, rows.probabilities, record.labels)


def check_statistics(run, probabilities, labels):
    """Check that inputs are compared with texts as a model reads them that has not seen them."""
    stats = read_reference(run)
    predicted = np.bincount(probabilities.argmax(axis=1), minlength=len(labels))
    assert stats.labels == dict(zip(labels, predicted.tolist(), strict=True))
    assert stats.confidence_sum == pytest.approx(float(probabilities.max(axis=1).sum()), abs=1e-4)
    # Each text has a word of its own, which the vocabulary of the refit knows.
    assert (stats.inputs, stats.tokens, stats.unknown_tokens) == (ROWS, 5 * ROWS, ROWS)


def check_out_of_fold(run, record, table):
    """Check the table of predictions and the scores of the folds against data and metrics."""
    predictions, labels = out_of_fold.read(run)
    lines = table.read_text().splitlines()
    # The first line names the columns.
    assert predictions.rows.tolist() == list(range(2, ROWS + 2))
    found = [f"{t},{labels[i]}" for t, i in zip(predictions.texts, predictions.labels, strict=True)]
    assert found == [line.rsplit(",", 2)[0] for line in lines[1:]]
    assert predictions.ids == [f"T-{i}" for i in range(ROWS)]
    correct = predictions.probabilities.argmax(axis=1) == predictions.labels
    assert np.mean(correct) == pytest.approx(record.validation.accuracy)
    scores = record.cross_validation
    by_fold = [np.mean(correct[predictions.folds == fold]) for fold in (1, 2, 3)]
    assert scores.accuracy.folds == pytest.approx(by_fold)
    assert scores.accuracy.std == pytest.approx(np.std(by_fold, ddof=1))
    assert scores.loss.mean == pytest.approx(record.validation.loss)
    for text in (run.read_text(runs.CARD), capture_print(run)):
        assert f"accuracy {scores.accuracy.describe()}" in " ".join(text.split())


def capture_print(run):
    """What `lstm train` prints at its end."""
    with contextlib.redirect_stdout(io.StringIO()) as stream:
        print_training.print_classifier(run, as_json=False)
    return stream.getvalue()


def test_more_folds_than_rows_are_refused(table, tmp_path):
    error = refused(train, config_for(table, data__folds=25), tmp_path, code=ExitCode.USAGE)
    # Six of thirty rows are for test.
    assert "only 24 rows" in error.message
    assert not list(tmp_path.glob("*/*/run.json"))


def test_classes_with_fewer_rows_than_folds_are_named():
    labels = np.array([0] * 9 + [1] * 3 + [2], np.int32)
    text = folds.describe_small_classes(labels, ("many", "few", "one", "none"), 5)
    assert "'few' 3, 'one' 1." in text
    assert "not seen the class" in text
    assert folds.describe_small_classes(labels[:9], ("many", "few", "one", "none"), 5) == ""


def test_a_refit_follows_the_plan_of_the_selection(table, tmp_path):
    run = train(config_for(table, train__refit=True, data__validation_fraction=0.2), tmp_path)
    record = run_record.read(run)
    (selection,) = record.info.stages
    refit = [line for line in record.history if line.stage == 2]
    assert selection.kind == "selection"
    assert len(refit) == selection.best_epoch
    # 19 and 24 rows of the 24 that are not in test.
    assert (selection.train, selection.validation) == (19, 5)
    assert record.validation.num_examples == 5
    assert record.validation_method == "before the model was trained again on all rows"
    sizes = {line.stage: line.steps for line in record.history}
    assert sizes == {1: math.ceil(19 / 8), 2: math.ceil(24 / 8)}


def test_the_refit_sees_all_rows_and_no_row_is_predicted_by_a_model_that_saw_it(table, tmp_path):
    task = task_of(config_for(table, data__folds=3, data__test_file=str(table)))
    held_out, finished = [], ()
    for stage in task.stages[:-1]:
        rows = set(stage.train_rows.tolist()) | set(stage.validation_rows.tolist())
        assert rows == set(range(ROWS))
        assert not set(stage.train_rows.tolist()) & set(stage.validation_rows.tolist())
        held_out += stage.validation_rows.tolist()
    assert sorted(held_out) == list(range(ROWS))
    for _ in task.stages[:-1]:
        part = task.start_stage(finished)
        objective = part.make_objective(SilentReporter())
        loop = pipeline.TrainingLoop(part.model, part.config, objective, SilentReporter())
        finished = (*finished, part.finish_stage(loop.run(), objective))
    # The model is now that of the last fold after its last epoch.
    predicted = classification.split_logits(
        part.model, part.validation, classification.predict(part.model, part.validation)
    )
    assert finished[-1].logits.of_epoch(99).lstm == pytest.approx(predicted.lstm, abs=1e-5)
    refit = task.start_stage(finished)
    assert len(refit.train) == ROWS
    assert refit.validation is None
    assert refit.held_out.labels.tolist() == task.train.labels[held_out].tolist()
    assert refit.held_out.logits.lstm.shape == (ROWS, 1)
    of_second = finished[1].logits.lstm[refit.refit_epochs - 1]
    assert np.array_equal(refit.held_out.logits.lstm[10:20], of_second)


def finished_stage(num_rows, *losses):
    history = [Epoch(n, 1, 1.0, 0.5, x, 0.5, 0.1, 1.0, True) for n, x in enumerate(losses, 1)]
    logits = np.zeros((len(losses), num_rows, 1), np.float32)
    kept = classification.EpochLogits(logits, np.ones(len(losses), np.float32), None)
    return stages.FinishedStage(tuple(history), 1, "done", kept)


def test_the_refit_has_the_epochs_with_the_lowest_mean_loss():
    assert stages.num_refit_epochs([finished_stage(5, 3, 1, 2)]) == 2
    folds = [finished_stage(5, 3.0, 1.0, 2.0), finished_stage(5, 3.0, 2.5, 0.5)]
    assert stages.num_refit_epochs(folds) == 3
    # A fold counts by its rows, and after its end with its last loss.
    folds = [finished_stage(50, 3.0, 1.0, 2.0), finished_stage(5, 3.0, 2.5, 0.5)]
    assert stages.num_refit_epochs(folds) == 2
    folds = [finished_stage(5, 1.0, 2.0), finished_stage(5, 3.0, 2.5, 1.0)]
    assert stages.num_refit_epochs(folds) == 3


@pytest.mark.parametrize("linear", [False, True])
def test_each_stage_starts_from_the_same_weights(linear, table):
    settings = {"linear__buckets": 50} if linear else {}
    task = task_of(config_for(table, train__refit=True, **settings))
    first = task.start_stage(())
    before = classifier.get_weights(first.model)
    objective = first.make_objective(SilentReporter())
    loop = pipeline.TrainingLoop(first.model, first.config, objective, SilentReporter())
    finished = first.finish_stage(loop.run(), objective)
    second = task.start_stage((finished,))
    after = classifier.get_weights(second.model)
    names = {n for n in before if not n.startswith("head/bias") and n != "linear/scale"}
    assert all(np.array_equal(before[name], after[name]) for name in names)
    assert int(second.model.optimizer.iterations) == 0


def test_words_that_the_training_rows_lack_are_unknown_in_validation(table):
    task = task_of(config_for(table, train__refit=True, text__min_count=1))
    first = task.start_stage(())
    known = {int(i) for i in first.train.inputs.ids}
    validation = first.validation.inputs
    own_words = [int(validation[i][-1]) for i in range(len(validation))]
    assert own_words == [UNKNOWN_ID] * len(validation)
    assert validation.num_unknown.tolist() == [1] * len(validation)
    assert {int(i) for i in validation.ids} <= known | {UNKNOWN_ID}
    rows = task.staged.stages[0].validation_rows
    whole_rows = task.staged.examples.inputs
    assert UNKNOWN_ID not in {int(whole_rows[i][-1]) for i in rows}


def test_words_too_rare_in_the_training_rows_are_unknown_there_too(tmp_path, table):
    # Of the words of one text each, none is frequent enough.
    task = task_of(config_for(table, data__folds=3, text__min_count=2))
    assert not [w for w in task.tokenizer.words if w.startswith("own")]
    twice = table.read_text().replace("own01", "own00")
    table.write_text(twice)
    task = task_of(config_for(table, data__folds=10, text__min_count=2, data__test_file=str(table)))
    word = task.tokenizer.token_to_id("own00")
    assert word != UNKNOWN_ID
    counts = [np.sum(task.staged.train_examples(s).inputs.ids == word) for s in task.stages]
    # In the two folds that hold out one of the two texts, the other has no such word either.
    assert sorted(counts) == [0, 0] + [2] * 9


def test_the_vocabulary_of_another_run_is_not_reduced(table, tmp_path):
    config = config_for(table, text__min_count=1, train__refit=True)
    dataset = load_training_data(config, None)
    tokenizer = task_of(config).tokenizer
    options = TrainOptions(device="cpu")
    info = device.configure_backend(config, "cpu", options.reporter)
    record = {"run": "a/gone", "path": "runs/a/gone", "words": tokenizer.vocab_size}
    init = InitialWeights("checkpoint", (), tokenizer, record=record)
    task = pipeline.prepare(config, dataset, init, info, options).start_stage(())
    assert UNKNOWN_ID not in {int(i) for i in task.validation.inputs.ids}


def test_images_train_in_folds(tmp_path):
    settings = {"data.folds": 2, "data.limit": 40, "train.epochs": 2, "model.units": 4}
    run = train(configs.load_preset("digits", settings), tmp_path)
    assert run_record.read(run).validation.num_examples == 80
    assert len(out_of_fold.read(run)[0]) == 80
    assert read_reference(run).lengths is None
    assert whole_of_images(run)


def whole_of_images(run):
    return run.status == "finished" and len(stages_of(run)) == 2


def test_a_refitted_run_is_not_extended_and_not_evaluated_on_validation(table, tmp_path):
    run = train(config_for(table, train__refit=True), tmp_path)
    before = results(run)
    error = refused(pipeline.resume, run, epochs=9, code=ExitCode.USAGE)
    assert "train.epochs=3" in error.message
    assert "nothing to resume" in refused(pipeline.resume, run).message
    assert "refitted" in refused(evaluate, run, split="validation", code=ExitCode.USAGE).message
    assert evaluate(run, split="test").report.num_examples == 6
    assert results(run) == before


def test_a_record_of_another_kind_of_training_is_refused(table, tmp_path):
    run = train(config_for(table, train__refit=True), tmp_path)
    info, metrics = run.read_json(runs.RUN), run.read_json(runs.METRICS)
    run.write_json(runs.METRICS, {**metrics, "validation_method": ""})
    run.write_manifest()
    assert "validation_method" in refused(run_record.read, run, code=ExitCode.INTEGRITY).message
    run.write_json(runs.METRICS, metrics)
    run.write_json(runs.RUN, {key: value for key, value in info.items() if key != "stages"})
    run.write_manifest()
    assert "stages" in refused(run_record.read, run, code=ExitCode.INTEGRITY).message


def test_the_record_of_a_refitted_linear_model_says_so(table, tmp_path):
    run = train(config_for(table, linear__buckets=50, linear__refit=True), tmp_path)
    record = run_record.read(run)
    assert record.validation_method == ("before the linear model was trained again on all rows")
    assert record.info.stages is None
    assert run_record.summarize(run).problem == ""
    assert record.test.linear is not None
    assert evaluate(run).report.linear == record.test.linear
    for part in ("  linear part alone ", "  most common class "):
        assert capture_print(run).count(part) == 2


@pytest.mark.parametrize("is_refit", [False, True])
def test_linear_part_is_scored_with_logits_of_weights_that_have_not_seen_the_rows(is_refit):
    labels = np.array([0, 1, 1, 1], np.int32)
    logits = np.array([[-1], [-1], [1], [1]], np.float32)
    examples = classification.Examples(np.zeros((4, 2, 2), np.uint8), labels, logits)
    held_out = SimpleNamespace(logits=SimpleNamespace(linear=logits)) if is_refit else None
    task = SimpleNamespace(held_out=held_out, validation=None if is_refit else examples)
    validation = make_scored(labels, np.eye(2, dtype=np.float32)[labels], ("bad", "good"))
    report = artifacts.with_linear_part(task, validation).report
    assert (report.accuracy, report.linear.accuracy, report.majority.accuracy) == (1, 0.75, 0.75)


def test_a_checkpoint_of_other_rows_is_refused(table, tmp_path, monkeypatch):
    config = config_for(table, data__folds=2, train__checkpoint_seconds=1e-9)
    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        interrupt_after(10, patch)
        train(config, tmp_path)
    run = runs.RunDir(tmp_path / "films" / "x")
    newest = checkpoint.newest(run.file(runs.CHECKPOINTS), SilentReporter())
    tensors = {n: a[1:] if n.startswith("stage/") else a for n, a in newest.tensors.items()}
    checkpoint.save(run.file(runs.CHECKPOINTS), checkpoint.Checkpoint(tensors, newest.progress))
    message = refused(pipeline.resume, run, device="cpu", code=ExitCode.INTEGRITY).message
    assert "stage 1: expected logits of shape [3, 12, 1]" in message


def test_splits_are_those_of_a_training_without_stages(table):
    config = config_for(table)
    plain = load(from_config(config), ("train", "validation"))
    staged = load(from_config(config_for(table, data__folds=3)), ("train", "validation"))
    assert plain.fingerprint == staged.fingerprint
