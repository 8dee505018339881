"""The page about the LSTM: its benchmark on a small scale, and its pictures."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures_runs import TEXTS, make_text_run, text_config

from benchmarks import memory, report
from lstm_cli.errors import LstmError
from lstm_cli.models import lstm_equations
from lstm_cli.prediction.predictor import Predictor

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pictures():
    spec = importlib.util.spec_from_file_location("docs_lstm", DOCS / "lstm.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def test_the_adding_problem_marks_one_number_in_each_half():
    inputs, sums = next(memory.draw(10, 500, seed=0))
    assert inputs.shape == (500, 10, 2)
    assert set(np.unique(inputs[:, :, 1])) == {0.0, 1.0}
    assert (inputs[:, :5, 1].sum(axis=1) == 1).all()
    assert (inputs[:, 5:, 1].sum(axis=1) == 1).all()
    for row, expected in zip(inputs, sums, strict=True):
        assert row[row[:, 1] == 1, 0].sum() == pytest.approx(expected[0], abs=1e-6)
    assert ((sums - 1) ** 2).mean() == pytest.approx(1 / 6, abs=0.02)
    assert not np.array_equal(next(memory.draw(10, 500, seed=1))[0], inputs)


def test_gradients_of_the_simple_network_match_finite_differences():
    rng = np.random.default_rng(0)
    kernel, recurrent, bias, last = (rng.normal(0, 0.5, s) for s in ((2, 3), (3, 3), 3, 3))
    inputs = rng.normal(size=(1, 5, 2))
    found = memory.simple_gradients(kernel, recurrent, bias, inputs, last)

    def answer(h, start):
        for x in inputs[0, start:]:
            h = np.tanh(x @ kernel + h @ recurrent + bias)
        return h @ last

    h = np.zeros(3)
    for t, x in enumerate(inputs[0]):
        h = np.tanh(x @ kernel + h @ recurrent + bias)
        steps = 1e-6 * np.eye(3)
        slopes = [(answer(h + p, t + 1) - answer(h - p, t + 1)) / 2e-6 for p in steps]
        assert np.abs(found[0, t] - slopes).max() < 1e-7


def test_the_remaining_gradient_is_the_product_of_the_forget_gates():
    """Without recurrent weights, only the forget gate connects two cell states."""
    units, bias = 3, np.zeros(12)
    bias[3:6] = 2.0
    arrays = (np.zeros((2, 12)), np.zeros((units, 12)), bias)
    found = memory.relative_gradients("lstm", arrays, np.ones((4, 9, 2)), np.ones(units))
    forget = 1 / (1 + np.exp(-2.0))
    assert found == pytest.approx(forget ** np.arange(9), rel=1e-9)


def test_the_memory_benchmark_measures_both_networks(tmp_path):
    path = tmp_path / "memory.json"
    options = ["--quick", "--lengths", "6", "--gradient-length", "6", "--json", str(path)]
    assert memory.main(options) == 0
    measured = json.loads(path.read_text())["measurements"]
    assert [(a["kind"], a["length"]) for a in measured["adding"]] == [("simple", 6), ("lstm", 6)]
    assert set(measured["fading"]) == {
        "simple, untrained", "simple, trained",
        "lstm, forget bias 1", "lstm, forget bias 5", "lstm, trained",
    }  # fmt: skip
    for seeds in measured["fading"].values():
        assert len(seeds[0]) == len(measured["distances"])
        assert seeds[0][0] == 1
    low, high = (measured["fading"][f"lstm, forget bias {bias}"][0][-1] for bias in (1, 5))
    assert low < high
    with pytest.raises(LstmError, match="gradient-length"):
        memory.measure(_settings(lengths="6", gradient_length=7))


def _settings(**changes):
    quick = {o.name: o.quick for o in memory.OPTIONS} | {"quick": True}
    return SimpleNamespace(**(quick | changes))


def test_training_stops_when_the_problem_is_solved(monkeypatch):
    monkeypatch.setattr(memory, "_SOLVED", 10.0)
    trained = memory.train("simple", 5, 0, _settings(gradient_length=8))
    assert trained.updates == 1
    assert trained.gradients is None


@pytest.mark.parametrize("pooling", ["last", "max", "mean", "max_mean"])
@pytest.mark.parametrize("buckets", [0, 13])
def test_unit_contributions_add_up_to_the_probability(pictures, tmp_path, pooling, buckets):
    config = text_config(
        model__bidirectional=False, model__pooling=pooling, embedding__bigram_buckets=buckets
    )
    run = make_text_run(tmp_path / "run", config=config)
    for text in TEXTS:
        reading = pictures.read(run, text)
        bias = _head_bias(run)
        expected = Predictor.load(run).text_probabilities([text])[0, 1]
        logit = reading.contributions.sum() + bias
        assert 1 / (1 + np.exp(-logit)) == pytest.approx(expected, abs=1e-5)
        assert reading.words == text.split()


def _head_bias(run):
    import safetensors.numpy

    return safetensors.numpy.load_file(run.file("weights.safetensors"))["head/bias"][0]


def test_pictures_are_drawn_with_the_same_bytes_twice(pictures, tmp_path, monkeypatch):
    """Gates of tokens, gradients, and the adding problem."""
    make_text_run(tmp_path / "runs" / "demo" / "a")
    monkeypatch.setenv("LSTM_RUNS_DIR", str(tmp_path / "runs"))
    drawn = []
    for name in ("one", "two"):
        assert pictures.main(["--text", TEXTS[0], "--out", str(tmp_path / name)]) == 0
        drawn.append({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()})
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {"lstm-gradient.svg", "lstm-adding.svg", "lstm-gates.svg"}
    assert pictures.main(["--run", "nothing", "--out", str(tmp_path)]) != 0


def test_the_page_shows_existing_pictures_and_measured_figures():
    page = (DOCS / "lstm.md").read_text(encoding="utf-8")
    shown = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page)
    assert len(shown) == 3
    for name in shown:
        assert (DOCS / name).read_text(encoding="utf-8").startswith("<?xml")
        assert (DOCS / name).stat().st_size < 200_000
    measured = json.loads((DOCS / "lstm.json").read_text(encoding="utf-8"))
    assert measured["quick"] is False
    for found in measured["measurements"]["adding"]:
        error = report.format_spread(found["error"], 4)
        row = f"| {found['length']} | {_NAMES[found['kind']]} | {error} |"
        assert row in page, row


_NAMES = {"simple": "simple", "lstm": "LSTM"}


def test_the_equations_of_the_page_are_those_of_the_code():
    page = (DOCS / "lstm.md").read_text(encoding="utf-8")
    equations = re.findall(r"^    [ifgcoh]\(t\) = .*?(?:  |$)", lstm_equations.__doc__, re.M)
    assert len(equations) == 6
    for line in equations:
        assert " ".join(line.split()) in " ".join(page.split())
