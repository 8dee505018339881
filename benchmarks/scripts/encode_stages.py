"""Read, check and encode a table as training does, without the network; memory by stage.

Usage: encode_stages.py TABLE RESULT.json

Peaks are of resident memory, in MiB, in one process without TensorFlow. `train` is one pass over
the batches of an epoch, without computing anything. Linux only.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from lstm_cli.checks import quick_check
from lstm_cli.config.schema import LinearSettings, TextSettings
from lstm_cli.data import DataSource, load
from lstm_cli.models import linear, linear_sample
from lstm_cli.models.linear_features import LinearTables
from lstm_cli.text import batching
from lstm_cli.text.corpus import Corpus, grow_and_encode

_BATCH_SIZE, _CHAR_BUCKETS = 256, 1 << 16
_SETTINGS = LinearSettings(char_ngrams="unknown", char_buckets=_CHAR_BUCKETS)


class Stages:
    """Seconds, CPU seconds and peak memory of each stage.

    Attributes:
        results: By name of the stage.
    """

    def __init__(self) -> None:
        self.results: dict[str, dict[str, float]] = {}
        self._start()

    def _start(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # Resets the peak.
        self._began = time.perf_counter(), time.process_time()

    def end(self, name: str) -> None:
        """End a stage, and start the next one."""
        status = Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 2**10
        seconds, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        self.results[name] = {"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak}
        self._start()


def main() -> None:
    """Measure, and write the result."""
    _, table, path = sys.argv
    stages = Stages()
    source = DataSource(table, validation_fraction=0.01, test_fraction=0.01)
    dataset = load(source)
    stages.end("read")
    checks = quick_check(dataset, source)
    stages.end("check")
    train = dataset.splits["train"]
    assert not isinstance(train.inputs, np.ndarray)
    encoded = grow_and_encode(train.inputs, TextSettings(min_count=5), _CHAR_BUCKETS)
    stages.end("encode")
    _use_linear_model(encoded.corpus, encoded.tokenizer.vocab_size)
    stages.end("linear")
    planned = batching.training_batches(encoded.corpus.lengths, _BATCH_SIZE, 0, 0)
    for batch in planned:
        batching.pad_batch(encoded.corpus.rows(batch))
    stages.end("train")
    result = {
        "texts": sum(map(len, dataset.splits.values())),
        "learned": len(checks.learned.inputs),
        "tokens": len(encoded.corpus.ids),
        "stages": stages.results,
    }
    Path(path).write_text(json.dumps(result))


def _use_linear_model(corpus: Corpus, vocab_size: int) -> None:
    """Do what this process does for the linear model; another one fits it."""
    num_features = linear_sample.count_features([corpus], _SETTINGS)
    rows = linear_sample.choose_rows(num_features, np.zeros(len(corpus), np.int32), seed=0)
    if rows is not None:
        corpus.take(rows)
    sizes = (vocab_size, _SETTINGS.buckets, _CHAR_BUCKETS)
    words, word_ngrams, chars = (np.zeros((size, 1), np.float32) for size in sizes)
    tables = LinearTables(words, word_ngrams, chars, np.zeros(1, np.float32))
    linear.linear_logits(corpus, tables, _SETTINGS)


if __name__ == "__main__":
    main()
