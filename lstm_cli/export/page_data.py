"""What the page of a run holds: settings, words, characters and weights, in one block of bytes.

The block is a JSON header with its size in front (4 bytes, little-endian), and the arrays behind
it, each at a multiple of 4. It is deflated, and written as base64.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from lstm_cli.config.schema import Config
from lstm_cli.export.quantize import Stored, is_table
from lstm_cli.export.source import Source
from lstm_cli.prediction.decision import MOST_PROBABLE
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.text.character_classes import character_classes
from lstm_cli.text.normalization import AM_VOWELS

_ALIGNMENT = 4


def encode(source: Source, arrays: Mapping[str, Stored]) -> str:
    """Return the data of a page as base64; the same run gives the same text.

    Args:
        source: The run.
        arrays: Its weights as they are stored.
    """
    body = bytearray()
    entries = [_entry(name, array, body) for name, array in arrays.items()]
    header: dict[str, Any] = {
        "model": _model(source),
        "config": _config(source),
        "arrays": entries,
    }
    tokenizer = source.predictor.tokenizer
    if tokenizer is not None:
        header["words"] = tokenizer.words
        header["classes"] = {
            name: "".join(_escape(first, last) for first, last in ranges)
            for name, ranges in character_classes().items()
        }
        header["tokenizer"] = {
            "max_tokens": tokenizer.max_tokens,
            "char_buckets": tokenizer.char_buckets,
            "min_similarity": tokenizer.min_similarity,
            "am_vowels": AM_VOWELS,
        }
    text = _encode_json(header)
    text += b" " * (-len(text) % _ALIGNMENT)
    block = len(text).to_bytes(4, "little") + text + bytes(body)
    return base64.b64encode(zlib.compress(block, 9)).decode("ascii")


def _encode_json(value: Any) -> bytes:
    """Return JSON in UTF-8; half of a surrogate pair, which UTF-8 does not have, as an escape."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _entry(name: str, array: Stored, body: bytearray) -> dict[str, Any]:
    """Append an array to the body, and return its entry in the header; places are relative."""
    entry: dict[str, Any] = {
        "name": name,
        "dtype": array.values.dtype.name,
        "size": array.values.size,
        "at": _append(body, array.values),
    }
    if array.scales is not None:
        entry["scales"] = {"at": _append(body, array.scales), "size": array.scales.size}
        entry |= {"rows": is_table(name), "squared": array.squared}
    return entry


def _append(body: bytearray, array: Any) -> int:
    body += bytes(-len(body) % _ALIGNMENT)
    place = len(body)
    body += array.astype(array.dtype.newbyteorder("<")).tobytes()
    return place


def _escape(first: int, last: int) -> str:
    start = f"\\u{{{first:x}}}"
    return start if first == last else f"{start}-\\u{{{last:x}}}"


def _config(source: Source) -> dict[str, Any]:
    """Return the settings that the script reads."""
    config, predictor = source.config, source.predictor
    values: dict[str, Any] = {
        "labels": predictor.labels,
        "multi_label": config.is_multi_label,
        "model": _fields(
            config.model,
            "units layers bidirectional pooling regions region_units",
        ),
        **_rule(predictor),
    }
    values["embedding"] = config.embedding and _fields(
        config.embedding, "dim bigram_buckets bigram_dim region_widths region_dim"
    )
    values["linear"] = config.linear and _fields(config.linear, "word_ngrams buckets")
    values["image"] = config.image and {
        **_fields(config.image, "window stride border"),
        "shape": predictor.shape,
    }
    return values


def _fields(settings: Any, names: str) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in names.split()}


def _rule(predictor: Predictor) -> dict[str, Any]:
    """Return the thresholds, and the smallest probabilities for an answer, by class."""
    thresholds, least = predictor.thresholds, None
    if thresholds is None and predictor.decision is not MOST_PROBABLE:
        thresholds, least = predictor.decision.thresholds, predictor.decision.min_probabilities
    return {
        "thresholds": None if thresholds is None else thresholds.tolist(),
        "min_probabilities": None if least is None else least.tolist(),
    }


def _model(source: Source) -> dict[str, Any]:
    """Return what the server answers at `/v1/model`, as far as the page reads it."""
    predictor, config = source.predictor, source.config
    return {
        "run": predictor.run.name,
        "kind": predictor.kind,
        "labels": predictor.labels,
        "dataset": _data_name(config),
        "max_tokens": predictor.tokenizer and predictor.tokenizer.max_tokens,
        "shape": predictor.shape,
        "examples": source.examples,
        "thresholds": None
        if predictor.thresholds is None
        else dict(zip(predictor.labels, predictor.thresholds.tolist(), strict=True)),
        "text_columns": predictor.text_columns,
    }


def _data_name(config: Config) -> str:
    """Return the name of the data without the folders of whoever trained."""
    return config.data.name.rstrip("/").rpartition("/")[2] or config.data.name
