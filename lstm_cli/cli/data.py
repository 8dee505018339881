"""`lstm data`: what there is to learn from."""

import typer

app = typer.Typer(help="Data sets.", no_args_is_help=True)


@app.command(name="list")
def list_() -> None:
    """X."""


@app.command()
def show() -> None:
    """X."""
