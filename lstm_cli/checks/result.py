"""What the checks of labeled texts and images return: counts, and the first rows of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_cli.errors import ExitCode, LstmError, suggest

# Kind of finding -> what its number counts. The order is that of the output.
KINDS = {
    "leak": "rows whose text is also in an earlier file",
    "near-leak": "texts that are nearly the same as one of an earlier file",
    "conflict": "rows whose text is labelled differently in another row",
    "duplicate": "rows whose text is also further up in the file",
    "near-duplicate": "texts that are nearly the same as one further up in the file",
    "labels": "labels that look like another one",
    "new-label": "labels that the first file does not have",
    "no-label": "rows without a label",
    "empty": "rows without a text",
    "one-word": "rows with one word, or with signs only",
    "mojibake": "texts that were decoded with the wrong encoding",
}
# Of these, only several files can have any.
BETWEEN_FILES = ("leak", "near-leak", "new-label")


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        place: File and line, record or class file: `test.csv:12`.
        label: Its label.
        text: The beginning of its text, or what is around the place that matters.
    """

    place: str
    label: str
    text: str


@dataclass(frozen=True)
class Group:
    """Rows that are a finding together.

    Attributes:
        detail: What is special about these rows; may be empty.
        rows: The first of them.
        num_rows: How many there are.
    """

    detail: str
    rows: tuple[Row, ...]
    num_rows: int


@dataclass(frozen=True)
class Finding:
    """All that one check found.

    Attributes:
        kind: A key of `KINDS`.
        num: How many there are of what `KINDS` says.
        note: A sentence with more about them; may be empty.
        groups: The first groups.
        num_groups: How many groups there are.
    """

    kind: str
    num: int
    note: str
    groups: tuple[Group, ...]
    num_groups: int


@dataclass(frozen=True)
class UnseenWords:
    """Words of a file that the first file does not have.

    Attributes:
        fraction: Their share of all words of the file, repetitions included.
        num: How many different ones there are.
        num_words: How many different words the file has.
        most_frequent: The most frequent of them, with their counts.
    """

    fraction: float
    num: int
    num_words: int
    most_frequent: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class FileSummary:
    """Statistics of a file.

    Attributes:
        name: As shown to people.
        num_rows: Number of rows.
        num_classes: Number of different labels.
        largest: The most frequent label and its rows.
        smallest: The least frequent label and its rows.
        word_percentiles: Words in a text at `words.PERCENTILES`; none for images.
        unseen: None for the first file.
        imbalance: A sentence if the classes are so uneven that it matters; else empty.
    """

    name: str
    num_rows: int
    num_classes: int
    largest: tuple[str, int]
    smallest: tuple[str, int]
    word_percentiles: tuple[int, ...]
    unseen: UnseenWords | None
    imbalance: str


@dataclass(frozen=True)
class DataCheck:
    """The result of all checks.

    Attributes:
        files: One summary for each file, in the order they were given.
        findings: One for each check that was run, also those that found nothing, as in `KINDS`.
        skipped: Kinds that were not checked, and why.
        noun: What the rows hold: `text` or `image`.
    """

    files: tuple[FileSummary, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    noun: str = "text"

    def describe(self, kind: str) -> str:
        """Return what the number of a finding counts."""
        if self.noun == "text":
            return KINDS[kind]
        return (
            "images of one brightness" if kind == "empty" else KINDS[kind].replace("text", "image")
        )

    def num(self, kind: str) -> int:
        """Return what a check counted; 0 if it was not run."""
        return next((finding.num for finding in self.findings if finding.kind == kind), 0)


def parse_kinds(values: Sequence[str]) -> list[str]:
    """Return the kinds of `--fail-on`, which are separated by commas.

    Raises:
        LstmError: There is no such kind (exit code 2).
    """
    kinds = [kind.strip() for value in values for kind in value.split(",")]
    for kind in kinds:
        if kind not in KINDS:
            raise LstmError(
                f"--fail-on does not know {kind!r}.", suggest(kind, list(KINDS)), ExitCode.USAGE
            )
    return kinds


def check_nothing_found(check: DataCheck, kinds: Sequence[str]) -> None:
    """End with exit code 4 where a check found something that must not be.

    Raises:
        LstmError: It did.
    """
    found = [f"{kind} ({check.num(kind):,})" for kind in kinds if check.num(kind)]
    if found:
        raise LstmError(f"Found {', '.join(found)}.", exit_code=ExitCode.THRESHOLD)
