"""A job: all parts of an input, of which those that are finished are not predicted again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lstm_cli import __version__
from lstm_cli.errors import LstmError
from lstm_cli.io.atomic_write import make_folder, remove_temp_files
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.scale.finished import FOLDER, FinishedPart, open_job, read_finished
from lstm_cli.scale.local_engine import predict_here, predict_in_processes
from lstm_cli.scale.parts import Part
from lstm_cli.scale.predict_part import PartOutcome, PartSettings
from lstm_cli.scale.ray_engine import Cluster, predict_on_ray
from lstm_cli.scale.run_files import RunFiles, fingerprint
from lstm_cli.scale.storage import is_remote, local_path, open_storage

# What runs the waiting parts.
Engine = Callable[[Sequence[Part]], Iterator[PartOutcome]]


@dataclass(frozen=True)
class Job:
    """Parts to predict with one run and one set of options.

    Attributes:
        predictor: Of the run.
        parts: All parts.
        settings: How to predict them.
    """

    predictor: Predictor
    parts: Sequence[Part]
    settings: PartSettings

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[list[FinishedPart], list[Part]]]:
        """Begin or continue the job, for the duration of a block.

        Returns:
            The records of parts that are finished, and the other parts.

        Raises:
            LstmError: The output folder has something else in it, or another process writes there.
        """
        out = self.settings.out
        with _locked(out):
            storage = open_storage(out)
            sizes = open_job(storage, out, self._identity())
            self._remove_temp_files()
            finished = read_finished(storage, out, self.parts, sizes)
            done = {record.output for record in finished}
            try:
                yield finished, [part for part in self.parts if part.out not in done]
            finally:
                # Of processes that were ended in the middle of a part.
                self._remove_temp_files()

    def _remove_temp_files(self) -> None:
        """Remove what a killed process left in the folders to which this job writes, in no other.

        The folder of the answers is locked, and it is known to be that of this job.
        """
        if is_remote(self.settings.out):
            return
        out = local_path(self.settings.out)
        answers = {(out / part.out).parent for part in self.parts}
        records = (out / FOLDER / "parts").rglob("*/")
        for folder in {*answers, out / FOLDER, out / FOLDER / "parts", *records}:
            remove_temp_files(folder)

    def on_this_machine(self, num_jobs: int, num_threads: int) -> Engine:
        """Return the engine that predicts in this process, or in several.

        Args:
            num_jobs: Number of processes.
            num_threads: Threads of each.
        """

        def run(parts: Sequence[Part]) -> Iterator[PartOutcome]:
            jobs = min(num_jobs, len(parts))
            if num_jobs == 1:
                return predict_here(self.predictor, parts, self.settings)
            run_dir = self.predictor.run
            return predict_in_processes(run_dir, parts, self.settings, jobs, num_threads)

        return run

    def on_ray(self, cluster: Cluster) -> Engine:
        """Return the engine that predicts on a Ray cluster."""

        def run(parts: Sequence[Part]) -> Iterator[PartOutcome]:
            return predict_on_ray(RunFiles.of(self.predictor.run), parts, self.settings, cluster)

        return run

    def _identity(self) -> dict[str, Any]:
        """Return what the answers depend on besides the inputs."""
        import onnxruntime

        settings = self.settings
        content = {k: v for k, v in asdict(settings.content).items() if k != "header"}
        return {
            "run": fingerprint(self.predictor.run),
            "lstm": __version__,
            "onnxruntime": onnxruntime.__version__,
            **content,
            **asdict(settings.rule),
            "text_columns": list(settings.text_columns),
            **{f"input {key}": value for key, value in asdict(settings.options).items()},
        }


@contextlib.contextmanager
def _locked(out: str) -> Iterator[None]:
    """Hold the lock of a local output folder.

    Raises:
        LstmError: Another process writes there, or the folder cannot be written.
    """
    if is_remote(out):
        yield
        return
    folder = local_path(out)
    from filelock import FileLock, Timeout

    try:
        make_folder(folder / FOLDER)
        lock = FileLock(folder / FOLDER / ".lock", timeout=1)
        lock.acquire()
    except Timeout:
        raise LstmError(
            f"Another process writes to {out}.", "Wait for it, or name another folder."
        ) from None
    except OSError as error:
        reason = error.strerror or error
        raise LstmError(f"Cannot write {out}: {reason}.", "Name another folder.") from None
    try:
        yield
    finally:
        lock.release()
