from __future__ import annotations

import re
import time
from collections import Counter

import pytest

from lstm_cli.datasets import Source, demo, grammar, load

SENTENCES = [
    (form, sentence) for form, sentences in grammar.VERDICTS.items() for sentence in sentences
]


def test_equal_seeds_write_equal_reviews_and_other_seeds_write_others():
    assert demo.generate(50, seed=1) == demo.generate(50, seed=1)
    texts = {example.text for example in demo.generate(200, seed=1)}
    assert not texts & {example.text for example in demo.generate(200, seed=2)}


def test_a_shorter_list_is_the_start_of_a_longer_one():
    assert demo.generate(31, seed=3) == demo.generate(80, seed=3)[:31]


@pytest.mark.parametrize("num", [0, 1, 2, 501])
def test_labels_are_balanced_at_any_size(num):
    counts = Counter(example.label for example in demo.generate(num, seed=0))
    assert sum(counts.values()) == num
    assert abs(counts[0] - counts[1]) <= 1


def test_no_review_repeats_another_or_a_known_one():
    known = [example.text for example in demo.generate(300, seed=5)]
    texts = [example.text for example in demo.generate(300, seed=5, known=known)]
    assert len({*known, *texts}) == 600


def test_test_reviews_of_the_data_set_are_not_in_train():
    data = load(Source("demo", demo_train=2000, demo_test=500))
    train = {*data.splits["train"].inputs, *data.splits["validation"].inputs}
    assert len(train) == 2000
    assert not train & set(data.splits["test"].inputs)


def test_seven_thousand_reviews_take_a_moment():
    start = time.process_time()
    demo.generate(7000, seed=0)
    assert time.process_time() - start < 1.5  # 0.15 s on an idle core


def test_the_decisive_span_is_the_marked_word_of_the_verdict():
    marked = {
        form: {
            word.lower()
            for sentence in grammar.VERDICTS[form]
            for word in re.findall(r"\*(\w+)\*", sentence)
        }
        for form in grammar.VERDICTS
    }
    marked["plain"] = {word for words in grammar.POLAR.values() for side in words for word in side}
    for example in demo.generate(1000, seed=4):
        start, end = example.decisive
        assert example.text[start:end].lower() in marked[example.form], example


@pytest.mark.parametrize(("form", "sentence"), SENTENCES)
def test_every_verdict_marks_one_word_and_takes_both_labels(form, sentence):
    assert len(re.findall(r"\*[^*]+\*", sentence)) == 1
    signs = "".join(re.findall(r"\{([-+])", sentence))
    expected = {"contrast": {"+-", "-+"}, "negation": {"-"}, "dissent": {"-"}}.get(form, {"+"})
    assert signs in expected


def test_words_of_opinion_take_the_side_the_sentence_gives_them():
    dice = demo._Dice(0)
    negative, positive = grammar.POLAR["adj"]
    for label, word in ((0, positive), (1, negative)):
        text, _ = demo._write_sentence("It is *never* {-adj}.", label, dice)
        assert text.removeprefix("It is never ").removesuffix(".") in word


def test_articles_fit_the_word_that_follows_and_sentences_start_with_a_capital():
    for example in demo.generate(2000, seed=6):
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|[.!] [a-z]|^[a-z]", example.text)
        assert not re.search(r"[{}*]|  ", example.text)


def test_every_form_is_as_frequent_as_its_share():
    counts = Counter(example.form for example in demo.generate(4000, seed=7))
    assert {form: counts[form] / 4000 for form in demo.SHARES} == pytest.approx(
        demo.SHARES, abs=0.03
    )


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
def test_counting_words_and_pairs_does_not_solve_it(ngrams):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    data = load(Source("demo"))
    train, test = data.splits["train"], data.splits["test"]
    tfidf = TfidfVectorizer(ngram_range=ngrams)
    features, test_features = tfidf.fit_transform(train.inputs), tfidf.transform(test.inputs)
    for strength in (1, 10):
        model = LogisticRegression(C=strength, max_iter=1000).fit(features, train.labels)
        assert model.score(test_features, test.labels) < 0.85
