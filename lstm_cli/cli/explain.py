"""`lstm explain`: what a network saw in a text or an image."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lstm_cli.cli.options import Run, RunsDir

if TYPE_CHECKING:
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.explain.result import Explanation

_SUFFIXES = {".json": "json", ".html": "html", ".htm": "html", ".png": "png", ".svg": "png"}
_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm"}
# Far more than any run reads of a text.
_MAX_BYTES = 16 << 20


def command(
    given: Annotated[
        str,
        typer.Argument(
            metavar="TEXT",
            help="A text; '-' reads it from the pipe. An image file for a run that reads images.",
        ),
    ],
    run: Run = None,
    runs_dir: RunsDir = None,
    format_: Annotated[
        Literal["auto", "json", "html", "png"],
        typer.Option(
            "--format",
            help="'auto' goes by the name of --out; without, it draws on the terminal, with signed "
            "numbers in place of colours where there are none.",
        ),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write there: .json, .html, .png, .svg."),
    ] = None,
) -> None:
    """Show the effect of each token, the prediction after each token, and the gates of units.

    Effect: the log-odds of the predicted class that are lost when [UNK] replaces the token.
    Prediction after a token: what the model answers if the text ends there. Gates: of the units
    that contribute most to the score. For an image: the prediction after each row.

    Examples: 'lstm explain "Hardly a dull moment."', 'lstm explain - < review.txt',
    'lstm explain "Hardly a dull moment." --out page.html', 'lstm explain --run mnist digit.png'.
    """
    from lstm_cli.cli import output
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.runs.directory import runs_root
    from lstm_cli.runs.find import find

    wanted = _format(format_, out)
    found = find(runs_root(runs_dir), run, kind=None if run else "text")
    if run is None:
        output.print_note(f"Run: {found.name}")
    explanation = _explain(Explainer.load(found), given)
    if wanted == "auto":
        from lstm_cli.explain.render_terminal import render_lines

        output.print_styled(render_lines(explanation, output.width(), output.has_colour()))
    else:
        _write(explanation, wanted, out)


def _format(format_: str, out: Path | None) -> str:
    """Return what to write; with `auto` the name of the file says it.

    Raises:
        LstmError: The name says nothing, or a picture has no file to go to (exit code 2).
    """
    from lstm_cli.errors import ExitCode, LstmError

    suffix = out.suffix.lower() if out is not None else ""
    if format_ == "auto" and out is not None:
        if suffix not in _SUFFIXES:
            raise LstmError(
                f"--out expects a name that ends in {', '.join(_SUFFIXES)}, found '{out}'.",
                "Or say what it is to be with --format.",
                ExitCode.USAGE,
            )
        return _SUFFIXES[suffix]
    if format_ == "png" and suffix not in (".png", ".svg"):
        raise LstmError(
            "A picture needs --out and a name that ends in .png or .svg"
            + (f", found '{out}'." if out is not None else "."),
            "For example: --out words.png",
            ExitCode.USAGE,
        )
    return format_


def _explain(explainer: Explainer, given: str) -> Explanation:
    """Explain a text, the text in the pipe, or an image file."""
    from lstm_cli.errors import ExitCode, LstmError

    shape = explainer.predictor.shape
    if shape is not None:
        from lstm_cli.data.images import read_image

        return explainer.explain_image(read_image(Path(given), shape), Path(given).name)
    if given == "-":
        return explainer.explain_text(_piped())
    if Path(given).suffix.lower() in _PICTURES and _is_file(given):
        raise LstmError(
            f"Run {explainer.predictor.run.name} reads texts, and '{given}' is an image.",
            "Name an image run with --run.",
            ExitCode.USAGE,
        )
    return explainer.explain_text(given)


def _is_file(name: str) -> bool:
    """Tell whether there is such a file; a text may be longer than any name is."""
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def _piped() -> str:
    """Read one text from the pipe; bytes that are no UTF-8 are replaced, as `predict` does."""
    from lstm_cli.data.records import unreadable_input
    from lstm_cli.errors import ExitCode, LstmError

    stream = getattr(sys.stdin, "buffer", None)
    try:
        if stream is None:
            raise OSError(0, "it is closed")
        content = stream.read(_MAX_BYTES + 1)
    except OSError as error:
        raise unreadable_input(error.strerror or str(error)) from None
    if len(content) > _MAX_BYTES:
        raise LstmError(
            f"The text in the pipe has over {_MAX_BYTES >> 20} MiB.",
            "Give one text; 'lstm predict' takes many.",
            ExitCode.USAGE,
        )
    # A last line break is the shell's, not the text's.
    return str(content.decode("utf-8", "replace")).removesuffix("\n")


def _write(explanation: Explanation, wanted: str, out: Path | None) -> None:
    """Write JSON, a page or a picture, to a file or to stdout."""
    from lstm_cli.cli import output

    if wanted == "png":
        from lstm_cli.explain.render_image import draw

        assert out is not None
        with _writing(out):
            draw(explanation, out)
    else:
        text = _text(explanation, wanted)
        if out is None:
            if wanted == "json":
                output.print_json(explanation.to_dict(), None)
            else:
                output.write_data(text)
            return
        from lstm_cli.io.atomic_write import write_atomic

        with _writing(out):
            write_atomic(out, text.encode("utf-8"))
    output.print_note(f"Written: {out}")


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Say of a file that cannot be written how to name another."""
    from lstm_cli.errors import LstmError

    try:
        yield
    except LstmError as error:
        raise LstmError(error.message, "Name another file with --out.", error.exit_code) from error


def _text(explanation: Explanation, wanted: str) -> str:
    if wanted == "html":
        from lstm_cli.explain.render_html import render_page

        return render_page(explanation)
    import json

    text = json.dumps(explanation.to_dict(), ensure_ascii=False) + "\n"
    # A byte of the command line that is no UTF-8; JSON reads the escape back as the same.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
