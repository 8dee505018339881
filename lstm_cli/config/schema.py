"""The settings of an experiment: their names, types, ranges, defaults and descriptions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
# The limit is far above what fits in memory: it refuses typing errors early.
Dimension = Annotated[int, Meta(ge=1, le=16_384)]
# An LSTM reads all columns of a row at once.
MAX_IMAGE_LENGTH = 1024
ImageLength = Annotated[int, Meta(ge=1, le=MAX_IMAGE_LENGTH)]
RegionWidth = Annotated[int, Meta(ge=1, le=16)]
Fraction = Annotated[float, Meta(ge=0, lt=1)]
_Name = Annotated[str, Meta(min_length=1)]


def _doc(description: str, **limits: Any) -> Meta:
    """Return the description and the limits of a setting."""
    return Meta(description=description, **limits)


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Settings that belong together; unknown keys are refused."""


class DataSettings(_Section, frozen=True):
    """The data set and its splits."""

    name: Annotated[
        str, _doc("data set: demo, digits, imdb, mnist, tfds:NAME, or a path", min_length=1)
    ]
    text_columns: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        _doc("columns of the text, joined in this order; []: detect one column"),
    ] = ()
    label_column: Annotated[str | None, _doc("column of the label; null: detect it")] = None
    multi_label: Annotated[
        str,
        _doc(
            "several labels of a text: their separator, such as '|'; list for JSON lists; none: "
            "one label a text; auto: detect it",
            min_length=1,
        ),
    ] = "auto"
    label_columns: Annotated[
        tuple[_Name, ...],
        _doc("columns with 0 or 1, one for each label; instead of label_column"),
    ] = ()
    id_column: Annotated[_Name | None, _doc("column that names the rows; null: none")] = None
    weight_column: Annotated[
        _Name | None,
        _doc("column with the weight of each row in training, 0 or more; null: all weigh 1"),
    ] = None
    format: Annotated[
        Literal["auto", "csv", "tsv", "jsonl", "json", "fasttext", "parquet", "arrow", "lines"],
        _doc("format of a table; auto: what its content shows"),
    ] = "auto"
    encoding: Annotated[
        str, _doc("text encoding of a table, such as windows-1252; auto: detect it", min_length=1)
    ] = "auto"
    delimiter: Annotated[
        str,
        _doc(
            "what separates the fields of CSV and TSV: one character, or tab; auto: detect it",
            min_length=1,
        ),
    ] = "auto"
    quoting: Annotated[
        Literal["auto", "none"],
        _doc("none: double quotes in CSV and TSV are characters like others"),
    ] = "auto"
    header: Annotated[
        bool,
        _doc("whether the first line of CSV and TSV names the columns; else they have numbers"),
    ] = True
    validation_file: Annotated[
        _Name | None, _doc("file or folder with the validation split; null: a part of train")
    ] = None
    test_file: Annotated[
        _Name | None, _doc("file or folder with the test split; null: a part of train")
    ] = None
    unlabeled: Annotated[
        tuple[_Name, ...],
        _doc("files and folders with texts without labels: tables, or one text per line"),
    ] = ()
    replay_files: Annotated[
        tuple[Annotated[str, Meta(min_length=1)], ...],
        _doc(
            "tables and folders of labeled texts that join the training split, such as the old "
            "data of train.init_from; copies of rows of the data are left out"
        ),
    ] = ()
    validation_fraction: Annotated[
        float,
        _doc(
            "fraction of the training split used for validation if there is no validation_file",
            gt=0,
            lt=0.5,
        ),
    ] = 0.1
    folds: Annotated[
        int,
        _doc(
            "folds of a cross-validation on the training and validation splits, before a refit on "
            "both; 0: one validation split",
            ge=0,
            le=100,
        ),
    ] = 0
    test_fraction: Annotated[
        float, _doc("fraction of the data used for testing if there is no test split", gt=0, lt=0.9)
    ] = 0.2
    limit: Annotated[Count | None, _doc("maximum examples in a split; null: no limit")] = None
    demo_train: Annotated[
        int, _doc("number of training examples that demo generates", ge=20, le=1_000_000)
    ] = 6000
    demo_test: Annotated[
        int, _doc("number of test examples that demo generates", ge=2, le=1_000_000)
    ] = 1000


class TextSettings(_Section, frozen=True):
    """How a text becomes token ids."""

    # Bigram ids are computed in int32 in the model, and corpora are stored as uint16.
    vocab_size: Annotated[
        int, _doc("maximum size of the vocabulary; the most frequent words", ge=3, le=65_536)
    ] = 20_000
    min_count: Annotated[
        Count, _doc("minimum count of a word in the training split; rarer words become [UNK]")
    ] = 2
    max_tokens: Annotated[
        int,
        _doc("maximum tokens in a text; longer texts keep their start and end", ge=1, le=100_000),
    ] = 400
    min_similarity: Annotated[
        Fraction,
        _doc(
            "similarity of spelling, from which the LSTM reads an unknown word as the most similar "
            "known one; 0: never"
        ),
    ] = 0.0


class EmbeddingSettings(_Section, frozen=True):
    """How token ids become vectors."""

    dim: Annotated[Dimension, _doc("dimensions of a word vector")] = 128
    bigram_buckets: Annotated[
        int, _doc("hash buckets for bigrams (previous word, word); 0: none", ge=0, le=4_000_000)
    ] = 0
    bigram_dim: Annotated[Dimension, _doc("dimensions of a bigram vector")] = 32
    region_widths: Annotated[
        tuple[RegionWidth, ...],
        _doc(
            "widths of region embeddings: vectors of so many words around each word, learned "
            "before training and then fixed, from the texts that 'vectors' names (random: the "
            "training texts), such as [5, 9]; []: none"
        ),
    ] = ()
    region_dim: Annotated[Dimension, _doc("dimensions of each region embedding")] = 128
    region_epochs: Annotated[
        int, _doc("passes over the texts to learn a region embedding", ge=1, le=1000)
    ] = 2
    vectors: Annotated[
        Literal["random", "train", "unlabeled"],
        _doc(
            "initial word vectors: random; learned from the training texts (train); or from these "
            "and the unlabeled texts, if there are any (unlabeled, the default with data.unlabeled)"
        ),
    ] = "random"
    vectors_file: Annotated[
        str | None,
        _doc(
            "file of word vectors that training starts from, in the text format of word2vec, GloVe "
            "or fastText, or .npz or .safetensors; words that it lacks start as 'vectors' says; "
            "null: none"
        ),
    ] = None
    trainable: Annotated[
        bool, _doc("train the word vectors too; false: they stay as training starts")
    ] = True
    dropout: Annotated[Fraction, _doc("dropout rate of whole dimensions of a text; 0: off")] = 0.3
    word_dropout: Annotated[
        Fraction, _doc("fraction of words replaced by [UNK] in training; 0: off")
    ] = 0.0


class LinearSettings(_Section, frozen=True):
    """A linear model of n-grams whose logits are added to those of the LSTM."""

    word_ngrams: Annotated[
        int, _doc("longest n-gram of words: 2 for bigrams, 3 for trigrams too", ge=2, le=3)
    ] = 2
    buckets: Annotated[
        int, _doc("number of hash buckets for bigrams and trigrams", ge=1, le=4_000_000)
    ] = 300_000
    char_ngrams: Annotated[
        Literal["all", "unknown", "none"],
        _doc("words with character n-grams: all, only those outside the vocabulary, or none"),
    ] = "none"
    char_buckets: Annotated[
        int, _doc("number of hash buckets for character n-grams", ge=2, le=4_000_000)
    ] = 65_536
    folds: Annotated[
        int, _doc("folds for out-of-fold predictions on the training split", ge=2, le=100)
    ] = 3
    penalty: Annotated[float, _doc("strength of the L2 penalty on the weights", gt=0, le=1e6)] = 1.0
    dropout: Annotated[
        Fraction, _doc("fraction of texts in training that the LSTM predicts without this model")
    ] = 0.5

    refit: Annotated[
        bool,
        _doc("fit this model again at the end, on the training and validation splits together"),
    ] = False
    self_training: Annotated[
        Fraction,
        _doc("fraction of the unlabeled texts to learn from, the most certain ones; 0: off"),
    ] = 0.0

    @property
    def num_char_buckets(self) -> int:
        """Number of buckets for character n-grams; 0 without them."""
        return 0 if self.char_ngrams == "none" else self.char_buckets


class ImageSettings(_Section, frozen=True):
    """How an image becomes a sequence of rows."""

    size: Annotated[
        tuple[ImageLength, ImageLength] | None,
        _doc(
            "rows and columns that own images are scaled to, with their proportions; null: their "
            "own size, which must be the same"
        ),
    ] = None
    border: Annotated[
        Literal["dark", "bright", "any"],
        _doc(
            "border of the images; one with the opposite border is inverted, in training and "
            "prediction; any: invert none"
        ),
    ] = "any"
    window: Annotated[ImageLength, _doc("rows that a step of the LSTM reads together")] = 1
    stride: Annotated[
        ImageLength, _doc("rows from the start of a step to that of the next, at most image.window")
    ] = 1
    shift: Annotated[
        int,
        _doc(
            "maximum random shift of training images, in pixels: whole pixels, or any fraction if "
            "one of the settings below is on; 0: off",
            ge=0,
            le=8,
        ),
    ] = 0
    rotate: Annotated[
        float, _doc("maximum random rotation of training images, in degrees; 0: off", ge=0, le=180)
    ] = 0.0
    stretch: Annotated[
        float,
        _doc(
            "maximum random change of the height and of the width of training images, each as a "
            "fraction; 0: off",
            ge=0,
            le=0.5,
        ),
    ] = 0.0
    shear: Annotated[
        float,
        _doc(
            "maximum random slant of training images, as columns for each row; 0: off", ge=0, le=1
        ),
    ] = 0.0
    elastic: Annotated[
        float,
        _doc(
            "random smooth displacement of the pixels of training images: its standard deviation, "
            "in pixels; 0: off",
            ge=0,
            le=16,
        ),
    ] = 0.0

    @property
    def is_distorted(self) -> bool:
        """Whether training images are changed by more than a shift."""
        return bool(self.rotate or self.stretch or self.shear or self.elastic)


class LanguageModelSettings(_Section, frozen=True):
    """How a language model is pretrained; classifiers do not use this section."""

    window: Annotated[
        int, _doc("number of words to predict in a window, each direction", ge=1, le=100_000)
    ] = 128
    negatives: Annotated[
        int, _doc("negative samples for each batch (sampled softmax)", ge=1, le=65_536)
    ] = 512
    tie_embeddings: Annotated[bool, _doc("use the same word vectors for input and output")] = True
    dropout: Annotated[Fraction, _doc("dropout rate of whole dimensions of a window; 0: off")] = 0.0
    validation_fraction: Annotated[
        float, _doc("fraction of the texts on which perplexity is measured", gt=0, lt=0.5)
    ] = 0.005


class ModelSettings(_Section, frozen=True):
    """The recurrent network."""

    cell: Annotated[
        Literal["lstm", "peephole"],
        _doc("LSTM cell; with peephole, the gates also read the cell state"),
    ] = "lstm"
    units: Annotated[Dimension, _doc("hidden units in each LSTM layer and direction")] = 64
    layers: Annotated[int, _doc("number of stacked LSTM layers", ge=1, le=8)] = 1
    bidirectional: Annotated[bool, _doc("read in both directions, not only forward")] = True
    pooling: Annotated[
        Literal["last", "max", "mean", "max_mean"],
        _doc("how the hidden states of all steps become one vector"),
    ] = "max_mean"
    regions: Annotated[
        tuple[RegionWidth, ...],
        _doc(
            "widths of regions, in words, whose strongest features join the pooled vector, such "
            "as [2, 3]; []: none"
        ),
    ] = ()
    region_units: Annotated[Dimension, _doc("features of the regions of each width")] = 128
    dropout: Annotated[Fraction, _doc("dropout rate of the pooled vector; 0: off")] = 0.3


class TrainSettings(_Section, frozen=True):
    """Optimization and training schedule."""

    epochs: Annotated[
        int, _doc("maximum number of passes over the training split", ge=1, le=100_000)
    ] = 5
    batch_size: Annotated[int, _doc("examples in a training batch", ge=1, le=100_000)] = 64
    learning_rate: Annotated[
        float, _doc("peak learning rate of Adam, after the warm-up", gt=0, le=1)
    ] = 2e-3
    warmup: Annotated[
        Fraction, _doc("fraction of all steps in which the learning rate rises to its peak")
    ] = 0.1
    decay: Annotated[
        Literal["none", "linear", "cosine"],
        _doc("how the learning rate falls from its peak until the last step"),
    ] = "cosine"
    decay_to: Annotated[
        float, _doc("final learning rate, as a fraction of the peak", ge=0, le=1)
    ] = 0.0
    weight_decay: Annotated[float, _doc("decoupled weight decay (AdamW); 0: off", ge=0, lt=1)] = 0.0
    clip_norm: Annotated[
        float, _doc("maximum global norm of the gradient; 0: no clipping", ge=0, le=1e6)
    ] = 1.0
    label_smoothing: Annotated[
        Fraction, _doc("probability moved from the true class to all classes; 0: off")
    ] = 0.0
    patience: Annotated[
        int, _doc("stop after this many epochs without a better validation loss; 0: never", ge=0)
    ] = 2
    refit: Annotated[
        bool,
        _doc(
            "train again at the end, on the training and validation splits, for the number of "
            "epochs that was best on validation"
        ),
    ] = False
    class_weights: Annotated[
        Literal["none", "balanced"] | Annotated[float, Meta(ge=0, le=1)],
        _doc(
            "weights of classes in the loss, by inverse frequency; a number: its power, from 0 "
            "(none) to 1 (balanced)"
        ),
    ] = "none"
    ema_momentum: Annotated[
        Fraction, _doc("momentum of the exponential moving average of the weights; 0: off")
    ] = 0.0
    self_training: Annotated[
        bool,
        _doc(
            "also train on pseudo-labels for the unlabeled texts: from the linear model in the "
            "first epoch, then from the network after the previous epoch"
        ),
    ] = False
    teacher: Annotated[
        _Name | None,
        _doc("run that predicts the first pseudo-labels of self_training; null: the linear model"),
    ] = None
    calibrate: Annotated[
        bool,
        _doc(
            "scale the logits by temperature scaling on the validation split: for the validation "
            "loss of each epoch, and at the end"
        ),
    ] = True
    init_from: Annotated[
        str | None, _doc("run whose vocabulary and weights training starts from; null: none")
    ] = None
    init_labels: Annotated[
        Literal["auto", "keep", "drop"],
        _doc(
            "classes of the run of init_from that the data lacks: they stay classes (keep), or not "
            "(drop); auto: they stay if the data has any class of that run"
        ),
    ] = "auto"
    init_lr_factor: Annotated[
        float, _doc("learning-rate multiplier of the weights from init_from", ge=0, le=1)
    ] = 1.0
    frozen_steps: Annotated[
        int, _doc("first steps in which the weights from init_from do not change", ge=0)
    ] = 0
    checkpoint_seconds: Annotated[
        float, _doc("maximum seconds between checkpoints; each epoch also saves one", gt=0)
    ] = 60.0
    deterministic: Annotated[
        bool, _doc("use deterministic operations: the same bits on the same machine")
    ] = True


class Config(_Section, frozen=True):
    """All settings of one experiment, enough to run it again."""

    data: DataSettings
    auto: Annotated[
        tuple[str, ...],
        _doc(
            "settings that training chooses from the data; one that you set in a file or with "
            "--set is not chosen"
        ),
    ] = ()
    seed: Annotated[int, _doc("seed of all random numbers", ge=0, le=2**31 - 1)] = 0
    text: TextSettings | None = None
    embedding: EmbeddingSettings | None = None
    linear: LinearSettings | None = None
    image: ImageSettings | None = None
    language: LanguageModelSettings | None = None
    model: ModelSettings = ModelSettings()
    train: TrainSettings = TrainSettings()

    @property
    def char_buckets(self) -> int:
        """Number of buckets for the character n-grams of unknown words; 0 without them."""
        return 0 if self.linear is None else self.linear.num_char_buckets

    @property
    def kind(self) -> Literal["text", "image"]:
        """Kind of the input."""
        return "image" if self.image is not None else "text"

    @property
    def is_multi_label(self) -> bool:
        """Whether a text has any number of labels, not exactly one; training resolves `auto`."""
        return bool(self.data.label_columns) or self.data.multi_label not in ("auto", "none")

    @property
    def has_seen_validation(self) -> bool:
        """Whether the finished model, or its linear part, has learned from the validation split."""
        return self.is_refitted or (self.linear is not None and self.linear.refit)

    @property
    def is_refitted(self) -> bool:
        """Whether the model is trained at the end on the validation split too."""
        return self.language is None and (self.train.refit or self.data.folds > 0)

    @property
    def task(self) -> Literal["text", "image", "language"]:
        """Task of the run, as in `run.json`: the kind of a classifier, or `language`."""
        return self.kind if self.language is None else "language"
