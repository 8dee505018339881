from __future__ import annotations

import shutil

import pytest
from fixtures_runs import make_text_run, text_config
from fixtures_serve import text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.runs import archive
from lstm_cli.runs.find import find
from lstm_cli.serve.run_names import find_runs

__all__ = ["text_run"]


@pytest.fixture(scope="module")
def root(text_run, tmp_path_factory):
    """A folder with the runs `demo/a`, `other/a` and `other/b`, and an archive."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("demo/a", "other/a", "other/b"):
        shutil.copytree(text_run.path, root / name)
    archive.write(text_run, root / "model.zip")
    return root


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["demo"], {"demo": "demo/a"}),
        (["demo/a"], {"a": "demo/a"}),
        (["b", "spam=demo"], {"b": "other/b", "spam": "demo/a"}),
        (["a=demo/a", "c=other/a"], {"a": "demo/a", "c": "other/a"}),
        (["demo/a", "twice=demo/a"], {"a": "demo/a", "twice": "demo/a"}),
    ],
)
def test_names_are_given_or_the_last_part(root, values, expected):
    found = find_runs(values, root)
    assert {one.name: one.run.name for one in found} == expected
    assert [one.name for one in found] == list(expected)
    assert all(one.find().name == one.run.name for one in found)


def test_paths_archives_and_the_newest_run_have_names(root, monkeypatch):
    assert find_runs([str(root / "other" / "b")], root)[0].name == "b"
    assert find_runs([str(root / "model.zip")], root)[0].name == "model"
    (newest,) = find_runs([], root)
    assert newest.name == newest.run.path.parent.name
    monkeypatch.chdir(root / "other" / "b")
    assert find_runs(["."], root)[0].name == "b"


@pytest.mark.parametrize(
    ("values", "detail"),
    [
        (["demo/a", "other/a"], "'a': demo/a and other/a"),
        (["x=demo", "x=other/b"], "'x'"),
        (["=demo"], "NAME=RUN"),
        (["x="], "NAME=RUN"),
        (["..=demo"], "NAME=RUN"),
    ],
)
def test_names_are_unique_and_valid(root, values, detail):
    with pytest.raises(LstmError, match=detail) as caught:
        find_runs(values, root)
    assert caught.value.exit_code == ExitCode.USAGE


def test_the_successor_of_the_newest_run_is_of_the_same_data(tmp_path):
    for name in ("demo/a", "demo/b", "mails/c"):
        started = f"2026-01-0{1 + 'abc'.index(name[-1])}T00:00:00+00:00"
        config = text_config(data__name=name.partition("/")[0])
        make_text_run(tmp_path / name, config=config, started=started)
        if name == "demo/a":
            (found,) = find_runs([], tmp_path)
    assert find(tmp_path, None).name == "mails/c"
    assert found.find().name == "demo/b"
