from __future__ import annotations

import time

import numpy as np
import pytest
from fixtures_plots import texts
from matplotlib.colors import to_hex

from lstm_cli.evaluation import metrics, plots, training_plots
from lstm_cli.render import plot_style

EVIL = (r"$\frac{x$", "_积极的评价" * 9, "\x1b[31m\n", "", "سلبي")


def batch(num, num_classes, seed=0, strength=3.0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=num).astype(np.int32)
    logits = generator.normal(size=(num, num_classes)) * 1.6
    logits[np.arange(num), labels] += strength
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return labels, (exp / exp.sum(axis=1, keepdims=True)).astype(np.float32)


def names(num_classes):
    return tuple(f"class {i}" for i in range(num_classes))


def report(num_classes, num=600, class_names=None, **options):
    return metrics.compute(*batch(num, num_classes, **options), class_names or names(num_classes))


@pytest.mark.parametrize("num_classes", [2, 10, 30, 60])
def test_the_confusion_matrix_shows_rows_of_true_classes(figures, png, num_classes):
    scored = report(num_classes, num=900)
    plots.confusion(scored, png)
    axes, counts = figures[0].axes[0], metrics.confusion_matrix(scored)
    shade = axes.images[0].get_array()
    np.testing.assert_allclose(shade, counts / counts.sum(axis=1, keepdims=True))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    assert len(axes.get_yticklabels()) <= 60
    # Numbers in the cells, or a colour bar if there are too many cells.
    cells = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert (len(cells) == 0) == (len(figures[0].axes) == 2) == (num_classes > 30)
    for (row, column), text in cells.items():
        assert text.split("\n")[0] == f"{counts[row, column]:,}"


def test_of_many_classes_the_most_confused_are_shown_with_their_share(figures, png):
    labels = np.repeat(np.arange(100, dtype=np.int32), 4)
    predicted = labels.copy()
    predicted[4 * 7 : 4 * 7 + 3] = 90  # 3 of 4
    predicted[4 * 50] = 8  # 1 of 4
    scored = metrics.compute(labels, np.eye(100, dtype=np.float32)[predicted], names(100))
    plots.confusion(scored, png)
    axes = figures[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        f"class {i}" for i in (7, 8, 50, 90)
    ]
    assert axes.images[0].get_array()[0].tolist() == [0.25, 0, 0, 0.75]
    assert any("4 of 100 classes" in text for text in texts(figures[0]))
    noisy = report(100, num=4000, strength=1.0)
    plots.confusion(noisy, png)
    assert len(figures[1].axes[0].get_yticklabels()) in range(28, 31)
    right = metrics.compute(labels, np.eye(100, dtype=np.float32)[labels], names(100))
    plots.confusion(right, png)
    assert "Every example is classified correctly" in texts(figures[2])


def test_the_plots_of_a_thousand_classes_take_seconds(figures, tmp_path):
    labels, probabilities = batch(2000, 1000)
    scored = metrics.compute(labels, probabilities, names(1000))
    start = time.process_time()
    plots.confusion(scored, tmp_path / "a.png")
    plots.roc_pr(labels, probabilities, names(1000), tmp_path / "b.png")
    plots.scores(labels, probabilities, names(1000), tmp_path / "c.png")
    assert time.process_time() - start < 20
    assert sum(len(page.axes[0].lines) for page in figures) < 10


def test_the_confusion_title_names_the_most_common_error(figures, png):
    labels = np.asarray([0] * 8 + [1] * 4, np.int32)
    predicted = np.asarray([0] * 5 + [1] * 3 + [1, 1, 1, 0])
    probabilities = np.eye(2, dtype=np.float32)[predicted]
    plots.confusion(metrics.compute(labels, probabilities, ("neg", "pos")), png)
    assert "38% of “neg” is classified as “pos”" in texts(figures[0])
    right = metrics.compute(labels, np.eye(2, dtype=np.float32)[labels], ("neg", "pos"))
    plots.confusion(right, png)
    assert "Every example is classified correctly" in texts(figures[1])


def test_bins_with_few_examples_are_pale(figures, png):
    scored = report(4, num=400)
    plots.reliability(scored, png)
    top, bottom = figures[0].axes
    points = {
        round(float(line.get_xdata()[0]), 6): to_hex(line.get_color()).upper()
        for line in top.lines
        if len(line.get_xdata()) == 1
    }
    expected = {
        round(b.confidence, 6): (plot_style.BLUE if b.count >= 10 else plot_style.PALE)
        for b in scored.bins
        if b.count
    }
    assert points == expected
    assert set(expected.values()) == {plot_style.BLUE, plot_style.PALE}
    assert [p.get_height() for p in bottom.patches] == [b.count for b in scored.bins if b.count]
    assert [p.get_x() for p in bottom.patches] == [b.low for b in scored.bins if b.count]


@pytest.mark.parametrize(
    ("confidence", "assessment"),
    [(0.99, "overconfident"), (0.8, "well calibrated"), (0.6, "underconfident")],
)
def test_the_reliability_title_says_overconfident_or_underconfident(
    figures, png, confidence, assessment
):
    labels = np.asarray([1, 1, 1, 1, 0] * 20, np.int32)
    probabilities = np.tile(np.asarray([1 - confidence, confidence], np.float32), (100, 1))
    plots.reliability(metrics.compute(labels, probabilities, names(2)), png)
    error = abs(confidence - 0.8)
    title = f"Calibration error {error:.3f}: {assessment}"
    assert any(text.startswith(title) for text in texts(figures[0]))


@pytest.mark.parametrize(("num_classes", "num_curves"), [(2, 1), (3, 3), (10, 10), (11, 1)])
def test_up_to_ten_classes_have_a_roc_curve_each_and_more_a_mean(
    figures, png, num_classes, num_curves
):
    labels, probabilities = batch(800, num_classes, strength=1.5)
    plots.roc_pr(labels, probabilities, names(num_classes), png)
    roc, pr = figures[0].axes[:2]
    assert len(roc.lines) == num_curves + 1  # and the diagonal
    assert len(pr.lines) == num_curves
    assert len(figures[0].legends) == (num_curves > 1)
    area = metrics.compute(labels, probabilities, names(num_classes)).roc_auc
    assert any(f"OC area {area:.3f}" in text for text in texts(figures[0]))


def test_the_hardest_class_is_named_and_drawn_in_colour(figures, png):
    labels, probabilities = batch(800, 5, strength=2.0)
    shuffled = np.random.default_rng(0).permutation(800)
    probabilities[:, 3] = probabilities[shuffled, 3]
    plots.roc_pr(labels, probabilities, names(5), png)
    assert any("hardest: class 3 (" in text for text in texts(figures[0]))
    first = figures[0].axes[1].lines[0]
    assert first.get_label().endswith("class 3")
    assert first.get_color() == plot_style.BLUE


def test_curves_close_to_a_corner_are_enlarged(figures, png):
    plots.roc_pr(*batch(500, 3, strength=14.0), names(3), png)
    plots.roc_pr(*batch(500, 3, strength=1.0), names(3), png)
    near, far = figures[0].axes[0], figures[1].axes[0]
    assert near.get_xlim()[1] < 0.3 < 0.7 < near.get_ylim()[0]
    assert near.get_title("left") == "ROC, upper left corner"
    assert figures[0].axes[1].get_xlim()[0] > 0.7
    assert far.get_xlim() == pytest.approx((-0.015, 1.015))
    assert far.get_title("left") == "ROC"


def test_an_area_below_1_is_not_shown_as_1(figures, png):
    labels = np.arange(1000, dtype=np.int32) % 2
    scores = np.where(labels, 0.6, 0.4).astype(np.float32)
    plots.roc_pr(labels, np.stack([1 - scores, scores], axis=1), names(2), png)
    assert any("ROC area 1.0000" in text for text in texts(figures[0]))
    scores[1] = 0.402  # one of the second class, above all but three of the first
    scores[[0, 2, 4]] = 0.405
    plots.roc_pr(labels, np.stack([1 - scores, scores], axis=1), names(2), png)
    assert any("ROC area >0.9999" in text for text in texts(figures[1]))


def test_the_confusion_matrix_fills_its_picture(figures, png):
    for num in (2, 10, 20):
        plots.confusion(metrics.compute(*batch(400, num), tuple(map(str, range(num)))), png)
        page = figures[-1]
        assert page.get_tightbbox().y0 < 0.35  # inches left free below


def test_a_split_of_one_class_has_no_roc_curve(figures, png):
    _, probabilities = batch(20, 2)
    plots.roc_pr(np.zeros(20, np.int32), probabilities, names(2), png)
    assert "No curve: all examples are of one class" in texts(figures[0])


@pytest.mark.parametrize(("num_classes", "num_panels"), [(2, 2), (5, 5), (11, 1)])
def test_scores_separate_correct_and_wrong_in_each_true_class(
    figures, png, num_classes, num_panels
):
    labels, probabilities = batch(700, num_classes)
    plots.scores(labels, probabilities, names(num_classes), png)
    panels = [axes for axes in figures[0].axes if axes.get_visible()]
    assert len(panels) == num_panels
    recalls = metrics.compute(labels, probabilities, names(num_classes))
    expected = [c.recall for c in recalls.classes] if num_panels > 1 else [recalls.accuracy]
    for axes, recall in zip(panels, expected, strict=True):
        shares = {
            colour: sum(
                bar.get_height()
                for bar in axes.patches
                if to_hex(bar.get_facecolor()).upper() == colour
            )
            for colour in (plot_style.BLUE, plot_style.ORANGE)
        }
        assert shares == pytest.approx({plot_style.BLUE: recall, plot_style.ORANGE: 1 - recall})


def test_scores_of_two_classes_are_the_probability_of_the_second(figures, png):
    labels = np.asarray([0, 0, 1, 1], np.int32)
    positive = np.asarray([0.01, 0.02, 0.99, 1.0000001], np.float32)
    plots.scores(labels, np.stack([1 - positive, positive], axis=1), ("neg", "pos"), png)
    filled = [
        [round(bar.get_x(), 3) for bar in axes.patches if bar.get_height()]
        for axes in figures[0].axes
    ]
    assert filled == [[0.0], [0.975]]
    assert figures[0].axes[-1].get_xlabel() == "Predicted probability of pos"


@pytest.mark.parametrize("num_classes", [2, 5])
def test_no_class_name_breaks_a_picture(figures, tmp_path, num_classes):
    labels, probabilities = batch(200, num_classes)
    scored = metrics.compute(labels, probabilities, EVIL[:num_classes])
    plots.confusion(scored, tmp_path / "a.png")
    plots.reliability(scored, tmp_path / "b.png")
    plots.roc_pr(labels, probabilities, EVIL[:num_classes], tmp_path / "c.png")
    plots.scores(labels, probabilities, EVIL[:num_classes], tmp_path / "d.png")
    training_plots.lengths({name: np.asarray([1, 2, 3]) for name in EVIL}, 2, tmp_path / "e.png")
    assert len(list(tmp_path.iterdir())) == len(figures) == 5
    for page in figures:
        assert not any("\x1b" in text or "\x00" in text for text in texts(page))
