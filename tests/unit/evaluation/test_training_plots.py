from __future__ import annotations

import numpy as np
import pytest
from fixtures_plots import texts
from matplotlib.colors import to_hex

from lstm_cli.evaluation import training_plots
from lstm_cli.render import plot_style


def history(num, best=(), **extra):
    return [
        {
            "epoch": i + 1,
            "loss": 0.5 / (i + 1),
            "accuracy": 1 - 0.3 / (i + 1),
            "val_loss": 0.4 + 0.01 * i,
            "val_accuracy": 0.8 + 0.01 * i,
            "learning_rate": 1e-3,
            "seconds": 53.2,
            "best": i + 1 in best,
            **extra,
        }
        for i in range(num)
    ]


def test_learning_curves_mark_the_last_best_epoch(figures, png):
    training_plots.learning_curves(history(5, best=(1, 3)), png)
    assert "Validation accuracy 0.820 at epoch 3" in texts(figures[0])
    for axes in figures[0].axes:
        assert list(axes.lines[-1].get_xdata()) == [3, 3]
    loss, accuracy = figures[0].axes
    assert loss.lines[0].get_ydata() == pytest.approx([0.5 / i for i in range(1, 6)])
    assert accuracy.lines[1].get_ydata() == pytest.approx([0.8, 0.81, 0.82, 0.83, 0.84])
    assert png.read_bytes().startswith(b"\x89PNG")


def test_learning_curves_label_each_line_without_overlap(figures, png):
    same = [{**line, "val_accuracy": line["accuracy"]} for line in history(30)]
    training_plots.learning_curves(same, png)
    assert list(figures[0].axes[0].get_xticks()) == [1, 5, 9, 13, 17, 21, 25, 29]
    first, second = figures[0].axes[1].texts
    assert {first.get_text(), second.get_text()} == {"training 0.990", "validation 0.990"}
    assert not first.get_window_extent().overlaps(second.get_window_extent())


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_learning_curves_leave_out_missing_values(figures, png, missing):
    training_plots.learning_curves(
        history(3, val_loss=missing, val_accuracy=None, loss=missing), png
    )
    assert "Training accuracy 0.900 at epoch 3" in texts(figures[0])
    assert "no values" in texts(figures[0])
    assert len(figures[0].axes[1].lines) == 1


def test_one_epoch_has_one_tick_and_no_epoch_is_an_error(figures, png):
    training_plots.learning_curves(history(1, best=(1,)), png)
    assert [list(axes.get_xticks()) for axes in figures[0].axes] == [[1], [1]]
    with pytest.raises(ValueError, match="at least one epoch"):
        training_plots.learning_curves([], png)


def test_truncated_texts_are_orange(figures, png):
    train = np.asarray([1, 20, 20, 21, 22, 30, 38, 40])
    training_plots.lengths({"train": train, "empty": np.asarray([], np.int64)}, 20, png)
    assert "62% of texts are longer than the limit of 20 tokens" in texts(figures[0])
    assert "train: 8 texts, median 22 tokens, 62% truncated" in texts(figures[0])
    (axes,) = figures[0].axes
    heights = {plot_style.BLUE: 0.0, plot_style.ORANGE: 0.0}
    for bar in axes.patches:
        heights[to_hex(bar.get_facecolor()).upper()] += bar.get_height()
    assert heights == pytest.approx({plot_style.BLUE: 0.375, plot_style.ORANGE: 0.625})


@pytest.mark.parametrize("max_tokens", [1, 7, 64, 400, 5000])
@pytest.mark.parametrize("longest", [0, 1, 30, 2500])
def test_length_bins_start_at_or_below_0_and_one_ends_at_the_limit(max_tokens, longest):
    values = np.arange(longest + 1)
    edges = training_plots._length_edges(values, max_tokens)
    assert edges[0] <= -0.5
    assert edges[-1] >= np.quantile(values, 0.995)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= 70
    if longest > max_tokens:
        assert max_tokens + 0.5 in edges


def test_a_limit_in_the_tail_is_on_the_axis():
    edges = training_plots._length_edges(np.asarray([10] * 1000 + [500]), 400)
    assert 400.5 in edges
    assert edges[-1] > 401


def test_the_title_says_if_no_text_is_truncated(figures, png):
    training_plots.lengths({"train": np.asarray([3, 3]), "test": np.asarray([4])}, 64, png)
    assert "No text is longer than the limit of 64 tokens" in texts(figures[0])
    assert len(figures[0].axes) == 2
    with pytest.raises(ValueError, match="found none"):
        training_plots.lengths({"train": np.asarray([], np.int64)}, 64, png)
