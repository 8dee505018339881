"""Settings that are chosen from a description of the data, for data sets without a preset."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from lstm_cli.config.auto_rules import by_size, is_refitted, num_folds, validation_fraction

# Weights of a table of the linear model: 32 MB.
_MAX_TABLE_SIZE = 8_000_000
# Tokens times outputs that self-training of the linear model takes a few minutes for.
_MAX_SELF_TRAINING = 40_000_000


class DataProfile(msgspec.Struct, frozen=True):
    """What settings are chosen from.

    Attributes:
        num_texts: Texts for training and validation.
        num_classes: Number of classes.
        num_unlabeled: Texts without labels.
        median_length: Median number of tokens in a text.
        long_length: 95th percentile of the number of tokens in a text.
        num_tokens: Tokens in the texts for training and validation; an estimate from a sample.
        unspaced: Fraction of tokens of scripts without spaces between words.
        once: Fraction of tokens whose word occurs only once: an estimate of the fraction of unknown
            words in new texts (Good 1953, eq. 9). Too high where it is from a sample.
        multi_label: Whether a text has any number of labels, not exactly one class.
        has_validation_file: Whether the validation texts are a file of their own. They then stay
            held out: no model of the end learns from them.
    """

    num_texts: int
    num_classes: int
    num_unlabeled: int
    median_length: int
    long_length: int
    num_tokens: int
    unspaced: float
    once: float
    multi_label: bool = False
    has_validation_file: bool = False

    @property
    def num_outputs(self) -> int:
        """Weights of each feature."""
        return 1 if self.num_classes == 2 and not self.multi_label else self.num_classes

    @property
    def num_all_tokens(self) -> int:
        """Tokens in all texts, with and without labels."""
        return round(self.num_tokens * (1 + self.num_unlabeled / self.num_texts))

    def describe(self) -> str:
        """Return a description for people: `3,017 texts of median length 19, 2 classes`."""
        parts = [
            f"{self.num_texts:,} texts of median length {self.median_length:,}",
            f"{self.num_classes:,} {'labels' if self.multi_label else 'classes'}",
        ]
        if self.num_unlabeled:
            parts.append(f"{self.num_unlabeled:,} texts without labels")
        if self.unspaced >= _MIN_UNSPACED:
            parts.append("a script without spaces")
        return ", ".join(parts)


# Data sets of at most this many texts are described from all texts, larger ones from a sample.
ALL_SAMPLED = 5000
# In cross-validation, similar words lowered the loss where more words than this occur once (Arabic
# and French posts); where fewer do, they raised it (questions) or changed nothing (reviews).
_MIN_ONCE = 0.1
# With this fraction of letters of scripts without spaces, trigrams of letters are words.
_MIN_UNSPACED = 0.3


def choose_settings(profile: DataProfile) -> dict[str, Any]:
    """Choose settings from a description of the data.

    The table in `docs/own-data.md` lists them with their reasons.

    Args:
        profile: The description.

    Returns:
        Values by dotted key, for all keys of `AUTO_KEYS`.
    """
    return {key: rule(profile) for key, rule in _RULES.items()}


def _size(profile: DataProfile) -> int:
    return profile.num_texts


def _validation(profile: DataProfile) -> float:
    """As `validation_fraction`; with several labels a text, thresholds are chosen on these rows."""
    if profile.has_validation_file:
        return 0.1
    num_per_class = 150 if profile.multi_label else 5
    return validation_fraction(profile.num_texts, profile.num_classes, num_per_class)


def _max_tokens(profile: DataProfile) -> int:
    """The 95th percentile of the lengths, rounded up to tens, at most 400."""
    return min(400, max(20, -(-profile.long_length // 10) * 10))


def _min_count(profile: DataProfile) -> int:
    if profile.num_all_tokens <= 300_000:
        return 1
    return 2 if profile.num_all_tokens <= 3_000_000 else 5


def _min_similarity(profile: DataProfile) -> float:
    """Where many words of a new text will be unknown, the LSTM reads them as similar ones.

    With fewer texts, too little is known of the similar words.
    """
    is_rich = 1000 <= profile.num_texts <= ALL_SAMPLED and profile.once >= _MIN_ONCE
    return 0.3 if is_rich and not _is_unspaced(profile) else 0.0


def _buckets(largest: int) -> Callable[[DataProfile], int]:
    """Return a rule: about one bucket for each token, while the table stays small enough.

    Args:
        largest: The largest number of buckets, a power of two as all numbers of buckets.
    """

    def rule(profile: DataProfile) -> int:
        limit = min(largest, max(4096, _MAX_TABLE_SIZE // profile.num_outputs))
        wanted = 1 << max(16_384, profile.num_all_tokens).bit_length()
        return min(wanted, 1 << (limit.bit_length() - 1))

    return rule


def _is_unspaced(profile: DataProfile) -> bool:
    return profile.unspaced >= _MIN_UNSPACED


def _char_ngrams(profile: DataProfile) -> str:
    is_small = profile.num_tokens <= 1_000_000 and profile.num_all_tokens <= 4_000_000
    return "all" if is_small else "unknown"


def _linear_self_training(profile: DataProfile) -> float:
    """Nearly all unlabeled texts, if there are more than labels, and time for all classes."""
    is_worth_it = profile.num_unlabeled >= max(100, profile.num_texts) and not profile.multi_label
    work = profile.num_all_tokens * profile.num_outputs
    return 0.9 if is_worth_it and work <= _MAX_SELF_TRAINING else 0.0


def _linear_folds(profile: DataProfile) -> int:
    """More folds for few texts; with many classes or unlabeled texts a fit takes long."""
    if profile.num_texts > 20_000 or profile.num_classes > 20 or _linear_self_training(profile):
        return 3
    return 10 if profile.num_texts <= 2000 else 5


_RULES: Mapping[str, Callable[[DataProfile], Any]] = {
    "data.validation_fraction": _validation,
    "data.folds": lambda profile: num_folds(profile.num_texts, profile.has_validation_file),
    "text.vocab_size": lambda profile: 20_000,
    "text.min_count": _min_count,
    "text.max_tokens": _max_tokens,
    "text.min_similarity": _min_similarity,
    "embedding.dim": lambda profile: 64,
    "embedding.vectors": lambda profile: "unlabeled" if profile.num_unlabeled else "train",
    "linear.word_ngrams": lambda profile: 3 if _is_unspaced(profile) else 2,
    "linear.buckets": _buckets(1 << 20),
    "linear.char_ngrams": _char_ngrams,
    "linear.char_buckets": _buckets(1 << 18),
    "linear.penalty": lambda profile: 2.0 if _is_unspaced(profile) else 1.0,
    "linear.folds": _linear_folds,
    "linear.self_training": _linear_self_training,
    "linear.refit": lambda profile: not profile.has_validation_file,
    "train.batch_size": by_size(_size, (200, 8), (500, 16), (2000, 32), (20_000, 64), above=128),
    "train.epochs": by_size(_size, (1000, 20), (20_000, 10), (50_000, 5), above=2),
    "train.refit": lambda profile: is_refitted(profile.num_texts, profile.has_validation_file),
}
AUTO_KEYS = tuple(_RULES)
