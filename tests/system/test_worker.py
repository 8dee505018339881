"""The worker process: the same results, even if it dies."""

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
from lstm_cli.text import vocabulary


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(worker, "num_cores", lambda: 2)


def test_the_worker_is_another_process_and_ends_with_its_block():
    with worker.start_worker(enabled=True) as process:
        assert process.is_alive
        pid = process.submit(os.getpid)()
        assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("reason", ["disabled", "one core", "cannot be started", "embedded"])
def test_without_a_worker_this_process_calls_the_function(monkeypatch, reason):
    if reason == "one core":
        monkeypatch.setattr(worker, "num_cores", lambda: 1)
    if reason == "cannot be started":
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
    if reason == "embedded":
        monkeypatch.setattr(sys, "executable", None)
    with worker.start_worker(enabled=reason != "disabled") as process:
        assert not process.is_alive
        assert process.submit(os.getpid)() == os.getpid()


def test_modules_of_the_current_folder_are_not_imported(tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    with worker.start_worker(enabled=True) as process:
        assert process.submit(os.getpid)() != os.getpid()


def test_results_can_be_large_and_read_in_any_order():
    arrays = [np.full(1_000_000, i) for i in range(3)]
    with worker.start_worker(enabled=True) as process:
        results = [process.submit(np.flip, array, axis=0) for array in arrays]
        for wait_for_result, array in [*zip(results, arrays, strict=True)][::-1]:
            np.testing.assert_array_equal(wait_for_result(), array)


def test_modules_are_imported_in_the_worker():
    with worker.start_worker(enabled=True) as process:
        process.submit(worker.import_modules, "lstm_cli.models.linear")
        assert "lstm_cli.models.linear" in process.submit(eval, "[*__import__('sys').modules]")()


def test_output_of_a_library_is_not_read_as_an_answer():
    with worker.start_worker(enabled=True) as process:
        assert process.submit(os.write, 1, b"some words")() == 10
        assert process.submit(len, "abc")() == 3


def test_an_exception_is_raised_in_this_process():
    with worker.start_worker(enabled=True) as process:
        wait_for_result = process.submit(
            vocabulary.fit_vocabulary, ["a b c"], TextSettings(min_count=2)
        )
        with pytest.raises(vocabulary.LstmError, match="No word occurs 2 times"):
            wait_for_result()


def test_a_result_that_cannot_be_pickled_is_computed_in_this_process():
    with worker.start_worker(enabled=True) as process:
        assert process.submit(threading.Lock)().acquire()


@pytest.mark.parametrize("moment", ["at once", "while waiting"])
def test_a_worker_that_dies_does_not_change_the_result(moment):
    with worker.start_worker(enabled=True) as process:
        pid = process.submit(os.getpid)()
        is_worker = f"__import__('os').getpid() == {pid}"
        wait_for_result = process.submit(
            eval, f"__import__('time').sleep(600) if {is_worker} else 'here'"
        )
        if moment == "at once":
            os.kill(pid, signal.SIGKILL)
        else:
            threading.Timer(0.5, os.kill, [pid, signal.SIGKILL]).start()
        assert wait_for_result() == "here"
        assert process.submit(os.getpid)() == os.getpid()
        assert process.submit(len, "x" * 1_000_000)() == 1_000_000


def test_a_partial_request_is_not_read_as_the_next_one():
    with worker.start_worker(enabled=True) as process:
        words = [f"w{i}" for i in range(200_000)]
        assert process.submit(len, [*words, threading.Lock()])() == 200_001
        # In a pickle, the second is a reference to the first.
        word = "".join(["o", "ne"])
        assert process.submit(list, [word, word])() == ["one", "one"]


def test_a_broken_pipe_does_not_end_a_process_with_default_sigpipe():
    """The command line uses the default SIGPIPE, for `lstm predict | head`."""
    code = """
        import os, signal, sys
        from lstm_cli.io import worker
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        worker.num_cores = lambda: 2
        with worker.start_worker(enabled=True) as process:
            os.kill(process.submit(os.getpid)(), signal.SIGKILL)
            assert process.submit(len, "x" * 1_000_000)() == 1_000_000
        assert signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL
        print("survived")
    """
    out, errors = python(code).communicate(timeout=60)
    assert (out, errors) == ("survived\n", "")


def test_a_script_without_a_guard_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nfrom lstm_cli.io import worker\nworker.num_cores = lambda: 2\nprint('once')\n"
        "with worker.start_worker(enabled=True) as process:\n"
        "    assert process.submit(os.getpid)() != os.getpid()\n"
    )
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("once\n", "")


USES_WORKER = """
    import os, sys, time
    from lstm_cli.io import worker
    worker.num_cores = lambda: 2
    with worker.start_worker(enabled=True) as process:
        print(process.submit(os.getpid)(), flush=True)
        if sys.argv[1] == "busy":
            process.submit(sum, range(10**8))
        time.sleep(600)
"""


@pytest.mark.parametrize("state", ["idle", "busy"])
def test_the_worker_ends_after_its_parent_is_killed(state):
    process = python(USES_WORKER, state)
    pid = int(process.stdout.readline())
    assert pid != process.pid
    process.kill()
    process.communicate()
    # A busy worker ends after its current call, here a sum that takes a few seconds.
    assert _gone(pid, seconds=60 if state == "busy" else 5)


def test_an_interrupt_from_the_terminal_ends_both_processes_with_one_traceback():
    code = textwrap.dedent(USES_WORKER).replace("time.sleep(600)", "sys.stdin.read()")
    process = python(code, "busy", start_new_session=True)
    pid = int(process.stdout.readline())
    assert pid != process.pid
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert errors.count("Traceback") == 1
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert _gone(pid, seconds=5)


def test_parallel_tokenization_gives_the_same_result():
    settings = TextSettings(min_count=1, vocab_size=5)
    for texts in (
        ["a b", "b c", "d a a"],
        ["the same", "the same"],
        ["one"],
        ["", "a", "", "", "b b", ""],
        [f"w{i % 7} w{i % 11} don't" for i in range(50)],
    ):
        with worker.start_worker(enabled=True) as process:
            parallel = vocabulary.fit_vocabulary(texts, settings, process)
            assert (
                vocabulary._number_tokens(texts)[0]
                == vocabulary._number_tokens_in_parallel(texts, process)[0]
            )
            # The worker is still alive, so it computed its part.
            assert process.submit(os.getpid)() != os.getpid()
        serial = vocabulary.fit_vocabulary(texts, settings)
        assert parallel.tokenizer.words == serial.tokenizer.words
        assert parallel.tokens == serial.tokens
        np.testing.assert_array_equal(parallel.lengths, serial.lengths)
        np.testing.assert_array_equal(parallel.numbers, serial.numbers)


def test_the_worker_does_not_change_the_bits_of_the_prepared_data(monkeypatch):
    from lstm_cli.models import classifier
    from lstm_cli.training import device, prepare_classifier
    from lstm_cli.training.init_weights import read_initial_weights
    from lstm_cli.training.options import TrainOptions

    changes = {"data.limit": 60, "linear.buckets": 5000, "embedding.vectors": "train"}
    config = load_preset("imdb", {"data.name": "demo", "model.units": 3, **changes})
    calls = []
    call = worker._call

    def recording_call(process, function, *rest):
        answer = call(process, function, *rest)
        calls.append((function.__name__, answer is not None))
        return answer

    monkeypatch.setattr(worker, "_call", recording_call)

    def prepare_with(min_texts):
        monkeypatch.setattr(prepare_classifier, "_MIN_TEXTS_FOR_WORKER", min_texts)
        calls.clear()
        options = TrainOptions(device="cpu")
        device_info = device.configure_backend(config, "cpu", options.reporter)
        dataset = data.load(from_config(config, None), ("train", "validation"))
        init = read_initial_weights(config)
        task = prepare_classifier.prepare_classifier(config, dataset, init, device_info, options)
        arrays = classifier.get_weights(task.model)
        arrays |= {**task.linear.tables.arrays(), "train": task.train.linear}
        arrays |= {"validation": task.validation.linear, "ids": task.train.inputs.ids}
        words = task.tokenizer.words
        return words, {name: np.asarray(array).tobytes() for name, array in arrays.items()}

    serial = prepare_with(min_texts=10**9)
    assert not calls
    parallel = prepare_with(min_texts=1)
    names = ["import_modules", "_number_tokens", "learn_word_vectors", "fit_linear_model"]
    assert calls == [(name, True) for name in names]
    assert parallel[0] == serial[0]
    assert [name for name in serial[1] if parallel[1][name] != serial[1][name]] == []


def test_the_worker_does_not_change_the_bits_of_a_run(tmp_path, monkeypatch):
    from lstm_cli.runs import directory as runs
    from lstm_cli.training import pipeline

    changes = {"data.limit": 60, "linear.buckets": 5000, "train.refit": True, "train.epochs": 1}
    config = load_preset("imdb", {"data.name": "demo", "model.units": 3, **changes})
    alone = pipeline.train(config, runs_dir=tmp_path, name="alone")
    calls = []
    call = worker._call

    def recording_call(process, function, *rest):
        calls.append(function.__name__)
        return call(process, function, *rest)

    monkeypatch.setattr(worker, "_call", recording_call)
    with worker.start_worker(enabled=True) as process:
        together = pipeline.train(config, runs_dir=tmp_path, name="together", worker=process)
        assert process.submit(os.getpid)() != os.getpid()
    # One epoch has no curves.
    plots = ["draw_results", "lengths"]
    fits = ["learn_word_vectors", "fit_linear_model", "fit_linear_model"]
    assert calls[:-1] == [*fits, *plots]
    for name in (runs.WEIGHTS, runs.METRICS, runs.GOLDEN):
        assert together.file(name).read_bytes() == alone.file(name).read_bytes()
    drawn = [
        sorted(path.name for path in run.file(runs.PLOTS).iterdir()) for run in (alone, together)
    ]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 5


def _gone(pid, seconds):
    """Wait for a process to end; in a container it can stay as a zombie."""
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
