"""Command classes, and options that have no effect together.

Typer shows a type for every option, also for flags, and has no options with an optional value.
`Command` and `Group` change both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lstm_cli.errors import ExitCode, LstmError

# `--resume` alone means the newest unfinished run.
OPTIONAL_VALUE = ("--resume",)


def _for_help(params: list[Any]) -> list[Any]:
    """Hide `<bool>` beside flags, which take no value, and ranges such as `[x>=1]`."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""
        # Values are still checked: the check is made of `type_descriptor`.
        param.min = param.max = None
    return params


class Command(TyperCommand):
    """A command whose flags show no type and in which some options may go without a value."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters for help, flags without a type."""
        return _for_help(super().get_params(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse arguments; an option of `OPTIONAL_VALUE` without a value gets an empty one.

        Raises:
            LstmError: An option that takes one value is given twice (exit code 2).
        """
        words = self._with_values(args)
        if not ctx.resilient_parsing:
            _check_given_once(self.make_parser(ctx).parse_args([*words])[2])
        parsed: list[str] = super().parse_args(ctx, words)
        return parsed

    def _with_values(self, args: list[str]) -> list[str]:
        """Write options that have an optional value as `--option=VALUE`.

        A word after the option is its value if another word is left for the arguments of the
        command: `--resume demo` names the data set, `demo --resume best` a run.
        """
        position, num_arguments = None, 0
        takes_value = self._takes_value()
        tokens = iter(enumerate(args))
        for index, word in tokens:
            if word == "--":
                num_arguments += len(args) - index - 1
                break
            if word in OPTIONAL_VALUE and word in takes_value:
                if position is not None:
                    raise _given_twice(word)
                position = index
                follower = args[index + 1 : index + 2]
                if follower and not follower[0].startswith("-"):
                    next(tokens)
            elif word in takes_value:
                next(tokens, None)
            elif not word.startswith("-"):
                num_arguments += 1
        if position is None:
            return args
        value = args[position + 1 : position + 2]
        if not num_arguments or not value or value[0].startswith("-"):
            value = []
        option = f"{args[position]}={''.join(value)}"
        return [*args[:position], option, *args[position + 1 + len(value) :]]

    def _takes_value(self) -> set[str]:
        """Return the names of options that are followed by a value."""
        options = (param for param in self.params if param.param_type_name == "option")
        return {name for o in options if not getattr(o, "is_flag", False) for name in o.opts}


class Group(TyperGroup):
    """A group of commands whose flags show no type."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters for help, flags without a type."""
        return _for_help(super().get_params(ctx))


def _check_given_once(given: Sequence[Any]) -> None:
    """Refuse an option that takes one value and is given twice: one would have no effect.

    Args:
        given: The parameters of a command line, one entry for each time that one was given.

    Raises:
        LstmError: There is such an option (exit code 2).
    """
    single = [param for param in given if param.param_type_name == "option" and not param.multiple]
    for param in single:
        if not param.is_flag and not param.count and single.count(param) > 1:
            raise _given_twice(max(param.opts, key=len))


def _given_twice(name: str) -> LstmError:
    return LstmError(
        f"{name} is given twice, and takes one value.", f"Give {name} once.", ExitCode.USAGE
    )


@dataclass(frozen=True)
class Conflict:
    """Options that have no effect in a situation, and are refused there.

    Attributes:
        option: The option that makes the situation, as typed; "" where the command decides.
        ignored: Options or arguments that have no effect then, as typed.
        reason: Why, as a clause: "a dry run trains nothing".
    """

    option: str
    ignored: tuple[str, ...]
    reason: str


def typed_options(ctx: typer.Context) -> set[str]:
    """Return the options and arguments of a command line, by their long name or metavar.

    Values from environment variables and defaults do not count.
    """
    names = set()
    for param in ctx.command.params:
        source = ctx.get_parameter_source(param.name or "")
        if source is not None and source.name == "COMMANDLINE":
            is_option = param.param_type_name == "option"
            names.add(max(param.opts, key=len) if is_option else str(param.metavar))
    return names


def check_conflicts(ctx: typer.Context, conflicts: Sequence[Conflict]) -> None:
    """Refuse options that have no effect together.

    Args:
        ctx: Of the command.
        conflicts: All conflicts of the command; those whose `option` was not typed are skipped.

    Raises:
        LstmError: One was typed all the same (exit code 2).
    """
    typed = typed_options(ctx)
    for conflict in conflicts:
        if conflict.option not in typed and conflict.option:
            continue
        ignored = [name for name in conflict.ignored if name in typed]
        if ignored:
            beside = f" with {conflict.option}" if conflict.option else " here"
            raise LstmError(
                f"{ignored[0]} has no effect{beside}: {conflict.reason}.",
                f"Leave out {' or '.join(filter(None, (ignored[0], conflict.option)))}.",
                ExitCode.USAGE,
            )
