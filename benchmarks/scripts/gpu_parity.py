"""Compare the probabilities of Keras on a device with those of the ONNX graph on the CPU.

Usage: gpu_parity.py RUN auto|cpu|gpu NUM RESULT.json   (the first NUM training texts)
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from benchmarks.scripts import clock
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import device
from lstm_cli.training.prepare import encode, load_data


def main(run: RunDir, where: device.Device, num: int, out: str) -> None:
    """Predict with both, and write how they differ."""
    device.load_keras(where)
    from lstm_cli.models import classifier
    from lstm_cli.training.objectives.classification import predict

    config, predictor = run.config(), Predictor.load(run)
    assert predictor.tokenizer is not None
    examples = encode(config, load_data(config, ("train",), None), "train", predictor.tokenizer)
    examples = examples.take(np.arange(min(num, len(examples))))
    weights = safetensors.numpy.load(run.read_bytes(runs.WEIGHTS))
    num_classes, vocab_size = len(predictor.labels), predictor.tokenizer.vocab_size
    model = classifier.build_classifier(config, num_classes, vocab_size, None)
    classifier.compile_classifier(model, config.train, num_classes)
    classifier.set_weights(model, weights)
    clock.write(out, compare(predict(model, examples), predictor.probabilities(examples.inputs)))


def compare(found: NDArray[np.float32], expected: NDArray[np.float32]) -> dict[str, Any]:
    """Return the largest differences of the texts, and how many texts change their class.

    Args:
        found: Probabilities, `<float32>[num, classes]`.
        expected: The same of the other implementation.
    """
    differences = np.abs(found - expected).max(axis=1)
    return {
        "num": len(found),
        "max": float(differences.max()),
        "mean": float(differences.mean()),
        "labels_changed": int((found.argmax(1) != expected.argmax(1)).sum()),
    }


if __name__ == "__main__":
    main(RunDir(Path(sys.argv[1])), cast(device.Device, sys.argv[2]), int(sys.argv[3]), sys.argv[4])
