"""The models of a server: one run each, under a name that stays when the run is replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lstm_cli import __version__
from lstm_cli.explain.explainer import Explainer
from lstm_cli.prediction.decision import MOST_PROBABLE
from lstm_cli.prediction.examples import choose_examples
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import validate
from lstm_cli.runs.directory import RunDir
from lstm_cli.serve.errors import ApiError
from lstm_cli.serve.inference import Inference
from lstm_cli.serve.run_state import Version
from lstm_cli.serve.schemas import DecisionInfo, ModelResponse
from lstm_cli.serve.settings import ServerSettings
from lstm_cli.serve.shared_compute import SharedCompute


@dataclass(frozen=True)
class ModelSource:
    """A run to serve.

    Attributes:
        name: Of the model; it does not change when the run is replaced.
        run: The run that is served first.
        load: Opens it. Only the model keeps it, so that its memory is
            free when another run takes its place.
        find: Finds the run that is to be served now; None if it never changes.
    """

    name: str
    run: RunDir
    load: Callable[[], Explainer]
    find: Callable[[], RunDir] | None = None


@dataclass(frozen=True, eq=False)
class Model:
    """A run that is served.

    Attributes:
        name: Of the model.
        explainer: Of the run.
        inference: Its predictions and explanations.
        description: What `/v1/model` answers.
        version: Of the run; it differs if another run takes its place.
    """

    name: str
    explainer: Explainer
    inference: Inference
    description: ModelResponse
    version: Version

    @property
    def run(self) -> RunDir:
        """The run."""
        return self.explainer.predictor.run


class Models:
    """The models of a server, by name; the first one answers the paths without a name."""

    def __init__(self, models: Sequence[Model]) -> None:
        """Serve models; there is at least one."""
        self._models = {model.name: model for model in models}

    def __iter__(self) -> Iterator[Model]:
        """Iterate over the models; the first one comes first."""
        return iter(self._models.values())

    @property
    def first(self) -> Model:
        """The first model."""
        return next(iter(self))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models; they stay the same."""
        return tuple(self._models)

    def get(self, name: str) -> Model:
        """Return a model.

        Raises:
            ApiError: There is none of that name (404).
        """
        if name not in self._models:
            raise ApiError(
                404,
                f"There is no model '{name[:80]}'.",
                f"Models are: {', '.join(self.names)[:500]}. See /v1/models.",
            )
        return self._models[name]

    def replace(self, model: Model) -> None:
        """Let a run answer from now on; requests that have begun finish with the one before."""
        self._models[model.name] = model


def build_model(
    name: str,
    explainer: Explainer,
    version: Version,
    settings: ServerSettings,
    shared: SharedCompute,
    observe_batch: Callable[[int], None],
) -> Model:
    """Return the model of a run.

    Args:
        name: Of the model.
        explainer: Of the run.
        version: Of the run, read before it was opened.
        settings: Of the server.
        shared: Threads and queues of the server.
        observe_batch: Receives the number of inputs of each batch.
    """
    return Model(
        name,
        explainer,
        Inference(explainer, settings.limits, shared, observe_batch),
        _describe(name, explainer.predictor, settings),
        version,
    )


def _describe(name: str, predictor: Predictor, settings: ServerSettings) -> ModelResponse:
    return ModelResponse(
        name,
        predictor.run.name,
        "image" if predictor.tokenizer is None else "text",
        predictor.labels,
        predictor.run.config().data.name,
        __version__,
        settings.limits,
        None if predictor.tokenizer is None else predictor.tokenizer.max_tokens,
        predictor.shape,
        _examples(predictor) if settings.show_examples else None,
        _thresholds(predictor),
        _decision(predictor),
        predictor.text_columns or None,
    )


def _thresholds(predictor: Predictor) -> dict[str, float] | None:
    """Return the thresholds by label; None for a run with one class for each input."""
    if predictor.thresholds is None:
        return None
    return dict(zip(predictor.labels, predictor.thresholds.tolist(), strict=True))


def _decision(predictor: Predictor) -> DecisionInfo | None:
    """Return the thresholds of a run with one class for each input; None if it has none."""
    if predictor.decision is MOST_PROBABLE:
        return None
    return DecisionInfo(*predictor.decision.by_class(predictor.labels))


def _examples(predictor: Predictor) -> list[Any]:
    """Return some inputs of the run's data."""
    run = predictor.run
    return choose_examples(validate.read_golden(run, run.config(), len(predictor.labels)))
