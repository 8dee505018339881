"""`thresholds.json`: written at once, bound to model and classes, and refused when damaged."""

from __future__ import annotations

import json

import pytest
from fixtures_runs import make_text_run, snapshot

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import lock, thresholds
from lstm_cli.runs.thresholds import Choice, Scores, Thresholds

LABELS = ("caf\udce9", "b")
CHOICE = Choice(90, "90 rows", Scores(1.0, 0.8, 0.7), Scores(0.5, None, 0.4), True, 0.95)


@pytest.fixture
def run(tmp_path):
    return make_text_run(tmp_path / "demo" / "one", LABELS).with_manifest()


def put(run, labels=LABELS, **changes):
    content = {"thresholds": {"b": 0.3, LABELS[0]: 0.7}, "min_probabilities": None, **changes}
    thresholds.write(run, labels, Thresholds(**content))
    return run


def refused(run, labels=LABELS):
    with pytest.raises(LstmError) as caught:
        thresholds.read(run, labels)
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert "--clear" in caught.value.hint or "Train it again" in caught.value.hint
    return caught.value.message


def edit(run, **changes):
    path = run.file(runs.THRESHOLDS)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_is_read_and_nothing_else_changes(run):
    before = snapshot(run)
    put(run, min_probabilities={"b": 0.5, LABELS[0]: 1.0}, choice=CHOICE)
    found = thresholds.read(run, LABELS)
    assert found.thresholds == {LABELS[0]: 0.7, "b": 0.3}
    assert list(found.thresholds) == list(LABELS)
    assert found.min_probabilities == {LABELS[0]: 1.0, "b": 0.5}
    assert found.choice == CHOICE
    changed = {p for p, state in snapshot(run).items() if before.get(p) != state}
    assert {p.name for p in changed} <= {runs.THRESHOLDS, ".lock"}
    run.verify(run.manifest)


def test_a_run_without_thresholds_has_none_and_they_can_be_removed(run):
    assert thresholds.read(run, LABELS) is None
    assert thresholds.clear(run) is False
    assert thresholds.clear(put(run)) is True
    assert thresholds.read(run, LABELS) is None


@pytest.mark.parametrize("content", ["", "[]", '{"format": 1}', "[" * 9000])
def test_a_file_of_another_form_is_refused_and_can_be_removed(run, content):
    run.file(runs.THRESHOLDS).write_text(content)
    assert runs.THRESHOLDS in refused(run)
    assert thresholds.clear(run) is True


def test_a_changed_number_is_noticed(run):
    put(run)
    content = json.loads(run.file(runs.THRESHOLDS).read_text())["content"]
    edit(run, content=content | {"thresholds": {LABELS[0]: 0.6, "b": 0.4}})
    assert "SHA-256" in refused(run)


def test_thresholds_of_another_model_are_refused(run):
    put(run)
    edit(run, model_sha256="0" * 64)
    assert "model" in refused(run)


@pytest.mark.parametrize(
    "changes",
    [
        {"thresholds": {"b": 0.3}},
        {"min_probabilities": {"b": 0.3, "c": 0.3}, "thresholds": None},
        {"thresholds": {"b": 0.3, LABELS[0]: 0.3}},
    ],
)
def test_other_classes_and_thresholds_without_the_sum_1_are_refused(run, changes):
    put(run, labels=tuple(next(iter(changes.values()))), **changes)
    refused(run)


def test_a_run_in_training_is_not_changed(run):
    with lock.acquire(run.path), pytest.raises(LstmError):
        put(run)
    assert not run.file(runs.THRESHOLDS).exists()
