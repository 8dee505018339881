"""`lstm runs drift`: compare new inputs with those that a run was validated on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli import options

if TYPE_CHECKING:
    from lstm_cli.evaluation.drift import Drift

_Stats = Annotated[
    Path,
    typer.Argument(metavar="STATS", help="File that 'lstm predict --stats' has written."),
]
_Against = Annotated[
    Path | None,
    typer.Option(
        "--against",
        metavar="FILE",
        help="Compare with the inputs of another time: a file of 'lstm predict --stats'.",
        show_default="the validation split of the run",
    ),
]
_FailOn = Annotated[
    Literal["drift"] | None,
    typer.Option(
        "--fail-on",
        metavar="drift",
        help="drift: end with exit code 4 if a measure has drifted.",
        show_default="exit code 0",
    ),
]


def command(
    run: options.RunArgument,
    stats: _Stats,
    against: _Against = None,
    fail_on: _FailOn = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Compare new inputs with those that a run was validated on; no labels are needed.

    Four measures: the share of unknown words of a text, its length, the most probable label, and
    the confidence (the probability of that label); for images the last two. A measure has drifted
    if chance hardly explains the difference (chi-squared test, p below 0.01 after the correction
    for several tests), and at least 10% of the inputs lie elsewhere.

    For example:

    ```
    lstm predict --run tickets --file today.csv --out answers.csv --stats today.json
    lstm runs drift tickets today.json --fail-on drift
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.evaluation import drift
    from lstm_cli.prediction import input_stats

    found = find_run(run, runs_dir)
    now = input_stats.read(stats)
    before = drift.read_reference(found) if against is None else input_stats.read(against)
    reference = "validation" if against is None else str(against)
    compared = drift.compare(found, before, now, reference)
    if json:
        output.print_json(compared.to_dict())
    else:
        _print(compared)
    if fail_on is not None:
        _check(compared)


def _print(compared: Drift) -> None:
    from lstm_cli.cli import output
    from lstm_cli.io.text_format import percent, pluralize

    names = {True: "drift", False: "small difference"}
    rows = [
        (
            measure.name,
            measure.before,
            measure.now,
            percent(measure.moved),
            percent(measure.by_chance),
            f"{measure.p_corrected:.3g}",
            names[measure.is_drift] if measure.is_significant else "as before",
        )
        for measure in compared.measures
    ]
    columns = ("measure", "before", "now", "moved", "by chance", "p (Holm)", "result")
    output.print_rows(
        rows,
        columns,
        right=columns[3:6],
        title=f"{compared.run}: {pluralize(compared.num_now, 'input')} against "
        f"{compared.num_before:,} of {compared.reference}",
        unfolded=columns,
        least=("by chance", "p (Holm)", "before", "now"),
    )
    if compared.num_unreadable:
        output.print_text(f"{compared.num_unreadable:,} records could not be read.")
    output.print_text(
        "moved: share of the inputs that lie in other places than before; by chance: what it "
        "would be on average if nothing had changed."
    )


def _check(compared: Drift) -> None:
    """End with exit code 4 if a measure has drifted.

    Raises:
        LstmError: One has.
    """
    from lstm_cli.errors import ExitCode, LstmError

    if compared.drifted:
        verb = "has" if len(compared.drifted) == 1 else "have"
        raise LstmError(
            f"The inputs of run {compared.run} {verb} drifted: {', '.join(compared.drifted)}.",
            "Look at some of these inputs, and label a few: 'lstm predict --rank uncertain' names "
            "the best; 'lstm eval' says what the drift costs.",
            ExitCode.THRESHOLD,
        )
