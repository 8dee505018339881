"""The pictures and the page of a study."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import optuna
import pytest
from fixtures_plots import texts
from fixtures_reports import parse_page
from fixtures_study import DEFAULTS, make_summary

from lstm_cli.errors import LstmError
from lstm_cli.render.plot_style import BLUE, ORANGE
from lstm_cli.tune import plots
from lstm_cli.tune.study_page import write_study_page
from lstm_cli.tune.summary import summarize


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """Draw a picture, and return its figure as it is written."""
    figures = []
    picture = plots.picture

    @contextmanager
    def keep(*arguments):
        with picture(*arguments) as figure:
            figures.append(figure)
            yield figure

    def draw(function, summary):
        function(summary, tmp_path / "picture.png")
        assert (tmp_path / "picture.png").stat().st_size > 1000
        return figures[-1]

    monkeypatch.setattr(plots, "picture", keep)
    return draw


def test_the_history_shows_the_best_so_far_and_far_worse_trials_at_the_edge(drawn):
    figure = drawn(plots.draw_history, make_summary())
    axes = figure.axes[0]
    (steps,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert steps.get_xdata().tolist() == [0, 1, 2, 3, 11]
    assert steps.get_ydata() == pytest.approx([0.7, 0.82, 0.86, 0.9, 0.9])
    (best,) = [line for line in axes.lines if line.get_color() == ORANGE]
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (3, pytest.approx(0.9))
    (edge,) = [line for line in axes.lines if line.get_marker() == "v"]
    assert edge.get_xdata().tolist() == [9]
    # The pruned trial had 0.1: it is drawn at the lower edge, where the others are not.
    assert 0.1 < edge.get_ydata()[0] == axes.get_ylim()[0] < 0.7
    shown = " ".join(texts(figure))
    assert "0.9000" in shown and "0.7000" in shown


def test_importances_are_bars_from_the_most_important_down(drawn):
    summary = make_summary()
    axes = drawn(plots.draw_importance, summary).axes[0]
    bars = [(bar.get_y(), bar.get_width()) for bar in axes.patches]
    widths = [width for _, width in sorted(bars, reverse=True)]
    assert widths == [setting.importance for setting in summary.settings]
    assert widths == sorted(widths, reverse=True)


def test_parallel_coordinates_have_a_line_for_each_finished_trial(drawn):
    summary = make_summary()
    axes = drawn(plots.draw_parallel_coordinates, summary).axes[0]
    num_axes = len(summary.settings) + 1
    lines = [line for line in axes.lines if len(line.get_xdata()) == num_axes]
    assert len(lines) == 9
    (best,) = [line for line in lines if line.get_color() == ORANGE]
    keys = [*(setting.key for setting in summary.settings), "metric"]
    heights = dict(zip(keys, best.get_ydata(), strict=True))
    assert heights["metric"] == 1
    assert heights["model.regions"] == 1  # [2, 3] is the second choice
    # Rates from 0.001 to 0.008, of which 0.003 is chosen, by their logarithm.
    assert heights["train.learning_rate"] == pytest.approx(np.log(3) / np.log(8))
    assert sum(line.get_color() == BLUE for line in lines) == 2


def test_a_lower_loss_is_at_the_top_of_the_history(drawn):
    figure = drawn(plots.draw_history, make_summary("minimize", metric="loss"))
    axes = figure.axes[0]
    (steps,) = [line for line in axes.lines if line.get_drawstyle() == "steps-post"]
    assert steps.get_ydata() == pytest.approx([0.3, 0.18, 0.14, 0.1, 0.1])
    assert "^" in {line.get_marker() for line in axes.lines}


def test_the_page_has_pictures_settings_and_all_trials(tmp_path):
    summary = replace(make_summary(seconds=90.0), winner="films/quick-003")
    out = tmp_path / "report.html"
    write_study_page(summary, out)
    page = parse_page(out)
    assert len(page.pictures) == 3
    for expected in (
        "films/quick",
        "0.9000 best macro F1 on validation",
        "0.7000 macro F1 of the default settings",
        "1 min 30 s",
        "films/quick-003",
        "0 (default) 0.7000 finished 10 31 s",
        "9 0.1000 pruned 2 6 s",
        "10 the loss <b>is NaN</b>",
    ):
        assert expected in page.text
    assert "<b>is NaN" not in out.read_text()
    before = out.read_bytes()
    write_study_page(summary, out)
    assert out.read_bytes() == before


def test_a_study_without_trials_has_a_page(tmp_path):
    summary = summarize(optuna.create_study(), name="a", data="b", metric="loss", defaults=DEFAULTS)
    write_study_page(summary, tmp_path / "report.html")
    page = parse_page(tmp_path / "report.html")
    assert page.pictures == []
    assert "No trial has finished yet" in page.text


def test_another_file_is_not_replaced(tmp_path):
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(LstmError):
        write_study_page(make_summary(), tmp_path / "mine.html")
    assert (tmp_path / "mine.html").read_text() == "mine"
