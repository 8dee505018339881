"""The model card: a run's README.md, for a person who was not there."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from lstm_cli.io.text_format import clean, duration, interval, number

_MAX_CLASSES = 30  # named and scored one by one
_FEW = 30  # examples of a class below which its scores say little
_POOLING = {
    "last": "the output after the last {step} is kept",
    "max": "the largest output of each unit over all {step}s is kept",
    "mean": "the mean output of each unit over all {step}s is kept",
    "max_mean": "the largest and the mean output of each unit over all {step}s are kept",
}
CAPTIONS = {
    "curves.png": "Loss and accuracy by epoch",
    "learning_curves.png": "Loss and accuracy by epoch",
    "confusion.png": "Which classes are taken for which",
    "reliability.png": "How often predictions are right against how sure they are",
    "roc_pr.png": "ROC and precision-recall curves",
    "scores.png": "Probabilities within each true class",
    "lengths.png": "How long texts are, and which are cut",
}


def model_card(run: Mapping[str, Any]) -> str:
    """Write the model card of a finished run.

    Args:
        run: What is known of it.

            - `name`: what `--run` takes, `imdb/20261121-2148-ab12`;
            - `dataset`: `name`, `source`, `kind` (`text` or `image`), `labels` (class names),
              `sizes` (examples by split), and perhaps `notes` (what was noticed while reading);
            - `config`: the resolved settings, as nested dicts;
            - `parameters`: their number; `command`: what was typed, or None; `seed`; `epochs`: how
              many were trained; `best_epoch`: whose weights were kept; `seconds`: the whole command;
            - `device` and `kernel`: what really computed;
            - `metrics`: `validation` and perhaps `test`, as `Report.to_dict()` or None;
            - `plots`: file names in the run's `plots/`;
            - `versions`: of packages, by name.

    Returns:
        Markdown. Names and sources are data: they show as they are, never as markup.
    """
    sections = {
        "Data": _data(run),
        "Model": [_architecture(run)],
        "Training": _training(run),
        "Results": _results(run),
        "Use": _use(run),
        "Limits": [_bullets(_limits(run))],
        "Versions": [escape(", ".join(f"{k} {v}" for k, v in run["versions"].items()))],
    }
    blocks = [f"# {escape(run['name'])}", _summary(run)]
    for heading, body in sections.items():
        blocks += [f"## {heading}", *(block for block in body if block)]
    return "\n\n".join(blocks) + "\n"


def language_card(run: Mapping[str, Any]) -> str:
    """Write the card of a finished language model.

    Args:
        run: As for `model_card`, with `held_out` (loss and perplexity) in place of `metrics`.

    Returns:
        Markdown; names and sources show as they are.
    """
    held, dataset, config = run["held_out"], run["dataset"], run["config"]
    both = " and, from the end, the previous word" if "backward" in held else ""
    rows = [
        [name, number(held[name]["loss"]), number(held[name]["perplexity"], ",.1f")]
        for name in ("forward", "backward")
        if name in held
    ]
    rows.append(["both", number(held["loss"]), number(held["perplexity"], ",.1f")])
    unigram = held["unigram_perplexity"]
    rows.append(["frequencies alone", number(math.log(unigram)), number(unigram, ",.1f")])
    name = " ".join(clean(run["name"]).split())
    device_info = shlex.join(["lstm", "train", str(config["data"]["name"]), "--init-from", name])
    blocks = [
        f"# {escape(run['name'])}",
        f"A language model: an LSTM of {config['model']['units']} units that predicts the next "
        f"word{both}, learned from the texts of {escape(dataset['name'])}. It chooses among "
        f"{run['vocab_size']:,} words and has {run['parameters']:,} parameters. It is what a "
        "classifier can begin with, and none itself.",
        _fenced(device_info, "sh"),
        "## Data",
        f"Source: {escape(dataset['source'])}: {dataset['sizes']['train']:,} texts of "
        f"{dataset['words']['train']:,} words, {dataset['unlabeled']:,} of all texts without "
        "labels. No label was looked at, and no text of the validation or test split.",
        "## Results",
        f"On {dataset['sizes']['held_out']:,} texts held out, {held['num_words']:,} words; the "
        "softmax is over all words.",
        _table(["direction", "loss (nats)", "perplexity"], rows),
        "## Training",
        _command(run),
        _bullets(
            [
                f"{run['epochs']} epoch{'s' * (run['epochs'] != 1)}; the weights are those of "
                f"epoch {run['best_epoch']}, with the lowest held-out perplexity",
                f"{duration(run['seconds']['total'])} for the whole command, on "
                f"{escape(run['device'])} ({escape(run['kernel'])}), with seed {run['seed']}",
            ]
        ),
        "## Versions",
        escape(", ".join(f"{k} {v}" for k, v in run["versions"].items())),
    ]
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Make data safe in a line or table cell of Markdown, so that it shows as it is.

    Args:
        text: Any text.

    Returns:
        One line without control and direction characters, markup characters escaped.
    """
    text = " ".join(clean(text).split())
    # An underscore before a letter cannot end emphasis, and emphasis must end to be any.
    text = re.sub(r"([\\`*\[\]<>#|~$&]|_(?![^\W_]))", r"\\\1", text)
    # Data may begin a line, where these would begin a list, a rule or a heading.
    text = re.sub(r"^(\d*)([-+=.)])", r"\1\\\2", text)
    # GitHub turns bare addresses into links.
    return re.sub(r"(?i)(?<=:)(?=//)|(?<=\bwww)(?=\.)", r"\\", text)


def _summary(run: Mapping[str, Any]) -> str:
    split, report = _judged(run)
    inputs = "images" if run["dataset"]["kind"] == "image" else "texts"
    return (
        f"An LSTM that sorts {inputs} into {_classes(run['dataset']['labels'])}, trained on "
        f"{escape(run['dataset']['name'])}. It is right on "
        f"**{number(report['accuracy'], '.1%')}** of {report['num_examples']:,} {split} examples "
        f"(95% interval {interval(report['accuracy_interval'], '.1%')}); always answering their "
        f"commonest class would be on {number(report['baseline_accuracy'], '.1%')}."
    )


def _judged(run: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return the split a model is judged by, test where there is one, and its report."""
    split = "test" if run["metrics"].get("test") else "validation"
    return split, run["metrics"][split]


def _classes(labels: Sequence[str]) -> str:
    if len(labels) == 2:
        return f"{escape(labels[0])} and {escape(labels[1])}"
    return f"{len(labels)} classes"


def _data(run: Mapping[str, Any]) -> list[str]:
    dataset, sizes = run["dataset"], dict(run["dataset"]["sizes"])
    for split in ("validation", "test"):
        if run["metrics"].get(split):
            sizes.setdefault(split, run["metrics"][split]["num_examples"])
    rows = [[escape(split), f"{size:,}"] for split, size in sizes.items()]
    labels = dataset["labels"]
    names = ", ".join(escape(label) for label in labels[:_MAX_CLASSES])
    more = f" and {len(labels) - _MAX_CLASSES} more" if len(labels) > _MAX_CLASSES else ""
    return [
        f"Source: {escape(dataset['source'])}",
        _table(["split", "examples"], rows),
        f"Classes: {names}{more}",
        _bullets([escape(note) for note in dataset.get("notes", ())]),
    ]


def _architecture(run: Mapping[str, Any]) -> str:
    """Say in one sentence what the network is."""
    model, embedding = run["config"]["model"], run["config"].get("embedding")
    num_classes, layers = len(run["dataset"]["labels"]), model["layers"]
    read, step = "The rows of an image, from top to bottom,", "row"
    if embedding:
        read, step = f"Word vectors of {embedding['dim']} numbers", "word"
        if embedding.get("bigram_buckets"):
            read += f", with {embedding['bigram_dim']} more for each pair of neighbouring words,"
    peephole = model.get("cell") == "peephole"
    name, one = ("peephole LSTM", "a") if peephole else ("LSTM", "an")
    lstm = f"{layers} {name} layers, each of" if layers > 1 else f"{one} {name} of"
    both = " in each of two directions" if model["bidirectional"] else ""
    head = "a sigmoid unit" if num_classes == 2 else f"a softmax over {num_classes} classes"
    more = ""
    if run["config"].get("linear"):
        more = " and of what words and pairs of words say by themselves (logistic regression)"
    return (
        f"{read} go through {lstm} {model['units']} units{both}; "
        f"{_POOLING[model['pooling']].format(step=step)}, and {head} makes probabilities of "
        f"it{more}. There are {run['parameters']:,} parameters."
    )


def _training(run: Mapping[str, Any]) -> list[str]:
    facts = [
        f"{run['epochs']} epoch{'s' * (run['epochs'] != 1)}; the weights are those of epoch "
        f"{run['best_epoch']}, with the lowest validation loss",
        f"{duration(run['seconds'])} for the whole command, on {escape(run['device'])} "
        f"({escape(run['kernel'])}), with seed {run['seed']}",
        *_temperature(run),
        "all settings are in [config.yaml](config.yaml), all epochs in "
        "[history.jsonl](history.jsonl)",
    ]
    return [_command(run), _bullets(facts), *_pictures(run, training=True)]


def _command(run: Mapping[str, Any]) -> str:
    """Show the command line, if there was one."""
    return _fenced(run["command"], "sh") if run["command"] else "Started from Python."


def _temperature(run: Mapping[str, Any]) -> list[str]:
    if run.get("temperature", 1.0) == 1.0:
        return []
    return [
        f"probabilities are calibrated on validation: the logits were divided by "
        f"{run['temperature']} (temperature scaling)"
    ]


def _results(run: Mapping[str, Any]) -> list[str]:
    reports = {split: run["metrics"].get(split) for split in ("validation", "test")}
    columns = [_column(report) for report in reports.values() if report]
    measures = [
        "examples",
        "accuracy",
        "95% interval",
        "always the commonest class",
        "loss (nats)",
        "precision, mean of classes",
        "recall, mean of classes",
        "F1, mean of classes",
        "area under the ROC curve",
        "calibration error",
    ]
    rows = [list(row) for row in zip(measures, *columns, strict=True)]
    split, judged = _judged(run)
    parts = [_table(["", *(split for split, report in reports.items() if report)], rows)]
    if len(judged["classes"]) <= _MAX_CLASSES:
        header = [f"class, on {split}", "precision", "recall", "F1", "examples"]
        parts.append(_table(header, [_class_row(scores) for scores in judged["classes"]]))
    return [*parts, *_pictures(run, training=False)]


def _column(report: Mapping[str, Any]) -> list[str]:
    area = report["roc_auc"]
    return [
        f"{report['num_examples']:,}",
        number(report["accuracy"]),
        interval(report["accuracy_interval"]),
        number(report["baseline_accuracy"]),
        number(report["loss"]),
        number(report["precision"]),
        number(report["recall"]),
        number(report["f1"]),
        f"none: {escape(report['roc_auc_reason'])}" if area is None else number(area),
        number(report["calibration_error"]),
    ]


def _class_row(scores: Mapping[str, Any]) -> list[str]:
    shares = [number(scores[measure], ".3f") for measure in ("precision", "recall", "f1")]
    return [escape(scores["name"]), *shares, f"{scores['support']:,}"]


def _pictures(run: Mapping[str, Any], training: bool) -> list[str]:
    """Embed the plots of training (curves, lengths), or the others."""
    early = ("curves.png", "learning_curves.png", "lengths.png")
    return [
        f"![{CAPTIONS.get(name) or escape(name)}](plots/{quote(name)})"
        for name in run["plots"]
        if (name in early) == training
    ]


def _use(run: Mapping[str, Any]) -> list[str]:
    name = " ".join(clean(run["name"]).split())
    typed, given, comment = "'A text to classify.'", '["A text to classify."]', ""
    if run["dataset"]["kind"] == "image":
        typed, given, comment = "picture.png", "images", "  # <uint8>[num, rows, columns]"
    python = (
        "import lstm_cli\n\n"
        f"model = lstm_cli.load({json.dumps(name, ensure_ascii=False)})\n"
        f"for prediction in model.predict({given}):{comment}\n"
        "    print(prediction.label, prediction.probability)"
    )
    shell = f"lstm predict --run {shlex.quote(name)} {typed}"
    return [_fenced(shell, "sh"), _fenced(python, "python")]


def _limits(run: Mapping[str, Any]) -> list[str]:
    split, report = _judged(run)
    image = run["dataset"]["kind"] == "image"
    limits = [
        f"It knows {escape(run['dataset']['name'])} and nothing else. On "
        + (
            "images of another kind, size or contrast"
            if image
            else "texts in another language, on another subject or in another style"
        )
        + ", expect less than above. It names one of its classes whatever it is given.",
        _calibration(split, report),
        "The interval covers which examples were drawn, not which seed: another run with the same "
        "settings may lie outside it.",
    ]
    if not image:
        limits.insert(1, _cut(run["config"]["text"]["max_tokens"]))
    if split == "validation":
        limits.append(
            "There was no test split. The epoch was chosen by the figures above, so they flatter."
        )
    few = [escape(c["name"]) for c in report["classes"] if c["support"] < _FEW]
    if few:
        named = ", ".join(few[:_MAX_CLASSES]) + (" and more" if len(few) > _MAX_CLASSES else "")
        limits.append(f"Fewer than {_FEW} {split} examples, so scores that say little: {named}.")
    return limits


def _cut(max_tokens: int) -> str:
    head = (max_tokens + 1) // 2
    return (
        f"Of a text with more than {max_tokens:,} tokens it reads the first {head:,} and the last "
        f"{max_tokens - head:,}; `truncated` in a prediction says so. Words that training did not "
        "keep all look the same to it; `unknown` says how many there were."
    )


def _calibration(split: str, report: Mapping[str, Any]) -> str:
    sure = sum(b["count"] * (b["confidence"] or 0.0) for b in report["bins"])
    gap = sure / report["num_examples"] - report["accuracy"]
    lean = "about as sure as it is right"
    if abs(gap) >= 0.01:
        lean = "too sure of itself" if gap > 0 else "less sure than it could be"
    return (
        f"Its probabilities are off by {number(report['calibration_error'], '.3f')} on average "
        f"on {split}: "
        f"it is {lean} (mean confidence {number(sure / report['num_examples'], '.3f')}, accuracy "
        f"{number(report['accuracy'], '.3f')})."
    )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table, its first column to the left and the others to the right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [header, rule, *rows])


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _fenced(code: str, language: str) -> str:
    """Put code in a fence longer than any run of backticks in it."""
    lines = "\n".join(clean(line).rstrip() for line in code.split("\n"))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", lines)), default=0))
    return f"{fence}{language}\n{lines}\n{fence}"
