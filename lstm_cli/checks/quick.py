"""The cheap checks, which training runs: a line for each finding, with the command for the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lstm_cli.checks.labels import difference, look_alikes
from lstm_cli.checks.overlap import Learned, Overlap, among, join, keys_of, learn, overlap
from lstm_cli.data import Dataset
from lstm_cli.data.registry import is_known, is_path
from lstm_cli.data.source import DataSource, check_command
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.text_format import pluralize, visible


@dataclass(frozen=True)
class QuickCheck:
    """What the cheap checks found.

    Attributes:
        warnings: A line for each finding. Data sets known by name have none.
        leaks: The examples of `validation` and `test` that are in the splits before them, by split.
            Empty for data sets known by name.
        learned: What training reads: train and validation; and what the run that it starts from
            has learned from.
        command: The command that lists the rows of the findings; empty if there is none.
        noun: What the examples are: `texts` or `images`.
        earlier: The examples of `validation` and `test` that the run to start from has learned
            from, by split.
        earlier_run: The name of that run; empty without one.
    """

    warnings: tuple[str, ...]
    leaks: Mapping[str, Overlap]
    learned: Learned
    command: str
    noun: str = "texts"
    earlier: Mapping[str, Overlap] = field(default_factory=dict)
    earlier_run: str = ""

    def leak_warning(self, *splits: str) -> str:
        """Say how many examples of some splits training has learned from; empty if none."""
        return _leak_line(self._describe_leak(split) for split in splits if split in self.leaks)

    def earlier_warning(self, *splits: str) -> str:
        """Say how many examples of some splits the run to start from has learned from."""
        where = f"in what run {self.earlier_run} has learned from"
        return _leak_line(
            self.earlier[split].describe(split, where, self.noun)
            for split in splits
            if split in self.earlier
        )

    def _describe_leak(self, split: str) -> str:
        where = "in train or validation" if split == "test" else "in train"
        return self.leaks[split].describe(split, where, self.noun)

    def require_no_leak(self) -> None:
        """Refuse splits that share examples.

        Raises:
            LstmError: They do (exit code 4).
        """
        own = self.with_command(self.leak_warning(*self.leaks))
        found = list(filter(None, [own, self.earlier_warning(*self.earlier)]))
        if found:
            raise LstmError(
                " ".join(found),
                "Drop these rows, or leave out --fail-on leak.",
                ExitCode.THRESHOLD,
            )

    def with_command(self, warning: str) -> str:
        """Return a warning with the command that lists its rows, if there is one."""
        return f"{warning} See '{self.command}'." if warning and self.command else warning


def quick_check(
    dataset: Dataset, source: DataSource, earlier: Learned | None = None, earlier_run: str = ""
) -> QuickCheck:
    """Look for what is wrong with the splits before training starts.

    Args:
        dataset: With `train` and `validation`, and with `test` unless the data set is known by
            name.
        source: What was read.
        earlier: What the run to start from has learned from; None without one.
        earlier_run: Its name.
    """
    keys = {name: keys_of(split, dataset.labels) for name, split in dataset.splits.items()}
    learned = learn(keys["train"], keys["validation"])
    if is_known(source.name):
        return QuickCheck((), {}, join(learned, earlier) if earlier else learned, "")
    in_both = learn(among(keys["train"], keys["validation"]))
    leaks = {"validation": overlap(in_both, keys["validation"])}
    if "test" in keys:
        leaks["test"] = overlap(learned, keys["test"])
    has_command = dataset.kind == "text" or is_path(source.name)
    command = check_command(source) if has_command else ""
    check = QuickCheck((), leaks, learned, command, f"{dataset.kind}s")
    if earlier is not None:
        seen = {name: overlap(earlier, keys[name]) for name in leaks}
        everything = join(learned, earlier)
        check = replace(check, earlier=seen, earlier_run=earlier_run, learned=everything)
    found = [*_label_warnings(dataset.labels), *_conflict_warnings(learned, check.noun)]
    found += filter(None, [check.leak_warning(*leaks)])
    lines = [*map(check.with_command, found), check.earlier_warning(*check.earlier)]
    return replace(check, warnings=tuple(filter(None, lines)))


def _leak_line(counts: Iterable[str]) -> str:
    line = ", ".join(filter(None, counts))
    return f"{line}: these results look better than they are." if line else ""


def _label_warnings(labels: Sequence[str]) -> Iterator[str]:
    groups = look_alikes(labels)
    if groups:
        first = groups[0]
        others = f" So do {len(groups) - 1:,} more groups of labels." if len(groups) > 1 else ""
        yield (
            f"The labels {visible(first[0])} and {visible(first[1])} look alike and are two "
            f"classes (they differ in {difference(first)}).{others}"
        )


def _conflict_warnings(learned: Learned, noun: str) -> Iterator[str]:
    if num := learned.num_relabeled:
        verb = "is" if num == 1 else "are"
        yield f"{pluralize(num, noun.removesuffix('s'))} {verb} labelled in more than one way."
