"""What stands beside a model in a folder, so that any program can use it: labels, README, ..."""

from __future__ import annotations

import json
from pathlib import Path

from lstm_cli.export import staging
from lstm_cli.export.engines import ENGINES
from lstm_cli.export.result import Format, Quantize
from lstm_cli.export.source import Source
from lstm_cli.io.atomic_write import write_atomic
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import markdown
from lstm_cli.render.environment import Markup
from lstm_cli.runs import onnx_graph
from lstm_cli.text import ngrams, tokenizer_json

TOKENIZER, LABELS, EXAMPLE, README = "tokenizer.json", "labels.json", "example.py", "README.md"
PEEPHOLE = "peephole.py"
# A README lists so many classes.
_MAX_LABELS = 20
_TEMPLATES = Path(__file__).with_name("templates")


def model_path(folder: Path, format_: Format) -> Path:
    """Return where the model of a format is in its folder."""
    return folder / ENGINES[format_].model


def write_beside(source: Source, folder: Path, format_: Format, how: Quantize = "none") -> None:
    """Write everything but the model, whose size the README says.

    Args:
        source: The run.
        folder: Has the model already.
        format_: A format that is a folder.
        how: How the weights are stored.

    Raises:
        LstmError: A file cannot be written.
    """
    tokenizer = source.predictor.tokenizer
    contents = {
        LABELS: (json.dumps(source.predictor.labels) + "\n").encode(),
        EXAMPLE: render_example(source, format_).encode(),
        README: _render_readme(source, folder, format_, how).encode(),
        staging.FOLDER_MARK: b"",
    }
    if tokenizer is not None:
        contents[TOKENIZER] = tokenizer_json.write(tokenizer).encode()
    for name, content in contents.items():
        write_atomic(folder / name, content)


def needs_peephole(source: Source, format_: Format) -> bool:
    """Return whether a model needs the file `peephole.py`: Keras has no layer for peepholes."""
    return format_ == "keras" and source.config.model.cell == "peephole"


def render_example(source: Source, format_: Format) -> str:
    """Return a program that predicts with the folder alone."""
    engine, tokenizer = ENGINES[format_], source.predictor.tokenizer
    imports = engine.imports
    if needs_peephole(source, format_):
        imports += "\nimport peephole  # the cell of the LSTM, in this folder"
    values: dict[str, object] = {"IMPORTS": imports, "OPENING": engine.opening}
    if tokenizer is None:
        rows, columns = source.predictor.shape or (0, 0)
        call = (engine.image_call or engine.call).replace("INPUTS", '{"images": images}')
        opening = engine.opening.partition("\n")[0]
        values |= {"ROWS": rows, "COLUMNS": columns, "CALL": call, "OPENING": opening}
        return _fill("example_image.py.txt", values)
    inputs = '"tokens": tokens'
    if engine.has_lengths:
        inputs += ', "lengths": np.array([*map(len, rows)], np.int32)'
    values |= {"INPUTS": inputs, "CALL": engine.call.replace("INPUTS", "inputs")}
    values |= {"HEAD": (tokenizer.max_tokens + 1) // 2, "TAIL": tokenizer.max_tokens // 2}
    values |= {"BUCKETS": tokenizer.char_buckets, "MAX_WORD": ngrams.MAX_WORD_CHARS}
    name = "example_chars.py.txt" if tokenizer.char_buckets else "example_text.py.txt"
    return _fill(name, values)


def _fill(template: str, values: dict[str, object]) -> str:
    text = (_TEMPLATES / template).read_text("utf-8")
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", str(value))
    return text


def _by_class(predictor: Predictor) -> tuple[list[str], list[str]]:
    """Return thresholds and smallest probabilities for an answer, by class: `positive 0.6200`."""
    first, second = (
        [f"{label[:80]} {value:.4f}" for label, value in [*(values or {}).items()][:_MAX_LABELS]]
        for values in predictor.decision.by_class(predictor.labels)
    )
    return first, second


def _render_readme(source: Source, folder: Path, format_: Format, how: Quantize) -> str:
    predictor, tokenizer = source.predictor, source.predictor.tokenizer
    engine, thresholds = ENGINES[format_], predictor.thresholds
    decision, minimum = _by_class(predictor)
    return markdown.render(
        _TEMPLATES / "README.md",
        run=predictor.run.name,
        format=format_,
        engine=engine,
        engine_name=Markup(engine.name),
        what=Markup(engine.what),
        num_bytes=f"{staging.size(model_path(folder, format_)):,}",
        quantize=how,
        opset=onnx_graph.OPSET,
        has_peephole=needs_peephole(source, format_),
        labels=[label[:80] for label in predictor.labels[:_MAX_LABELS]],
        num_labels=len(predictor.labels),
        is_text=tokenizer is not None,
        shape=predictor.shape,
        border=predictor.border,
        max_tokens=tokenizer and tokenizer.max_tokens,
        has_chars=bool(tokenizer and tokenizer.char_buckets),
        has_similar=bool(tokenizer and tokenizer.min_similarity),
        columns=predictor.text_columns,
        decision=decision,
        minimum=minimum,
        thresholds=None
        if thresholds is None
        else [f"{one:.4f}" for one in thresholds[:_MAX_LABELS]],
        example=render_example(source, format_).rstrip(),
    )
