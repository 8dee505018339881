"""The chapters of a run's page, as markup."""

from __future__ import annotations

import io
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.evaluation.evaluate import Misclassified
from lstm_cli.evaluation.metrics import Report, wilson_interval
from lstm_cli.explain.segments import relative_effects, segments
from lstm_cli.io.text_format import duration
from lstm_cli.render import html
from lstm_cli.render.html import Html, element
from lstm_cli.render.plot_style import percent
from lstm_cli.runs import directory as runs
from lstm_cli.runs.record import RunRecord

_MAX_CLASSES = 40  # shown one by one
_MAX_CHARACTERS = 2000  # of a text
_NUM_NAMED = 5
_MAX_MARKDOWN = 50_000  # characters
_FAINTEST, _DEEPEST = 0.08, 0.6  # share of the strongest effect that is coloured; its opacity
_NONE = "-"
_LEGEND = element(
    "p",
    "Words are coloured by what they did: ",
    element("span", "for", class_="for", style="--w:.5"),
    " the class that was chosen, or ",
    element("span", "against", class_="against", style="--w:.5"),
    " it. The numbers are the log-odds of that class that are lost without the word.",
    class_="quiet text",
)


@dataclass(frozen=True)
class Mark:
    """A token of a text, and what it does.

    Attributes:
        start: Where it begins, in characters.
        end: Where it ends.
        effect: Log-odds of the predicted class that are lost without it.
    """

    start: int
    end: int
    effect: float


@dataclass(frozen=True)
class ReadText:
    """How a network read a text.

    Attributes:
        marks: Its tokens, from first to last; none where the text has no word.
        truncated_span: Start and end offset of the part that it did not read; None if it read
            everything.
    """

    marks: tuple[Mark, ...] = ()
    truncated_span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Errors:
    """What a network got most confidently wrong.

    Attributes:
        mistakes: The examples, the surest first.
        images: Of each, `<uint8>[rows, columns]`; none for texts.
        texts: How each was read; none for images.
        num_wrong: How many are wrong in all.
        num_examples: Of how many.
        notes: What was noticed while the data was read.
        missing: Why there are none to show; empty where there are.
    """

    mistakes: tuple[Misclassified, ...] = ()
    images: tuple[NDArray[np.uint8], ...] = ()
    texts: tuple[ReadText, ...] = ()
    num_wrong: int = 0
    num_examples: int = 0
    notes: tuple[str, ...] = field(default=())
    missing: str = ""


@dataclass(frozen=True)
class Nearest:
    """A preset and where a run differs from it: key -> (of the run, of the preset)."""

    preset: str
    changed: Mapping[str, tuple[Any, Any]]


def opening(told: RunRecord) -> Html:
    """Say what the run is and what it reached, in a sentence and six figures."""
    test, kind = told.test, told.config.kind
    low, high = test.accuracy_interval
    labels = told.labels
    classes = f"{labels[0]} and {labels[1]}" if len(labels) == 2 else f"{len(labels)} classes"
    tiles = {
        f"accuracy on test, {low:.2%} to {high:.2%}": f"{test.accuracy:.2%}",
        f"loss on test, in nats; {told.validation.loss:.3f} on validation": f"{test.loss:.3f}",
        "F1, mean of classes": f"{test.f1:.3f}",
        "calibration error": f"{test.calibration_error:.3f}",
        "parameters": f"{told.info.parameters:,}",
        f"for all, on {told.info.device}": duration(told.info.seconds["total"]),
    }
    links = {
        "results": "Results",
        "training": "Training",
        "calibration": "Calibration",
        "errors": "Errors",
        "settings": "Settings",
        "again": "Check and repeat",
        "card": "Model card",
    }
    return html.join(
        [
            element("h1", told.run.name),
            element(
                "p",
                f"An LSTM that sorts {kind}s into {classes}, trained on "
                f"{told.info.dataset.source}. Of {test.num_examples:,} test examples it got "
                f"{test.accuracy:.2%} right (95% interval {low:.2%} to {high:.2%}); always "
                f"answering the commonest class would get {test.baseline_accuracy:.2%}.",
                class_="lead",
            ),
            element("nav", *(element("a", name, href=f"#{at}") for at, name in links.items())),
            element(
                "div",
                *(element("div", element("b", v), element("span", k)) for k, v in tiles.items()),
                class_="tiles",
            ),
        ]
    )


def results(told: RunRecord, pictures: Mapping[str, bytes]) -> Html:
    """Show the figures of both splits and of each class, with what they were measured on."""
    columns = [_column(report) for report in (told.validation, told.test)]
    rows = [(name, column, columns[1][name]) for name, column in columns[0].items()]
    return _chapter(
        "results",
        "Results",
        html.table(("", "validation", "test"), rows),
        element(
            "p",
            "Intervals are at 95% (Wilson). They cover which examples were drawn, not which seed. "
            "The epoch and the temperature were chosen on validation; test was scored once.",
            class_="quiet",
        ),
        *_classes(told.test),
        _figures(pictures),
    )


def training(told: RunRecord, pictures: Mapping[str, bytes]) -> Html:
    """Show what was trained on, how it went, and how long it took."""
    info = told.info
    sizes = ", ".join(f"{num:,} {split}" for split, num in info.dataset.sizes.items())
    facts = {
        "data": f"{info.dataset.source} ({sizes})",
        "epochs": f"{info.epochs}; the weights are those of epoch {info.best_epoch}, with the "
        f"lowest validation loss ({info.stopped})",
        "time": ", ".join(f"{part} {duration(s)}" for part, s in info.seconds.items()),
        "device": f"{info.device} ({info.why}), {info.kernel}",
    }
    if info.dataset.notes:
        facts["noticed"] = "; ".join(info.dataset.notes)
    return _chapter("training", "Training", html.pairs(facts), _figures(pictures))


def calibration(told: RunRecord, pictures: Mapping[str, bytes]) -> Html:
    """Say whether probabilities can be taken at their word."""
    rows = []
    for name, report in (("validation", told.validation), ("test", told.test)):
        sure = sum(b.count * (b.confidence or 0.0) for b in report.bins) / report.num_examples
        cells = (sure, report.accuracy, report.calibration_error)
        rows.append((name, *(f"{cell:.4f}" for cell in cells)))
    temperature = told.info.temperature
    how = "Probabilities are as training left them (temperature 1)."
    if temperature != 1.0:
        lean = "surer" if temperature > 1 else "less sure"
        how = (
            f"The logits were divided by {temperature:g} (temperature scaling), because the "
            f"network was {lean} on validation than it was right."
        )
    return _chapter(
        "calibration",
        "Calibration",
        element("p", how),
        html.table(("", "mean confidence", "accuracy", "calibration error"), rows),
        _figures(pictures),
    )


def errors(told: RunRecord, found: Errors) -> Html:
    """Show the errors made with most confidence."""
    if found.missing:
        said = element(
            "p",
            "None are shown, because the test data could not be read where this page was written. "
            f"{found.missing}",
        )
        return _chapter("errors", "Most confident errors", said)
    if not found.mistakes:
        told_ = (
            "Every test example was classified right." if found.num_examples else "Not asked for."
        )
        return _chapter("errors", "Most confident errors", element("p", told_))
    lead = f"{found.num_wrong:,} of {found.num_examples:,} test examples are wrong; "
    lead += f"these {len(found.mistakes)} with most confidence."
    notes = [element("p", note, class_="quiet") for note in found.notes]
    texts = zip(found.mistakes, found.texts, strict=False)
    shown = [_text_error(mistake, reading) for mistake, reading in texts]
    if shown:
        shown.insert(0, _LEGEND)
    if found.images:
        both = zip(found.mistakes, found.images, strict=True)
        shown = [element("div", *(_image_error(m, image) for m, image in both), class_="images")]
    return _chapter("errors", "Most confident errors", element("p", lead), *notes, *shown)


def settings(told: RunRecord, suggest: Nearest | None) -> Html:
    """Show how the run differs from its preset, and below that every setting."""
    parts = []
    if suggest is not None and suggest.changed:
        rows = [
            (key, _value(ours), _value(theirs)) for key, (ours, theirs) in suggest.changed.items()
        ]
        parts.append(
            html.table(("setting", "this run", f"preset {suggest.preset}"), rows, words=True)
        )
    elif suggest is not None:
        parts.append(element("p", f"All settings are those of the preset {suggest.preset}."))
    every = html.code(configs.to_yaml(told.config).rstrip())
    parts.append(element("details", element("summary", "Every setting"), every))
    return _chapter("settings", "Settings", *parts)


def again(told: RunRecord) -> Html:
    """Say what was typed and with which versions, and how to check and repeat it."""
    info, name = told.info, shlex.quote(told.run.name)
    listed = told.run.manifest or {}
    facts = {
        "started": info.started,
        "seed": str(info.seed),
        "platform": info.platform,
        "versions": ", ".join(f"{package} {v}" for package, v in info.versions.items()),
        "commit": info.commit or _NONE,
        "data fingerprint": info.dataset.fingerprint,
        **{f"SHA-256 of {file}": listed[file].sha256 for file in (runs.WEIGHTS, runs.MODEL)},
    }
    return _chapter(
        "again",
        "Check and repeat",
        element("p", "Trained by:"),
        html.code(info.command or "started from Python"),
        html.pairs(facts),
        element("p", "Check that every file is unchanged and the network answers as it did then; "
                "train it again from its settings and compare bit for bit:"),
        html.code(f"lstm runs verify {name}\nlstm runs replay {name}"),
    )  # fmt: skip


def card(source: str) -> Html:
    """Show the model card."""
    # A parser may take a time that grows with the square of a text's length.
    shown = html.markdown(source) if len(source) <= _MAX_MARKDOWN else html.code(source)
    inside = element("details", element("summary", "Show the card"), shown)
    return _chapter("card", "Model card", inside)


def _chapter(at: str, heading: str, *parts: str) -> Html:
    return element("section", element("h2", heading), *parts, id=at)


def _figures(pictures: Mapping[str, bytes]) -> Html:
    drawn = (html.figure(content, caption) for caption, content in pictures.items())
    return element("div", *drawn, class_="figures")


def _column(report: Report) -> dict[str, str]:
    low, high = report.accuracy_interval
    area = report.roc_auc
    return {
        "examples": f"{report.num_examples:,}",
        "accuracy": f"{report.accuracy:.4f}",
        "95% interval": f"{low:.4f} to {high:.4f}",
        "always the commonest class": f"{report.baseline_accuracy:.4f}",
        "loss (nats)": f"{report.loss:.4f}",
        "precision, mean of classes": f"{report.precision:.4f}",
        "recall, mean of classes": f"{report.recall:.4f}",
        "F1, mean of classes": f"{report.f1:.4f}",
        "area under the ROC curve": f"none: {report.roc_auc_reason}"
        if area is None
        else f"{area:.4f}",
        "calibration error": f"{report.calibration_error:.4f}",
    }


def _classes(report: Report) -> Sequence[Html]:
    """Show precision and recall of each class, where they can still be read."""
    if len(report.classes) > _MAX_CLASSES:
        return ()
    counts = np.asarray(report.confusion)
    right, predicted = counts.diagonal(), counts.sum(axis=0)
    rows = [
        (
            scores.name,
            _share(int(right[i]), int(predicted[i])),
            _share(int(right[i]), scores.support),
            f"{scores.f1:.3f}",
            f"{scores.support:,}",
        )
        for i, scores in enumerate(report.classes)
    ]
    header = ("class, on test", "precision (95%)", "recall (95%)", "F1", "examples")
    return (html.table(header, rows),)


def _share(num_right: int, num: int) -> str:
    if not num:
        return _NONE
    low, high = wilson_interval(num_right, num)
    return f"{num_right / num:.3f} ({low:.3f} to {high:.3f})"


def _text_error(mistake: Misclassified, reading: ReadText) -> Html:
    return element(
        "article",
        _verdict(mistake),
        element("p", *_coloured(mistake.text or "", reading), class_="text", dir="auto"),
        element("p", _strongest(mistake, reading), class_="quiet"),
    )


def _coloured(whole: str, reading: ReadText) -> Iterator[str]:
    """Yield a text with its tokens coloured by their effects, up to a number of characters."""
    shares = relative_effects([mark.effect for mark in reading.marks])
    spans = [(mark.start, mark.end) for mark in reading.marks]
    shown = hidden = 0
    for segment in segments(whole, spans, reading.truncated_span):
        if segment.kind == "truncated" and not hidden:
            yield _left_out(len(segment.text), "that it did not read")
            continue
        if hidden or (segment.kind == "token" and shown + len(segment.text) > _MAX_CHARACTERS):
            hidden += len(segment.text)
            continue
        text = segment.text[: _MAX_CHARACTERS - shown]
        shown, hidden = shown + len(text), len(segment.text) - len(text)
        share = shares[segment.token_index] if segment.kind == "token" else 0.0
        if abs(share) < _FAINTEST:
            yield text
            continue
        style = f"--w:{_DEEPEST * abs(share):.2f}"
        effect = f"{reading.marks[segment.token_index].effect:+.2f}"
        kind = "for" if share > 0 else "against"
        yield element("span", text, class_=kind, style=style, title=effect)
    if hidden:
        yield _left_out(hidden, "more")


def _left_out(num: int, what: str) -> Html:
    return element("i", f" [{num:,} characters {what}] ", class_="quiet")


def _strongest(mistake: Misclassified, reading: ReadText) -> str:
    """Name the words that did most, in numbers: colours alone are not for everyone."""
    ranked = sorted(reading.marks, key=lambda mark: -abs(mark.effect))[:_NUM_NAMED]
    whole = mistake.text or ""
    return ", ".join(f"“{whole[mark.start : mark.end]}” {mark.effect:+.2f}" for mark in ranked)


def _image_error(mistake: Misclassified, pixels: NDArray[np.uint8]) -> Html:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    alt = f"example {mistake.index}: {mistake.label}, taken for {mistake.predicted}"
    return element(
        "article", html.image(content.getvalue(), alt, class_="pixels"), _verdict(mistake)
    )


def _verdict(mistake: Misclassified) -> Html:
    return element(
        "p",
        element("b", mistake.label),
        " taken for ",
        element("b", mistake.predicted),
        f" with {percent(mistake.probability)} ",
        element("span", f"example {mistake.index}", class_="quiet"),
    )


def _value(value: Any) -> str:
    return "not set" if value is None else str(value)
