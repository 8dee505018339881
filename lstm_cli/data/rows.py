"""Labeled texts with their rows, as `lstm data check` reads them: nothing is split or dropped."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lstm_cli.data.dataset_settings import locate
from lstm_cli.data.readers.coded import CodedWriter
from lstm_cli.data.readers.columns import find_column
from lstm_cli.data.readers.folder import class_files, describe_unread, find_splits, read_folder
from lstm_cli.data.readers.label_sets import (
    AUTO,
    LIST,
    LabelSet,
    check_columns,
    label_value,
    resolve_format,
    set_columns,
    split_values,
)
from lstm_cli.data.readers.read_options import DEFAULT, ReadOptions
from lstm_cli.data.readers.row import Found
from lstm_cli.data.readers.row_columns import RowColumns
from lstm_cli.data.readers.table import iter_texts, require_table
from lstm_cli.data.registry import open_raw, resolve
from lstm_cli.data.source import DataSource
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import paths
from lstm_cli.io.text_store import TextWriter


@dataclass(frozen=True)
class LabeledRows:
    """The texts of a file, of a folder of class folders, or of a split of a data set.

    Attributes:
        name: As shown to people.
        texts: In the order of the source.
        labels: The label of each text as it is written; empty where there is none.
        rows: Of each text the line it starts at, its number (both from 1), or the name of its file.
        label_sets: The labels of each text; None if each text has at most one label.
        notes: Remarks on how a table was read.
        ids: The id of each text, empty where it has none; None without ids.
    """

    name: str
    texts: Sequence[str]
    labels: Sequence[str]
    rows: Sequence[int] | Sequence[str]
    label_sets: Sequence[LabelSet] | None = None
    notes: tuple[str, ...] = ()
    ids: Sequence[str] | None = None

    def place(self, index: int) -> str:
        """Return where a text is: `test.csv:12`, `folder/positive/7.txt`; or `test.csv:ID`."""
        row = self.rows[index]
        if self.ids is not None:
            return f"{self.name}:{self.ids[index] or f'line {row}'}"
        return f"{self.name}/{row}" if isinstance(row, str) else f"{self.name}:{row}"


@dataclass(frozen=True)
class _Table:
    """A table as read; how several labels are written is found later."""

    name: str
    texts: Sequence[str]
    values: Sequence[str | LabelSet]
    lines: Sequence[int]
    file: Found
    ids: Sequence[str] | None


def read_rows(
    files: Sequence[str],
    text_columns: tuple[str, ...] = (),
    label_column: str | None = None,
    data_dir: Path | None = None,
    multi_label: str = AUTO,
    label_columns: tuple[str, ...] = (),
    read_options: ReadOptions = DEFAULT,
    id_column: str | None = None,
) -> list[LabeledRows]:
    """Read labeled texts with their rows.

    Args:
        files: Tables, folders, or names of data sets; the latter two may give several parts.
        text_columns: The columns of the texts in tables.
        label_column: The column of the labels in tables.
        data_dir: The folder of the TFDS data sets.
        multi_label: The setting `data.multi_label`, for tables.
        label_columns: Columns of 0 and 1 in tables, one for each label.
        read_options: How to read tables.
        id_column: The column of tables that names their rows.

    Returns:
        One part for each table; for a folder of splits and for a data set, one for
        each split. Those with "train" in their name come first: a pattern such as `*.csv` gives
        test before train.

    Raises:
        LstmError: A source is missing, malformed, named twice, or holds images.
    """
    parts: list[LabeledRows] = []
    tables: list[_Table] = []
    for file, name in zip(files, short_names(files), strict=True):
        source = DataSource(
            locate(file),
            data_dir,
            text_columns,
            label_column,
            multi_label,
            label_columns,
            id_column=id_column if resolve(locate(file)) == "table" else None,
            read_options=read_options,
        )
        origin = resolve(source.name)
        if origin == "table":
            tables.append(_read_table(Path(source.name), name, source))
        elif origin == "folder":
            parts += _read_folder(Path(source.name), name, read_options)
        else:
            parts += _read_dataset(source, name)
    tables.sort(key=_is_not_train)
    # As for training: from the training table alone.
    values = tables[0].values if tables else ()
    written = resolve_format(LIST if label_columns else multi_label, values)
    for table in tables:
        labels, sets = split_values(table.values, written)
        notes = tuple(table.file.notes(table.name))
        part = LabeledRows(table.name, table.texts, labels, table.lines, sets, notes, table.ids)
        parts.append(part)
    return sorted(parts, key=_is_not_train)


def _is_not_train(part: LabeledRows | _Table) -> bool:
    return "train" not in part.name.lower()


def short_names(files: Sequence[str]) -> list[str]:
    """Return the last parts of paths, as many as it takes to tell them apart."""
    split = [paths.expand(file).absolute().parts for file in files]
    if len(set(split)) < len(split):
        twice = next(i for i, parts in enumerate(split) if parts in split[:i])
        raise LstmError(f"{files[twice]} is named twice.", "Name each file once.", ExitCode.USAGE)
    for length in range(1, max(map(len, split))):
        names = ["/".join(parts[-length:]) for parts in split]
        if len(set(names)) == len(names):
            return names
    return list(files)


def _read_table(path: Path, name: str, source: DataSource) -> _Table:
    row_columns = RowColumns(source.id_column, None, str(path))
    texts, lines, file = TextWriter(), array("q"), Found()
    values: CodedWriter[str | LabelSet] = CodedWriter()
    label_column = source.label_column
    for line, record, text, text_columns in iter_texts(
        path, source.text_columns, source.read_options, file
    ):
        place = f"{path}, line {line}"
        if not lines:
            require_table(file, path)
            if source.label_columns:
                present = [column for column in text_columns if column in record]
                check_columns(list(record), (*source.label_columns, *present), str(path))
            else:
                label_column = find_column(list(record), "label", label_column, str(path))
        row_columns.add(record, place)
        texts.append(text)
        values.append(
            set_columns(record, source.label_columns, place)
            if source.label_columns
            else label_value(record, str(label_column), place)
        )
        lines.append(line)
    if not lines:
        raise LstmError(f"{path} holds no rows.", "It needs a text and a label in each.")
    row_columns.finish()
    ids = row_columns.ids if source.id_column is not None else None
    return _Table(name, texts.finish(), values.finish(), lines, file, ids)


def _read_folder(path: Path, name: str, options: ReadOptions) -> Iterator[LabeledRows]:
    splits = find_splits(path)
    unread = tuple(describe_unread(path, splits))
    for part in splits.values():
        files = list(class_files(part))
        examples = read_folder(part, options)
        yield LabeledRows(
            name if part == path else f"{name}/{part.name}",
            examples.texts,
            [label for label, _ in files],
            [file.relative_to(part).as_posix() for _, file in files],
            notes=(*examples.notes, *(unread if part is splits["train"] else ())),
        )


def _read_dataset(source: DataSource, name: str) -> Iterator[LabeledRows]:
    raw = open_raw(source)
    if raw.kind != "text":
        raise LstmError(
            f"{name} holds {raw.kind}s; only texts can be checked.",
            f"See it with 'lstm data show {name}'.",
            ExitCode.USAGE,
        )
    for split_name, read in raw.read.items():
        split = read()
        yield LabeledRows(
            f"{name} {split_name}",
            [str(text) for text in split.inputs],
            [raw.labels[label] for label in split.labels.tolist()],
            range(1, len(split) + 1),
        )
