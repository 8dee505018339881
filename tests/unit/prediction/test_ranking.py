"""Ranking: uncertain texts first, similar ones apart, in bounded memory."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from fixtures_runs import TEXTS, make_image_run, make_multi_label_run, make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.set_thresholds import choose_thresholds, set_thresholds
from lstm_cli.prediction import ranking
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.ranking import rank_uncertain


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return Predictor.load(make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "one"))


def words(num, seed=0):
    """Texts of five of the words in the vocabulary, all different."""
    vocabulary = sorted({word for text in TEXTS for word in text.split()})
    rng = np.random.default_rng(seed)
    order = rng.permutation(list(itertools.product(vocabulary, repeat=5)))
    return [" ".join(row) for row in order[:num]]


def margin(prediction):
    first, second = sorted(prediction.probabilities.values())[-1:-3:-1]
    return first - second


def test_the_first_is_the_most_uncertain_and_records_are_numbers_in_the_input(predictor):
    texts = words(40)
    found = rank_uncertain(predictor, texts)
    assert sorted(r.record for r in found.ranked) == list(range(1, 41))
    for r in found.ranked:
        assert r.text == texts[r.record - 1]
        assert r.prediction == predictor.predict(r.text)[0]
        assert r.uncertainty == pytest.approx(1 - margin(r.prediction))
    assert found.ranked[0].uncertainty == max(r.uncertainty for r in found.ranked)


def test_each_place_goes_to_the_highest_uncertainty_that_is_not_alike(predictor):
    ranked = rank_uncertain(predictor, words(40)).ranked
    scores = [r.uncertainty * (1 - max(0, 2 * r.similarity - 1)) for r in ranked]
    # The similarity of those behind only grows from place to place.
    assert scores == sorted(scores, reverse=True)
    assert max(r.similarity for r in ranked) > 0.5


def test_near_copies_of_a_text_come_after_other_texts(predictor):
    long = [f"{first} {second}" for first, second in itertools.pairwise(words(200))]
    text, *others = sorted(long, key=lambda each: margin(predictor.predict(each)[0]))[:30:6]
    copies = [text, f"{text} !", f"! {text}"]
    order = [r.text for r in rank_uncertain(predictor, [*copies, *others]).ranked]
    assert order[0] in copies
    assert set(order[1:5]) == set(others)


def test_repeated_and_empty_texts_are_left_out_and_counted(predictor):
    found = rank_uncertain(predictor, ["fine film", "", "dull film", "Fine\u200b  film", " "])
    assert {r.record for r in found.ranked} == {1, 3}
    assert (found.num_texts, found.num_repeated, found.num_empty) == (5, 1, 2)


def test_only_the_most_uncertain_texts_are_kept(predictor, monkeypatch):
    sizes = []
    rank = ranking._rank

    def observed(candidates, *arguments):
        sizes.append(len(candidates))
        return rank(candidates, *arguments)

    monkeypatch.setattr(ranking, "_rank", observed)
    texts = words(500)
    found = rank_uncertain(predictor, iter(texts), 5)
    assert (len(found.ranked), found.num_texts, sizes) == (5, 500, [20])
    margins = sorted(margin(p) for p in predictor.predict(texts))
    assert all(margin(r.prediction) <= margins[19] + 1e-6 for r in found.ranked)


def test_similarity_is_the_share_of_common_words_and_pairs(predictor):
    texts = words(60)
    encodings = predictor.tokenizer.encode(texts)
    signatures = ranking._signatures(encodings)
    sets = [{*e.ids, *itertools.pairwise(e.ids)} for e in encodings]
    differences = []
    for i, j in itertools.combinations(range(60), 2):
        exact = len(sets[i] & sets[j]) / len(sets[i] | sets[j])
        differences.append((signatures[i] == signatures[j]).mean() - exact)
    # The standard deviation of the estimate is at most sqrt(1/4 / 64) = 0.0625.
    assert np.std(differences) < 0.0625
    assert abs(np.mean(differences)) < 0.02


def test_no_texts_give_an_empty_ranking(predictor):
    assert rank_uncertain(predictor, []).ranked == ()


def test_what_cannot_be_ranked_is_refused(predictor, tmp_path):
    images = Predictor.load(make_image_run(tmp_path / "digits" / "one"))
    for arguments in ((images, ["a"]), (predictor, ["a"], 0)):
        with pytest.raises(LstmError) as caught:
            rank_uncertain(*arguments)
        assert caught.value.exit_code == ExitCode.USAGE


def test_a_run_with_several_labels_a_text_has_thresholds_of_its_own(tmp_path):
    several = Predictor.load(make_multi_label_run(tmp_path / "demo" / "several"))
    for call in (
        lambda: rank_uncertain(several, ["a"]),
        lambda: several.predict("a", min_probability=0.5),
        lambda: set_thresholds(several.run, min_probability=0.9),
        lambda: choose_thresholds(several.run, best_f1=True),
    ):
        with pytest.raises(LstmError) as caught:
            call()
        assert caught.value.exit_code == ExitCode.USAGE
    assert several.predict("a fine film", min_probability=0)[0].labels is not None
