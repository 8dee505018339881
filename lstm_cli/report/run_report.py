"""The report of a run: one HTML page that loads no other file and runs no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.evaluation.compare import differing_settings
from lstm_cli.evaluation.hard_classes import hardest_classes, report_imbalance
from lstm_cli.evaluation.metrics import Report, predicted_counts, wilson_interval
from lstm_cli.io.progress import Reporter, SilentReporter, describe_only_epoch
from lstm_cli.io.text_format import duration, number, short_label
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import html
from lstm_cli.report.confident_errors import find_errors
from lstm_cli.report.metric_rows import metric_table
from lstm_cli.report.model_card import CAPTIONS, mean_confidence
from lstm_cli.runs import directory as runs
from lstm_cli.runs import record as run_record
from lstm_cli.runs.directory import RunDir
from lstm_cli.runs.record import RunRecord
from lstm_cli.runs.schema import describe_selection

FILE = "report.html"
_TEMPLATE = Path(__file__).parent / "templates" / "run_report.html"
_MAX_CLASSES = 40  # shown one by one; of more, those with the lowest F1
_NUM_HARDEST = 20
_MAX_MARKDOWN = 50_000  # characters


@dataclass(frozen=True)
class WrittenReport:
    """A report that was written.

    Attributes:
        run: Name of the run.
        path: Path of the page.
        num_bytes: Size of the page.
        num_errors: How many errors it shows.
        missing: Why it shows none, where the data could not be read; else None.
    """

    run: str
    path: Path
    num_bytes: int
    num_errors: int
    missing: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON types."""
        return {**asdict(self), "path": str(self.path)}


def write_report(
    run: RunDir,
    out: Path | None = None,
    *,
    data_dir: Path | None = None,
    num_errors: int = 12,
    reporter: Reporter | None = None,
) -> WrittenReport:
    """Write a run's report: results, curves, errors, calibration, settings, model card.

    The same run gives the same bytes.

    Args:
        run: A finished classifier.
        out: Path of the page; `reports/report.html` in the run if None.
        data_dir: Where TFDS data sets are.
        num_errors: How many of the most confidently wrong test examples to show.
        reporter: Receives progress and warnings.

    Raises:
        LstmError: The run is not a finished classifier that was scored on test (exit code 2), a
            file of it has changed (exit code 5), or the page cannot be written. If the test data is
            not available, the page says so.
    """
    reporter = reporter or SilentReporter()
    out = out or run.reports / FILE
    html.check_page_path(out)
    record, test = run_record.read_tested(run)
    confident_errors = find_errors(record, Predictor.load(run), data_dir, num_errors, reporter)
    card = record.run.read_bytes(runs.CARD).decode("utf-8", "replace")
    files = record.run.manifest or {}
    page = html.render(
        _TEMPLATE,
        record=record,
        sizes=", ".join(f"{n:,} {split}" for split, n in record.info.dataset.sizes.items()),
        times=", ".join(f"{part} {duration(s)}" for part, s in record.info.seconds.items()),
        versions=", ".join(f"{package} {v}" for package, v in record.info.versions.items()),
        metric_table=metric_table(test, record.validation),
        imbalance=report_imbalance(record.validation, test),
        class_table=list(_class_rows(test)),
        num_hardest=_NUM_HARDEST if len(test.classes) > _MAX_CLASSES else None,
        mean_confidences=[mean_confidence(each) for each in (record.validation, test)],
        pictures=_pictures(record),
        only_epoch=describe_only_epoch(record.history),
        reading_notes=[
            note for note in confident_errors.notes if note not in record.info.dataset.notes
        ],
        confident_errors=confident_errors,
        selection=describe_selection(record.info.stages) if record.info.stages else "",
        preset=nearest_preset(record.config),
        settings=configs.to_yaml(record.config).rstrip(),
        sha256={name: files[name].sha256 for name in (runs.WEIGHTS, runs.MODEL) if name in files},
        # A parser may take a time that grows with the square of a text's length.
        card_html=html.markdown(card) if len(card) <= _MAX_MARKDOWN else None,
        card=card,
    )
    num_bytes = html.write_page(out, page)
    num_shown = len(confident_errors.errors)
    return WrittenReport(run.name, out, num_bytes, num_shown, confident_errors.missing or None)


def nearest_preset(config: Config) -> tuple[str, dict[str, tuple[Any, ...]]] | None:
    """Find the preset for a run's data that it differs least from.

    Args:
        config: The run's settings.

    Returns:
        The preset's name, and by key the values of the run and the preset where they differ; None
        for images without a preset.
    """
    presets = {name: configs.load_preset(name) for name in configs.preset_names()}
    presets = {name: p for name, p in presets.items() if p.data.name == config.data.name}
    if not presets and config.text is not None:
        # For a file or folder, `train` starts from the preset `text`.
        presets = {"text": configs.load_preset("text", {"data.name": config.data.name})}
    candidates = [(name, differing_settings((config, preset))) for name, preset in presets.items()]
    return min(candidates, key=lambda pair: (len(pair[1]), pair[0]), default=None)


def _pictures(record: RunRecord) -> dict[str, html.Picture]:
    """Read the plots that the run has, by file name; curves of one epoch are left out."""
    skipped = {"curves.png"} if describe_only_epoch(record.history) else set()
    files = {name: f"{runs.PLOTS}/{name}" for name in CAPTIONS if name not in skipped}
    return {
        name: html.Picture.from_png(record.run.read_bytes(file), CAPTIONS[name])
        for name, file in files.items()
        if file in (record.run.manifest or {})
    }


def _class_rows(report: Report) -> Iterator[tuple[str, ...]]:
    """Yield precision and recall of each class, or of the hardest, with intervals."""
    ids: Iterable[int] = range(len(report.classes))
    if len(report.classes) > _MAX_CLASSES:
        ids = hardest_classes(report, _NUM_HARDEST)
    correct, predicted = (counts.tolist() for counts in predicted_counts(report))
    for index in ids:
        scores = report.classes[index]
        threshold = () if scores.threshold is None else (number(scores.threshold, ".2f"),)
        yield (
            short_label(scores.name),
            _with_interval(correct[index], predicted[index]),
            _with_interval(correct[index], scores.support),
            number(scores.f1, ".3f"),
            f"{scores.support:,}",
            *threshold,
        )


def _with_interval(num_correct: int, num: int) -> str:
    if not num:
        return "-"
    low, high = wilson_interval(num_correct, num)
    return f"{num_correct / num:.3f} ({low:.3f} to {high:.3f})"
