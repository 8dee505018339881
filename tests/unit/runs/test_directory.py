"""The run directory: its files, its manifest, its state."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from fixtures_errors import refused
from fixtures_properties import relaxed
from fixtures_runs import made, make_text_run
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import ExitCode
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b"nonsense"])
def test_invalid_json_fails_the_integrity_check(content, tmp_path):
    run = made(tmp_path, "demo/one")
    run.file("some.json").write_bytes(content)
    error = refused(run.read_json, "some.json", code=ExitCode.INTEGRITY)
    assert "some.json" in error.message


def test_missing_or_too_large_file_fails_the_integrity_check(tmp_path, monkeypatch):
    run = made(tmp_path, "demo/one")
    refused(run.read_text, "gone.json", code=ExitCode.INTEGRITY)
    monkeypatch.setitem(runs._MAX_BYTES, runs.RUN, 10)
    assert runs.RUN in refused(run.read_text, runs.RUN, code=ExitCode.INTEGRITY).message


@pytest.mark.parametrize("labels", ["{}", "null", '"ab"', "[1, 2]", '["a"]', '["a", "a"]', "[[]]"])
def test_invalid_labels_fail_the_integrity_check(labels, tmp_path):
    run = made(tmp_path, "demo/one")
    run.write_text(runs.LABELS, labels)
    refused(run.labels, code=ExitCode.INTEGRITY)


def test_run_json_that_is_a_list_fails_the_integrity_check(tmp_path):
    run = made(tmp_path, "demo/one")
    run.write_text(runs.RUN, "[]")
    refused(runs.read_run_json, run, code=ExitCode.INTEGRITY)


@relaxed
@given(st.recursive(st.none() | st.text(st.characters(exclude_categories=())), st.lists))
def test_json_round_trip(tmp_path_factory, value):
    run = RunDir(tmp_path_factory.mktemp("run"))
    run.write_json("value.json", value)
    assert run.read_json("value.json") == value


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "one")


@pytest.fixture
def whole(template, tmp_path):
    """A finished run of this test's own."""
    return RunDir(Path(shutil.copytree(template.path, tmp_path / "demo" / "one")))


FILES = [runs.CONFIG, runs.LABELS, runs.MODEL, runs.GOLDEN, runs.TOKENIZER, runs.RUN, runs.WEIGHTS]


def test_unchanged_run_passes(whole):
    whole.verify(FILES)


def test_manifest_excludes_files_that_change_after_training(whole):
    for name in ("checkpoints/1.npz", "reports/demo-test/report.json", "tensorboard/events"):
        whole.write_bytes(name, b"x")
    whole.write_bytes("plots/curves.png", b"x")
    whole.write_bytes(".hidden", b"x")
    whole.write_manifest()
    listed = set(whole.read_json(runs.MANIFEST)["files"])
    assert listed == {*FILES, "plots/curves.png"}


def _remove(path):
    path.unlink()


def _lengthen(path):
    path.write_bytes(path.read_bytes() + b" ")


def _change_one_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _link_elsewhere(path):
    copy = path.parent.parent / path.name
    path.rename(copy)
    path.symlink_to(copy)


def _become_a_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "change", [_remove, _lengthen, _change_one_byte, _link_elsewhere, _become_a_folder]
)
def test_changed_file_fails_the_integrity_check(change, name, whole):
    change(whole.file(name))
    error = refused(whole.verify, FILES, code=ExitCode.INTEGRITY)
    assert name in error.message


def test_changed_size_is_reported(whole):
    size = whole.file(runs.WEIGHTS).stat().st_size
    _lengthen(whole.file(runs.WEIGHTS))
    message = refused(whole.verify, FILES, code=ExitCode.INTEGRITY).message
    assert f"{size:,}" in message
    assert f"{size + 1:,}" in message


def test_file_outside_the_manifest_fails_the_integrity_check(whole):
    whole.write_bytes("extra.bin", b"x")
    assert "extra.bin" in refused(whole.verify, ["extra.bin"], code=ExitCode.INTEGRITY).message


@pytest.mark.parametrize(
    "manifest", ["", "[]", "{}", '{"files": []}', '{"files": {"config.yaml": 5}}', "[" * 100_000]
)
def test_damaged_manifest_fails_the_integrity_check(manifest, whole):
    whole.file(runs.MANIFEST).write_text(manifest)
    refused(whole.verify, FILES, code=ExitCode.INTEGRITY)


def test_json_line_ends_with_one_line_break():
    line = runs.json_line({"a": "é\n"})
    assert line == '{"a": "é\\n"}\n'
    assert json.loads(line) == {"a": "é\n"}
