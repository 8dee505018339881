"""Environment variables, as shells, env files and service managers set them."""

from __future__ import annotations

import os

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.optional import missing_package

# Variables that a command reads, itself or through a library.
_VARIABLES = (
    "LSTM_RUNS_DIR",
    "LSTM_CACHE_DIR",
    "LSTM_DEBUG",
    "TFDS_DATA_DIR",
    "XDG_CACHE_HOME",
    "KERAS_BACKEND",
    "CI",
)
# Folder of linear models that the trainings of a search share; see `training/linear_cache.py`.
LINEAR_CACHE = "LSTM_LINEAR_CACHE"
_BACKENDS = ("tensorflow", "jax")


def strip_variables() -> None:
    """Strip white space from the variables that commands read; a blank one counts as not set.

    A value that was read from a file often ends in a line break. No valid value begins or ends with
    white space, except the name of a folder, for which there is an option.
    """
    for name in _VARIABLES:
        value = os.environ.get(name)
        if value is None or value == value.strip():
            continue
        if value.strip():
            os.environ[name] = value.strip()
        else:
            del os.environ[name]


def read_secret(name: str) -> str | None:
    """Return a secret, stripped of white space; None if the variable is not set.

    It may be several ones, separated by commas: the old key and the new one.

    Raises:
        LstmError: The variable is blank, or has bytes that are not text or control characters,
            which no client could send.
    """
    if not name.strip():
        raise LstmError(
            "The name of the environment variable with the key is empty.",
            "Use a name such as LSTM_API_KEY.",
            ExitCode.USAGE,
        )
    value = os.environ.get(name)
    if value is None:
        return None
    value = value.strip()
    if not value.strip(", "):
        raise LstmError(
            f"{name} is set, but empty.", "Set it to a key, or unset it.", ExitCode.USAGE
        )
    # Python reads bytes that are not UTF-8 as lone surrogates, which are not printable either.
    if not all(character.isprintable() for character in value):
        raise LstmError(
            f"{name} contains bytes that are not UTF-8 text, or control characters; the key is not "
            "shown here.",
            "Set it to printable characters, for example from 'openssl rand -hex 32'.",
            ExitCode.USAGE,
        )
    return value


def backend() -> str:
    """Return the backend that Keras is imported with, after `check_backend`."""
    return os.environ.get("KERAS_BACKEND", "").strip() or "tensorflow"


def check_backend() -> None:
    """Check KERAS_BACKEND, or that TensorFlow is installed, before Keras is imported.

    Raises:
        LstmError: The backend is not supported or not installed.
    """
    from importlib.util import find_spec

    name = os.environ.get("KERAS_BACKEND", "").strip()
    if not name:
        if find_spec("tensorflow") is None:
            raise _missing_default(has_jax=find_spec("jax") is not None)
        return
    if name not in _BACKENDS:
        raise LstmError(
            f"KERAS_BACKEND is {name[:80]!r}, expected {' or '.join(_BACKENDS)}.",
            "Set it to one of these, or unset it.",
            ExitCode.USAGE,
        )
    if find_spec(name) is None:
        error = missing_package(name, f"KERAS_BACKEND={name}")
        raise LstmError(error.message, f"{error.hint}, or unset KERAS_BACKEND.")


def _missing_default(has_jax: bool) -> LstmError:
    """Return the error for the default backend where TensorFlow is not installed."""
    error = missing_package("tensorflow")
    hint = "KERAS_BACKEND=jax trains with JAX, which is installed" if has_jax else error.hint
    return LstmError(error.message, hint)
