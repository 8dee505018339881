"""Signals: noted or raised, in this process; `test_resume` sends them to a training one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from lstm_cli.signals import Interrupted, caught

BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(autouse=True)
def _heard():
    """A job that a script started in the background ignores SIGINT; these tests send it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def in_a_process(code):
    """Run code that prints `ready`, in a process that a test may end."""
    code = "import signal\nsignal.signal(2, signal.default_int_handler)\n" + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(("signum", "exit_code"), BOTH)
def test_a_signal_interrupts_what_does_not_look_for_it(signum, exit_code):
    with pytest.raises(Interrupted) as interrupted, caught() as signals:
        os.kill(os.getpid(), signum)
    assert signals.wanted == signum
    assert interrupted.value.exit_code == exit_code


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_is_noted_and_raised_at_the_end_at_the_latest(signum):
    ended = False
    with pytest.raises(Interrupted), caught() as signals, signals.deferred():
        assert signals.wanted is None
        os.kill(os.getpid(), signum)
        assert signals.wanted == signum
        ended = True
    assert ended


def test_what_handles_errors_does_not_swallow_an_interruption():
    with pytest.raises(Interrupted), caught():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("an interruption is no error")


@pytest.mark.parametrize(("signum", "exit_code"), BOTH)
def test_a_second_signal_ends_the_process_even_deep_in_a_computation(signum, exit_code):
    # The sum takes hours inside one call of C, where Python hears nothing.
    process = in_a_process("""
        import time
        from lstm_cli.signals import caught
        with caught() as signals, signals.deferred():
            print("ready", flush=True)
            while signals.wanted is None:
                time.sleep(0.01)
            print("noted", flush=True)
            sum(range(10**15))
    """)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signum)
        assert process.stdout.readline() == "noted\n"
        process.send_signal(signum)
        process.communicate(timeout=10)
    finally:
        process.kill()
    # A shell reports a process that a signal ended as 128 + its number.
    assert 128 - process.returncode == exit_code


def test_a_signal_that_was_to_be_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with caught() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.wanted is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_handlers_are_put_back():
    before = [signal.getsignal(number) for number, _ in BOTH]
    with pytest.raises(Interrupted), caught():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number, _ in BOTH] == before


def test_outside_the_main_thread_nothing_is_caught_and_nothing_breaks():
    seen = []

    def work():
        with caught() as signals:
            seen.append((signals.wanted, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]
