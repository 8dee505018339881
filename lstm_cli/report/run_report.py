"""A run -> one page that says all there is to know of it, readable without network or script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation import evaluate
from lstm_cli.explain.explainer import Explainer
from lstm_cli.io.progress import Reporter, SilentReporter
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import html
from lstm_cli.report import sections
from lstm_cli.report.model_card import CAPTIONS
from lstm_cli.report.sections import Errors, Mark, Nearest, ReadText
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.record import RunRecord

FILE = "report.html"


@dataclass(frozen=True)
class Written:
    """A page that was written.

    Attributes:
        run: Its name.
        path: Where the page is.
        num_bytes: Its size.
        num_errors: How many errors it shows.
        missing: Why it shows none, where the data could not be read; else empty.
    """

    run: str
    path: Path
    num_bytes: int
    num_errors: int
    missing: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {
            "run": self.run,
            "path": str(self.path),
            "bytes": self.num_bytes,
            "errors": self.num_errors,
            "missing": self.missing or None,
        }


def report(
    run: RunDir,
    out: Path | None = None,
    *,
    data_dir: Path | None = None,
    num_errors: int = 12,
    reporter: Reporter | None = None,
) -> Written:
    """Write a run's page: results, curves, errors, calibration, settings, model card.

    Args:
        run: A finished classifier.
        out: Where the page goes; `reports/report.html` in the run where None.
        data_dir: Where TFDS data sets lie.
        num_errors: How many of the most confidently wrong test examples to show.
        reporter: Told how it goes.

    Raises:
        LstmError: The run is none to report on or cannot be trusted, or the page not be written.
            That the data is not there is said on the page.
    """
    reporter = reporter or SilentReporter()
    out = out or run.file(runs.REPORTS) / FILE
    html.check_page_path(out)
    told = record.read_classifier(run)
    predictor = Predictor.load(run)
    errors = find_errors(told, predictor, data_dir, num_errors, reporter)
    body = (
        sections.opening(told),
        sections.results(told, pictures(told, "confusion.png", "roc_pr.png", "scores.png")),
        sections.training(told, pictures(told, "curves.png", "lengths.png")),
        sections.calibration(told, pictures(told, "reliability.png")),
        sections.errors(told, errors),
        sections.settings(told, nearest_preset(told.config)),
        sections.again(told),
        sections.card(told.run.read_bytes(runs.CARD).decode("utf-8", "replace")),
    )
    num_bytes = html.write_page(out, html.page(f"{run.name}: report", *body))
    return Written(run.name, out, num_bytes, len(errors.mistakes), errors.missing)


def pictures(told: RunRecord, *names: str) -> dict[str, bytes]:
    """Read those of a run's pictures that it has, with what they show."""
    listed = told.run.manifest or {}
    files = {name: f"{runs.PLOTS}/{name}" for name in names}
    return {
        CAPTIONS[name]: told.run.read_bytes(file) for name, file in files.items() if file in listed
    }


def find_errors(
    told: RunRecord, predictor: Predictor, data_dir: Path | None, num: int, reporter: Reporter
) -> Errors:
    """Look for the test examples that a network got most confidently wrong.

    Args:
        told: The run.
        predictor: Its network.
        data_dir: Where TFDS data sets lie.
        num: How many at most.
        reporter: Told how it goes.
    """
    if not num:
        return Errors()
    try:
        dataset = evaluate.own_data(told.run, "test", data_dir)
        if dataset.labels != predictor.labels:
            raise LstmError(f"{dataset.source} has other classes now.", "", ExitCode.DATA)
        scored = evaluate.score(predictor, dataset, "test", reporter)
    except LstmError as error:
        if error.exit_code == ExitCode.INTEGRITY:
            raise
        reporter.warn(f"No errors are shown: {error.message}")
        return Errors(missing=error.message)
    for note in dataset.notes:
        reporter.warn(note)
    examples = dataset.splits["test"].inputs
    found = evaluate.mistakes(scored, examples, predictor.labels, num)
    images: tuple[NDArray[np.uint8], ...] = ()
    if isinstance(examples, np.ndarray):
        images = tuple(examples[mistake.index] for mistake in found)
    wrong = int((scored.probabilities.argmax(axis=1) != scored.labels).sum())
    if found and not images:
        reporter.note(f"Looking for the words behind {len(found)} errors.")
    texts = () if images else read_texts(told.run, [mistake.text or "" for mistake in found])
    return Errors(found, images, texts, wrong, len(scored.labels), dataset.notes)


def read_texts(run: RunDir, texts: Sequence[str]) -> tuple[ReadText, ...]:
    """Find what each word of some texts does for the class that a run chooses.

    Args:
        run: It reads texts.
        texts: As people wrote them; one without a word has no marks.
    """
    explainer = Explainer.load(run) if texts else None
    readings = []
    for text in texts:
        assert explainer is not None
        try:
            explained = explainer.explain_text(text)
        except LstmError as error:
            if error.exit_code != ExitCode.USAGE:
                raise
            readings.append(ReadText())
            continue
        both = zip(explained.tokens, explained.token_effects.effects.tolist(), strict=True)
        marks = tuple(Mark(token.start, token.end, effect) for token, effect in both)
        readings.append(ReadText(marks, explained.truncated_span))
    return tuple(readings)


def nearest_preset(config: Config) -> Nearest | None:
    """Find the preset for a run's data that it differs least from.

    Args:
        config: The run's settings.

    Returns:
        The preset and the settings that differ; None for images no preset is for.
    """
    presets = {name: configs.load_preset(name) for name in configs.preset_names()}
    fitting = {name: p for name, p in presets.items() if p.data.name == config.data.name}
    if not fitting and config.text is not None:
        # What `train` starts from where it is given a file or a folder.
        fitting = {"text": configs.load_preset("text", {"data.name": config.data.name})}
    found = []
    for name, preset in fitting.items():
        theirs = configs.flatten(configs.to_dict(preset))
        ours = configs.flatten(configs.to_dict(config))
        keys = [*ours, *(key for key in theirs if key not in ours)]
        changed = {k: (ours.get(k), theirs.get(k)) for k in keys if ours.get(k) != theirs.get(k)}
        found.append(Nearest(name, changed))
    return min(found, key=lambda near: (len(near.changed), near.preset), default=None)
