"""Messages for errors in the command line."""

from __future__ import annotations

import pytest
import typer

from lstm_cli import cli
from lstm_cli.cli import failures
from lstm_cli.errors import ExitCode


@pytest.mark.parametrize(("command", "form"), [("predict", "jsonl"), ("explain", "json")])
def test_a_command_with_formats_names_that_of_json(command, form, capsys):
    with pytest.raises(typer._click.exceptions.UsageError) as caught:
        typer.main.get_command(cli.app)([command, "--json"], standalone_mode=False)
    assert failures.report(caught.value) == ExitCode.USAGE
    assert f"{command} --format {form}" in capsys.readouterr().err
