"""The one user-facing error: what it carries, which exit code it ends with, what it offers."""

from __future__ import annotations

import pickle

import pytest
from fixtures_properties import relaxed
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.errors import EXIT_CODES, ExitCode, LstmError, suggest


def test_the_exit_codes_are_those_of_the_shell_contract():
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "ERROR": 1,
        "USAGE": 2,
        "DATA": 3,
        "THRESHOLD": 4,
        "INTEGRITY": 5,
        "INTERRUPTED": 130,
    }
    assert set(map(int, ExitCode)) | {143} == set(EXIT_CODES)


def test_an_error_carries_message_hint_and_exit_code():
    error = LstmError("found 5", "try 6", ExitCode.USAGE)
    assert (error.message, error.hint, error.exit_code) == ("found 5", "try 6", ExitCode.USAGE)
    assert str(error) == "found 5 Try: try 6"
    assert str(LstmError("found 5")) == "found 5"


def test_an_error_without_more_is_an_ordinary_one():
    error = LstmError("found 5")
    assert (error.hint, error.exit_code) == ("", ExitCode.ERROR)


def test_an_error_crosses_to_another_process_whole():
    error = pickle.loads(pickle.dumps(LstmError("found 5", "try 6", ExitCode.DATA)))
    assert (error.message, error.hint, error.exit_code) == ("found 5", "try 6", ExitCode.DATA)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("imbd", "Did you mean 'imdb'?"), ("mnits", "Did you mean 'mnist'?"), ("zzz", "Known: ")],
)
def test_the_nearest_name_is_offered_or_all_there_are(typed, offered):
    hint = suggest(typed, ["demo", "imdb", "mnist"])
    assert hint.startswith(offered)


def test_all_there_are_are_listed_in_their_order():
    assert suggest("zzz", ["mnist", "demo"]) == "Known: mnist, demo."
    assert suggest("zzz", ["mnist", "demo"], []) == ""


@relaxed
@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=5))
def test_any_name_gets_a_sentence(name, known):
    assert suggest(name, known).endswith(("?", ".") if known else "")
