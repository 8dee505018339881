"""Options for tables: their columns and their format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from lstm_cli.data.readers.read_options import ReadOptions

# Boxes of the help for options of one kind.
_COLUMNS, _FORMAT = "Columns of tables", "Format of tables"
_TEXT_FOUND = "found by its name: text, review, sentence, content, body, ..."
_LABEL_FOUND = "found by its name: label, sentiment, class, category, target"
_OF_RUN = "the run's, else "


def _text_column(default: str) -> Any:
    return typer.Option(
        "--text-column",
        metavar="NAME",
        help="Column of a table that holds the text. Repeatable: the values of several columns are "
        "joined, in this order.",
        show_default=default,
        rich_help_panel=_COLUMNS,
    )


def _label_column(default: str) -> Any:
    return typer.Option(
        "--label-column",
        metavar="NAME",
        help="Column of a table that holds the label.",
        show_default=default,
        rich_help_panel=_COLUMNS,
    )


TextColumn = Annotated[list[str] | None, _text_column(_TEXT_FOUND)]
LabelColumn = Annotated[str | None, _label_column(_LABEL_FOUND)]
# Of commands that read other data with a run.
RunTextColumn = Annotated[list[str] | None, _text_column(_OF_RUN + _TEXT_FOUND)]
RunLabelColumn = Annotated[str | None, _label_column(_OF_RUN + _LABEL_FOUND)]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        metavar="NAME",
        help="Column of a table that names its rows: errors, predictions and findings give it.",
        show_default="rows have numbers",
        rich_help_panel=_COLUMNS,
    ),
]
WeightColumn = Annotated[
    str | None,
    typer.Option(
        "--weight-column",
        metavar="NAME",
        help="Column of a table with the weight of each row in training, a number of 0 or more: a "
        "row of weight 2 counts twice, one of weight 0 is left out.",
        show_default="all rows weigh 1",
        rich_help_panel=_COLUMNS,
    ),
]
MultiLabel = Annotated[
    str | None,
    typer.Option(
        "--multi-label",
        metavar="SEP",
        help="A text has any number of labels, separated by SEP in the label column (an empty "
        "cell: none). 'list': JSON lists. 'none': the whole cell is one label.",
        show_default="found by itself",
        rich_help_panel=_COLUMNS,
    ),
]
LabelColumns = Annotated[
    str | None,
    typer.Option(
        "--label-columns",
        metavar="A,B,...",
        help="A text has any number of labels: columns of a table with 1 or 0, one for each label.",
        show_default="one column of labels",
        rich_help_panel=_COLUMNS,
    ),
]
InputFormat = Annotated[
    Literal["csv", "tsv", "jsonl", "json", "fasttext", "parquet", "arrow", "lines"] | None,
    typer.Option(
        "--input-format",
        metavar="FORMAT",
        help="Format of a table: csv, tsv, jsonl (an object per line), json (objects in an array "
        "or over several lines), fasttext, parquet, arrow, or lines (one text per line).",
        show_default="what the content shows",
        rich_help_panel=_FORMAT,
    ),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="Text encoding of tables and text files, such as windows-1252, latin-1 or shift_jis.",
        show_default="UTF-8, or found by itself",
        rich_help_panel=_FORMAT,
    ),
]
Delimiter = Annotated[
    str | None,
    typer.Option(
        "--delimiter",
        metavar="CHAR",
        help="What separates the fields of CSV and TSV: one character, or tab, comma, semicolon, "
        "pipe, space.",
        show_default="found by itself",
        rich_help_panel=_FORMAT,
    ),
]
Quoting = Annotated[
    Literal["none"] | None,
    typer.Option(
        "--quoting",
        metavar="none",
        help="Read double quotes in CSV and TSV as characters like others.",
        show_default="a field may stand between double quotes",
        rich_help_panel=_FORMAT,
    ),
]
NoHeader = Annotated[
    bool,
    typer.Option(
        "--no-header",
        help="The first line of CSV and TSV is a row. The columns are named by their numbers: "
        "--text-column 1 --label-column 2.",
        rich_help_panel=_FORMAT,
    ),
]


@dataclass(frozen=True)
class TableFormatOptions:
    """The options that say how to read a table."""

    input_format: InputFormat = None
    encoding: Encoding = None
    delimiter: Delimiter = None
    quoting: Quoting = None
    no_header: NoHeader = False

    def read_options(self) -> ReadOptions:
        """Return how to read tables.

        Raises:
            LstmError: The encoding is unknown, or the delimiter is not one character (exit code 2).
        """
        from lstm_cli.data.readers.read_options import ReadOptions

        typed = {
            "format": self.input_format,
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "quoting": self.quoting,
            "header": False if self.no_header else None,
        }
        given: dict[str, Any] = {name: value for name, value in typed.items() if value is not None}
        return ReadOptions(**given)

    def overrides(self) -> dict[str, Any]:
        """Return the settings that the options change, by dotted key.

        Raises:
            LstmError: As `read_options`.
        """
        return {f"data.{name}": value for name, value in self.read_options().changed().items()}


def split_columns(names: str | None) -> tuple[str, ...]:
    """Return the columns that `--label-columns` names; none without it."""
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())
