"""Compute probabilities with a run, without TensorFlow."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config.schema import Config
from lstm_cli.data.images import Border, with_border
from lstm_cli.data.readers.text_columns import TextColumns
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import pluralize
from lstm_cli.prediction import batches
from lstm_cli.prediction.batches import Batch
from lstm_cli.prediction.decision import MOST_PROBABLE, Decision, check_probability, make_decision
from lstm_cli.prediction.image_inputs import read_images
from lstm_cli.prediction.inputs import Inputs, TextInput, read_texts
from lstm_cli.prediction.label_sets import Thresholds, make_label_prediction, predicted_labels
from lstm_cli.prediction.result import Prediction, Predictions, make_prediction
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_check, validate
from lstm_cli.runs import thresholds as stored_thresholds
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.validate import Golden
from lstm_cli.text.corpus import Corpus
from lstm_cli.text.tokenizer import Encoding, Tokenizer

GOLDEN_TOLERANCE = 1e-4


class Predictor:
    """A run that is loaded for prediction.

    Attributes:
        run: The run.
        kind: `text` or `image`.
        labels: Class names; the index is the class id.
        shape: Rows and columns of an image; None for texts.
        tokenizer: None for images.
        thresholds: Of a multi-label run, by label; None in other runs.
        decision: In other runs, how the class is chosen, and when it is the answer.
        border: The setting `image.border`: which images are inverted. `any` for texts.
        text_columns: The columns of the table that the run learned texts from; empty for other
            data.
        num_threads: Threads that compute batches. It changes no result.
    """

    def __init__(
        self,
        run: RunDir,
        session: Any,
        tokenizer: Tokenizer | None,
        labels: tuple[str, ...],
        thresholds: Thresholds | None = None,
        num_threads: int | None = None,
    ) -> None:
        """Use parts that are loaded already; `load` reads them from a run.

        Args:
            run: The run.
            session: From `open_session`.
            tokenizer: None for images.
            labels: Class names.
            thresholds: As the attribute.
            num_threads: As the attribute; None for as many as there are cores.
        """
        self.num_threads = num_threads or os.cpu_count() or 1
        self.run = run
        self.labels = labels
        self.tokenizer = tokenizer
        self.thresholds = thresholds
        self.decision: Decision = MOST_PROBABLE
        self.border: Border = "any"
        self.text_columns: tuple[str, ...] = ()
        self._config: Config | None = None
        self._session = session
        self.kind = "image" if tokenizer is None else "text"
        shape = session.get_inputs()[0].shape
        self.shape: tuple[int, int] | None = None if tokenizer else (shape[1], shape[2])

    @classmethod
    def load(cls, run: RunDir, num_threads: int | None = None) -> Predictor:
        """Validate a run, open its model, and check that it reproduces its golden probabilities.

        Args:
            run: The run.
            num_threads: As the attribute; None for as many as there are cores.

        Raises:
            LstmError: A file is missing, changed or not valid, or the model predicts other
                probabilities for its golden inputs than at the end of training (exit code 5).
        """
        validated = validate.read(run)
        session = open_session(run.file(runs.MODEL))
        onnx_check.check_unchanged(run, runs.MODEL, validated.model)
        predictor = cls(
            run,
            session,
            validated.tokenizer,
            validated.labels,
            validated.thresholds,
            num_threads,
        )
        predictor._config = validated.config
        predictor.text_columns = validated.config.data.text_columns
        if validated.thresholds is None:
            predictor.decision = read_decision(run.with_manifest(), validated.labels)
        predictor.border = _border(validated.config)
        predictor.replay(validated.golden)
        return predictor

    @property
    def config(self) -> Config:
        """The settings of the run."""
        if self._config is None:
            self._config = self.run.config()
        return self._config

    @classmethod
    def from_files(cls, run: RunDir) -> Predictor:
        """Open a run that this process wrote itself; any other needs the checks of `load`.

        Raises:
            LstmError: A file cannot be read, or the files do not fit together (exit code 5).
        """
        config = run.config()
        tokenizer = validate.read_tokenizer(run, config)
        try:
            session = open_session(run.file(runs.MODEL))
        except _session_errors() as error:
            raise run.integrity_error(f"{runs.MODEL} cannot be opened ({error})") from None
        predictor = cls(run, session, tokenizer, run.labels())
        predictor.border = _border(config)
        return predictor

    def with_model(self, model: Path | bytes) -> Predictor:
        """Return this run with another ONNX model of the same inputs and outputs.

        Args:
            model: A file, or its content.
        """
        return self.with_session(open_session(model), self.num_threads)

    def with_session(self, session: Any, num_threads: int = 1) -> Predictor:
        """Return this run with another model.

        Args:
            session: Runs batches as an `onnxruntime.InferenceSession` does.
            num_threads: How many threads may call it at once.
        """
        other = copy.copy(self)
        other._session, other.num_threads = session, num_threads
        return other

    def predict(
        self,
        inputs: Inputs,
        threshold: float | None = None,
        min_probability: float | None = None,
    ) -> Predictions:
        """Classify texts, or images `<uint8>[num, rows, columns]`.

        Args:
            inputs: Texts: a list, a generator, an array, or a column of a table. A single string is
                one text. A text can also be the values of its columns, `{"subject": "...",
                "body": "..."}`: those of `text_columns` are read, and other keys are ignored. A
                table with these columns has one text in each row. For an image run, images as in
                `prediction.image_inputs.read_images`.
            threshold: For two classes, the second is chosen if its probability is at least this;
                None for the thresholds of the run, which without any are 0.5. In a multi-label run
                it takes the place of all thresholds of the run. For more classes it must be None.
            min_probability: The label is empty if the probability of the chosen class is lower;
                None for those of the run, which without any are 0. It has no effect in a
                multi-label run, and must be None or 0.

        Raises:
            LstmError: The inputs are of the other kind, one is missing or not a string, or the
                threshold does not apply (exit code 2).
        """
        if self.shape is None:
            return Predictions(self.stream(inputs, threshold, min_probability))
        self.check_rule(threshold, min_probability)
        rows = self.probabilities(read_images(inputs, self.shape, self.run.name))
        return Predictions(
            self.make_prediction(row, None, threshold, min_probability) for row in rows
        )

    def predict_proba(self, inputs: Inputs) -> NDArray[np.float32]:
        """Compute probabilities, `<float32>[num, classes]`, as classifiers of scikit-learn do.

        The columns are in the order of `labels`. The rows of a multi-label run do not add up to 1.

        Args:
            inputs: As for `predict`.

        Raises:
            LstmError: As `predict`.
        """
        if self.shape is not None:
            return self.probabilities(read_images(inputs, self.shape, self.run.name))
        windows = [rows for rows, _ in self._windows(inputs)]
        return np.concatenate([np.zeros((0, len(self.labels)), np.float32), *windows])

    def predict_labels(self, inputs: Inputs) -> NDArray[Any]:
        """Return the predicted label of each input, by the thresholds of the run.

        Args:
            inputs: As for `predict`.

        Returns:
            `<object>[num]`, strings: empty where there is no answer. Of a multi-label run
            `<int64>[num, labels]`, 1 for each predicted label: as `predict` of scikit-learn.

        Raises:
            LstmError: As `predict`.
        """
        probabilities = self.predict_proba(inputs)
        if self.thresholds is not None:
            return predicted_labels(probabilities, self.thresholds).astype(np.int64)
        # The id -1, no answer, is the last one.
        names = np.array([*self.labels, ""], object)
        return np.asarray(names[self.decision.answers(probabilities)])

    @property
    def classes_(self) -> NDArray[Any]:
        """The labels as an array, `<object>[classes]`, by the name that scikit-learn uses."""
        return np.array(self.labels, object)

    def stream(
        self,
        texts: Inputs,
        threshold: float | None = None,
        min_probability: float | None = None,
    ) -> Iterator[Prediction]:
        """Classify texts one by one, in order; only a window of them is in memory.

        Args:
            texts: As `inputs` of `predict`.
            threshold: As for `predict`.
            min_probability: As for `predict`.

        Raises:
            LstmError: As `predict`.
        """
        self.check_rule(threshold, min_probability)
        for rows, encodings in self._windows(texts):
            for row, encoding in zip(rows, encodings, strict=True):
                yield self.make_prediction(row, encoding, threshold, min_probability)

    def _windows(self, texts: Inputs) -> Iterator[tuple[NDArray[np.float32], list[Encoding]]]:
        """Yield the probabilities and encodings of texts, window by window."""
        tokenizer = self._text_tokenizer()
        for window in batches.windows(self.read_texts(texts)):
            encodings: list[Encoding] = []
            rows = self._run(batches.window_batches(window, tokenizer, encodings), len(window))
            yield rows, encodings

    def read_texts(self, inputs: Inputs) -> Iterator[str]:
        """Yield texts as the run reads them.

        Args:
            inputs: As for `predict`.

        Raises:
            LstmError: As `predict`.
        """
        return read_texts(inputs, self.text_columns, self.to_text, self.run.name)

    def to_text(self, text: TextInput) -> str:
        """Return a text as the run reads it: of several columns, the values joined.

        Raises:
            LstmError: The run has no columns, all of them are missing, or a value is not a string
                (exit code 2).
        """
        if not isinstance(text, Mapping):
            return text
        if not self.text_columns:
            raise LstmError(
                f"Run {self.run.name} was not trained on a table: its texts have no columns.",
                "Give a text as a string.",
                ExitCode.USAGE,
            )
        try:
            return TextColumns(self.text_columns, "").read(dict(text), "A text")
        except LstmError as error:
            columns = ", ".join(self.text_columns)
            raise LstmError(
                error.message, f"The run reads the columns {columns}.", ExitCode.USAGE
            ) from None

    def make_prediction(
        self,
        row: NDArray[np.float32],
        encoding: Encoding | None,
        threshold: float | None = None,
        min_probability: float | None = None,
        top_k: int | None = None,
    ) -> Prediction:
        """Turn the probabilities of one input into a prediction, by the rule of the run.

        Args:
            row: `<float32>[classes]`.
            encoding: Of the text; None for images.
            threshold: As for `predict`.
            min_probability: As for `predict`.
            top_k: Keep only the K most probable classes; None for all.
        """
        if self.thresholds is None:
            decision = self.decision.override(self.labels, threshold, min_probability)
            return make_prediction(row, self.labels, encoding, decision, top_k)
        thresholds = self.thresholds
        if threshold is not None:
            thresholds = np.full(len(self.labels), threshold, np.float64)
        return make_label_prediction(row, self.labels, thresholds, encoding, top_k)

    def check_rule(self, threshold: float | None, min_probability: float | None) -> None:
        """Check that a threshold and a smallest probability apply to the run.

        Raises:
            LstmError: One does not (exit code 2).
        """
        if self.thresholds is None:
            self.decision.override(self.labels, threshold, min_probability)
            return
        if threshold is not None:
            check_probability("--threshold", threshold)
        if min_probability:
            raise LstmError(
                f"--min-probability has no effect: run {self.run.name} gives a text any number of "
                "labels.",
                "--threshold P chooses each label from P on.",
                ExitCode.USAGE,
            )

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
        images = with_border(read_images(inputs, self.shape, self.run.name), self.border)
        return self._run(batches.image_batches(images), len(images))

    def describe_inverted(self, num: int, num_images: int) -> str:
        """Say how many images were inverted; empty if none was.

        Args:
            num: How many, as `has_other_border` says.
            num_images: How many images there are.
        """
        if not num:
            return ""
        other = "bright" if self.border == "dark" else "dark"
        verb = "has" if num == 1 else "have"
        return (
            f"{num:,} of {pluralize(num_images, 'image')} {verb} a {other} border, unlike those "
            f"of training, and {'is' if num == 1 else 'are'} inverted (image.border="
            f"{self.border})."
        )

    def text_probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Compute `<float32>[num, classes]` for raw texts, in order.

        Raises:
            LstmError: This is an image run, or one of the inputs is not a text (exit code 2).
        """
        tokenizer = self._text_tokenizer()
        return self.run_texts(tokenizer.encode(list(self.read_texts(texts))))

    def run_texts(self, texts: Corpus | Sequence[Encoding]) -> NDArray[np.float32]:
        """Compute `<float32>[num, classes]` for encoded texts, in order.

        Raises:
            LstmError: This is an image run.
        """
        char_ngrams = self._text_tokenizer().char_buckets > 0
        return self._run(batches.text_batches(texts, char_ngrams), len(texts))

    def replay(self, golden: Golden) -> None:
        """Check that the model predicts the golden probabilities.

        Raises:
            LstmError: It predicts others (exit code 5).
        """
        try:
            max_difference = self.golden_difference(golden)
        except _mismatch_errors() as error:
            raise self.run.integrity_error(
                f"{runs.GOLDEN} does not fit the model ({error})"
            ) from None
        if not max_difference <= GOLDEN_TOLERANCE:
            raise self.run.integrity_error(
                f"the probabilities of the golden inputs differ by up to {max_difference:.2g}"
            )

    def golden_difference(self, golden: Golden) -> float:
        """Return the largest difference from the golden probabilities.

        Raises:
            LstmError: The inputs are of the other kind.
        """
        if isinstance(golden.inputs, np.ndarray):
            found = self.probabilities(golden.inputs)
        else:
            found = self.text_probabilities(golden.inputs)
        return float(np.abs(found - golden.probabilities).max())

    def _text_tokenizer(self) -> Tokenizer:
        if self.tokenizer is None:
            raise LstmError(
                f"Run {self.run.name} reads images, not texts.",
                "Give image files, or name a text run with --run.",
                ExitCode.USAGE,
            )
        return self.tokenizer

    def _run(self, all_batches: Iterable[Batch], num_inputs: int) -> NDArray[np.float32]:
        """Run batches in threads, one per batch: faster than threads within a batch.

        Args:
            all_batches: The next ones are made while the first run.
            num_inputs: Number of inputs in all batches.
        """
        result = np.zeros((num_inputs, len(self.labels)), np.float32)

        def run_batch(batch: Batch) -> None:
            indices, feed = batch
            result[indices] = self._session.run(None, feed())[0]

        remaining = iter(all_batches)
        first = [*islice(remaining, 2)]
        if len(first) < 2 or self.num_threads == 1:
            # Starting threads takes longer than running a single batch.
            for batch in chain(first, remaining):
                run_batch(batch)
            return result
        with ThreadPoolExecutor(self.num_threads) as pool:
            list(pool.map(run_batch, chain(first, remaining)))
        return result


def _border(config: Config) -> Border:
    return "any" if config.image is None else config.image.border


def read_decision(run: RunDir, labels: tuple[str, ...]) -> Decision:
    """Return the rule of decision of a run: its thresholds, or the most probable class.

    Args:
        run: With its manifest.
        labels: Its class names.

    Raises:
        LstmError: The thresholds are damaged, or belong to another model (exit code 5).
    """
    stored = stored_thresholds.read(run, labels)
    if stored is None:
        return MOST_PROBABLE
    return make_decision(labels, stored.thresholds, stored.min_probabilities)


def open_session(model: Path | bytes) -> Any:
    """Open an ONNX model on the CPU, with one thread per call.

    Args:
        model: A file, or its content.

    Returns:
        An `onnxruntime.InferenceSession`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Errors are raised; by default onnxruntime prints them too.
    options.log_severity_level = 4
    source = model if isinstance(model, bytes) else _path_or_content(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _path_or_content(model: Path) -> str | bytes:
    """Return a path, or the content if the path is not UTF-8, which onnxruntime expects."""
    try:
        str(model).encode()
    except UnicodeEncodeError:
        return model.read_bytes()
    return str(model)


def _session_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of onnxruntime, which have no common base class."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    return tuple(getattr(state, name) for name in (*names, "NoSuchFile", "RuntimeException"))


def _mismatch_errors() -> tuple[type[Exception], ...]:
    """Return what may be raised if inputs of one run go through the graph of another."""
    return (KeyError, TypeError, ValueError, AttributeError, *_session_errors())
