"""The test examples that a run gets most confidently wrong, ready to be shown."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.load_split import own_data
from lstm_cli.evaluation.mistakes import Misclassified, find_mistakes
from lstm_cli.evaluation.scored_split import score
from lstm_cli.explain.explainer import Explainer
from lstm_cli.explain.segments import MIN_SHARE, relative_effects, segments
from lstm_cli.io.progress import Reporter
from lstm_cli.io.text_format import pluralize
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import html
from lstm_cli.runs.record import RunRecord
from lstm_cli.text.normalization import LINE_BREAK

_MAX_CHARACTERS = 2000  # shown of a text
_NUM_STRONGEST = 5
_MAX_OPACITY = 0.6
_LINE_BREAK = re.compile(LINE_BREAK, re.IGNORECASE)


class Piece(NamedTuple):
    """A piece of a text as the page shows it.

    Attributes:
        text: The piece.
        kind: Whether it is evidence for or against the predicted class; `omitted` is a note on
            what is left out.
        opacity: Of its colour.
        effect: Log-odds of the predicted class that are lost without it.
    """

    text: str
    kind: Literal["plain", "for", "against", "omitted"] = "plain"
    opacity: float = 0.0
    effect: float = 0.0


@dataclass(frozen=True)
class ConfidentError:
    """A misclassified example.

    Attributes:
        example: The example.
        image_uri: The image as a PNG; empty for texts.
        pieces: The text in pieces; none for images.
        strongest: The tokens with the strongest effects, in words.
    """

    example: Misclassified
    image_uri: str = ""
    pieces: tuple[Piece, ...] = ()
    strongest: str = ""


@dataclass(frozen=True)
class ConfidentErrors:
    """The most confident errors of a run on its test split.

    Attributes:
        errors: The most confident first.
        num_wrong: How many test examples are misclassified.
        num_examples: How many test examples there are; 0 where they were not scored.
        notes: What was noticed while the data was read.
        missing: Why there are none to show, where the data could not be read; else empty.
    """

    errors: tuple[ConfidentError, ...] = ()
    num_wrong: int = 0
    num_examples: int = 0
    notes: tuple[str, ...] = ()
    missing: str = ""

    def describe(self) -> str:
        """Say how many test examples are wrong, and which of them are shown."""
        verb = "is" if self.num_wrong == 1 else "are"
        counts = f"{self.num_wrong:,} of {pluralize(self.num_examples, 'test example')} {verb}"
        num_shown = len(self.errors)
        if num_shown == self.num_wrong:
            order = "" if num_shown == 1 else ", the most confident one first"
            return f"{counts} misclassified{order}."
        shown = "this is the one" if num_shown == 1 else f"these are the {num_shown:,}"
        return f"{counts} misclassified; {shown} with the highest confidence."


def find_errors(
    record: RunRecord, predictor: Predictor, data_dir: Path | None, num: int, reporter: Reporter
) -> ConfidentErrors:
    """Find the test examples that a run gets most confidently wrong.

    Args:
        record: The run.
        predictor: Its model.
        data_dir: Where TFDS data sets are.
        num: How many at most.
        reporter: Receives progress and warnings.

    Raises:
        LstmError: A file of the run has changed (exit code 5).
    """
    if not num:
        return ConfidentErrors()
    try:
        dataset = own_data(record.run, "test", data_dir)
        if dataset.labels != predictor.labels:
            raise LstmError(f"{dataset.source} has other classes now.", "", ExitCode.DATA)
        scored = score(predictor, dataset, "test", reporter)
    except LstmError as error:
        if error.exit_code == ExitCode.INTEGRITY:
            raise
        reporter.warn(f"The report shows no errors: {error.message}")
        return ConfidentErrors(missing=error.message)
    for note in dataset.notes:
        reporter.warn(note)
    inputs = dataset.splits["test"].inputs
    wrong = find_mistakes(scored, dataset.splits["test"], predictor.labels, num)
    if isinstance(inputs, np.ndarray):
        errors = [ConfidentError(example, _image_uri(inputs[example.index])) for example in wrong]
    else:
        if wrong:
            reporter.note(f"Explaining {len(wrong)} errors.")
        explainer = Explainer.load(record.run) if wrong else None
        errors = [explain_error(explainer, example) for example in wrong if explainer]
    num_wrong = int((~scored.is_correct).sum())
    return ConfidentErrors(tuple(errors), num_wrong, len(scored.labels), dataset.notes)


def explain_error(explainer: Explainer, example: Misclassified) -> ConfidentError:
    """Explain a misclassified text; a text without tokens is shown without effects."""
    text = example.text or ""
    try:
        explanation = explainer.explain_text(text, label=example.wrong_label)
    except LstmError as error:
        if error.exit_code != ExitCode.USAGE:
            raise
        return ConfidentError(example, pieces=tuple(text_pieces(text, [], [])))
    spans = [(token.start, token.end) for token in explanation.tokens]
    effects = explanation.token_effects.effects.tolist()
    return ConfidentError(
        example,
        pieces=tuple(text_pieces(text, spans, effects, explanation.truncated_span)),
        strongest=strongest_tokens(text, spans, effects),
    )


def text_pieces(
    text: str,
    spans: Sequence[tuple[int, int]],
    effects: Sequence[float],
    truncated_span: tuple[int, int] | None = None,
) -> Iterator[Piece]:
    """Yield a text in pieces, coloured by effect, up to a maximum number of characters.

    A `<br />` between tokens, which the model reads as white space, becomes a line break.

    Args:
        text: The text.
        spans: Start and end offset of each token, in order.
        effects: Log-odds of the predicted class that are lost without each token.
        truncated_span: Start and end offset of the part that the model did not read, if any.
    """
    shares = relative_effects(effects)
    end, limit = 0, _MAX_CHARACTERS
    for segment in segments(text, spans, truncated_span):
        length = len(segment.text)
        if segment.kind == "truncated":
            yield Piece(f" [{length:,} characters not read] ", "omitted")
            end, limit = end + length, limit + length
            continue
        if segment.kind == "token" and end + length > limit:
            break
        shown = segment.text[: limit - end]
        share = shares[segment.token_index] if segment.kind == "token" else 0.0
        if abs(share) < MIN_SHARE:
            yield Piece(_LINE_BREAK.sub("\n", shown) if segment.kind == "between" else shown)
        else:
            kind: Literal["for", "against"] = "for" if share > 0 else "against"
            yield Piece(shown, kind, _MAX_OPACITY * abs(share), effects[segment.token_index])
        end += len(shown)
        if len(shown) < length:
            break
    if end < len(text):
        yield Piece(f" [{len(text) - end:,} more characters] ", "omitted")


def strongest_tokens(text: str, spans: Sequence[tuple[int, int]], effects: Sequence[float]) -> str:
    """Name the tokens with the strongest effects: not everyone can see the colours."""
    ranked = sorted(zip(spans, effects, strict=True), key=lambda pair: -abs(pair[1]))
    return ", ".join(
        f"“{text[start:end]}” {effect:+.2f}" for (start, end), effect in ranked[:_NUM_STRONGEST]
    )


def _image_uri(pixels: NDArray[np.uint8]) -> str:
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "png")
    return html.image_uri(content.getvalue())
