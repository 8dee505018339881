"""What of a training MLflow gets, and the names it has there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.io.progress import Epoch

# The limits of MLflow for the value of a parameter, and for the number of them in one call.
_MAX_VALUE = 6000
_MAX_TAG = 5000
MAX_BATCH = 100
_EPOCH_FIELDS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds")
_TAGS = ("data", "kind", "device", "kernel", "command", "commit", "started")


def parameters(config: Config, record: Mapping[str, Any]) -> dict[str, str]:
    """Return the settings by their dotted keys, and the number of trained parameters."""
    values = configs.flatten(configs.to_dict(config)) | {"parameters": record.get("parameters")}
    return {key: str(value)[:_MAX_VALUE] for key, value in values.items() if value is not None}


def tags(run_name: str, record: Mapping[str, Any]) -> dict[str, str]:
    """Return what identifies a run, with `lstm.` before the names."""
    found = {f"lstm.{name}": str(record[name])[:_MAX_TAG] for name in _TAGS if record.get(name)}
    return {"lstm.run": run_name, **found}


def epoch_metrics(epoch: Epoch) -> dict[str, float]:
    """Return the metrics of an epoch; those of later stages have the stage before their names."""
    prefix = "" if epoch.stage == 1 else f"stage-{epoch.stage}/"
    values = {name: getattr(epoch, name) for name in _EPOCH_FIELDS}
    return {f"{prefix}{key}": float(value) for key, value in values.items() if value is not None}


def result_metrics(results: Mapping[str, Any]) -> dict[str, float]:
    """Return the single numbers of `metrics.json`: `test/accuracy`, `best_epoch`."""
    found: dict[str, float] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{key}": v for key, v in result_metrics(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found[name] = float(value)
    return found


def batches(items: Iterable[Any]) -> Iterable[list[Any]]:
    """Split what is sent into lists that one call may have."""
    left = list(items)
    while left:
        yield left[:MAX_BATCH]
        left = left[MAX_BATCH:]
