"""Folds: every example once, each class in equal parts, by seed."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data.dataset import Split
from lstm_cli.data.splits import concatenate, stratified_folds


@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(2, 7), st.integers(0, 1000)
)
def test_folds_have_equal_sizes_in_all_and_of_each_class(labels, num_folds, seed):
    labels = np.array(labels, np.int32)
    folds = stratified_folds(labels, num_folds, seed)
    for part in (folds, *(folds[labels == label] for label in set(labels.tolist()))):
        sizes = np.bincount(part, minlength=num_folds)
        assert len(sizes) == num_folds
        assert sizes.max() - sizes.min() <= 1


def test_folds_depend_on_the_seed_alone():
    labels = np.arange(60, dtype=np.int32) % 3
    first = stratified_folds(labels, 5, 0)
    assert np.array_equal(first, stratified_folds(labels, 5, 0))
    assert not np.array_equal(first, stratified_folds(labels, 5, 1))


def test_splits_are_joined_in_order():
    joined = concatenate(Split(["a", "b"], np.array([0, 1])), Split(["c"], np.array([1])))
    assert joined.inputs == ["a", "b", "c"]
    assert joined.labels.tolist() == [0, 1, 1]
    images = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    both = concatenate(Split(images, np.array([0, 1])), Split(images[:1], np.array([1])))
    assert np.array_equal(both.inputs, images[[0, 1, 0]])
