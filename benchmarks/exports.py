"""Formats of `lstm export`: size, and difference from the run on inputs of the test split.

Each format is written as the command does, opened again, and predicts inputs of the test split,
which decide nothing here. The page is run in every browser engine that is installed.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from benchmarks.firefox import predict_in_firefox
from benchmarks.report import Option, Outcome, Table
from lstm_cli.errors import LstmError
from lstm_cli.evaluation.load_split import load_own
from lstm_cli.export import javascript
from lstm_cli.export.export import export, open_folder
from lstm_cli.export.result import Exported, Format, Quantize
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.archive import open_archive
from lstm_cli.runs.directory import runs_root
from lstm_cli.runs.find import find

OPTIONS = (
    Option("run", "a classifier, or several, separated by commas", kind="argument"),
    Option("inputs", "number of test inputs", 500, 20),
    Option("formats", "formats, separated by commas", ",".join(get_args(Format)), "onnx,html"),
    Option("weights", "kinds of weights of onnx and html", "none,float16,int8", "none,int8"),
    Option("engines", "programs that run a page, if installed", "node,chromium,firefox", "node"),
)
# A check of a page may take five minutes, also on a busy machine.
_PART = 100
_WHOLE: Quantize = "none"
_QUANTIZABLE = ("onnx", "html")
_ENGINES = {"node": "Node.js", "chromium": "Chromium", "firefox": "Firefox"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    return report.main("exports", __doc__, OPTIONS, measure, arguments)


def measure(args: argparse.Namespace) -> Outcome:
    """Write and compare each format of each run."""
    found, rows = {}, []
    for name in args.run.split(","):
        run = find(runs_root(None), name)
        predictor = Predictor.load(run)
        inputs = load_own(predictor, "test", None).splits["test"].inputs[: args.inputs]
        expected = _predict(predictor, inputs)
        for format_ in args.formats.split(","):
            kinds: list[Quantize] = args.weights.split(",")
            for how in kinds if format_ in _QUANTIZABLE else [_WHOLE]:
                key = f"{run.path.parent.name}/{run.path.name} {format_} {how}"
                try:
                    found[key] = _measure(predictor, format_, how, inputs, expected, args.engines)
                except LstmError as error:
                    report.log(f"{key}: {error}")
                    continue
                rows.append((*key.split(), *_cells(found[key])))
                report.log(f"{rows[-1]}")
    columns = ("run", "format", "weights", "size", "golden inputs", f"{args.inputs} test inputs")
    return Outcome(found, [Table("Formats of lstm export", columns, rows)])


def _measure(
    predictor: Predictor,
    format_: Format,
    how: Quantize,
    inputs: Any,
    expected: NDArray[np.float32],
    engines: str,
) -> dict[str, Any]:
    """Write a format, and compare what each engine predicts with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"model{'.zip' if format_ == 'zip' else ''}"
        chosen = how if format_ in _QUANTIZABLE else None
        written = export(predictor.run, format_, path, quantize=chosen)
        differences = {
            engine: float(np.abs(rows - expected).max())
            for engine, rows in _predictions(predictor, written, inputs, engines)
        }
    golden = written.golden and written.golden.max_difference
    return {"bytes": written.num_bytes, "golden": golden, "differences": differences}


def _predictions(
    predictor: Predictor, written: Exported, inputs: Any, engines: str
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield what each engine here predicts with an export."""
    if written.format == "html":
        plain = (
            inputs.tolist() if isinstance(inputs, np.ndarray) else [str(text) for text in inputs]
        )
        for engine in engines.split(","):
            name = _ENGINES[engine]
            if (program := shutil.which(engine)) is not None:
                parts = [plain[start : start + _PART] for start in range(0, len(plain), _PART)]
                rows = [_predict_in_page(written.path, part, (name, program)) for part in parts]
                yield name, np.concatenate(rows)
        return
    if written.format == "zip":
        yield "onnxruntime", _predict(Predictor.load(open_archive(written.path)), inputs)
        return
    assert written.golden is not None
    other = open_folder(predictor, written.format, written.path)
    yield written.golden.engine, _predict(other, inputs)


def _predict_in_page(page: Path, inputs: Any, engine: tuple[str, str]) -> NDArray[np.float64]:
    name, program = engine
    if name == "Firefox":
        return predict_in_firefox(page, inputs, program)
    return javascript.predict_in_page(page, inputs, engine)


def _predict(predictor: Predictor, inputs: Any) -> NDArray[np.float32]:
    if _is_images(inputs):
        return predictor.probabilities(inputs)
    return predictor.text_probabilities([str(text) for text in inputs])


def _is_images(inputs: Any) -> bool:
    return isinstance(inputs, np.ndarray) and inputs.ndim == 3


def _cells(found: dict[str, Any]) -> tuple[str, str, str]:
    golden = "-" if found["golden"] is None else f"{found['golden']:.0e}"
    listed = ", ".join(f"{name} {value:.0e}" for name, value in found["differences"].items())
    return f"{found['bytes'] / 1e6:.2f} MB", golden, listed


if __name__ == "__main__":
    sys.exit(main())
