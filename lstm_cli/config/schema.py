"""The settings of an experiment: what there is, its type, its range, what it is by default."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0, lt=1)]
Count = Annotated[int, Meta(ge=1)]
# Far above what fits a machine, so that a slip of the keyboard is named and not allocated.
Width = Annotated[int, Meta(ge=1, le=16_384)]
Pooling = Literal["last", "max", "mean", "max_mean"]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings that belong together; unknown keys are refused."""


class DataSettings(_Section, frozen=True):
    """What to learn from, and how it is split."""

    name: Annotated[
        str, Meta(min_length=1, description="demo, digits, imdb, mnist, tfds:NAME or a path")
    ]
    text_column: Annotated[
        str | None, Meta(description="column of the text; found if not said")
    ] = None
    label_column: Annotated[
        str | None, Meta(description="column of the label; found if not said")
    ] = None
    test: Annotated[str | None, Meta(description="file or folder with the test split")] = None
    validation: Annotated[float, Meta(gt=0, lt=0.5, description="share cut from train")] = 0.1
    test_fraction: Annotated[
        float, Meta(gt=0, lt=0.9, description="share cut off where there is no test split")
    ] = 0.2
    limit: Annotated[Count | None, Meta(description="at most this many examples a split")] = None
    demo_train: Annotated[
        int, Meta(ge=20, le=1_000_000, description="examples to generate (demo)")
    ] = 6000
    demo_test: Annotated[
        int, Meta(ge=2, le=1_000_000, description="examples to generate (demo)")
    ] = 1000


class TextSettings(_Section, frozen=True):
    """How a text becomes token ids."""

    # Pair ids are computed in int32 inside the network, and corpora stored as uint16.
    vocab_size: Annotated[int, Meta(ge=3, le=65_536, description="distinct tokens kept")] = 20_000
    min_count: Annotated[Count, Meta(description="rarer tokens become [UNK]")] = 2
    max_tokens: Annotated[
        int, Meta(ge=1, le=100_000, description="longer texts keep head and tail")
    ] = 400


class EmbeddingSettings(_Section, frozen=True):
    """How token ids become vectors."""

    dim: Annotated[Width, Meta(description="width of a word vector")] = 128
    bigram_buckets: Annotated[
        int,
        Meta(
            ge=0, le=4_000_000, description="rows for hashed (previous word, word) pairs; 0: none"
        ),
    ] = 0
    bigram_dim: Annotated[Width, Meta(description="width of a pair vector")] = 32
    vectors: Annotated[
        Literal["random", "train", "unlabeled"],
        Meta(
            description="word vectors to start from: random, or learned from the texts of train, "
            "or of train and the unlabeled split where there is one"
        ),
    ] = "random"
    dropout: Annotated[Share, Meta(description="whole channels dropped")] = 0.3
    word_dropout: Annotated[Share, Meta(description="words replaced by [UNK] in training")] = 0.0


class LinearSettings(_Section, frozen=True):
    """A linear classifier of words and pairs, whose verdict the network gets as one more input."""

    buckets: Annotated[
        int, Meta(ge=1, le=4_000_000, description="rows for hashed words and pairs")
    ] = 300_000
    folds: Annotated[
        int, Meta(ge=2, le=100, description="a training text is judged by the other folds")
    ] = 3
    penalty: Annotated[
        float, Meta(gt=0, le=1e6, description="on the square of weights; more is simpler")
    ] = 0.05
    dropout: Annotated[
        Share, Meta(description="texts the network has to judge without it in training")
    ] = 0.5


class ImageSettings(_Section, frozen=True):
    """How an image becomes a sequence of rows."""

    shift: Annotated[
        int, Meta(ge=0, le=8, description="random shift in training, pixels each way")
    ] = 0


class LanguageModelSettings(_Section, frozen=True):
    """How a language model is pretrained; only the settings of its runs have this section."""

    window: Annotated[
        int, Meta(ge=1, le=100_000, description="words to predict, each way, in one window of text")
    ] = 128
    negatives: Annotated[
        int, Meta(ge=1, le=65_536, description="words drawn for a batch to tell the right one from")
    ] = 512
    tied: Annotated[bool, Meta(description="predict words with the vectors they are read with")] = (
        True
    )
    dropout: Annotated[Share, Meta(description="whole channels of the word vectors dropped")] = 0.0
    held_out: Annotated[
        float, Meta(gt=0, lt=0.5, description="share of the texts that perplexity is measured on")
    ] = 0.005


class ModelSettings(_Section, frozen=True):
    """The recurrent network."""

    cell: Annotated[
        Literal["lstm", "peephole"],
        Meta(description="peephole: the gates of each unit also see its cell state"),
    ] = "lstm"
    units: Annotated[Width, Meta(description="hidden units of each LSTM layer and direction")] = 64
    layers: Annotated[int, Meta(ge=1, le=8, description="stacked LSTM layers")] = 1
    bidirectional: Annotated[bool, Meta(description="read in both directions")] = True
    pooling: Annotated[
        Pooling, Meta(description="how the outputs of all steps become one vector")
    ] = "max_mean"
    dropout: Annotated[Share, Meta(description="on the pooled vector")] = 0.3


class TrainSettings(_Section, frozen=True):
    """How the weights are found."""

    epochs: Annotated[int, Meta(ge=1, le=100_000)] = 5
    batch_size: Annotated[int, Meta(ge=1, le=100_000)] = 64
    learning_rate: Annotated[float, Meta(gt=0, le=1, description="peak, after warm-up (Adam)")] = (
        2e-3
    )
    warmup: Annotated[Share, Meta(description="share of all steps")] = 0.1
    decay: Annotated[
        Literal["none", "linear", "cosine"], Meta(description="from the peak to its share decay_to")
    ] = "cosine"
    decay_to: Annotated[
        float, Meta(ge=0, le=1, description="share of the peak that the decay ends at")
    ] = 0.0
    weight_decay: Annotated[float, Meta(ge=0, lt=1, description="decoupled (AdamW); 0: off")] = 0.0
    clip_norm: Annotated[float, Meta(ge=0, le=1e6, description="global gradient norm; 0: off")] = (
        1.0
    )
    label_smoothing: Share = 0.0
    patience: Annotated[
        int, Meta(ge=0, description="epochs without a better validation loss; 0: never stop early")
    ] = 2
    class_weights: Annotated[
        Literal["none", "balanced"], Meta(description="weigh classes by inverse frequency")
    ] = "none"
    ema_momentum: Annotated[
        Share, Meta(description="momentum of the moving average of weights; 0: off")
    ] = 0.0
    self_training: Annotated[
        bool,
        Meta(
            description="learn from the unlabeled split too: by what the evidence says of its "
            "texts in the first epoch, then by what the network said after the last one"
        ),
    ] = False
    calibrate: Annotated[
        bool,
        Meta(
            description="scale the logits so that they are as sure as validation is right: for the "
            "validation loss of an epoch, and at the end"
        ),
    ] = True
    init_from: Annotated[
        str | None, Meta(description="run whose tokenizer and weights training begins with")
    ] = None
    init_lr_factor: Annotated[
        float, Meta(ge=0, le=1, description="of the learning rate, for what comes from init_from")
    ] = 1.0
    frozen_steps: Annotated[
        int,
        Meta(ge=0, description="first steps, which leave what comes from init_from alone"),
    ] = 0
    checkpoint_seconds: Annotated[
        float, Meta(gt=0, description="a checkpoint at least this often, and after each epoch")
    ] = 60.0
    deterministic: Annotated[bool, Meta(description="the same bits on the same machine")] = True


class Config(_Section, frozen=True):
    """One experiment, complete: enough to run it again."""

    data: DataSettings
    seed: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    text: TextSettings | None = None
    embedding: EmbeddingSettings | None = None
    linear: LinearSettings | None = None
    image: ImageSettings | None = None
    language: LanguageModelSettings | None = None
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()

    @property
    def kind(self) -> Literal["text", "image"]:
        """What the network reads."""
        return "image" if self.image is not None else "text"

    @property
    def task(self) -> Literal["text", "image", "language"]:
        """What `run.json` calls the run: what a classifier reads, or that it is none."""
        return self.kind if self.language is None else "language"
