"""Finished runs with all files that `train` writes, made by hand; and a parser of pages."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
from fixtures_runs import make_image_run, make_text_run, text_config
from PIL import Image
from typer.testing import CliRunner

from lstm_cli import cli
from lstm_cli.evaluation import training_plots
from lstm_cli.evaluation.evaluate import draw_results
from lstm_cli.evaluation.load_split import own_data
from lstm_cli.evaluation.scored_split import score
from lstm_cli.io.progress import SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs

EVIL = "<script>alert(1)</script>"
EPOCHS = (
    {"epoch": 1, "steps": 3, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.68, "val_accuracy": 0.55,
     "learning_rate": 0.01, "seconds": 1.5, "best": True},
    {"epoch": 2, "steps": 3, "loss": 0.5, "accuracy": 0.8, "val_loss": 0.6, "val_accuracy": 0.7,
     "learning_rate": 0.01, "seconds": 1.5, "best": True},
)  # fmt: skip


def complete(run, *, card="# card\n", record=None, with_plots=False):
    """Score a run on its own data, and write the other files of a finished run.

    Args:
        run: A run with a model, of `make_text_run` or `make_image_run`.
        card: Content of its model card.
        record: Changes to `run.json`.
        with_plots: Whether to draw the plots, which takes a second.
    """
    predictor = Predictor.from_files(run)
    dataset = own_data(run, "test")
    scored = score(predictor, dataset, "test", SilentReporter())
    report = scored.report.to_dict()
    run.write_json(runs.METRICS, {"best_epoch": 2, "validation": report, "test": report})
    run.write_text(runs.HISTORY, "".join(runs.json_line(epoch) for epoch in EPOCHS))
    run.write_text(runs.CARD, card)
    if with_plots:
        training_plots.learning_curves(EPOCHS, run.file(runs.PLOTS) / "curves.png")
        draw_results(run.file(runs.PLOTS), scored, predictor.labels)
    data = {
        "name": dataset.name,
        "source": dataset.source,
        "kind": dataset.kind,
        "fingerprint": dataset.fingerprint,
        "labels": list(dataset.labels),
        "sizes": {"train": 10, "validation": 2, "test": len(scored.labels)},
        "notes": [],
    }
    info = {
        **run.read_json(runs.RUN),
        "command": "lstm train it",
        "seed": 0,
        "dataset": data,
        "parameters": 123,
        "epochs": 2,
        "best_epoch": 2,
        "stopped": "epoch 2 of 2 is done",
        "device": "cpu",
        "why": "no GPU",
        "kernel": "loop",
        "versions": {"keras": "3.15"},
        "seconds": {"train": 3.0, "total": 4.0},
        "temperature": 1.25,
        **(record or {}),
    }
    run.write_json(runs.RUN, info)
    run.write_manifest()
    return run


def text_run(path, **options):
    """A run of random weights on a file of reviews beside it.

    Args:
        path: The run's folder.
        **options: `labels`, `texts`, `seed` and `max_tokens`, and those of `complete`.
    """
    labels = tuple(sorted(options.pop("labels", ("negative", "positive"))))
    texts = options.pop("texts", ("a dull film", "a fine film", "not a moment fine", "just a cast"))
    reviews = path.parent / f"{path.name}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = "".join(f'"{text} {i}","{labels[i % 2]}"\n' for i, text in enumerate(30 * texts))
    reviews.write_text(f"text,label\n{rows}", encoding="utf-8")
    config = text_config(
        data__name=str(reviews),
        seed=options.pop("seed", 0),
        text__max_tokens=options.pop("max_tokens", 12),
    )
    return complete(make_text_run(path, labels, config), **options)


def image_run(path, **options):
    """A run of random weights on scikit-learn's digits; options of `complete`."""
    return complete(make_image_run(path), **options)


def rewrite(run, name, change):
    """Change one of a run's JSON files and write a new manifest, as a careful attacker would."""
    value = run.read_json(name)
    change(value)
    run.write_json(name, value)
    run.write_manifest()


def misclassified_ids(run):
    """Return the positions of the test examples that a run misclassifies."""
    dataset = own_data(run, "test")
    scored = score(Predictor.load(run), dataset, "test", SilentReporter())
    return np.flatnonzero(scored.probabilities.argmax(axis=1) != scored.labels)


class ParsedPage(HTMLParser):
    """The tags, addresses, styles and texts of a page."""

    def __init__(self, content):
        super().__init__()
        self.tags, self.loads, self.styles, self.words, self._in = [], [], [], [], []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        loading = ("src", "href", "srcset", "data", "action", "poster", "xlink:href")
        self.loads += [values[name] for name in loading if name in values]
        assert not [name for name in values if name.startswith("on")]
        if tag not in ("meta", "img"):
            self._in.append(tag)

    def handle_endtag(self, tag):
        assert self._in.pop() == tag, "elements are closed in order"

    def handle_data(self, data):
        (self.styles if self._in and self._in[-1] == "style" else self.words).append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    @property
    def pictures(self):
        data = [load for load in self.loads if load.startswith("data:image/png;base64,")]
        return [Image.open(io.BytesIO(base64.b64decode(d.split(",")[1]))) for d in data]


def parse_page(path):
    """Parse a page, and check that it loads no file and runs no script."""
    page = ParsedPage(Path(path).read_text(encoding="utf-8"))
    assert not {"script", "link", "iframe", "object", "embed", "form", "base"} & set(page.tags)
    assert all(load.startswith(("#", "data:image/png;base64,")) for load in page.loads)
    style = "".join(page.styles)
    assert "url(" not in style
    assert "@import" not in style
    assert not page._in
    return page


def lstm(*arguments):
    """Run a command; the result has its exit code and output."""
    return CliRunner().invoke(cli.app, [str(a) for a in arguments])
