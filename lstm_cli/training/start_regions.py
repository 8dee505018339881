"""Learn the region embeddings of a classifier before it is trained."""

from __future__ import annotations

import time

from lstm_cli.config.embedded import region_embedding
from lstm_cli.io.progress import Reporter, Step
from lstm_cli.models.region_embedding import LearningStep, learn_region_embedding
from lstm_cli.text.corpus import Corpus
from lstm_cli.training.classifier_task import ClassifierTask
from lstm_cli.training.init_weights import InitialWeights
from lstm_cli.training.prepare import timed


def start_regions(task: ClassifierTask, init: InitialWeights, reporter: Reporter) -> None:
    """Assign region embeddings, learned from the texts that the settings name, to a new model.

    Args:
        task: With the model and the encoded texts.
        init: What training starts from; it decides whether they are learned.
        reporter: Receives progress and a note.
    """
    if not init.learns_regions:
        return
    assert task.tokenizer is not None
    assert isinstance(task.train.inputs, Corpus)
    settings = task.config.embedding
    assert settings is not None
    extra = task.unlabeled_texts if settings.vectors == "unlabeled" else ()
    corpora = [task.train.inputs, *extra]
    with timed(task.seconds, "regions"):
        for number, width in enumerate(settings.region_widths):
            arrays = learn_region_embedding(
                corpora,
                task.tokenizer.vocab_size,
                settings.region_dim,
                width,
                settings.region_epochs,
                task.config.seed + number,
                _Progress(width, settings.region_epochs, corpora, reporter),
            )
            task.model.get_layer(region_embedding(width)).set_weights(list(arrays))
    num_texts, widths = sum(map(len, corpora)), ", ".join(map(str, settings.region_widths))
    reporter.note(f"Region embeddings of {widths} words: learned from {num_texts:,} texts.")


class _Progress:
    """Reports the steps of learning a region embedding, with the time left."""

    def __init__(self, width: int, epochs: int, corpora: list[Corpus], reporter: Reporter) -> None:
        self._stage = f"regions of {width} words"
        self._epochs = epochs
        self._num_words = sum(len(corpus.ids) for corpus in corpora)
        self._reporter = reporter
        self._start = time.perf_counter()

    def __call__(self, step: LearningStep) -> None:
        seconds = time.perf_counter() - self._start
        done = step.epoch - 1 + step.step / step.steps
        self._reporter.step(
            Step(
                epoch=step.epoch,
                epochs=self._epochs,
                step=step.step,
                steps=step.steps,
                loss=step.loss,
                accuracy=None,
                rate=done * self._num_words / max(seconds, 1e-9),
                seconds_left=seconds / done * (self._epochs - done),
                stage=self._stage,
            )
        )
