"""Whether `lstm explain` names the words that matter, and how soon.

- Words that decide: in reviews of `probe`, where one word decides by construction, and in those
  of `demo`: how often it has the largest effect of all words, and how often the network changes
  its answer without it. Where it does not, the word did not decide for this network.
- Deletion: of validation reviews of a run, a growing share of tokens is taken away, those first
  that speak most for the predicted class, or random ones. The area is the mean loss of its
  probability up to a fifth of the tokens.
- The command from cold on a text of 200 tokens.

Both ways to take a token away are measured: leaving it out, and putting [UNK] in its place.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml
from numpy.typing import NDArray

from benchmarks import child, probe, report
from benchmarks.report import Goal, Option, Outcome, Table
from lstm_cli import explain
from lstm_cli import run as runs
from lstm_cli.config import preset_dict
from lstm_cli.datasets import demo
from lstm_cli.datasets.demo import Example
from lstm_cli.metrics import wilson
from lstm_cli.predictor import Predictor
from lstm_cli.run import RunDir
from lstm_cli.text import UNKNOWN_ID

OPTIONS = (
    Option("run", "a finished text run: its folder, DATASET/NAME or DATASET"),
    Option("demo_run", "a finished run on demo", "demo", ""),
    Option("probe_run", "a finished run on the probe; trained if not given", "", ""),
    Option("examples", "of demo and of the probe", 500, 20),
    Option("reviews", "for deletion", 300, 5),
    Option("draws", "of random tokens for each review", 3, 1),
    Option("cold_repeats", "starts of the command, each a new process", 5, 1),
)
_SEED = 20_000  # of reviews that no training has seen
_SHARES = np.linspace(0.02, 0.2, 10)
_WAYS: tuple[explain.Occlusion, ...] = get_args(explain.Occlusion)
_IMPORTS = "import numpy, onnxruntime, tokenizers, rich.console, rich.text, lstm_cli.explain"


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure the words that decide, deletion, and the command."""
    run = _find(settings.run)
    if run.config().text is None:
        raise report.usage(f"Run {run.name} reads images; this measures texts.")
    report.require_data(run.config().data.name)
    found: dict[str, Any] = {"run": run.name, "decisive": {}}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as scratch:
        runs_by_data = {"probe": _probe_run(settings, Path(scratch))}
        if settings.demo_run:
            runs_by_data["demo"] = _find(settings.demo_run)
        for name, trained in runs_by_data.items():
            report.say(f"words that decide: {name}")
            generate = {"probe": probe.generate, "demo": demo.generate}[name]
            examples = generate(settings.examples, _SEED)
            found["decisive"][name] = _decisive(Predictor.load(trained), examples)
        found["demo_accuracy_without"] = _hidden(settings, Path(scratch))
        report.say("deletion")
        found["deletion"] = _deletion(run, settings)
        report.say("from cold")
        found["cold"] = _cold(run, settings.cold_repeats)
    tables = [_decisive_table(found["decisive"]), _deletion_table(found["deletion"])]
    tables.append(_cold_table(found["cold"]))
    ahead = found["deletion"]["ahead"]["unknown"]
    notes = [
        "In demo, the sentence gives away the word that decides: a network that does without it is "
        "rightly explained by other words. Trained on demo without it, one still reads "
        f"{found['demo_accuracy_without']:.1%}. In the probe nothing else tells.",
        "Area: mean loss of the predicted class' probability while 2% to 20% of the tokens go. Top "
        f"tokens lose more than random ones in {ahead:.1%} of the reviews (unknown).",
    ]
    return Outcome(found, tables, [] if settings.quick else _goals(found), notes)


def _find(wanted: str) -> RunDir:
    return RunDir(runs.find(runs.runs_root(), wanted).path.absolute())


def _probe_run(settings: argparse.Namespace, scratch: Path) -> RunDir:
    """Train on the probe, unless a run on it is given."""
    if settings.probe_run:
        return _find(settings.probe_run)
    report.say("training on the probe")
    splits = [probe.generate(num, seed) for seed, num in enumerate(_sizes(settings), 1)]
    return _train(scratch / "probe", splits, settings)


def _hidden(settings: argparse.Namespace, scratch: Path) -> float:
    """Return the test accuracy on demo reviews from which the word that decides is gone."""
    report.say("training on demo without the words that decide")
    splits = []
    for seed, num in enumerate(_sizes(settings), 1):
        examples = demo.generate(num, seed)
        splits.append([replace(e, text=_without_word(e), decisive=(0, 0)) for e in examples])
    found = _train(scratch / "hidden", splits, settings).read_json(runs.METRICS)
    return float(found["test"]["accuracy"])


def _without_word(example: Example) -> str:
    start, end = example.decisive
    return f"{example.text[:start]}something{example.text[end:]}"


def _sizes(settings: argparse.Namespace) -> tuple[int, int]:
    return (200, 50) if settings.quick else (6000, 1000)


def _train(
    folder: Path, splits: Sequence[Sequence[Example]], settings: argparse.Namespace
) -> RunDir:
    """Train as `demo` is trained, on a split for training and one for testing."""
    folder.mkdir(parents=True)
    train, test, config = (folder / name for name in ("train.csv", "test.csv", "settings.yaml"))
    for path, examples in zip((train, test), splits, strict=True):
        probe.write(path, examples)
    sections = preset_dict("demo")
    del sections["data"]
    config.write_text(yaml.safe_dump(sections), encoding="utf-8")
    command = [child.lstm_command(), "train", str(train), "--config", str(config)]
    command += ["--set", f"data.test={test}", "--runs-dir", str(folder / "runs"), "--name", "a"]
    child.run([*command, *(["--epochs", "1"] if settings.quick else [])])
    return runs.find(folder / "runs", "a")


@dataclass(frozen=True)
class _Place:
    """Which place the word that decides has, 1 for the first, and whether the answer needs it."""

    rank: int
    needed: bool


def _decisive(predictor: Predictor, examples: Sequence[Example]) -> dict[str, Any]:
    """Count by form how often the word that decides has the largest effect."""
    found: dict[str, Any] = {}
    for way in _WAYS:
        places = defaultdict(list)
        for example in examples:
            place = _place(predictor, example, way)
            places[example.form].append(place)
            places["all"].append(place)
        found[way] = {form: _firsts(values) for form, values in sorted(places.items())}
        needed = [place for place in places["all"] if place.needed]
        found[way]["where needed"] = _firsts(needed) if needed else None
    return found


def _place(predictor: Predictor, example: Example, way: explain.Occlusion) -> _Place:
    ids, effects, chosen = _effects(predictor, example.text, way)
    assert predictor.tokenizer is not None
    start, end = example.decisive
    spans = predictor.tokenizer.spans(example.text)
    decides = np.array([a < end and b > start for a, b in spans])
    without = predictor.run_texts([_less(ids, np.flatnonzero(decides), way)])[0]
    rank = 1 + int(np.count_nonzero(effects > effects[decides].max()))
    return _Place(rank, int(without.argmax()) != chosen)


def _firsts(places: Sequence[_Place]) -> dict[str, Any]:
    first = sum(place.rank == 1 for place in places)
    return {
        "num": len(places),
        "first": first / len(places),
        "interval": wilson(first, len(places)),
        "among_three": sum(place.rank <= 3 for place in places) / len(places),
        "needed": sum(place.needed for place in places) / len(places),
    }


def _effects(
    predictor: Predictor, text: str, way: explain.Occlusion
) -> tuple[NDArray[np.int32], NDArray[np.float64], int]:
    """Return the ids of a text, what each does for the class predicted, and that class."""
    assert predictor.tokenizer is not None
    ids = predictor.tokenizer.encode([text])[0].ids
    chosen = int(predictor.run_texts([ids])[0].argmax())
    return ids, explain.occlude(predictor, ids, chosen, way).effects, chosen


def _deletion(run: RunDir, settings: argparse.Namespace) -> dict[str, Any]:
    """Take tokens away, most effective or random first; return areas for both ways of both."""
    from lstm_cli.prepare import load_data

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
    predictor: Predictor, text: str, way: explain.Occlusion
) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:
    ids, effects, chosen = _effects(predictor, text, way)
    return ids, np.argsort(-effects, kind="stable"), chosen


def _drops(
    predictor: Predictor,
    ids: NDArray[np.int32],
    chosen: int,
    tasks: Sequence[tuple[str, NDArray[np.int64]]],
    way: explain.Occlusion,
) -> dict[str, NDArray[np.float64]]:
    """Return by task the loss of probability at each share, mean over tasks of one name."""
    counts = np.maximum(1, np.round(_SHARES * len(ids)).astype(int))
    texts = [_less(ids, order[:count], way) for _, order in tasks for count in counts]
    said = predictor.run_texts([ids, *texts])[:, chosen].astype(np.float64)
    drops = said[0] - said[1:].reshape(len(tasks), len(counts))
    names = np.array([name for name, _ in tasks])
    return {str(name): drops[names == name].mean(axis=0) for name in np.unique(names)}


def _less(
    ids: NDArray[np.int32], places: NDArray[np.int64], way: explain.Occlusion
) -> NDArray[np.int32]:
    if way == "leave out" and len(places) < len(ids):
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
            f"{data}, {way}, {form}",
            str(f["num"]),
            f"{f['first']:.1%}",
            f"{f['interval'][0]:.1%} to {f['interval'][1]:.1%}",
            f"{f['among_three']:.1%}",
            f"{f['needed']:.1%}",
        )
        for data, ways in found.items()
        for way, forms in ways.items()
        for form, f in forms.items()
        if f is not None
    ]
    columns = ("", "reviews", "first", "95%", "among three", "answer changes without it")
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
            f"{data}: the word that decides first, %", 100 * ways["unknown"]["all"]["first"], 90
        )
        for data, ways in found["decisive"].items()
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
