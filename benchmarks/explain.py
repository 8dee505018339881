"""Whether `lstm explain` names the words that matter, and how soon.

- Words that decide: in the test reviews of `demo`, whose generator says which word it is, how often
  it has the largest effect of all, whether the network's answer is right or not; what is left of
  the probability without it; and how often the answer turns with the word of the other label in its
  place. As a check of the data, a network is trained without these words: it should know nothing.
- Deletion: of validation reviews of a run, a growing share of tokens is taken away, those first
  that speak most for the predicted class, or random ones. The area is the mean loss of its
  probability up to a fifth of the tokens.
- The command from cold on a text of 200 tokens.

Both ways to take a token away are measured: leaving it out, and putting [UNK] in its place.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks import child, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli.config.load import preset_dict
from lstm_cli.data.readers import demo
from lstm_cli.data.readers.demo import Example
from lstm_cli.evaluation.metrics import wilson
from lstm_cli.explain.occlusion import Occlusion, occlude
from lstm_cli.explain.result import TokenEffects
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.tokenizer import UNKNOWN_ID
from lstm_cli.text.tokenizer import token_spans as text_spans

OPTIONS = (
    Option("run", "a finished text run: its folder, DATASET/NAME or DATASET"),
    Option("demo_run", "finished runs on demo, with commas between; else one is trained", "", ""),
    Option("examples", "of the test reviews of demo", 1000, 20),
    Option("reviews", "for deletion", 300, 5),
    Option("draws", "of random tokens for each review", 3, 1),
    Option("cold_repeats", "starts of the command, each a new process", 5, 1),
)
_SHARES = np.linspace(0.02, 0.2, 10)
_WAYS: tuple[Occlusion, ...] = get_args(Occlusion)
_IMPORTS = "import numpy, onnxruntime, rich.console, rich.text, lstm_cli.explain.explainer"


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure the words that decide, deletion, and the command."""
    run = _find(settings.run)
    if run.config().text is None:
        raise report.usage(f"Run {run.name} reads images; this measures texts.")
    report.require_data(run.config().data.name)
    found: dict[str, Any] = {"run": run.name, "decisive": {}}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        for trained in _demo_runs(settings, Path(scratch)):
            report.say(f"words that decide: {trained.name}")
            examples = _test_reviews(trained)[: settings.examples]
            found["decisive"][trained.name] = _decisive(Predictor.load(trained), examples)
        found["demo_accuracy_without"] = _hidden(settings, Path(scratch))
        report.say("deletion")
        found["deletion"] = _deletion(run, settings)
        report.say("from cold")
        found["cold"] = _cold(run, settings.cold_repeats)
    tables = [_decisive_table(found["decisive"]), _deletion_table(found["deletion"])]
    tables.append(_cold_table(found["cold"]))
    ahead = found["deletion"]["ahead"]["mask"]
    notes = [
        "Every answer counts, right or wrong. A network trained on demo reviews in which one word "
        "stands in the place of all that decide reads "
        f"{found['demo_accuracy_without']:.1%} of new ones.",
        "Area: mean loss of the predicted class' probability while 2% to 20% of the tokens go. Top "
        f"tokens lose more than random ones in {ahead:.1%} of the reviews (unknown).",
    ]
    return Outcome(found, tables, [] if settings.quick else _goals(found), notes)


def _find(wanted: str) -> RunDir:
    return RunDir(find.find(runs.runs_root(), wanted).path.absolute())


def _demo_runs(settings: argparse.Namespace, scratch: Path) -> list[RunDir]:
    """Find the runs named, or train one."""
    if settings.demo_run:
        return [_find(name) for name in settings.demo_run.split(",")]
    report.say("training on demo")
    return [_train(scratch / "demo", ["demo", *_lowercase(settings)])]


def _test_reviews(run: RunDir) -> list[Example]:
    """Write the reviews that a run on demo was tested on once more, with the words that decide."""
    data = run.config().data
    return demo.generate_splits(data.demo_train, data.demo_test)[1]


def _lowercase(settings: argparse.Namespace) -> list[str]:
    if not settings.quick:
        return []
    return ["--epochs", "1", "--set", "data.demo_train=200", "--set", "data.demo_test=50"]


def _hidden(settings: argparse.Namespace, scratch: Path) -> float:
    """Return the test accuracy on demo reviews from which the word that decides is gone."""
    report.say("training on demo without the words that decide")
    folder = scratch / "hidden"
    folder.mkdir()
    train, test, config = (folder / name for name in ("train.csv", "test.csv", "settings.yaml"))
    sizes = (200, 50) if settings.quick else (6000, 1000)
    for path, examples in zip((train, test), demo.generate_splits(*sizes), strict=True):
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows((_without_word(e), demo.LABELS[e.label]) for e in examples)
    sections = preset_dict("demo")
    del sections["data"]
    config.write_text(yaml.safe_dump(sections), encoding="utf-8")
    options = [str(train), "--config", str(config), "--set", f"data.test={test}"]
    run = _train(folder, [*options, *(["--epochs", "1"] if settings.quick else [])])
    return float(run.read_json(runs.METRICS)["test"]["accuracy"])


def _without_word(example: Example) -> str:
    start, end = example.decisive_span
    return f"{example.text[:start]}something{example.text[end:]}"


def _train(folder: Path, options: Sequence[str]) -> RunDir:
    runs_dir = folder / "runs"
    child.run([child.lstm_command(), "train", *options, "--runs-dir", str(runs_dir), "--name", "a"])
    return find.find(runs_dir, "a")


@dataclass(frozen=True)
class _Place:
    """What the word that decides does for an answer.

    Attributes:
        rank: Of its effect, 1 for the largest; shared places count as the last of them.
        without: What the probability of the class predicted is without it.
        turns: Whether another class is predicted with the word of the other label in its place;
            none where there is no such word.
    """

    rank: int
    without: float
    turns: bool | None


def _decisive(predictor: Predictor, examples: Sequence[Example]) -> dict[str, Any]:
    """Sum up by form what the word that decides does."""
    found: dict[str, Any] = {}
    for way in _WAYS:
        places = defaultdict(list)
        for example in examples:
            place = _place(predictor, example, way)
            places[example.form].append(place)
            places["all"].append(place)
        found[way] = {form: _summed_up(values) for form, values in sorted(places.items())}
    return found


def _place(predictor: Predictor, example: Example, way: Occlusion) -> _Place:
    assert predictor.tokenizer is not None
    _, words, chosen = _effects(predictor, example.text, way)
    start, end = example.decisive_span
    spans = text_spans(example.text)
    decides = np.array([a < end and b > start for a, b in spans])
    largest = words.effects[decides].max()
    rank = 1 + int(np.count_nonzero(words.effects[~decides] >= largest))
    turns = None
    if example.replacement:
        turns = int(predictor.text_probabilities([example.counterpart])[0].argmax()) != chosen
    return _Place(rank, float(words.occluded_probabilities[decides].min()), turns)


def _summed_up(places: Sequence[_Place]) -> dict[str, Any]:
    first = sum(place.rank == 1 for place in places)
    turns = [place.turns for place in places if place.turns is not None]
    return {
        "num": len(places),
        "first": first / len(places),
        "interval": wilson(first, len(places)),
        "among_three": sum(place.rank <= 3 for place in places) / len(places),
        "without": float(np.mean([place.without for place in places])),
        "turns": float(np.mean(turns)) if turns else None,
    }


def _effects(
    predictor: Predictor, text: str, way: Occlusion
) -> tuple[NDArray[np.int32], TokenEffects, int]:
    """Return the ids of a text, what each does for the class predicted, and that class."""
    assert predictor.tokenizer is not None
    ids = predictor.tokenizer.encode([text])[0].ids
    chosen = int(predictor.run_texts([ids])[0].argmax())
    return ids, occlude(predictor, ids, chosen, way), chosen


def _deletion(run: RunDir, settings: argparse.Namespace) -> dict[str, Any]:
    """Take tokens away, most effective or random first; return areas for both ways of both."""
    from lstm_cli.training.prepare import load_data

    texts = load_data(run.config(), ("validation",), None).splits["validation"].inputs
    rng = np.random.default_rng(0)
    places = rng.permutation(len(texts))[: settings.reviews]
    predictor = Predictor.load(run)
    curves = defaultdict(list)
    for place in places:
        text = str(texts[int(place)])
        orders = {f"top, {way}": _order(predictor, text, way) for way in _WAYS}
        ids, _, chosen = orders[f"top, {_WAYS[0]}"]
        tasks = [(name, order) for name, (_, order, _) in orders.items()]
        tasks += [("random", rng.permutation(len(ids))) for _ in range(settings.draws)]
        for way in _WAYS:
            curves[way].append(_drops(predictor, ids, chosen, tasks, way))
    return {
        f"{name} / taken away: {way}": _area(curves[way], name)
        for way in _WAYS
        for name in (*(f"top, {w}" for w in _WAYS), "random")
    } | {"ahead": {way: _ahead(curves[way], f"top, {way}") for way in _WAYS}}


def _order(
    predictor: Predictor, text: str, way: Occlusion
) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    ids, words, chosen = _effects(predictor, text, way)
    return ids, np.argsort(-words.effects, kind="stable"), chosen


def _drops(
    predictor: Predictor,
    ids: NDArray[np.int32],
    chosen: int,
    tasks: Sequence[tuple[str, NDArray[np.int64]]],
    way: Occlusion,
) -> dict[str, NDArray[np.float64]]:
    """Return by task the loss of probability at each share, mean over tasks of one name."""
    counts = np.maximum(1, np.round(_SHARES * len(ids)).astype(int))
    texts = [_less(ids, order[:count], way) for _, order in tasks for count in counts]
    said = predictor.run_texts([ids, *texts])[:, chosen].astype(np.float64)
    drops = said[0] - said[1:].reshape(len(tasks), len(counts))
    names = np.array([name for name, _ in tasks])
    return {str(name): drops[names == name].mean(axis=0) for name in np.unique(names)}


def _less(ids: NDArray[np.int32], places: NDArray[np.int64], way: Occlusion) -> NDArray[np.int32]:
    if way == "remove" and len(places) < len(ids):
        return np.delete(ids, places)
    rest = ids.copy()
    rest[places] = UNKNOWN_ID
    return rest


def _area(curves: Sequence[dict[str, NDArray[np.float64]]], name: str) -> dict[str, Any]:
    """Return the area of each review with its spread, and the mean curve."""
    drops = np.array([curve[name] for curve in curves])
    return {"area": report.spread(drops.mean(axis=1).tolist()), "curve": drops.mean(0).tolist()}


def _ahead(curves: Sequence[dict[str, NDArray[np.float64]]], name: str) -> float:
    """Return in which share of the reviews the area is larger than that of random tokens."""
    return float(np.mean([curve[name].mean() > curve["random"].mean() for curve in curves]))


def _cold(run: RunDir, repeats: int) -> dict[str, Any]:
    """Time the whole command, and a process that imports what it imports and ends."""
    text = _text_of_200(run)
    lstm = [child.lstm_command(), "explain", "--run", str(run.path), text]
    commands = {
        "lstm explain": lstm,
        "lstm explain --format json": [*lstm, "--format", "json"],
        "lstm predict": [child.lstm_command(), "predict", "--run", str(run.path), text],
        "imports alone": [sys.executable, "-c", _IMPORTS],
    }
    found = {}
    for name, command in commands.items():
        # Once untimed: what is on disk is to be in memory for all alike.
        child.run(command)
        found[name] = report.spread([child.run(command).seconds for _ in range(repeats)])
    return found


def _text_of_200(run: RunDir) -> str:
    """Put words of the run's vocabulary together."""
    predictor = Predictor.load(run)
    assert predictor.tokenizer is not None
    ids = range(2, min(1000, predictor.tokenizer.vocab_size))
    spoken = [word for word in map(predictor.tokenizer.token, ids) if word.isalpha()]
    return " ".join((spoken * 200)[:200])


def _decisive_table(found: dict[str, Any]) -> Table:
    rows = [
        (
            f"{run}, {way}, {form}",
            str(f["num"]),
            f"{f['first']:.1%}",
            f"{f['interval'][0]:.1%} to {f['interval'][1]:.1%}",
            f"{f['among_three']:.1%}",
            f"{f['without']:.2f}",
            "" if f["turns"] is None else f"{f['turns']:.1%}",
        )
        for run, ways in found.items()
        for way, forms in ways.items()
        for form, f in forms.items()
    ]
    columns = ("", "reviews", "first", "95%", "among three", "probability without", "turns")
    return Table("The word that decides has the largest effect", columns, rows)


def _deletion_table(found: dict[str, Any]) -> Table:
    rows = [
        (name, report.shown(f["area"], 3), f"{f['curve'][2]:.3f}", f"{f['curve'][-1]:.3f}")
        for name, f in found.items()
        if name != "ahead"
    ]
    columns = ("order", "area ± sd over reviews", "loss at 6%", "at 20%")
    return Table("Loss of the predicted class' probability", columns, rows)


def _cold_table(found: dict[str, Any]) -> Table:
    rows = [
        (name, *(f"{f[key]:.2f}" for key in ("median", "min", "max"))) for name, f in found.items()
    ]
    return Table("200 tokens from cold", ("new process", "s, median", "min", "max"), rows)


def _goals(found: dict[str, Any]) -> list[Goal]:
    deletion = found["deletion"]
    goals = [
        report.at_least(
            f"{run}: the word that decides first, %", 100 * ways["mask"]["all"]["first"], 90
        )
        for run, ways in found["decisive"].items()
    ]
    top, random = (
        deletion[f"{name} / taken away: unknown"]["area"]["mean"]
        for name in ("top, unknown", "random")
    )
    cold = found["cold"]["lstm explain"]["median"]
    return [
        *goals,
        report.at_least("deletion: area of the top tokens / of random ones", top / random, 2),
        report.at_most("lstm explain, 200 tokens from cold, s", cold, 2, 2),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("explain", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
