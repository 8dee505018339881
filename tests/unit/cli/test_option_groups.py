"""Groups of options: one parameter of a command stands for several options."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from lstm_cli.cli.option_groups import with_groups


@dataclass(frozen=True)
class Format:
    encoding: Annotated[str, typer.Option("--encoding")] = "utf-8"
    quoted: Annotated[bool, typer.Option("--quoted")] = True


@dataclass(frozen=True, kw_only=True)
class Source:
    name: Annotated[str, typer.Option("--name")] = "here"
    format_: Format


@pytest.fixture
def given():
    return []


@pytest.fixture
def app(given):
    app = typer.Typer()

    @app.command()
    @with_groups
    def show(
        ctx: typer.Context,
        name: str,
        *,
        first: Annotated[int, typer.Option("--first")] = 1,
        format_: Format,
        last: Annotated[int, typer.Option("--last")] = 9,
    ) -> None:
        """Show it."""
        given.append((name, first, format_, last, ctx.get_parameter_source("encoding").name))

    return app


def test_a_command_gets_its_groups_as_objects(app, given):
    result = CliRunner().invoke(app, ["it", "--encoding", "latin-1", "--last", "3"])
    assert result.exit_code == 0
    assert given == [("it", 1, Format("latin-1", True), 3, "COMMANDLINE")]


def test_options_of_a_group_have_their_defaults(app, given):
    CliRunner().invoke(app, ["it"])
    assert given == [("it", 1, Format("utf-8", True), 9, "DEFAULT")]


def test_a_field_of_a_group_may_be_a_group():
    given = []

    @with_groups
    def show(*, source: Source) -> None:
        given.append(source)

    command = typer.Typer()
    command.command()(show)
    result = CliRunner().invoke(command, ["--name", "there", "--encoding", "latin-1"])
    assert result.exit_code == 0
    assert given == [Source(name="there", format_=Format("latin-1", True))]


def test_options_of_a_group_stand_in_its_place(app):
    command = typer.main.get_command(app)
    names = [param.name for param in command.params]
    assert names[:5] == ["name", "first", "encoding", "quoted", "last"]
