from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from benchmarks import (
    ablation,
    baseline,
    child,
    determinism,
    films,
    floor,
    gpu,
    prediction,
    presets,
    report,
    step,
    step_worker,
)
from benchmarks.scripts import NO_LINEAR, gpu_parity
from lstm_cli.config.load import load_preset, parse_overrides
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.errors import ExitCode, LstmError

_HOLD = "import sys; held = bytearray(int(sys.argv[1]) << 20); print(len(held))"


def _run(*arguments):
    return child.run([sys.executable, "-I", "-S", *arguments])


# Children


def test_the_memory_of_a_child_does_not_include_its_parent():
    held = bytearray(200 << 20)
    small, large = (_run("-c", _HOLD, str(mb)) for mb in (1, 100))
    assert len(held) > large.peak_mb
    assert small.peak_mb < 60
    assert 90 < large.peak_mb - small.peak_mb < 110


def test_a_child_is_timed_and_its_output_returned():
    ended = _run("-c", "import time; time.sleep(0.3); print('done')")
    assert 0.3 <= ended.seconds < 5
    assert ended.stdout == "done\n"


def test_a_child_knows_its_own_age():
    code = "import time, os; print(time.monotonic() - float(os.environ['LSTM_BENCH_STARTED']))"
    ended = _run("-c", code)
    assert 0 < float(ended.stdout) <= ended.seconds


def test_a_child_caches_bytecode_as_for_a_user(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import sys; print(sys.dont_write_bytecode)"
    assert child.run([sys.executable, "-c", code]).stdout == "False\n"


def test_a_failed_child_is_reported_with_the_end_of_its_stderr():
    with pytest.raises(LstmError, match=r"exit code 7.*\n.*no such thing") as caught:
        _run("-c", "import sys; sys.stderr.write('no such thing'); sys.exit(7)")
    assert caught.value.exit_code == ExitCode.ERROR
    with pytest.raises(LstmError) as caught:
        _run("-c", "import sys; sys.exit(3)")
    assert caught.value.exit_code == ExitCode.DATA


def test_a_missing_program_is_an_error():
    with pytest.raises(LstmError, match="Cannot start '/no/such/program'"):
        child.run(["/no/such/program"])


# Report


def test_spread_has_the_deviation_of_a_sample_and_none_for_one_value():
    found = report.spread([1.0, 2.0, 6.0])
    assert (found["mean"], found["median"], found["min"], found["max"]) == (3, 2, 1, 6)
    assert found["sd"] == pytest.approx(7**0.5)
    assert found["values"] == [1.0, 2.0, 6.0]
    assert report.format_spread(found) == "3.0 ± 2.6"
    assert report.format_spread(report.spread([0.88612]), 4) == "0.8861"


def test_goals_are_met_at_the_limit():
    assert report.at_least("accuracy", 0.885, 0.885).met
    assert not report.at_least("accuracy", 0.8849, 0.885).met
    assert report.at_most("seconds", 60, 60).met
    assert not report.at_most("seconds", 60.1, 60).met


def _measure(settings):
    table = report.Table("Title [b]", ("what", "n"), [("[red]rows[/red]", str(settings.num))])
    return report.Outcome({"num": settings.num}, [table], [report.at_least("num", 2, 3)])


_OPTIONS = (report.Option("num", "how many", 5, 1),)


def test_the_json_has_machine_versions_settings_and_goals(tmp_path, capsys):
    path = tmp_path / "deep" / "result.json"
    assert report.main("try", None, _OPTIONS, _measure, ["--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["machine"]["cores"] == os.cpu_count()
    assert {"python", "numpy", "keras"} <= found["versions"].keys()
    assert found["measurements"] == found["settings"] == {"num": 5}
    assert [goal["met"] for goal in found["goals"]] == [False]
    printed = capsys.readouterr().out
    assert "[red]rows[/red]" in printed
    assert "NOT met" in printed


def test_quick_has_its_own_settings_and_writes_no_results(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(report, "_RESULTS", tmp_path)
    assert report.main("try", None, _OPTIONS, _measure, ["--quick"]) == 0
    assert not list(tmp_path.iterdir())
    assert " 1 " in capsys.readouterr().out
    assert report.main("try", None, _OPTIONS, _measure, []) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["try.json"]


@pytest.mark.parametrize(
    ("main", "missing"),
    [(presets.main, "mnist"), (baseline.main, "imdb"), (step.main, "imdb")],
)
def test_missing_data_gives_exit_code_3_before_the_measurement(
    main, missing, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    arguments = ["--presets", "demo,mnist"] if main is presets.main else []
    assert main(arguments) == 3
    message = capsys.readouterr().err
    assert missing in message
    assert str(tmp_path) in message


# Calculations


def _contestant(*snapshots, total=100.0):
    taken = [{"seconds": seconds, "accuracy": accuracy} for seconds, accuracy in snapshots]
    return {"seed": 0, "snapshots": taken, "total_seconds": total}


def test_the_time_to_an_accuracy_is_that_of_the_first_snapshot_with_it():
    run = _contestant((10, 0.8), (20, 0.87), (30, 0.86))
    assert baseline.best(run) == 0.87
    assert baseline.seconds_to(run, 0.859) == 20
    assert baseline.seconds_to(run, 0.9) is None


def test_a_script_that_never_reaches_the_accuracy_counts_with_its_total_time():
    keras, ours = _contestant((40, 0.83), (80, 0.85)), _contestant((5, 0.84), (10, 0.88))
    found = baseline.ratio(keras, ours)
    assert (found["keras_seconds_to_target"], found["ratio_to_target"]) == (None, 10)
    assert found["ratio_to_keras_best"] == 8
    assert baseline.ratio(ours, keras)["ratio_to_target"] is None


def test_labels_are_compared_record_by_record():
    tsv = "pos\t0.900000\t0.1\t0.9\nneg\t0.600000\t0.6\t0.4\n"
    found = prediction.compare(tsv, [["pos", 0.9000004], ["pos", 0.51]])
    assert found["labels_equal"] == 0.5
    assert found["largest_difference"] == pytest.approx(4e-7)
    with pytest.raises(ValueError, match=r"longer|shorter"):
        prediction.compare(tsv, [["pos", 0.9]])


def test_percentiles_lie_within_the_values():
    values = [float(n) for n in range(1, 102)]
    assert prediction.percentile(values, 50) == 51
    assert prediction.percentile(values, 99) == 100
    assert prediction.percentile([3.0], 99) == 3.0


def test_flops_include_both_directions_every_layer_and_the_bigrams():
    small = {"embedding.dim": 5, "model.units": 3, "model.bidirectional": False}
    one = 2 * 4 * 3 * (5 + 3)
    assert floor.lstm_flops(load_preset("demo", small)) == one
    stacked = {**small, "model.bidirectional": True, "model.layers": 2}
    both = 2 * one + 2 * (2 * 4 * 3 * (6 + 3))
    assert floor.lstm_flops(load_preset("demo", stacked)) == both
    bigrams = {**small, "embedding.bigram_buckets": 10, "embedding.bigram_dim": 2}
    assert floor.lstm_flops(load_preset("demo", bigrams)) == 2 * 4 * 3 * (7 + 3)
    regions = {**bigrams, "embedding.region_widths": [3], "embedding.region_dim": 4}
    widths = {**regions, "model.regions": [2, 3], "model.region_units": 6}
    lstm, convolutions = 2 * 4 * 3 * (11 + 3), 2 * (2 + 3) * 11 * 6
    assert floor.training_flops(load_preset("demo", widths)) == 3 * lstm + convolutions


def test_a_step_is_compared_with_its_floor_at_one_size():
    steps = [
        {"batch_size": 128, "length": length, "ms": {"median": 30.0}, "floor_ms": 8.0}
        for length in (100, 200)
    ]
    _, goal = step._goals({"bucketed": {"mean": 0.01}}, steps)
    assert (goal.value, goal.met) == ("3.8", False)


def test_the_cost_of_determinism_is_the_ratio_of_the_shortest_steps():
    found = determinism.compare([30.0, 20.0, 40.0], [22.0, 90.0, 45.0])
    assert found["ratio_of_minima"] == pytest.approx(1.1)
    assert found["ratio_of_medians"] == 1.5
    assert found["on_ms"]["values"] == [22.0, 90.0, 45.0]


def test_a_worker_that_fails_is_reported_with_the_end_of_its_stderr():
    with (
        pytest.raises(LstmError, match="There is no preset 'none'"),
        step_worker.start("none", "on", 16, "cpu"),
    ):
        pass


def test_a_mistyped_preset_is_reported_before_the_measurement(capsys):
    assert determinism.main(["--presets", "digits,mnits"]) == 2
    assert "Did you mean 'mnist'" in capsys.readouterr().err


# Whole scripts


def test_determinism_takes_steps_with_and_without_it(tmp_path):
    path = tmp_path / "result.json"
    assert determinism.main(["--quick", "--json", str(path)]) == 0
    found = json.loads(path.read_text())["measurements"]["presets"]["digits"]
    for kind in ("off_ms", "on_ms"):
        # Three rounds of two steps.
        assert len(found[kind]["values"]) == 6
        assert found[kind]["min"] > 0


def test_presets_trains_through_the_command_line(tmp_path):
    path = tmp_path / "result.json"
    runs_dir = tmp_path / "runs"
    assert presets.main(["--quick", "--json", str(path), "--runs-dir", str(runs_dir)]) == 0
    found = json.loads(path.read_text())
    run = found["measurements"]["presets"]["demo"]["runs"][0]
    assert 0 <= run["accuracy"] <= 1
    assert run["seconds"] > run["parts"]["train"]
    # TensorFlow alone takes some hundred MiB.
    assert 300 < run["peak_mb"] < 4000
    assert (runs_dir / "demo" / "demo-0" / "manifest.json").exists()


@pytest.mark.slow
def test_everything_runs_quickly(capfd):
    done = subprocess.run([sys.executable, "-m", "benchmarks", "--quick"], check=False)
    assert done.returncode == 0
    output = capfd.readouterr().out
    for title in (
        "lstm train PRESET",
        "Keras tutorial against lstm",
        "Start to answer",
        "Padding",
        "without and with train.deterministic",
        "best baseline",
    ):
        assert title in output


def test_train_and_validation_share_no_film():
    """All reviews of a film have the same three names."""
    sentence = "a film with a cast and a story that some will like and some will not"
    common = sentence.split()
    rng = np.random.default_rng(0)
    film_of = rng.integers(0, 60, 300)
    texts = [
        " ".join([*rng.permutation(common), *(f"name{film}x{i}" for i in range(3))])
        for film in film_of
    ]
    parts = films.split_by_film(texts, 30)
    assert len(parts.validation) == 30
    held_out = set(film_of[parts.validation])
    assert set(film_of[parts.train]) == set(film_of) - held_out
    assert len(parts.train) == sum(film not in held_out for film in film_of)


def test_an_unknown_variant_of_the_ablation_is_named(capsys):
    assert ablation.main(["--quick", "--variants", "wrods"]) == 2
    assert "'wrods'" in capsys.readouterr().err


def test_a_variant_of_the_ablation_that_starts_from_a_run_requires_it(capsys):
    assert ablation.main(["--quick", "--variants", "pretrained"]) == 2
    assert "--init-from" in capsys.readouterr().err


def test_every_variant_of_the_ablation_has_valid_settings():
    for preset, *changes in ablation.VARIANTS.values():
        load_preset(preset, parse_overrides([c for c in changes if c != NO_LINEAR]))


def test_the_ablation_trains_and_validates(tmp_path, monkeypatch):
    def run_here(command, _environment=None):
        """As `child.run`, in this process, where TensorFlow is imported once."""
        assert command[:2] == [sys.executable, "-m"]
        monkeypatch.setattr(sys, "argv", command[2:])
        importlib.import_module(command[2]).main()
        return child.ProcessResult(1.0, 1.0, "")

    monkeypatch.setattr(child, "run", run_here)
    path, reviews = tmp_path / "ablation.json", tmp_path / "reviews.csv"
    rows = [f"{('fine', 'dull')[n % 2]} film of critic {n},{n % 2}" for n in range(300)]
    reviews.write_text("\n".join(["text,label", *rows]))
    options = ["--variants", "unigrams,imdb", "--data", str(reviews), "--json", str(path)]
    assert ablation.main(options) == 0
    found = json.loads(path.read_text())["measurements"]
    assert "lstm" not in found["unigrams"][0]
    assert 0 < found["imdb"][0]["lstm"]["accuracy"] <= 1
    # Without those of the test split.
    assert found["imdb"][0]["num_train"] + found["imdb"][0]["num_validation"] == 240


def test_without_a_gpu_its_benchmark_is_skipped(tmp_path, monkeypatch, capsys):
    found = {"gpus": [], "backend": "jax", "kernel": "XLA scan"}
    monkeypatch.setattr(child, "run_script", lambda *_: found)
    path = tmp_path / "gpu.json"
    assert gpu.main(["--json", str(path)]) == 0
    assert "jax sees no GPU" in capsys.readouterr().err
    # An earlier result stays.
    assert not path.exists()


def test_trainings_on_a_gpu_are_compared_by_their_files():
    first, other = {"weights": "a", "history": "b"}, {"weights": "a", "history": "c"}
    digests = {"first": first, "second": dict(first), "killed": other}
    found = gpu.compare_runs({**digests, "free-1": first, "free-2": other})
    assert list(found.values()) == [True, False, False]


@pytest.mark.parametrize("data", ["demo", "reviews.csv"])
def test_trainings_on_a_gpu_have_no_linear_part(tmp_path, data):
    path, rows = tmp_path / "on.yaml", tmp_path / "reviews.csv"
    rows.write_text("text,label\nfine,1\n")
    path.write_text(json.dumps(gpu.training_settings("imdb", 300, deterministic=False)))
    config = dataset_settings(str(rows) if data == rows.name else data, path)
    assert config.linear is None
    assert (config.data.limit, config.train.deterministic) == (300, False)
    assert config.model.units == load_preset("imdb").model.units


def test_parity_is_the_largest_difference_of_each_text():
    expected = np.array([[0.4, 0.6], [0.51, 0.49], [1.0, 0.0]], np.float32)
    found = np.array([[0.4, 0.6], [0.49, 0.51], [0.9, 0.1]], np.float32)
    compared = gpu_parity.compare(found, expected)
    assert (compared["num"], compared["labels_changed"]) == (3, 1)
    assert compared["max"] == pytest.approx(0.1)
    assert compared["mean"] == pytest.approx(0.04)


@pytest.mark.slow
def test_the_gpu_benchmark_runs_on_a_cpu(tmp_path):
    path = tmp_path / "gpu.json"
    assert gpu.main(["--quick", "--device", "cpu", "--json", str(path)]) == 0
    result = json.loads(path.read_text())
    assert all(result["measurements"]["identical"].values())
    assert all(goal["met"] for goal in result["goals"])
    (steps,) = result["measurements"]["steps"]
    assert (len(steps["gpu"]["values"]), len(steps["cpu"]["values"])) == (4, 2)
