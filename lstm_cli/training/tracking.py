"""`--track mlflow`: pass a training on to an MLflow server.

Tracking never ends a training. If a call fails, there is a warning, and no call until the end; then
everything is sent that the server lacks. If that fails too, the run is complete all the same. Of a
training that fails, the state is sent whatever failed before. No MLflow run is left RUNNING, as
long as the server answers: one that lacks the results of a finished training is FAILED.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.optional import require
from lstm_cli.io.progress import Epoch, Reporter
from lstm_cli.io.signals import Interrupted
from lstm_cli.io.text_format import shorten
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import mlflow_calls

_URI = "MLFLOW_TRACKING_URI"
# By default, MLflow retries for minutes, sends usage statistics to its makers, prints on stdout.
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_MAX_REASON = 120
_GOES_ON = "Training goes on; at its end, everything that is missing there is sent once more."
_NOT_THERE = "The run directory is complete, but MLflow does not have all of it."
_STILL_RUNNING = "Its state there may still be RUNNING."
_FINISHED, _FAILED, _KILLED = "FINISHED", "FAILED", "KILLED"


def check(track: str | None) -> None:
    """Check before training that tracking can work; the server is not asked.

    Args:
        track: `mlflow`; None for no tracking.

    Raises:
        LstmError: MLflow is not installed, or no server is named (exit code 2).
    """
    if track is None:
        return
    require("mlflow")
    if not os.environ.get(_URI):
        raise LstmError(
            f"--track mlflow needs the address of a server in {_URI}.",
            f"For example: export {_URI}=http://127.0.0.1:5000",
            ExitCode.USAGE,
        )


def _open_client() -> Any:
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=os.environ[_URI])


class Tracker:
    """Passes what happens in a training on to MLflow.

    Args:
        run: The run directory.
        reporter: Receives warnings.
        open_client: Returns an `MlflowClient`.
    """

    def __init__(
        self, run: RunDir, reporter: Reporter, open_client: Callable[[], Any] = _open_client
    ) -> None:
        self._run = run
        self._reporter = reporter
        self._open_client = open_client
        self._client: Any = None
        self._run_id = ""
        self._started: tuple[dict[str, str], dict[str, str]] = ({}, {})
        self._sent: set[tuple[int, int]] = set()
        self._is_begun = False
        self._has_failed = False

    def begin(self, config: Config, record: Mapping[str, Any]) -> None:
        """Send the settings; a resumed training goes on with its MLflow run."""
        self._started = (
            mlflow_calls.parameters(config, record),
            mlflow_calls.tags(self._run.name, record),
        )
        self._attempt(lambda: None)

    def epoch(self, epoch: Epoch) -> None:
        """Send the metrics of an epoch."""
        self._attempt(lambda: self._send_epochs([epoch]))

    def end(self, history: Iterable[Epoch], results: Mapping[str, Any]) -> None:
        """Send what is still missing, the results, and the files of the finished run.

        Args:
            history: All epochs.
            results: Content of `metrics.json`.
        """
        self._has_failed = False

        def send() -> None:
            self._send_epochs(history)
            self._send_metrics(mlflow_calls.result_metrics(results), 0)
            for name in (*(self._run.with_manifest().manifest or {}), runs.MANIFEST):
                folder = f"run/{name}".rpartition("/")[0]
                self._client.log_artifact(self._run_id, str(self._run.file(name)), folder)
            self._client.set_terminated(self._run_id, _FINISHED)
            self._reporter.note(f"MLflow: run {self._run_id} at {os.environ.get(_URI, '')}")

        self._attempt(send, _NOT_THERE)
        if self._has_failed:
            self._terminate(_FAILED)

    def fail(self, error: BaseException) -> None:
        """Say that the training ended without a result; it may be resumed."""
        status = _KILLED if isinstance(error, Interrupted | KeyboardInterrupt) else _FAILED
        self._terminate(status)

    def _terminate(self, status: str) -> None:
        """End the MLflow run, if there is one, also one that lacks its settings."""
        if self._run_id:
            self._has_failed, self._is_begun = False, True
            self._attempt(lambda: self._client.set_terminated(self._run_id, status), _STILL_RUNNING)

    def reporting(self, reporter: Reporter) -> Reporter:
        """Return a reporter that also sends epochs."""
        return cast(Reporter, _TrackingReporter(reporter, self))

    def _attempt(self, action: Callable[[], None], hint: str = _GOES_ON) -> None:
        """Call MLflow; after a failure there is one warning, and no call until the end.

        Args:
            action: The calls.
            hint: What the warning ends with.
        """
        if self._has_failed:
            return
        try:
            if self._client is None:
                self._client = self._open_client()
            if not self._is_begun:
                self._begin()
                self._is_begun = True
            action()
        except Exception as error:  # Whatever MLflow raises, the training goes on.
            self._has_failed = True
            reason = shorten(str(error), _MAX_REASON)
            self._reporter.warn(f"MLflow at {os.environ.get(_URI, '')} failed: {reason}. {hint}")

    def _begin(self) -> None:
        """Open the MLflow run and send the settings; after a failure it goes on with that run."""
        # From here on `fail` and `end` know the run, whatever fails next.
        self._run_id = self._run_id or self._known_run() or ""
        if self._run_id:
            self._client.update_run(self._run_id, status="RUNNING")
            self._sent = self._epochs_there(self._run_id)
        else:
            self._create_run()
        self._send_start(self._run_id)

    def _create_run(self) -> None:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or f"lstm/{self._run.path.parent.name}"
        experiment = self._client.get_experiment_by_name(name)
        experiment_id = (
            self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        )
        created = self._client.create_run(experiment_id, run_name=self._run.path.name)
        self._run_id = created.info.run_id
        state = {"uri": os.environ.get(_URI, ""), "run_id": self._run_id}
        self._run.write_text(runs.MLFLOW, json.dumps(state) + "\n")

    def _known_run(self) -> str | None:
        """Return the id of the MLflow run of a training that is resumed; None for a new one."""
        with contextlib.suppress(LstmError, ValueError, KeyError, TypeError):
            state = (
                self._run.read_json(runs.MLFLOW) if self._run.file(runs.MLFLOW).is_file() else {}
            )
            if state["uri"] == os.environ.get(_URI):
                return str(state["run_id"])
        return None

    def _epochs_there(self, run_id: str) -> set[tuple[int, int]]:
        """Return stage and number of the epochs that the server has."""
        found = set()
        for key in self._client.get_run(run_id).data.metrics:
            if key == "loss" or key.endswith("/loss"):
                prefix = key.removesuffix("loss").removesuffix("/").removeprefix("stage-")
                if not prefix or prefix.isdigit():
                    history = self._client.get_metric_history(run_id, key)
                    found |= {(int(prefix or 1), metric.step) for metric in history}
        return found

    def _send_start(self, run_id: str) -> None:
        from mlflow.entities import Param, RunTag

        params, tags = self._started
        # MLflow refuses another value for a parameter: after --resume with more epochs, the first
        # value stays.
        known = self._client.get_run(run_id).data.params
        params = {key: value for key, value in params.items() if key not in known}
        for batch in mlflow_calls.batches(Param(*pair) for pair in params.items()):
            self._client.log_batch(run_id, params=batch)
        self._client.log_batch(run_id, tags=[RunTag(*pair) for pair in tags.items()])

    def _send_epochs(self, epochs: Iterable[Epoch]) -> None:
        for epoch in epochs:
            if (epoch.stage, epoch.epoch) not in self._sent:
                self._send_metrics(mlflow_calls.epoch_metrics(epoch), epoch.epoch)
                self._sent.add((epoch.stage, epoch.epoch))

    def _send_metrics(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for batch in mlflow_calls.batches(Metric(k, v, now, step) for k, v in values.items()):
            self._client.log_batch(self._run_id, metrics=batch)


@contextlib.contextmanager
def tracked(tracker: Tracker | None, config: Config, record: Mapping[str, Any]) -> Iterator[None]:
    """Tell a tracker, if there is one, how a block begins, and how it ends if it fails.

    Args:
        tracker: None for no tracking.
        config: As for `Tracker.begin`.
        record: As for `Tracker.begin`.
    """
    if tracker is None:
        yield
        return
    try:
        tracker.begin(config, record)
        yield
    except BaseException as error:
        tracker.fail(error)
        raise


class _TrackingReporter:
    """A reporter that also sends epochs to MLflow; the rest is that of another reporter."""

    def __init__(self, reporter: Reporter, tracker: Tracker) -> None:
        self._reporter = reporter
        self._tracker = tracker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reporter, name)

    def epoch(self, epoch: Epoch) -> None:
        """Pass it on, and send it."""
        self._reporter.epoch(epoch)
        self._tracker.epoch(epoch)
