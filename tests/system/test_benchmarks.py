from __future__ import annotations

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
    prediction,
    presets,
    report,
    step,
)
from lstm_cli.config.load import load_preset, parse_overrides
from lstm_cli.errors import ExitCode, LstmError

_HOLD = "import sys; held = bytearray(int(sys.argv[1]) << 20); print(len(held))"


def _run(*arguments):
    return child.run([sys.executable, "-I", "-S", *arguments])


# Children


def test_a_child_is_measured_by_its_own_memory_not_by_its_parents():
    held = bytearray(200 << 20)
    small, large = (_run("-c", _HOLD, str(mb)) for mb in (1, 100))
    assert len(held) > large.peak_mb
    assert small.peak_mb < 60
    assert 90 < large.peak_mb - small.peak_mb < 110


def test_a_child_is_timed_from_start_to_end_and_its_output_kept():
    ended = _run("-c", "import time; time.sleep(0.3); print('done')")
    assert 0.3 <= ended.seconds < 5
    assert ended.stdout == "done\n"


def test_a_child_knows_its_own_age():
    code = "import time, os; print(time.monotonic() - float(os.environ['LSTM_BENCH_STARTED']))"
    ended = _run("-c", code)
    assert 0 < float(ended.stdout) <= ended.seconds


def test_a_child_keeps_what_it_compiled_as_a_users_python_does(monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    code = "import sys; print(sys.dont_write_bytecode)"
    assert child.run([sys.executable, "-c", code]).stdout == "False\n"


def test_a_child_that_fails_is_told_with_its_last_words():
    with pytest.raises(LstmError, match=r"exit code 7.*\n.*no such thing") as caught:
        _run("-c", "import sys; sys.stderr.write('no such thing'); sys.exit(7)")
    assert caught.value.exit_code == ExitCode.ERROR
    with pytest.raises(LstmError) as caught:
        _run("-c", "import sys; sys.exit(3)")
    assert caught.value.exit_code == ExitCode.DATA


def test_a_program_that_is_not_there_is_an_error():
    with pytest.raises(LstmError, match="Cannot start '/no/such/program'"):
        child.run(["/no/such/program"])


# Report


def test_spread_has_the_deviation_of_a_sample_and_none_for_one_value():
    found = report.spread([1.0, 2.0, 6.0])
    assert (found["mean"], found["median"], found["min"], found["max"]) == (3, 2, 1, 6)
    assert found["sd"] == pytest.approx(7**0.5)
    assert found["values"] == [1.0, 2.0, 6.0]
    assert report.shown(found) == "3.0 ± 2.6"
    assert report.shown(report.spread([0.88612]), 4) == "0.8861"


def test_goals_are_met_at_their_limit():
    assert report.at_least("accuracy", 0.885, 0.885).met
    assert not report.at_least("accuracy", 0.8849, 0.885).met
    assert report.at_most("seconds", 60, 60).met
    assert not report.at_most("seconds", 60.1, 60).met


def _measure(settings):
    table = report.Table("Title [b]", ("what", "n"), [("[red]rows[/red]", str(settings.num))])
    return report.Outcome({"num": settings.num}, [table], [report.at_least("num", 2, 3)])


_OPTIONS = (report.Option("num", "how many", 5, 1),)


def test_the_json_tells_machine_versions_settings_and_goals(tmp_path, capsys):
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


def test_quick_has_its_own_settings_and_leaves_the_results_alone(tmp_path, monkeypatch, capsys):
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
def test_missing_data_ends_with_exit_code_3_before_anything_is_measured(
    main, missing, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    arguments = ["--presets", "demo,mnist"] if main is presets.main else []
    assert main(arguments) == 3
    told = capsys.readouterr().err
    assert f"needs {missing}" in told
    assert str(tmp_path) in told


# What follows from measurements


def _contestant(*snapshots, total=100.0):
    taken = [{"seconds": seconds, "accuracy": accuracy} for seconds, accuracy in snapshots]
    return {"seed": 0, "snapshots": taken, "total_seconds": total}


def test_the_time_to_an_accuracy_is_that_of_the_first_snapshot_that_has_it():
    run = _contestant((10, 0.8), (20, 0.87), (30, 0.86))
    assert baseline.best(run) == 0.87
    assert baseline.seconds_to(run, 0.859) == 20
    assert baseline.seconds_to(run, 0.9) is None


def test_a_script_that_never_gets_there_counts_with_its_total():
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


def test_flops_count_both_directions_every_layer_and_the_pairs():
    small = {"embedding.dim": 5, "model.units": 3, "model.bidirectional": False}
    one = 2 * 4 * 3 * (5 + 3)
    assert floor.lstm_flops(load_preset("demo", small)) == one
    stacked = {**small, "model.bidirectional": True, "model.layers": 2}
    both = 2 * one + 2 * (2 * 4 * 3 * (6 + 3))
    assert floor.lstm_flops(load_preset("demo", stacked)) == both
    pairs = {**small, "embedding.bigram_buckets": 10, "embedding.bigram_dim": 2}
    assert floor.lstm_flops(load_preset("demo", pairs)) == 2 * 4 * 3 * (7 + 3)


def test_the_cost_of_determinism_is_the_ratio_of_the_shortest_steps():
    found = determinism.compare([30.0, 20.0, 40.0], [22.0, 90.0, 45.0])
    assert found["ratio_of_minima"] == pytest.approx(1.1)
    assert found["ratio_of_medians"] == 1.5
    assert found["on_ms"]["values"] == [22.0, 90.0, 45.0]


def test_a_stepping_process_that_dies_is_told_with_its_last_words():
    with (
        pytest.raises(LstmError, match="There is no preset 'none'"),
        determinism._stepping("none", "on", "16", "cpu"),
    ):
        pass


def test_a_mistyped_preset_is_told_before_anything_is_measured(capsys):
    assert determinism.main(["--presets", "digits,mnits"]) == 2
    assert "Did you mean 'mnist'" in capsys.readouterr().err


# Whole scripts


def test_determinism_takes_steps_with_and_without_it(tmp_path):
    path = tmp_path / "result.json"
    assert determinism.main(["--quick", "--json", str(path)]) == 0
    found = json.loads(path.read_text())["measurements"]["presets"]["digits"]
    for kind in ("off_ms", "on_ms"):
        # Three turns of two steps.
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
    told = capfd.readouterr().out
    for title in (
        "lstm train PRESET",
        "Keras tutorial against lstm",
        "Start to answer",
        "Padding",
        "without and with train.deterministic",
    ):
        assert title in told


def test_reviews_of_films_that_are_judged_are_not_learned_from():
    """Each film has three names of its own, and so do its reviews."""
    common = [
        "a",
        "film",
        "with",
        "a",
        "cast",
        "and",
        "a",
        "story",
        "that",
        "some",
        "will",
        "like",
        "and",
        "some",
        "will",
        "not",
    ]
    rng = np.random.default_rng(0)
    film_of = rng.integers(0, 60, 300)
    texts = [
        " ".join([*rng.permutation(common), *(f"name{film}x{i}" for i in range(3))])
        for film in film_of
    ]
    parts = films.part(texts, 30)
    assert len(parts.validation) == 30
    judged = set(film_of[parts.validation])
    assert set(film_of[parts.train]) == set(film_of) - judged
    assert len(parts.train) == sum(film not in judged for film in film_of)


def test_a_line_of_the_ablation_that_does_not_exist_is_named(capsys):
    assert ablation.main(["--quick", "--lines", "wrods"]) == 2
    assert "no line 'wrods'" in capsys.readouterr().err


def test_a_line_of_the_ablation_that_begins_with_a_run_asks_for_it(capsys):
    assert ablation.main(["--quick", "--lines", "pretrained"]) == 2
    assert "'pretrained' needs --init-from" in capsys.readouterr().err


def test_every_line_of_the_ablation_is_a_preset_with_settings_that_exist():
    for preset, *changes in ablation.LINES.values():
        load_preset(preset, parse_overrides([c for c in changes if c != "linear=null"]))


def test_the_ablation_trains_and_judges(tmp_path):
    path = tmp_path / "ablation.json"
    assert ablation.main(["--quick", "--json", str(path), "--lines", "words,imdb"]) == 0
    found = json.loads(path.read_text())["measurements"]
    assert "network" not in found["words"][0]
    assert 0 < found["imdb"][0]["network"]["accuracy"] <= 1
    assert found["imdb"][0]["num_train"] + found["imdb"][0]["num_validation"] <= 6000
