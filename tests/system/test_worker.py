"""A second process: the same results, whatever becomes of it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from fixtures_processes import python

from lstm_cli import data
from lstm_cli.config.load import load_preset
from lstm_cli.config.schema import TextSettings
from lstm_cli.data.source import from_config
from lstm_cli.io import worker
from lstm_cli.io.progress import SilentReporter
from lstm_cli.text import tokenizer


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(worker, "_num_cores", lambda: 2)


def test_a_partner_is_another_process_and_gone_after_its_block():
    with worker.found(wanted=True) as other:
        assert other.is_alive
        pid = other.ask(os.getpid)()
        assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("reason", ["not wanted", "one core", "cannot be started", "embedded"])
def test_without_a_partner_this_process_does_all(monkeypatch, reason):
    if reason == "one core":
        monkeypatch.setattr(worker, "_num_cores", lambda: 1)
    if reason == "cannot be started":
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    if reason == "embedded":
        monkeypatch.setattr(sys, "executable", None)
    with worker.found(wanted=reason != "not wanted") as other:
        assert not other.is_alive
        assert other.ask(os.getpid)() == os.getpid()


def test_modules_of_the_folder_it_is_started_in_are_not_taken(tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    with worker.found(wanted=True) as other:
        assert other.ask(os.getpid)() != os.getpid()


def test_results_may_be_asked_for_in_any_order_and_be_larger_than_a_pipe():
    arrays = [np.full(1_000_000, i) for i in range(3)]
    with worker.found(wanted=True) as other:
        asked = [other.ask(np.flip, array, axis=0) for array in arrays]
        for waits, array in [*zip(asked, arrays, strict=True)][::-1]:
            np.testing.assert_array_equal(waits(), array)


def test_modules_are_imported_there():
    with worker.found(wanted=True) as other:
        other.ask(worker.load, "lstm_cli.models.linear")
        assert "lstm_cli.models.linear" in other.ask(eval, "[*__import__('sys').modules]")()


def test_what_a_library_prints_is_no_answer():
    with worker.found(wanted=True) as other:
        assert other.ask(os.write, 1, b"some words")() == 10
        assert other.ask(len, "abc")() == 3


def test_a_function_that_raises_there_raises_here():
    with worker.found(wanted=True) as other:
        waits = other.ask(tokenizer.learn, ["a b c"], TextSettings(min_count=2))
        with pytest.raises(tokenizer.LstmError, match="No word occurs 2 times"):
            waits()


def test_a_result_that_cannot_be_copied_is_made_here():
    with worker.found(wanted=True) as other:
        assert other.ask(threading.Lock)().acquire()


@pytest.mark.parametrize("moment", ["at once", "while it is waited for"])
def test_a_partner_that_dies_costs_no_result(moment):
    with worker.found(wanted=True) as other:
        pid = other.ask(os.getpid)()
        there = f"__import__('os').getpid() == {pid}"
        waits = other.ask(eval, f"__import__('time').sleep(600) if {there} else 'here'")
        if moment == "at once":
            os.kill(pid, signal.SIGKILL)
        else:
            threading.Timer(0.5, os.kill, [pid, signal.SIGKILL]).start()
        assert waits() == "here"
        assert other.ask(os.getpid)() == os.getpid()
        assert other.ask(len, "x" * 1_000_000)() == 1_000_000


def test_what_is_half_said_is_not_taken_for_the_next_request():
    with worker.found(wanted=True) as other:
        words = [f"w{i}" for i in range(200_000)]
        assert other.ask(len, [*words, threading.Lock()])() == 200_001
        # Pickled, the second is a reference to the first.
        word = "".join(["o", "ne"])
        assert other.ask(list, [word, word])() == ["one", "one"]


def test_a_broken_pipe_ends_no_process_that_lets_pipes_end_it():
    """As the command line does, for `lstm predict | head`."""
    code = """
        import os, signal, sys
        from lstm_cli.io import worker as partner
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        partner._num_cores = lambda: 2
        with partner.found(wanted=True) as other:
            os.kill(other.ask(os.getpid)(), signal.SIGKILL)
            assert other.ask(len, "x" * 1_000_000)() == 1_000_000
        assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
        print("survived")
    """
    out, errors = python(code).communicate(timeout=60)
    assert (out, errors) == ("survived\n", "")


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom lstm_cli.io import worker as partner\npartner._num_cores = lambda: 2\nprint('once')\n"
        "with partner.found(wanted=True) as other:\n"
        "    assert other.ask(os.getpid)() != os.getpid()\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("once\n", "")


WORKING = """
    import os, sys, time
    from lstm_cli.io import worker as partner
    partner._num_cores = lambda: 2
    with partner.found(wanted=True) as other:
        print(other.ask(os.getpid)(), flush=True)
        if sys.argv[1] == "at work":
            other.ask(sum, range(10**8))
        time.sleep(600)
"""


@pytest.mark.parametrize("state", ["idle", "at work"])
def test_a_partner_is_gone_soon_after_the_process_it_belongs_to_was_killed(state):
    process = python(WORKING, state)
    pid = int(process.stdout.readline())
    assert pid != process.pid
    process.kill()
    process.communicate()
    # One at work ends with what it does; this one adds up, for a few seconds.
    assert _gone(pid, seconds=60 if state == "at work" else 5)


def test_an_interrupt_from_the_terminal_ends_both_and_the_partner_says_nothing():
    code = textwrap.dedent(WORKING).replace("time.sleep(600)", "sys.stdin.read()")
    process = python(code, "at work", start_new_session=True)
    pid = int(process.stdout.readline())
    assert pid != process.pid
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert _gone(pid, seconds=5)


def test_two_number_words_as_one_does():
    settings = TextSettings(min_count=1, vocab_size=5)
    for texts in (
        ["a b", "b c", "d a a"],
        ["the same", "the same"],
        ["one"],
        ["", "a", "", "", "b b", ""],
        [f"w{i % 7} w{i % 11} don't" for i in range(50)],
    ):
        with worker.found(wanted=True) as other:
            two = tokenizer.learn(texts, settings, other)
            assert tokenizer._distinct(texts)[0] == tokenizer._by_two(texts, other)[0]
            # One that had failed would be there no more.
            assert other.ask(os.getpid)() != os.getpid()
        one = tokenizer.learn(texts, settings)
        assert two[0].words == one[0].words
        np.testing.assert_array_equal(two[1], one[1])
        np.testing.assert_array_equal(two[2], one[2])


def test_data_prepared_by_two_has_the_bits_of_that_prepared_by_one(monkeypatch):
    from lstm_cli.models import classifier
    from lstm_cli.training import prepare

    changes = {"data.limit": 60, "linear.buckets": 5000, "embedding.vectors": "train"}
    config = load_preset("imdb", {"data.name": "demo", "model.units": 3, **changes})
    answered = []
    call = worker._call

    def noting(process, function, *rest):
        answer = call(process, function, *rest)
        answered.append((function.__name__, answer is not None))
        return answer

    monkeypatch.setattr(worker, "_call", noting)

    def prepared(many):
        monkeypatch.setattr(prepare, "_MANY_TEXTS", many)
        answered.clear()
        device_info = prepare.start(config, "cpu", SilentReporter())
        dataset = data.load(from_config(config, None), ("train", "validation"))
        found = prepare.prepare(config, dataset, device_info, None, SilentReporter())
        arrays = classifier.get_weights(found.model)
        arrays |= {"table": found.linear.table, "train": found.train.linear}
        arrays |= {"validation": found.validation.linear, "ids": found.train.inputs.ids}
        words = found.tokenizer.words
        return words, {name: np.asarray(array).tobytes() for name, array in arrays.items()}

    alone = prepared(many=10**9)
    assert not answered
    together = prepared(many=1)
    assert answered == [("load", True), ("_distinct", True), ("learn", True)]
    assert together[0] == alone[0]
    assert [name for name in alone[1] if together[1][name] != alone[1][name]] == []


def _gone(pid, seconds):
    """Wait for a process to end; in a container its remains may stay for want of a parent."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False
