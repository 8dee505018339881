"""The one user-facing error, and the exit codes of the shell contract."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit status means (docs/architecture.md, "The shell contract")."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    DATA = 3
    THRESHOLD = 4
    INTEGRITY = 5
    INTERRUPTED = 130


class LstmError(Exception):
    """A mistake a person can mend: what was expected, what was found and where, what to do next.

    Args:
        message: What went wrong: expected, found, where (file, line, column, key).
        hint: What to do next, as a sentence or a command line.
        exit_code: The status the command ends with.
    """

    def __init__(self, message: str, hint: str = "", exit_code: ExitCode = ExitCode.ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code


def suggest(name: str, known: list[str], listed: list[str] | None = None) -> str:
    """Say which known names a mistyped one is closest to.

    Args:
        name: What was typed.
        known: The names that exist.
        listed: The names to list if nothing is close; None for all of `known`.

    Returns:
        `Did you mean 'imdb'?`, or the list of what there is when nothing is close.
    """
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known: {', '.join(known if listed is None else listed)}."
