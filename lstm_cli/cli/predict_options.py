"""The options of `lstm predict`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from lstm_cli.prediction.answers import Rule

Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="Texts to classify; for a run trained on images, image files or folders of them. '-', "
        "or neither TEXT nor --file: one text, or file name, per line is read from the pipe.",
    ),
]
File = Annotated[
    list[str] | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="Table (CSV, TSV, JSONL, JSON, fastText, Parquet, Arrow), or file with one text per "
        "line (for images, one file name), also compressed; '-' reads the pipe. A quoted pattern "
        "('part-*.csv'), several --file or a URL (s3://...): files that are predicted one by one.",
        show_default="the pipe",
    ),
]
Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Write to this file: .parquet, or .csv, .tsv or .jsonl, also with .gz, .bz2, .xz or "
        ".zst after it. It replaces an old file at the end, when it is complete. For several files "
        "a folder or URL: the answers of each get its name, and a second start of the command goes "
        "on after those that are written.",
        show_default="the standard output",
    ),
]
Keep = Annotated[
    Literal["all", "id", "none"] | None,
    typer.Option(
        "--keep",
        metavar="all|id|none",
        help="What of the input to write before each prediction: all its columns (of a line: its "
        "text), the column that identifies a row, or nothing.",
        show_default="all with --out or a folder, else none",
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        metavar="NAME",
        help="Column that --keep id writes.",
        show_default="that of the run, else 'id'",
    ),
]
OnError = Annotated[
    Literal["record", "stop"],
    typer.Option(
        "--on-error",
        metavar="record|stop",
        help="For a row or image that cannot be read: 'record' writes an empty record with the "
        "reason and goes on, 'stop' ends with exit code 1.",
    ),
]
Format = Annotated[
    Literal["auto", "table", "tsv", "csv", "jsonl", "parquet"],
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="What to write: table, tsv, csv, jsonl or parquet. auto: as the name of --out says; "
        "without --out a table on a terminal, else tsv.",
    ),
]
Header = Annotated[
    bool,
    typer.Option(
        "--header",
        help="Print a first line with the names of the columns (TSV, CSV). A file always has it.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="P",
        min=0,
        max=1,
        help="For two classes: choose the second if its probability is P or more. With several "
        "labels a text: choose each label from P on.",
        show_default="the run's, else 0.5",
    ),
]
MinProbability = Annotated[
    float | None,
    typer.Option(
        "--min-probability",
        metavar="P",
        min=0,
        max=1,
        help="Leave the label empty where the chosen class is less probable than P; stderr says "
        "how often. 0 for a label always.",
        show_default="the run's, else 0",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        min=1,
        help="Print only the K most probable classes.",
        show_default="all classes; 5 in a table",
    ),
]
Rank = Annotated[
    Literal["uncertain"] | None,
    typer.Option(
        "--rank",
        metavar="uncertain",
        help="For people who label next: print the texts in the order in which a label would teach "
        "most, with their number in the input.",
        show_default="the order of the input",
    ),
]
First = Annotated[
    int,
    typer.Option(
        "--first",
        metavar="N",
        min=1,
        help="With --rank: print the first N of the ranking; memory grows with N.",
    ),
]
Stats = Annotated[
    Path | None,
    typer.Option(
        "--stats",
        metavar="FILE",
        help="Also write what the inputs look like (JSON): number, unknown words, lengths, labels "
        "and confidence. 'lstm runs drift' compares it with validation.",
        show_default="no file",
    ),
]
Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Where several files are predicted: on this machine, or on the machines of a Ray "
        "cluster.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        help="Predict N files at a time, each in a process of its own.",
        show_default="1; with --engine ray as many as its cores allow",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Threads of each process; with --engine ray, its cores.",
        show_default="the cores, shared by the processes; 1 with --engine ray",
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Of the Ray cluster: 'auto' for the one this machine belongs to, or HOST:PORT.",
        show_default="RAY_ADDRESS, else a cluster of this machine alone",
    ),
]


@dataclass(frozen=True)
class OutOptions:
    """The options for where to write, and what of the input."""

    out: Out = None
    keep: Keep = None
    id_column: IdColumn = None


@dataclass(frozen=True)
class AnswerOptions:
    """The options for how to answer."""

    on_error: OnError = "record"
    threshold: Threshold = None
    min_probability: MinProbability = None

    def rule(self) -> Rule:
        """Return how records become answers."""
        from lstm_cli.prediction.answers import Rule

        return Rule(self.threshold, self.min_probability, self.on_error == "stop")


@dataclass(frozen=True)
class EngineOptions:
    """The options for where several files are predicted."""

    engine: Engine = "local"
    jobs: Jobs = None
    threads: Threads = None
    address: Address = None
