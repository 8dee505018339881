"""What a run leaves behind: the files of its directory, from a fitted model."""

from __future__ import annotations

import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.errors import LstmError
from lstm_cli.evaluation import plots
from lstm_cli.evaluation.evaluate import Scored, draw_results
from lstm_cli.models.calibration import Scores, scale_logits
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.report.model_card import model_card
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import tokenizer_json
from lstm_cli.text.corpus import Corpus

if TYPE_CHECKING:
    from lstm_cli.io.progress import Epoch
    from lstm_cli.text.tokenizer import Tokenizer
    from lstm_cli.training.loop import TrainingResult
    from lstm_cli.training.objectives.classification import Examples
    from lstm_cli.training.prepare import Prepared

# Keras and onnxruntime add in different orders; on a GPU Keras multiplies in TF32.
_PARITY_CPU = 1e-5
_PARITY_GPU = 1e-2
_PARITY_EXAMPLES = 64
_GOLDEN_TEXTS = ("", "good", "This was not what I expected, and I loved every minute of it.")
_GOLDEN_EXAMPLES = 4
_GOLDEN_CHARACTERS = 400
_MAX_TEXT = 10_000  # less than `run_schema.Text` takes
_PACKAGES = ("lstm-cli", "keras", "tensorflow", "jax", "numpy", "onnxruntime", "regex")


def new_record(config: Config) -> dict[str, Any]:
    """Return `run.json` as it stands before anything is known."""
    return {
        "format": 1,
        "status": "running",
        "kind": config.task,
        "data": config.data.name,
        "started": now(),
        "command": shortened(shlex.join(["lstm", *sys.argv[1:]])),
        "seed": config.seed,
        "process": os.getpid(),
        "platform": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": versions(),
        "commit": _commit(),
    }


def shortened(text: str) -> str:
    """Return a text for `run.json`, cut where it is longer than a reader takes."""
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]} ..."


def resumed_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return `run.json` as it stands when another process goes on with the run."""
    past = ("finished", "error", "non_finite")
    return {
        **{key: value for key, value in record.items() if key not in past},
        "status": "running",
        "process": os.getpid(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that training depends on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe(prepared: Prepared) -> dict[str, Any]:
    """Return the part of `run.json` that is known before training."""
    dataset = prepared.dataset
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    if prepared.unlabeled is not None:
        sizes["unlabeled"] = len(prepared.unlabeled)
    return {
        "dataset": {
            "name": dataset.name,
            "source": dataset.source,
            "kind": dataset.kind,
            "fingerprint": dataset.fingerprint,
            "labels": list(dataset.labels),
            "sizes": sizes,
            "notes": list(dataset.notes),
        },
        "parameters": prepared.num_parameters,
        "vocab_size": prepared.tokenizer.vocab_size if prepared.tokenizer else None,
        **asdict(prepared.device_info),
    }


def write_inputs(run: RunDir, prepared: Prepared, record: Mapping[str, Any]) -> None:
    """Write what training starts from: settings, labels, tokenizer, and how it stands."""
    run.write_text(runs.CONFIG, configs.to_yaml(prepared.config))
    run.write_json(runs.LABELS, list(prepared.dataset.labels))
    if prepared.tokenizer is not None:
        run.write_text(runs.TOKENIZER, tokenizer_json.write(prepared.tokenizer))
    run.write_json(runs.RUN, record)


def write_model(run: RunDir, prepared: Prepared, fitted: TrainingResult) -> None:
    """Write the best weights, as tensors and as an ONNX graph, and the history."""
    import safetensors.numpy

    weights = dict(fitted.weights)
    if prepared.linear is not None:
        weights[onnx_graph.LINEAR_TABLE] = prepared.linear.table
    run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(weights))
    model = onnx_graph.build(prepared.config, weights, len(prepared.dataset.labels), prepared.shape)
    run.write_bytes(runs.MODEL, model.SerializeToString())
    write_history(run, fitted.history)


def write_history(run: RunDir, history: Sequence[Epoch]) -> None:
    """Write one line an epoch."""
    run.write_text(runs.HISTORY, "".join(runs.json_line(asdict(epoch)) for epoch in history))


def check_tokenizer(run: RunDir, fitted: Tokenizer | None) -> None:
    """Hold a resumed run to the vocabulary it began with.

    Raises:
        LstmError: The tokenizer learned now is another one.
    """
    if fitted is not None and run.read_text(runs.TOKENIZER) != tokenizer_json.write(fitted):
        raise LstmError(
            f"The tokenizer learned now differs from the one run {run.name} began with.",
            "Another version of 'regex'? Resume with the one named in run.json.",
        )


def check_parity(
    prepared: Prepared, predictor: Predictor, keras_says: Callable[[Examples], NDArray[np.float32]]
) -> None:
    """Hold the exported graph to what Keras says of some validation examples.

    Raises:
        LstmError: They differ: the run must not be used.
    """
    from lstm_cli.training.objectives.classification import Examples

    some = np.linspace(0, len(prepared.validation) - 1, _PARITY_EXAMPLES).astype(np.int64)
    inputs = prepared.validation.inputs
    chosen = inputs.take(some) if isinstance(inputs, Corpus) else inputs[some]
    weighed = prepared.validation.linear
    expected = keras_says(
        Examples(
            chosen, prepared.validation.labels[some], None if weighed is None else weighed[some]
        )
    )
    worst = float(np.abs(expected - predictor.probabilities(chosen)).max())
    tolerance = _PARITY_CPU if prepared.device_info.device == "cpu" else _PARITY_GPU
    if not worst <= tolerance:
        raise LstmError(
            f"The exported graph differs from Keras by {worst:.2g}, more than {tolerance:.0g}.",
            "This is a defect of lstm: please report it with the run's config.yaml.",
        )


def calibrated(prepared: Prepared, predictor: Predictor, fitted: TrainingResult) -> TrainingResult:
    """Return weights whose probabilities are as high as validation examples are often right.

    The evidence is weighed anew: in training the network learned in part what it says.

    Args:
        prepared: With the validation split.
        predictor: Of the weights as training found them.
        fitted: Those weights.
    """
    examples = prepared.validation
    weight = fitted.weights.get(onnx_graph.LINEAR_SCALE, np.zeros(1, np.float32))
    said = Scores.of(predictor.probabilities(examples.inputs), examples.linear, weight)
    own, linear = said.best(examples.labels)
    weights = scale_logits(fitted.weights, own, linear)
    return replace(fitted, weights=weights, temperature=round(1 / own, 4))


def write_golden(run: RunDir, prepared: Prepared, predictor: Predictor) -> None:
    """Write a few inputs with their probabilities, replayed whenever the run is loaded."""
    examples = prepared.dataset.splits["validation"].inputs
    if isinstance(examples, np.ndarray):
        inputs: Any = examples[:_GOLDEN_EXAMPLES].tolist()
        probabilities = predictor.probabilities(examples[:_GOLDEN_EXAMPLES])
    else:
        texts = [text[:_GOLDEN_CHARACTERS] for text in examples[:_GOLDEN_EXAMPLES]]
        inputs = [*_GOLDEN_TEXTS, *texts]
        probabilities = predictor.text_probabilities(inputs)
    run.write_json(runs.GOLDEN, {"inputs": inputs, "probabilities": probabilities.tolist()})


def write_results(
    run: RunDir,
    prepared: Prepared,
    fitted: TrainingResult,
    results: Mapping[str, Scored],
    record: dict[str, Any],
    began: float,
) -> None:
    """Write metrics, plots, model card and, last, the record and the manifest.

    Args:
        run: Where.
        prepared: What was trained on.
        fitted: What training found.
        results: Scores by split.
        record: `run.json` so far.
        began: When the work began, on the clock of `time.perf_counter`.
    """
    reports = {name: scored.report.to_dict() for name, scored in results.items()}
    run.write_json(runs.METRICS, {"best_epoch": fitted.best_epoch, **reports})
    drawn = _draw(run, prepared, fitted, results["test"])
    record |= {
        "status": "finished",
        "finished": now(),
        "epochs": len(fitted.history),
        "best_epoch": fitted.best_epoch,
        "stopped": fitted.stopped,
        "temperature": fitted.temperature,
        "seconds": {**prepared.seconds, "total": round(time.perf_counter() - began, 3)},
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    scores = {name: scored.report for name, scored in results.items()}
    run.write_text(runs.CARD, model_card(_card(run, prepared, record, scores, drawn)))
    run.write_json(runs.RUN, record)
    run.write_manifest()


def _draw(run: RunDir, prepared: Prepared, fitted: TrainingResult, test: Scored) -> list[str]:
    folder = run.file(runs.PLOTS)
    plots.learning_curves([asdict(epoch) for epoch in fitted.history], folder / "curves.png")
    drawn = ["curves.png", *draw_results(folder, test, prepared.dataset.labels)]
    if isinstance(prepared.train.inputs, Corpus) and prepared.config.text is not None:
        by_split = {
            "train": prepared.train.inputs.num_tokens,
            "validation": prepared.validation.inputs.num_tokens,  # type: ignore[union-attr]
        }
        plots.lengths(by_split, prepared.config.text.max_tokens, folder / "lengths.png")
        drawn.append("lengths.png")
    return drawn


def _card(
    run: RunDir,
    prepared: Prepared,
    record: Mapping[str, Any],
    reports: Mapping[str, Any],
    drawn: list[str],
) -> dict[str, Any]:
    return {
        **record,
        "name": run.name,
        "config": prepared.config,
        "seconds": record["seconds"]["total"],
        "metrics": reports,
        "plots": drawn,
    }


def now() -> str:
    """Return the time as runs record it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit() -> str | None:
    """Return the commit of the folder training was started in, where it is under git."""
    try:
        told = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return told.stdout.strip() or None
