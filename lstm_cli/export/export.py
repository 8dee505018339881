"""Export a run: choose the format, check where to write, write, and replay the golden inputs."""

from __future__ import annotations

from pathlib import Path

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.export import staging
from lstm_cli.export.result import Exported, Format, Quantize
from lstm_cli.runs.directory import RunDir

_SUFFIXES: dict[Format, str] = {"zip": ".zip"}


def export(
    run: RunDir,
    format_: Format,
    out: Path | None = None,
    *,
    quantize: Quantize = "none",
    force: bool = False,
) -> Exported:
    """Write a run in a format.

    Args:
        run: A finished run.
        format_: What to write.
        out: Where to; by default a name made of the run's, in the current folder.
        quantize: How to make the weights smaller.
        force: Whether to replace what is there.

    Raises:
        LstmError: The format does not take the option (exit code 2), the run fails a check (exit
            code 5), something is at the path already, or it cannot be written.
    """
    if format_ == "zip" and quantize != "none":
        raise LstmError(
            f"--quantize {quantize} has no effect on a zip, which has the files of the run.",
            "Leave it out, or choose --format onnx or html.",
            ExitCode.USAGE,
        )
    path = out or default_path(run, format_)
    staging.check_free(path, force)
    with staging.staged(path) as temp:
        from lstm_cli.export.zip_file import write_zip

        golden = write_zip(run, temp)
        num_bytes = staging.size(temp)
    return Exported(run.name, format_, quantize, path, num_bytes, golden)


def default_path(run: RunDir, format_: Format) -> Path:
    """Return the name of an export in the current folder: `imdb-baseline.zip`."""
    return Path(f"{run.path.parent.name}-{run.path.name}{_SUFFIXES[format_]}")
