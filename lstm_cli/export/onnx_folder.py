"""A run as an ONNX graph with its tokenizer, an example and a README, for any program.

Smaller weights are stored as they are in `quantize`, and the graph begins by restoring them.
onnxruntime does that once, when it opens the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_cli.export import staging
from lstm_cli.export.quantize import Stored
from lstm_cli.export.result import Quantize
from lstm_cli.export.source import Source
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import markdown
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.onnx_plan import ELEMENT_TYPES, TrainedConstant
from lstm_cli.text import ngrams, tokenizer_json

if TYPE_CHECKING:
    import onnx

MODEL, TOKENIZER, LABELS = "model.onnx", "tokenizer.json", "labels.json"
EXAMPLE, README = "example.py", "README.md"
_TEMPLATES = Path(__file__).with_name("templates")
_SUFFIXES = ("_stored", "_scales", "_absolute", "_products", "_numbers")


def write_onnx(source: Source, arrays: Mapping[str, Stored], how: Quantize, folder: Path) -> None:
    """Write the folder.

    Args:
        source: The run.
        arrays: Its weights as they are stored.
        how: The name of that, for the README.
        folder: Does not exist yet.

    Raises:
        LstmError: A file cannot be written.
    """
    predictor = source.predictor
    model = build_model(source, arrays)
    contents = {
        MODEL: model.SerializeToString(deterministic=True),
        LABELS: (json.dumps(predictor.labels) + "\n").encode(),
        EXAMPLE: render_example(source).encode(),
        README: _render_readme(source, model, how).encode(),
        staging.FOLDER_MARK: b"",
    }
    if predictor.tokenizer is not None:
        contents[TOKENIZER] = tokenizer_json.write(predictor.tokenizer).encode()
    for name, content in contents.items():
        write_atomic(folder / name, content)


def build_model(source: Source, arrays: Mapping[str, Stored]) -> onnx.ModelProto:
    """Return the graph of a run, with weights as they are stored."""
    from onnx import numpy_helper

    weights = {name: array.restore() for name, array in arrays.items()}
    num_classes, shape = len(source.predictor.labels), source.predictor.shape
    model = onnx_graph.build(source.config, weights, num_classes, shape)
    tokenizer = source.predictor.tokenizer
    vocab_size = tokenizer.vocab_size if tokenizer else None
    plan = onnx_graph.plan(source.config, num_classes, vocab_size, shape)
    initializers, nodes = [], []
    for tensor in model.graph.initializer:
        constant = plan.constants[tensor.name]
        if not isinstance(constant, TrainedConstant) or not _is_smaller(constant, arrays):
            initializers.append(tensor)
            continue
        values = {name: arrays[name].values for name in constant.sources}
        stored = constant.make(values)
        initializers.append(numpy_helper.from_array(stored, f"{tensor.name}{_SUFFIXES[0]}"))
        nodes += _restore(tensor.name, constant, arrays, initializers)
    nodes += model.graph.node
    del model.graph.initializer[:]
    del model.graph.node[:]
    model.graph.initializer.extend(initializers)
    model.graph.node.extend(nodes)
    return model


def _is_smaller(constant: TrainedConstant, arrays: Mapping[str, Stored]) -> bool:
    return all(arrays[name].values.dtype.name != "float32" for name in constant.sources)


def _restore(
    name: str,
    constant: TrainedConstant,
    arrays: Mapping[str, Stored],
    initializers: list[Any],
) -> list[Any]:
    """Return the nodes that restore a constant; what they need is added to the initializers."""
    from onnx import helper, numpy_helper

    parts = {name: arrays[name].scales for name in constant.sources}
    stored, scales, absolute, products, numbers = (f"{name}{suffix}" for suffix in _SUFFIXES)
    to_float = {"to": ELEMENT_TYPES["float32"]}
    if any(part is None for part in parts.values()):
        return [helper.make_node("Cast", [stored], [name], **to_float)]
    scale_array = constant.make({key: part for key, part in parts.items() if part is not None})
    initializers.append(numpy_helper.from_array(scale_array.astype("float32"), scales))
    nodes = [helper.make_node("Cast", [stored], [numbers], **to_float)]
    if any(arrays[source].squared for source in constant.sources):
        nodes.append(helper.make_node("Abs", [numbers], [absolute]))
        nodes.append(helper.make_node("Mul", [numbers, absolute], [products]))
        numbers = products
    return [*nodes, helper.make_node("Mul", [numbers, scales], [name])]


def render_example(source: Source) -> str:
    """Return a program that predicts with the folder alone: onnxruntime, NumPy, tokenizers."""
    tokenizer = source.predictor.tokenizer
    if tokenizer is None:
        rows, columns = source.predictor.shape or (0, 0)
        template = (_TEMPLATES / "example_image.py.txt").read_text("utf-8")
        return template.replace("{ROWS}", str(rows)).replace("{COLUMNS}", str(columns))
    head, tail = (tokenizer.max_tokens + 1) // 2, tokenizer.max_tokens // 2
    name = "example_chars.py.txt" if tokenizer.char_buckets else "example_text.py.txt"
    template = (_TEMPLATES / name).read_text("utf-8")
    values = {"HEAD": head, "TAIL": tail, "BUCKETS": tokenizer.char_buckets}
    values["MAX_WORD"] = ngrams.MAX_WORD_CHARS
    for key, value in values.items():
        template = template.replace(f"{{{key}}}", str(value))
    return template


def _by_class(predictor: Predictor) -> list[str]:
    """Return the thresholds of a run with one label an input: `positive 0.6200`."""
    thresholds = predictor.decision.by_class(predictor.labels)[0]
    return [f"{label[:80]} {value:.4f}" for label, value in [*(thresholds or {}).items()][:20]]


def _render_readme(source: Source, model: onnx.ModelProto, how: Quantize) -> str:
    predictor, tokenizer = source.predictor, source.predictor.tokenizer
    thresholds = predictor.thresholds
    return markdown.render(
        _TEMPLATES / "README.md",
        run=predictor.run.name,
        quantize=how,
        opset=onnx_graph.OPSET,
        labels=[label[:80] for label in predictor.labels[:20]],
        num_labels=len(predictor.labels),
        is_text=tokenizer is not None,
        shape=predictor.shape,
        border=predictor.border,
        max_tokens=tokenizer and tokenizer.max_tokens,
        has_chars=bool(tokenizer and tokenizer.char_buckets),
        has_similar=bool(tokenizer and tokenizer.min_similarity),
        columns=predictor.text_columns,
        decision=_by_class(predictor),
        thresholds=None if thresholds is None else [f"{one:.4f}" for one in thresholds[:20]],
        example=render_example(source).rstrip(),
    )
