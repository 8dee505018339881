"""Train, evaluate, explain and ship small LSTM classifiers.

What the command line does, from Python. Nothing heavy is imported until it is used:

    >>> import lstm_cli
    >>> run = lstm_cli.train("demo")
    >>> model = lstm_cli.load(run)
    >>> model.predict(["Not a dull moment."])[0].label
    'positive'
    >>> model.explain("Not a dull moment.").prediction.label
    'positive'
    >>> lstm_cli.evaluate(run).report.accuracy
    1.0
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_cli.api import LanguageModel as LanguageModel
    from lstm_cli.api import Model as Model
    from lstm_cli.api import choose_thresholds as choose_thresholds
    from lstm_cli.api import clear_thresholds as clear_thresholds
    from lstm_cli.api import evaluate as evaluate
    from lstm_cli.api import load as load
    from lstm_cli.api import load_language_model as load_language_model
    from lstm_cli.api import set_thresholds as set_thresholds
    from lstm_cli.api import train as train
    from lstm_cli.config.load import load_preset as load_preset
    from lstm_cli.config.schema import Config as Config
    from lstm_cli.data import load as load_dataset
    from lstm_cli.errors import LstmError as LstmError
    from lstm_cli.prediction.result import Prediction as Prediction
    from lstm_cli.prediction.result import Predictions as Predictions
    from lstm_cli.runs.directory import RunDir as RunDir
    from lstm_cli.runs.find import find as find_run

__version__ = "0.1.0"

# onnxruntime reports its use to its maker, and keeps a number of the device in the user's cache
# folder, unless this is set before it is imported. Source: Privacy.md in its wheel.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

# Public name -> module and attribute.
_PUBLIC = {
    "Config": ("config.schema", "Config"),
    "LanguageModel": ("api", "LanguageModel"),
    "LstmError": ("errors", "LstmError"),
    "Model": ("api", "Model"),
    "Prediction": ("prediction.result", "Prediction"),
    "Predictions": ("prediction.result", "Predictions"),
    "RunDir": ("runs.directory", "RunDir"),
    "choose_thresholds": ("api", "choose_thresholds"),
    "clear_thresholds": ("api", "clear_thresholds"),
    "evaluate": ("api", "evaluate"),
    "find_run": ("runs.find", "find"),
    "load": ("api", "load"),
    "load_dataset": ("data", "load"),
    "load_language_model": ("api", "load_language_model"),
    "load_preset": ("config.load", "load_preset"),
    "set_thresholds": ("api", "set_thresholds"),
    "train": ("api", "train"),
}
__all__ = [
    "Config",
    "LanguageModel",
    "LstmError",
    "Model",
    "Prediction",
    "Predictions",
    "RunDir",
    "choose_thresholds",
    "clear_thresholds",
    "evaluate",
    "find_run",
    "load",
    "load_dataset",
    "load_language_model",
    "load_preset",
    "set_thresholds",
    "train",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lstm_cli' has no attribute {name!r}")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(f"lstm_cli.{module}"), attribute)


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
