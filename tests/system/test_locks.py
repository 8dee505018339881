"""Two at once: one waits or is refused, by a lock that goes with its process."""

from __future__ import annotations

import os
import sys
import threading
import time

import pytest
from fixtures_processes import holding, running
from fixtures_runs import TEXTS, made, text_config

from lstm_cli import cli
from lstm_cli.config import load as configs
from lstm_cli.errors import LstmError
from lstm_cli.runs import directory as runs
from lstm_cli.runs import find, lock
from lstm_cli.runs.create import create_run
from lstm_cli.runs.directory import RunDir
from lstm_cli.text import corpus, corpus_cache, tokenizer_json
from lstm_cli.text.tokenizer import Tokenizer


def lstm(capsys, monkeypatch, *arguments):
    """Run the command line here; return exit code and stderr."""
    monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
    code = cli.run()
    return code, capsys.readouterr().err


def unfinished(root, name, started="2026-01-01T00:00:00+00:00"):
    """A run that `--resume` may find."""
    run = made(root, f"demo/{name}", "running", started, data="demo")
    run.write_text(runs.CONFIG, configs.to_yaml(text_config()))
    return run


# Runs


def test_a_run_that_is_being_trained_is_resumed_by_nobody_else(tmp_path, capsys, monkeypatch):
    run = unfinished(tmp_path, "x")
    before = run.file(runs.RUN).read_bytes()
    with holding(run):
        code, output = lstm(
            capsys, monkeypatch, "train", "demo", "--resume", "x", "--runs-dir", tmp_path
        )
    assert code == 1
    assert "Another process is training run demo/x" in output
    assert "Traceback" not in output
    assert run.file(runs.RUN).read_bytes() == before


def test_a_lock_goes_with_its_process_however_that_ends(tmp_path):
    run = unfinished(tmp_path, "x")
    with holding(run) as process:
        assert lock.is_locked(run.path)
        assert run.status == "running"
        process.kill()
        process.wait()
        assert not lock.is_locked(run.path)
        assert run.status == "interrupted"
        with lock.acquire(run.path):
            pass


def test_a_run_that_is_being_started_is_started_by_nobody_else(tmp_path):
    run = create_run(tmp_path, "demo", "x")
    with holding(run):
        again = create_run(tmp_path, "demo", "x")
        with pytest.raises(LstmError, match="Another process"), lock.acquire(again.path):
            pass
    run.write_json(runs.RUN, {"status": "running"})
    with pytest.raises(LstmError, match="already a run"):
        create_run(tmp_path, "demo", "x")


def test_resume_takes_the_newest_run_that_nobody_is_training(tmp_path):
    old = unfinished(tmp_path, "old")
    new = unfinished(tmp_path, "new", "2026-01-02T00:00:00+00:00")
    assert find.find_unfinished(tmp_path, None, "demo") == new
    with holding(new):
        assert find.find_unfinished(tmp_path, None, "demo") == old
        with holding(old), pytest.raises(LstmError, match="another process is training demo/new"):
            find.find_unfinished(tmp_path, None, "demo")


def test_the_list_of_runs_tells_the_living_from_the_dead(tmp_path, capsys, monkeypatch):
    alive, _ = unfinished(tmp_path, "alive"), unfinished(tmp_path, "dead")
    monkeypatch.setattr(sys, "argv", ["lstm", "runs", "list", "--runs-dir", str(tmp_path)])
    with holding(alive):
        assert cli.run() == 0
    lines = capsys.readouterr().out.splitlines()
    (alive_line,) = [line for line in lines if "demo/alive" in line]
    (dead_line,) = [line for line in lines if "demo/dead" in line]
    assert "running" in alive_line
    assert "interrupted" in dead_line


def test_who_looks_whether_a_run_is_trained_disturbs_nobody(tmp_path):
    run = unfinished(tmp_path, "x")
    assert not lock.is_locked(run.path)
    assert not run.file(runs.LOCK).exists()
    stop = threading.Event()

    def look():
        while not stop.is_set():
            lock.is_locked(run.path)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(20):
            with lock.acquire(run.path):
                pass
    finally:
        stop.set()
        for looker in lookers:
            looker.join()


def test_a_lock_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("no folder")
    run = RunDir(tmp_path / "file" / "x")
    with pytest.raises(LstmError, match=r"Cannot write .*\.lock"), lock.acquire(run.path):
        pass


# Corpora

ENCODER = """
    import sys, time
    from pathlib import Path
    from lstm_cli.text import corpus, corpus_cache, tokenizer_json
    from lstm_cli.config.schema import TextSettings

    real = corpus.encode_tokens

    def encode_tokens(texts, token_to_id, all_tokens=None):
        with open(sys.argv[2], "a") as log:
            log.write("encoding\\n")
        time.sleep(float(sys.argv[3]))
        return real(texts, token_to_id, all_tokens)

    corpus.encode_tokens = encode_tokens
    tokenizer = tokenizer_json.read(Path(sys.argv[1]).read_bytes(), TextSettings(max_tokens=12))
    texts = sys.argv[4:]
    print("ready", flush=True)
    sys.stdin.readline()
    print(corpus_cache.encode_cached(texts, tokenizer).ids.tolist(), flush=True)
"""


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """Arguments of a process that encodes `TEXTS`, slowly, and logs when it does."""
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer_json.write(Tokenizer.fit(TEXTS, text_config().text)))
    return lambda seconds: (ENCODER, path, tmp_path / "log", seconds, *TEXTS)


def expected_ids(path):
    return corpus.encode(
        TEXTS, tokenizer_json.read(path.read_bytes(), text_config().text)
    ).ids.tolist()


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def wait_for(path, seconds=60):
    until = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < until, f"{path} did not come"
        time.sleep(0.02)


def test_two_processes_encode_a_shared_corpus_once(encoder, tmp_path):
    with running(*encoder(0.5)) as first, running(*encoder(0.5)) as second:
        for process in (first, second):
            go(process)
        lines = {process.stdout.readline() for process in (first, second)}
    assert lines == {f"{expected_ids(tmp_path / 'tokenizer.json')}\n"}
    assert (tmp_path / "log").read_text() == "encoding\n"


def test_a_waiting_process_encodes_when_the_first_is_killed(encoder, tmp_path):
    with running(*encoder(60)) as first, running(*encoder(0)) as second:
        go(first)
        wait_for(tmp_path / "log")
        go(second)
        time.sleep(0.3)
        assert (tmp_path / "log").read_text() == "encoding\n", "the second did not wait"
        first.kill()
        assert second.stdout.readline() == f"{expected_ids(tmp_path / 'tokenizer.json')}\n"
    assert (tmp_path / "log").read_text() == "encoding\n" * 2


def test_without_lock_support_nobody_waits(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "locks").write_text("a file where a folder should be")
    tokenizer = Tokenizer.fit(TEXTS, text_config().text)
    expected = corpus.encode(TEXTS, tokenizer).ids
    assert (corpus_cache.encode_cached(TEXTS, tokenizer).ids == expected).all()


def test_temporary_folders_of_killed_encoders_are_removed_after_a_day(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTM_CACHE_DIR", str(tmp_path))
    tokenizer = Tokenizer.fit(TEXTS, text_config().text)
    left = {age: tmp_path / "corpora" / f".writing-{age}" for age in ("old", "new")}
    for folder in left.values():
        folder.mkdir(parents=True)
    os.utime(left["old"], (time.time() - 100_000,) * 2)
    corpus_cache.encode_cached(TEXTS, tokenizer)
    assert not left["old"].exists()
    assert left["new"].exists()


# Data sets

PREPARER = """
    import sys, time
    from pathlib import Path
    from lstm_cli.data.readers import tfds_download as download
    from lstm_cli.data.readers.tfds_prepared import TfdsName

    folder, log = Path(sys.argv[1]), Path(sys.argv[2])

    def find(tfds_name, folder):
        return folder / "mnist" if (folder / "mnist").exists() else None

    def prepare(tfds_name, folder):
        with log.open("a") as file:
            file.write("preparing\\n")
        time.sleep(0.5)
        (folder / "mnist").mkdir()
        return folder / "mnist"

    download.find_prepared, download._prepare, download.probe = find, prepare, lambda url: ""
    print("ready", flush=True)
    sys.stdin.readline()
    print(download.ensure_prepared(TfdsName("mnist"), folder), flush=True)
"""


def test_two_processes_prepare_a_data_set_only_once(tmp_path):
    arguments = (PREPARER, tmp_path / "data", tmp_path / "log")
    with running(*arguments) as first, running(*arguments) as second:
        for process in (first, second):
            go(process)
        outputs = {process.stdout.readline() for process in (first, second)}
    assert outputs == {f"{tmp_path / 'data' / 'mnist'}\n"}
    assert (tmp_path / "log").read_text() == "preparing\n"
