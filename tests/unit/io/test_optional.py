"""Packages that are not installed: the error names the package and the command to install it."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.optional import hidden, is_known, missing_package, require


@pytest.mark.parametrize(
    ("package", "hint"),
    [
        ("tensorflow", "pip install lstm-cli"),
        ("matplotlib", "pip install matplotlib"),
        ("starlette", "pip install 'lstm-cli[serve]'"),
        ("tensorboard", "pip install 'lstm-cli[tensorboard]'"),
    ],
)
def test_a_missing_package_is_named_with_the_command_to_install_it(monkeypatch, package, hint):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(LstmError) as caught:
        require(package)
    assert package in caught.value.message.lower()
    assert (caught.value.hint, caught.value.exit_code) == (hint, ExitCode.ERROR)


def test_an_installed_package_passes():
    require("numpy", "yaml")


def test_a_submodule_counts_as_its_package():
    assert is_known("matplotlib.figure")
    assert not is_known("lstm_cli.nothing")
    assert missing_package("sklearn.metrics", "Evaluation").message.startswith("Evaluation needs")


def test_hidden_packages_cannot_be_imported_until_the_block_ends(monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with hidden("colorsys", "sys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    assert colorsys.__name__ == "colorsys"
    assert "sys" in sys.modules
