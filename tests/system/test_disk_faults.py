"""Whatever call to the system goes wrong, at whatever moment: afterwards there is the old state or
the new one, and never neither.

`pytest -s tests/test_faults.py` prints how many points were tried; `-m slow` tries every fault at
every call of a whole training.
"""

from __future__ import annotations

import functools
import itertools
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from fixtures_checkpoints import newest, state
from fixtures_faults import DEATHS, FAULTS, LIES, Disk, points
from fixtures_results import results, whole

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io import atomic_write
from lstm_cli.runs import directory as runs
from lstm_cli.runs.directory import RunDir
from lstm_cli.training import checkpoint


def tried(what, num):
    sys.stdout.write(f"\n{what}: {num:,} points tried\n")


def attempt(root, work, point, fault):
    """Do some work on a disk that goes wrong.

    Every error is one for people, and names a place.

    Returns:
        The disk, and whether all seemed well.
    """
    at, share = point
    disk = Disk(root, at, fault, share)
    done = False
    with disk.device_info():
        try:
            work()
            done = True
        except LstmError as error:
            assert str(root) in error.message, f"{error.message} names no path"
            unread = "cannot be read" in error.message
            assert error.exit_code == (ExitCode.INTEGRITY if unread else ExitCode.ERROR)
    return disk, done


# One file


def in_place(path, content):
    with path.open("wb") as file:
        file.write(content)


def renamed(path, content, *, sync_file, sync_folder):
    handle, scratch = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        if sync_file:
            os.fsync(file.fileno())
    Path(scratch).replace(path)
    if sync_folder:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def broken_promises(write, root):
    """By fault, how often a file held neither content, or not the one that was said to be in it."""
    path, broken = root / "file", dict.fromkeys(FAULTS, 0)
    for fault in FAULTS:
        path.write_bytes(b"old" * 100)
        for point in points(root, lambda: write(path, b"new" * 200)):
            path.write_bytes(b"old" * 100)
            _, done = attempt(root, lambda: _as_lstm_error(write, path), point, fault)
            found = path.read_bytes()
            neither = found not in (b"old" * 100, b"new" * 200)
            broken[fault] += neither or (done and found != b"new" * 200)
    return {fault for fault in FAULTS if broken[fault]}


def _as_lstm_error(write, path):
    try:
        write(path, b"new" * 200)
    except OSError as error:
        raise LstmError(f"Cannot write {path}: {error}") from error


def test_a_file_holds_the_old_content_or_the_new(tmp_path):
    assert broken_promises(atomic_write.write_atomic, tmp_path) == set()


def test_writers_with_less_care_are_found_out(tmp_path):
    """What these lack must show, or this file proves nothing."""
    assert broken_promises(in_place, tmp_path) >= {"ENOSPC", "EIO", *LIES, *DEATHS}
    no_sync = functools.partial(renamed, sync_file=False, sync_folder=True)
    assert broken_promises(no_sync, tmp_path) == {"power cut", *LIES}
    no_folder = functools.partial(renamed, sync_file=True, sync_folder=False)
    # Said to be done, and taken back by a power cut right after: `broken_promises` ends before.
    assert broken_promises(no_folder, tmp_path) == set(LIES)


def test_a_file_that_was_written_lasts(tmp_path):
    for write, lasts in (
        (atomic_write.write_atomic, True),
        (functools.partial(renamed, sync_file=True, sync_folder=False), False),
    ):
        path = tmp_path / "below" / "file"
        shutil.rmtree(path.parent, ignore_errors=True)
        if not lasts:
            path.parent.mkdir()
        disk = Disk(tmp_path, fault="power cut")
        with disk.device_info():
            write(path, b"new")
        disk.lose_power()
        assert path.exists() == lasts


# A checkpoint


@pytest.fixture(scope="module")
def prior(tmp_path_factory):
    """Folders of checkpoints as they stand after 0, 1, 2, 3 of them were saved."""
    folders = []
    for num in range(4):
        folders.append(tmp_path_factory.mktemp("prior") / "checkpoints")
        for number in range(1, num + 1):
            checkpoint.save(folders[-1], state(number))
    return folders


def again(root, original):
    """A fresh copy of a folder, which may not be there at all."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    if original.exists():
        shutil.copytree(original, root / "checkpoints")


def resume_run(folder):
    """What the next process does."""
    atomic_write.remove_temp_files(folder)
    checkpoint.save(folder, state((newest(folder) or 0) + 1))


@pytest.mark.parametrize("num", range(4))
def test_a_checkpoint_is_the_old_or_the_new_one(num, prior, tmp_path):
    root, new = tmp_path / "run", num + 1
    folder = root / "checkpoints"
    save = functools.partial(checkpoint.save, folder, state(new))
    again(root, prior[num])
    every = points(root, save)
    for fault, point in itertools.product(FAULTS, every):
        again(root, prior[num])
        disk, done = attempt(root, save, point, fault)
        where = f"{fault} at {point}: {disk.calls[point[0]]}"
        found = newest(folder)
        assert found in (num or None, new), where
        assert found == new or not done, where
        # And the next process goes on as if nothing had been.
        resume_run(folder)
        assert newest(folder) == (found or 0) + 1, where
        assert len(list(folder.iterdir())) <= 4, where
    tried(f"a checkpoint after {num}", len(FAULTS) * len(every))


def test_a_second_death_while_going_on_from_the_first_loses_nothing(prior, tmp_path):
    root = tmp_path / "run"
    folder = root / "checkpoints"
    save = functools.partial(checkpoint.save, folder, state(3))
    again(root, prior[2])
    first_points = points(root, save)
    again(root, prior[2])
    second_points = points(root, functools.partial(resume_run, folder))[::2]
    for first, second in itertools.product(first_points, second_points):
        again(root, prior[2])
        attempt(root, save, first, "kill")
        before = newest(folder)
        attempt(root, functools.partial(resume_run, folder), second, "power cut")
        assert newest(folder) in (before, before + 1), f"{first}, then {second}"
    tried("a death after a death", len(first_points) * len(second_points))


# A run


@pytest.fixture
def training(monkeypatch):
    """The training pipeline with a table in place of the model; its files are real."""
    from fixtures_training import CONFIG, without_keras

    from lstm_cli.training import pipeline

    without_keras(monkeypatch)

    def begin(root):
        return pipeline.train(CONFIG, runs_dir=root / "runs", name="x")

    return begin, pipeline.resume


def tidy(run):
    """Hold a finished run to what may lie in it."""
    every = {path.relative_to(run.path) for path in run.path.rglob("*") if path.is_file()}
    litter = {path for path in every if path.name.startswith(".") and path.name != runs.LOCK}
    assert not litter
    # One; or some of a second, where death came between the end of the run and the end of that.
    assert 2 <= len(list(run.file(runs.CHECKPOINTS).iterdir())) <= 4


def some(every, all_of_them):
    """Pair points with faults: each with every fault, or the first with one, the next with another.

    Every third is a kill: that is what the rest of the state depends on most.
    """
    if all_of_them:
        return list(itertools.product(every, FAULTS))
    others = [fault for fault in FAULTS if fault != "kill"]
    faults = itertools.cycle(others)
    return [(p, "kill" if n % 3 == 0 else next(faults)) for n, p in enumerate(every)]


SPEEDS = [False, pytest.param(True, marks=pytest.mark.slow)]


@pytest.mark.parametrize("every_fault", SPEEDS)
def test_a_training_ends_finished_or_can_be_resumed(every_fault, training, tmp_path):
    begin, resume = training
    root, run = tmp_path / "root", RunDir(tmp_path / "root" / "runs" / "demo" / "x")
    every = points(root, lambda: begin(root))
    expected = results(run)
    chosen = some(every, every_fault)
    for point, fault in chosen:
        shutil.rmtree(root)
        disk, done = attempt(root, lambda: begin(root), point, fault)
        where = f"{fault} at {point}: {disk.calls[point[0]]}"
        assert whole(run) or not done, where
        if not whole(run):
            assert run.status in ("failed", "interrupted", "broken"), where
            with Disk(root).device_info():
                resume(run) if run.file(runs.RUN).exists() else begin(root)
        assert whole(run), where
        assert results(run) == expected, where
        if disk.dead:
            tidy(run)
    tried("a training", len(chosen))


@pytest.mark.parametrize("every_fault", SPEEDS)
def test_a_finished_run_that_is_trained_on_is_the_old_or_the_new(every_fault, training, tmp_path):
    begin, resume = training
    root, run = tmp_path / "root", RunDir(tmp_path / "root" / "runs" / "demo" / "x")
    begin(root)
    old = results(run)
    shutil.copytree(root, tmp_path / "finished")
    every = points(root, lambda: resume(run, epochs=3))
    new = results(run)
    assert new[runs.WEIGHTS] != old[runs.WEIGHTS]
    chosen = some(every, every_fault)
    for point, fault in chosen:
        shutil.rmtree(root)
        shutil.copytree(tmp_path / "finished", root)
        disk, done = attempt(root, lambda: resume(run, epochs=3), point, fault)
        where = f"{fault} at {point}: {disk.calls[point[0]]}"
        if whole(run):
            assert results(run) in ((old, new) if not done else (new,)), where
        if not whole(run) or results(run) != new:
            with Disk(root).device_info():
                resume(run, epochs=3)
        assert whole(run), where
        assert results(run) == new, where
    tried("a training that goes on from a finished run", len(chosen))
