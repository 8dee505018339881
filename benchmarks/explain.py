"""Whether `lstm explain` names the words that matter, and how fast it is.

- Decisive words: the generator of the `demo` test reviews knows the decisive word. How often does
  it have the largest effect of all words, whether the prediction is right or wrong? What is the
  probability without it? How often does the prediction change if the word of the other label
  replaces it? As a check of the data, a model is trained without these words: its accuracy should
  be that of guessing.
- Deletion: a growing fraction of the tokens of validation reviews is occluded, those with the
  largest effect first, or random ones. The area is the mean decrease of the probability of the
  predicted class, up to a fifth of the tokens.
- The time of the command, from a cold start, on a text of 200 tokens.

Both kinds of occlusion are measured: removing a token, and masking it with [UNK].
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
from lstm_cli.evaluation.metrics import wilson_interval
from lstm_cli.explain.occlusion import Occlusion, occlude, without
from lstm_cli.explain.result import TokenEffects
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.tokenizer import Encoding
from lstm_cli.text.tokenizer import token_spans as text_spans

OPTIONS = (
    Option("run", "a finished text run: its folder, DATASET/NAME or DATASET"),
    Option(
        "demo_run",
        "finished runs on demo, separated by commas; the default is to train one",
        "",
        "",
    ),
    Option("examples", "number of test reviews of demo", 1000, 20),
    Option("reviews", "number of reviews for deletion", 300, 5),
    Option("draws", "random orders for each review", 3, 1),
    Option("cold_repeats", "cold starts of the command", 5, 1),
)
_FRACTIONS = np.linspace(0.02, 0.2, 10)
_OCCLUSIONS: tuple[Occlusion, ...] = get_args(Occlusion)
_IMPORTS = "import numpy, onnxruntime, rich.console, rich.text, lstm_cli.explain.explainer"


def measure(settings: argparse.Namespace) -> Outcome:
    """Measure decisive words, deletion, and the time of the command."""
    run = _find(settings.run)
    if run.config().text is None:
        raise report.usage_error(f"Run {run.name} classifies images; this measures texts.")
    report.require_data(run.config().data.name)
    results: dict[str, Any] = {"run": run.name, "decisive": {}}
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as temp_dir:
        for demo_run in _demo_runs(settings, Path(temp_dir)):
            report.log(f"decisive words: {demo_run.name}")
            examples = _test_reviews(demo_run)[: settings.examples]
            results["decisive"][demo_run.name] = _measure_decisive_words(
                Predictor.load(demo_run), examples
            )
        results["demo_accuracy_without"] = _accuracy_without_decisive_words(
            settings, Path(temp_dir)
        )
        report.log("deletion")
        results["deletion"] = _deletion(run, settings)
        report.log("cold starts")
        results["cold"] = _cold(run, settings.cold_repeats)
    tables = [_decisive_table(results["decisive"]), _deletion_table(results["deletion"])]
    tables.append(_cold_table(results["cold"]))
    ahead = results["deletion"]["ahead"]["mask"]
    notes = [
        "All predictions count, right or wrong. A model trained on demo without the decisive words "
        f"has a test accuracy of {results['demo_accuracy_without']:.1%}.",
        "Area: mean decrease of the probability of the predicted class, with 2% to 20% of the "
        f"tokens occluded. It is larger for top tokens than for random ones in {ahead:.1%} of the "
        "reviews (mask).",
    ]
    return Outcome(results, tables, [] if settings.quick else _goals(results), notes)


def _find(name: str) -> RunDir:
    return RunDir(find.find(runs.runs_root(), name).path.absolute())


def _demo_runs(settings: argparse.Namespace, temp_dir: Path) -> list[RunDir]:
    """Return the given runs, or train one."""
    if settings.demo_run:
        return [_find(name) for name in settings.demo_run.split(",")]
    report.log("training on demo")
    return [_train(temp_dir / "demo", ["demo", *_quick_options(settings)])]


def _test_reviews(run: RunDir) -> list[Example]:
    """Generate the test reviews of a demo run again, with their decisive words."""
    data = run.config().data
    return demo.generate_splits(data.demo_train, data.demo_test)[1]


def _quick_options(settings: argparse.Namespace) -> list[str]:
    if not settings.quick:
        return []
    return ["--epochs", "1", "--set", "data.demo_train=200", "--set", "data.demo_test=50"]


def _accuracy_without_decisive_words(settings: argparse.Namespace, temp_dir: Path) -> float:
    """Train on demo reviews without their decisive words; return the test accuracy."""
    report.log("training on demo without the decisive words")
    folder = temp_dir / "hidden"
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
    options = [str(train), "--config", str(config), "--set", f"data.test_file={test}"]
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
class _WordEffect:
    """The effect of the decisive word on a prediction.

    Attributes:
        rank: Rank of its effect, 1 for the largest; ties count as the last of them.
        occluded_probability: Probability of the predicted class without the word.
        flips: Whether the word of the other label in its place changes the prediction; None if
            there is no such word.
    """

    rank: int
    occluded_probability: float
    flips: bool | None


def _measure_decisive_words(predictor: Predictor, examples: Sequence[Example]) -> dict[str, Any]:
    """Summarize the effects of the decisive words by form."""
    results: dict[str, Any] = {}
    for occlusion in _OCCLUSIONS:
        effects = defaultdict(list)
        for example in examples:
            effect = _measure_word(predictor, example, occlusion)
            effects[example.form].append(effect)
            effects["all"].append(effect)
        results[occlusion] = {form: _summarize(values) for form, values in sorted(effects.items())}
    return results


def _measure_word(predictor: Predictor, example: Example, occlusion: Occlusion) -> _WordEffect:
    assert predictor.tokenizer is not None
    _, tokens, predicted = _effects(predictor, example.text, occlusion)
    start, end = example.decisive_span
    spans = text_spans(example.text)
    is_decisive = np.array([a < end and b > start for a, b in spans])
    largest = tokens.effects[is_decisive].max()
    rank = 1 + int(np.count_nonzero(tokens.effects[~is_decisive] >= largest))
    flips = None
    if example.replacement:
        other = int(predictor.text_probabilities([example.counterpart])[0].argmax())
        flips = other != predicted
    return _WordEffect(rank, float(tokens.occluded_probabilities[is_decisive].min()), flips)


def _summarize(effects: Sequence[_WordEffect]) -> dict[str, Any]:
    num_first = sum(effect.rank == 1 for effect in effects)
    flips = [effect.flips for effect in effects if effect.flips is not None]
    return {
        "num": len(effects),
        "first": num_first / len(effects),
        "interval": wilson_interval(num_first, len(effects)),
        "top_three": sum(effect.rank <= 3 for effect in effects) / len(effects),
        "occluded_probability": float(np.mean([e.occluded_probability for e in effects])),
        "flips": float(np.mean(flips)) if flips else None,
    }


def _effects(
    predictor: Predictor, text: str, occlusion: Occlusion
) -> tuple[Encoding, TokenEffects, int]:
    """Return the encoding of a text, their effects on the predicted class, and that class."""
    assert predictor.tokenizer is not None
    (encoding,) = predictor.tokenizer.encode([text])
    predicted = int(predictor.run_texts([encoding])[0].argmax())
    return encoding, occlude(predictor, encoding, predicted, occlusion), predicted


def _deletion(run: RunDir, settings: argparse.Namespace) -> dict[str, Any]:
    """Occlude tokens in order of their effects, or at random; return the areas."""
    from lstm_cli.training.prepare import load_data

    texts = load_data(run.config(), ("validation",), None).splits["validation"].inputs
    rng = np.random.default_rng(0)
    indices = rng.permutation(len(texts))[: settings.reviews]
    predictor = Predictor.load(run)
    curves = defaultdict(list)
    for index in indices:
        text = str(texts[int(index)])
        orders = {
            f"top, {occlusion}": _order(predictor, text, occlusion) for occlusion in _OCCLUSIONS
        }
        encoding, _, predicted = orders[f"top, {_OCCLUSIONS[0]}"]
        tasks = [(name, order) for name, (_, order, _) in orders.items()]
        tasks += [("random", rng.permutation(len(encoding.ids))) for _ in range(settings.draws)]
        for occlusion in _OCCLUSIONS:
            curves[occlusion].append(_drops(predictor, encoding, predicted, tasks, occlusion))
    return {
        f"{name} / occlusion: {occlusion}": _area(curves[occlusion], name)
        for occlusion in _OCCLUSIONS
        for name in (*(f"top, {order}" for order in _OCCLUSIONS), "random")
    } | {
        "ahead": {
            occlusion: _ahead(curves[occlusion], f"top, {occlusion}") for occlusion in _OCCLUSIONS
        }
    }


def _order(
    predictor: Predictor, text: str, occlusion: Occlusion
) -> tuple[Encoding, NDArray[np.int64], int]:
    encoding, tokens, predicted = _effects(predictor, text, occlusion)
    return encoding, np.argsort(-tokens.effects, kind="stable"), predicted


def _drops(
    predictor: Predictor,
    encoding: Encoding,
    predicted: int,
    tasks: Sequence[tuple[str, NDArray[np.int64]]],
    occlusion: Occlusion,
) -> dict[str, NDArray[np.float64]]:
    """Return the decrease of the probability at each fraction, averaged over tasks of one name."""
    counts = np.maximum(1, np.round(_FRACTIONS * len(encoding.ids)).astype(int))
    texts = [without(encoding, order[:count], occlusion) for _, order in tasks for count in counts]
    probabilities = predictor.run_texts([encoding, *texts])[:, predicted].astype(np.float64)
    drops = probabilities[0] - probabilities[1:].reshape(len(tasks), len(counts))
    names = np.array([name for name, _ in tasks])
    return {str(name): drops[names == name].mean(axis=0) for name in np.unique(names)}


def _area(curves: Sequence[dict[str, NDArray[np.float64]]], name: str) -> dict[str, Any]:
    """Return the spread of the areas over the reviews, and the mean curve."""
    drops = np.array([curve[name] for curve in curves])
    return {"area": report.spread(drops.mean(axis=1).tolist()), "curve": drops.mean(0).tolist()}


def _ahead(curves: Sequence[dict[str, NDArray[np.float64]]], name: str) -> float:
    """Return the fraction of reviews whose area is larger than that of random tokens."""
    return float(np.mean([curve[name].mean() > curve["random"].mean() for curve in curves]))


def _cold(run: RunDir, repeats: int) -> dict[str, Any]:
    """Time the whole command, and a process with its imports alone."""
    text = _text_of_200(run)
    lstm = [child.lstm_command(), "explain", "--run", str(run.path), text]
    commands = {
        "lstm explain": lstm,
        "lstm explain --format json": [*lstm, "--format", "json"],
        "lstm predict": [child.lstm_command(), "predict", "--run", str(run.path), text],
        "imports alone": [sys.executable, "-c", _IMPORTS],
    }
    results = {}
    for name, command in commands.items():
        # One untimed run first, so that all files are in the page cache.
        child.run(command)
        results[name] = report.spread([child.run(command).seconds for _ in range(repeats)])
    return results


def _text_of_200(run: RunDir) -> str:
    """Return a text of 200 words of the run's vocabulary."""
    predictor = Predictor.load(run)
    assert predictor.tokenizer is not None
    ids = range(2, min(1000, predictor.tokenizer.vocab_size))
    words = [word for word in map(predictor.tokenizer.id_to_token, ids) if word.isalpha()]
    return " ".join((words * 200)[:200])


def _decisive_table(results: dict[str, Any]) -> Table:
    rows = [
        (
            f"{run}, {occlusion}, {form}",
            str(f["num"]),
            f"{f['first']:.1%}",
            f"{f['interval'][0]:.1%} to {f['interval'][1]:.1%}",
            f"{f['top_three']:.1%}",
            f"{f['occluded_probability']:.2f}",
            "" if f["flips"] is None else f"{f['flips']:.1%}",
        )
        for run, occlusions in results.items()
        for occlusion, forms in occlusions.items()
        for form, f in forms.items()
    ]
    columns = ("", "reviews", "first", "95%", "top three", "probability without", "flips")
    return Table("How often the decisive word has the largest effect", columns, rows)


def _deletion_table(results: dict[str, Any]) -> Table:
    rows = [
        (name, report.format_spread(f["area"], 3), f"{f['curve'][2]:.3f}", f"{f['curve'][-1]:.3f}")
        for name, f in results.items()
        if name != "ahead"
    ]
    columns = ("order", "area ± sd over reviews", "decrease at 6%", "at 20%")
    return Table("Decrease of the probability of the predicted class", columns, rows)


def _cold_table(results: dict[str, Any]) -> Table:
    rows = [
        (name, *(f"{f[key]:.2f}" for key in ("median", "min", "max")))
        for name, f in results.items()
    ]
    return Table("200 tokens, cold start", ("new process", "s, median", "min", "max"), rows)


def _goals(results: dict[str, Any]) -> list[Goal]:
    deletion = results["deletion"]
    goals = [
        report.at_least(
            f"{run}: decisive word first, %", 100 * occlusions["mask"]["all"]["first"], 90
        )
        for run, occlusions in results["decisive"].items()
    ]
    top, random = (
        deletion[f"{name} / occlusion: mask"]["area"]["mean"] for name in ("top, mask", "random")
    )
    cold = results["cold"]["lstm explain"]["median"]
    return [
        *goals,
        report.at_least("deletion: area of the top tokens / of random ones", top / random, 2),
        report.at_most("lstm explain, 200 tokens, cold, s", cold, 2, 2),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("explain", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
