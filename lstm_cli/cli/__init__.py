"""The command line, one file per command; commands only read options, call a room, and print.

`options`, `table_options` and `training_options` have the option types that commands share, and
`option_groups` makes several options one parameter. `command` has the command classes and the check
for options that have no effect together. `training` is what `train` and `pretrain` share. `inputs`,
`predict_records`, `predict_parts` and `write_predictions` are parts of `predict`. `output` prints,
`print_*` formats results, `reporter` shows progress, `failures` turns exceptions into messages and
exit codes, and `streams` guards stdout and stderr.

May import: every room. Begin with `train`. Commands import other rooms when they run, so that
`--help` is fast.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Annotated

import typer

from lstm_cli.cli import (
    config,
    data,
    evaluate,
    explain,
    export,
    failures,
    generate,
    predict,
    pretrain,
    runs,
    serve,
    streams,
    train,
    tune,
    version,
)
from lstm_cli.cli.command import Command, Group
from lstm_cli.errors import EXIT_CODES, ExitCode, LstmError
from lstm_cli.io import environment
from lstm_cli.io.signals import catch_signals, end_with_reader, outlive_reader, stop_with_parent

# Commands that continue when the reader of their output is gone. All others end then, as in
# `lstm predict ... | head`.
_OUTLIVING = (["train"], ["pretrain"], ["tune"], ["serve"], ["runs", "replay"], ["data", "prepare"])

app = typer.Typer(
    name="lstm",
    cls=Group,
    help="Train, evaluate, explain and ship small LSTM classifiers.",
    epilog=f"Exit codes: {'; '.join(f'{code} {cause}' for code, cause in EXIT_CODES.items())}.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(name="train", cls=Command)(train.command)
app.command(name="pretrain", cls=Command)(pretrain.command)
app.command(name="eval", cls=Command)(evaluate.command)
app.command(name="predict", cls=Command)(predict.command)
app.command(name="explain", cls=Command)(explain.command)
app.command(name="generate", cls=Command)(generate.command)
app.command(name="export", cls=Command)(export.command)
app.command(name="serve", cls=Command)(serve.command)
app.add_typer(tune.app, name="tune")
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
app.add_typer(config.app, name="config")


_Version = Annotated[
    bool,
    typer.Option(
        "--version",
        help="Print the version; with --json also those of Python and of packages.",
        callback=version.print_version,
    ),
]
_Json = Annotated[
    bool,
    # Eager: known before the callback of --version, in whatever order they are given.
    typer.Option("--json", help="With --version: print one JSON object.", is_eager=True),
]


@app.callback()
def _options(print_version: _Version = False, json: _Json = False) -> None:
    """Train, evaluate, explain and ship small LSTM classifiers."""
    if json:
        raise LstmError(
            "--json before the command has no effect.",
            "Give it after the command, as in 'lstm runs list --json', or with --version.",
            ExitCode.USAGE,
        )


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if not sys.platform.startswith(("linux", "darwin")):
        sys.stderr.write("Error: lstm supports Linux and macOS.\n")
        sys.exit(int(ExitCode.ERROR))
    if sys.argv[1:2] in _OUTLIVING or sys.argv[1:3] in _OUTLIVING:
        outlive_reader()
    else:
        end_with_reader()
    streams.guard()
    code = _finish(run())
    # At its end, Python searches all objects for garbage: a second with TensorFlow loaded.
    gc.freeze()
    process_group = sys.modules.get("lstm_cli.models.process_group")
    if process_group is not None and process_group.is_waited_for():
        # It would wait for processes that wait for this one; they notice when it ends.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run() -> int:
    """Run the command in `sys.argv`; print errors, and return the exit code."""
    environment.strip_variables()
    try:
        with catch_signals():
            stop_with_parent()
            result = app(prog_name="lstm", standalone_mode=False)
            streams.finish()
    except BaseException as error:
        return failures.report(error)
    return result if isinstance(result, int) else 0


def _finish(code: int) -> int:
    """Flush stdout; if that fails, the command has failed."""
    try:
        streams.finish()
    except LstmError as error:
        # Exit code 1 was reported already; an interruption stays one.
        return code if code == ExitCode.ERROR or code > 128 else failures.report(error)
    return code
