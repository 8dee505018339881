"""The model card: the README.md of a run."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from lstm_cli.config.schema import Config, LinearSettings
from lstm_cli.evaluation.hard_classes import hardest_classes, report_imbalance
from lstm_cli.io.text_format import clean
from lstm_cli.render import markdown
from lstm_cli.report.metric_rows import metric_table
from lstm_cli.runs.metrics_schema import Report
from lstm_cli.runs.schema import StageInfo, describe_selection

_TEMPLATES = Path(__file__).parent / "templates"
_NUM_HARDEST = 15  # classes that are listed if there are too many for a table of all
CAPTIONS = {
    "curves.png": "Loss and accuracy by epoch",
    "confusion.png": "True and predicted classes",
    "labels.png": "Scores and thresholds of the labels",
    "reliability.png": "Accuracy against confidence",
    "roc_pr.png": "ROC and precision-recall curves",
    "scores.png": "Probabilities within each true class",
    "lengths.png": "Lengths of texts, and which are truncated",
}


def model_card(run: Mapping[str, Any]) -> str:
    """Write the model card of a finished classifier.

    Args:
        run: The content of `run.json` (`command` is None for a run started from Python), and:

            - `name`: what `--run` takes, `imdb/20261121-2148-ab12`;
            - `config`: the resolved settings, a `Config`;
            - `seconds`: of the whole command;
            - `metrics`: a `Report` for `validation`, and for `test` if it was scored;
            - `validation_method`: how the former came about before a refit; empty without one;
            - `cross_validation`: a sentence with the scores of the folds; may be left out;
            - `plots`: file names in the run's `plots/`;
            - `unlabeled_gain`: what unlabeled texts brought to the linear model; may be left out;
            - `missed_classes`: which classes are never found and what to do; may be left out;
            - `only_epoch`: loss and accuracy of an only epoch, without curves; may be left out.

    Returns:
        Markdown. Names and sources are data: they show as they are, never as markup.
    """
    validation: Report = run["metrics"]["validation"]
    # Without results on test, those on validation take their place.
    test: Report = run["metrics"].get("test", validation)
    splits = ("validation", "test") if "test" in run["metrics"] else ("validation",)
    name = _one_line(run["name"])
    inputs = "picture.png" if run["dataset"]["kind"] == "image" else "'A text to classify.'"
    return markdown.render(
        _TEMPLATES / "model_card.md",
        run=run,
        test=test,
        splits=splits,
        metric_table=metric_table(*(run["metrics"][split] for split in splits)),
        unlabeled_gain=run.get("unlabeled_gain", ""),
        missed_classes=run.get("missed_classes", ""),
        only_epoch=run.get("only_epoch", ""),
        imbalance=report_imbalance(validation, test),
        hardest=[test.classes[i] for i in hardest_classes(test, _NUM_HARDEST)],
        mean_confidence=mean_confidence(test),
        captions=CAPTIONS,
        temperature=run.get("temperature", 1.0),
        validation_method=run.get("validation_method", ""),
        cross_validation=run.get("cross_validation", ""),
        selection=_selection(run),
        unlabeled_learners=_unlabeled_learners(run["config"]),
        linear_features=_linear_features(run["config"].linear),
        predict_command=f"lstm predict --run {shlex.quote(name)} {inputs}",
        predict_python=_predict_python(name, run["dataset"]["kind"], test.micro is not None),
    )


def language_card(run: Mapping[str, Any]) -> str:
    """Write the card of a finished language model.

    Args:
        run: As for `model_card`, with `held_out` (losses and perplexities) in place of `metrics`.

    Returns:
        Markdown; names and sources show as they are.
    """
    name = _one_line(run["name"])
    train = ["lstm", "train", run["config"].data.name, "--init-from", name]
    return markdown.render(
        _TEMPLATES / "language_card.md",
        run=run,
        unigram_loss=math.log(run["held_out"]["unigram_perplexity"]),
        train_command=shlex.join(train),
        generate_command=shlex.join(["lstm", "generate", "--run", name, "The"]),
    )


def mean_confidence(report: Report) -> float:
    """Return the mean probability of the predicted class."""
    total = sum(each.count * (each.confidence or 0.0) for each in report.bins)
    return total / report.num_examples


def _linear_features(settings: LinearSettings | None) -> str:
    """Return what the linear model counts, for a sentence; empty without one."""
    if settings is None:
        return ""
    features = ["words", "bigrams"] + ["trigrams"] * (settings.word_ngrams == 3)
    if settings.char_ngrams != "none":
        features.append("character n-grams")
    return f"{', '.join(features[:-1])} and {features[-1]}"


def _unlabeled_learners(config: Config) -> str:
    """Return which parts learn from unlabeled texts, as the start of a sentence."""
    embedding, settings = config.embedding, config.linear
    parts = []
    if embedding and embedding.vectors == "unlabeled" and not config.train.init_from:
        regions = " and region embeddings" if embedding.region_widths else ""
        parts.append(f"the word vectors{regions}")
    if settings and settings.self_training:
        parts.append("the linear model (by pseudo-labels)")
    if config.train.self_training:
        parts.append("the network (by pseudo-labels)")
    whole = " and ".join([", ".join(parts[:-1]), *parts[-1:]] if len(parts) > 1 else parts)
    return whole[:1].upper() + whole[1:]


def _selection(run: Mapping[str, Any]) -> str:
    """Return how the number of epochs of a refit was chosen; empty without a refit."""
    stages = msgspec.convert(run.get("stages", []), list[StageInfo])
    return describe_selection(stages) if stages else ""


def _predict_python(name: str, kind: str, is_multi_label: bool) -> str:
    inputs, comment = '["A text to classify."]', ""
    if kind == "image":
        inputs, comment = "images", "  # <uint8>[num, rows, columns]"
    shown = "prediction.label, prediction.probability"
    if is_multi_label:
        shown = "prediction.labels, prediction.probabilities"
    return (
        "import lstm_cli\n\n"
        f"model = lstm_cli.load({json.dumps(name, ensure_ascii=False)})\n"
        f"for prediction in model.predict({inputs}):{comment}\n"
        f"    print({shown})"
    )


def _one_line(name: str) -> str:
    return " ".join(clean(name).split())
