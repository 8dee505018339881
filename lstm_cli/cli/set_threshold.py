"""`lstm runs set-threshold`: choose or set the thresholds of a run, or remove them."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli import options
from lstm_cli.cli.command import Conflict, check_conflicts

_BestF1 = Annotated[
    bool,
    typer.Option(
        "--best-f1",
        help="Choose the thresholds of the classes for the best macro F1 on validation.",
    ),
]
_WantedPrecision = Annotated[
    float | None,
    typer.Option(
        "--wanted-precision",
        metavar="P",
        min=0,
        max=1,
        help="Choose the smallest probability of each class on validation, such that a share P of "
        "its answers is correct.",
        show_default="none",
    ),
]
_Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        min=0,
        max=1,
        help="For two classes: choose the second if its probability is P or more.",
        show_default="0.5",
    ),
]
_MinProbability = Annotated[
    list[str] | None,
    typer.Option(
        "--min-probability",
        metavar="[LABEL=]P",
        help="No answer where the chosen class is less probable than P; with LABEL, for this class "
        "only. Repeatable.",
        show_default="0",
    ),
]
_Clear = Annotated[bool, typer.Option("--clear", help="Remove the thresholds of the run.")]
_CONFLICTS = (
    Conflict(
        "--clear",
        ("--best-f1", "--wanted-precision", "--threshold", "--min-probability"),
        "it removes all thresholds",
    ),
    Conflict("--best-f1", ("--threshold",), "thresholds are chosen"),
    Conflict("--wanted-precision", ("--min-probability",), "smallest probabilities are chosen"),
    Conflict(
        "--best-f1",
        ("--min-probability",),
        "what is chosen and what is given are not stored together; 'lstm predict' has "
        "--min-probability too",
    ),
    Conflict(
        "--wanted-precision",
        ("--threshold",),
        "what is chosen and what is given are not stored together; use --best-f1",
    ),
)


def command(
    ctx: typer.Context,
    run: options.RunArgument,
    best_f1: _BestF1 = False,
    wanted_precision: _WantedPrecision = None,
    threshold: _Threshold = None,
    min_probability: _MinProbability = None,
    clear: _Clear = False,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Choose or set the thresholds of a run; predict, serve and eval use them from then on.

    Thresholds say which class is chosen: the one with the highest ratio of probability to
    threshold. Smallest probabilities say when there is no answer. With --best-f1 or
    --wanted-precision they are chosen on the rows that were held out in training, no data is
    needed, and cross-validation on these rows says what to expect. A running 'lstm serve' keeps
    the thresholds that it started with.

    For example:

    ```
    lstm runs set-threshold tickets --wanted-precision 0.95
    lstm runs set-threshold tickets --best-f1
    lstm runs set-threshold tickets --min-probability refund=0.9
    lstm runs set-threshold tickets --clear
    ```
    """
    from lstm_cli.cli import output, print_thresholds
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.evaluation import set_thresholds
    from lstm_cli.runs import thresholds

    check_conflicts(ctx, _CONFLICTS)
    by_class = dict(_parse(text) for text in min_probability or [])
    found = find_run(run, runs_dir)
    if clear:
        had_any = thresholds.clear(found)
        if json:
            output.print_json({"run": found.name, "thresholds": None})
        else:
            state = "Removed the thresholds of" if had_any else "There are no thresholds in"
            output.print_line(f"{state} {found.name}.")
        return
    if best_f1 or wanted_precision is not None:
        stored = set_thresholds.choose_thresholds(
            found, best_f1=best_f1, wanted_precision=wanted_precision
        )
    else:
        of_all = by_class.pop(None, None)
        stored = set_thresholds.set_thresholds(
            found,
            threshold=threshold,
            min_probability=of_all,
            min_probabilities={label: p for label, p in by_class.items() if label is not None},
        )
    if json:
        output.print_json({"run": found.name, **print_thresholds.to_dict(stored)})
    else:
        print_thresholds.print_thresholds(stored, found.name)


def _parse(text: str) -> tuple[str | None, float]:
    """Parse `P` or `LABEL=P`; the label is None for all classes.

    Raises:
        LstmError: P is not a number (exit code 2).
    """
    from lstm_cli.errors import ExitCode, LstmError

    label, equals, number = text.rpartition("=")
    try:
        return (label if equals else None), float(number)
    except ValueError:
        raise LstmError(
            f"--min-probability takes P or LABEL=P, P a number from 0 to 1, found {text!r}.",
            "For example --min-probability 0.8 or --min-probability refund=0.9.",
            ExitCode.USAGE,
        ) from None
