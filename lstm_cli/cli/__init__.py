"""The command line: one thin file a command group; bodies import what they need when they run."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from lstm_cli import __version__
from lstm_cli.cli import (
    config,
    data,
    evaluate,
    explain,
    predict,
    pretrain,
    runs,
    serve,
    streams,
    train,
)
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import environment, optional
from lstm_cli.io.signals import Interrupted, catch_signals, end_with_reader, outlive_reader

# Commands that are worth more than their output; all others are filters.
_OUTLIVING = (["train"], ["pretrain"], ["serve"], ["runs", "replay"], ["data", "prepare"])

app = typer.Typer(
    name="lstm",
    help="Train, evaluate, look inside and ship small LSTM classifiers.",
    epilog="Exit codes: 0 done, 1 error, 2 usage, 3 data not available, 4 a --fail-under not "
    "met, 5 a run fails its integrity check, 130 or 143 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="train")(train.command)
app.command(name="pretrain")(pretrain.command)
app.command(name="eval")(evaluate.command)
app.command(name="predict")(predict.command)
app.command(name="explain")(explain.command)
app.command(name="serve")(serve.command)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"lstm {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Train, evaluate, look inside and ship small LSTM classifiers."""


def main() -> None:
    """Run the command line and end the process with the exit code of the shell contract."""
    if sys.argv[1:2] in _OUTLIVING or sys.argv[1:3] in _OUTLIVING:
        outlive_reader()
    else:
        # `lstm predict ... | head` ends quietly.
        end_with_reader()
    streams.guard()
    sys.exit(_finish(_run()))


def _run() -> int:
    """Run the command; turn what went wrong into a message and an exit code."""
    environment.strip_variables()
    try:
        with catch_signals():
            result = app(standalone_mode=False)
            streams.finish()
    except Interrupted as interrupted:
        from lstm_cli.cli.output import print_note

        print_note(f"Interrupted. {interrupted.message}")
        return interrupted.exit_code
    except SystemExit as ending:
        # Shell completion ends so.
        return ending.code if isinstance(ending.code, int) else 0
    except LstmError as error:
        return _tell(error)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            return _usage(error)
        if os.environ.get("LSTM_DEBUG"):
            raise
        if isinstance(error, ModuleNotFoundError) and optional.is_known(error.name or ""):
            return _tell(optional.missing_package(error.name or ""))
        if isinstance(error, OSError) and error.errno is not None:
            return _tell(_from_system(error))
        return _tell(
            LstmError(
                f"Unexpected {type(error).__name__}: {error}",
                "This is a defect of lstm; LSTM_DEBUG=1 shows where it happened.",
            )
        )
    return result if isinstance(result, int) else 0


def _finish(code: int) -> int:
    """Write what still waits for stdout; whatever a command came to, it fails if that fails."""
    try:
        streams.finish()
    except LstmError as error:
        # After exit code 1 this is what was just told; an interruption stays one.
        return code if code == ExitCode.ERROR or code > 128 else _tell(error)
    return code


def _from_system(error: OSError) -> LstmError:
    """Say what the system refused, where no command has said it better."""
    where = error.filename if isinstance(error.filename, str) else ""
    if isinstance(error.filename, bytes):
        where = os.fsdecode(error.filename)
    reason = error.strerror or str(error)
    return LstmError(
        f"{where}: {reason}." if where else f"The system refused: {reason}.",
        "Check the path, its rights and the free space there; LSTM_DEBUG=1 shows where it "
        "happened.",
    )


def _tell(error: LstmError) -> int:
    from lstm_cli.cli.output import print_error

    if os.environ.get("LSTM_DEBUG"):
        import traceback

        traceback.print_exc()
    print_error(error)
    return int(error.exit_code)


def _usage(error: Exception) -> int:
    """Say what is wrong with the command line; typer's own exceptions carry the words."""
    from lstm_cli.cli.output import print_error

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "lstm"
    message = error.format_message()  # type: ignore[attr-defined]
    print_error(LstmError(message, f"See '{command} --help'."))
    return int(ExitCode.USAGE)
