"""`lstm runs verify`: each check fails for its own kind of damage."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import fixtures_attacks as attacks
import numpy as np
import pytest
from fixtures_attacks import edit_json, edit_model, put, sign
from fixtures_runs import snapshot

from lstm_cli import cli
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.verify import CLASSIFIER_STEPS, verify
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    run = attacks.text_run(tmp_path_factory.mktemp("runs") / "demo" / "tiny")
    run.write_bytes("plots/curves.png", bytes(range(200)))
    run.write_text(runs.CARD, "A card.")
    return sign(run)


@pytest.fixture
def run(template):
    path = Path(os.environ["LSTM_RUNS_DIR"]) / "demo" / "tiny"
    return RunDir(Path(shutil.copytree(template.path, path)))


@pytest.fixture
def lstm(monkeypatch, capfd):
    def call(*arguments):
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        code = cli.run()
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


def flip(name, at=-1):
    """Flip one bit, as a faulty disk does; the manifest stays."""

    def change(run):
        content = bytearray(run.file(name).read_bytes())
        content[at] ^= 1
        run.file(name).write_bytes(content)

    return change


def removed(name):
    return lambda run: run.file(name).unlink()


def with_manifest(change):
    """Make a change, then write the manifest anew."""

    def change_and_sign(run):
        change(run)
        sign(run)

    return change_and_sign


def other_weights(run):
    attacks.edit_weights(run, lambda weights: weights["head/bias"].__iadd__(1))


def lowest_bit(run):
    """Flip the lowest bit of a weight in the row of padding, which is never looked up."""
    content = bytearray(run.file(runs.WEIGHTS).read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin] ^= 1
    put(run, runs.WEIGHTS, bytes(content))


def other_probabilities(golden):
    golden["probabilities"][0].reverse()


def other_bias(model):
    attacks.set_array(model, "head_bias", np.array([3], np.float32))


FAILURES = [
    ({"manifest"}, removed(runs.MANIFEST)),
    ({"manifest"}, lambda run: run.write_text(runs.MANIFEST, "{}")),
    ({"files"}, lambda run: run.write_text("notes.txt", "mine")),
    ({"files"}, lambda run: run.write_text("plots/evil.so", "x")),
    ({"files"}, lambda run: run.file("plots/link").symlink_to("curves.png")),
    ({"files", "contents"}, removed("plots/curves.png")),
    ({"files", "contents"}, removed(runs.CARD)),
    ({"contents"}, flip("plots/curves.png")),
    ({"contents"}, flip(runs.CARD)),
    ({"contents"}, lambda run: run.write_text(runs.CARD, "Another card.")),
    ({"contents", "graph"}, flip(runs.MODEL)),
    ({"contents", "weights"}, flip(runs.WEIGHTS)),
    ({"contents", "settings"}, flip(runs.CONFIG)),
    ({"contents", "labels"}, flip(runs.LABELS, 3)),
    ({"contents", "tokenizer"}, flip(runs.TOKENIZER)),
    ({"contents", "golden inputs"}, flip(runs.GOLDEN)),
    ({"contents", "record"}, flip(runs.RUN)),
    ({"contents", "results"}, flip(runs.METRICS)),
    ({"contents", "results"}, flip(runs.HISTORY)),
    ({"weights"}, with_manifest(removed(runs.WEIGHTS))),
    ({"golden inputs"}, with_manifest(removed(runs.GOLDEN))),
    ({"same weights"}, other_weights),
    ({"same weights"}, lowest_bit),
    ({"same weights", "probabilities"}, lambda run: edit_model(run, other_bias)),
    ({"probabilities"}, lambda run: edit_json(run, runs.GOLDEN, other_probabilities)),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r.update(kind="image"))),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r.update(data="imdb"))),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r.update(status="failed"))),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r["dataset"]["labels"].reverse())),
    ({"record"}, with_manifest(removed(runs.RUN))),
    ({"results"}, with_manifest(removed(runs.METRICS))),
    ({"results"}, with_manifest(removed(runs.HISTORY))),
    ({"results"}, lambda run: edit_json(run, runs.METRICS, lambda m: [])),
    ({"results"}, lambda run: edit_json(run, runs.METRICS, lambda m: m.update(best_epoch=7))),
    ({"results"}, lambda run: edit_json(run, runs.METRICS, lambda m: m["test"].update(accuracy=2))),
    ({"results"}, lambda run: put(run, runs.HISTORY, b'{"epoch": 2}\n{"epoch": 1}\n')),
    ({"results"}, lambda run: put(run, runs.HISTORY, b'{"epoch": 1}\n{"epoch": ')),
    ({"results"}, lambda run: put(run, runs.HISTORY, b'{"epoch": 1}\n' + b"[" * 100_000)),
    ({"thresholds"}, lambda run: run.write_text(runs.THRESHOLDS, "{}")),
]


@pytest.mark.parametrize(("expected", "change"), FAILURES)
def test_damage_fails_only_the_checks_it_concerns(expected, change, run):
    change(run)
    result = verify(run)
    assert not result.passed
    assert {check.name for check in result.failures} == expected
    assert all(check.meaning and check.detail for check in result.failures)
    for check in result.checks:
        assert str(run.path) not in check.detail
        assert not check.meaning or check.passed is False


def test_every_check_can_fail():
    assert set().union(*(expected for expected, _ in FAILURES)) == set(CLASSIFIER_STEPS)


def test_check_is_skipped_if_one_it_needs_fails(run):
    flip(runs.CONFIG)(run)
    found = {check.name: check for check in verify(run).checks}
    assert found["graph"].passed is None
    assert "golden inputs" in found["graph"].detail
    assert found["labels"].passed


def test_nothing_is_written(run):
    before = snapshot(run)
    assert verify(run).passed
    assert snapshot(run) == before


def test_reports_and_checkpoints_are_not_damage(run):
    for name in ("reports/demo-test/report.json", "checkpoints/000001.json", ".lock"):
        run.write_text(name, "{}")
    assert verify(run).passed


def test_images_need_no_tokenizer(tmp_path):
    result = verify(attacks.image_run(tmp_path / "digits" / "tiny"))
    assert result.passed
    assert len(result.checks) == len(CLASSIFIER_STEPS)


def test_unused_weight_is_compared_too(run):
    """Loading does not see it, because the model never reads that row; `verify` does."""
    lowest_bit(run)
    Predictor.load(run)
    assert not verify(run).passed


# The command


def test_intact_run_prints_one_line_per_check(lstm, run):
    code, out, err = lstm("runs", "verify", "demo/tiny")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for name in CLASSIFIER_STEPS:
        assert any(line.split("  ")[0] == name and " ok " in line for line in lines), name


def test_newest_run_is_taken_and_named(lstm, run):
    code, out, err = lstm("runs", "verify")
    assert code == 0
    assert "demo/tiny" in err
    assert "ok" in out


def test_damaged_run_ends_with_5_and_prints_the_meaning(lstm, run):
    flip("plots/curves.png")(run)
    code, out, err = lstm("runs", "verify", "tiny")
    assert code == 5
    assert "FAILED" in out
    assert "plots/curves.png" in out
    assert CLASSIFIER_STEPS["contents"].meaning in out
    assert "demo/tiny" in err
    assert "'contents'" in err


@pytest.mark.parametrize("damage", [None, flip(runs.MODEL)])
def test_json_has_every_check(lstm, run, damage):
    if damage:
        damage(run)
    code, out, err = lstm("runs", "verify", "tiny", "--json")
    found = json.loads(out)
    assert code == (5 if damage else 0)
    assert found["run"] == "demo/tiny"
    assert found["passed"] is not bool(damage)
    assert [check["name"] for check in found["checks"]] == list(CLASSIFIER_STEPS)
    assert {check["passed"] for check in found["checks"]} == (
        {True, False, None} if damage else {True}
    )
    assert ("demo/tiny" in err) == bool(damage)


def test_one_failure_among_all_runs_ends_with_5(lstm, run, template):
    other = RunDir(Path(shutil.copytree(template.path, run.path.parent / "other")))
    unfinished = RunDir(Path(shutil.copytree(template.path, run.path.parent / "third")))
    unfinished.write_json(runs.RUN, {"status": "failed"})
    code, out, _ = lstm("runs", "verify", "--all")
    assert code == 0
    assert "demo/tiny" in out
    assert "demo/other" in out
    assert "demo/third" not in out
    flip(runs.MODEL)(other)
    code, out, err = lstm("runs", "verify", "--all", "--json")
    assert code == 5
    assert [found["passed"] for found in json.loads(out)["runs"]].count(False) == 1
    assert "demo/other" in err


def test_run_without_manifest_fails_among_all(lstm, run):
    run.file(runs.MANIFEST).unlink()
    code, out, _ = lstm("runs", "verify", "--all")
    assert code == 5
    assert runs.MANIFEST in out
    assert lstm("runs", "verify", "tiny")[0] == 5


def test_impossible_arguments_are_refused(lstm, run):
    assert lstm("runs", "verify", "tiny", "--all")[0] == 2
    assert lstm("runs", "verify", "none")[0] == 1
    shutil.rmtree(run.path)
    assert lstm("runs", "verify", "--all")[0] == 1
    assert lstm("runs", "verify")[0] == 1


def test_file_names_are_escaped_on_the_terminal(lstm, run):
    run.write_text("\x1b[2J\u202eevil.txt", "x")
    code, out, err = lstm("runs", "verify", "tiny")
    assert code == 5
    assert "evil.txt" in out
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err


def test_predicting_with_a_damaged_run_ends_with_5(lstm, run):
    assert lstm("predict", "fine", "--run", "tiny")[0] == 0
    flip(runs.MODEL)(run)
    code, out, err = lstm("predict", "fine", "--run", "tiny")
    assert (code, out) == (5, "")
    assert "model.onnx" in err
