"""Train and measure one baseline on two tables with the columns text and label.

Usage: text_baseline.py words|chars|both|fasttext SEED TRAIN.csv TEST.csv RESULT.json

- words: TF-IDF of words and bigrams, linear SVM.
- chars: TF-IDF of 1- to 4-grams of characters within words, linear SVM. For scripts without spaces,
  1- to 3-grams of characters.
- both: TF-IDF of words, punctuation marks and their bigrams, and of 2- to 5-grams of characters
  within words, linear SVM with C=0.5. For scripts without spaces, 1- to 3-grams of characters.
- fasttext: words and bigrams, 25 epochs. For scripts without spaces, each character is a word.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import regex

from benchmarks.own_data import is_unspaced
from benchmarks.scripts import clock
from benchmarks.scripts.fasttext_bigrams import normalize
from lstm_cli.data.readers.table import LabeledTexts, read_table

_LABEL_PREFIX = "__label__"


def main(kind: str, seed: str, train_path: str, test_path: str, out: str) -> None:
    """Train and measure; seconds count from the texts in memory to the predictions."""
    train, test = (read_table(Path(path), ("text",), "label") for path in (train_path, test_path))
    if kind == "fasttext":
        import fasttext  # noqa: F401 -- imports are not timed
    else:
        import sklearn.pipeline
        import sklearn.svm  # noqa: F401
    start = time.perf_counter()
    predict = _predict_fasttext if kind == "fasttext" else _predict_svm
    predicted = predict(kind, int(seed), train, test.texts)
    seconds = time.perf_counter() - start
    used = {"seconds": seconds, "peak_mb": clock.peak_mb()}
    clock.write(out, {**_scores(test.labels, predicted), **used})


def vectorizer(kind: str, unspaced: bool) -> Any:
    """Return the TF-IDF features of an SVM."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    if kind == "words":
        return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))
    within_words = (1, 4) if kind == "chars" else (2, 5)
    analyzer, sizes = ("char", (1, 3)) if unspaced else ("char_wb", within_words)
    chars = TfidfVectorizer(sublinear_tf=True, analyzer=analyzer, ngram_range=sizes)
    if kind == "chars":
        return chars
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"\w+|[^\w\s]")
    return make_union(words, chars)


def _predict_svm(kind: str, seed: int, train: LabeledTexts, texts: Sequence[str]) -> Sequence[str]:
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=0.5 if kind == "both" else 1.0, random_state=seed)
    model = make_pipeline(vectorizer(kind, is_unspaced(train.texts)), svm)
    return list(model.fit(train.texts, train.labels).predict(texts))


def _predict_fasttext(
    kind: str, seed: int, train: LabeledTexts, texts: Sequence[str]
) -> Sequence[str]:
    import fasttext

    unspaced = is_unspaced(train.texts)
    names = sorted(set(train.labels))
    number = {name: i for i, name in enumerate(names)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.txt")
        with path.open("w", encoding="utf-8") as file:
            for text, label in zip(train.texts, train.labels, strict=True):
                file.write(f"{_LABEL_PREFIX}{number[label]} {fasttext_line(text, unspaced)}\n")
        # With one thread, the seed decides the result.
        model = fasttext.train_supervised(
            input=str(path), wordNgrams=2, epoch=25, lr=0.5, seed=seed, thread=1, verbose=0
        )
    predicted, _ = model.predict([fasttext_line(text, unspaced) for text in texts])
    return [names[int(best[0].removeprefix(_LABEL_PREFIX))] if best else "" for best in predicted]


def fasttext_line(text: str, unspaced: bool) -> str:
    """Return a text as one line of words for fastText."""
    line = " ".join(normalize(text).split())
    return regex.sub(r"(\p{L})(?=\p{L})", r"\1 ", line) if unspaced else line


def _scores(labels: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """Return accuracy and macro F1 over the labels that occur."""
    from sklearn.metrics import accuracy_score, f1_score

    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1_score(labels, predicted, average="macro", zero_division=0)),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
