"""`lstm explain`: why a run answers as it does for a text or an image."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli import options

if TYPE_CHECKING:
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.explain.result import Explanation

_FORMATS = {".json": "json", ".html": "html", ".htm": "html", ".png": "png", ".svg": "svg"}
# Far more than a run reads of a text.
_MAX_BYTES = 16 << 20

_Input = Annotated[
    str,
    typer.Argument(
        metavar="TEXT",
        help="The text to explain, or for a run trained on images, the image file; '-' reads it "
        "from the pipe.",
    ),
]
_Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        metavar="NAME",
        help="With several labels a text: the label to explain.",
        show_default="the one farthest above its threshold",
    ),
]
_Format = Annotated[
    Literal["auto", "json", "html", "png", "svg"],
    typer.Option(
        "--format",
        help="What to write. 'auto' follows the ending of --out; without --out it draws on the "
        "terminal, with signed numbers where there are no colours.",
    ),
]
_Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        metavar="FILE",
        help="Write to this file: .json, .html, .png or .svg.",
        show_default="the terminal",
    ),
]


def command(
    text: _Input,
    run: options.Run = None,
    runs_dir: options.RunsDir = None,
    label: _Label = None,
    format_: _Format = "auto",
    out: _Out = None,
) -> None:
    """Show the effect of each token, the prediction after each token, and the gates of units.

    The effect of a token is how much the log-odds of the predicted class fall if [UNK] replaces
    the token. The prediction after a token is what the run answers if the text ends there. Gates
    are shown for the units that contribute most to the score. For an image: the prediction after
    each row. With several labels a text, one label is explained at a time.

    For example:

    ```
    lstm explain "The plot is thin, but the cast is superb."
    lstm explain - < review.txt
    lstm explain "A triumph." --out page.html
    lstm explain --run comments --label joy "What a day!"
    lstm explain --run mnist digit.png
    ```
    """
    from lstm_cli.cli import output
    from lstm_cli.cli.inputs import PIPE
    from lstm_cli.cli.resolve import find_run
    from lstm_cli.explain.explainer import Explainer

    out = None if str(out) == PIPE else out
    format_name = _resolve_format(format_, out)
    explanation = _explain(Explainer.load(find_run(run, runs_dir, "text")), text, label, run)
    if format_name == "auto":
        from lstm_cli.explain.render_terminal import render_lines

        output.print_styled(render_lines(explanation, output.width(), output.has_colour()))
    else:
        _write(explanation, format_name, out)


def _resolve_format(format_: str, out: Path | None) -> str:
    """Return what to write; `auto` without a file stays `auto`.

    Raises:
        LstmError: The ending of the file is not a format, or an image has no file (exit code 2).
    """
    from lstm_cli.errors import ExitCode, LstmError

    suffix = out.suffix.lower() if out is not None else ""
    if format_ == "auto" and out is not None:
        if suffix not in _FORMATS:
            raise LstmError(
                f"--out expects a name that ends in {', '.join(_FORMATS)}, found '{out}'.",
                "Or choose with --format.",
                ExitCode.USAGE,
            )
        return _FORMATS[suffix]
    if format_ in ("png", "svg") and suffix != f".{format_}":
        found = f", found '{out}'" if out is not None else ""
        raise LstmError(
            f"--format {format_} needs --out and a name that ends in .{format_}{found}.",
            f"For example: --out words.{format_}",
            ExitCode.USAGE,
        )
    return format_


def _explain(explainer: Explainer, text: str, label: str | None, run: str | None) -> Explanation:
    """Explain a text, the text in the pipe, or an image file."""
    from lstm_cli.cli import output
    from lstm_cli.cli.inputs import PIPE, check_texts, typed_run
    from lstm_cli.cli.text_columns import note_columns
    from lstm_cli.data.pipe import PIPE_NAME
    from lstm_cli.data.single_text import decode_text
    from lstm_cli.errors import ExitCode, LstmError

    shape = explainer.predictor.shape
    if shape is not None:
        if label is not None:
            raise LstmError(
                f"Run {explainer.predictor.run.name} reads images, which have one class each.",
                "Leave out --label.",
                ExitCode.USAGE,
            )
        return _explain_image(explainer, text, shape)
    if text == PIPE:
        text, notes = decode_text(_read_pipe("text"), PIPE_NAME)
        for note in notes:
            output.print_note(f"Note: {note}")
    else:
        check_texts([text], explainer.predictor.run.name, typed_run("explain", run))
    note_columns([text], explainer.predictor.text_columns)
    return explainer.explain_text(text, label=label)


def _explain_image(explainer: Explainer, name: str, shape: tuple[int, int]) -> Explanation:
    """Explain an image file, or the image in the pipe; say if it is inverted."""
    from io import BytesIO

    from lstm_cli.cli import output
    from lstm_cli.cli.inputs import PIPE
    from lstm_cli.data.images import decode_image, fit, has_other_border

    path = Path("standard input" if name == PIPE else name)
    source = BytesIO(_read_pipe("image")) if name == PIPE else path
    image = fit(decode_image(source, path).pixels, shape)
    num_inverted = int(has_other_border(image[None], explainer.predictor.border).sum())
    if note := explainer.predictor.describe_inverted(num_inverted, 1):
        output.print_note(f"Note: {note}")
    return explainer.explain_image(image, path.name)


def _read_pipe(what: str) -> bytes:
    """Read one text or image from the pipe."""
    from lstm_cli.data.pipe import unreadable_input
    from lstm_cli.errors import ExitCode, LstmError

    stream = getattr(sys.stdin, "buffer", None)
    try:
        if stream is None:
            raise OSError(0, "it is closed")
        content: bytes = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise unreadable_input(error.strerror or str(error)) from None
    if len(content) > _MAX_BYTES:
        raise LstmError(
            f"The {what} in the pipe has over {_MAX_BYTES >> 20} MiB.",
            f"Give one {what}; 'lstm predict' takes many.",
            ExitCode.USAGE,
        )
    return bytes(content)


def _write(explanation: Explanation, format_name: str, out: Path | None) -> None:
    """Write JSON, HTML or an image, to a file or to stdout."""
    from lstm_cli.cli import output

    if format_name in ("png", "svg"):
        from lstm_cli.explain.render_image import draw

        assert out is not None
        draw(explanation, out)
    else:
        text = _text(explanation, format_name)
        if out is None:
            if format_name == "json":
                output.print_json(explanation.to_dict(), None)
            else:
                output.write_data(text)
            return
        from lstm_cli.io.atomic_write import write_atomic

        write_atomic(out, text.encode("utf-8"))
    output.print_note(f"Written: {out}")


def _text(explanation: Explanation, format_name: str) -> str:
    if format_name == "html":
        from lstm_cli.explain.render_html import render_page

        return render_page(explanation)
    import json

    text = json.dumps(explanation.to_dict(), ensure_ascii=False) + "\n"
    # For bytes of the command line that are not UTF-8; JSON reads the escape back as the same.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
