from __future__ import annotations

import itertools
import re
import time
from collections import Counter

import pytest

from lstm_cli.data import DataSource, load
from lstm_cli.data.readers import demo, demo_grammar

SENTENCES = [
    (form, sentence) for form, sentences in demo_grammar.OPINIONS.items() for sentence in sentences
]
REVERSIBLE = [
    sentence for form, sentence in SENTENCES if form in ("negation", "dissent", "contrast")
]
PAIR = re.compile(r"\*(\w+)\|(\w+)\*")


def pairs_in(sentences):
    """Return the (reversing, affirming) words of sentences."""
    return {pair for sentence in sentences for pair in PAIR.findall(sentence.lower())}


def test_equal_seeds_give_equal_reviews_and_other_seeds_give_others():
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
    data = load(DataSource("demo", demo_train=2000, demo_test=500))
    train = {*data.splits["train"].inputs, *data.splits["validation"].inputs}
    assert len(train) == 2000
    assert not train & set(data.splits["test"].inputs)


def test_seven_thousand_reviews_take_a_moment():
    start = time.process_time()
    demo.generate(7000, seed=0)
    assert time.process_time() - start < 1.5  # 0.15 s on an idle core


def test_the_decisive_span_is_the_marked_word_of_the_opinion():
    opinions = {word for words in demo_grammar.POLAR.values() for side in words for word in side}
    for example in demo.generate(1000, seed=4):
        word = example.text[slice(*example.decisive_span)].lower()
        replacement = example.replacement.lower()
        if example.form == "plain":
            assert word in opinions
            continue
        pairs = pairs_in(demo_grammar.OPINIONS[example.form])
        is_reversed = (word, replacement) in pairs
        assert is_reversed != ((replacement, word) in pairs)
        assert example.form == "contrast" or is_reversed == (
            example.form in ("negation", "dissent")
        )


def test_the_counterpart_is_a_review_of_the_other_label():
    reviews = {e.text: e for e in demo.generate(40_000, seed=8)}
    known = [e for e in reviews.values() if e.replacement and e.counterpart in reviews]
    assert len(known) > 100
    for example in known:
        assert reviews[example.counterpart].label == 1 - example.label
        assert reviews[example.counterpart].counterpart == example.text


@pytest.mark.parametrize(("form", "sentence"), SENTENCES)
def test_every_opinion_has_one_decisive_word(form, sentence):
    assert len(re.findall(r"\*[^*]+\*", sentence)) == 1
    assert bool(PAIR.search(sentence)) == (form != "plain")


@pytest.mark.parametrize("sentence", REVERSIBLE)
def test_the_label_changes_only_the_decisive_word(sentence):
    for praise in (False, True):
        negated = demo._generate_sentence(sentence, demo._Random(1), praise, is_reversed=True)
        affirmed = demo._generate_sentence(sentence, demo._Random(1), praise, is_reversed=False)
        start, end = negated.decisive_span
        replaced = negated.text[:start] + negated.replacement + negated.text[end:]
        assert replaced == affirmed.text != negated.text


@pytest.mark.parametrize("sentence", REVERSIBLE)
def test_no_single_other_word_is_needed_to_tell_the_label(sentence):
    signs = re.findall(r"\{([-+])", sentence)
    contrast = sentence in demo_grammar.CONTRASTS
    # In a contrast, either side can be inferred from the other.
    assert set(signs) == ({"+", "-"} if contrast else {"+"})
    assert signs[0] == "+"
    assert len(signs) >= 2


def test_the_first_opinion_and_the_decisive_word_give_the_label_only_together():
    praised = set(itertools.chain(*(positive for _, positive in demo_grammar.POLAR.values())))
    opinions = praised.union(*(negative for negative, _ in demo_grammar.POLAR.values()))
    reversing_words = {pair[0] for pair in pairs_in(REVERSIBLE)}
    counts = Counter()
    for example in demo.generate(8000, seed=9):
        start, end = example.decisive_span
        sentence = next(s for s in re.finditer(r"[^.!]+", example.text) if s.end() > start)
        if example.form == "plain" or "?" in sentence[0]:
            continue
        first = next(word for word in re.findall(r"\w+", sentence[0].lower()) if word in opinions)
        is_reversed = example.text[start:end].lower() in reversing_words
        assert example.label == ((first in praised) != is_reversed)
        counts[first in praised, is_reversed] += 1
    assert min(counts.values()) == pytest.approx(max(counts.values()), rel=0.1)


def test_opinion_words_have_the_polarity_that_the_sentence_asks_for():
    negative, positive = demo_grammar.POLAR["adj"]
    for praise, first, second in ((True, positive, negative), (False, negative, positive)):
        text = demo._generate_sentence("{+adj} {-adj}", demo._Random(0), praise).text.lower()
        assert text.split()[0] in first
        assert text.split()[1] in second


def test_articles_fit_the_word_that_follows_and_sentences_start_with_a_capital():
    for example in demo.generate(2000, seed=6):
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n [^aeiou]|[.!] [a-z]|^[a-z]", example.text)
        assert not re.search(r"[{}*]|  ", example.text)


def test_every_form_is_as_frequent_as_its_share():
    counts = Counter(example.form for example in demo.generate(4000, seed=7))
    assert {form: counts[form] / 4000 for form in demo.FORM_SHARES} == pytest.approx(
        demo.FORM_SHARES, abs=0.03
    )


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
def test_counts_of_words_and_bigrams_do_not_solve_it(ngrams):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    data = load(DataSource("demo"))
    train, test = data.splits["train"], data.splits["test"]
    tfidf = TfidfVectorizer(ngram_range=ngrams)
    features, test_features = tfidf.fit_transform(train.inputs), tfidf.transform(test.inputs)
    for strength in (1, 10):
        model = LogisticRegression(C=strength, max_iter=1000).fit(features, train.labels)
        assert model.score(test_features, test.labels) < 0.85
