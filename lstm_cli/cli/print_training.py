"""Plans of dry runs and results of training, for people or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lstm_cli.cli import output
from lstm_cli.errors import command_line
from lstm_cli.io.text_format import duration, interval, number, percent, pluralize

if TYPE_CHECKING:
    from lstm_cli.runs.directory import RunDir
    from lstm_cli.runs.metrics_schema import CrossValidation, HeldOutScores
    from lstm_cli.training.dry_run import ClassifierPlan, LanguageModelPlan


def print_classifier(run: RunDir, as_json: bool) -> None:
    """Print the metrics of a finished classifier, what matters, and the command to use it."""
    from lstm_cli.evaluation.main_result import describe_result
    from lstm_cli.runs.directory import read_run_json
    from lstm_cli.runs.metrics_schema import Results

    record, metrics = read_run_json(run), run.read_json("metrics.json")
    if as_json:
        output.print_json({"run": str(run.path), **record, "metrics": metrics})
        return
    _print_splits({name: metrics[name] for name in ("validation", "test") if name in metrics})
    results = run.decode("metrics.json", Results)
    print_validation_method(results.validation_method, results.cross_validation)
    output.print_line(f"\nRun {run.name} in {duration(record['seconds']['total'])}: {run.path}")
    if results.test is not None:
        output.print_text(describe_result(results.test, "test"))
    else:
        output.print_text(describe_result(results.validation, "validation"))
    example = "IMAGE" if record["kind"] == "image" else "some text"
    output.print_line(f"Next: {command_line('lstm', 'predict', '--run', run.name, example)}")


def print_validation_method(method: str, cross_validation: CrossValidation | None) -> None:
    """Print below a table of results how those on validation came about, before a refit."""
    if method:
        output.print_text(f"Validation was measured {method}.")
    if cross_validation:
        output.print_text(cross_validation.describe())


def _print_splits(reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Print a row per split and below it its baselines.

    Macro F1 is the first figure if the classes are uneven, and micro F1 with several labels a text.
    """
    from lstm_cli.data.balance import imbalance

    columns = ["accuracy", "95% interval", "loss", "macro F1"]
    if any(imbalance([c["support"] for c in report["classes"]]) for report in reports.values()):
        columns = ["macro F1", "accuracy", "95% interval", "loss"]
    if any("micro" in report for report in reports.values()):
        columns = ["micro F1", "macro F1", "exactly right", "loss"]
    rows = []
    for split, report in reports.items():
        cells = {
            "accuracy": number(report["accuracy"]),
            "95% interval": interval(report["accuracy_interval"]),
            "loss": number(report["loss"]),
            "macro F1": number(report["f1"]),
            "exactly right": number(report["accuracy"]),
            "micro F1": number(report.get("micro", {}).get("f1")),
        }
        row = (split, f"{report['num_examples']:,}", *(cells[column] for column in columns))
        rows += [row, *_baseline_rows(report, columns)]
    output.print_rows(rows, ("split", "examples", *columns), right=("examples", *columns))


def _baseline_rows(report: Mapping[str, Any], columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Return a row for each baseline of a split, under the columns of `_print_splits`."""
    most_common = "most common set" if "micro" in report else "most common class"
    keys = {
        "accuracy": "accuracy",
        "exactly right": "accuracy",
        "macro F1": "f1",
        "micro F1": "micro_f1",
    }
    rows = []
    for name, key in (("linear part alone", "linear"), (most_common, "majority")):
        if scores := report.get(key):
            cells = [number(scores[keys[each]]) if each in keys else "" for each in columns]
            rows.append((f"  {name}", "", *cells))
    return rows


def print_language_model(run: RunDir, dataset: str, as_json: bool) -> None:
    """Print the perplexity of a finished language model, and the command to use it."""
    from lstm_cli.runs.directory import read_run_json
    from lstm_cli.runs.metrics_schema import LanguageResults

    record, metrics = read_run_json(run), run.read_json("metrics.json")
    if as_json:
        output.print_json({"run": str(run.path), **record, "metrics": metrics})
        return
    output.print_key_values(perplexities(run.decode("metrics.json", LanguageResults).held_out))
    output.print_line(f"\nRun {run.name} in {duration(record['seconds']['total'])}: {run.path}")
    output.print_line(f"Next: {command_line('lstm', 'train', dataset, '--init-from', run.name)}")


def perplexities(held_out: HeldOutScores) -> dict[str, object]:
    """Return the scores on held-out text by name, for people."""
    scores: dict[str, object] = {
        "perplexity": f"{held_out.perplexity:,.1f} on {held_out.num_words:,} words held out "
        f"(by frequency alone {held_out.unigram_perplexity:,.1f})"
    }
    if held_out.forward is not None:
        scores["next word"] = f"{held_out.forward.perplexity:,.1f}"
    if held_out.backward is not None:
        scores["previous word"] = f"{held_out.backward.perplexity:,.1f}"
    return scores


def print_plan(plan: ClassifierPlan, as_json: bool) -> None:
    """Print what `lstm train` would do."""
    if as_json:
        output.print_json(asdict(plan))
        return
    rows = []
    for split in plan.splits:
        sizes = split.classes.values()
        rows.append(
            (
                split.name,
                f"{split.examples:,}",
                len(split.classes),
                f"{min(sizes):,} to {max(sizes):,}",
                "/".join(f"{n:,}" for n in split.tokens.values()) if split.tokens else "-",
                percent(split.coverage),
                percent(split.truncated),
            )
        )
    columns = (
        "split", "examples", "classes", "per class", "tokens 50/90/99%/max", "known", "cut",
    )  # fmt: skip
    output.print_rows(rows, columns, right=columns[1:], title=plan.source)
    layers = ", ".join(f"{name} {count:,}" for name, count in plan.layers.items())
    padding = percent(plan.padding)
    unlabeled = {"unlabeled": pluralize(plan.unlabeled, "text")} if plan.unlabeled else {}
    output.print_key_values(
        {
            **unlabeled,
            "vocabulary": f"{plan.vocab_size:,} tokens" if plan.vocab_size else "none (images)",
            "parameters": f"{plan.parameters:,} ({layers})",
            "batches": f"{plan.steps_per_epoch:,} per epoch, {padding} padding",
            "device": plan.device,
            "time": f"about {duration(plan.seconds)} for {pluralize(plan.epochs, 'epoch')}"
            f"{f' in each of {plan.stages} stages' if plan.stages > 1 else ''} "
            f"({1000 * plan.seconds_per_step:.0f} ms per step, measured now)",
        }
    )
    output.print_line("Nothing was trained.")


def print_language_model_plan(plan: LanguageModelPlan, as_json: bool) -> None:
    """Print what `lstm pretrain` would do."""
    if as_json:
        output.print_json(asdict(plan))
        return
    values: dict[str, object] = {
        name: f"{plan.texts[name]:,} texts, {plan.words[name]:,} words" for name in plan.texts
    }
    if plan.unlabeled:
        values["unlabeled"] = f"{plan.unlabeled:,} of these texts"
    values |= {
        "vocabulary": f"{plan.vocab_size:,} tokens",
        "parameters": f"{plan.parameters:,}",
        "batches": f"{plan.steps_per_epoch:,} per epoch",
        "device": plan.device,
        "time": f"about {duration(plan.seconds)} for {pluralize(plan.epochs, 'epoch')} "
        f"({plan.words_per_second:,.0f} words/s, measured now)",
    }
    output.print_key_values(values, plan.source)
    output.print_line("Nothing was trained.")
