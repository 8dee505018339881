"""Renaming runs, and finding them by names they had."""

from __future__ import annotations

import pytest
from fixtures_errors import refused
from fixtures_runs import made, make_text_run, text_config

from lstm_cli.config import load as configs
from lstm_cli.errors import ExitCode
from lstm_cli.prediction.verify import verify
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, lock, rename


def test_a_renamed_run_is_still_whole(tmp_path):
    run = make_text_run(tmp_path / "demo" / "one")
    before = [check.name for check in verify(run).failures]
    renamed = rename.rename(run, "two")
    assert renamed.name == "demo/two"
    assert not run.path.exists()
    assert [check.name for check in verify(renamed).failures] == before
    assert find.find(tmp_path, "demo/two") == renamed


def test_the_old_name_is_not_found_and_the_error_has_the_new_one(tmp_path):
    rename.rename(rename.rename(made(tmp_path, "demo/one"), "two"), "three")
    for old in ("one", "demo/one", "two"):
        assert "demo/three" in refused(find.find, tmp_path, old).hint


def test_a_reference_is_found_by_every_former_name(tmp_path):
    run = made(tmp_path, "demo/one")
    rename.rename(rename.rename(run, "two"), "three")
    assert rename.find_referenced(tmp_path / "demo" / "one").name == "three"
    assert rename.find_referenced(tmp_path / "demo" / "two").name == "three"
    assert rename.find_referenced(tmp_path / "demo" / "other") == tmp_path / "demo" / "other"


def test_a_reference_is_not_to_another_run_that_took_the_name(tmp_path):
    first = make_text_run(tmp_path / "demo" / "one")
    digest = first.with_manifest().manifest[runs.WEIGHTS].sha256
    rename.rename(first, "two")
    make_text_run(first.path, texts=("something else",))
    assert rename.find_referenced(first.path, digest).name == "two"
    refused(rename.find_referenced, first.path, "0" * 64)


def test_runs_that_refer_to_a_run_are_known_after_a_renaming(tmp_path):
    run = made(tmp_path, "demo/words")
    user, other = made(tmp_path, "demo/user"), made(tmp_path, "demo/other")
    config = text_config(train__init_from=str(run.path))
    user.write_text(runs.CONFIG, configs.to_yaml(config))
    other.write_text(runs.CONFIG, configs.to_yaml(text_config()))
    assert rename.runs_that_refer_to(run, [user, other, run]) == ["demo/user"]
    renamed = rename.rename(run, "new")
    assert rename.runs_that_refer_to(renamed, [user, other, renamed]) == ["demo/user"]


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "..", "-x"])
def test_a_name_that_is_not_one_is_refused(name, tmp_path):
    run = made(tmp_path, "demo/one")
    refused(rename.rename, run, name, code=ExitCode.USAGE)
    assert run.path.exists()


def test_an_existing_name_and_a_run_in_training_are_refused(tmp_path):
    run = made(tmp_path, "demo/one")
    (tmp_path / "demo" / "two").mkdir()
    refused(rename.rename, run, "two", code=ExitCode.USAGE)
    with lock.acquire(run.path):
        refused(rename.rename, run, "three")
    assert run.path.exists()
    assert rename.former_names(run) == []
