"""Predict parts on this machine: one after the other, or in several processes."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from lstm_cli.errors import LstmError
from lstm_cli.io.worker import Worker, new_worker
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir
from lstm_cli.scale.parts import Part
from lstm_cli.scale.predict_part import PartOutcome, PartSettings, try_part


def predict_here(
    predictor: Predictor, parts: Sequence[Part], settings: PartSettings
) -> Iterator[PartOutcome]:
    """Predict parts in this process, in order."""
    for part in parts:
        yield try_part(predictor, part, settings)


def predict_in_processes(
    run: RunDir, parts: Sequence[Part], settings: PartSettings, num_jobs: int, num_threads: int
) -> Iterator[PartOutcome]:
    """Predict parts in several processes, and yield the outcomes as they come.

    A process that dies is replaced, and its part is predicted once more. The processes end with the
    iterator.

    Args:
        run: The run; each process loads it with all checks.
        parts: The parts.
        settings: How to predict them.
        num_jobs: Number of processes.
        num_threads: Threads of each process.
    """
    pool = _Pool(run.path, parts, settings, num_threads)
    threads = [threading.Thread(target=pool.work, daemon=True) for _ in range(num_jobs)]
    try:
        for thread in threads:
            thread.start()
        for _ in parts:
            yield pool.outcomes.get()
    finally:
        pool.close()
        for thread in threads:
            thread.join()


class _Pool:
    """Parts to predict, shared by threads that have a worker process each.

    Attributes:
        outcomes: Gets the outcome of each part.
    """

    def __init__(
        self, run: Path, parts: Sequence[Part], settings: PartSettings, num_threads: int
    ) -> None:
        self.outcomes: queue.Queue[PartOutcome] = queue.Queue()
        self._waiting: queue.Queue[Part] = queue.Queue()
        for part in parts:
            self._waiting.put(part)
        self._arguments = (run, settings, num_threads)
        self._lock = threading.Lock()
        self._workers: set[Worker] = set()
        self._is_closed = False

    def work(self) -> None:
        """Predict waiting parts in one process until there are no more."""
        worker = self._start()
        with contextlib.suppress(queue.Empty):
            while worker is not None:
                part = self._waiting.get_nowait()
                outcome, worker = self._predict(worker, part)
                self.outcomes.put(outcome)
        if worker is not None:
            self._end(worker)

    def close(self) -> None:
        """End all processes, also in the middle of a part."""
        with self._lock:
            self._is_closed = True
            workers = [*self._workers]
        for worker in workers:
            self._end(worker)

    def _predict(self, worker: Worker, part: Part) -> tuple[PartOutcome, Worker | None]:
        """Return the outcome of a part, and the process for the next one."""
        for _ in range(2):
            answer = worker.submit_once(_predict_in_worker, part, *self._arguments)()
            if answer is not None:
                return answer[0], worker
            self._end(worker)
            replacement = self._start()
            if replacement is None:
                return PartOutcome.failed(part, _died(part)), None
            worker = replacement
        return PartOutcome.failed(part, _died(part)), worker

    def _start(self) -> Worker | None:
        """Start a process; None if the pool is closed."""
        with self._lock:
            if self._is_closed:
                return None
            worker = new_worker()
            self._workers.add(worker)
            return worker

    def _end(self, worker: Worker) -> None:
        with self._lock:
            is_known = worker in self._workers
            self._workers.discard(worker)
        if is_known:
            worker.close()


def _died(part: Part) -> LstmError:
    return LstmError(
        f"{part.name}: the process that predicted it ended twice.",
        "If memory is short, use fewer --jobs.",
    )


@lru_cache(maxsize=1)
def _load(run: Path, num_threads: int) -> Predictor:
    return Predictor.load(RunDir(run), num_threads)


def _predict_in_worker(
    part: Part, run: Path, settings: PartSettings, num_threads: int
) -> PartOutcome:
    """Predict a part in a worker process, which loads the run once."""
    try:
        predictor = _load(run, num_threads)
    except LstmError as error:
        return PartOutcome.failed(part, error)
    return try_part(predictor, part, settings)
