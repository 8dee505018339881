"""Draw the pictures of docs/lstm.md: `python docs/lstm.py [--run RUN] [--text TEXT]`.

The pictures of memory show the figures of docs/lstm.json, which `python -m benchmarks.memory --json
docs/lstm.json` measures. The picture of the gates shows a text run that reads a text: --run, or the
newest finished text run. If there is none, `lstm train demo` makes one first.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_cli.errors import LstmError
from lstm_cli.models import lstm_equations
from lstm_cli.render.plot_style import BLUE, GREEN, GREY, INK, ORANGE, PALE, fit_name, picture
from lstm_cli.runs import directory, find, validate
from lstm_cli.text.ngrams import BIGRAM_FACTOR

FOLDER = Path(__file__).parent
MEASURED = FOLDER / "lstm.json"
# From a review of IMDB's test split, which calls it positive.
REVIEW = (
    "In my opinion, this film has wonderful lighting and even better photography. Too bad the "
    "story is not all that good and Mr. Cage sometimes loses his accent. But two thumbs up for "
    "lighting and the DP!"
)
_NAMES = {"simple": "simple recurrent network", "lstm": "LSTM"}
_COLOURS = {"simple": ORANGE, "lstm": BLUE}
_NUM_FOR, _NUM_AGAINST = 2, 1  # units to draw: largest and smallest contributions

Array = NDArray[Any]


@dataclass(frozen=True)
class ForwardPass:
    """The forward direction of a run's first layer, on one text.

    Attributes:
        words: The tokens.
        trace: Gates and states, batch size 1.
        contributions: What each unit adds to the score of `label`, `<float>[units]`. All 0 for a
            network of several layers, because its head does not read these units.
        label: The last class.
    """

    words: list[str]
    trace: lstm_equations.Trace
    contributions: Array
    label: str


def read(run: directory.RunDir, text: str) -> ForwardPass:
    """Compute the gates of a text run while it reads a text.

    Raises:
        LstmError: The run is damaged, or reads images.
    """
    validated = validate.read(run)
    if validated.tokenizer is None:
        raise LstmError("This run reads images.", "Name a text run with --run.")
    weights = validate.read_weights(run, validated.plan)
    ids = validated.tokenizer.encode([text])[0].ids
    names = ("kernel", "recurrent_kernel", "bias")
    arrays = [weights[f"lstm_0_forward/{name}"] for name in names]
    trace = lstm_equations.forward(lstm_equations.Weights(*arrays), vectors(ids, weights)[None])
    contributions = np.zeros(trace.weights.units)
    if validated.config.model.layers == 1:
        directions = 2 if validated.config.model.bidirectional else 1
        contributions = unit_contributions(
            trace.hidden[0], validated.config.model.pooling, directions, weights
        )
    words = [validated.tokenizer.id_to_token(int(token)) for token in ids]
    return ForwardPass(words, trace, contributions, validated.labels[-1])


def vectors(ids: Array, weights: Mapping[str, Array]) -> Array:
    """Look up word vectors, and bigram vectors if the run has them, `<float32>[time, dim]`."""
    words = weights["embedding/embeddings"][ids]
    if "bigrams/embeddings" not in weights:
        return words
    table = weights["bigrams/embeddings"]
    previous = np.concatenate([[0], ids[:-1]]).astype(np.int64)
    return np.concatenate([words, table[(previous * BIGRAM_FACTOR + ids) % len(table)]], axis=1)


def unit_contributions(
    hidden: Array, pooling: str, directions: int, weights: Mapping[str, Array]
) -> Array:
    """Return what each forward unit adds to the logit of the last class.

    Args:
        hidden: `<float>[time, units]`.
        pooling: The setting `model.pooling`.
        directions: 1 or 2.
        weights: Arrays of the run, by name.
    """
    reduce = {"last": lambda h: h[-1], "max": lambda h: h.max(0), "mean": lambda h: h.mean(0)}
    pools = [reduce[name](hidden) for name in pooling.split("_")]
    units = hidden.shape[1]
    # Behind the pooled outputs of the LSTM, there may be region features.
    lstm = weights["head/kernel"][: len(pools) * directions * units, -1]
    head = lstm.reshape(len(pools), directions, units)[:, 0]
    return np.asarray((np.array(pools) * head).sum(axis=0))


def draw_gates(forward_pass: ForwardPass, path: Path) -> None:
    """Draw gates and cell state of the units that contribute most, word by word."""
    ranked = np.argsort(-forward_pass.contributions, kind="stable")
    units = [*ranked[:_NUM_FOR], *ranked[::-1][:_NUM_AGAINST]]
    time = len(forward_pass.words)
    size = (max(7.0, 0.2 * time + 1.6), 2.0 * len(units) + 1.6)
    title = "Three units of an LSTM while it reads"
    subtitle = "Darker: the gate is more open. Black: the cell state. Green: the hidden state"
    with picture(path, size, title, subtitle) as figure:
        panels = figure.subplots(2 * len(units), 1, sharex=True, height_ratios=[3, 5] * len(units))
        for index, unit in enumerate(units):
            strips, line = panels[2 * index : 2 * index + 2]
            _draw_strips(strips, forward_pass, int(unit))
            _draw_states(line, forward_pass, int(unit))
        names = [fit_name(word, 14) for word in forward_pass.words]
        panels[-1].set_xticks(range(time), names, rotation=90, fontsize=8)
        panels[-1].set_xlim(-0.6, time - 0.4)


def _draw_strips(axes: Any, forward_pass: ForwardPass, unit: int) -> None:
    trace = forward_pass.trace
    gates = (trace.input_gate, trace.forget_gate, trace.output_gate)
    rows = np.array([gate[0, :, unit] for gate in gates])
    # Rectangles are sharp at every size and have the same bytes everywhere; an image does not.
    axes.pcolormesh(
        np.arange(rows.shape[1] + 1) - 0.5, np.arange(4) - 0.5, rows, cmap="Blues", vmin=0, vmax=1
    )
    axes.set_yticks(range(3), ["input", "forget", "output"], fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    contribution = forward_pass.contributions[unit]
    label = fit_name(forward_pass.label)
    suffix = f": {contribution:+.2f} to the score of '{label}'" if contribution else ""
    axes.set_title(f"Unit {unit}{suffix}", pad=3)


def _draw_states(axes: Any, forward_pass: ForwardPass, unit: int) -> None:
    steps = np.arange(len(forward_pass.words))
    axes.axhline(0, color=PALE, linewidth=0.8)
    axes.plot(steps, forward_pass.trace.cell[0, :, unit], color=INK, marker="o", markersize=2.5)
    axes.plot(steps, forward_pass.trace.hidden[0, :, unit], color=GREEN, linewidth=1.1)
    axes.set_ylabel("state", fontsize=8)
    axes.tick_params(axis="x", length=0)


def draw_gradients(measured: Mapping[str, Any], path: Path) -> None:
    """Draw the remaining gradient by distance, before and after training."""
    distances = measured["distances"]
    title = f"The remaining gradient, up to {distances[-1] + 1} steps back"
    subtitle = "Derivative of the answer by the state, 1 at the last step; band: range of the seeds"
    with picture(path, (8.6, 4.4), title, subtitle) as figure:
        before, after = figure.subplots(1, 2, sharey=True)
        for name, seeds in measured["fading"].items():
            kind, _, when = name.partition(", ")
            trained = when == "trained"
            label = _NAMES[kind] + ("" if when in ("trained", "untrained") else f", {when}")
            style = {"color": _COLOURS[kind], "linestyle": _dashes(when)}
            _draw_band(after if trained else before, distances, seeds, style, label)
        before.set(
            yscale="log", ylabel="Remaining gradient", title="Before training", ylim=(1e-30, 1e3)
        )
        before.yaxis.set_major_formatter("{x:.0e}")
        after.set(title="After training on the adding problem")
        for axes in (before, after):
            axes.set_xlabel("Steps back from the end")
        after.legend(loc="center right")
        figure.legend(*before.get_legend_handles_labels(), loc="outside lower center", ncols=3)


def _dashes(when: str) -> Any:
    """Return a dash pattern: the higher the forget bias, the closer the dashes."""
    bias = int(when.split()[-1]) if when.startswith("forget bias") else None
    return {None: "-", 0: (0, (1, 2.5)), 1: (0, (2, 1.5)), 3: (0, (6, 1.5))}.get(bias, "-")


def _draw_band(
    axes: Any, x: Sequence[float], seeds: Sequence[Sequence[float]], style: Any, label: str
) -> None:
    """Draw the geometric mean of several seeds, and their range."""
    values = np.maximum(np.array(seeds, np.float64), 1e-300)
    axes.fill_between(x, values.min(0), values.max(0), color=style["color"], alpha=0.15, lw=0)
    axes.plot(x, np.exp(np.log(values).mean(0)), **style, label=label)


def draw_adding(measured: Mapping[str, Any], path: Path) -> None:
    """Draw the error of both networks during training, a panel for each length."""
    lengths = sorted({result["length"] for result in measured["adding"]})
    title = "The adding problem: two marked numbers, one sum"
    subtitle = "Mean squared error by update, one line for each seed; dashed: constant answer 1"
    with picture(path, (8.6, 3.3), title, subtitle) as figure:
        panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
        for length, axes in zip(lengths, panels, strict=True):
            axes.axhline(1 / 6, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
            for result in (r for r in measured["adding"] if r["length"] == length):
                for index, curve in enumerate(result["curves"]):
                    updates = 50 * np.arange(1, len(curve) + 1)
                    label = None if index else _NAMES[result["kind"]]
                    colour = _COLOURS[result["kind"]]
                    axes.plot(updates, curve, color=colour, linewidth=1.2, label=label)
            axes.set(title=f"{length} steps", yscale="log", xlabel="Updates")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
        panels[0].set_ylabel("Mean squared error")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


def find_run(name: str | None, folder: str) -> directory.RunDir:
    """Return the named run, or the newest text run; without one, train the demo in `folder`."""
    try:
        return find.find(directory.runs_root(), name, kind="text")
    except LstmError:
        if name is not None:
            raise
    command = [sys.executable, "-m", "lstm_cli", "train", "demo", "--runs-dir", folder]
    subprocess.run(command, check=True)
    return find.find(Path(folder), None, kind="text")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", help="a text run; default: the newest, or a new demo run")
    parser.add_argument("--text", default=REVIEW, help="the text to read")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for the pictures")
    settings = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as folder:
            forward_pass = read(find_run(settings.run, folder), settings.text)
    except LstmError as error:
        print(f"Error: {error.message}", error.hint, sep="\n", file=sys.stderr)
        return int(error.exit_code)
    draw_gates(forward_pass, settings.out / "lstm-gates.svg")
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))["measurements"]
    draw_gradients(measured, settings.out / "lstm-gradient.svg")
    draw_adding(measured, settings.out / "lstm-adding.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
