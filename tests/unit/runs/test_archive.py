"""Runs as zip files: the same bytes each time, every command, and archives of attackers."""

from __future__ import annotations

import os
import resource
import stat
import zipfile
from pathlib import Path

import pytest
from fixtures_attacks import text_run
from fixtures_errors import refused
from fixtures_runs import make_language_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import archive
from lstm_cli.runs import directory as runs
from lstm_cli.runs.find import all_runs, find


@pytest.fixture
def run(tmp_path):
    return text_run(tmp_path / "runs" / "demo" / "one")


@pytest.fixture
def zipped(run, tmp_path):
    path = tmp_path / "one.zip"
    archive.write(run, path)
    return path


def rewritten(path, change=lambda name, content: content, **extra):
    """Write an archive again: `change` gives new contents, None drops; `extra` adds entries."""
    with zipfile.ZipFile(path) as old:
        contents = {info.filename: old.read(info) for info in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in contents.items():
            changed = change(name.split("/")[-1], content)
            if changed is not None:
                new.writestr(name, changed)
        for info, content in extra.get("entries", []):
            new.writestr(info, content)
    return path


def test_the_same_run_gives_the_same_bytes(run, zipped, tmp_path):
    for path in run.path.rglob("*"):
        os.utime(path, (1e9, 1e9))
        path.chmod(0o600 if path.is_file() else 0o700)
    run.file(".lock").touch()
    (run.path / runs.CHECKPOINTS).mkdir()
    (run.path / runs.CHECKPOINTS / "state").write_text("large")
    archive.write(run, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == zipped.read_bytes()


def test_an_archive_is_the_run(run, zipped):
    found = find(Path("nowhere"), str(zipped))
    assert (found.name, found.archive, found.location) == ("demo/one", zipped, zipped)
    assert verify(found).passed
    texts = ["a fine film", "", "dull"]
    expected = Predictor.load(run).text_probabilities(texts)
    assert Predictor.load(found).text_probabilities(texts).tolist() == expected.tolist()
    assert stat.S_IMODE(found.path.parent.parent.stat().st_mode) == 0o700


def test_an_archive_in_the_folder_of_runs_is_found_by_its_name_and_is_not_listed(run, zipped):
    root = run.path.parent.parent
    zipped.rename(root / "copy.zip")
    assert find(root, "copy.zip").archive == root / "copy.zip"
    assert all_runs(root) == [run]


def test_an_archive_is_not_changed(zipped):
    found = find(Path("nowhere"), str(zipped))
    error = refused(found.check_writable, code=ExitCode.USAGE)
    assert "unzip" in error.hint
    assert found.reports == zipped.with_name("one-reports")


def test_thresholds_are_in_the_archive(run, tmp_path):
    from lstm_cli.runs import thresholds
    from lstm_cli.runs.thresholds import Thresholds

    half = dict.fromkeys(run.labels(), 0.5)
    thresholds.write(run.with_manifest(), run.labels(), Thresholds(half, None, None))
    archive.write(run, tmp_path / "a.zip")
    found = find(tmp_path, str(tmp_path / "a.zip"))
    assert thresholds.read(found.with_manifest(), found.labels()).thresholds == half


def test_a_language_model_and_an_archive_made_by_hand_are_read(tmp_path):
    run = make_language_run(tmp_path / "runs" / "words" / "lm")
    with zipfile.ZipFile(tmp_path / "lm.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for path in run.path.iterdir():
            file.write(path, path.name)
    found = find(tmp_path, str(tmp_path / "lm.zip"))
    assert found.name == "archive/lm"
    assert verify(found).passed


def test_a_changed_run_is_not_written(run, tmp_path):
    content = bytearray(run.file(runs.WEIGHTS).read_bytes())
    content[-1] ^= 1
    run.file(runs.WEIGHTS).write_bytes(content)
    with pytest.raises(LstmError) as caught:
        archive.write(run, tmp_path / "a.zip")
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert not (tmp_path / "a.zip").exists()


def entry(name, mode=stat.S_IFREG | 0o644):
    info = zipfile.ZipInfo(name)
    info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
    return info


@pytest.mark.parametrize(
    ("attack", "word"),
    [
        ([(entry("demo/one/../../../evil"), b"x")], "leads out"),
        ([(entry("/etc/evil"), b"x")], "leads out"),
        ([(entry("demo/one/plots/a", stat.S_IFLNK | 0o777), b"/etc/passwd")], "link"),
        ([(entry("demo/one/extra.bin"), b"x")], "does not list"),
        ([(entry("demo/two/run.txt"), b"x")], "not a file of the run"),
        ([(entry("demo/one/labels.json"), b"[]")], "twice"),
        ([(entry("demo/one/checkpoints/zeros"), bytes(9 << 20))], "the limit is"),
        ([(entry(f"demo/one/checkpoints/{n}"), b"") for n in range(1001)], "entries"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_entries_of_attackers_are_refused_before_anything_is_unpacked(
    attack, word, zipped, tmp_path, monkeypatch
):
    monkeypatch.setattr(archive, "_MAX_EXTRA_BYTES", 0)
    monkeypatch.setattr(archive, "_MAX_RATIO", 3)
    rewritten(zipped, entries=attack)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    monkeypatch.setenv("LSTM_CACHE_DIR", str(unpacked))
    error = refused(find, tmp_path, str(zipped), code=ExitCode.INTEGRITY)
    assert word in error.message
    files = [path.name for path in unpacked.glob("temp/*/**/*") if path.is_file()]
    assert files in ([], [runs.MANIFEST])
    assert not (tmp_path / "evil").exists()


def test_an_archive_is_unpacked_once_until_it_changes(zipped):
    first = find(Path("nowhere"), str(zipped))
    assert find(Path("nowhere"), str(zipped)).path == first.path
    rewritten(zipped, lambda file, content: content)
    assert find(Path("nowhere"), str(zipped)).path != first.path


@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.MODEL, runs.LABELS, runs.CONFIG])
def test_a_file_that_differs_from_the_manifest_is_refused(name, zipped):
    rewritten(zipped, lambda file, content: content + b" " if file == name else content)
    found = find(Path("nowhere"), str(zipped))
    error = refused(Predictor.load, found, code=ExitCode.INTEGRITY)
    assert name in error.message
    assert str(zipped) in error.message


@pytest.mark.parametrize("name", [runs.RUN, runs.MANIFEST])
def test_an_archive_without_its_record_is_not_that_of_a_run(name, zipped, tmp_path):
    rewritten(zipped, lambda file, content: None if file == name else content)
    refused(find, tmp_path, str(zipped), code=ExitCode.INTEGRITY)


def test_what_was_unpacked_of_a_run_that_did_not_finish_is_deleted(zipped, tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "cache"))
    rewritten(
        zipped,
        lambda file, content: (
            content.replace(b'"finished"', b'"failed"') if file == runs.RUN else content
        ),
    )
    error = refused(find, tmp_path, str(zipped))
    assert "did not finish" in error.message
    assert [path for path in (tmp_path / "cache" / "temp").iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("limit", [0, 5000])
def test_a_full_disk_is_named_with_the_space_that_is_needed(zipped, tmp_path, monkeypatch, limit):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "cache"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(LstmError) as caught:
            find(tmp_path, str(zipped))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error, temp = caught.value, tmp_path / "cache" / "temp"
    assert error.exit_code == ExitCode.ERROR
    assert f"in {temp}: " in error.message
    num_bytes = sum(info.file_size for info in zipfile.ZipFile(zipped).infolist())
    assert f"one.zip needs {num_bytes / 1e6:.1f} MB" in error.hint
    assert "LSTM_CACHE_DIR" in error.hint
    assert [path for path in temp.iterdir() if path.is_dir()] == []
    assert find(tmp_path, str(zipped)).name == "demo/one"


@pytest.mark.parametrize("content", [b"", b"PK", b"not a zip at all" * 99])
def test_a_file_that_is_not_a_zip_is_refused(content, tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    refused(find, tmp_path, str(path), code=ExitCode.INTEGRITY)


def test_a_damaged_byte_anywhere_is_an_error_or_changes_nothing(run, zipped, tmp_path):
    expected = Predictor.load(run).text_probabilities(["a fine film"]).tolist()
    content = zipped.read_bytes()
    for place in range(7, len(content), len(content) // 25):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        zipped.write_bytes(damaged)
        try:
            found = Predictor.load(find(tmp_path, str(zipped)))
        except LstmError as error:
            assert error.exit_code == ExitCode.INTEGRITY, (place, error)
        else:
            assert found.text_probabilities(["a fine film"]).tolist() == expected, place
