"""YAML with limits on its size, and with the line and column of errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import shorten

_MAX_MERGED = 1000
_MAX_BRACKETS = 1000
# PyYAML raises more than its own errors: for `!!int x`, `!!bool x`, `!!timestamp x`, deep nesting.
YAML_ERRORS = (
    yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
    OverflowError,
)  # fmt: skip


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses duplicate keys in a mapping."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._merging: set[yaml.MappingNode] = set()
        self._num_merged = 0

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping and refuse duplicate keys."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"duplicate key '{shorten(key.value)}'", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else id(key))
        return node

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge mappings (`<<: *base`) up to a limit for the whole text.

        Settings are counted before they are copied: a large mapping can be merged many times.
        """
        if node in self._merging:
            raise yaml.constructor.ConstructorError(
                None, None, "the mapping is merged into itself", node.start_mark
            )
        self._merging.add(node)
        for source in _merge_sources(node):
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


def _merge_sources(node: yaml.MappingNode) -> Iterator[yaml.MappingNode]:
    """Yield the mappings that are merged into a mapping."""
    for key, value in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            sources = value.value if isinstance(value, yaml.SequenceNode) else [value]
            yield from (source for source in sources if isinstance(source, yaml.MappingNode))


def parse_value(text: str) -> Any:
    """Parse YAML.

    Raises:
        yaml.YAMLError: The text is not valid YAML, or exceeds a limit.
        ValueError: The same; see `YAML_ERRORS` for the other errors.
    """
    # The scanner takes quadratic time in the number of open brackets.
    if text.count("[") + text.count("{") > _MAX_BRACKETS:
        raise ValueError(f"it has over {_MAX_BRACKETS:,} lists and mappings in brackets")
    return yaml.load(text, _Loader)


def parse_mapping(
    text: str,
    source: str,
    expected: str = "sections such as 'model:'",
    hint: str = "See 'lstm config show imdb'.",
) -> dict[str, Any]:
    """Parse YAML whose top level must be a mapping.

    Args:
        text: The YAML; an empty text is an empty mapping.
        source: Source of the text for error messages: a path, or `preset imdb`.
        expected: What the mapping has, for error messages.
        hint: Where to find an example, for error messages.

    Raises:
        LstmError: The text is not a valid YAML mapping (exit code 2).
    """
    try:
        parsed = parse_value(text)
    except yaml.YAMLError as error:
        raise LstmError(f"{source}{_describe_error(error, text)}.", "", ExitCode.USAGE) from None
    except YAML_ERRORS as error:
        reason = f"{error}"[:200]
        raise LstmError(f"{source} is not valid YAML: {reason}.", "", ExitCode.USAGE) from None
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise LstmError(
            f"{source}: expected {expected}, found {type(parsed).__name__}.", hint, ExitCode.USAGE
        )
    return parsed


def key_lines(text: str) -> dict[Any, int]:
    """Return the line of each key of the mapping at the top level, counted from 1.

    Args:
        text: YAML that `parse_mapping` accepts.
    """
    node = yaml.compose(text, _Loader)
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {key.value: key.start_mark.line + 1 for key, _ in pairs}


def _describe_error(error: yaml.YAMLError, text: str) -> str:
    """Return the line, column and reason of a YAML error."""
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        problem = getattr(error, "problem", None) or "not valid YAML"
        return f", line {mark.line + 1}, column {mark.column + 1}: {problem}"
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return f", line {line}, column {column}: character {error.character!r} is not allowed"
    return ": not valid YAML"
