"""Export a run: choose the format, check where to write, write, and replay the golden inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.export import (
    folder,
    html_page,
    javascript,
    keras_model,
    litert,
    onnx_folder,
    saved_model,
    staging,
)
from lstm_cli.export import quantize as weights
from lstm_cli.export.engines import ENGINES
from lstm_cli.export.quantize import Stored
from lstm_cli.export.result import Accuracy, Exported, Format, GoldenCheck, Quantize
from lstm_cli.export.session import check_installed
from lstm_cli.export.source import Source
from lstm_cli.export.zip_file import write_zip
from lstm_cli.io.atomic_write import make_folder, write_atomic
from lstm_cli.io.optional import require
from lstm_cli.io.text_format import pluralize
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir

_SUFFIXES: dict[Format, str] = {
    "zip": ".zip",
    "onnx": "-onnx",
    "keras": "-keras",
    "savedmodel": "-savedmodel",
    "litert": "-litert",
    "html": ".html",
}
# Formats whose weights can be made smaller.
_QUANTIZABLE = ("onnx", "html")
# Largest difference from the golden probabilities with the weights of the run: both engines compute
# with 32 bits at least, and add in different orders.
TOLERANCE = 1e-5
# With smaller weights; more is a defect, not a loss of digits.
_QUANTIZED_TOLERANCE = 0.25


def export(
    run: RunDir,
    format_: Format,
    out: Path | None = None,
    *,
    quantize: Quantize | None = None,
    force: bool = False,
    examples: bool | None = None,
    data_dir: Path | None = None,
) -> Exported:
    """Write a run in a format.

    Args:
        run: A finished run.
        format_: What to write.
        out: Where to; by default a name made of the run's, in the current folder.
        quantize: How to make the weights smaller. None for the weights of the run, and for int8 in
            a page that would be larger than 8 MB with them.
        force: Whether to replace what is there.
        examples: Whether a page shows some inputs of the run's data; None for yes.
        data_dir: Where TFDS data sets are, for the accuracy of smaller weights.

    Raises:
        LstmError: The format does not take the option (exit code 2), the run fails a check, or
            what was written predicts other probabilities (exit code 5), something is at the path
            already, or it cannot be written.
    """
    _check_options(format_, quantize, examples)
    path = out or default_path(run, format_)
    staging.check_free(path, force)
    if format_ == "zip":
        with staging.staged(path, force) as temp:
            golden = write_zip(run, temp)
        return Exported(run.name, format_, "none", path, staging.size(path), golden)
    check_installed(format_)
    if quantize not in (None, "none"):
        require("onnx", purpose=f"--quantize {quantize}")
    source = Source.load(run, examples is not False)
    how, chosen = quantize or "none", tuple[str, ...]()
    if format_ == "html" and quantize is None:
        how, chosen = html_page.choose_quantize(source)
    with staging.staged(path, force) as temp:
        golden, measured, notes = _write_classifier(source, format_, temp, how, data_dir)
    size = staging.size(path)
    return Exported(run.name, format_, how, path, size, golden, measured, (*chosen, *notes))


def default_path(run: RunDir, format_: Format) -> Path:
    """Return the name of an export in the current folder: `imdb-baseline.zip`."""
    return Path(f"{run.path.parent.name}-{run.path.name}{_SUFFIXES[format_]}")


def _check_options(format_: Format, quantize: Quantize | None, examples: bool | None) -> None:
    """Refuse options that have no effect on a format.

    Raises:
        LstmError: There is one (exit code 2).
    """
    if format_ not in _QUANTIZABLE and quantize not in (None, "none"):
        what = "the files" if format_ == "zip" else "the weights"
        raise LstmError(
            f"--quantize {quantize} has no effect on --format {format_}, which has {what} of the "
            "run.",
            "Leave it out, or choose --format onnx or html.",
            ExitCode.USAGE,
        )
    if format_ != "html" and examples is not None:
        raise LstmError(
            f"--examples and --no-examples have no effect on --format {format_}.",
            "Leave them out, or choose --format html.",
            ExitCode.USAGE,
        )


def _write_classifier(
    source: Source, format_: Format, path: Path, how: Quantize, data_dir: Path | None
) -> tuple[GoldenCheck | None, Accuracy | None, tuple[str, ...]]:
    """Write a graph or a page, run it on the golden inputs, and measure what smaller weights cost.

    Raises:
        LstmError: It predicts other probabilities than the run (exit code 5).
    """
    arrays, notes = weights.store(source.weights, how), list[str]()
    if format_ == "html" and source.examples:
        notes.append(
            f"The page shows {pluralize(len(source.examples), 'input')} of the run's data as "
            "examples; --no-examples leaves them out."
        )
    if format_ == "html":
        golden = _write_page(source, arrays, path)
    else:
        golden = _write_folder(source, format_, arrays, how, path)
    if golden is None:
        notes.append(
            "The page was not run: there is no Node.js and no Chromium here. Install one of them "
            "(Debian: nodejs), and export again to check it."
        )
    else:
        _check_golden(source, golden, how)
    if how == "none":
        return golden, None, tuple(notes)
    # Imported here: a light installation has not all that evaluation needs.
    from lstm_cli.export import accuracy

    measured = accuracy.compare(source.predictor, _with_stored(source, arrays), data_dir)
    if isinstance(measured, str):
        return golden, None, (*notes, measured)
    return golden, measured, tuple(notes)


def _write_folder(
    source: Source, format_: Format, arrays: dict[str, Stored], how: Quantize, path: Path
) -> GoldenCheck:
    """Write a model and what belongs to it, and run the model on the golden inputs."""
    make_folder(path)
    _write_model(source, format_, arrays, path)
    folder.write_beside(source, path, format_, how)
    difference = open_folder(source.predictor, format_, path).golden_difference(source.golden)
    return GoldenCheck(len(source.golden.inputs), difference, ENGINES[format_].program)


def _write_model(source: Source, format_: Format, arrays: dict[str, Stored], path: Path) -> None:
    """Write a model into a folder. What a format needs is imported for this format only."""
    if format_ == "onnx":
        onnx_folder.write_onnx(source, arrays, path)
    elif format_ == "keras":
        keras_model.write_keras(source, path)
    elif format_ == "savedmodel":
        saved_model.write_saved_model(source, path)
    else:
        litert.write_litert(source, path)


def open_folder(predictor: Predictor, format_: Format, path: Path) -> Predictor:
    """Return a run that predicts with the model of a folder that `export` wrote.

    Args:
        predictor: The run.
        format_: What was written.
        path: The folder.
    """
    if format_ == "onnx":
        return predictor.with_model(folder.model_path(path, "onnx"))
    if format_ == "keras":
        return predictor.with_session(keras_model.open_keras(path))
    if format_ == "savedmodel":
        return predictor.with_session(saved_model.open_saved_model(path))
    return predictor.with_session(litert.open_litert(path))


def _write_page(source: Source, arrays: dict[str, Stored], path: Path) -> GoldenCheck | None:
    """Write a page, and run it on the golden inputs; None if nothing here runs JavaScript."""
    write_atomic(path, html_page.build_html(source, arrays).encode())
    return _run_page(source, path)


def _with_stored(source: Source, arrays: dict[str, Stored]) -> Predictor:
    return source.with_weights({name: array.restore() for name, array in arrays.items()})


def _run_page(source: Source, path: Path) -> GoldenCheck | None:
    """Run a page on the golden inputs; None if nothing here runs JavaScript."""
    engine = javascript.find_engine()
    if engine is None:
        return None
    inputs = source.golden.inputs
    inputs = inputs.tolist() if isinstance(inputs, np.ndarray) else inputs
    found = javascript.predict_in_page(path, inputs, engine)
    difference = float(np.abs(found - source.golden.probabilities).max())
    return GoldenCheck(len(inputs), difference, engine[0])


def _check_golden(source: Source, golden: GoldenCheck, how: Quantize) -> None:
    """Check that the probabilities are those of the run.

    Raises:
        LstmError: They are not (exit code 5).
    """
    tolerance = TOLERANCE if how == "none" else _QUANTIZED_TOLERANCE
    if not golden.max_difference <= tolerance:
        raise LstmError(
            f"The export predicts other probabilities than run {source.predictor.run.name}: they "
            f"differ by up to {golden.max_difference:.2g} on the golden inputs ({golden.engine}).",
            "Nothing was written. Please report it with the settings of the run.",
            ExitCode.INTEGRITY,
        )
