"""Environment variables, as shells, files of settings and service managers really set them."""

from __future__ import annotations

import os

from lstm_cli.errors import ExitCode, LstmError

# What a command reads itself or has read by a library.
_READ = (
    "LSTM_RUNS_DIR",
    "LSTM_CACHE_DIR",
    "LSTM_DEBUG",
    "TFDS_DATA_DIR",
    "XDG_CACHE_HOME",
    "KERAS_BACKEND",
    "CI",
)
_BACKENDS = ("tensorflow", "jax")


def strip() -> None:
    """Take white space from around the values that commands read; a blank one counts as not set.

    A value read from a file often ends in a line break. Nothing that is read here can begin or end
    in white space, except for folders, which an option can name.
    """
    for name in _READ:
        value = os.environ.get(name)
        if value is None or value == value.strip():
            continue
        if value.strip():
            os.environ[name] = value.strip()
        else:
            del os.environ[name]


def read_secret(name: str) -> str | None:
    """Return a secret without the white space around it; None where the variable is not set.

    Raises:
        LstmError: The variable is blank, or holds bytes that are not text, or control characters:
            no client could send it.
    """
    if not name.strip():
        raise LstmError(
            "The name of the environment variable with the key is empty.",
            "Name one, such as LSTM_API_KEY.",
            ExitCode.USAGE,
        )
    value = os.environ.get(name)
    if value is None:
        return None
    value = value.strip()
    if not value:
        raise LstmError(
            f"{name} is set, and empty.", "Set it to a key, or unset it.", ExitCode.USAGE
        )
    # Python reads bytes that are not UTF-8 as lone surrogates, which are not printable either.
    if not all(character.isprintable() for character in value):
        raise LstmError(
            f"{name} holds bytes that are not UTF-8 text, or control characters; the key is not "
            "shown here.",
            "Set it to printable characters, for example of 'openssl rand -hex 32'.",
            ExitCode.USAGE,
        )
    return value


def check_backend() -> None:
    """Check the backend that Keras is asked for, before Keras is imported.

    Raises:
        LstmError: It is not one that `lstm` runs on, or is not installed.
    """
    from importlib.util import find_spec

    name = os.environ.get("KERAS_BACKEND", "").strip()
    if not name:
        return
    if name not in _BACKENDS:
        raise LstmError(
            f"KERAS_BACKEND is {name[:80]!r}, expected {' or '.join(_BACKENDS)}.",
            "Set it to one of them, or unset it.",
            ExitCode.USAGE,
        )
    if find_spec(name) is None:
        raise LstmError(
            f"KERAS_BACKEND={name} needs {name}, which is not installed.",
            f"pip install 'lstm-cli[{name}]', or unset KERAS_BACKEND.",
        )
