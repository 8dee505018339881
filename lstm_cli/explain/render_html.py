"""An explanation as one page of HTML: no other file, no request, legible in the dark."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.explain.render_terminal import LEAST_SHARE, describe_decision
from lstm_cli.explain.result import Explanation, ImageExplanation, TextExplanation, Unit
from lstm_cli.render.html import text

Array = NDArray[Any]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1e; --pale: #6b6b70; --rule: #d8d8dc; --page: #fff;
  --for: 0, 114, 178; --against: 213, 94, 0; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececf0; --pale: #a0a0a8; --rule: #3a3a40;
  --page: #161618; --for: 64, 160, 226; --against: 240, 128, 48; } }
body { font: 16px/1.55 system-ui, sans-serif; color: var(--ink); background: var(--page);
  max-width: 60rem; margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.05rem; margin: 2rem 0 .3rem; }
p { margin: .3rem 0; } .pale { color: var(--pale); font-size: .9rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; font-size: 1.1rem;
  line-height: 1.9; border-block: 1px solid var(--rule); padding: .8rem 0; }
.text span { border-radius: .2rem; padding: .1rem 0; }
.for { background: rgba(var(--for), var(--share)); }
.against { background: rgba(var(--against), var(--share)); }
.unknown { text-decoration: underline dotted var(--pale); }
.on { outline: 2px solid var(--ink); }
svg { display: block; width: 100%; overflow: visible; }
svg text { font-size: 11px; fill: var(--pale); }
.line { fill: none; stroke: rgb(var(--for)); stroke-width: 2; vector-effect: non-scaling-stroke; }
.axis { stroke: var(--rule); stroke-width: 1; vector-effect: non-scaling-stroke; }
.gate { fill: rgb(var(--for)); } .state { fill: none; stroke: var(--ink); stroke-width: 1.5;
  vector-effect: non-scaling-stroke; } .hit { fill: transparent; }
.hit.on { fill: rgba(128, 128, 128, .25); outline: none; }
#told { position: sticky; bottom: 0; background: var(--page); min-height: 1.6em; padding: .3rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; }
td, th { padding: .1rem .7rem .1rem 0; text-align: right; } td:first-child { text-align: left; }
.unit { display: grid; grid-template-columns: 9rem 1fr; gap: .2rem .8rem; margin-top: .8rem; }
.beside { display: grid; grid-template-columns: 16rem minmax(0, 1fr); gap: 1rem; }
.beside svg { height: 16rem; border: 1px solid var(--rule); }
.beside div { display: flex; } .beside div span { flex: 1; text-align: center; }
.pale .for, .pale .against { color: var(--ink); padding: 0 .2rem; border-radius: .2rem; }
rect { shape-rendering: crispEdges; }
@media (max-width: 40rem) { .unit, .beside { grid-template-columns: 1fr; } }
"""
# Points at the same token everywhere, and says its numbers below. The page is whole without.
_SCRIPT = """
const told = document.getElementById("told");
let shown = [];
document.addEventListener("pointerover", (event) => {
  const part = event.target.closest("[data-i]");
  shown.forEach((other) => other.classList.remove("on"));
  shown = part ? [...document.querySelectorAll(`[data-i="${part.dataset.i}"]`)] : [];
  shown.forEach((other) => other.classList.add("on"));
  const full = shown.find((other) => other.dataset.told);
  told.textContent = full ? full.dataset.told : "";
});
"""


def page(explanation: Explanation) -> str:
    """Return the page as text, everything from the data escaped."""
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    said = explanation.prediction
    title = f"{said.label} {said.probability:.1%}"
    body = _text_body if isinstance(explanation, TextExplanation) else _image_body
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{text(title)}</h1>",
            *_score(explanation),
            *body(explanation),  # type: ignore[arg-type]
            *_gates(explanation),
            f'<p id="told" class="pale" aria-live="off"></p><script>{_SCRIPT}</script>',
            "</body></html>",
            "",
        ]
    )


def _score(explanation: Explanation) -> Iterator[str]:
    gates = explanation.gates
    parts = [f"LSTM {gates.lstm:+.2f}"]
    if gates.linear is not None:
        parts.append(f"words and pairs {gates.linear:+.2f}")
    parts.append(f"bias {gates.bias:+.2f}")
    yield (
        f'<p class="pale">Run {text(explanation.run)}. Score over {text(gates.against)}: '
        f"{gates.score:+.2f} = {', '.join(parts)}</p>"
    )


def _text_body(explanation: TextExplanation) -> Iterator[str]:
    label = text(explanation.prediction.label)
    yield "<h2>Words</h2>"
    yield (
        f'<p class="pale">Log-odds lost without the word: <span class="for" style="--share:.5">for '
        f'{label}</span> <span class="against" style="--share:.5">against {label}</span>. '
        "Dotted: not in the vocabulary.</p>"
    )
    yield f'<div class="text" dir="auto">{"".join(_words(explanation))}</div>'
    yield f"<h2>Belief in {label} after each token</h2>"
    yield f"<p>{text(describe_decision(explanation))}</p>"
    chosen = explanation.labels.index(explanation.prediction.label)
    yield _belief(explanation.belief.steps[:, chosen])
    yield from _table(explanation)


def _words(explanation: TextExplanation) -> Iterator[str]:
    """Yield the text, each token in a span of its own."""
    whole, end, cut = explanation.text, 0, explanation.cut
    effects = explanation.words.effects
    strongest = float(np.abs(effects).max()) or 1.0
    for index, token in enumerate(explanation.tokens):
        if cut is not None and end <= cut[0] < token.start:
            unread = whole[cut[0] : cut[1]]
            yield f'{text(whole[end : cut[0]])}<span class="pale">{text(unread)}</span>'
            end = cut[1]
        yield text(whole[end : token.start])
        share = abs(effects[index]) / strongest
        kinds = ["for" if effects[index] > 0 else "against"] if share >= LEAST_SHARE else []
        kinds += [] if token.known else ["unknown"]
        told = text(_told(explanation, index))
        yield (
            f'<span class="{" ".join(kinds)}" style="--share:{0.75 * share:.2f}" data-i="{index}" '
            f'data-told="{told}" title="{told}">{text(token.text)}</span>'
        )
        end = token.end
    yield text(whole[end:])


def _told(explanation: TextExplanation, index: int) -> str:
    """Say all about a token on one line."""
    label = explanation.prediction.label
    chosen = explanation.labels.index(label)
    words, belief = explanation.words, explanation.belief
    parts = [
        f"{explanation.tokens[index].text}: {words.effects[index]:+.2f}",
        f"{label} {words.without[index]:.1%} without it",
        f"{belief.steps[index, chosen]:.1%} after it",
    ]
    if explanation.gates.linear_steps is not None:
        linear = explanation.gates.linear_steps[index]
        parts.append(f"{linear:+.2f} by itself and with the word before it")
    return ", ".join(parts)


def _belief(values: Array) -> str:
    """Draw a line between 0% and 100%."""
    num = len(values)
    points = " ".join(f"{i + 0.5:g},{100 - 100 * v:.1f}" for i, v in enumerate(values))
    if num == 1:
        points += f" 1,{100 - 100 * values[0]:.1f}"
    rules = "".join(f'<path class="axis" d="M0 {y}H{num}"/>' for y in (0, 50, 100))
    return (
        '<div class="unit"><div class="pale">100% at the top, 0% at the bottom</div>'
        f'<svg viewBox="0 0 {num} 100" height="110" preserveAspectRatio="none" role="img" '
        f'aria-label="From {values[0]:.0%} to {values[-1]:.0%}">{rules}'
        f'<polyline class="line" points="{points}"/>{_hits(num, 100)}</svg></div>'
    )


def _hits(num: int, height: int) -> str:
    """Draw what the pointer meets: a column for each step."""
    return "".join(
        f'<rect class="hit" data-i="{i}" x="{i}" y="0" width="1" height="{height}"/>'
        for i in range(num)
    )


def _table(explanation: TextExplanation) -> Iterator[str]:
    """Write the numbers out, for readers who cannot or do not want to see the colours."""
    chosen = explanation.labels.index(explanation.prediction.label)
    label = text(explanation.prediction.label)
    yield '<details><summary class="pale">All tokens as a table</summary><div class="wide"><table>'
    yield f"<tr><th>token<th>log-odds<th>{label} without it<th>{label} after it</tr>"
    for index, token in enumerate(explanation.tokens):
        yield (
            f"<tr><td>{text(token.text)}<td>{explanation.words.effects[index]:+.3f}"
            f"<td>{explanation.words.without[index]:.3f}"
            f"<td>{explanation.belief.steps[index, chosen]:.3f}</tr>"
        )
    yield "</table></div></details>"


def _image_body(explanation: ImageExplanation) -> Iterator[str]:
    """Draw the picture, and beside each of its rows the belief in every class by then."""
    image, steps = explanation.image, explanation.belief.steps
    rows, columns = image.shape
    yield "<h2>Belief after each row</h2>"
    yield f"<p>{text(describe_decision(explanation))}</p>"
    pixels = "".join(
        f'<rect x="{x}" y="{y}" width="1.02" height="1.02" fill="rgb({v},{v},{v})"/>'
        for (y, x), v in np.ndenumerate(image)
        if v
    )
    num = len(explanation.labels)
    cells = "".join(
        f'<rect class="gate" x="{x}" y="{y}" width="1" height="1" opacity="{p:.3f}">'
        f"<title>{text(explanation.labels[x])} after row {y + 1}: {p:.1%}</title></rect>"
        for (y, x), p in np.ndenumerate(steps)
    )
    names = "".join(f"<th>{text(label)}" for label in explanation.labels)
    below = "".join(f"<span>{text(label)}</span>" for label in explanation.labels)
    yield (
        f'<div class="beside"><svg viewBox="0 0 {columns} {rows}" preserveAspectRatio="none" '
        f'role="img" aria-label="{text(explanation.name)}"><rect width="{columns}" '
        f'height="{rows}"/>{pixels}</svg>'
        f'<svg viewBox="0 0 {num} {rows}" preserveAspectRatio="none" role="img" '
        f'aria-label="Belief in each class, a column a class, a row a row of the picture">'
        f'{cells}</svg><div></div><div class="pale">{below}</div></div>'
    )
    yield '<details><summary class="pale">As a table</summary><div class="wide"><table>'
    yield f"<tr><th>row{names}</tr>"
    for row, said in enumerate(steps):
        yield f"<tr><td>{row + 1}" + "".join(f"<td>{p:.2f}" for p in said) + "</tr>"
    yield "</table></div></details>"


def _gates(explanation: Explanation) -> Iterator[str]:
    what = "row" if isinstance(explanation, ImageExplanation) else "token"
    yield "<h2>Gates of the units that matter most</h2>"
    yield (
        f'<p class="pale">By {what}, from above: input, forget and output gate, the fuller the '
        "more open; line: the cell state. The median unit keeps something for "
        f"{explanation.gates.memory:.1f} {what}s.</p>"
    )
    for unit in explanation.gates.units:
        yield (
            f'<div class="unit"><div><b>{unit.direction} {unit.index}</b><br><span class="pale">'
            f"{unit.contribution:+.2f} to the score<br>keeps for {unit.memory:.1f} {what}s</span>"
            f"</div>{_unit(unit)}</div>"
        )


def _unit(unit: Unit) -> str:
    """Draw three rows of gates and the cell state under them."""
    num = len(unit.cell)
    gates = (("input", unit.input_gate), ("forget", unit.forget_gate), ("output", unit.output_gate))
    blocks = "".join(
        f'<rect class="gate" x="{i}" y="{14 * row}" width="1.03" height="13" opacity="{v:.2f}"/>'
        for row, (_, values) in enumerate(gates)
        for i, v in enumerate(values)
    )
    most = float(np.abs(unit.cell).max()) or 1.0
    points = " ".join(f"{i + 0.5:g},{66 - 22 * v / most:.1f}" for i, v in enumerate(unit.cell))
    return (
        f'<svg viewBox="0 0 {num} 90" height="90" preserveAspectRatio="none" role="img" '
        f'aria-label="Input, forget and output gate, and cell state up to {most:.2f}">'
        f'{blocks}<path class="axis" d="M0 66H{num}"/><polyline class="state" points="{points}"/>'
        f"{_hits(num, 90)}</svg>"
    )
