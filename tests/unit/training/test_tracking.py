"""`--track mlflow`: which calls follow from a training, and what a server that fails may do."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from fixtures_errors import refused
from fixtures_runs import info_of, make_text_run, text_config, write_results

from lstm_cli.errors import ExitCode
from lstm_cli.io import optional
from lstm_cli.io.progress import Epoch
from lstm_cli.io.signals import Interrupted
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.training import mlflow_calls, tracking
from lstm_cli.training.tracking import Tracker

CONFIG = text_config()
RECORD = info_of(CONFIG, ("a", "b"), "2026-01-01T00:00:00+00:00")


def epoch(number, stage=1, val_loss=0.5):
    accuracy = None if val_loss is None else 0.75
    return Epoch(number, 3, 1 / number, 0.5, val_loss, accuracy, 0.1, 1.5, True, stage)


class Client:
    """Keeps what an MLflow server would, and fails while it is down."""

    def __init__(self):
        self.is_down = False
        self.refused = set()
        self.params, self.metrics, self.tags = {}, [], {}
        self.files, self.states, self.num_runs = [], [], 0

    def __getattribute__(self, name):
        if not name.startswith("_") and name != "is_down" and self.is_down and name.islower():
            raise ConnectionError("connection refused")
        found = super().__getattribute__(name)
        if name.islower() and name not in ("is_down", "refused") and name in self.refused:
            raise PermissionError(f"{name} is refused")
        return found

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        assert name == "lstm/demo"
        return "1"

    def create_run(self, experiment_id, run_name):
        self.num_runs += 1
        self.states.append("RUNNING")
        return SimpleNamespace(info=SimpleNamespace(run_id="r1"))

    def update_run(self, run_id, status):
        self.states.append(status)

    def get_run(self, run_id):
        latest = {key: value for key, value, _ in self.metrics}
        return SimpleNamespace(data=SimpleNamespace(params=dict(self.params), metrics=latest))

    def get_metric_history(self, run_id, key):
        return [SimpleNamespace(step=step) for name, _, step in self.metrics if name == key]

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        assert max(len(metrics), len(params), len(tags)) <= 100
        assert not {key for key, _ in params} & self.params.keys()
        self.params |= dict(params)
        self.tags |= dict(tags)
        self.metrics += [(key, value, step) for key, value, _, step in metrics]

    def log_artifact(self, run_id, path, folder):
        self.files.append((Path(path).name, folder))

    def set_terminated(self, run_id, status):
        self.states.append(status)

    def _steps(self, key):
        return [step for name, _, step in self.metrics if name == key]


class Warnings:
    """A reporter that keeps the warnings."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)

    def note(self, text):
        pass


@pytest.fixture
def client(monkeypatch):
    """A server, and entities as MLflow's that are plain tuples."""
    entities = ModuleType("mlflow.entities")
    entities.Metric = entities.Param = entities.RunTag = lambda *fields: fields
    monkeypatch.setitem(sys.modules, "mlflow", ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    return Client()


@pytest.fixture
def run(tmp_path):
    return write_results(make_text_run(tmp_path / "demo" / "one"))


def start_tracking(run, client):
    """A tracker that has begun, and its warnings."""
    reporter = Warnings()
    tracker = Tracker(run, reporter, lambda: client)
    tracker.begin(CONFIG, RECORD)
    return tracker, reporter.warnings


def end(tracker, run, *epochs):
    tracker.end(epochs, run.read_json(runs.METRICS))


def test_settings_and_results_have_names_that_mlflow_takes():
    params = mlflow_calls.parameters(CONFIG, RECORD)
    assert (params["model.units"], params["parameters"]) == ("3", "123")
    assert len(mlflow_calls.parameters(text_config(data__name="x" * 9000), {})["data.name"]) == 6000
    assert mlflow_calls.epoch_metrics(epoch(2))["val_loss"] == 0.5
    refit = mlflow_calls.epoch_metrics(epoch(2, stage=3, val_loss=None))
    assert refit == {
        "stage-3/loss": 0.5, "stage-3/accuracy": 0.5, "stage-3/learning_rate": 0.1,
        "stage-3/seconds": 1.5,
    }  # fmt: skip
    results = {"best_epoch": 2, "test": {"accuracy": 0.5, "labels": ["a"], "ok": True}}
    assert mlflow_calls.result_metrics(results) == {"best_epoch": 2.0, "test/accuracy": 0.5}
    assert mlflow_calls.tags("demo/one", RECORD)["lstm.run"] == "demo/one"


def test_a_training_is_sent_once_and_whole(run, client):
    tracker, warnings = start_tracking(run, client)
    tracker.epoch(epoch(1))
    assert client._steps("loss") == [1]
    end(tracker, run, epoch(1), epoch(2))
    assert client._steps("loss") == [1, 2]
    assert client.params["data.name"] == "demo"
    assert "test/accuracy" in {key for key, *_ in client.metrics}
    files = {name for name, folder in client.files if folder == "run"}
    assert files == {*run.with_manifest().manifest, runs.MANIFEST}
    assert (client.states, client.num_runs, warnings) == (["RUNNING", "FINISHED"], 1, [])


def test_a_server_that_is_down_costs_one_warning_until_the_end(run, client):
    client.is_down = True
    tracker, warnings = start_tracking(run, client)
    tracker.epoch(epoch(1))
    assert len(warnings) == 1
    end(tracker, run, epoch(1))
    assert len(warnings) == 2
    client.is_down = False
    assert client.metrics == []


def test_what_a_server_missed_is_sent_at_the_end(run, client):
    tracker, warnings = start_tracking(run, client)
    tracker.epoch(epoch(1))
    client.is_down = True
    tracker.epoch(epoch(2))
    client.is_down = False
    tracker.epoch(epoch(3))
    assert client._steps("loss") == [1]
    end(tracker, run, epoch(1), epoch(2), epoch(3))
    assert client._steps("loss") == [1, 2, 3]
    assert client.states[-1] == "FINISHED"
    assert len(warnings) == 1


def test_a_resumed_training_goes_on_with_its_mlflow_run(run, client):
    tracker, _ = start_tracking(run, client)
    tracker.epoch(epoch(1))
    tracker.epoch(epoch(1, stage=2))
    tracker.fail(Interrupted("state saved", 143))
    assert client.states[-1] == "KILLED"
    tracker, warnings = start_tracking(run, client)
    end(tracker, run, epoch(1), epoch(1, stage=2), epoch(2, stage=2))
    assert (client._steps("loss"), client._steps("stage-2/loss")) == ([1], [1, 2])
    assert client.num_runs == 1
    assert client.states[-2:] == ["RUNNING", "FINISHED"]
    assert warnings == []


def test_the_command_that_resumes_goes_on_with_tracking(run, client):
    assert "--track" not in find.resume_command(run, run.path.parent.parent)
    start_tracking(run, client)
    assert "--track mlflow" in find.resume_command(run, run.path.parent.parent)


def test_epochs_that_are_reported_are_sent(run, client):
    tracker, _ = start_tracking(run, client)
    shown = []
    reporter = SimpleNamespace(epoch=shown.append, fold=shown.append)
    reporting = tracker.reporting(reporter)
    reporting.epoch(epoch(1))
    reporting.fold("a fold")
    assert shown == [epoch(1), "a fold"]
    assert client._steps("loss") == [1]


def test_a_failed_training_is_said_to_have_failed(run, client):
    start_tracking(run, client)[0].fail(ValueError("x"))
    assert client.states[-1] == "FAILED"


@pytest.mark.parametrize("call", ["log_batch", "_in_the_block"])
def test_a_signal_while_tracking_begins_or_later_ends_the_run(run, client, monkeypatch, call):
    def interrupt(*args, **kwargs):
        raise Interrupted(15)

    monkeypatch.setattr(client, call, interrupt, raising=False)
    tracker = Tracker(run, Warnings(), lambda: client)
    with pytest.raises(Interrupted), tracking.tracked(tracker, CONFIG, RECORD):
        client._in_the_block()
    assert client.states == ["RUNNING", "KILLED"]
    with tracking.tracked(None, CONFIG, RECORD):
        pass


def test_the_state_of_a_failed_training_is_sent_after_a_fault(run, client):
    tracker, warnings = start_tracking(run, client)
    client.is_down = True
    tracker.epoch(epoch(1))
    client.is_down = False
    tracker.fail(ValueError("x"))
    assert client.states[-1] == "FAILED"
    assert len(warnings) == 1
    client.is_down = True
    tracker.fail(ValueError("x"))
    assert "may still be RUNNING" in warnings[1]
    assert "goes on" not in warnings[1]


@pytest.mark.parametrize("call", ["log_batch", "get_run"])
def test_a_run_whose_settings_are_refused_is_not_left_running(run, client, call):
    client.refused = {call}
    tracker, warnings = start_tracking(run, client)
    assert client.states == ["RUNNING"]
    tracker.fail(ValueError("x"))
    assert client.states[-1] == "FAILED"
    tracker, warnings = start_tracking(run, client)
    end(tracker, run, epoch(1))
    assert client.states[-1] == "FAILED"
    assert client.num_runs == 1
    assert len(warnings) == 2


def test_a_run_whose_number_cannot_be_stored_is_not_left_running(run, client, monkeypatch):
    def fail(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(type(run), "write_text", fail)
    tracker, _ = start_tracking(run, client)
    end(tracker, run, epoch(1))
    assert (client.states[-1], client.num_runs) == ("FINISHED", 1)


def test_a_run_without_its_files_is_not_left_running(run, client):
    tracker, warnings = start_tracking(run, client)
    client.refused = {"log_artifact"}
    end(tracker, run, epoch(1))
    assert client.states == ["RUNNING", "FAILED"]
    assert len(warnings) == 1
    client.refused = {"log_artifact", "set_terminated"}
    end(tracker, run, epoch(1))
    assert "may still be RUNNING" in warnings[-1]


def test_settings_that_were_refused_are_sent_at_the_end(run, client):
    client.refused = {"log_batch"}
    tracker, _ = start_tracking(run, client)
    client.refused = set()
    end(tracker, run, epoch(1))
    assert client.params["data.name"] == "demo"
    assert (client.states[-1], client.num_runs) == ("FINISHED", 1)


def test_without_the_package_or_an_address_nothing_is_trained(monkeypatch):
    tracking.check(None)
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: None)
    assert "lstm-cli[mlflow]" in refused(tracking.check, "mlflow").hint
    monkeypatch.setattr(optional.importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    refused(tracking.check, "mlflow", code=ExitCode.USAGE)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    tracking.check("mlflow")


def _wait_for(url, server, seconds=300):
    """Wait until a server answers; its start takes long on a busy machine."""
    end_time = time.monotonic() + seconds
    while time.monotonic() < end_time and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except OSError:
            time.sleep(0.2)
    pytest.fail("the server of MLflow did not start")


def test_a_real_server_has_the_run(run, tmp_path, monkeypatch):
    pytest.importorskip("mlflow.server", reason="the server of MLflow is not installed")
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/db", "--artifacts-destination"]
    command = ["server", "--port", str(port), "--workers", "1", *store, str(tmp_path / "files")]
    server = subprocess.Popen([sys.executable, "-m", "mlflow", *command], start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    try:
        _wait_for(f"{uri}/health", server)
        reporter = Warnings()
        tracker = Tracker(run, reporter)
        tracker.begin(CONFIG, RECORD)
        tracker.epoch(epoch(1))
        end(tracker, run, epoch(1), epoch(2))
        assert reporter.warnings == []
        from mlflow import MlflowClient

        client = MlflowClient(uri)
        run_id = run.read_json(runs.MLFLOW)["run_id"]
        sent = client.get_run(run_id)
        assert sent.info.status == "FINISHED"
        assert [metric.step for metric in client.get_metric_history(run_id, "loss")] == [1, 2]
        files = {file.path for file in client.list_artifacts(run_id, "run")}
        assert files == {f"run/{name}" for name in (*run.with_manifest().manifest, "manifest.json")}
    finally:
        os.killpg(server.pid, 15)
        server.wait(30)
