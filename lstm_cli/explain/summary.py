"""The sentences that sum up an explanation, the same in every output."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from lstm_cli.explain.result import Explanation, ImageExplanation, Region, Swing
from lstm_cli.io.text_format import pluralize, short_labels
from lstm_cli.render.plot_style import percent

# Changes of the probability below this are not worth naming.
MIN_SWING = 0.05
# With a smaller share of the score, the gates say little about the answer.
_SMALL_SHARE = 0.1


def step_noun(explanation: Explanation) -> str:
    """Return the name of a step: `token`, `row`, or `step` if a step reads several rows."""
    if not isinstance(explanation, ImageExplanation):
        return "token"
    return "step" if _window(explanation) > 1 else "row"


def describe_windows(explanation: ImageExplanation) -> str:
    """Say how many rows a step reads; empty if it is one."""
    window = _window(explanation)
    if window == 1:
        return ""
    return (
        f"Each of the {len(explanation.windows)} steps reads {window} rows. Its prediction is "
        "beside the rows that it is the first to read."
    )


def _window(explanation: ImageExplanation) -> int:
    first, end = explanation.windows[0]
    return end - first


def with_short_labels(explanation: Explanation) -> Explanation:
    """Return an explanation to show: with the wrong column, a whole text can be a label."""
    names = short_labels(explanation.labels)
    prediction, gates = explanation.prediction, explanation.gates
    shown = msgspec.structs.replace(
        prediction,
        label=names.get(prediction.label, prediction.label),
        probabilities={names[label]: p for label, p in prediction.probabilities.items()},
        labels=prediction.labels and [names[label] for label in prediction.labels],
    )
    runner_up = names.get(gates.runner_up, gates.runner_up)
    return replace(
        explanation,
        labels=tuple(names.values()),
        prediction=shown,
        gates=replace(gates, runner_up=runner_up),
    )


def describe_score(explanation: Explanation) -> str:
    """Write the score as the sum of its parts."""
    gates = explanation.gates
    parts = [f"LSTM {gates.lstm:+.2f}"]
    if gates.regions is not None:
        parts.append(f"regions {gates.regions:+.2f}")
    if gates.linear is not None:
        parts.append(f"linear model {gates.linear:+.2f}")
    parts.append(f"bias {gates.bias:+.2f}")
    name = f"Score against {gates.runner_up}"
    if not gates.runner_up:
        name = f"Log-odds of {explanation.prediction.label}"
    return f"{name}: {gates.score:+.2f} = {', '.join(parts)}"


def describe_small_lstm(explanation: Explanation) -> str:
    """Say that the LSTM, and so its gates, hardly matters for the score; empty if it does."""
    gates = explanation.gates
    parts = [abs(part) for part in (gates.lstm, gates.regions, gates.linear) if part is not None]
    share = parts[0] / max(sum(parts), 1e-9)
    if len(parts) == 1 or share >= _SMALL_SHARE:
        return ""
    return f"The LSTM has only {share:.0%} of this score: its gates explain little here."


def describe_labels(explanation: Explanation) -> str:
    """Name all predicted labels of a multi-label run; empty for other runs."""
    labels = explanation.prediction.labels
    return "" if labels is None else f"Predicted labels: {', '.join(labels) or 'none'}"


def large_swings(explanation: Explanation) -> list[Swing]:
    """Return the swings that are worth naming, in input order."""
    swings = explanation.prefixes.swings
    return sorted(
        (
            swing
            for swing in (swings.drop, swings.rise)
            if swing is not None and abs(swing.after - swing.before) >= MIN_SWING
        ),
        key=lambda swing: swing.step,
    )


def describe_swings(explanation: Explanation) -> str:
    """Name the largest fall and the largest rise of the predicted class' probability."""
    label, swings = explanation.prediction.label, large_swings(explanation)
    if not swings:
        return f"The probability of {label} hardly changes: {_describe_range(explanation)}."
    parts = [_describe_swing(explanation, swing) for swing in swings]
    return f"The probability of {label} {', and '.join(parts)}."


def describe_decision(explanation: Explanation) -> str:
    """Say from which step on the predicted class is the most probable one.

    In a multi-label run: from which step on the label is predicted, or not, as at the end.
    """
    label, prefixes = explanation.prediction.label, explanation.prefixes
    if explanation.prediction.labels is not None:
        verb = "is" if label in explanation.prediction.labels else "is not"
        step = prefixes.decision_step
        start = "the start" if step is None else f"{describe_step(explanation, step)} on"
        return f"{label} {verb} predicted, from {start}."
    last = prefixes.steps[-1]
    if last[explanation.class_index] < last.max():
        return f"A threshold chose {label}: it is not the most probable class."
    if prefixes.decision_step is None:
        return f"The most probable class is {label} from the start."
    where = describe_step(explanation, prefixes.decision_step)
    return f"The most probable class is {label} from {where} on."


def describe_step(explanation: Explanation, step: int) -> str:
    """Name a token, or the rows that a step is the first to read.

    For a long text, name the group of tokens that share a prediction.
    """
    if isinstance(explanation, ImageExplanation):
        return describe_rows(*explanation.row_edges[step : step + 2])
    tokens, window = explanation.tokens, explanation.prefixes.window
    last = min(step + window, len(tokens)) - 1
    if last > step:
        return f"'{tokens[step].text}' to '{tokens[last].text}' (tokens {step + 1} to {last + 1})"
    return f"'{tokens[step].text}' (token {step + 1})"


def describe_rows(start: int, end: int) -> str:
    """Name the rows from `start` up to `end`, counted from 0: `row 3`, or `rows 3 to 4`."""
    return f"row {end}" if end == start + 1 else f"rows {start + 1} to {end}"


def describe_region(explanation: Explanation, region: Region) -> str:
    """Name the steps of a region: its words, or the numbers of the rows that they read."""
    if isinstance(explanation, ImageExplanation):
        windows = explanation.windows[region.start : region.end]
        return describe_rows(windows[0][0], windows[-1][1])
    return " ".join(token.text for token in explanation.tokens[region.start : region.end])


def describe_features(explanation: Explanation, region: Region) -> str:
    """Say what a region adds to the score, and how many features have their maximum in it."""
    features = pluralize(len(region.features), "feature")
    steps = pluralize(region.width, step_noun(explanation))
    return f"{region.contribution:+.2f}, {features} of {steps}"


def _describe_swing(explanation: Explanation, swing: Swing) -> str:
    verb = "rises" if swing.after > swing.before else "falls"
    where = describe_step(explanation, swing.step)
    return f"{verb} most at {where}, from {percent(swing.before)} to {percent(swing.after)}"


def _describe_range(explanation: Explanation) -> str:
    steps = explanation.prefixes.steps[:, explanation.class_index]
    low, high = percent(steps.min()), percent(steps.max())
    return f"always {low}" if low == high else f"between {low} and {high}"
