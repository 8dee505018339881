"""The manual page lstm(1), from docs/cli.md: the package is built with it (`hatch_build.py`).

Usage: python docs/man.py VERSION | man -l -
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).with_name("cli.md")


def page(markdown: str, version: str) -> str:
    """Return a manual page in the macros of man(7).

    Args:
        markdown: The reference that docs/cli.py writes.
        version: Of `lstm`.
    """
    _, summary, *rest = markdown.split("\n\n", 2)
    head = f'.\\" Written from docs/cli.md\n.TH LSTM 1 "" "lstm {version}"\n'
    name = f".SH NAME\nlstm \\- {_text(summary[0].lower() + summary[1:].rstrip('.'))}\n"
    # A paragraph begins before text and code, not before what begins one itself.
    body = re.sub(r"(?:\.PP\n)+(?=\.(?:SH|SS|TP|PP))", "", "\n".join(_lines("\n\n".join(rest))))
    body = re.sub(r"(\.S[HS] .*\n)\.PP\n", r"\1", body).removeprefix(".PP\n")
    return f"{head}{name}.SH DESCRIPTION\n{body}\n"


def _lines(markdown: str) -> Iterator[str]:
    """Yield lines of roff for lines of Markdown."""
    in_code = False
    for line in markdown.splitlines():
        if line.startswith("```"):
            in_code = not in_code
            yield ".RS 4\n.nf" if in_code else ".fi\n.RE"
        elif in_code:
            yield _plain(line.removeprefix("$ "))
        elif heading := re.fullmatch(r"(#+) `(.+)`", line):
            yield f".{'SH' if len(heading[1]) == 2 else 'SS'} {_text(heading[2])}"
        elif item := re.fullmatch(r"\* (`.+?`): (.+)", line):
            yield f".TP\n{_text(item[1])}\n{_text(item[2])}"
        elif title := re.fullmatch(r"\*\*(.+)\*\*:", line):
            yield f".PP\n\\fB{_text(title[1])}\\fR"
        elif not line:
            yield ".PP"
        else:
            yield _text(line)


def _text(markdown: str) -> str:
    """Return running text: `code` and **strong** become bold."""
    parts = re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", markdown)
    return "".join(
        f"\\fB{_plain(part.strip('`*'))}\\fR" if part[:1] in {"`", "*"} else _plain(part)
        for part in parts
    )


def _plain(text: str) -> str:
    """Escape what roff acts on: backslashes, hyphens, a dot or quote that begins a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace("~", "\\(ti").replace("^", "\\(ha")
    return f"\\&{text}" if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.write(page(SOURCE.read_text("utf-8"), sys.argv[1]))
