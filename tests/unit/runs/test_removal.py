"""Removing runs, and what a killed removal leaves."""

from __future__ import annotations

import os
import shutil

import pytest
from fixtures_errors import refused
from fixtures_runs import made

from lstm_cli.errors import ExitCode
from lstm_cli.runs import find, lock, prune, removal, rename
from lstm_cli.runs.directory import CONFIG, MANIFEST


def test_a_removed_run_is_gone_and_others_stay(tmp_path):
    run, other = made(tmp_path, "demo/one"), made(tmp_path, "demo/two")
    removal.remove(find.find_own(tmp_path, "one"))
    assert not run.path.exists()
    assert find.all_runs(tmp_path) == [other]
    assert removal.leftovers(tmp_path) == []


def test_a_killed_removal_leaves_nothing_that_looks_like_a_run(tmp_path, monkeypatch):
    run = made(tmp_path, "demo/one")
    run.write_text("weights.safetensors", "x")

    def kill(path):
        assert not (path / MANIFEST).exists()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", kill)
        with pytest.raises(KeyboardInterrupt):
            removal.remove(run)
    assert find.all_runs(tmp_path) == []
    refused(find.find, tmp_path, "one")
    (left,) = removal.leftovers(tmp_path)
    assert (left / "weights.safetensors").exists()
    assert removal.remove_leftovers(tmp_path) == (1, [])
    assert not left.exists()


def test_leftovers_that_a_process_is_deleting_are_not_touched(tmp_path):
    run = made(tmp_path, "demo/one")
    hidden = run.path.with_name(".removed-0123abcd")
    with lock.acquire(run.path):
        run.path.rename(hidden)
        assert removal.remove_leftovers(tmp_path) == (0, [])
    # Killed right after it was renamed: it has all its files.
    assert find.all_runs(tmp_path) == []
    assert removal.remove_leftovers(tmp_path) == (1, [])


def test_a_leftover_that_cannot_be_deleted_does_not_keep_the_others(tmp_path, monkeypatch):
    for name in ("demo", "imdb"):
        (tmp_path / name / ".removed-0123abcd").mkdir(parents=True)
    rmtree = shutil.rmtree

    def fail_in_demo(path):
        if path.parent.name == "demo":
            raise PermissionError(13, "Permission denied", os.fspath(path))
        rmtree(path)

    monkeypatch.setattr(shutil, "rmtree", fail_in_demo)
    num_removed, problems = removal.remove_leftovers(tmp_path)
    assert num_removed == 1
    assert [str(tmp_path / "demo") in problem.message for problem in problems] == [True]
    assert not (tmp_path / "imdb" / ".removed-0123abcd").exists()


def test_a_run_in_training_is_not_removed(tmp_path):
    run = made(tmp_path, "demo/one", "running")
    with lock.acquire(run.path):
        refused(lock.check_free, run.path)
        refused(removal.remove, run)
    assert run.file("run.json").exists()


@pytest.mark.parametrize("change", [removal.remove, lambda run: rename.rename(run, "two")])
@pytest.mark.parametrize("again", [removal.remove, lambda run: rename.rename(run, "three")])
def test_a_run_that_is_gone_is_not_removed_or_renamed_again(change, again, tmp_path):
    """The second command found the run before the first one changed it."""
    run = made(tmp_path, "demo/one")
    change(run)
    before = sorted(tmp_path.rglob("*"))
    assert "demo/one is gone" in refused(again, run).message
    assert sorted(tmp_path.rglob("*")) == before


def test_a_new_run_that_has_the_name_of_one_that_is_gone_stays(tmp_path):
    run = made(tmp_path, "demo/one")
    removal.remove(run)
    run.path.mkdir()
    run.write_text(CONFIG, "")
    refused(removal.remove, run)
    assert run.file(CONFIG).exists()


@pytest.mark.parametrize("linked", ["demo/link", "linked"])
def test_a_symbolic_link_is_not_followed(linked, tmp_path):
    """A link to a run in the folder of runs, and a data set that is a link to elsewhere."""
    elsewhere = made(tmp_path, "elsewhere/runs/far")
    root = tmp_path / "runs"
    run = made(root, "demo/one")
    path = root / linked
    path.symlink_to(run.path if linked == "demo/link" else elsewhere.path.parent)
    name = linked if linked == "demo/link" else f"{linked}/far"
    refused(find.find_own, root, name, code=ExitCode.USAGE)
    linked_run = next(found for found in find.all_runs(root) if found.name == name)
    refused(removal.remove, linked_run, code=ExitCode.USAGE)
    assert run.file(MANIFEST).exists()
    assert elsewhere.file(MANIFEST).exists()


def test_links_inside_a_run_are_deleted_and_what_they_lead_to_is_not(tmp_path):
    run = made(tmp_path, "demo/one")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "text").write_text("x")
    run.file("link").symlink_to(tmp_path / "mine")
    removal.remove(run)
    assert (tmp_path / "mine" / "text").exists()


def test_only_a_named_run_of_the_folder_of_runs_is_found(tmp_path, monkeypatch):
    run = made(tmp_path / "runs", "demo/one")
    made(tmp_path / "runs", "imdb/one")
    for name in ("demo/one", str(run.path), f"{run.path.parent}/../demo/one"):
        assert find.find_own(tmp_path / "runs", name) == run
    monkeypatch.chdir(run.path)
    assert find.find_own(tmp_path / "runs", ".") == run
    # Two runs of that name, a data set, a run elsewhere.
    for root, name in (("runs", "one"), ("runs", "demo"), ("other", str(run.path))):
        refused(find.find_own, tmp_path / root, name, code=ExitCode.USAGE)
    refused(find.find_own, tmp_path / "runs", "none")


def test_prune_keeps_the_newest_finished_runs_and_all_that_are_newer(tmp_path):
    def at(day, name, status="finished", **record):
        return made(tmp_path, name, status, f"2026-01-{day:02d}T00:00:00+00:00", **record)

    at(1, "demo/words", kind="language")
    old = [at(2, "demo/a"), at(3, "demo/b", "interrupted")]
    at(4, "demo/c")
    at(5, "demo/d", "failed")
    at(6, "demo/e")
    at(1, "imdb/f", "interrupted")
    chosen = prune.choose_old(tmp_path, None, 2)
    assert [each.run for each in chosen.old] == old
    assert chosen.num_kept == 5
    assert prune.choose_old(tmp_path, "imdb", 1).old == ()


def test_prune_leaves_links_and_runs_in_training(tmp_path):
    running = made(tmp_path, "demo/a", "running")
    made(tmp_path, "demo/b", started="2026-01-02T00:00:00+00:00")
    link = tmp_path / "demo" / "link"
    link.symlink_to(running.path)
    with lock.acquire(running.path):
        chosen = prune.choose_old(tmp_path, "demo", 1)
    assert chosen.old == ()
    assert set(chosen.untouched) == {"demo/a", "demo/link"}


def test_a_failed_deletion_names_the_folder(tmp_path, monkeypatch):
    run = made(tmp_path, "demo/one")

    def fail(path):
        raise PermissionError(13, "Permission denied", os.fspath(path / "plots"))

    monkeypatch.setattr(shutil, "rmtree", fail)
    assert "plots" in refused(removal.remove, run).message
