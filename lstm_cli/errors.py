"""The one user-facing error, and the exit codes of the shell contract."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of all commands (docs/architecture.md, "The shell contract")."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    DATA = 3
    THRESHOLD = 4
    INTEGRITY = 5
    INTERRUPTED = 130


class LstmError(Exception):
    """An error that a user can fix: what was expected, what was found and where, what to do next.

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

    def __str__(self) -> str:
        """Return the message with its hint: what a traceback shows."""
        return f"{self.message} Try: {self.hint}" if self.hint else self.message


def command_line(*words: str) -> str:
    """Return a command as it can be pasted into a shell: words with spaces are quoted."""
    import shlex

    return shlex.join(words)


def suggest(name: str, known: list[str], listed: list[str] | None = None) -> str:
    """Return a hint with the known names that are similar to a mistyped one.

    Args:
        name: What was typed.
        known: The names that exist.
        listed: Which of them to list if none is similar; all by default.

    Returns:
        `Did you mean 'imdb'?`, or a list of names if none is similar.
    """
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    return f"Known: {', '.join(known if listed is None else listed)}."
