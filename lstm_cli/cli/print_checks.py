"""The result of `lstm data check`, for people or as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from lstm_cli.cli import output
from lstm_cli.io.text_format import percent, shorten, visible

if TYPE_CHECKING:
    from lstm_cli.checks import DataCheck, FileSummary, Finding, Group

_MAX_LABEL = 30


def print_check(check: DataCheck, as_json: bool) -> None:
    """Print statistics of each file, what was counted, and the first rows of each kind."""
    if as_json:
        output.print_json(asdict(check))
        return
    _print_files(check)
    output.print_line("")
    counts = [(f.kind, f"{f.num:,}", check.describe(f.kind)) for f in check.findings]
    counts += [(kind, "-", f"not checked: {reason}") for kind, reason in check.skipped]
    output.print_rows(counts, ("check", "found", "what is counted"), right=("found",))
    for finding in check.findings:
        if finding.num:
            _print_finding(finding, check)


def _print_files(check: DataCheck) -> None:
    columns: tuple[str, ...] = ("file", "rows", "classes")
    if check.noun == "text":
        columns += ("words: 50%", "90%", "99%", "longest")
    rows = [
        (
            file.name, f"{file.num_rows:,}", f"{file.num_classes:,}",
            *(f"{words:,}" for words in file.word_percentiles),
        )
        for file in check.files
    ]  # fmt: skip
    output.print_rows(rows, columns, right=columns[1:])
    output.print_line("")
    classes = [
        (file.name, *_class(file, file.largest), *_class(file, file.smallest))
        for file in check.files
    ]
    headings = ("file", "largest class", "share", "smallest class", "share")
    output.print_rows(classes, headings, right=("share",))
    for file in check.files:
        if file.imbalance:
            output.print_text(f"\n{file.name}: {file.imbalance}")
        if file.unseen:
            output.print_text(_describe_unseen(file, check.files[0].name))


def _class(file: FileSummary, pair: tuple[str, int]) -> tuple[str, str]:
    label, num = pair
    return shorten(label, _MAX_LABEL), percent(num / file.num_rows)


def _describe_unseen(file: FileSummary, first: str) -> str:
    unseen = file.unseen
    assert unseen is not None
    text = (
        f"\n{first} does not have {unseen.num:,} of the {unseen.num_words:,} different words of "
        f"{file.name}, {percent(unseen.fraction)} of all its words"
    )
    words = ", ".join(f"{word} {num:,}" for word, num in unseen.most_frequent)
    return f"{text}; the most frequent: {words}." if words else f"{text}."


def _print_finding(finding: Finding, check: DataCheck) -> None:
    output.print_line("")
    note = f" {finding.note}" if finding.note else ""
    output.print_heading(f"{finding.kind} ({finding.num:,}): {check.describe(finding.kind)}.{note}")
    rows: list[tuple[str, str, str]] = []
    for group in finding.groups:
        if rows and len(group.rows) > 1:
            rows.append(("", "", ""))
        rows += _group_rows(group)
    if finding.groups:
        output.print_rows(rows, ("row", "label", "" if check.noun == "image" else "text"))
    if hidden := finding.num_groups - len(finding.groups):
        output.print_line(f"... {hidden:,} more (--limit)")


def _group_rows(group: Group) -> Iterator[tuple[str, str, str]]:
    for row in group.rows:
        yield row.place, shorten(visible(row.label)[1:-1], _MAX_LABEL), row.text
    if hidden := group.num_rows - len(group.rows):
        yield f"... {hidden:,} more", "", ""
    if group.detail:
        yield "", "", f"({group.detail})"
