"""Finished runs made by hand from random weights: what prediction needs, and no Keras."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import safetensors.numpy

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.evaluation import metrics
from lstm_cli.models.calibration import num_outputs
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph, validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer

TEXTS = (
    "a fine film , a fine cast and not a dull moment",
    "a dull film and a dull cast",
    "not fine , not dull , just a film",
    "fine fine fine",
)
LABELS = ("negative", "positive")


def text_config(**overrides) -> Config:
    """A tiny text classifier; dotted settings as `model__units=3`."""
    base = {
        "data": {"name": "demo"},
        "text": {"min_count": 1, "max_tokens": 12},
        "embedding": {"dim": 4, "dropout": 0.0},
        "model": {"units": 3, "dropout": 0.0},
    }
    return configs.from_dict(base, {k.replace("__", "."): v for k, v in overrides.items()})


def image_config(**overrides) -> Config:
    """A tiny image classifier."""
    base = {"data": {"name": "digits"}, "image": {}, "model": {"units": 3, "dropout": 0.0}}
    return configs.from_dict(base, {k.replace("__", "."): v for k, v in overrides.items()})


def random_weights(config, num_classes, vocab_size=None, columns=None, seed=0):
    """Draw the arrays of a model, named as `models.get_weights` names them."""
    rng = np.random.default_rng(seed)
    weights = {}

    def draw(name, *shape):
        weights[name] = rng.normal(0, 0.8, shape).astype(np.float32)

    if config.embedding is not None:
        draw("embedding/embeddings", vocab_size, config.embedding.dim)
        width = config.embedding.dim
        if config.embedding.bigram_buckets:
            draw("bigrams/embeddings", config.embedding.bigram_buckets, config.embedding.bigram_dim)
            width += config.embedding.bigram_dim
        for size in config.embedding.region_widths:
            draw(f"region_embedding_{size}/embeddings", vocab_size, config.embedding.region_dim)
            draw(f"region_embedding_{size}/bias", config.embedding.region_dim)
            weights[f"region_embedding_{size}/embeddings"][:2] = 0
            width += config.embedding.region_dim
    else:
        width = config.image.window * columns
    for size in config.model.regions:
        draw(f"regions_{size}/kernel", size, width, config.model.region_units)
        draw(f"regions_{size}/bias", config.model.region_units)
    units = config.model.units
    directions = ("forward", "backward") if config.model.bidirectional else ("forward",)
    for index in range(config.model.layers):
        for direction in directions:
            name = f"lstm_{index}_{direction}"
            draw(f"{name}/kernel", width, 4 * units)
            draw(f"{name}/recurrent_kernel", units, 4 * units)
            draw(f"{name}/bias", 4 * units)
            if config.model.cell == "peephole":
                draw(f"{name}/peepholes", 3, units)
        width = units * len(directions)
    width *= 2 if config.model.pooling == "max_mean" else 1
    width += len(config.model.regions) * config.model.region_units
    outputs = num_outputs(num_classes, config.is_multi_label)
    draw("head/kernel", width, outputs)
    draw("head/bias", outputs)
    if config.linear is not None:
        draw("linear/scale", 1)
        draw("linear/words", vocab_size, outputs)
        draw("linear/word_ngrams", config.linear.buckets, outputs)
        draw("linear/biases", outputs)
        if config.char_buckets:
            draw("linear/char_ngrams", config.char_buckets, outputs)
            weights["linear/char_ngrams"][0] = 0
    return weights


def make_text_run(
    path: Path, labels=LABELS, config=None, started="2026-01-01T00:00:00+00:00", texts=TEXTS
):
    """Write a finished text run whose vocabulary is that of some texts."""
    config = config or text_config()
    tokenizer = Tokenizer.fit(texts, config.text, config.char_buckets)
    weights = random_weights(config, len(labels), tokenizer.vocab_size)
    run = _write(path, config, labels, weights, None, started)
    run.write_text(runs.TOKENIZER, tokenizer_json.write(tokenizer))
    inputs = ["", *texts]
    found = Predictor.from_files(run).text_probabilities(inputs)
    return _finish(run, inputs, found)


def make_multi_label_run(path: Path, labels=("joy", "love", "pride"), **overrides):
    """Write a finished run that gives a text any number of labels, with a linear model."""
    config = text_config(
        data__multi_label="|", linear__buckets=7, linear__char_ngrams="none", **overrides
    )
    return make_text_run(path, labels, config)


def make_image_run(
    path: Path, shape=(8, 8), started="2026-01-01T00:00:00+00:00", labels=None, **overrides
):
    """Write a finished image run, of ten classes unless others are named."""
    config, labels = image_config(**overrides), labels or tuple("0123456789")
    weights = random_weights(config, len(labels), columns=shape[1])
    run = _write(path, config, labels, weights, shape, started)
    images = np.random.default_rng(1).integers(0, 256, (2, *shape), dtype=np.uint8)
    return _finish(run, images.tolist(), Predictor.from_files(run).probabilities(images))


def make_language_run(path: Path, started="2026-01-01T00:00:00+00:00", **overrides):
    """Write a finished language model of random weights."""
    config = text_config(language__window=8, **overrides)
    tokenizer = Tokenizer.fit(TEXTS, config.text)
    rng = np.random.default_rng(0)
    shapes = validate.language_shapes(config, tokenizer.vocab_size)
    weights = {name: rng.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    path.mkdir(parents=True)
    run = RunDir(path)
    run.write_text(runs.CONFIG, configs.to_yaml(config))
    run.write_text(runs.TOKENIZER, tokenizer_json.write(tokenizer))
    run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(weights))
    held_out = {"loss": 1.0, "perplexity": 2.7, "num_words": 9, "unigram_perplexity": 3.0}
    held_out["forward"] = {"loss": 1.0, "perplexity": 2.7}
    run.write_json(runs.METRICS, {"best_epoch": 2, "held_out": held_out})
    line = {"steps": 3, "learning_rate": 0.1, "seconds": 1.0, "best": True, "perplexity": 2.7}
    lines = [{"epoch": n, **line, "loss": 1 / n, "val_loss": 1 / n} for n in (1, 2)]
    run.write_text(runs.HISTORY, "".join(map(runs.json_line, lines)))
    run.write_text(runs.CARD, "# card\n")
    info = info_of(config, (), started, "finished")
    del info["dataset"]["labels"]
    run.write_json(runs.RUN, info)
    run.write_manifest()
    return run


def info_of(config, labels, started, status="running"):
    """What `run.json` says once training began, and at its end."""
    dataset = {"name": config.data.name, "source": "texts", "kind": config.kind}
    dataset |= {"fingerprint": "f" * 64, "labels": list(labels), "sizes": {"train": 4}}
    begun = {"status": status, "kind": config.task, "data": config.data.name, "started": started}
    begun |= {"command": "lstm train it", "seed": config.seed, "versions": {"keras": "3.15"}}
    begun |= {"dataset": dataset, "parameters": 123, "device": "cpu", "kernel": "loop", "why": "so"}
    if status != "finished":
        return begun
    finished = {"epochs": 2, "best_epoch": 2, "stopped": "epoch 2 of 2 is done"}
    return begun | finished | {"seconds": {"train": 3.0, "total": 4.0}, "peak_memory_mb": 9}


def write_results(run, epochs=2):
    """Write record, metrics, history and card of a finished classifier, and list them."""
    config, labels = run.config(), run.labels()
    ids = np.arange(3 * len(labels), dtype=np.int32) % len(labels)
    rng = np.random.default_rng(0)
    if config.is_multi_label:
        ids = rng.integers(0, 2, (len(ids), len(labels)), np.int32)
    probabilities = rng.dirichlet(np.ones(len(labels)), len(ids)).astype(np.float32)
    report = metrics.compute(ids, probabilities, labels).to_dict()
    run.write_json(runs.METRICS, {"best_epoch": 2, "validation": report, "test": report})
    line = {"steps": 3, "accuracy": 0.5, "val_accuracy": 0.5, "learning_rate": 0.1, "seconds": 1.0}
    lines = [
        {"epoch": n, **line, "loss": 1 / n, "val_loss": 1 / n, "best": True, "stage": 1}
        for n in range(1, epochs + 1)
    ]
    run.write_text(runs.HISTORY, "".join(map(runs.json_line, lines)))
    run.write_text(runs.CARD, "# card\n")
    started = run.read_json(runs.RUN)["started"]
    run.write_json(runs.RUN, info_of(config, labels, started, "finished"))
    run.write_manifest()
    return run


def _write(path, config, labels, weights, shape, started) -> RunDir:
    path.mkdir(parents=True)
    run = RunDir(path)
    run.write_json(runs.RUN, info_of(config, labels, started))
    run.write_text(runs.CONFIG, configs.to_yaml(config))
    run.write_json(runs.LABELS, list(labels))
    if config.is_multi_label:
        run.write_json(runs.LABEL_THRESHOLDS, [0.3 + 0.1 * i for i in range(len(labels))])
    run.write_bytes(runs.WEIGHTS, safetensors.numpy.save(weights))
    model = onnx_graph.build(config, weights, len(labels), shape)
    run.write_bytes(runs.MODEL, model.SerializeToString())
    return run


def _finish(run, inputs, probabilities) -> RunDir:
    run.write_json(runs.GOLDEN, {"inputs": inputs, "probabilities": probabilities.tolist()})
    run.write_json(runs.RUN, {**run.read_json(runs.RUN), "status": "finished"})
    run.write_manifest()
    return run


def made(root, name, status="finished", started="2026-01-01T00:00:00+00:00", **record):
    """A run as far as `find` looks at it."""
    run = RunDir(root / name)
    run.path.mkdir(parents=True)
    run.write_json(runs.RUN, {"status": status, "started": started, **record})
    if status == "finished":
        run.write_manifest()
    return run


def snapshot(run):
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(run.path.rglob("*"))
    }


# Settings of a classifier of texts with every part.
EVERYTHING = {
    "embedding__bigram_buckets": 11,
    "embedding__bigram_dim": 2,
    "embedding__region_widths": [2, 5],
    "embedding__region_dim": 3,
    "linear__buckets": 13,
    "linear__word_ngrams": 3,
    "linear__char_ngrams": "unknown",
    "linear__char_buckets": 17,
    "model__regions": [2, 3],
    "model__region_units": 5,
    "model__bidirectional": True,
    "model__pooling": "max_mean",
}
