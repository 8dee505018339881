"""What a comparison of runs has shown, in plain sentences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lstm_cli.io.text_format import number

if TYPE_CHECKING:
    from lstm_cli.evaluation.compare import PairedTest, UntestedPair

# A difference is shown if the p-value, corrected for the number of pairs, is below this.
_LEVEL = 0.05
_MAX_NAMES, _MAX_PAIRS = 3, 2
# Intervals that are wider, in percentage points, are shown without decimals.
_WIDE = 10.0


@dataclass(frozen=True)
class Conclusion:
    """The result of a comparison.

    Attributes:
        better: Name of the run that is better than every other; None if that cannot be shown.
        text: One or more sentences.
    """

    better: str | None
    text: str


@dataclass(frozen=True)
class _Lead:
    """A paired test, seen from the run with the higher accuracy on the shared examples."""

    ahead: str
    behind: str
    points: float
    interval: tuple[float, float]
    p_value: float
    num_shared: int

    @property
    def is_shown(self) -> bool:
        """Whether the difference is more than chance explains."""
        return self.p_value < _LEVEL

    def describe(self) -> str:
        """Return the difference in numbers: `+23 points of accuracy, 12 to 36, p = 0.0001`."""
        low, high = self.interval
        decimals = 0 if high - low >= _WIDE else 1
        points = f"{self.points:+.{decimals}f} points of accuracy"
        bounds = f"{low:.{decimals}f} to {high:.{decimals}f}"
        return f"{points}, {bounds}, {_describe_p(self.p_value)}"


def conclude(
    names: Sequence[str], paired: Sequence[PairedTest], untested: Sequence[UntestedPair]
) -> Conclusion:
    """Say which run is better, or that no difference can be shown.

    A difference is shown if its p-value, adjusted for the number of pairs, is below 0.05.

    Args:
        names: Of the runs.
        paired: The pairs that were tested.
        untested: The other pairs.
    """
    leads = [_lead(test) for test in paired]
    if not leads:
        reasons = dict.fromkeys(pair.reason for pair in untested)
        return Conclusion(None, f"The runs could not be tested: {'; '.join(reasons)}.")
    if len(names) == 2:
        return _conclude_two(leads[0])
    best = _most_often_ahead(names, leads)
    own = {lead.behind: lead for lead in leads if lead.ahead == best}
    beaten = {name: lead for name, lead in own.items() if lead.is_shown}
    if not beaten:
        return Conclusion(None, _describe_none(names, leads) + _describe_untested(untested))
    rest = [name for name in names if name != best and name not in beaten]
    without_test = {
        pair.first if pair.second == best else pair.second
        for pair in untested
        if best in (pair.first, pair.second)
    }
    ahead = {lead.ahead: lead for lead in leads if lead.behind == best and lead.is_shown}
    undecided = [name for name in rest if name not in without_test and name not in ahead]
    others = "all others" if not rest else _join(list(beaten))
    text = f"{best} is better than {others}: {_describe_range(beaten)}."
    for name, lead in ahead.items():
        text += f" {name} is better than {best}: {lead.describe()}."
    if undecided:
        text += f" No difference between it and {_join(undecided)} can be shown."
    return Conclusion(None if rest else best, text + _describe_untested(untested))


def _conclude_two(lead: _Lead) -> Conclusion:
    if lead.is_shown:
        return Conclusion(lead.ahead, f"{lead.ahead} is better: {lead.describe()}.")
    shared = f"on {lead.num_shared:,} shared examples"
    if not lead.points:
        return Conclusion(
            None,
            f"No difference can be shown: {lead.ahead} and {lead.behind} have the same accuracy "
            f"{shared} ({lead.describe()}).",
        )
    return Conclusion(
        None,
        f"No difference can be shown: {lead.ahead} is {lead.describe()}, ahead of {lead.behind} "
        f"{shared}.",
    )


def _lead(test: PairedTest) -> _Lead:
    """Return a paired test from the side of the run that is ahead."""
    low, high = (100 * bound for bound in test.interval)
    names, points = (test.first, test.second), 100 * test.difference
    if points < 0:
        names, points, low, high = names[::-1], -points, -high, -low
    return _Lead(*names, points, (low, high), test.adjusted_p_value, test.num_shared)


def _most_often_ahead(names: Sequence[str], leads: Sequence[_Lead]) -> str:
    """Return the run that is ahead in most pairs, and of equal ones the one with most shown."""
    ahead = Counter(lead.ahead for lead in leads if lead.points)
    shown = Counter(lead.ahead for lead in leads if lead.is_shown)
    return max(names, key=lambda name: (ahead[name], shown[name]))


def _describe_none(names: Sequence[str], leads: Sequence[_Lead]) -> str:
    """Say that no run is the best, and which pairs differ."""
    shown = sorted((lead for lead in leads if lead.is_shown), key=lambda lead: lead.p_value)
    if len(leads) == 1:
        return _conclude_two(leads[0]).text
    if not shown:
        smallest = min(lead.p_value for lead in leads)
        return (
            f"No difference between the {len(names)} runs can be shown: the smallest p of "
            f"{len(leads)} pairs is {_format_p(smallest)} (Holm)."
        )
    pairs = [
        f"{each.ahead} is better than {each.behind}: {each.describe()}"
        for each in shown[:_MAX_PAIRS]
    ]
    more = f" (and {len(shown) - _MAX_PAIRS} more pairs)" if len(shown) > _MAX_PAIRS else ""
    return f"No run can be shown to be the best. {'; '.join(pairs)}{more}."


def _describe_range(beaten: Mapping[str, _Lead]) -> str:
    """Describe the differences to several runs: from the smallest to the largest."""
    leads = sorted(beaten.values(), key=lambda lead: lead.points)
    if len(leads) == 1:
        return leads[0].describe()
    p_value = max(lead.p_value for lead in leads)
    limit = "p < 0.0001" if p_value < 0.0001 else f"p of at most {_format_p(p_value)}"
    return f"{leads[0].points:+.1f} to {leads[-1].points:+.1f} points of accuracy, {limit} (Holm)"


def _describe_untested(untested: Sequence[UntestedPair]) -> str:
    if not untested:
        return ""
    pairs = "1 pair was" if len(untested) == 1 else f"{len(untested)} pairs were"
    return f" {pairs} not tested."


def _describe_p(value: float) -> str:
    return "p < 0.0001" if value < 0.0001 else f"p = {_format_p(value)}"


def _format_p(value: float) -> str:
    """Format a p-value; a large one needs no more than two decimals."""
    return number(value, ".2f") if value >= 0.1 else number(value)


def _join(names: Sequence[str]) -> str:
    """Join names: `a, b and c`, or `a, b, c and 4 more`."""
    shown = list(names[:_MAX_NAMES])
    if len(names) > _MAX_NAMES:
        shown.append(f"{len(names) - _MAX_NAMES} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]
