"""What an export has written, and how it was checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Format = Literal["zip", "onnx", "keras", "savedmodel", "litert", "html"]
Quantize = Literal["none", "float16", "int8"]


@dataclass(frozen=True)
class GoldenCheck:
    """The golden inputs of a run, predicted by what was written.

    Attributes:
        num: Number of inputs.
        max_difference: Largest difference of a probability from that of the run.
        engine: The program that predicted them.
    """

    num: int
    max_difference: float
    engine: str


@dataclass(frozen=True)
class Accuracy:
    """Accuracy on the validation split, before and after the weights were made smaller.

    Attributes:
        num: Number of examples.
        before: With the run's weights.
        after: With the weights of the export.
        max_difference: Largest difference of a probability.
    """

    num: int
    before: float
    after: float
    max_difference: float


@dataclass(frozen=True)
class Exported:
    """A file or a folder that was written.

    Attributes:
        run: Name of the run.
        format: Its format.
        quantize: How the weights were made smaller.
        path: Where it is.
        num_bytes: Its size; of a folder, that of its files together.
        golden: The golden inputs; None if there are none, or nothing here can run the file.
        accuracy: On validation; None if the weights are those of the run, or the data is missing.
        notes: What a person should know.
    """

    run: str
    format: Format
    quantize: Quantize
    path: Path
    num_bytes: int
    golden: GoldenCheck | None
    accuracy: Accuracy | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "path": str(self.path), "notes": list(self.notes)}
