"""A model of another library, as prediction calls it; and the checks before Keras is imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.export.result import Format
from lstm_cli.io import environment
from lstm_cli.io.optional import require

Feed = Mapping[str, NDArray[Any]]


class Session:
    """A model with the interface of `onnxruntime.InferenceSession`, as far as it is used.

    Args:
        predict: Computes `<float32>[batch, classes]` from the inputs of the ONNX graph by name.
    """

    def __init__(self, predict: Callable[[Feed], NDArray[Any]]) -> None:
        self._predict = predict

    def run(self, _outputs: None, feed: Feed) -> list[NDArray[Any]]:
        """Return the probabilities of a batch."""
        return [self._predict(feed)]


def without_lengths(feed: Feed) -> dict[str, NDArray[Any]]:
    """Return the inputs without the lengths, which a model of Keras finds in the padding."""
    return {name: value for name, value in feed.items() if name != "lengths"}


def check_installed(format_: Format) -> None:
    """Check that what writes and checks a format is installed; nothing is imported.

    Raises:
        LstmError: A package is missing, or Keras has another backend than the format needs.
    """
    purpose = f"--format {format_}"
    if format_ == "onnx":
        require("onnx", "jinja2", purpose=purpose)
    if format_ not in ("keras", "savedmodel", "litert"):
        return
    require("keras", "jinja2", purpose=purpose)
    environment.check_backend()
    if format_ == "keras":
        return
    require("tensorflow", purpose=purpose)
    if format_ == "litert":
        require("ai_edge_litert", purpose=purpose)
    if environment.backend() != "tensorflow":
        raise LstmError(
            f"{purpose} needs Keras with TensorFlow, but KERAS_BACKEND is {environment.backend()}.",
            "Unset KERAS_BACKEND, or choose --format keras or onnx.",
            ExitCode.USAGE,
        )
