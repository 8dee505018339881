"""`lstm predict`: texts or images in, one record for each out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lstm_cli.cli import options, table_options
from lstm_cli.cli.command import Conflict, check_conflicts

_Texts = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TEXT",
        help="Texts to classify; for a run trained on images, image files or folders of them. '-', "
        "or neither TEXT nor --file: one text, or file name, per line is read from the pipe.",
    ),
]
_File = Annotated[
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
_Out = Annotated[
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
_Keep = Annotated[
    Literal["all", "id", "none"] | None,
    typer.Option(
        "--keep",
        metavar="all|id|none",
        help="What of the input to write before each prediction: all its columns (of a line: its "
        "text), the column that identifies a row, or nothing.",
        show_default="all with --out or a folder, else none",
    ),
]
_IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column",
        metavar="NAME",
        help="Column that --keep id writes.",
        show_default="that of the run, else 'id'",
    ),
]
_OnError = Annotated[
    Literal["record", "stop"],
    typer.Option(
        "--on-error",
        metavar="record|stop",
        help="For a row or image that cannot be read: 'record' writes an empty record with the "
        "reason and goes on, 'stop' ends with exit code 1.",
    ),
]
_Format = Annotated[
    Literal["auto", "table", "tsv", "csv", "jsonl", "parquet"],
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="What to write: table, tsv, csv, jsonl or parquet. auto: as the name of --out says; "
        "without --out a table on a terminal, else tsv.",
    ),
]
_Header = Annotated[
    bool,
    typer.Option(
        "--header",
        help="Print a first line with the names of the columns (TSV, CSV). A file always has it.",
    ),
]
_Threshold = Annotated[
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
_MinProbability = Annotated[
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
_TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        metavar="K",
        min=1,
        help="Print only the K most probable classes.",
        show_default="all classes; 5 in a table",
    ),
]
_Rank = Annotated[
    Literal["uncertain"] | None,
    typer.Option(
        "--rank",
        metavar="uncertain",
        help="For people who label next: print the texts in the order in which a label would teach "
        "most, with their number in the input.",
        show_default="the order of the input",
    ),
]
_First = Annotated[
    int,
    typer.Option(
        "--first",
        metavar="N",
        min=1,
        help="With --rank: print the first N of the ranking; memory grows with N.",
    ),
]
_Stats = Annotated[
    Path | None,
    typer.Option(
        "--stats",
        metavar="FILE",
        help="Also write what the inputs look like (JSON): number, unknown words, lengths, labels "
        "and confidence. 'lstm runs drift' compares it with validation.",
        show_default="no file",
    ),
]
_Engine = Annotated[
    Literal["local", "ray"],
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="Where several files are predicted: on this machine, or on the machines of a Ray "
        "cluster.",
    ),
]
_Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        metavar="N",
        min=1,
        help="Predict N files at a time, each in a process of its own.",
        show_default="1; with --engine ray as many as its cores allow",
    ),
]
_Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        min=1,
        help="Threads of each process; with --engine ray, its cores.",
        show_default="the cores, shared by the processes; 1 with --engine ray",
    ),
]
_Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Of the Ray cluster: 'auto' for the one this machine belongs to, or HOST:PORT.",
        show_default="RAY_ADDRESS, else a cluster of this machine alone",
    ),
]
_READING = (
    "--text-column", "--input-format", "--encoding", "--delimiter", "--quoting", "--no-header",
)  # fmt: skip
_CONFLICTS = (
    Conflict("TEXT", ("--file",), "the texts are on the command line"),
    Conflict("TEXT", _READING, "it is for files and the pipe"),
    Conflict("--out", ("--header",), "a file always starts with the names of its columns"),
    Conflict("--rank", ("--keep", "--id-column"), "a ranking has the texts, and their numbers"),
    Conflict("--rank", ("--stats",), "repeated texts are left out of a ranking"),
)
_WITHOUT_COLUMNS = (Conflict("", ("--header",), "only --format tsv and csv have a header line"),)
_IMAGE_RUN = (Conflict("", (*_READING, "--rank"), "the run classifies images"),)
_WITHOUT_RANK = (Conflict("", ("--first",), "it needs --rank"),)
_LOCAL = (Conflict("", ("--address",), "it is for --engine ray"),)
_PARTS = (
    Conflict("", ("TEXT",), "the texts are in files; name several with several --file"),
    Conflict("", ("--rank", "--header"), "several files are predicted, each on its own"),
)
_ONE_FILE = (Conflict("", ("--jobs",), "it is for several files (--file 'part-*.csv')"),)
_WITHOUT_ID = (Conflict("", ("--id-column",), "it is for --keep id"),)


def command(
    ctx: typer.Context,
    inputs: _Texts = None,
    file: _File = None,
    out: _Out = None,
    keep: _Keep = None,
    id_column: _IdColumn = None,
    text_column: table_options.RunTextColumn = None,
    input_format: table_options.InputFormat = None,
    encoding: table_options.Encoding = None,
    delimiter: table_options.Delimiter = None,
    quoting: table_options.Quoting = None,
    no_header: table_options.NoHeader = False,
    run: options.Run = None,
    runs_dir: options.RunsDir = None,
    format_: _Format = "auto",
    header: _Header = False,
    on_error: _OnError = "record",
    threshold: _Threshold = None,
    min_probability: _MinProbability = None,
    top_k: _TopK = None,
    rank: _Rank = None,
    first: _First = 1000,
    stats: _Stats = None,
    engine: _Engine = "local",
    jobs: _Jobs = None,
    threads: _Threads = None,
    address: _Address = None,
) -> None:
    """Classify texts or images: one record for each input, in order, empty lines included.

    A record has the label, its probability, the probability of each class, the number of tokens,
    whether the middle of the text was left out, and the share of unknown tokens. The label is empty
    if the probability is too low for an answer (--min-probability, or the thresholds of the run).
    With --top-k, each probability has the name of its class before it. With several labels a text,
    the first two columns hold all labels over their thresholds, and the probabilities of these.

    With --out, the columns of the input come first, then these, with 'prediction_' before their
    names; in JSON, under the key 'prediction'. If the input has such names, it is 'prediction2'.

    A row or image that cannot be read gets an empty record with the reason in the column 'error';
    stderr says how many there are. The exit code is then 0, and 1 if none can be read. Bytes that
    are not UTF-8 are replaced; stderr says in how many lines.

    --rank uncertain prints the texts whose two highest probabilities are the closest first, and
    near copies of a text before them later. A record then also has its number in the input, its
    uncertainty and its text. Repeated and empty texts are left out.

    For example:

    ```
    lstm predict "A triumph."
    lstm predict --file tickets.csv --out labelled.csv
    lstm predict --file reviews.csv --format jsonl
    lstm predict --file tickets.csv --min-probability 0.8 --out answers.csv --keep id
    cut -f2 reviews.tsv | lstm predict | cut -f1
    lstm predict --file new.csv --rank uncertain --first 100 --out to_label.csv
    lstm predict --file today.csv --out answers.csv --stats today.json
    lstm predict --run mnist digit.png
    lstm predict --run shapes new/ --out answers.csv
    lstm predict --file 'parts/*.parquet' --out answers/ --jobs 4
    lstm predict --engine ray --address auto --file 's3://bucket/*.csv' --out s3://bucket/answers
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.inputs import PIPE, Inputs, check_texts, typed_run
    from lstm_cli.cli.predict_parts import (
        PartsRequest,
        check_expanded,
        has_parts,
        predict_parts,
    )
    from lstm_cli.cli.predict_records import Request, predict_records, rank_records
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.cli.text_columns import note_columns
    from lstm_cli.cli.write_predictions import check_out, check_stats, resolve_format
    from lstm_cli.prediction.answers import Rule
    from lstm_cli.prediction.predictor import Predictor
    from lstm_cli.prediction.write_file import Content

    check_expanded(file or (), inputs or ())
    check_conflicts(ctx, _CONFLICTS if rank else (*_CONFLICTS, *_WITHOUT_RANK))
    check_stats(stats, (*(file or ()), *(inputs or ())), out)
    read_options = table_options.read_options(input_format, encoding, delimiter, quoting, no_header)
    if engine == "local":
        check_conflicts(ctx, _LOCAL)
    if engine == "ray" or has_parts(file or ()):
        check_conflicts(ctx, _PARTS if keep == "id" or id_column else (*_PARTS, *_WITHOUT_ID))
        predict_parts(
            PartsRequest(
                file or [], out, run, runs_dir, format_, text_column or [], read_options,
                keep or ("id" if id_column else "all"), id_column, top_k,
                Rule(threshold, min_probability, on_error == "stop"),
                engine, jobs, threads, address, stats,
            )
        )  # fmt: skip
        return
    check_conflicts(ctx, _ONE_FILE)
    out_path = None if out is None or out == PIPE else Path(out)
    source = Inputs.of(inputs, Path(file[0]) if file else None, text_column, read_options)
    keep = keep or ("id" if id_column else "all" if out_path else None)
    if keep != "id":
        check_conflicts(ctx, _WITHOUT_ID)
    check_out(out_path, (source.file, *source.words))
    format_name = resolve_format(format_, out_path)
    if format_name not in ("tsv", "csv"):
        check_conflicts(ctx, _WITHOUT_COLUMNS)
    predictor = Predictor.load(find_run(run, runs_dir, "text"), threads)
    if predictor.kind == "image":
        check_conflicts(ctx, _IMAGE_RUN)
        # Without the names, nobody knows which image of a folder a record is of.
        keep = keep or ("all" if source.has_folder else "none")
        source, notes = source.of_images()
        for note in notes:
            output.print_note(f"Note: {note}")
    else:
        check_texts(source.words, predictor.run.name, typed_run("predict", run))
        note_columns(source.words, predictor.text_columns)
    predictor.check_rule(threshold, min_probability)
    rule = Rule(threshold, min_probability, on_error == "stop")
    kept = keep or "none"
    content = Content(format_name, header, top_k, kept, id_column)
    request = Request(predictor, source, rule, content, out_path, stats)
    if rank is None:
        predict_records(request)
    else:
        rank_records(request, first)
