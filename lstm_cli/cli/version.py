"""`lstm --version`, for people, and with `--json` for bug reports and scripts."""

from __future__ import annotations

import sys
from typing import Any

import typer

from lstm_cli import __version__

# Distributions that change what `lstm` computes, or how fast.
_PACKAGES = ("tensorflow", "keras", "jax", "onnxruntime", "numpy", "scikit-learn")


def print_version(context: typer.Context, flag: bool) -> None:
    """Print the version and end, if `--version` is given; `--json` is read before."""
    if not flag or context.resilient_parsing:
        return
    if context.params.get("json"):
        from lstm_cli.cli.output import print_json

        print_json(describe())
    else:
        sys.stdout.write(f"lstm {__version__}\n")
    raise typer.Exit


def describe() -> dict[str, Any]:
    """Return the versions of `lstm`, Python and packages, and the platform; imports no package.

    Returns:
        `lstm`, `python`, `implementation`, `platform`, `machine`, and `packages`: by name, null for
        a package that is not installed.
    """
    import platform

    return {
        "lstm": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "packages": {name: _installed(name) for name in _PACKAGES},
    }


def _installed(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
