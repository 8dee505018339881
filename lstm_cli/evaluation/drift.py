"""Compare the inputs of a run with those it was validated on, without labels.

For each measure there is a p-value, which says whether chance could explain the difference, and an
effect size, which says whether it matters: with many inputs, the smallest difference has a small p.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.significance import holm
from lstm_cli.io.optional import require
from lstm_cli.io.text_format import percent, short_label
from lstm_cli.prediction import input_stats
from lstm_cli.prediction.input_stats import Histogram, InputStats
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir

# A difference is drift if chance explains it less often than this, after the correction for several
# tests, and if at least this share of the inputs lies elsewhere.
MAX_P = 0.01
MIN_MOVED = 0.1
MIN_INPUTS = 30
# A bin has at least this share of the inputs, so that there are ten at most, and so many expected
# inputs in the smaller sample, so that the chi-squared approximation holds.
_MIN_SHARE = 0.1
_MIN_EXPECTED = 5.0

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Measure:
    """How one property of the inputs has changed.

    Attributes:
        name: `unknown words`, `length`, `labels` or `confidence`.
        before: What it was on validation, for people.
        now: What it is.
        moved: Share of the inputs that lie elsewhere, 0 to 1: the total variation distance of both
            distributions.
        by_chance: What `moved` is on average if nothing has changed.
        p: Of the chi-squared test that both come from one distribution.
        p_corrected: The same, for the number of measures (Holm).
    """

    name: str
    before: str
    now: str
    moved: float
    by_chance: float
    p: float
    p_corrected: float = 1.0

    @property
    def is_significant(self) -> bool:
        """Whether chance hardly explains the difference."""
        return self.p_corrected < MAX_P

    @property
    def is_drift(self) -> bool:
        """Whether the difference is significant and large enough to matter."""
        return self.is_significant and self.moved >= MIN_MOVED


@dataclass(frozen=True)
class Drift:
    """The comparison of inputs with those of validation.

    Attributes:
        run: Name of the run.
        reference: What the inputs are compared with.
        num_before: Number of inputs there.
        num_now: Number of new inputs.
        num_unreadable: New records that could not be read.
        measures: One for each property.
    """

    run: str
    reference: str
    num_before: int
    num_now: int
    num_unreadable: int
    measures: tuple[Measure, ...]

    @property
    def drifted(self) -> list[str]:
        """The names of the measures that have drifted."""
        return [measure.name for measure in self.measures if measure.is_drift]

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON types."""
        measures = [
            {**asdict(m), "significant": m.is_significant, "drift": m.is_drift}
            for m in self.measures
        ]
        limits = {"max_p": MAX_P, "min_moved": MIN_MOVED}
        return {**asdict(self), "measures": measures, "drift": self.drifted, **limits}


def read_reference(run: RunDir) -> InputStats:
    """Read the statistics of the rows that were held out in training.

    Raises:
        LstmError: The run has none (exit code 2), or they are damaged (exit code 5).
    """
    listed = run.with_manifest()
    if runs.VALIDATION_STATS not in (listed.manifest or {}):
        raise LstmError(
            f"Run {run.name} has no statistics of its validation rows ({runs.VALIDATION_STATS}).",
            "Train it again, or compare with other statistics of the run: --against FILE",
            ExitCode.USAGE,
        )
    try:
        return input_stats.parse(listed.read_bytes(runs.VALIDATION_STATS))
    except ValueError as error:
        raise run.integrity_error(f"{runs.VALIDATION_STATS}{error}") from None


def compare(run: RunDir, before: InputStats, now: InputStats, reference: str) -> Drift:
    """Compare the inputs of a run with those of its validation, or of another time.

    Args:
        run: The run that both are of.
        before: The older inputs.
        now: The new ones.
        reference: What the older ones are, for people.

    Raises:
        LstmError: One is of another model, or has too few inputs (exit code 2).
    """
    require("scipy", purpose="Comparing inputs")
    digest = input_stats.model_digest(run)
    for stats in (before, now):
        if stats.model_sha256 != digest or stats.labels.keys() != before.labels.keys():
            raise LstmError(
                f"The statistics are of run {stats.run}, and of another model than {run.name} is.",
                "Predict with this run: lstm predict --run RUN --stats FILE",
                ExitCode.USAGE,
            )
        if stats.inputs < MIN_INPUTS:
            raise LstmError(
                f"Comparing needs {MIN_INPUTS} inputs or more, found {stats.inputs:,}: in fewer, "
                "no difference could be told from chance.",
                "Collect the inputs of a longer time.",
                ExitCode.USAGE,
            )
    measures = [_labels(before, now)]
    measures.append(_binned("confidence", before, now, lambda s: s.confidence, _mean_confidence))
    if before.lengths is not None and now.lengths is not None:
        measures.insert(0, _binned("length", before, now, lambda s: s.lengths, _median_length))
        measures.insert(0, _binned("unknown words", before, now, lambda s: s.unknown, _unknown))
    corrected = holm([measure.p for measure in measures])
    tested = tuple(replace(m, p_corrected=p) for m, p in zip(measures, corrected, strict=True))
    return Drift(run.name, reference, before.inputs, now.inputs, now.unreadable, tested)


def _binned(
    name: str,
    before: InputStats,
    now: InputStats,
    histogram: Callable[[InputStats], Histogram | None],
    describe: Callable[[InputStats], str],
) -> Measure:
    counts = []
    for stats in (before, now):
        found = histogram(stats)
        assert found is not None
        counts.append(np.array(found.counts, np.int64))
    joined = _join_neighbours(np.array(counts))
    return Measure(name, describe(before), describe(now), *_test(joined))


def _labels(before: InputStats, now: InputStats) -> Measure:
    names = list(before.labels)
    table = np.array([[stats.labels[name] for name in names] for stats in (before, now)], np.int64)
    shares = table / table.sum(axis=1, keepdims=True)
    index = int(np.abs(shares[1] - shares[0]).argmax())
    described = [f"{short_label(names[index], 24)} {percent(share)}" for share in shares[:, index]]
    return Measure("labels", described[0], described[1], *_test(_join_rare(table)))


def _test(table: Counts) -> tuple[float, float, float]:
    """Compare two rows of counts.

    Args:
        table: `<int64>[2, bins]`, no column of zeros.

    Returns:
        The total variation distance, its mean by chance, and the p-value.

    Source: Pearson's chi-squared test of homogeneity. By chance, the difference of two shares is
        nearly normal, so the mean of its absolute value is `sqrt(2 / pi)` times its deviation.
    """
    from scipy.stats import chi2_contingency

    sizes = table.sum(axis=1, keepdims=True)
    shares = table / sizes
    moved = float(np.abs(shares[1] - shares[0]).sum() / 2)
    pooled = table.sum(axis=0) / table.sum()
    deviations = np.sqrt(pooled * (1 - pooled) * (1 / sizes).sum())
    by_chance = float(np.sqrt(2 / np.pi) * deviations.sum() / 2)
    if table.shape[1] < 2:
        return moved, by_chance, 1.0
    return moved, by_chance, float(chi2_contingency(table, correction=False).pvalue)


def _join_neighbours(table: Counts) -> Counts:
    """Join neighbouring bins until each is large enough, `<int64>[2, bins]`."""
    joined: list[Counts] = []
    bin_ = np.zeros(2, np.int64)
    for column in table.T:
        bin_ = bin_ + column
        if _is_large(bin_, table):
            joined.append(bin_)
            bin_ = np.zeros(2, np.int64)
    return _with_rest(joined, bin_)


def _is_large(bin_: Counts, table: Counts) -> bool:
    sizes = table.sum(axis=1)
    return bool((bin_ / sizes).mean() >= _MIN_SHARE) and _is_expected(bin_, sizes)


def _is_expected(bin_: Counts, sizes: Counts) -> bool:
    return bool(sizes.min() * bin_.sum() / sizes.sum() >= _MIN_EXPECTED)


def _join_rare(table: Counts) -> Counts:
    """Join the classes that few inputs have into groups, `<int64>[2, groups]`."""
    sizes = table.sum(axis=1)
    columns = sorted(table.T, key=lambda column: -int(column.sum()))
    groups: list[Counts] = []
    group = np.zeros(2, np.int64)
    for column in columns:
        group = group + column
        if _is_expected(group, sizes):
            groups.append(group)
            group = np.zeros(2, np.int64)
    return _with_rest(groups, group)


def _with_rest(bins: Sequence[Counts], rest: Counts) -> Counts:
    """Return bins as columns; what is too small for one of its own is added to the last."""
    if not bins:
        return rest[:, None]
    return np.stack([*bins[:-1], bins[-1] + rest], axis=1)


def _unknown(stats: InputStats) -> str:
    share = (stats.unknown_tokens or 0) / stats.tokens if stats.tokens else 0.0
    return f"{percent(share)} of words"


def _median_length(stats: InputStats) -> str:
    assert stats.lengths is not None
    middle = np.searchsorted(np.cumsum(stats.lengths.counts), stats.inputs / 2)
    return f"median {stats.lengths.edges[int(middle)]:,.0f}"


def _mean_confidence(stats: InputStats) -> str:
    return f"mean {stats.confidence_sum / stats.inputs:.3f}"
