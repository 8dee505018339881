"""`lstm config`: presets and the schema of settings."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(help="Presets and settings.", no_args_is_help=True)


@app.command()
def show(
    preset: Annotated[str, typer.Argument(metavar="PRESET", help="demo, digits, imdb, ...")],
    full: Annotated[
        bool, typer.Option("--full", help="Every setting, those at their default included.")
    ] = False,
) -> None:
    """Print a preset as YAML: a file to start from.

    Example: 'lstm config show imdb > mine.yaml', then 'lstm train imdb --config mine.yaml'.
    """
    from lstm_cli.cli import output
    from lstm_cli.config import load

    text = load.to_yaml(load.load_preset(preset)) if full else load.preset_text(preset)
    output.write_data(text.rstrip("\n") + "\n")


@app.command(name="list")
def list_() -> None:
    """List the presets."""
    from lstm_cli.cli import output
    from lstm_cli.config import load

    rows = []
    for name in load.preset_names():
        settings = load.load_preset(name)
        directions = "bi-LSTM" if settings.model.bidirectional else "LSTM"
        model = f"{settings.model.layers} x {directions}({settings.model.units})"
        rows.append((name, settings.data.name, model, settings.train.epochs))
    output.print_rows(rows, ("preset", "data", "model", "epochs"), right=("epochs",))


@app.command()
def schema() -> None:
    """Print the JSON Schema of a settings file, for editors."""
    from lstm_cli.cli import output
    from lstm_cli.config import load

    output.print_json(load.json_schema())
