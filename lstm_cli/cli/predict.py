"""`lstm predict`: texts or images in, one record for each out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lstm_cli.cli import options, table_options
from lstm_cli.cli import predict_options as of_predict
from lstm_cli.cli.command import Conflict, check_conflicts
from lstm_cli.cli.option_groups import with_groups

if TYPE_CHECKING:
    from lstm_cli.cli.inputs import Inputs
    from lstm_cli.prediction.predictor import Predictor

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


@with_groups
def command(
    ctx: typer.Context,
    inputs: of_predict.Texts = None,
    *,
    file: of_predict.File = None,
    target: of_predict.OutOptions,
    text_column: table_options.RunTextColumn = None,
    table_format: table_options.TableFormatOptions,
    run: options.Run = None,
    runs_dir: options.RunsDir = None,
    format_: of_predict.Format = "auto",
    header: of_predict.Header = False,
    answers: of_predict.AnswerOptions,
    top_k: of_predict.TopK = None,
    rank: of_predict.Rank = None,
    first: of_predict.First = 1000,
    stats: of_predict.Stats = None,
    engine: of_predict.EngineOptions,
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
    from lstm_cli.cli.inputs import PIPE, Inputs
    from lstm_cli.cli.predict_parts import PartsRequest, check_expanded, has_parts, predict_parts
    from lstm_cli.cli.predict_records import Request, predict_records, rank_records
    from lstm_cli.cli.write_predictions import check_out, check_stats, resolve_format
    from lstm_cli.prediction.write_file import Content

    check_expanded(file or (), inputs or ())
    check_conflicts(ctx, _CONFLICTS if rank else (*_CONFLICTS, *_WITHOUT_RANK))
    check_stats(stats, (*(file or ()), *(inputs or ())), target.out)
    read_options, rule = table_format.read_options(), answers.rule()
    keep = target.keep or ("id" if target.id_column else None)
    if engine.engine == "local":
        check_conflicts(ctx, _LOCAL)
    if engine.engine == "ray" or has_parts(file or ()):
        check_conflicts(ctx, _PARTS if keep == "id" else (*_PARTS, *_WITHOUT_ID))
        predict_parts(
            PartsRequest(
                file or [], target.out, run, runs_dir, format_, text_column or [], read_options,
                keep or "all", target.id_column, top_k, rule, engine, stats,
            )
        )  # fmt: skip
        return
    check_conflicts(ctx, _ONE_FILE)
    out_path = None if target.out is None or target.out == PIPE else Path(target.out)
    typed = Inputs.of(inputs, Path(file[0]) if file else None, text_column, read_options)
    keep = keep or ("all" if out_path else None)
    if keep != "id":
        check_conflicts(ctx, _WITHOUT_ID)
    check_out(out_path, (typed.file, *typed.words))
    format_name = resolve_format(format_, out_path)
    if format_name not in ("tsv", "csv"):
        check_conflicts(ctx, _WITHOUT_COLUMNS)
    predictor, source = _load(ctx, typed, run, runs_dir, engine.threads)
    if predictor.kind == "image" and typed.has_folder:
        # The name tells which image of the folder a record belongs to.
        keep = keep or "all"
    predictor.check_rule(rule.threshold, rule.min_probability)
    content = Content(format_name, header, top_k, keep or "none", target.id_column)
    request = Request(predictor, source, rule, content, out_path, stats)
    if rank is None:
        predict_records(request)
    else:
        rank_records(request, first)


def _load(
    ctx: typer.Context, typed: Inputs, run: str | None, runs_dir: Path | None, threads: int | None
) -> tuple[Predictor, Inputs]:
    """Load a run, and return it with the inputs as it reads them: images, or texts.

    Raises:
        LstmError: There is no such run, it cannot read the inputs, or an option has no effect.
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.inputs import check_texts, typed_run
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.cli.text_columns import note_columns
    from lstm_cli.prediction.predictor import Predictor

    predictor = Predictor.load(find_run(run, runs_dir, "text"), threads)
    if predictor.kind == "image":
        check_conflicts(ctx, _IMAGE_RUN)
        source, notes = typed.of_images()
        for note in notes:
            output.print_note(f"Note: {note}")
        return predictor, source
    check_texts(typed.words, predictor.run.name, typed_run("predict", run))
    note_columns(typed.words, predictor.text_columns)
    return predictor, typed
