"""Three processes search in one PostgreSQL database, as on three machines; one is killed."""

from __future__ import annotations

import signal
from collections import Counter

import optuna
from fixtures_postgres import postgres
from fixtures_processes import python
from optuna.trial import TrialState

NUM_TRIALS = 7

# A worker whose trials sleep in place of training. It says when it is in the middle of its first
# trial, and waits there for a file.
WORKER = """
import sys, time
from pathlib import Path
from lstm_cli.config.load import load_preset, to_dict
from lstm_cli.io.progress import SilentReporter
from lstm_cli.tune import search, storage, trial
from lstm_cli.tune.folder import StudyFolder, StudyRequest
from lstm_cli.tune.space import load_space

root, url, num_trials = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
is_first = True

def train(self):
    global is_first
    if is_first:
        is_first = False
        print("ready", flush=True)
        while not (root.parent / "go").exists():
            time.sleep(0.05)
    time.sleep(0.1)
    with (root / "done").open("a") as file:
        file.write(f"{self.trial.number}\\n")
    return float(self.trial.number)

trial.Trial.train = train
config = load_preset("imdb")
request = StudyRequest(
    data="imdb", study="imdb/shared", metric="accuracy", direction="maximize", seed=0,
    settings={}, resolved=to_dict(config), space=load_space(None, config).to_builtins(),
    trials=num_trials, storage=url,
)
folder = StudyFolder(root / "imdb" / "shared.study")
folder.path.mkdir(parents=True)
storage.create_study(storage.open_storage(folder, url), request)
search.Search(folder, request, url, SilentReporter()).run()
"""


def make_overdue(url, folder):
    """Set back the last heartbeat of the worker with a folder, in place of waiting for minutes."""
    storage = optuna.storages.RDBStorage(url)
    trials = optuna.load_study(study_name="imdb/shared", storage=storage).trials
    (lost,) = [t for t in trials if str(folder) in t.user_attrs.get("place", "")]
    assert lost.state == TrialState.RUNNING
    update = "UPDATE trial_heartbeats SET heartbeat = heartbeat - INTERVAL '1 day'"
    with storage.engine.begin() as connection:
        found = connection.exec_driver_sql(f"{update} WHERE trial_id = {lost._trial_id}")
        assert found.rowcount == 1
    storage.engine.dispose()


def test_no_trial_is_lost_or_done_twice_when_a_worker_is_killed(tmp_path):
    with postgres() as url:
        # Each has its own folder, as on its own machine.
        folders = [tmp_path / name for name in "abc"]
        workers = [python(WORKER, folder, url, NUM_TRIALS) for folder in folders]
        try:
            for worker in workers:
                assert worker.stdout.readline() == "ready\n", worker.stderr.read()
            workers[0].send_signal(signal.SIGKILL)
            workers[0].wait()
            make_overdue(url, folders[0])
            (tmp_path / "go").touch()
            for worker in workers[1:]:
                _, errors = worker.communicate(timeout=240)
                assert worker.returncode == 0, errors
        finally:
            for worker in workers:
                worker.kill()
                worker.communicate()
        storage = optuna.storages.RDBStorage(url)
        trials = optuna.load_study(study_name="imdb/shared", storage=storage).trials
        storage.engine.dispose()
    # A trial that repeats that of the killed worker has its number in its history.
    first = Counter(
        trial.system_attrs.get("retry_history", [trial.number])[0]
        for trial in trials
        if trial.state == TrialState.COMPLETE
    )
    done = [int(line) for f in folders[1:] for line in (f / "done").read_text().split()]
    assert not (folders[0] / "done").exists()
    assert set(first.values()) == {1}
    assert len(done) == len(set(done)) == len(first)
    # Two workers may ask for the last trial at once.
    assert len(first) in (NUM_TRIALS, NUM_TRIALS + 1)
    assert [trial.state for trial in trials].count(TrialState.FAIL) == 1
    assert {trial.state for trial in trials} == {TrialState.COMPLETE, TrialState.FAIL}
    assert (
        sum(bool(trial.user_attrs.get("default")) for trial in trials if trial.number in first) == 1
    )
