"""RunDir -> probabilities, without TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.validate import Golden
from lstm_cli.text.batching import evaluation_batches, pad_batch
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Encoding, Tokenizer

# Sorted by length within a window: enough texts for batches without padding, and no more
# memory than a window takes, however long the file.
_WINDOW_TEXTS = 2048
_WINDOW_CHARACTERS = 8 << 20
# Taken apart while those before them run.
_PART_TEXTS = 512
_BATCH_TEXTS = 16
_BATCH_TOKENS = 8192
_BATCH_IMAGES = 128
GOLDEN_TOLERANCE = 1e-4

# Which inputs a batch is of, and what makes what the network gets of them, by name.
_Feed = tuple[NDArray[np.int64], Callable[[], dict[str, NDArray[Any]]]]


@dataclass(frozen=True)
class Prediction:
    """What the network says of one input.

    Attributes:
        label: The class chosen.
        probability: Of that class, 0 to 1.
        probabilities: Of every class, in the order of the run's labels.
        num_tokens: Tokens in the whole text; None for images.
        truncated: Whether the text's middle was left out; None for images.
        unknown: Share of tokens that training never saw; None for images.
    """

    label: str
    probability: float
    probabilities: dict[str, float]
    num_tokens: int | None = None
    truncated: bool | None = None
    unknown: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain JSON types, those that do not apply left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}


class Predictor:
    """A trained run, ready to answer.

    Attributes:
        run: Where it came from.
        kind: `text` or `image`.
        labels: Class names; the index is the class id.
        shape: Rows and columns of an image; None for texts.
        tokenizer: None for images.
    """

    def __init__(
        self,
        run: RunDir,
        session: Any,
        tokenizer: Tokenizer | None,
        labels: tuple[str, ...],
    ) -> None:
        """Put the parts together; `load` reads them from a run."""
        self.run = run
        self.labels = labels
        self.tokenizer = tokenizer
        self._session = session
        self.kind = "image" if tokenizer is None else "text"
        shape = session.get_inputs()[0].shape
        self.shape: tuple[int, int] | None = None if tokenizer else (shape[1], shape[2])

    @classmethod
    def load(cls, run: RunDir) -> Predictor:
        """Verify and open a run, and check that it still says what it said when it was saved.

        Raises:
            LstmError: A file is missing, changed or none that `train` writes, or the network
                answers its golden inputs with other probabilities than at the end of training
                (exit code 5).
        """
        parts = validate.read(run)
        session = open_session(run.file(runs.MODEL))
        validate.check_unchanged(run, runs.MODEL, parts.model)
        predictor = cls(run, session, parts.tokenizer, parts.labels)
        predictor.replay(parts.golden)
        return predictor

    @classmethod
    def from_files(cls, run: RunDir) -> Predictor:
        """Open a run's files as they are; `load` is for runs that may have been touched.

        Raises:
            LstmError: A file cannot be read, or they do not belong together (exit code 5).
        """
        tokenizer = validate.read_tokenizer(run, run.config())
        try:
            session = open_session(run.file(runs.MODEL))
        except _session_errors() as error:
            raise run.integrity_error(f"{runs.MODEL} cannot be opened ({error})") from None
        return cls(run, session, tokenizer, run.labels())

    def predict(
        self, inputs: str | Sequence[str] | NDArray[np.uint8], threshold: float | None = None
    ) -> list[Prediction]:
        """Classify texts, or images `<uint8>[num, rows, columns]`.

        Args:
            inputs: One text, several texts, or images, as the run's kind wants.
            threshold: For two classes, the probability from which the second is chosen; 0.5
                where not given. For more classes there is none.

        Raises:
            LstmError: The inputs are of the other kind, or the threshold does not apply.
        """
        # An array of strings, as a column of a table is one, holds texts.
        if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "UO":
            self._check_threshold(threshold)
            probabilities = self.probabilities(inputs)
            return [self._prediction(row, None, threshold) for row in probabilities]
        return list(self.stream([inputs] if isinstance(inputs, str) else inputs, threshold))

    def stream(self, texts: Iterable[str], threshold: float | None = None) -> Iterator[Prediction]:
        """Classify texts one after the other, in order, with memory for a window of them only.

        Raises:
            LstmError: The run reads images, an input is not a text, or there is no threshold.
        """
        self._check_threshold(threshold)
        tokenizer = self._text_tokenizer()
        for window in _windows(texts):
            encodings: list[Encoding] = []
            feeds = _read_and_feed(window, tokenizer, encodings)
            probabilities = self._map(feeds, len(window))
            for row, encoding in zip(probabilities, encodings, strict=True):
                yield self._prediction(row, encoding, threshold)

    def probabilities(self, inputs: Corpus | NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute `<float32>[num, classes]` for an encoded corpus or for images, in order."""
        if isinstance(inputs, Corpus):
            return self.run_texts(inputs)
        if self.shape is None:
            raise LstmError(
                f"Run {self.run.name} reads texts, not images.",
                "Name an image run with --run.",
                ExitCode.USAGE,
            )
        if inputs.ndim != 3 or inputs.shape[1:] != self.shape or inputs.dtype != np.uint8:
            raise LstmError(
                f"Run {self.run.name} reads images <uint8>[num, {self.shape[0]}, {self.shape[1]}], "
                f"found <{inputs.dtype}>{list(inputs.shape)}.",
                "lstm_cli.data.images.read_images brings files into that form.",
                ExitCode.USAGE,
            )
        starts = range(0, len(inputs), _BATCH_IMAGES)
        batches = (np.arange(i, min(i + _BATCH_IMAGES, len(inputs))) for i in starts)

        def feed(indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
            return {"images": inputs[indices]}

        return self._map(((i, partial(feed, i)) for i in batches), len(inputs))

    def text_probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Compute `<float32>[num, classes]` for raw texts, in order.

        Raises:
            LstmError: This is an image run.
        """
        return self.run_texts([e.ids for e in self._text_tokenizer().encode(texts)])

    def run_texts(self, ids: Corpus | Sequence[NDArray[np.int32]]) -> NDArray[np.float32]:
        """Compute `<float32>[num, classes]` for token ids, in order, few of them padded."""
        return self._map(_feeds(ids), len(ids))

    def replay(self, golden: Golden) -> None:
        """Hold the network to what it answered when it was saved.

        Raises:
            LstmError: It answers otherwise now (exit code 5).
        """
        try:
            if isinstance(golden.inputs, np.ndarray):
                found = self.probabilities(golden.inputs)
            else:
                found = self.text_probabilities(golden.inputs)
            worst = float(np.abs(found - golden.probabilities).max())
        except _misfits() as error:
            raise self.run.integrity_error(
                f"golden.json does not fit the model ({error})"
            ) from None
        if not worst <= GOLDEN_TOLERANCE:
            raise self.run.integrity_error(
                f"the model answers its golden inputs differently, by up to {worst:.2g}"
            )

    def _text_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise LstmError(
                f"Run {self.run.name} reads images, not texts.",
                "Give image files, or name a text run with --run.",
                ExitCode.USAGE,
            )
        return self.tokenizer

    def _map(self, feeds: Iterable[_Feed], num: int) -> NDArray[np.float32]:
        """Run batches on all cores, one thread a batch: faster than threads within a batch.

        Args:
            feeds: The batches. The next are asked for while the first run.
            num: Of all inputs.
        """
        result = np.zeros((num, len(self.labels)), np.float32)

        def one(batch: _Feed) -> None:
            indices, feed = batch
            result[indices] = self._session.run(None, feed())[0]

        waiting = iter(feeds)
        first = [*islice(waiting, 2)]
        if len(first) < 2:
            # Threads would take longer to start than a single batch takes.
            for batch in first:
                one(batch)
            return result
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(one, chain(first, waiting)))
        return result

    def _prediction(
        self, row: NDArray[np.float32], encoding: Encoding | None, threshold: float | None
    ) -> Prediction:
        self._check_threshold(threshold)
        chosen = int(row[1] >= threshold) if threshold is not None else int(row.argmax())
        told = {label: float(p) for label, p in zip(self.labels, row, strict=True)}
        label = self.labels[chosen]
        if encoding is None:
            return Prediction(label, told[label], told)
        return Prediction(
            label,
            told[label],
            told,
            encoding.num_tokens,
            encoding.truncated,
            encoding.unknown_fraction,
        )

    def _check_threshold(self, threshold: float | None) -> None:
        if threshold is None:
            return
        if len(self.labels) != 2:
            raise LstmError(
                f"A threshold needs two classes; run {self.run.name} has {len(self.labels)}.",
                "Leave out --threshold; --top-k shows how close the next classes are.",
                ExitCode.USAGE,
            )
        if not 0 <= threshold <= 1:
            raise LstmError(
                f"--threshold expects a number from 0 to 1, found {threshold}.", "", ExitCode.USAGE
            )


def open_session(model: Path | bytes) -> Any:
    """Open an ONNX graph on the CPU, one thread a call."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # What goes wrong is raised; onnxruntime would print it too.
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else _path_or_content(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _path_or_content(model: Path) -> str | bytes:
    """Return a graph's path, or its bytes where the path is not UTF-8, as onnxruntime expects."""
    try:
        str(model).encode()
    except UnicodeEncodeError:
        return model.read_bytes()
    return str(model)


def _session_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of onnxruntime, which share no base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return tuple(getattr(state, name) for name in (*names, "NoSuchFile", "RuntimeException"))


def _misfits() -> tuple[type[Exception], ...]:
    """Return what running inputs of one run through the graph of another may raise."""
    return (KeyError, TypeError, ValueError, AttributeError, *_session_errors())


def _read_and_feed(
    texts: Sequence[str], tokenizer: Tokenizer, encodings: list[Encoding]
) -> Iterator[_Feed]:
    """Yield the batches of texts, which are taken apart on the way.

    Args:
        texts: What to classify.
        tokenizer: Of the run.
        encodings: Where what became of each text is put.
    """
    for start in range(0, len(texts), _PART_TEXTS):
        part = tokenizer.encode(texts[start : start + _PART_TEXTS])
        encodings += part
        for indices, feed in _feeds([e.ids for e in part]):
            yield start + indices, feed


def _feeds(ids: Corpus | Sequence[NDArray[np.int32]]) -> Iterator[_Feed]:
    """Yield the batches of encoded texts, few of them padded.

    The longest come first, so that no core is left with one at the end.
    """
    lengths = np.array([len(ids[i]) for i in range(len(ids))], np.int64)

    def feed(indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        return {"tokens": pad_batch(ids, indices), "lengths": lengths[indices].astype(np.int32)}

    for indices in reversed(evaluation_batches(lengths, _BATCH_TEXTS, _BATCH_TOKENS)):
        yield indices, partial(feed, indices)


def _windows(texts: Iterable[str]) -> Iterator[list[str]]:
    """Cut a stream into lists bounded in texts and in characters."""
    window: list[str] = []
    size = 0
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise LstmError(
                f"Input {index} is {text!r}, expected a text.",
                "Drop missing values, or replace them by an empty text.",
                ExitCode.USAGE,
            )
        window.append(text)
        size += len(text)
        if len(window) >= _WINDOW_TEXTS or size >= _WINDOW_CHARACTERS:
            yield window
            window, size = [], 0
    if window:
        yield window
