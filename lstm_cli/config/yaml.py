"""YAML as people write it: within limits, and with the place of what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from lstm_cli.errors import ExitCode, LstmError

_MAX_MERGED = 1000
_MAX_BRACKETS = 1000
# What PyYAML raises beside its own: `!!int x`, `!!bool x`, `!!timestamp x`, nesting without end.
NO_YAML = (
    yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
    OverflowError,
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Plain YAML, in which no key of a mapping may stand twice: the last would win unseen."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._merging: set[yaml.MappingNode] = set()
        self._num_merged = 0

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping, and see that its keys differ."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"the key '{shortened(key.value)}' stands here a second time",
                    key.start_mark,
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge mappings (`<<: *base`) while they are few in the whole text.

        They are counted before they are copied: references may name a large mapping many times.
        """
        if node in self._merging:
            raise yaml.constructor.ConstructorError(
                None, None, "the mapping is merged into itself", node.start_mark
            )
        self._merging.add(node)
        for source in _merged_into(node):
            self.flatten_mapping(source)
            self._num_merged += max(1, len(source.value))
            if self._num_merged > _MAX_MERGED:
                raise yaml.constructor.ConstructorError(
                    None,
                    None,
                    f"over {_MAX_MERGED:,} settings merged by reference",
                    node.start_mark,
                )
        super().flatten_mapping(node)
        self._merging.discard(node)


def _merged_into(node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    """Yield the mappings that a mapping takes settings from."""
    for key, merged in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            sources = merged.value if isinstance(merged, yaml.SequenceNode) else [merged]
            yield from (source for source in sources if isinstance(source, yaml.MappingNode))


def value(text: str) -> Any:
    """Parse YAML.

    Raises:
        yaml.YAMLError: It is none, or stands for more than it has room for.
        ValueError: Likewise; see `NO_YAML` for what else there is.
    """
    # Each opened bracket makes the scanner look at all those before it.
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        raise ValueError(f"it holds over {_MAX_BRACKETS:,} lists and mappings in brackets")
    return yaml.load(text, _Loader)


def mapping(text: str, where: str) -> dict[str, Any]:
    """Parse YAML whose top level must be a mapping.

    Args:
        text: The YAML; nothing is an empty mapping.
        where: What to name in errors: a path, `preset imdb`.

    Raises:
        LstmError: It is none (exit code 2).
    """
    try:
        parsed = value(text)
    except yaml.YAMLError as error:
        raise LstmError(f"{where}{_place(error, text)}.", "", ExitCode.USAGE) from None
    except NO_YAML as error:
        told = f"{error}"[:200]
        raise LstmError(f"{where} is not readable as YAML: {told}.", "", ExitCode.USAGE) from None
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise LstmError(
            f"{where}: expected sections such as 'model:', found {type(parsed).__name__}.",
            "See 'lstm config show imdb'.",
            ExitCode.USAGE,
        )
    return parsed


def _place(error: yaml.YAMLError, text: str) -> str:
    """Say at which line and column YAML gave up, and why."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "not readable as YAML"
        return f", line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f", line {line}, column {column}: character {error.character!r} is not allowed"
    return ": not readable as YAML"


def shortened(text: str) -> str:
    """Shorten what was typed or read to what fits a line."""
    return text if len(text) <= 80 else f"{text[:79]}…"
