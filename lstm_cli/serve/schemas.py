"""Types of the bodies of requests and responses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from lstm_cli.prediction.result import Prediction
from lstm_cli.serve.settings import Limits

Pixel = Annotated[int, Meta(ge=0, le=255, description="0 is black, 255 is white.")]
Image = Annotated[
    list[Annotated[list[Pixel], Meta(min_length=1)]],
    Meta(min_length=1, description="Rows of pixels, as those of the training images."),
]
_TopK = Annotated[int, Meta(ge=1, description="Return the K most probable classes, best first.")]
_Threshold = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="For two classes: predict the second one if its probability is at least this. "
        "With several labels a text: predict each label from this probability on.",
    ),
]
_MinProbability = Annotated[
    float,
    Meta(
        ge=0,
        le=1,
        description="Return an empty label if the probability of the chosen class is lower.",
    ),
]
# A text, or the values of its columns by their names.
_Text = str | dict[str, str | None]
_Label = Annotated[str, Meta(description="With several labels a text: the label to explain.")]


class TextRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One or several texts to classify: `text` or `texts`."""

    text: _Text | None = None
    texts: Annotated[list[_Text], Meta(min_length=1)] | None = None
    top_k: _TopK | None = None
    threshold: _Threshold | None = None
    min_probability: _MinProbability | None = None


class ImageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """One or several images to classify, of the run's size: `image` or `images`."""

    image: Image | None = None
    images: Annotated[list[Image], Meta(min_length=1)] | None = None
    top_k: _TopK | None = None
    threshold: _Threshold | None = None
    min_probability: _MinProbability | None = None


class ExplainTextRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A text to explain; with several labels a text, one of them."""

    text: _Text
    label: _Label | None = None


class ExplainImageRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An image to explain, of the run's size."""

    image: Image


class PredictResponse(msgspec.Struct):
    """One prediction for each input, in order."""

    run: str
    predictions: list[Prediction]


class DecisionInfo(msgspec.Struct, omit_defaults=True):
    """The thresholds of a run, by class.

    `thresholds` say which class is chosen, the one with the highest ratio of probability to
    threshold, and `min_probabilities` which probability it needs to be the answer.
    """

    thresholds: dict[str, float] | None = None
    min_probabilities: dict[str, float] | None = None


class ModelResponse(msgspec.Struct, omit_defaults=True):
    """Labels and settings of a run, and the limits of requests.

    `name` is that of the model: the run may be replaced by another one, the name stays.
    `max_tokens` (tokens of a text that the run reads) is given for texts, `shape` (rows and
    columns) for images, and `examples` (inputs of the run's data) if the server shows them.
    `text_columns` are the columns of the table that the run was trained on.

    If a text has several labels, `thresholds` are those of the labels. `decision` has the
    thresholds of a run with one label a text, if it has any.
    """

    name: str
    run: str
    kind: Literal["text", "image"]
    labels: Sequence[str]
    dataset: str
    version: str
    limits: Limits
    max_tokens: int | None = None
    shape: tuple[int, int] | None = None
    examples: list[Any] | None = None
    thresholds: dict[str, float] | None = None
    decision: DecisionInfo | None = None
    text_columns: Sequence[str] | None = None


class ModelsResponse(msgspec.Struct):
    """All models of the server; paths without a name mean the first one."""

    models: list[ModelResponse]
