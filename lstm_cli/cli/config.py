"""`lstm config`: presets and settings."""

from __future__ import annotations

from typing import Annotated

import typer

from lstm_cli.cli.command import Command, Group
from lstm_cli.cli.completion import complete_key, complete_preset

app = typer.Typer(cls=Group, help="Show presets and settings.", no_args_is_help=True)

_Preset = Annotated[
    str,
    typer.Argument(
        metavar="PRESET",
        help="Name of a preset; 'lstm config list' lists them.",
        autocompletion=complete_preset,
    ),
]
_Full = Annotated[
    bool,
    typer.Option("--full", help="Print all settings, also those that have their default value."),
]
_Key = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY",
        help="A setting (model.units) or a section (model). Without it: all settings.",
        autocompletion=complete_key,
    ),
]


@app.command(cls=Command)
def show(preset: _Preset, full: _Full = False) -> None:
    """Print a preset as YAML: a file to start from.

    Training chooses the settings that 'auto' lists from the data, unless they are set in the file
    or with --set. 'lstm runs show RUN' prints what was chosen.

    For example:

    ```
    lstm config show imdb > mine.yaml
    lstm train imdb --config mine.yaml
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.config import load

    text = load.full_preset_text(preset) if full else load.preset_text(preset)
    output.write_data(text.rstrip("\n") + "\n")


@app.command(name="list", cls=Command)
def list_() -> None:
    """List the presets."""
    from lstm_cli.cli import output
    from lstm_cli.config import load

    rows = []
    for name in load.preset_names():
        settings = load.load_preset(name)
        directions = "bi-LSTM" if settings.model.bidirectional else "LSTM"
        model = f"{settings.model.layers} x {directions}({settings.model.units})"
        model += f" + regions {list(settings.model.regions)}" if settings.model.regions else ""
        rows.append((name, settings.data.name, model, settings.train.epochs))
    output.print_rows(rows, ("preset", "data", "model", "epochs"), right=("epochs",))


@app.command(cls=Command)
def describe(key: _Key = None) -> None:
    """Explain settings: type, range, default and meaning.

    For example:

    ```
    lstm config describe
    lstm config describe train
    lstm config describe model.units
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.config.describe import describe as describe_settings

    for section, settings in describe_settings(key).items():
        rows = [(s.key, s.type, s.default, s.description) for s in settings]
        columns = ("setting", "type", "default", "meaning")
        output.print_rows(rows, columns, title=section, unfolded=columns[:1])
        output.print_line("")


@app.command(cls=Command)
def schema() -> None:
    """Print the JSON Schema of a settings file, for editors.

    For example:

    ```
    lstm config schema > lstm.schema.json
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.config import load

    output.print_json(load.json_schema())
