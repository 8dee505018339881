"""Keras `model.predict` with the weights of a run, with the default batch size.

Every text is padded to the run's `max_tokens`, because `predict` needs one array. Tokenization is
timed twice: with the run's tokenizer, whose token ids are classified, and with Keras'
TextVectorization with the same vocabulary, as a Keras script would do it.

Usage: keras_bulk.py RUN TEXTS.txt SINGLES LABELS.json RESULT.json
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from benchmarks.scripts import clock
from lstm_cli.config.schema import LinearSettings
from lstm_cli.models import classifier, linear
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import tokenizer_json
from lstm_cli.text.corpus import Corpus, encode
from lstm_cli.text.tokenizer import Tokenizer

# The weights of the linear model and its settings.
Linear = tuple[LinearTables, LinearSettings]


def load(run: RunDir) -> tuple[Any, Tokenizer, int, Linear | None]:
    """Rebuild the Keras model of a text run; with tokenizer, max_tokens and linear model."""
    config = run.config()
    assert config.text is not None
    tokenizer = tokenizer_json.read(
        run.read_bytes(runs.TOKENIZER), config.text, config.char_buckets
    )
    model = classifier.build_classifier(config, len(run.labels()), tokenizer.vocab_size, None)
    weights = safetensors.numpy.load_file(run.file(runs.WEIGHTS))
    classifier.set_weights(model, weights)
    linear_model = None
    if config.linear is not None:
        linear_model = (LinearTables.from_arrays(weights), config.linear)
    return model, tokenizer, config.text.max_tokens, linear_model


def padded(corpus: Corpus, width: int) -> NDArray[np.int32]:
    """Return token ids as `<int32>[num, width]`, padded with zeros at the end."""
    ids = np.zeros((len(corpus), width), np.int32)
    for index, row in enumerate(ids):
        row[: len(corpus[index])] = corpus[index]
    return ids


def inputs(corpus: Corpus, ids: NDArray[np.int32], linear_model: Linear | None) -> Any:
    """Return the inputs of the model: token ids, and linear logits if the model has that input."""
    return ids if linear_model is None else [ids, linear.linear_logits(corpus, *linear_model)]


def vectorize_seconds(tokenizer: Tokenizer, texts: list[str], width: int) -> float:
    """Time TextVectorization with the run's vocabulary."""
    words = [tokenizer.id_to_token(i) for i in range(2, tokenizer.vocab_size)]
    layer = keras.layers.TextVectorization(output_sequence_length=width, vocabulary=words)
    layer(texts[:1])
    start = time.perf_counter()
    layer(texts)
    return time.perf_counter() - start


def main(run_path: str, texts_path: str, singles: int, labels_path: str, out: str) -> None:
    """Measure."""
    run = RunDir(Path(run_path))
    texts = Path(texts_path).read_text(encoding="utf-8").split("\n")[:-1]
    model, tokenizer, width, linear_model = load(run)
    ready = clock.age()

    start = time.perf_counter()
    corpus = encode(texts, tokenizer)
    ids = padded(corpus, width)
    tokenize_seconds = time.perf_counter() - start
    start = time.perf_counter()
    outputs = model.predict(inputs(corpus, ids, linear_model), verbose=0)
    predict_seconds = time.perf_counter() - start
    peak = clock.peak_mb()

    latencies = []
    for index in range(min(singles, len(ids))):
        start = time.perf_counter()
        one = corpus.take(np.array([index]))
        model.predict(inputs(one, ids[index : index + 1], linear_model), verbose=0)
        latencies.append(1000 * (time.perf_counter() - start))
    rows = np.hstack([1 - outputs, outputs]) if outputs.shape[1] == 1 else outputs
    labels = run.labels()
    answers = [[labels[int(row.argmax())], float(row.max())] for row in rows]
    clock.write(labels_path, answers)
    result = {
        "num": len(texts),
        "ready_seconds": ready,
        "tokenize_seconds": tokenize_seconds,
        "predict_seconds": predict_seconds,
        "vectorize_seconds": vectorize_seconds(tokenizer, texts, width),
        "peak_mb": peak,
        "latency_ms": latencies,
    }
    clock.write(out, result)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5])
