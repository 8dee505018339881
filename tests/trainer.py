"""A training process without training: it writes the files that a search reads, in milliseconds.

It takes the arguments of `lstm train`. Its results follow from `model.units` and
`train.learning_rate`; `model.units=13` makes it fail, and 17 kills it.
"""

import fcntl
import hashlib
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

EPOCHS = 9
SECONDS = float(os.environ.get("TRAINER_SECONDS", "0.03"))  # of an epoch


def write(path, value):
    temp = path.with_name(f".{path.name}.tmp")
    temp.write_text(value if isinstance(value, str) else json.dumps(value))
    temp.replace(path)


def option(name, default=None):
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def settings():
    """The settings of the command line: those of a resumed run are in its folder."""
    file = Path(option("--config", os.devnull))
    # The settings that all trials share are flat here: `model: {units: 3}` on two lines.
    shared = dict(re.findall(r"^  (\S+): (\S+)$", file.read_text(), re.MULTILINE))
    known = {f"model.{key}": json.loads(value) for key, value in shared.items() if key == "units"}
    pairs = (word.removeprefix("--set=") for word in sys.argv if word.startswith("--set="))
    split = (pair.partition("=") for pair in pairs)
    return known | {key: json.loads(value) for key, _, value in split}


def accuracy(found, epoch):
    units, rate = found.get("model.units", 48), found.get("train.learning_rate", 0.004)
    return round(0.9 - abs(units - 40) / 100 - abs(rate - 0.005) * 10 - 0.3 / epoch, 6)


def report(value):
    scores = [
        {"name": name, "precision": value, "recall": value, "f1": value, "support": 50}
        for name in ("negative", "positive")
    ]
    return {
        "num_examples": 100, "accuracy": value, "accuracy_interval": [0, 1], "loss": 1 - value,
        "precision": value, "recall": value, "f1": value, "roc_auc": value, "roc_auc_reason": "",
        "calibration_error": 0, "classes": scores, "bins": [], "confusion": [],
        "majority": {"accuracy": 0.5, "f1": 0.5},
    }  # fmt: skip


def main():
    resumed = option("--resume")
    run = Path(resumed or Path(option("--runs-dir")) / "demo" / option("--name"))
    run.mkdir(parents=True, exist_ok=True)
    with Path(os.environ["TRAINER_LOG"]).open("a") as log:
        log.write(f"{'resume' if resumed else 'train'} {run.name}\n")
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        train(run)


def train(run):
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    threading.Thread(target=watch, daemon=True).start()
    settings_file, history_file = run / "config.yaml", run / "history.jsonl"
    if not settings_file.exists():
        write(settings_file, settings())
    found = json.loads(settings_file.read_text())
    info = {
        "status": "running", "kind": "text", "data": "demo", "started": started(run),
        "seed": 0,
        "versions": {}, "parameters": 1, "device": "cpu", "kernel": "none", "why": "test",
        "dataset": {"name": "demo", "source": "demo", "sizes": {"train": 5, "validation": 5},
                    "fingerprint": os.environ.get("TRAINER_DATA", "a")},
    }  # fmt: skip
    write(run / "run.json", info)
    if found.get("model.units") == 13:
        write(run / "run.json", {**info, "status": "failed"})
        sys.exit("Error: The loss is not finite.")
    if found.get("model.units") == 17:
        os.kill(os.getpid(), signal.SIGKILL)
    lines = history_file.read_text().splitlines() if history_file.exists() else []
    for epoch in range(len(lines) + 1, EPOCHS + 1):
        time.sleep(SECONDS)
        if stopped:
            write(run / "run.json", {**info, "status": "interrupted"})
            sys.exit(143)
        value = accuracy(found, epoch)
        lines.append(json.dumps({
            "epoch": epoch, "steps": 1, "loss": 1, "val_loss": 1 - value, "learning_rate": 0.1,
            "seconds": 0.1, "best": True, "accuracy": 0.5, "val_accuracy": value,
        }))  # fmt: skip
        write(history_file, "".join(f"{line}\n" for line in lines))
    finish(run, info, accuracy(found, EPOCHS))


def started(run):
    """When the run was started: resuming does not change it."""
    try:
        return json.loads((run / "run.json").read_text())["started"]
    except OSError:
        return str(time.time_ns())


def finish(run, info, value):
    results = {"best_epoch": EPOCHS, "validation": report(value)}
    if "--no-test" not in sys.argv:
        results["test"] = report(value - 0.1)
    write(run / "metrics.json", results)
    seconds = {"train": 0.1, "total": 0.2}
    finished = {"epochs": EPOCHS, "best_epoch": EPOCHS, "stopped": "end", "seconds": seconds}
    write(run / "run.json", {**info, **finished, "status": "finished"})
    files = {}
    for name in ("run.json", "metrics.json", "history.jsonl", "config.yaml"):
        content = (run / name).read_bytes()
        files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    write(run / "manifest.json", {"format": 1, "files": files})


def watch():
    while os.read(0, 100):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
