"""The one user-facing error, and the exit codes of the shell contract."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of all commands; each cause has one, whatever the command."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    DATA = 3
    THRESHOLD = 4
    INTEGRITY = 5
    INTERRUPTED = 130


# What each exit code means, for the help and the documentation. SIGTERM ends with 143.
EXIT_CODES = {
    0: "done",
    1: "an error: malformed data, no such run, training or a write failed",
    2: "wrong usage: an option, a setting, or a name that does not exist",
    3: "a file or folder is missing or cannot be read, or a data set is not there",
    4: "a threshold (--fail-under) is not met, or a check (--fail-on) found something",
    5: "a run fails its integrity check",
    130: "interrupted by Ctrl-C",
    143: "interrupted by SIGTERM",
}


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

    def _render_traceback_(self) -> list[str]:
        """Return the lines that IPython and Jupyter show in place of a traceback.

        They have the user's own lines of code, not those of this package. With `LSTM_DEBUG=1` the
        traceback is complete.
        """
        import os
        import traceback
        from pathlib import Path

        if os.environ.get("LSTM_DEBUG"):
            return traceback.format_exception(self)
        package = str(Path(__file__).parent) + os.sep
        frames = [f for f in traceback.extract_tb(self.__traceback__) if f.line]
        own = next((f for f in reversed(frames) if not f.filename.startswith(package)), None)
        where = [] if own is None else [f"In line {own.lineno}: {own.line}", ""]
        hint = [f"Try: {self.hint}"] if self.hint else []
        return [*where, f"LstmError: {self.message}", *hint]


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
        `Did you mean 'imdb'?`, or a list of names if none is similar; empty if the list is.
    """
    import difflib

    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return f"Did you mean {' or '.join(repr(c) for c in close)}?"
    names = known if listed is None else listed
    return f"Known: {', '.join(names)}." if names else ""
