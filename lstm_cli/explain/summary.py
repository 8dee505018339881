"""The sentences that sum up an explanation, the same in every output."""

from __future__ import annotations

from lstm_cli.explain.result import Explanation, ImageExplanation, Swing

# Changes of the probability below this are not worth naming.
MIN_SWING = 0.05


def step_noun(explanation: Explanation) -> str:
    """Return the name of a step: `token` or `row`."""
    return "row" if isinstance(explanation, ImageExplanation) else "token"


def describe_score(explanation: Explanation) -> str:
    """Write the score as the sum of its parts."""
    gates = explanation.gates
    parts = [f"LSTM {gates.lstm:+.2f}"]
    if gates.linear is not None:
        parts.append(f"linear model {gates.linear:+.2f}")
    parts.append(f"bias {gates.bias:+.2f}")
    return f"Score against {gates.runner_up}: {gates.score:+.2f} = {', '.join(parts)}"


def describe_swings(explanation: Explanation) -> str:
    """Name the largest fall and the largest rise of the predicted class' probability."""
    label, prefixes = explanation.prediction.label, explanation.prefixes
    verbs = {"falls": prefixes.swings.drop, "rises": prefixes.swings.rise}
    large = [
        (verb, swing)
        for verb, swing in verbs.items()
        if swing is not None and abs(swing.after - swing.before) >= MIN_SWING
    ]
    if not large:
        return f"{label} hardly changes: {_describe_range(explanation)}."
    large.sort(key=lambda pair: pair[1].step)
    parts = [f"{verb} most at {_describe_swing(explanation, swing)}" for verb, swing in large]
    return f"{label} {' and '.join(parts)}."


def describe_decision(explanation: Explanation) -> str:
    """Say from which step on the predicted class is the most probable one."""
    label, prefixes = explanation.prediction.label, explanation.prefixes
    last = prefixes.steps[-1]
    if last[explanation.class_index] < last.max():
        return f"{label} is not the most probable class: a threshold chose it."
    if prefixes.decision_step is None:
        return f"{label} is the most probable class from the start."
    where = describe_step(explanation, prefixes.decision_step)
    return f"{label} is the most probable class from {where} on."


def describe_step(explanation: Explanation, step: int) -> str:
    """Name a token or row; for a long text, the group of tokens that share a prediction."""
    if isinstance(explanation, ImageExplanation):
        return f"row {step + 1}"
    tokens, window = explanation.tokens, explanation.prefixes.window
    last = min(step + window, len(tokens)) - 1
    if last > step:
        return f"'{tokens[step].text}' to '{tokens[last].text}' (tokens {step + 1} to {last + 1})"
    return f"'{tokens[step].text}' (token {step + 1})"


def _describe_swing(explanation: Explanation, swing: Swing) -> str:
    where = describe_step(explanation, swing.step)
    return f"{where}, from {swing.before:.0%} to {swing.after:.0%}"


def _describe_range(explanation: Explanation) -> str:
    steps = explanation.prefixes.steps[:, explanation.class_index]
    low, high = f"{steps.min():.0%}", f"{steps.max():.0%}"
    return f"always {low}" if low == high else f"between {low} and {high}"
