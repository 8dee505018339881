"""Exceptions -> a message on stderr and an exit code."""

from __future__ import annotations

import os
from typing import Any

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import optional
from lstm_cli.io.signals import Interrupted

# Of commands without --json, since their --format has JSON among others.
_JSON_FORMATS = {"predict": "jsonl", "explain": "json"}


def report(error: BaseException) -> int:
    """Print what went wrong and return the exit code.

    Exceptions that are not errors (KeyboardInterrupt) are raised again, as are unexpected
    ones if LSTM_DEBUG is set.
    """
    from lstm_cli.cli.output import print_note

    if isinstance(error, Interrupted):
        print_note(f"Interrupted. {error.message}")
        return error.exit_code
    if isinstance(error, SystemExit):
        # Shell completion ends with it.
        return error.code if isinstance(error.code, int) else 0
    if isinstance(error, LstmError):
        return _print(error)
    if not isinstance(error, Exception):
        raise error
    if type(error).__name__ == "NoArgsIsHelpError":
        # A group without a command: typer has printed the help.
        return int(ExitCode.USAGE)
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return _print(_usage_error(error))
    if os.environ.get("LSTM_DEBUG"):
        raise error
    return _print(_unexpected(error))


def _print(error: LstmError) -> int:
    from lstm_cli.cli.output import print_error

    if os.environ.get("LSTM_DEBUG"):
        import traceback

        traceback.print_exc()
    print_error(error)
    return int(error.exit_code)


def _unexpected(error: Exception) -> LstmError:
    """Return a message for an exception that no command has explained."""
    if isinstance(error, ModuleNotFoundError) and optional.is_known(error.name or ""):
        return optional.missing_package(error.name or "")
    if isinstance(error, OSError) and error.errno is not None:
        return _system_error(error)
    return LstmError(
        f"Unexpected {type(error).__name__}: {error}",
        "This is a defect of lstm; LSTM_DEBUG=1 shows where it happened.",
    )


def _system_error(error: OSError) -> LstmError:
    """Return a message for an error of the operating system."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else ""
    reason = error.strerror or str(error)
    return LstmError(
        f"{path}: {reason}." if path else f"The system refused: {reason}.",
        "Check the path, its permissions and the free space there; LSTM_DEBUG=1 shows where it "
        "happened.",
    )


def _usage_error(error: Any) -> LstmError:
    """Return a message for an error in the command line that typer found."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "lstm"
    param, details = getattr(error, "param", None), _pydantic_error(error)
    if param is not None and details is not None:
        message = (
            f"{_param_name(param)} expects {_expected(param, details)}, found {_found(details)}."
        )
    else:
        message = error.format_message()
    hint = f"See '{command} --help'."
    json_format = _JSON_FORMATS.get(command.split()[-1])
    if json_format and getattr(error, "option_name", "") == "--json":
        message = "--json is not an option of this command, which has several formats."
        hint = f"'{command} --format {json_format}' writes JSON."
    return LstmError(message, hint, ExitCode.USAGE)


def _pydantic_error(error: Any) -> dict[str, Any] | None:
    """Return the first error of the library that typer reads values with."""
    errors = getattr(error.__cause__, "errors", None)
    first = errors()[0] if callable(errors) else None
    return dict(first) if first else None


def _param_name(param: Any) -> str:
    if param.param_type_name == "option":
        return str(max(param.opts, key=len))
    return str(param.metavar or param.name)


def _expected(param: Any, details: dict[str, Any]) -> str:
    """Say which values a parameter takes: `a whole number of 1 or more`."""
    choices = param.type_descriptor.choices
    if choices:
        return f"one of {', '.join(map(str, choices))}"
    kind = param.type_descriptor.annotation
    noun = {int: "a whole number", float: "a number"}.get(kind)
    if noun is None:
        return f"another value ({details['msg']})"
    limits = param.type_descriptor.parameter_info
    if limits.min is not None and limits.max is not None:
        return f"{noun} from {limits.min:g} to {limits.max:g}"
    return noun if limits.min is None else f"{noun} of {limits.min:g} or more"


def _found(details: dict[str, Any]) -> str:
    value = details.get("input")
    return repr(value) if isinstance(value, str) else str(value)
