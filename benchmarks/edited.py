"""Accuracy on reviews that were edited by a few words so that their label turns.

A model that reads what a review says follows the edit. A model that counts words of praise and of
blame often keeps the old label. `edited_reviews.json` holds the edits of reviews of IMDB's train
split: for each the position in that split (in the order of TFDS), the start of the SHA-256 of its
text, its label, and snippets with their replacements. The edits are ours; they change 8 to 10%
of the words (median). The reviews are among the 4,000 that `benchmarks/films.py` keeps for
validation.

`--films PRESET` trains a preset on the reviews of other films, which share no film with the
edited ones, and scores it. `--run RUN` scores a finished run. A run that was trained on all of
IMDB's train split has learned the originals with their labels: its accuracy on them is too high,
and on the edited ones it may be too low.

Consistency is the fraction of pairs with both right. LSTM and linear model are also asked alone,
each by the sign of its own logit. The intervals are Wilson's, of 95%.

Source: Gardner et al. 2020, "Evaluating Models' Local Decision Boundaries via Contrast Sets";
    Kaushik et al. 2020, "Learning the Difference that Makes a Difference with
    Counterfactually-Augmented Data". Their reviews are not used here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from benchmarks.run_logits import own_scales, run_logits
from lstm_cli import data
from lstm_cli.data import DataSource
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.metrics import wilson_interval
from lstm_cli.models.calibration import SplitLogits, log_probabilities
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir

EDITS = Path(__file__).with_name("edited_reviews.json")
OPTIONS = (
    Option("run", "a finished run on imdb: its folder, DATASET/NAME or DATASET", "", ""),
    Option("films", "a preset to train on the reviews of other films", "", ""),
    Option("changes", "with --films: settings, KEY=VALUE separated by commas", "", ""),
    Option("seeds", "with --films: seeds, separated by commas", "0", "0"),
)
_HASH_LENGTH = 16
_MIN_EDITED, _MIN_ORIGINALS = 0.7, 0.88


@dataclass(frozen=True)
class Pair:
    """A review and its edited version.

    Attributes:
        review: Position in IMDB's train split, in the order of TFDS.
        original: The text as written.
        edited: The text with the edits.
        label: Class id of the original; the edited text has the other one, `1 - label`.
    """

    review: int
    original: str
    edited: str
    label: int


def load_pairs(texts: Sequence[str], path: Path = EDITS) -> list[Pair]:
    """Apply the edits of a file.

    Args:
        texts: Reviews with those of the file among them, in any order.
        path: The file.

    Raises:
        LstmError: A review is not among the texts, or an edit does not fit it.
    """
    of_hash = {text_hash(text): text for text in texts}
    pairs = []
    for entry in json.loads(path.read_text(encoding="utf-8")):
        original = of_hash.get(entry["sha256"])
        if original is None:
            raise LstmError(
                f"Review {entry['review']} of {path.name} is not among the {len(texts):,} texts: "
                f"none has a SHA-256 that starts with {entry['sha256']}.",
                "The edits are for the train split of imdb, without 'data.limit'.",
                ExitCode.DATA,
            )
        try:
            edited = apply_edits(original, entry["edits"])
        except ValueError as error:
            raise LstmError(
                f"Review {entry['review']} of {path.name}: {error}", exit_code=ExitCode.DATA
            ) from None
        pairs.append(Pair(entry["review"], original, edited, entry["label"]))
    return pairs


def text_hash(text: str) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def apply_edits(text: str, edits: Sequence[Mapping[str, Any]]) -> str:
    """Replace snippets of a text.

    Args:
        text: The text.
        edits: Each with `old`, `new` and, if `old` occurs several times, `occurrence`: which one is
            meant, counted from 1. All positions are those in `text`.

    Raises:
        ValueError: A snippet does not occur, occurs several times without `occurrence`, or
            overlaps with another.
    """
    spans = sorted((*_find(text, edit), edit["new"]) for edit in edits)
    parts, position = [], 0
    for start, end, new in spans:
        if start < position:
            raise ValueError(f"the edit of '{text[start:end]}' overlaps with the one before it")
        parts += [text[position:start], new]
        position = end
    return "".join([*parts, text[position:]])


def _find(text: str, edit: Mapping[str, Any]) -> tuple[int, int]:
    """Return start and end of the snippet that an edit replaces."""
    old = edit["old"]
    count, occurrence = text.count(old), edit.get("occurrence", 1)
    if not 1 <= occurrence <= count or ("occurrence" not in edit and count > 1):
        raise ValueError(
            f"expected '{old}' once, or 'occurrence' from 1 to the number of times; "
            f"found it {count} times, 'occurrence' {edit.get('occurrence', 'missing')}"
        )
    start = -1
    for _ in range(occurrence):
        start = text.index(old, start + 1)
    return start, start + len(old)


def pair_texts(pairs: Sequence[Pair]) -> list[str]:
    """Return the texts to classify: all originals, then all edited ones."""
    return [*(pair.original for pair in pairs), *(pair.edited for pair in pairs)]


def count_right(
    pairs: Sequence[Pair], logits: SplitLogits, scales: tuple[float, float]
) -> dict[str, dict[str, int]]:
    """Count correct predictions of the whole model, of the LSTM and of the linear model.

    Args:
        pairs: The pairs.
        logits: For `pair_texts(pairs)`.
        scales: Calibration factors on both parts.

    Returns:
        By part (`whole`; with a linear model also `lstm` and `linear`): the number of pairs, and
        how many have the original, the edited text, and both right.
    """
    parts: dict[str, NDArray[np.floating]] = {"whole": logits.scaled(*scales)}
    if logits.linear is not None:
        parts.update(lstm=logits.lstm, linear=logits.linear)
    labels = np.array([pair.label for pair in pairs])
    return {name: _count(part, labels) for name, part in parts.items()}


def _count(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, int]:
    """Count correct predictions; `logits` are `<float>[2 * num, outputs]`."""
    original, edited = np.split(log_probabilities(logits).argmax(axis=1), 2)
    right, follows = original == labels, edited == 1 - labels
    return {
        "pairs": len(labels),
        "originals": int(right.sum()),
        "edited": int(follows.sum()),
        "both": int((right & follows).sum()),
    }


def measure(settings: argparse.Namespace) -> Outcome:
    """Score a run, or a preset that is trained on the reviews of other films."""
    if bool(settings.run) == bool(settings.films):
        raise report.usage_error("Expected one of --run RUN and --films PRESET.")
    report.require_data("imdb")
    if settings.run:
        results = {"run": _score_run(settings.run)}
    else:
        results = {
            f"seed {seed}": _score_preset(settings.films, settings.changes, seed)
            for seed in report.parse_numbers(settings.seeds)
        }
    return Outcome(results, [_table(results)], _goals(results))


def _score_preset(preset: str, changes: str, seed: int) -> dict[str, dict[str, int]]:
    report.log(f"training {preset} on the films split, seed {seed}")
    settings = [*filter(None, changes.split(",")), f"seed={seed}"]
    found: dict[str, dict[str, int]] = child.run_script("ablate", preset, *settings)["pairs"]
    return found


def _score_run(name: str) -> dict[str, dict[str, int]]:
    run = RunDir(find.find(runs.runs_root(), name).path.absolute())
    config = run.config()
    if config.data.name != "imdb":
        raise report.usage_error(
            f"Run {run.name} was trained on {config.data.name}; the edited reviews are of imdb."
        )
    splits = data.load(DataSource("imdb"), ("train", "validation")).splits.values()
    pairs = load_pairs([text for split in splits for text in split.inputs])
    logits = run_logits(run, pair_texts(pairs))
    return count_right(pairs, logits, own_scales(logits))


def _table(results: Mapping[str, Mapping[str, Mapping[str, int]]]) -> Table:
    def cell(counts: Mapping[str, int], key: str) -> str:
        low, high = wilson_interval(counts[key], counts["pairs"])
        return f"{counts[key] / counts['pairs']:.3f} ({low:.3f} to {high:.3f})"

    names = {"whole": "whole", "lstm": "LSTM alone", "linear": "linear model alone"}
    rows = [
        (f"{run}, {names[part]}", *(cell(counts, key) for key in ("originals", "edited", "both")))
        for run, parts in results.items()
        for part, counts in parts.items()
    ]
    num = next(iter(results.values()))["whole"]["pairs"]
    columns = ("model", "originals", "edited", "both right")
    return Table(f"Accuracy on {num:,} pairs of a review and its edited version", columns, rows)


def _goals(results: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[Goal]:
    """Compare the mean of all seeds with the targets."""

    def mean(key: str) -> float:
        whole = [parts["whole"] for parts in results.values()]
        return sum(counts[key] for counts in whole) / sum(counts["pairs"] for counts in whole)

    return [
        report.at_least("accuracy on edited reviews", mean("edited"), _MIN_EDITED, 3),
        report.at_least("accuracy on their originals", mean("originals"), _MIN_ORIGINALS, 3),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("edited", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
