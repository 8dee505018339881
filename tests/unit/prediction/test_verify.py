"""`lstm runs verify`: every respect in which a run can be wrong, told with what it means."""

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
from lstm_cli.prediction.verify import _CHECKS, verify
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
    """Change one bit, as a disk does: the manifest stays."""

    def change(run):
        content = bytearray(run.file(name).read_bytes())
        content[at] ^= 1
        run.file(name).write_bytes(content)

    return change


def gone(name):
    return lambda run: run.file(name).unlink()


def signed(change):
    """Make a change that the manifest fits."""

    def both(run):
        change(run)
        sign(run)

    return both


def other_weights(run):
    attacks.edit_weights(run, lambda weights: weights["head/bias"].__iadd__(1))


def lowest_bit(run):
    """Change a weight by as little as there is, in a table whose first row is never looked at."""
    content = bytearray(run.file(runs.WEIGHTS).read_bytes())
    begin = 8 + int.from_bytes(content[:8], "little")
    content[begin] ^= 1
    put(run, runs.WEIGHTS, bytes(content))


def other_answers(golden):
    golden["probabilities"][0].reverse()


def other_bias(model):
    attacks.set_array(model, "head_bias", np.array([3], np.float32))


FAILURES = [
    ({"manifest"}, gone(runs.MANIFEST)),
    ({"manifest"}, lambda run: run.write_text(runs.MANIFEST, "{}")),
    ({"files"}, lambda run: run.write_text("notes.txt", "mine")),
    ({"files"}, lambda run: run.write_text("plots/evil.so", "x")),
    ({"files"}, lambda run: run.file("plots/link").symlink_to("curves.png")),
    ({"files", "contents"}, gone("plots/curves.png")),
    ({"files", "contents"}, gone(runs.CARD)),
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
    ({"weights"}, signed(gone(runs.WEIGHTS))),
    ({"golden inputs"}, signed(gone(runs.GOLDEN))),
    ({"same weights"}, other_weights),
    ({"same weights"}, lowest_bit),
    ({"same weights", "answers"}, lambda run: edit_model(run, other_bias)),
    ({"answers"}, lambda run: edit_json(run, runs.GOLDEN, other_answers)),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r.update(kind="image"))),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r.update(data="imdb"))),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r.update(status="failed"))),
    ({"record"}, lambda run: edit_json(run, runs.RUN, lambda r: r["dataset"]["labels"].reverse())),
    ({"record"}, signed(gone(runs.RUN))),
    ({"results"}, signed(gone(runs.METRICS))),
    ({"results"}, signed(gone(runs.HISTORY))),
    ({"results"}, lambda run: edit_json(run, runs.METRICS, lambda m: [])),
    ({"results"}, lambda run: edit_json(run, runs.METRICS, lambda m: m.update(best_epoch=7))),
    ({"results"}, lambda run: edit_json(run, runs.METRICS, lambda m: m["test"].update(accuracy=2))),
    ({"results"}, lambda run: put(run, runs.HISTORY, b'{"epoch": 2}\n{"epoch": 1}\n')),
    ({"results"}, lambda run: put(run, runs.HISTORY, b'{"epoch": 1}\n{"epoch": ')),
    ({"results"}, lambda run: put(run, runs.HISTORY, b'{"epoch": 1}\n' + b"[" * 100_000)),
]


@pytest.mark.parametrize(("expected", "change"), FAILURES)
def test_what_is_wrong_fails_the_checks_it_concerns_and_no_other(expected, change, run):
    change(run)
    verdict = verify(run)
    assert not verdict.passed
    assert {check.name for check in verdict.failures} == expected
    assert all(check.meaning and check.told for check in verdict.failures)
    for check in verdict.checks:
        assert str(run.path) not in check.told
        assert not check.meaning or check.passed is False


def test_every_check_can_fail():
    assert set().union(*(expected for expected, _ in FAILURES)) == set(_CHECKS)


def test_a_check_that_another_keeps_from_being_made_says_so(run):
    flip(runs.CONFIG)(run)
    told = {check.name: check for check in verify(run).checks}
    assert told["graph"].passed is None
    assert "golden inputs" in told["graph"].told
    assert told["labels"].passed


def test_nothing_is_written(run):
    before = snapshot(run)
    assert verify(run).passed
    assert snapshot(run) == before


def test_what_was_added_by_eval_and_by_resuming_is_no_damage(run):
    for name in ("reports/demo-test/report.json", "checkpoints/000001.json", ".lock"):
        run.write_text(name, "{}")
    assert verify(run).passed


def test_images_need_no_tokenizer(tmp_path):
    verdict = verify(attacks.image_run(tmp_path / "digits" / "tiny"))
    assert verdict.passed
    assert len(verdict.checks) == len(_CHECKS)


def test_a_padding_row_may_differ_only_where_answers_do_not(run):
    """Loading cannot see it, for the network never reads it; verifying does."""
    lowest_bit(run)
    Predictor.load(run)
    assert not verify(run).passed


# The command


def test_a_sound_run_is_a_line_a_check_and_exit_code_0(lstm, run):
    code, out, err = lstm("runs", "verify", "demo/tiny")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    for name in _CHECKS:
        assert any(line.split("  ")[0] == name and " ok " in line for line in lines), name


def test_the_newest_run_is_taken_and_named(lstm, run):
    code, out, err = lstm("runs", "verify")
    assert code == 0
    assert "demo/tiny" in err
    assert "ok" in out


def test_a_damaged_run_ends_with_5_and_says_what_it_means(lstm, run):
    flip("plots/curves.png")(run)
    code, out, err = lstm("runs", "verify", "tiny")
    assert code == 5
    assert "FAILED" in out
    assert "plots/curves.png" in out
    assert _CHECKS["contents"][2] in out
    assert "demo/tiny fails its integrity check: 'contents'" in err


@pytest.mark.parametrize("damage", [None, flip(runs.MODEL)])
def test_json_is_one_object_with_every_check(lstm, run, damage):
    if damage:
        damage(run)
    code, out, err = lstm("runs", "verify", "tiny", "--json")
    told = json.loads(out)
    assert code == (5 if damage else 0)
    assert told["run"] == "demo/tiny"
    assert told["passed"] is not bool(damage)
    assert [check["name"] for check in told["checks"]] == list(_CHECKS)
    assert {check["passed"] for check in told["checks"]} == (
        {True, False, None} if damage else {True}
    )
    assert ("fails its integrity check" in err) == bool(damage)


def test_all_runs_are_verified_and_one_that_fails_decides(lstm, run, template):
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
    assert [told["passed"] for told in json.loads(out)["runs"]].count(False) == 1
    assert "demo/other fails" in err


def test_a_run_without_manifest_or_record_is_a_failure_among_all(lstm, run):
    run.file(runs.MANIFEST).unlink()
    code, out, _ = lstm("runs", "verify", "--all")
    assert code == 5
    assert "manifest.json is missing" in out
    assert lstm("runs", "verify", "tiny")[0] == 5


def test_what_cannot_be_meant_is_refused(lstm, run):
    assert lstm("runs", "verify", "tiny", "--all")[0] == 2
    assert lstm("runs", "verify", "none")[0] == 1
    shutil.rmtree(run.path)
    assert lstm("runs", "verify", "--all")[0] == 1
    assert lstm("runs", "verify")[0] == 1


def test_names_from_a_run_are_never_sent_to_the_terminal_as_they_are(lstm, run):
    run.write_text("\x1b[2J\u202eevil.txt", "x")
    code, out, err = lstm("runs", "verify", "tiny")
    assert code == 5
    assert "evil.txt" in out
    assert "\x1b" not in out + err
    assert "\u202e" not in out + err


def test_predicting_with_a_run_that_cannot_be_trusted_ends_with_5(lstm, run):
    assert lstm("predict", "fine", "--run", "tiny")[0] == 0
    flip(runs.MODEL)(run)
    code, out, err = lstm("predict", "fine", "--run", "tiny")
    assert (code, out) == (5, "")
    assert "model.onnx" in err
