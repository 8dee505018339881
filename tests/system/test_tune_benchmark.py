"""`benchmarks.tune`, with results in place of searches and trainings."""

from __future__ import annotations

import json

from benchmarks import own_data, tune


def test_a_gain_is_the_mean_over_seeds_and_sets(tmp_path, monkeypatch):
    rows = [("a fine day", "good"), ("a dull day", "bad")]
    for name in ("train.csv", "test.csv"):
        (tmp_path / "sets" / "x").mkdir(parents=True, exist_ok=True)
        own_data.write_table(tmp_path / "sets" / "x" / name, rows)
    commands = []

    def run(arguments):
        commands.append(arguments)
        if arguments[0] == "tune":
            best = {"settings": {"model.units": 9}, "value": 0.9}
            counts = {"complete": 2, "pruned": 1, "failed": 0, "running": 0}
            found = {"trials": counts, "seconds": 1.0, "best": best, "default": 0.8}
            return {**found, "shared": {"data.folds": 3, "data.test_file": "test.csv"}}
        seed = int(arguments[arguments.index("--seed") + 1])
        is_best = "--set=model.units=9" in arguments
        return {"metrics": {"test": {"accuracy": 0.5 + 0.1 * seed + 0.02 * is_best}}}

    monkeypatch.setattr(tune, "_run", run)
    out = tmp_path / "result.json"
    code = tune.main([str(tmp_path / "sets"), "--json", str(out), "--seeds", "0,1"])
    assert code == 0
    measured = json.loads(out.read_text())["measurements"]
    assert round(measured["mean_gain"], 6) == 0.02
    assert [command[0] for command in commands] == ["tune"] + 4 * ["train"]
    # The rows that a search holds out are the same in the training with its settings.
    folds = ["--set=data.folds=3" in command for command in commands[1:]]
    assert folds == [False, True, False, True]
    # The search does not see the seeds, and the file of test rows only as `--test`.
    assert commands[0][2] == "--test"
