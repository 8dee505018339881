from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_cli.checks import near_duplicates
from lstm_cli.checks.near_duplicates import THRESHOLD, find_near_pairs

WORDS = [f"{first}{middle}{last}" for first in "bdfgk" for middle in "aeiou" for last in "lmnrst"]


def pairs(texts, files=None):
    files = np.zeros(len(texts), np.int64) if files is None else np.array(files, np.int64)
    return find_near_pairs(len(texts), texts.__getitem__, files)


def shingles(text):
    marked = f"\x02\x02{text}\x03\x03\x03"
    sizes = (2 if ord(char) >= 0x2E80 else 5 for char in marked)
    found = (marked[i : i + size] for i, size in enumerate(sizes) if i + size <= len(marked))
    return set(found)


def jaccard(first, second):
    first, second = shingles(first), shingles(second)
    return len(first & second) / len(first | second)


def random_texts(num, length, rng):
    return [" ".join(rng.choice(WORDS, length)) for _ in range(num)]


@pytest.mark.parametrize(
    ("first", "second", "is_near"),
    [
        ("i want to open an account for my child", "i want to open an account for my children", 1),
        ("the exchange rate you are using is really bad this can't be the official rate",
         "the exchange rate you are using is bad this can't be the official rate", 1),
        ("味道还不错送餐速度也很快下次再来", "味道还不错送餐速度很快下次再来", 1),
        ("a good film", "a bad film", 0),
        ("i like it", "i do not like it", 0),
        ("好吃", "不好吃", 0),
        ("what is the capital of italy", "what is the capital of haiti", 0),
        ("ok", "no", 0),
    ],
)  # fmt: skip
def test_texts_with_few_changes_are_near_and_short_ones_that_mean_another_thing_are_not(
    first, second, is_near
):
    found = pairs([first, "something else that is said here", second])
    assert [(pair.earlier, pair.index) for pair in found] == [(0, 2)] * is_near
    if found:
        assert found[0].similarity == pytest.approx(jaccard(first, second))


@settings(max_examples=40)
@given(st.lists(st.text("ab 中文", max_size=12), unique=True, max_size=30))
def test_each_pair_is_similar_and_earlier_and_there_is_one_a_text(texts):
    found = pairs(texts)
    assert len({pair.index for pair in found}) == len(found)
    for pair in found:
        assert pair.earlier < pair.index
        assert pair.similarity == pytest.approx(jaccard(texts[pair.earlier], texts[pair.index]))
        assert pair.similarity >= THRESHOLD


@pytest.mark.parametrize("length", [15, 400])
def test_all_planted_pairs_are_found_and_no_others(length):
    rng = np.random.default_rng(0)
    texts = random_texts(200, length, rng)
    planted = []
    for i in range(100):
        words = texts[i].split()
        words[length // 2] += "x"
        planted.append(" ".join(words))
    found = pairs([*texts, *planted])
    near = [i for i in range(100) if jaccard(texts[i], planted[i]) >= THRESHOLD]
    assert len(near) > 90
    assert [(pair.earlier, pair.index) for pair in found] == [(i, 200 + i) for i in near]


def test_a_pair_within_the_file_and_one_between_files_are_both_found():
    text = "the parcel was left at the door of my neighbour"
    texts = [text, f"{text} a", f"{text} b", f"{text} c"]
    found = pairs(texts, [0, 0, 1, 1])
    assert {(pair.earlier < 2, pair.index) for pair in found} == {
        (True, 1), (True, 2), (True, 3), (False, 3),
    }  # fmt: skip


@pytest.mark.parametrize("texts", [[], ["a"], ["", "a"], ["a" * 5000, "a" * 5001]])
def test_few_texts_and_texts_of_any_length_are_compared(texts):
    assert len(pairs(texts)) == (len(texts[0]) > 1 if texts else 0)


@pytest.mark.parametrize("kind", ["template", "equal beginnings"])
def test_of_texts_that_are_all_alike_only_a_few_a_text_are_compared(kind, monkeypatch):
    num, compared = 600, []
    texts = random_texts(num, 12, np.random.default_rng(1))
    if kind == "template":
        texts = [f"your order number {i} was sent to the address you gave us" for i in range(num)]
    else:
        start = " ".join(WORDS[:30])
        texts = [f"{start} {text[:18]}" for text in texts]
    jaccard = near_duplicates._jaccard
    monkeypatch.setattr(
        near_duplicates, "_jaccard", lambda *sets: compared.append(sets) or jaccard(*sets)
    )
    found = pairs(texts, np.arange(num) // (num // 2))
    # All pairs would be 180,000; at most two in its file and two in others are computed.
    assert len(compared) <= 4 * num
    assert len(found) > num // 4


@given(st.lists(st.text("ab 中文é", max_size=9), min_size=1, max_size=5))
def test_the_hashes_of_all_texts_at_once_are_those_of_each(texts):
    hashes, counts = near_duplicates._shingle_hashes(texts)
    for text, part in zip(texts, np.split(hashes, np.cumsum(counts)[:-1]), strict=True):
        assert len(set(part.tolist())) == len(near_duplicates._shingles(text))
        assert part.tolist() == near_duplicates._shingle_hashes([text])[0].tolist()
        assert near_duplicates._shingles(text) == shingles(text)
