"""Where `lstm predict` writes its answers: stdout or a file, and in which format."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_cli.cli import output
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.atomic_write import check_replaceable
from lstm_cli.prediction.write_text import FORMATS, Target, format_of, open_text_file


def resolve_format(format_: str, out: Path | None) -> str:
    """Return the format to write: of the file's name, or for stdout.

    Args:
        format_: As typed.
        out: The file; None for stdout.

    Raises:
        LstmError: The name of the file stands for no format, or a table cannot be in a file, or
            Parquet not elsewhere (exit code 2).
    """
    if out is None:
        if format_ == "parquet":
            raise LstmError(
                "--format parquet needs a file.", "Name it: --out FILE.parquet", ExitCode.USAGE
            )
        if format_ != "auto":
            return format_
        return "table" if output.is_terminal() else "tsv"
    if format_ == "table":
        raise LstmError(
            "--format table is for the terminal.",
            "Name the file .csv, .tsv, .jsonl or .parquet, and leave out --format.",
            ExitCode.USAGE,
        )
    if format_ != "auto":
        return format_
    found = format_of(out.name)
    if found is None:
        raise LstmError(
            f"--out expects a name that ends in {', '.join(FORMATS)}, found '{out}'.",
            "Or choose with --format.",
            ExitCode.USAGE,
        )
    return found


def check_out(out: Path | None, file: Path | None) -> None:
    """Check that the output does not replace the input.

    Raises:
        LstmError: It would (exit code 2).
    """
    with contextlib.suppress(OSError, ValueError):
        if out is not None and file is not None and out.samefile(file):
            raise LstmError(
                f"--out {out} is the file that is read.", "Name another file.", ExitCode.USAGE
            )


def check_stats(stats: Path | None, used: Sequence[str | Path | None]) -> None:
    """Check before anything is predicted that the statistics have a file of their own.

    Args:
        stats: The file; None for none.
        used: The files that are read, and the file of the answers.

    Raises:
        LstmError: It is one of these (exit code 2), a folder, or not a plain file.
    """
    if stats is None:
        return
    paths = [Path(path) for path in used if path is not None]
    if stats.is_dir() or stats.absolute() in [path.absolute() for path in paths]:
        what = "a folder" if stats.is_dir() else "a file that is read, or that has the answers"
        raise LstmError(f"--stats {stats} is {what}.", "Name another file.", ExitCode.USAGE)
    check_replaceable(stats)


@contextlib.contextmanager
def open_target(out: Path | None) -> Iterator[Target]:
    """Open a file, compressed if its name says so, or stdout.

    The file gets its name at the end of the block. If the block fails, an old file stays.

    Raises:
        LstmError: The file cannot be written.
    """
    if out is None:
        # A pipe gets the data as it is; to ask for each row whether it is one would take time.
        write = output.write_data if output.is_terminal() else sys.stdout.write
        yield Target(write, sys.stdout.flush, is_file=False, to_json=output.json_text)
        return
    with open_text_file(out) as target:
        yield target
