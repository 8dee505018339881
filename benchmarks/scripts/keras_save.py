"""Save the tutorial's model with its TextVectorization as a .keras file, for `keras_predict.py`.

The vocabulary is that of a run. The weights are random, because only the time matters.

Usage: keras_save.py RUN MODEL.keras RESULT.json
"""

from __future__ import annotations

import sys
from pathlib import Path

import keras

from benchmarks.scripts import clock
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import tokenizer_json


def main(run_path: str, model_path: str, out: str) -> None:
    """Build and save."""
    run = RunDir(Path(run_path))
    settings = run.config().text
    assert settings is not None
    tokenizer = tokenizer_json.read(run.read_bytes(runs.TOKENIZER), settings)
    words = [tokenizer.id_to_token(i) for i in range(2, min(20_000, tokenizer.vocab_size))]
    model = keras.Sequential(
        [
            keras.Input((1,), dtype="string"),
            keras.layers.TextVectorization(output_sequence_length=200, vocabulary=words),
            keras.layers.Embedding(20_000, 128),
            keras.layers.LSTM(128),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.save(model_path)
    clock.write(out, {})


if __name__ == "__main__":
    main(*sys.argv[1:])
