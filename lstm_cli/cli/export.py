"""`lstm export`: a run as a file for other programs and people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli import options

if TYPE_CHECKING:
    from lstm_cli.export.result import Exported

_Format = Annotated[
    Literal["zip", "onnx", "keras", "savedmodel", "litert", "html"],
    typer.Option(
        "--format",
        help="zip: the whole run as one file, which every command takes in place of a run. onnx: "
        "a folder with the graph, the tokenizer, and a README with an example. keras, savedmodel, "
        "litert: such a folder for Keras, TensorFlow or LiteRT. html: one page that classifies and "
        "explains in any browser, without a network.",
        show_default=False,
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="PATH",
        help="File or folder to write.",
        show_default="DATASET-NAME in the current folder",
    ),
]
_Quantize = Annotated[
    Literal["none", "float16", "int8"] | None,
    typer.Option(
        "--quantize",
        help="Make the weights of --format onnx or html smaller: float16 to a half, int8 to a "
        "quarter. What that costs on the validation split is printed.",
        show_default="none; int8 for a page that would be larger than 8 MB",
    ),
]
_Examples = Annotated[
    bool | None,
    typer.Option(
        "--examples/--no-examples",
        help="Show some inputs of the run's data on the page of --format html.",
        show_default="--examples",
    ),
]
_Force = Annotated[bool, typer.Option("--force", help="Replace what is at the path.")]


def command(
    run: options.RunArgument,
    format_: _Format,
    out: _Out = None,
    quantize: _Quantize = None,
    examples: _Examples = None,
    force: _Force = False,
    data_dir: options.DataDir = None,
    runs_dir: options.RunsDir = None,
    json: options.Json = False,
) -> None:
    """Write a run as a file, and check that it predicts as the run does.

    What was written predicts the golden inputs of the run before the command ends; the largest
    difference is printed. The path is printed on stdout.

    For example:

    ```
    lstm export demo --format zip
    lstm predict --run demo-first.zip "Not a dull moment."
    lstm export demo --format onnx --out model
    lstm export demo --format litert --out phone
    lstm export imdb --format html --out imdb.html
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.export.export import export

    written = export(
        find_run(run, runs_dir),
        format_,
        out,
        quantize=quantize,
        force=force,
        examples=examples,
        data_dir=data_dir,
    )
    if json:
        output.print_json(written.to_dict())
        return
    for line in _describe(written):
        output.print_note(line)
    output.print_line(str(written.path))


def _describe(written: Exported) -> list[str]:
    """Return what a person wants to know of an export, one fact a line."""
    golden = written.golden
    lines = [f"Size: {written.num_bytes:,} bytes"]
    if golden is not None:
        lines.append(
            f"Golden inputs: {golden.num}, in {golden.engine}; largest difference of a probability "
            f"{golden.max_difference:.1e}"
        )
    if (accuracy := written.accuracy) is not None:
        lines.append(
            f"Accuracy on validation: {accuracy.before:.4f} with the weights of the run, "
            f"{accuracy.after:.4f} with {written.quantize} ({accuracy.num:,} examples; largest "
            f"difference of a probability {accuracy.max_difference:.3f})"
        )
    return [*lines, *written.notes]
