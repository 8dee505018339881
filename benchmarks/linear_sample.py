"""What it costs to fit the linear model to a sample, and another way to bound its memory.

Generated short texts (`short_texts`), and a tenth as many to test on. The model of `lstm` is fitted
to all of the texts and to seeded, stratified samples of them. Beside it: one pass of scikit-learn's
`SGDClassifier.partial_fit` over all texts, in parts, with squared hinge loss and averaged weights,
on the same words and bigrams, weighed by the inverse document frequencies of the first part. Each
fit has its own process.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import large, report, short_texts
from benchmarks.report import Option, Outcome, Table
from lstm_cli.config.schema import LinearSettings, TextSettings
from lstm_cli.data import splits
from lstm_cli.io.memory import peak_memory_mb
from lstm_cli.models import linear
from lstm_cli.models.linear_features import word_ngrams
from lstm_cli.text.corpus import Corpus, encode, fit_and_encode

OPTIONS = (
    Option("texts", "texts to fit to", 200_000, 1000),
    Option("parts", "one over the fraction of each sample, separated by commas", "1,2,4,8", "1,2"),
)
_SETTINGS = LinearSettings(buckets=1 << 20)
_PART = 20_000
_ALPHAS = (1e-7, 1e-6, 1e-5)

Examples = tuple[Corpus, NDArray[np.int32]]
Result = dict[str, float]


def measure(settings: argparse.Namespace) -> Outcome:
    """Fit to samples, and in parts."""
    num = int(settings.texts)
    texts, names = zip(*short_texts.iter_rows(num + num // 10), strict=True)
    labels = np.array([*map(large.CLASSES.index, names)], np.int32)
    tokenizer, corpus = fit_and_encode(texts[:num], TextSettings(min_count=5))
    train, test = (corpus, labels[:num]), (encode(texts[num:], tokenizer), labels[num:])
    results = {}
    for part in report.parse_numbers(settings.parts):
        report.log(f"1/{part} of {num:,} texts")
        rows = splits.sample_rows(labels[:num], num // part, 0, splits.LINEAR_SAMPLE)
        sample = corpus.take(rows), labels[:num][rows]
        results[f"all, or 1/{part}"] = _alone(_fit_sample, sample, test, tokenizer.words)
    for alpha in _ALPHAS:
        report.log(f"in parts, penalty {alpha}")
        results[f"in parts, penalty {alpha:g}"] = _alone(_fit_parts, train, test, alpha)
    rows_ = [
        (name, f"{r['accuracy']:.4f}", f"{r['seconds']:.1f}", f"{r['peak_mb']:,.0f}")
        for name, r in results.items()
    ]
    table = Table("Linear model", ("fitted to", "accuracy", "seconds", "peak MiB"), rows_)
    return Outcome({"fits": results}, [table], [], [])


def _alone(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call a function in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _fit_sample(train: Examples, test: Examples, words: Sequence[str]) -> Result:
    """Fit the model as training does, out-of-fold predictions included."""
    start = time.perf_counter()
    num_classes = len(large.CLASSES)
    model = linear.fit_linear_model(*train, num_classes, words, _SETTINGS, seed=0)
    seconds = time.perf_counter() - start
    scores = linear.linear_logits(test[0], model.tables, _SETTINGS)
    return _result(scores, test[1], seconds)


def _fit_parts(train: Examples, test: Examples, alpha: float) -> Result:
    """Fit by stochastic gradient descent, in one pass."""
    from sklearn.linear_model import SGDClassifier

    start = time.perf_counter()
    corpus, labels = train
    model = SGDClassifier("squared_hinge", alpha=alpha, average=True, random_state=0)
    factors: NDArray[np.float32] | None = None
    for first in range(0, len(corpus), _PART):
        counts = _count(corpus.part(first, first + _PART))
        if factors is None:
            num_texts = np.bincount(counts.indices, minlength=counts.shape[1])
            factors = (np.log((counts.shape[0] + 1) / (num_texts + 1)) + 1).astype(np.float32)
        counts.data *= factors[counts.indices]
        model.partial_fit(counts, labels[first : first + _PART], np.arange(len(large.CLASSES)))
    seconds = time.perf_counter() - start
    assert factors is not None
    counts = _count(test[0])
    counts.data *= factors[counts.indices]
    return _result(model.decision_function(counts), test[1], seconds)


def _count(corpus: Corpus) -> Any:
    """Count the words and bigrams of each text, a sparse `<float32>[num, words + buckets]`."""
    from scipy import sparse

    rows = np.repeat(np.arange(len(corpus)), corpus.lengths)
    (bigrams,) = word_ngrams(corpus, _SETTINGS)
    columns = np.concatenate([corpus.own_ids.astype(np.int32), bigrams + (1 << 16)])
    weights = np.repeat(1 / np.sqrt(corpus.lengths), corpus.lengths).astype(np.float32)
    shape = (len(corpus), (1 << 16) + _SETTINGS.buckets)
    return sparse.csr_matrix((np.tile(weights, 2), (np.tile(rows, 2), columns)), shape=shape)


def _result(scores: NDArray[Any], labels: NDArray[np.int32], seconds: float) -> Result:
    accuracy = float(np.mean(scores.argmax(axis=1) == labels))
    return {"accuracy": accuracy, "seconds": seconds, "peak_mb": float(peak_memory_mb())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run this benchmark; return the exit code."""
    return report.main("linear_sample", __doc__, OPTIONS, measure, arguments)


if __name__ == "__main__":
    sys.exit(main())
