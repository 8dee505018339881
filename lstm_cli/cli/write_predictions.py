"""Where `lstm predict` writes its answers: stdout or a file, and in which format."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lstm_cli.cli import output
from lstm_cli.cli.inputs import PIPE
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.atomic_write import check_replaceable, check_writable
from lstm_cli.prediction.write_text import FORMATS, Target, format_of, open_text_file
from lstm_cli.scale.storage import is_remote, local_path


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


def check_out(out: Path | None, used: Iterable[str | Path | None]) -> None:
    """Check that the output does not replace an input.

    Args:
        out: The file; None for stdout.
        used: Files that are read, or texts; None for none.

    Raises:
        LstmError: It would (exit code 2).
    """
    if out is not None and _is_any(out, used):
        raise LstmError(
            f"--out {out} is a file that is read.", "Name another file.", ExitCode.USAGE
        )


def check_stats(stats: Path | None, used: Iterable[str | Path], out: str | None) -> None:
    """Check before anything is predicted that the statistics have a file of their own.

    What a pattern matches, and what a list of images names, is known only later. So the only file
    that is replaced is one of statistics.

    Args:
        stats: The file; None for none.
        used: Files and folders that are read, patterns of them, and texts.
        out: The file or the folder of the answers, a URL, or the pipe; None for stdout.

    Raises:
        LstmError: It is one of these, in that folder, a folder, or a file of something else (exit
            code 2); or it cannot be written.
    """
    if stats is None:
        return
    if str(stats) == PIPE:
        raise _wrong_stats(stats, "not a file: statistics are not written to stdout")
    check_replaceable(stats)
    if paths.is_folder(stats):
        raise _wrong_stats(stats, "a folder")
    if _is_any(stats, used):
        raise _wrong_stats(stats, "a file that is read")
    if out is not None and not is_remote(out):
        folder = paths.resolve(local_path(out))
        if paths.resolve(stats) == folder:
            raise _wrong_stats(stats, "the file of the answers")
        if paths.resolve(stats).is_relative_to(folder):
            # Programs that read the answers read every file in the folder.
            raise _wrong_stats(stats, "in the folder of the answers")
    if not _is_replaced(stats):
        raise _wrong_stats(stats, "a file already, and does not hold statistics")
    check_writable(stats)


def _wrong_stats(stats: Path, what: str) -> LstmError:
    return LstmError(f"--stats {stats} is {what}.", "Name another file.", ExitCode.USAGE)


def _is_any(path: Path, used: Iterable[str | Path | None]) -> bool:
    """Return whether a path leads to one of several files; a text may look like a name or not."""
    for name in used:
        with contextlib.suppress(OSError, ValueError):
            if name is not None and path.samefile(local_path(str(name))):
                return True
    return False


def _is_replaced(stats: Path) -> bool:
    """Return whether statistics may be written to a path: nothing, nothing much, or statistics."""
    from lstm_cli.prediction import input_stats

    status = paths.status(stats)
    if status is None or status.st_size == 0:
        return True
    try:
        input_stats.read(stats)
    except LstmError:
        return False
    return True


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
