"""The Python interface: train, evaluate, and open a run, each with one call.

The names are available as `lstm_cli.train` and so on. Nothing heavy is imported before it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from lstm_cli.config import load as configs
from lstm_cli.config.schema import Config
from lstm_cli.data import DataSource
from lstm_cli.data.dataset_settings import dataset_settings, locate, with_absolute_paths
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.progress import Reporter
from lstm_cli.prediction.image_inputs import read_images
from lstm_cli.prediction.inputs import ArrayInterface, ArrayLike, Inputs, TextInput
from lstm_cli.prediction.language_model import Direction, WordPredictor
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs.directory import RunDir, runs_root
from lstm_cli.runs.find import find

if TYPE_CHECKING:
    from lstm_cli.evaluation.evaluate import Evaluation
    from lstm_cli.explain.explainer import Explainer
    from lstm_cli.explain.result import Explanation
    from lstm_cli.prediction.generation import GeneratedText
    from lstm_cli.prediction.ranking import Ranking
    from lstm_cli.prediction.surprise import TextScore
    from lstm_cli.runs.thresholds import Thresholds

T = TypeVar("T")


class Model(Predictor):
    """A trained run that predicts and explains.

    Example:
        >>> model = lstm_cli.load("demo")
        >>> model.predict(["Not a dull moment."])[0].label
        'positive'
        >>> model.predict_proba(table["text"])  # a column of pandas; <float32>[num, classes]
        >>> model.explain("Not a dull moment.").prediction.label
        'positive'
    """

    _explainer: Explainer | None = None

    def explain(self, input_: TextInput | ArrayLike | ArrayInterface) -> Explanation:
        """Explain the prediction for a text, or for an image `<uint8>[rows, columns]`.

        Args:
            input_: As one input of `predict`.

        Raises:
            LstmError: The input is of the other kind, is not a single one, or has no token.
        """
        if self._explainer is None:
            from lstm_cli.explain.explainer import Explainer

            self._explainer = Explainer.load(self.run)
        if self.shape is not None:
            images = read_images(input_, self.shape, self.run.name)
            return self._explainer.explain_image(_single(list(images)).copy())
        return self._explainer.explain_text(_single(list(self.read_texts(input_))))

    def rank_uncertain(self, texts: Inputs, num: int = 1000) -> Ranking:
        """Rank texts by how much a label would teach: uncertain ones first, similar ones apart.

        Args:
            texts: Any number of them; they are read once.
            num: How many to return at most; memory grows with it.

        Raises:
            LstmError: The run classifies images.
        """
        from lstm_cli.prediction.ranking import rank_uncertain

        return rank_uncertain(self, texts, num)

    def __repr__(self) -> str:
        """Return the run's name with what it reads, its classes and its accuracy on test."""
        from lstm_cli.report.describe_model import describe_line

        return describe_line(self)

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from lstm_cli.report.describe_model import render_model

        return render_model(self)


class LanguageModel(WordPredictor):
    """A language model of `lstm pretrain` that generates and scores texts.

    Example:
        >>> words = lstm_cli.load_language_model("words")
        >>> words.generate("The film", seed=1).text
        >>> words.score("The film was good.").perplexity
    """

    def generate(
        self,
        prompt: str = "",
        *,
        num_tokens: int = 60,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float = 1.0,
        seed: int = 0,
        direction: Direction = "forward",
    ) -> GeneratedText:
        """Continue a text; the same seed gives the same text.

        Args:
            prompt: The beginning; its end for `direction="backward"`.
            num_tokens: Words and punctuation marks to generate at most.
            temperature: 0 takes the most probable word always.
            top_k: Draw from the K most probable words only.
            top_p: Draw from the most probable words that together have this probability.
            seed: Of the drawing.
            direction: `backward` writes what stands before the prompt.

        Raises:
            LstmError: A number is out of range, no word of the prompt is known, or the model has no
                such direction.
        """
        from lstm_cli.prediction import generation

        sampling = generation.Sampling(temperature, top_k, top_p)
        return generation.generate(
            self, prompt, num_tokens=num_tokens, sampling=sampling, seed=seed, direction=direction
        )

    def score(self, text: str) -> TextScore:
        """Compute how surprising a text and each of its words are."""
        from lstm_cli.prediction.surprise import score_text

        return score_text(self, text)


def load_language_model(run: str | Path | RunDir, runs_dir: Path | None = None) -> LanguageModel:
    """Open a finished language model.

    Args:
        run: As for `load`.
        runs_dir: As for `load`.

    Raises:
        LstmError: There is no such run, it is a classifier, or it fails its integrity check.
    """
    return cast(LanguageModel, LanguageModel.load(_find(run, runs_dir, language=True)))


def load(run: str | Path | RunDir, runs_dir: Path | None = None) -> Model:
    """Open a finished run.

    Args:
        run: A path, `<dataset>/<name>`, a name, or a data set, which means its newest run.
        runs_dir: Folder of all runs; else `LSTM_RUNS_DIR`, else `./runs`.

    Raises:
        LstmError: There is no such run, or it fails its integrity check.
    """
    return cast(Model, Model.load(_find(run, runs_dir)))


def train(
    dataset: str | Path | Config,
    *,
    settings: Mapping[str, Any] | None = None,
    name: str | None = None,
    runs_dir: Path | None = None,
    data_dir: Path | None = None,
    device: Literal["auto", "cpu", "gpu"] = "auto",
    callbacks: Sequence[Any] = (),
    fail_on: Sequence[Literal["leak"]] = (),
    reporter: Reporter | None = None,
) -> RunDir:
    """Train a classifier.

    Args:
        dataset: A preset, a path, `tfds:NAME`, or complete settings.
        settings: Values by dotted key that replace those of the preset:
            `{"train.epochs": 3, "data.text_columns": ["body"]}`.
        name: Name of the run; start time and a hash by default.
        runs_dir: Folder of all runs; else `LSTM_RUNS_DIR`, else `./runs`.
        data_dir: Folder of TFDS data sets; else `TFDS_DATA_DIR`, else TFDS' own default.
        device: `cpu`, `gpu`, or `auto`, which takes a GPU if there is one.
        callbacks: Keras callbacks, called as `fit` does.
        fail_on: `leak`: train nothing if texts of test or validation are in the training data too.
        reporter: Receives progress; silent by default.

    Returns:
        The finished run: `lstm_cli.load(run)` opens it.

    Raises:
        LstmError: The data is not available, a setting is not valid, or Keras or its backend is
            missing.
    """
    if isinstance(dataset, Config):
        config = with_absolute_paths(configs.from_dict(configs.to_dict(dataset), settings))
    else:
        config = dataset_settings(str(dataset), None, settings)
    from lstm_cli.training.device import load_keras

    load_keras(device, config.train.deterministic)
    from lstm_cli.training.pipeline import train as train_run

    return train_run(
        config,
        runs_dir=runs_dir,
        name=name,
        data_dir=data_dir,
        device=device,
        callbacks=callbacks,
        fail_on=fail_on,
        reporter=reporter,
    )


def evaluate(
    run: str | Path | RunDir,
    dataset: str | Path | None = None,
    *,
    split: Literal["train", "validation", "test"] = "test",
    text_columns: Sequence[str] = (),
    label_column: str | None = None,
    id_column: str | None = None,
    limit: int | None = None,
    num_mistakes: int = 0,
    coverage: bool = False,
    wanted_precision: float | None = None,
    num_leaks: int = 0,
    fail_on: Sequence[Literal["leak"]] = (),
    runs_dir: Path | None = None,
    data_dir: Path | None = None,
    reporter: Reporter | None = None,
) -> Evaluation:
    """Score a run; the report and its plots are written into the run.

    Args:
        run: As for `load`.
        dataset: A preset, a path or `tfds:NAME` with the same labels; the run's own by default.
        split: Which part of the data.
        text_columns: Columns of a table that hold the text, joined in this order; not for the run's
            own data.
        label_column: Column of a table that holds the label; not for the run's own data.
        id_column: Column of a table that names its rows; not for the run's own data.
        limit: Greatest number of examples; not for the run's own data.
        num_mistakes: How many of the most confidently wrong examples to list.
        coverage: Whether to measure accuracy against the share of answered examples.
        wanted_precision: Also choose the smallest probability for this precision, on the rows held
            out in training.
        num_leaks: How many examples to list that the run has learned from; all are counted.
        fail_on: `leak`: score nothing if there is one.
        runs_dir: As for `train`.
        data_dir: As for `train`.
        reporter: As for `train`.

    Raises:
        LstmError: There is no such run or data, or the labels differ.
    """
    from lstm_cli.evaluation.evaluate import evaluate as evaluate_run

    source = None
    if dataset is not None:
        name = locate(str(dataset))
        source = DataSource(
            name,
            text_columns=tuple(text_columns),
            label_column=label_column,
            id_column=id_column,
            limit=limit,
        )
    return evaluate_run(
        _find(run, runs_dir),
        source,
        split=split,
        data_dir=data_dir,
        num_mistakes=num_mistakes,
        with_coverage=coverage,
        wanted_precision=wanted_precision,
        num_leaks=num_leaks,
        fail_on=fail_on,
        reporter=reporter,
    )


def choose_thresholds(
    run: str | Path | RunDir,
    *,
    best_f1: bool = False,
    wanted_precision: float | None = None,
    runs_dir: Path | None = None,
) -> Thresholds:
    """Choose thresholds by class on validation, and store them; `load` uses them from then on.

    Args:
        run: As for `load`.
        best_f1: Choose the thresholds of all classes for the best macro F1.
        wanted_precision: Choose a smallest probability for each class, such that this share of its
            answers is correct; None for an answer always.
        runs_dir: As for `train`.

    Raises:
        LstmError: There is no such run, no goal, or the run cannot be read or written.
    """
    from lstm_cli.evaluation import set_thresholds as module

    found = _find(run, runs_dir)
    return module.choose_thresholds(found, best_f1=best_f1, wanted_precision=wanted_precision)


def set_thresholds(
    run: str | Path | RunDir,
    *,
    threshold: float | None = None,
    min_probability: float | None = None,
    min_probabilities: Mapping[str, float] | None = None,
    runs_dir: Path | None = None,
) -> Thresholds:
    """Store given thresholds in a run, in place of those it has.

    Args:
        run: As for `load`.
        threshold: For two classes, the probability from which on the second is chosen.
        min_probability: The smallest probability for an answer.
        min_probabilities: The same by class, where it differs.
        runs_dir: As for `train`.

    Raises:
        LstmError: There is no such run, a value does not apply, or the run cannot be written.
    """
    from lstm_cli.evaluation import set_thresholds as module

    return module.set_thresholds(
        _find(run, runs_dir),
        threshold=threshold,
        min_probability=min_probability,
        min_probabilities=min_probabilities,
    )


def clear_thresholds(run: str | Path | RunDir, runs_dir: Path | None = None) -> bool:
    """Remove the thresholds of a run; return whether it had any.

    Raises:
        LstmError: There is no such run, or it cannot be written.
    """
    from lstm_cli.runs import thresholds

    return thresholds.clear(_find(run, runs_dir))


def _single(inputs: Sequence[T]) -> T:
    """Return the only element.

    Raises:
        LstmError: There is none, or there are several (exit code 2).
    """
    if len(inputs) != 1:
        raise LstmError(
            f"explain takes one text or image, found {len(inputs):,}.",
            "Explain one after the other: [model.explain(text) for text in texts].",
            ExitCode.USAGE,
        )
    return inputs[0]


def _find(run: str | Path | RunDir, runs_dir: Path | None, language: bool = False) -> RunDir:
    if isinstance(run, RunDir):
        return run
    return find(runs_root(runs_dir), str(run), language=language)
