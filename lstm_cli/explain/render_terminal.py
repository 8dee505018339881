"""An explanation as lines of styled text: what a terminal, a log or a pipe can show.

Nothing is printed here. A line is a list of pieces, each with a style: a shade of support or
opposition from 1 to 4, a weight, or none.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.result import Explanation, ImageExplanation, TextExplanation, Unit

NUM_SHADES = 4
# Below this share of the strongest effect a word stays as it is.
LEAST_SHARE = 0.12
_BARS = "▁▂▃▄▅▆▇█"
_FILLS = " ░▒▓█"
_NUM_TOP = 5
_NUM_UNITS = 3
_NAME_WIDTH = 10

Array = NDArray[Any]


class Piece(NamedTuple):
    """A part of a line.

    Attributes:
        text: As it stands in the data; whoever shows it makes it safe.
        style: `for1` to `for4` or `against1` to `against4` (the higher, the stronger), `heat0` to
            `heat7`, `bold`, `dim`, or empty.
    """

    text: str
    style: str = ""


Line = list[Piece]


def shade(effect: float, strongest: float) -> str:
    """Return the style of a word: by what it does against what the strongest does."""
    share = abs(effect) / strongest if strongest else 0.0
    if share < LEAST_SHARE:
        return ""
    level = min(NUM_SHADES, 1 + int(NUM_SHADES * share))
    return f"{'for' if effect > 0 else 'against'}{level}"


def lines(explanation: Explanation, width: int, colour: bool) -> Iterator[Line]:
    """Draw an explanation.

    Args:
        explanation: Of a text or an image.
        width: Columns there are; texts may be longer, and wrap.
        colour: Whether styles will be seen; else numbers say what they would.
    """
    yield from _answer(explanation)
    if isinstance(explanation, TextExplanation):
        yield [Piece("")]
        yield list(_words(explanation, colour))
        yield [Piece("")]
        yield from _legend(explanation, colour)
        yield from _top(explanation)
        yield [Piece("")]
        yield from _belief(explanation, width)
    else:
        yield [Piece("")]
        yield from _rows(explanation, width)
    yield [Piece("")]
    yield from _gates(explanation, width, colour)


def _answer(explanation: Explanation) -> Iterator[Line]:
    said, gates = explanation.prediction, explanation.gates
    yield [Piece(f"{said.label}", "bold"), Piece(f"  {said.probability:.1%}", "bold")]
    parts = [f"LSTM {gates.lstm:+.2f}"]
    if gates.linear is not None:
        parts.append(f"words and pairs {gates.linear:+.2f}")
    parts.append(f"bias {gates.bias:+.2f}")
    told = f"{gates.score:+.2f} over '{gates.against}': {', '.join(parts)}"
    yield [Piece(told, "dim")]


def _words(explanation: TextExplanation, colour: bool) -> Iterator[Piece]:
    """Mark the words on the text itself, spelling and spacing kept."""
    text, end = explanation.text, 0
    effects = explanation.words.effects
    strongest = float(np.abs(effects).max())
    digits = 1 if strongest >= 1 else 2
    for token, effect in zip(explanation.tokens, effects, strict=True):
        # Where the text was cut, what was never read lies between two tokens.
        yield from _between(explanation, end, token.start)
        style = shade(float(effect), strongest)
        yield Piece(token.text, style)
        if style and not colour:
            yield Piece(f"[{effect:+.{digits}f}]")
        end = token.end
    yield from _between(explanation, end, len(text))


def _between(explanation: TextExplanation, start: int, end: int) -> Iterator[Piece]:
    """Yield what stands between two tokens; what the network never saw, in short."""
    text, cut = explanation.text, explanation.cut
    if cut is None or not start <= cut[0] < end:
        yield Piece(text[start:end])
        return
    yield Piece(text[start : cut[0]])
    num = (explanation.prediction.num_tokens or 0) - len(explanation.tokens)
    yield Piece(f" [... {num:,} tokens that were not read ...] ", "dim")
    yield Piece(text[cut[1] : end])


def _legend(explanation: TextExplanation, colour: bool) -> Iterator[Line]:
    label = explanation.prediction.label
    told = "Log-odds that are lost without the word"
    if colour:
        yield [
            Piece(f"{told}: ", "dim"), Piece(f"for {label}", "for3"), Piece(" "),
            Piece(f"against {label}", "against3"),
        ]  # fmt: skip
    else:
        yield [Piece(f"{told}: [+] for {label}, [-] against {label}.", "dim")]


def _top(explanation: TextExplanation) -> Iterator[Line]:
    """Name the words that do most, either way."""
    effects = explanation.words.effects
    if not effects.any():
        yield [Piece("No word alone makes a difference.")]
    for heading, sign in (("for", 1), ("against", -1)):
        order = np.argsort(-sign * effects, kind="stable")[:_NUM_TOP]
        found = [i for i in order if sign * effects[i] > 0]
        if not found:
            continue
        line = [Piece(f"{heading:<{_NAME_WIDTH}}", "dim")]
        for place in found:
            line += [Piece(explanation.tokens[place].text, "bold")]
            line += [Piece(f" {effects[place]:+.2f}   ")]
        yield line


def _belief(explanation: TextExplanation, width: int) -> Iterator[Line]:
    label = explanation.prediction.label
    chosen = explanation.labels.index(label)
    belief = explanation.belief
    line = belief.steps[:, chosen]
    yield [Piece(f"Belief in {label} after each token", "bold")]
    first = "" if belief.start is None else f"{belief.start[chosen]:.0%} "
    last = f" {line[-1]:.0%}"
    room = max(8, width - len(first) - len(last))
    yield [Piece(first, "dim"), Piece(bars(line, room)), Piece(last, "dim")]
    yield [Piece(describe_decision(explanation))]


def describe_decision(explanation: Explanation) -> str:
    """Say in a sentence where the belief turned, and by which word or row."""
    label, belief = explanation.prediction.label, explanation.belief
    chosen = explanation.labels.index(label)
    steps = belief.steps[:, chosen]
    if belief.turn is None:
        if steps[-1] < belief.steps[-1].max():
            return f"{label} never took the lead: a threshold chose it."
        lowest = int(steps.argmin())
        return (
            f"{label} led from the beginning; its lowest was {steps[lowest]:.0%}, after "
            f"{_step(explanation, lowest)}."
        )
    before = belief.before(belief.turn)
    assert before is not None
    return (
        f"It turned to {label} at {_step(explanation, belief.turn)}: {before[chosen]:.0%} before, "
        f"{steps[belief.turn]:.0%} after."
    )


def _step(explanation: Explanation, step: int) -> str:
    if isinstance(explanation, ImageExplanation):
        return f"row {step + 1}"
    return f"'{explanation.tokens[step].text}' (token {step + 1})"


def _rows(explanation: ImageExplanation, width: int) -> Iterator[Line]:
    """Draw the picture row by row, and beside each what the network believes by then."""
    labels, belief = explanation.labels, explanation.belief
    final = explanation.prediction.label
    chosen = labels.index(final)
    shown = _legible(explanation.image, max(8, min(explanation.image.shape[1], width // 5)))
    # As wide as the widest label needs, and as many classes as there is room for.
    longest = max(len(label) for label in labels)
    cell, beside = max(2, longest) + 1, longest + 9
    fits = max(1, (width - 2 * shown.shape[1] - beside) // cell)
    order = sorted(np.argsort(-belief.steps[-1], kind="stable")[:fits])
    heading = "".join(f"{labels[i]:>{cell}}" for i in order)
    yield [Piece(f"{'':{2 * shown.shape[1]}}  {'leads':<{beside - 2}}{heading}", "dim")]
    for row, (pixels, said) in enumerate(zip(shown, belief.steps, strict=True)):
        leader = int(said.argmax())
        picture = "".join(2 * _FILLS[round(4 * float(p))] for p in pixels)
        name = f"{labels[leader]:<{longest}} {said[leader]:>4.0%}"
        style = "bold" if leader == chosen else "dim"
        values = "".join(f"{_FILLS[round(4 * float(said[i]))] * 2:>{cell}}" for i in order)
        mark = "<" if row == belief.turn else " "
        yield [Piece(picture), Piece(f"  {name}{mark} ", style), Piece(values)]
    yield [Piece(describe_decision(explanation))]


def _legible(image: Array, columns: int) -> NDArray[np.float64]:
    """Scale a picture's rows to so many columns, brightness 0 to 1; rows stay as they are."""
    edges = np.linspace(0, image.shape[1], columns + 1).round().astype(int)
    parts = [image[:, a : max(b, a + 1)].mean(axis=1) for a, b in pairwise(edges)]
    return np.asarray(np.stack(parts, axis=1) / 255.0)


def _gates(explanation: Explanation, width: int, colour: bool) -> Iterator[Line]:
    gates = explanation.gates
    what = "row" if isinstance(explanation, ImageExplanation) else "token"
    yield [
        Piece("Gates of the units that matter most", "bold"),
        Piece(f"  (the median unit keeps something for {gates.memory:.1f} {what}s)", "dim"),
    ]
    for unit in gates.units[:_NUM_UNITS]:
        yield [
            Piece(f"{unit.direction} {unit.index}", "bold"),
            Piece(f"  {unit.contribution:+.2f}, keeps for {unit.memory:.1f} {what}s", "dim"),
        ]
        yield from _strips(unit, width, colour)


def _strips(unit: Unit, width: int, colour: bool) -> Iterator[Line]:
    """Draw a unit's gates as a map of heat, or as bars, and its cell state round a middle."""
    room = max(8, width - _NAME_WIDTH - 8)
    rows = {"input": unit.input_gate, "forget": unit.forget_gate, "output": unit.output_gate}
    for name, values in rows.items():
        strip = [Piece(bars(values, room))]
        if colour:
            strip = [Piece(" ", f"heat{_level(v)}") for v in downsample(values, room)]
        yield [Piece(f"  {name:<{_NAME_WIDTH - 2}}", "dim"), *strip]
    most = float(np.abs(unit.cell).max()) or 1.0
    line = bars((unit.cell / most + 1) / 2, room)
    yield [
        Piece(f"  {'cell':<{_NAME_WIDTH - 2}}", "dim"),
        Piece(line),
        Piece(f" ±{most:.1f}", "dim"),
    ]


def bars(values: Array, room: int) -> str:
    """Draw values of 0 to 1 as a line of bars, at most so many columns wide."""
    return "".join(_BARS[_level(v)] for v in downsample(values, room))


def _level(value: float) -> int:
    """Return a step from 0 to 7 for a value of 0 to 1."""
    return min(7, int(8 * float(value)))


def downsample(values: Array, room: int) -> NDArray[np.float64]:
    """Average neighbours until the values fit into so many columns."""
    if len(values) <= room:
        return np.asarray(values, np.float64)
    edges = np.linspace(0, len(values), room + 1).astype(int)
    return np.array([values[a:b].mean() for a, b in pairwise(edges)])
