"""Linear models that trainings with equal data and settings share."""

from __future__ import annotations

import numpy as np
import pytest

from lstm_cli.config.schema import LinearSettings, TextSettings
from lstm_cli.io.environment import LINEAR_CACHE
from lstm_cli.models import linear
from lstm_cli.text.corpus import encode
from lstm_cli.text.tokenizer import Tokenizer
from lstm_cli.training import linear_cache

_TEXTS = [f"{word} film number {i}" for i in range(12) for word in ("fine", "dull")]
_LABELS = np.array([0, 1] * 12, np.int32)
_SETTINGS = LinearSettings(buckets=64, char_ngrams="all", char_buckets=32)


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Arguments of a fit, and a folder to share it in."""
    monkeypatch.setenv(LINEAR_CACHE, str(tmp_path))
    tokenizer = Tokenizer.fit(_TEXTS, TextSettings(min_count=1), 32)
    return encode(_TEXTS, tokenizer), _LABELS, 2, tokenizer.words


def bits(model):
    arrays = {**model.tables.arrays(), "logits": model.train_logits}
    return {name: array.tobytes() for name, array in arrays.items()}, model.scale, model.offset


def count(monkeypatch, name):
    """Count the fits."""
    fits, fit = [], getattr(linear, name)
    monkeypatch.setattr(linear, name, lambda *given: fits.append(1) or fit(*given))
    return fits


def test_an_equal_fit_is_read_with_the_same_bits(arguments, monkeypatch):
    fits = count(monkeypatch, "fit_linear_model")
    first = linear_cache.fit_linear_model(*arguments, _SETTINGS, 0)
    # What does not change the fit does not count.
    same = LinearSettings(buckets=64, char_ngrams="all", char_buckets=32, dropout=0.9, refit=True)
    again = linear_cache.fit_linear_model(*arguments, same, 0)
    assert len(fits) == 1
    assert bits(first) == bits(again)
    monkeypatch.delenv(LINEAR_CACHE)
    assert bits(first) == bits(linear_cache.fit_linear_model(*arguments, _SETTINGS, 0))


def test_another_fit_is_not_read(arguments, monkeypatch):
    fits = count(monkeypatch, "fit_linear_model")
    corpus, labels, num, words = arguments
    other = LinearSettings(buckets=64, char_ngrams="all", char_buckets=32, penalty=2.0)
    linear_cache.fit_linear_model(*arguments, _SETTINGS, 0)
    linear_cache.fit_linear_model(*arguments, other, 0)
    linear_cache.fit_linear_model(*arguments, _SETTINGS, 1)
    linear_cache.fit_linear_model(corpus, 1 - labels, num, words, _SETTINGS, 0)
    linear_cache.fit_linear_model(*arguments, _SETTINGS, 0, "none", None, np.full(24, 2.0))
    assert len(fits) == 5


def test_a_refit_is_shared(arguments, monkeypatch):
    model = linear_cache.fit_linear_model(*arguments, _SETTINGS, 0)
    fits = count(monkeypatch, "refit_tables")
    first, again = (linear_cache.refit_tables(model, *arguments, _SETTINGS) for _ in range(2))
    assert len(fits) == 1
    assert all(np.array_equal(a, again.arrays()[name]) for name, a in first.arrays().items())


def test_a_damaged_file_is_fitted_again(arguments, tmp_path):
    first = linear_cache.fit_linear_model(*arguments, _SETTINGS, 0)
    (file,) = tmp_path.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-8])
    assert bits(linear_cache.fit_linear_model(*arguments, _SETTINGS, 0)) == bits(first)


def test_the_least_recently_used_are_removed(arguments, tmp_path, monkeypatch):
    linear_cache.fit_linear_model(*arguments, _SETTINGS, 0)
    (old,) = tmp_path.glob("*.safetensors")
    monkeypatch.setattr(linear_cache, "_MAX_BYTES", 1)
    linear_cache.fit_linear_model(*arguments, _SETTINGS, 1)
    assert not old.exists()
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
