"""A run as one zip file."""

from __future__ import annotations

from pathlib import Path

from lstm_cli.export.result import GoldenCheck
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import archive, validate
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir


def write_zip(run: RunDir, path: Path) -> GoldenCheck | None:
    """Write the archive, open it as a command does, and predict the golden inputs.

    Args:
        run: A finished run.
        path: The file.

    Returns:
        None for a language model, which has no golden inputs.

    Raises:
        LstmError: A file of the run has changed or is not valid (exit code 5), or the archive
            cannot be written.
    """
    archive.write(run, path)
    copy = archive.open_archive(path)
    try:
        return _check(copy)
    finally:
        archive.discard(copy)


def _check(run: RunDir) -> GoldenCheck | None:
    if runs.is_language(run):
        return None
    predictor = Predictor.load(run)
    golden = validate.read_golden(run.with_manifest(), run.config(), len(predictor.labels))
    return GoldenCheck(len(golden.inputs), predictor.golden_difference(golden), "onnxruntime")
