"""Signals: recorded or raised, and no half-written files.

`test_resume` sends signals to a process that trains.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading

import pytest
from fixtures_processes import python, running
from fixtures_runs import TEXTS, make_text_run

from lstm_cli.io.signals import Interrupted, catch_signals, hold_hangup

BOTH = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(autouse=True)
def _enable_sigint():
    """A background job ignores SIGINT by default, and these tests send it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("signum", "exit_code"), BOTH)
def test_a_signal_raises_interrupted(signum, exit_code):
    with pytest.raises(Interrupted) as interrupted, catch_signals() as signals:
        os.kill(os.getpid(), signum)
    assert signals.pending == signum
    assert interrupted.value.exit_code == exit_code


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_deferred_signal_is_recorded_and_raised_at_the_end_of_the_block(signum):
    ended = False
    with pytest.raises(Interrupted), catch_signals() as signals, signals.deferred():
        assert signals.pending is None
        os.kill(os.getpid(), signum)
        assert signals.pending == signum
        ended = True
    assert ended


def test_sighup_is_recorded_unless_it_is_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with hold_hangup():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        with hold_hangup():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP).is_pending
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_error_handlers_do_not_catch_an_interruption():
    with pytest.raises(Interrupted), catch_signals():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except Exception:
            pytest.fail("an interruption is not an error")


@pytest.mark.parametrize(("signum", "exit_code"), BOTH)
def test_a_second_signal_ends_the_process_during_a_computation(signum, exit_code):
    # The sum takes hours inside one C call, where Python does not handle signals.
    code = """
        import time
        from lstm_cli.io.signals import catch_signals
        with catch_signals() as signals, signals.deferred():
            print("ready", flush=True)
            while signals.pending is None:
                time.sleep(0.01)
            print("recorded", flush=True)
            sum(range(10**15))
    """
    with running(code) as process:
        process.send_signal(signum)
        assert process.stdout.readline() == "recorded\n"
        process.send_signal(signum)
        # A shell reports a process that a signal ended as 128 + its number.
        assert 128 - process.wait(timeout=60) == exit_code


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with catch_signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        assert signals.pending is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_handlers_are_restored():
    before = [signal.getsignal(number) for number, _ in BOTH]
    with pytest.raises(Interrupted), catch_signals():
        os.kill(os.getpid(), signal.SIGTERM)
    assert [signal.getsignal(number) for number, _ in BOTH] == before


def test_outside_the_main_thread_signals_are_not_caught():
    seen = []

    def work():
        with catch_signals() as signals:
            seen.append((signals.pending, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


# In other commands


def file_hashes(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize(("signum", "exit_code"), BOTH)
def test_an_interrupted_predict_has_no_traceback_and_does_not_change_its_run(
    signum, exit_code, tmp_path
):
    run = make_text_run(tmp_path / "demo" / "x")
    before = file_hashes(tmp_path)
    code = "import sys; from lstm_cli.cli import main; sys.argv[0] = 'lstm'; main()"
    with python(code, "predict", "--run", run.path) as process:
        # More than one window of texts; then the pipe stays open and predict waits.
        process.stdin.write("a fine film\n" * 3000)
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signum)
        out, err = first + process.stdout.read(), process.stderr.read()
        assert process.wait(timeout=60) == exit_code
    assert "Interrupted" in err
    assert "Traceback" not in err
    # Every line is complete except the last one, which a full pipe can cut.
    assert {len(line.split("\t")) for line in out.splitlines()[:-1]} <= {7}
    assert file_hashes(tmp_path) == before


def test_an_interrupted_encoding_leaves_no_files_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path))
    code = """
        import sys, time
        import numpy as np
        from lstm_cli.text import corpus_cache
        from lstm_cli.config.schema import TextSettings
        from lstm_cli.io.signals import Interrupted, catch_signals, hold_hangup
        from lstm_cli.text.tokenizer import Tokenizer

        real, saved = np.save, []

        def save(path, array):
            real(path, array)
            saved.append(path)
            if len(saved) == 2:
                print("ready", flush=True)
                time.sleep(60)

        np.save = save
        tokenizer = Tokenizer.fit(sys.argv[1:], TextSettings(min_count=1))
        try:
            with catch_signals():
                corpus_cache.encode_cached(sys.argv[1:], tokenizer)
        except Interrupted as interrupted:
            sys.exit(interrupted.exit_code)
    """
    with running(code, *TEXTS) as process:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert list((tmp_path / "corpora").iterdir()) == []
