from __future__ import annotations

import warnings
from contextlib import contextmanager

import pytest

from lstm_cli.evaluation import plots, training_plots
from lstm_cli.render import plot_style


@pytest.fixture
def figures(monkeypatch):
    """Collect each figure, and check that nothing lies outside the page."""
    collected = []

    @contextmanager
    def collecting(path, size, title, subtitle=""):
        with plot_style.picture(path, size, title, subtitle) as page:
            yield page
        with warnings.catch_warnings(action="ignore"):  # letters that no font has
            box = page.get_tightbbox().extents
        assert (box >= -0.01).all(), "something is left of or below the page"
        assert (box[2:] <= page.get_size_inches() + 0.01).all(), "something is off the page"
        collected.append(page)

    for module in (plots, training_plots):
        monkeypatch.setattr(module, "picture", collecting)
    return collected


@pytest.fixture
def png(tmp_path):
    return tmp_path / "plot.png"
