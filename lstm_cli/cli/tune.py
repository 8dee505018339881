"""`lstm tune`: search for the settings of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lstm_cli.cli import options, training_options
from lstm_cli.cli.command import Command, Conflict, Group, check_conflicts
from lstm_cli.cli.completion import complete_preset
from lstm_cli.cli.option_groups import with_groups
from lstm_cli.cli.resolve import LABEL_CONFLICTS, column_conflicts, image_conflicts

if TYPE_CHECKING:
    from lstm_cli.tune.study import Found

_SEARCH = "search"


class TuneGroup(Group):
    """A group whose command `search` may be left out: `lstm tune reviews.csv`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the command in front of arguments that begin with another word."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [_SEARCH, *args]
        parsed: list[str] = super().parse_args(ctx, args)
        return parsed


app = typer.Typer(cls=TuneGroup, help="Search for settings.", no_args_is_help=True)

_Dataset = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="What to train on, as for 'lstm train'. With --resume: not needed.",
        autocompletion=complete_preset,
        show_default=False,
    ),
]
_Resume = Annotated[
    str | None,
    typer.Option(
        "--resume",
        metavar="[STUDY]",
        help="Continue a study instead of starting one: its folder, DATASET/NAME, NAME, or a data "
        "set, which means its newest study. Without STUDY: the newest study.",
        show_default="start a new study",
    ),
]
_Time = Annotated[
    str | None,
    typer.Option(
        "--time",
        metavar="TIME",
        help="Time of search, such as 90s, 30m or 2h; the evaluation of the winner is part of it. "
        "The time of all resumes counts together. The first trial always ends.",
        show_default="no limit",
    ),
]
_Trials = Annotated[
    int | None,
    typer.Option("--trials", metavar="N", min=1, help="Number of trials.", show_default="no limit"),
]
_Metric = Annotated[
    str,
    typer.Option(
        "--metric",
        metavar="METRIC",
        help="What to optimize on validation: accuracy, macro_f1, micro_f1 (several labels a "
        "text), precision, recall, roc_auc or loss.",
    ),
]
_Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs", metavar="N", min=1, help="How many trials run at once.", show_default="1"
    ),
]
_Space = Annotated[
    Path | None,
    typer.Option(
        "--space",
        metavar="FILE",
        help="YAML file with the settings that trials may change, and their values.",
        show_default="ranges around the settings that suit the data",
    ),
]
_Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database for the trials, in which several machines can work on one study with the "
        "same --name: a URL as Optuna takes it, such as postgresql+psycopg://user@host/database.",
        show_default="a file in the folder of the study",
    ),
]
_Name = Annotated[
    str | None,
    typer.Option("--name", help="Name of the study.", show_default="start time and a hash"),
]
_Study = Annotated[
    str | None,
    typer.Argument(
        metavar="STUDY",
        help="Which study: its folder, DATASET/NAME, NAME, or a data set, which means its newest "
        "study. Without it: the newest study.",
        show_default=False,
    ),
]
_Page = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="FILE",
        help="HTML file to write. A file is only replaced if lstm wrote it.",
        show_default="report.html in the folder of the study",
    ),
]
_Shown = Annotated[
    int, typer.Option("--trials", metavar="N", min=1, help="Print the N best trials.")
]
_ShownStorage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        metavar="URL",
        help="Database of the study, if it needs a password: the study keeps the URL without it.",
        show_default="that of the study",
    ),
]
_OF_NEW = (
    "--metric", "--space", "--name", "--config", "--set", "--seed", "--epochs", "--folds",
    "--class-weights", "--image-size", "--init-from", "--teacher", "--vectors",
    "--freeze-vectors", "--device", "--text-column", "--label-column", "--id-column",
    "--weight-column", "--multi-label", "--label-columns", "--validation", "--test",
    "--input-format", "--encoding", "--delimiter", "--quoting", "--no-header", "--unlabeled",
    "--replay-data", "--data-dir", "--limit",
)  # fmt: skip
_CONFLICTS = (Conflict("--resume", _OF_NEW, "a study keeps what it was started with"),)


@app.command(name=_SEARCH, cls=Command)
@with_groups
def search(
    ctx: typer.Context,
    dataset: _Dataset = None,
    *,
    time: _Time = None,
    trials: _Trials = None,
    metric: _Metric = "accuracy",
    jobs: _Jobs = None,
    space: _Space = None,
    storage: _Storage = None,
    resume: _Resume = None,
    name: _Name = None,
    settings: training_options.SettingOptions,
    image_size: options.ImageSize = None,
    start: training_options.StartOptions,
    device: training_options.Device = "auto",
    data: training_options.DataOptions,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    limit: training_options.Limit = None,
    json: options.Json = False,
) -> None:
    """Search for the settings with the best results on validation; the name may be left out.

    Each trial is a run of 'lstm train' with other settings; the first has the default settings.
    Trials that are worse than others after some epochs end early. The run of the best trial is
    scored on test, and is the only one.

    For example:

    ```
    lstm tune reviews.csv --time 30m
    lstm tune reviews.csv --time 2h --trials 50 --metric macro_f1 --jobs 2
    lstm tune reviews.csv --time 30m --space space.yaml
    lstm tune --resume --time 1h
    ```
    """
    from lstm_cli.cli import print_tune
    from lstm_cli.cli.reporter import training_reporter
    from lstm_cli.io.optional import require

    require("optuna")
    check_conflicts(ctx, _CONFLICTS)
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.tune import ask, study

    seconds = None if time is None else ask.parse_time(time)
    if resume is not None:
        budget = {"seconds": seconds, "trials": trials, "jobs": jobs}
        found = _resume(resume, dataset, budget, storage, runs_dir)
        print_tune.print_found(found, json)
        return
    dataset = _check_dataset(dataset, seconds, trials)
    check_conflicts(ctx, LABEL_CONFLICTS + column_conflicts(dataset) + image_conflicts(dataset))
    overrides = training_options.to_overrides(
        settings.set_,
        settings.overrides()
        | start.overrides(runs_dir)
        | data.overrides()
        | {"data.limit": limit, "image.size": options.parse_image_size(image_size)},
    )
    question = ask.Question(
        dataset, settings.config, overrides, metric, space, name, trials, seconds, jobs or 1,
        storage, device, data_dir,
    )  # fmt: skip
    with training_reporter() as reporter:
        found = study.start(*ask.make_request(question, runs_root(runs_dir)), storage, reporter)
    print_tune.print_found(found, json)


@app.command(cls=Command)
def show(
    study: _Study = None,
    out: _Page = None,
    trials: _Shown = 10,
    storage: _ShownStorage = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Show the trials of a study, the best first, and which settings matter.

    Writes a page with the history of the study, the importance of the settings and all trials as
    pictures and tables; with --json only where --out names a file. The search may be running.

    For example:

    ```
    lstm tune show
    lstm tune show reviews --out reviews.html
    lstm tune show --json | jq '.trials[0].overrides'
    ```
    """
    from lstm_cli.cli import output, print_study
    from lstm_cli.io.optional import require

    require("optuna")
    from lstm_cli.render import html
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.tune.folder import find_study
    from lstm_cli.tune.show import read_summary
    from lstm_cli.tune.study_page import FILE, write_study_page

    folder = find_study(runs_root(runs_dir), study)
    if out is not None:
        html.check_page_path(out)
    summary = read_summary(folder, storage)
    if out is not None or not json:
        out = out or folder.path / FILE
        write_study_page(summary, out)
    if json:
        page = None if out is None else str(out)
        output.print_json(summary.to_dict() | {"path": str(folder.path), "page": page})
        return
    print_study.print_study(summary, trials)
    output.print_line(f"\nPage: {out}")


def _resume(
    resume: str,
    dataset: str | None,
    budget: dict[str, float | None],
    storage: str | None,
    runs_dir: Path | None,
) -> Found:
    """Continue a study.

    Args:
        resume: The study; "" if it is named in the place of the data set, or not at all.
        dataset: As typed.
        budget: What the study may take in all; None for what it has.
        storage: Its database, if it needs a password.
        runs_dir: Folder of all runs.

    Raises:
        LstmError: There is no such study, or it cannot be continued.
    """
    from lstm_cli.cli.reporter import training_reporter
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.tune import folder, study

    changes = {key: value for key, value in budget.items() if value is not None}
    _check_resume(resume, dataset)
    # `--resume NAME` alone is parsed as that of a data set.
    started = folder.find_study(runs_root(runs_dir), resume or dataset)
    with training_reporter() as reporter:
        return study.resume(started, changes, storage, reporter)


def _check_resume(resume: str, dataset: str | None) -> None:
    """Check that a study is not named together with a data set.

    Raises:
        LstmError: Both are named (exit code 2).
    """
    from lstm_cli.errors import ExitCode, LstmError

    if resume and dataset is not None:
        raise LstmError(
            f"{dataset} has no effect with --resume {resume}: a study has its data set.",
            f"Leave out {dataset}, or {resume} for the newest study of that data set.",
            ExitCode.USAGE,
        )


def _check_dataset(dataset: str | None, seconds: float | None, trials: int | None) -> str:
    """Return the data set of a new study.

    Raises:
        LstmError: There is none, or nothing would end the search (exit code 2).
    """
    from lstm_cli.data.dataset_settings import locate
    from lstm_cli.errors import ExitCode, LstmError

    if dataset is None:
        raise LstmError(
            "There is no data set to search on.",
            "For example: lstm tune reviews.csv --time 30m  or  lstm tune --resume",
            ExitCode.USAGE,
        )
    locate(dataset)
    if seconds is None and trials is None:
        raise LstmError(
            "Nothing would end this search.",
            "Give --time, such as --time 30m, or --trials, such as --trials 50.",
            ExitCode.USAGE,
        )
    return dataset
