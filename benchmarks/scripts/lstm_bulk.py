"""Time prediction in one warm process: tokenization, model, stream, and single texts.

Usage: lstm_bulk.py RUN TEXTS.txt SINGLES RESULT.json
"""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import onnxruntime

from benchmarks import floor
from benchmarks.scripts import clock
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import MODEL, RunDir
from lstm_cli.text.tokenizer import Encoding

_WARM_UP = 20


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    """Call a function; return the seconds it takes and its result."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def lstm_seconds(predictor: Predictor, texts: Sequence[Encoding]) -> float:
    """Return the seconds of the LSTM operators alone, with one batch on each core.

    This is their time in the profile of onnxruntime, divided by the number of cores.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-bench-") as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        profiled = copy.copy(predictor)
        profiled._session = onnxruntime.InferenceSession(
            str(predictor.run.file(MODEL)), options, providers=["CPUExecutionProvider"]
        )
        profiled.run_texts(texts)
        events = json.loads(Path(profiled._session.end_profiling()).read_text())
    durations: list[int] = [
        event["dur"]
        for event in events
        if event.get("args", {}).get("op_name") == "LSTM" and event["name"].endswith("kernel_time")
    ]
    return sum(durations) / 1e6 / (os.cpu_count() or 1)


def main(run_path: str, texts_path: str, singles: int, out: str) -> None:
    """Measure."""
    run = RunDir(Path(run_path))
    texts = Path(texts_path).read_text(encoding="utf-8").split("\n")[:-1]
    predictor = Predictor.load(run)
    assert predictor.tokenizer is not None
    tokenizer = predictor.tokenizer

    for text in texts[:_WARM_UP]:
        predictor.predict(text)
    latencies = [timed(partial(predictor.predict, text))[0] for text in texts[:singles]]
    stream_seconds, _ = timed(lambda: sum(1 for _ in predictor.stream(texts)))
    peak = clock.peak_mb()
    tokenize_seconds, encodings = timed(lambda: tokenizer.encode(texts))
    compute_seconds, _ = timed(lambda: predictor.run_texts(encodings))
    tokens = sum(len(e.ids) for e in encodings)
    gflop = tokens * floor.lstm_flops(run.config()) / 1e9
    lstm_operators = lstm_seconds(predictor, encodings)
    result = {
        "num": len(texts),
        "tokens": tokens,
        "stream_seconds": stream_seconds,
        "stream_peak_mb": peak,
        "tokenize_seconds": tokenize_seconds,
        "compute_seconds": compute_seconds,
        "lstm_seconds": lstm_operators,
        "lstm_gflops": gflop / lstm_operators,
        "model_gflops": gflop / compute_seconds,
        "gemm_gflops": floor.gemm_rate(),
        "latency_ms": [1000 * seconds for seconds in latencies],
    }
    clock.write(out, result)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
