"""Say how texts are written for a run that reads several columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def note_columns(texts: Iterable[str], columns: Sequence[str]) -> None:
    """Say on stderr that a text without separators is read as one, if the run has several columns.

    Args:
        texts: Texts of the command line.
        columns: The columns that the run reads.
    """
    from lstm_cli.cli import output
    from lstm_cli.io.fields import SEPARATOR

    if len(columns) < 2 or all(SEPARATOR in text for text in texts):
        return
    example = f" {SEPARATOR} ".join(name.upper() for name in columns)
    output.print_note(
        f"The run reads {len(columns)} columns: write '{example}'. A text without the separator "
        f"{SEPARATOR} (U+241F) is read as it is."
    )
