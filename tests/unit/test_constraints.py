"""The locked versions: they fit what is required, on any machine; news of newer ones fit a line."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8")
# `#` begins a comment after a space.
LINES = [re.split(r"(?:^|\s)#", line)[0].strip() for line in CONSTRAINTS.splitlines()]
LOCKED = [Requirement(line) for line in LINES if line]


def _required():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = [project["build-system"]["requires"], project["project"]["dependencies"]]
    groups += project["project"]["optional-dependencies"].values()
    groups += project["dependency-groups"].values()
    found = [Requirement(text) for group in groups for text in group]
    return [requirement for requirement in found if requirement.name != "lstm-cli"]


@pytest.mark.parametrize("required", _required(), ids=str)
def test_a_version_that_fits_is_locked_of_each_requirement(required):
    name = canonicalize_name(required.name)
    versions = [
        str(locked.specifier).removeprefix("==")
        for locked in LOCKED
        if canonicalize_name(locked.name) == name
    ]
    assert versions, "'make lock' adds it"
    assert all(required.specifier.contains(version) for version in versions)


def test_the_locked_versions_hold_no_option_address_or_path():
    assert not re.search(r"^\s*-|://|\\|@|--hash", "\n".join(LINES), re.MULTILINE)
    assert not re.search(r"://|[ =]/", CONSTRAINTS)
    assert all(re.fullmatch(r"==[\w.+!]+", str(locked.specifier)) for locked in LOCKED)
    assert not any(locked.extras for locked in LOCKED)


def _pins(name):
    text = (ROOT / "deploy" / name).read_text("utf-8")
    return text, [
        Requirement(line) for line in re.findall(r"^([\w.-]+==[^\\]+)", text, re.MULTILINE)
    ]


@pytest.mark.parametrize("name", ["predict", "serve"])
def test_the_lists_for_prediction_have_the_locked_versions_and_hashes(name):
    text, pins = _pins(f"{name}.txt")
    locked = {canonicalize_name(each.name): each.specifier for each in LOCKED}
    assert {each.name: each.specifier for each in pins} == {
        each.name: locked[canonicalize_name(each.name)] for each in pins
    }
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\w)", text)[1:])
    assert "://" not in text
    assert not {each.name for each in pins} & {"tensorflow", "keras", "scikit-learn", "scipy"}


def test_each_package_of_prediction_is_in_its_list_and_the_servers_list_has_all():
    predict, serve = (
        {each.name for each in _pins(f"{name}.txt")[1]} for name in ("predict", "serve")
    )
    assert predict < serve
    for name, names in (("predict", predict), ("serve", serve)):
        lines = (ROOT / "deploy" / f"{name}.in").read_text("utf-8").splitlines()
        assert {re.split("[; ]", line)[0] for line in lines if line[0] not in "#-"} <= names


@pytest.fixture(scope="module")
def newest():
    spec = importlib.util.spec_from_file_location("newest", ROOT / ".ci" / "newest.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _report(**versions):
    return {"install": [{"metadata": {"name": n, "version": v}} for n, v in versions.items()]}


@pytest.mark.parametrize(
    ("versions", "moves"),
    [
        ({"PyYAML": "6.0.3", "types_regex": "1", "lstm-cli": "1.0.0"}, []),
        ({"PyYAML": "6.0.4"}, ["PyYAML 6.0.3 -> 6.0.4"]),
        ({"numpy": "2.5.5"}, []),
        ({"numpy": "3.0"}, ["numpy 2.4.6 or 2.5.5 -> 3.0"]),
        ({"tomlkit": "0.15"}, ["tomlkit none -> 0.15"]),
    ],
)
def test_what_the_newest_versions_are_is_told_against_the_locked(versions, moves, newest):
    locked = (
        "# made by a tool\npyyaml==6.0.3    # via lstm-cli\ntypes-regex==1\n"
        "numpy==2.4.6 ; python_version < '3.12'\nnumpy==2.5.5 ; python_version >= '3.12'\n"
    )
    assert list(newest.moved(newest.versions(_report(**versions)), locked).values()) == moves


GOOD = "tests/test_a.py::test_x[a b] \n[gw0] [ 50%] PASSED tests/test_a.py::test_x[a b] \n"
BAD = "[gw1] [100%] FAILED tests/test_a.py::test_y \n"


@pytest.mark.parametrize(
    ("log", "ended", "expected"),
    [
        (GOOD + "==== 1 passed in 1 s ====\n", True, "all of 1 tests pass"),
        (GOOD, False, "all of 1 tests pass in the time there was"),
        (GOOD + BAD, True, "1 of 2 tests fail: tests/test_a.py::test_y"),
        (GOOD + BAD * 2, True, r"2 of 3 tests fail: tests/test_a.py::test_y \(2 times\)"),
        (
            GOOD + "".join(BAD.replace("_y", f"_{i}") for i in range(9)),
            False,
            "9 of 10 tests fail in the time there was: .*, tests/test_a.py::test_5 and 3 more",
        ),
        ("No module named pytest\n", True, "the tests do not start: No module named pytest"),
        ("", True, "the tests do not start: "),
    ],
)
def test_how_the_tests_of_the_newest_versions_went_fits_a_line(log, ended, expected, newest):
    line = newest.outcome(log, ended)
    assert re.fullmatch(expected, line)
