from __future__ import annotations

import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from matplotlib.colors import to_hex

from lstm_cli.evaluation import metrics, plots
from lstm_cli.render import plot_style

EVIL = (r"$\frac{x$", "_积极的评价" * 9, "\x1b[31m\n", "", "سلبي")


@pytest.fixture
def drawn(monkeypatch):
    """Keep each figure drawn, and check that nothing of it lies outside the page."""
    figures = []

    @contextmanager
    def keeping(path, size, title, subtitle=""):
        with plot_style.picture(path, size, title, subtitle) as page:
            yield page
        with warnings.catch_warnings(action="ignore"):  # letters no font has, measured again
            box = page.get_tightbbox().extents
        assert (box >= -0.01).all(), "something is left of or below the page"
        assert (box[2:] <= page.get_size_inches() + 0.01).all(), "something is off the page"
        figures.append(page)

    monkeypatch.setattr(plots, "picture", keeping)
    return figures


@pytest.fixture
def png(tmp_path):
    return tmp_path / "plot.png"


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


def texts(page):
    """Every text drawn on a page, headings and axis names included."""
    return [text.get_text() for text in page.findobj(match=lambda a: hasattr(a, "get_text"))]


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


def test_learning_curves_name_the_epoch_kept_which_is_the_last_best(drawn, png):
    plots.learning_curves(history(5, best=(1, 3)), png)
    assert "Validation accuracy 0.820 at epoch 3" in texts(drawn[0])
    for axes in drawn[0].axes:
        assert list(axes.lines[-1].get_xdata()) == [3, 3]
    loss, accuracy = drawn[0].axes
    assert loss.lines[0].get_ydata() == pytest.approx([0.5 / i for i in range(1, 6)])
    assert accuracy.lines[1].get_ydata() == pytest.approx([0.8, 0.81, 0.82, 0.83, 0.84])
    assert png.read_bytes().startswith(b"\x89PNG")


def test_learning_curves_name_each_line_at_its_end_without_overlap(drawn, png):
    same = [{**line, "val_accuracy": line["accuracy"]} for line in history(30)]
    plots.learning_curves(same, png)
    assert list(drawn[0].axes[0].get_xticks()) == [1, 5, 9, 13, 17, 21, 25, 29]
    one, other = drawn[0].axes[1].texts
    assert {one.get_text(), other.get_text()} == {"training 0.990", "validation 0.990"}
    assert not one.get_window_extent().overlaps(other.get_window_extent())


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_learning_curves_do_without_what_is_missing(drawn, png, missing):
    plots.learning_curves(history(3, val_loss=missing, val_accuracy=None, loss=missing), png)
    assert "Training accuracy 0.900 at epoch 3" in texts(drawn[0])
    assert "no number to draw" in texts(drawn[0])
    assert len(drawn[0].axes[1].lines) == 1


def test_one_epoch_has_one_tick_and_no_epoch_is_refused(drawn, png):
    plots.learning_curves(history(1, best=(1,)), png)
    assert [list(axes.get_xticks()) for axes in drawn[0].axes] == [[1], [1]]
    with pytest.raises(ValueError, match="at least one epoch"):
        plots.learning_curves([], png)


@pytest.mark.parametrize("num_classes", [2, 10, 30, 61])
def test_the_confusion_matrix_shows_rows_of_true_classes(drawn, png, num_classes):
    scored = report(num_classes, num=900)
    plots.confusion(scored, png)
    axes, counts = drawn[0].axes[0], np.asarray(scored.confusion)
    shade = axes.images[0].get_array()
    np.testing.assert_allclose(shade, counts / counts.sum(axis=1, keepdims=True))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("Predicted class", "True class")
    assert len(axes.get_yticklabels()) <= 60
    # Numbers in the cells, or a scale where there are too many cells.
    cells = {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in axes.texts}
    assert (len(cells) == 0) == (len(drawn[0].axes) == 2) == (num_classes > 30)
    for (row, column), text in cells.items():
        assert text.split("\n")[0] == f"{counts[row, column]:,}"


def test_the_confusion_matrix_names_the_commonest_mistake(drawn, png):
    labels = np.asarray([0] * 8 + [1] * 4, np.int32)
    predicted = np.asarray([0] * 5 + [1] * 3 + [1, 1, 1, 0])
    probabilities = np.eye(2, dtype=np.float32)[predicted]
    plots.confusion(metrics.compute(labels, probabilities, ("neg", "pos")), png)
    assert "38% of “neg” is taken for “pos”" in texts(drawn[0])
    right = metrics.compute(labels, np.eye(2, dtype=np.float32)[labels], ("neg", "pos"))
    plots.confusion(right, png)
    assert "Every example is classified right" in texts(drawn[1])


def test_the_reliability_diagram_pales_bins_with_few_examples(drawn, png):
    scored = report(4, num=400)
    plots.reliability(scored, png)
    top, bottom = drawn[0].axes
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
    ("confidence", "verdict"),
    [(0.99, "too sure of itself"), (0.8, "about as sure as right"), (0.6, "not sure enough")],
)
def test_the_reliability_title_gives_the_verdict(drawn, png, confidence, verdict):
    labels = np.asarray([1, 1, 1, 1, 0] * 20, np.int32)
    probabilities = np.tile(np.asarray([1 - confidence, confidence], np.float32), (100, 1))
    plots.reliability(metrics.compute(labels, probabilities, names(2)), png)
    error = abs(confidence - 0.8)
    title = f"Calibration error {error:.3f}: {verdict}"
    assert any(text.startswith(title) for text in texts(drawn[0]))


@pytest.mark.parametrize(("num_classes", "num_curves"), [(2, 1), (3, 3), (10, 10), (11, 1)])
def test_there_is_a_roc_curve_a_class_up_to_ten_and_their_mean_beyond(
    drawn, png, num_classes, num_curves
):
    labels, probabilities = batch(800, num_classes, strength=1.5)
    plots.roc_pr(labels, probabilities, names(num_classes), png)
    roc, pr = drawn[0].axes[:2]
    assert len(roc.lines) == num_curves + 1  # and the diagonal
    assert len(pr.lines) == num_curves
    assert len(drawn[0].legends) == (num_curves > 1)
    area = metrics.compute(labels, probabilities, names(num_classes)).roc_auc
    assert any(f"OC area {area:.3f}" in text for text in texts(drawn[0]))


def test_the_hardest_class_is_named_and_drawn_in_colour(drawn, png):
    labels, probabilities = batch(800, 5, strength=2.0)
    shuffled = np.random.default_rng(0).permutation(800)
    probabilities[:, 3] = probabilities[shuffled, 3]
    plots.roc_pr(labels, probabilities, names(5), png)
    assert any("hardest: class 3 (" in text for text in texts(drawn[0]))
    first = drawn[0].axes[1].lines[0]
    assert first.get_label().endswith("class 3")
    assert first.get_color() == plot_style.BLUE


def test_curves_that_crowd_into_a_corner_are_shown_there_and_said_to_be(drawn, png):
    plots.roc_pr(*batch(500, 3, strength=14.0), names(3), png)
    plots.roc_pr(*batch(500, 3, strength=1.0), names(3), png)
    near, far = drawn[0].axes[0], drawn[1].axes[0]
    assert near.get_xlim()[1] < 0.3 < 0.7 < near.get_ylim()[0]
    assert near.get_title("left") == "ROC, upper left corner"
    assert drawn[0].axes[1].get_xlim()[0] > 0.7
    assert far.get_xlim() == pytest.approx((-0.015, 1.015))
    assert far.get_title("left") == "ROC"


def test_an_area_is_1_only_where_it_is(drawn, png):
    labels = np.arange(1000, dtype=np.int32) % 2
    scores = np.where(labels, 0.6, 0.4).astype(np.float32)
    plots.roc_pr(labels, np.stack([1 - scores, scores], axis=1), names(2), png)
    assert any("ROC area 1.0000" in text for text in texts(drawn[0]))
    scores[1] = 0.402  # one of the second class, above all of the first but three
    scores[[0, 2, 4]] = 0.405
    plots.roc_pr(labels, np.stack([1 - scores, scores], axis=1), names(2), png)
    assert any("ROC area >0.9999" in text for text in texts(drawn[1]))


def test_the_confusion_matrix_fills_its_picture(drawn, png):
    for num in (2, 10, 20):
        plots.confusion(metrics.compute(*batch(400, num), tuple(map(str, range(num)))), png)
        page = drawn[-1]
        assert page.get_tightbbox().y0 < 0.35  # inches left free below


def test_a_split_of_one_class_has_no_roc_curve_and_says_so(drawn, png):
    _, probabilities = batch(20, 2)
    plots.roc_pr(np.zeros(20, np.int32), probabilities, names(2), png)
    assert "No curve: all examples are of one class" in texts(drawn[0])


def test_the_share_of_texts_cut_is_the_orange_part(drawn, png):
    train = np.asarray([1, 20, 20, 21, 22, 30, 38, 40])
    plots.lengths({"train": train, "empty": np.asarray([], np.int64)}, 20, png)
    assert "62% of texts are longer than the 20 tokens kept" in texts(drawn[0])
    assert "train: 8 texts, median 22 tokens, 62% cut" in texts(drawn[0])
    (axes,) = drawn[0].axes
    heights = {plot_style.BLUE: 0.0, plot_style.ORANGE: 0.0}
    for bar in axes.patches:
        heights[to_hex(bar.get_facecolor()).upper()] += bar.get_height()
    assert heights == pytest.approx({plot_style.BLUE: 0.375, plot_style.ORANGE: 0.625})


@pytest.mark.parametrize("max_tokens", [1, 7, 64, 400, 5000])
@pytest.mark.parametrize("longest", [0, 1, 30, 2500])
def test_length_bins_begin_at_or_below_0_and_one_ends_at_the_limit(max_tokens, longest):
    values = np.arange(longest + 1)
    edges = plots._length_edges(values, max_tokens)
    assert edges[0] <= -0.5
    assert edges[-1] >= np.quantile(values, 0.995)
    assert (np.diff(edges) > 0).all()
    assert len(edges) <= 70
    if longest > max_tokens:
        assert max_tokens + 0.5 in edges


def test_a_limit_that_only_the_longest_reach_is_on_the_axis():
    edges = plots._length_edges(np.asarray([10] * 1000 + [500]), 400)
    assert 400.5 in edges
    assert edges[-1] > 401


def test_texts_that_all_fit_are_said_to(drawn, png):
    plots.lengths({"train": np.asarray([3, 3]), "test": np.asarray([4])}, 64, png)
    assert "No text is longer than the 64 tokens kept" in texts(drawn[0])
    assert len(drawn[0].axes) == 2
    with pytest.raises(ValueError, match="found none"):
        plots.lengths({"train": np.asarray([], np.int64)}, 64, png)


@pytest.mark.parametrize(("num_classes", "num_panels"), [(2, 2), (5, 5), (11, 1)])
def test_scores_show_right_and_wrong_apart_in_each_true_class(drawn, png, num_classes, num_panels):
    labels, probabilities = batch(700, num_classes)
    plots.scores(labels, probabilities, names(num_classes), png)
    panels = [axes for axes in drawn[0].axes if axes.get_visible()]
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


def test_scores_of_two_classes_are_the_probability_of_the_second(drawn, png):
    labels = np.asarray([0, 0, 1, 1], np.int32)
    positive = np.asarray([0.01, 0.02, 0.99, 1.0000001], np.float32)
    plots.scores(labels, np.stack([1 - positive, positive], axis=1), ("neg", "pos"), png)
    filled = [
        [round(bar.get_x(), 3) for bar in axes.patches if bar.get_height()]
        for axes in drawn[0].axes
    ]
    assert filled == [[0.0], [0.975]]
    assert drawn[0].axes[-1].get_xlabel() == "Predicted probability of pos"


@pytest.mark.parametrize("num_classes", [2, 5])
def test_no_class_name_breaks_a_picture(drawn, tmp_path, num_classes):
    labels, probabilities = batch(200, num_classes)
    scored = metrics.compute(labels, probabilities, EVIL[:num_classes])
    plots.confusion(scored, tmp_path / "a.png")
    plots.reliability(scored, tmp_path / "b.png")
    plots.roc_pr(labels, probabilities, EVIL[:num_classes], tmp_path / "c.png")
    plots.scores(labels, probabilities, EVIL[:num_classes], tmp_path / "d.png")
    plots.lengths({name: np.asarray([1, 2, 3]) for name in EVIL}, 2, tmp_path / "e.png")
    assert len(list(tmp_path.iterdir())) == len(drawn) == 5
    for page in drawn:
        assert not any("\x1b" in text or "\x00" in text for text in texts(page))
