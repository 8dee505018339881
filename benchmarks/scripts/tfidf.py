"""scikit-learn: TF-IDF of words and bigrams, and logistic regression.

Usage: tfidf.py imdb|demo RESULT.json
"""

from __future__ import annotations

import sys

from benchmarks.scripts import clock, keras_free


def main(data: str, out: str) -> None:
    """Train and evaluate."""
    train, test = keras_free.load(data)
    ready = clock.age()
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    model.fit(train.inputs, train.labels)
    trained = clock.age()
    accuracy = float(model.score(test.inputs, test.labels))
    clock.write(out, keras_free.result(ready, trained, accuracy))


if __name__ == "__main__":
    main(*sys.argv[1:])
