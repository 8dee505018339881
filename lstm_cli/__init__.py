"""Train, evaluate, look inside and ship small LSTM classifiers.

Everything the command line does, without a shell. Nothing heavy is imported until it is used:

    >>> import lstm_cli
    >>> from lstm_cli.training.pipeline import train
    >>> from lstm_cli.evaluation.evaluate import evaluate
    >>> run = train(lstm_cli.load_preset("demo"))
    >>> lstm_cli.load(run).predict(["Not a dull moment."])[0].label
    'positive'
    >>> evaluate(run).report.accuracy
    1.0
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstm_cli.config.load import load_preset as load_preset
    from lstm_cli.config.schema import Config as Config
    from lstm_cli.data import load as load_dataset
    from lstm_cli.errors import LstmError as LstmError
    from lstm_cli.prediction.predictor import Prediction as Prediction
    from lstm_cli.prediction.predictor import load as load
    from lstm_cli.runs.directory import RunDir as RunDir
    from lstm_cli.runs.find import find as find_run

__version__ = "0.1.0"

_WHERE = {
    "Config": ("config.schema", "Config"),
    "LstmError": ("errors", "LstmError"),
    "Prediction": ("prediction.predictor", "Prediction"),
    "RunDir": ("runs.directory", "RunDir"),
    "find_run": ("runs.find", "find"),
    "load": ("prediction.predictor", "load"),
    "load_dataset": ("data", "load"),
    "load_preset": ("config.load", "load_preset"),
}
__all__ = [
    "Config",
    "LstmError",
    "Prediction",
    "RunDir",
    "find_run",
    "load",
    "load_dataset",
    "load_preset",
]


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is."""
    if name not in _WHERE:
        raise AttributeError(f"module 'lstm_cli' has no attribute {name!r}")
    module, attribute = _WHERE[name]
    return getattr(import_module(f"lstm_cli.{module}"), attribute)
