"""IDX files, as MNIST comes, become a data set; each malformed one is a clear error."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_images import TEST, TRAIN, bars, idx_bytes, make_idx

from lstm_cli.data import DataSource, load
from lstm_cli.data.readers import idx
from lstm_cli.data.registry import open_raw, resolve
from lstm_cli.errors import ExitCode

IMAGES, LABELS = bars(20)


def read(path, **options):
    return load(DataSource(str(path), **options))


def make_mnist(folder, **options):
    make_idx(folder, IMAGES, LABELS, **options)
    return make_idx(folder, *bars(6, seed=1), name=TEST, **options)


@pytest.mark.parametrize("packed", [False, True])
def test_the_files_of_a_folder_are_its_splits(packed, tmp_path):
    make_mnist(tmp_path / "own", packed=packed)
    data = read(tmp_path / "own")
    assert (data.name, data.kind, data.labels, data.notes) == ("own", "image", ("0", "1"), ())
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 18, "validation": 2, "test": 6,
    }  # fmt: skip
    images, labels = bars(6, seed=1)
    assert np.array_equal(data.splits["test"].inputs, images)
    assert np.array_equal(data.splits["test"].labels, labels)


def test_packing_does_not_change_the_data(tmp_path):
    make_mnist(tmp_path / "own")
    make_mnist(tmp_path / "packed" / "own", packed=True)
    assert read(tmp_path / "own").fingerprint == read(tmp_path / "packed" / "own").fingerprint


@pytest.mark.parametrize("name", [TRAIN, "train-images.idx3-ubyte", "emnist-letters-images-idx3"])
def test_one_images_file_is_read_with_the_labels_beside_it(name, tmp_path):
    path = make_idx(tmp_path, IMAGES, LABELS + 7, name=name)
    data = read(path)
    assert data.labels == ("7", "8")
    assert sum(map(len, data.splits.values())) == 20


def test_content_decides_what_is_packed(tmp_path):
    path = make_idx(tmp_path, IMAGES, LABELS, packed=True)
    path.rename(path.with_suffix(""))
    assert len(read(tmp_path).splits["train"]) == 14


def test_a_packed_copy_beside_the_file_is_said(tmp_path):
    make_idx(tmp_path, IMAGES, LABELS)
    make_idx(tmp_path, IMAGES, LABELS, packed=True)
    (note,) = read(tmp_path).notes
    assert f"{TRAIN}.gz" in note


def test_a_size_scales_the_images(tmp_path):
    make_idx(tmp_path, IMAGES, LABELS)
    data = read(tmp_path, image_size=(8, 8))
    assert data.splits["train"].inputs.shape == (14, 8, 8)
    assert "20 images" in data.notes[0]


def test_a_test_file_can_be_named(tmp_path):
    path = make_idx(tmp_path / "a", IMAGES, LABELS)
    test = make_idx(tmp_path / "b", *bars(4), name=TEST)
    assert len(read(path, test_file=test).splits["test"]) == 4


# Malformed files


def written(tmp_path, content, labels=LABELS):
    path = make_idx(tmp_path, IMAGES, labels)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx_bytes(IMAGES)[:-1], "ends after 479"),
        (idx_bytes(IMAGES) + b"\0", "goes on"),
        (idx_bytes(IMAGES)[:9], "header"),
        (idx_bytes(IMAGES, sizes=(20, 0, 24)), "0 rows"),
        (idx_bytes(IMAGES, sizes=(20, 4, 2**31)), "columns"),
        (idx_bytes(IMAGES, sizes=(2**32 - 1, 4096, 4096)), "GiB"),
        (idx_bytes(IMAGES, magic=0x0D03), "floats in 3 dimensions"),
        (idx_bytes(IMAGES[..., None]), "bytes in 4 dimensions"),
        (idx_bytes(LABELS), "holds labels"),
        (gzip.compress(idx_bytes(IMAGES))[:-9], "damaged"),
        (gzip.compress(idx_bytes(IMAGES))[:-6] + b"123456", "damaged"),
        (gzip.compress(idx_bytes(IMAGES) + bytes(50_000_000)), "goes on"),
    ],
)
def test_a_malformed_images_file_is_named_with_the_reason(content, words, tmp_path):
    path = written(tmp_path, content)
    error = refused(read, path)
    assert str(path) in error.message
    assert words in error.message
    assert error.hint


def test_a_file_that_says_more_than_it_holds_takes_no_memory(tmp_path):
    path = written(tmp_path, idx_bytes(IMAGES[:0], sizes=(60_000, 256, 256)))
    assert "ends after 0" in refused(read, path).message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (idx_bytes(LABELS[:-1]), "20 images"),
        (idx_bytes(LABELS, sizes=(21,)), "ends after 20"),
        (idx_bytes(LABELS) + b"\0", "goes on"),
        (idx_bytes(IMAGES), "holds images"),
        (b"\0\0\x08", "header"),
        (b"label\n0\n", "magic number 0x00000801"),
    ],
)
def test_a_malformed_labels_file_is_named(content, words, tmp_path):
    path = make_idx(tmp_path, IMAGES, LABELS)
    labels = idx.find_labels(path)
    labels.write_bytes(content)
    error = refused(read, path)
    assert str(labels) in error.message
    assert words in error.message


def test_missing_files_are_named(tmp_path):
    path = make_idx(tmp_path, IMAGES, LABELS)
    idx.find_labels(path).unlink()
    error = refused(read, path, code=ExitCode.DATA)
    assert "train-labels-idx1-ubyte" in error.message
    path.rename(tmp_path / "pictures")
    assert "images" in refused(read, tmp_path / "pictures").message


def test_files_one_folder_further_down_are_found_and_their_folder_named(tmp_path):
    make_mnist(tmp_path / "MNIST" / "raw")
    error = refused(read, tmp_path / "MNIST", code=ExitCode.USAGE)
    assert str(tmp_path / "MNIST" / "raw") in error.message
    assert read(tmp_path / "MNIST" / "raw").labels == ("0", "1")


def test_a_test_file_alone_is_not_trained_on(tmp_path):
    make_idx(tmp_path, IMAGES, LABELS, name=TEST)
    assert "train-images-idx3-ubyte" in refused(read, tmp_path).hint


def test_two_files_of_one_split_are_refused_and_one_can_be_named(tmp_path):
    path = make_idx(tmp_path, IMAGES, LABELS, name="emnist-a-train-images-idx3-ubyte")
    make_idx(tmp_path, IMAGES, LABELS, name="emnist-b-train-images-idx3-ubyte")
    assert path.name in refused(read, tmp_path).message
    read(path)


def test_a_class_that_train_does_not_have_is_named(tmp_path):
    make_idx(tmp_path, IMAGES, LABELS)
    make_idx(tmp_path, IMAGES, LABELS + 1, name=TEST)
    assert "'2'" in refused(read, tmp_path).message


def test_no_images_are_refused(tmp_path):
    make_idx(tmp_path, IMAGES[:0], LABELS[:0])
    assert "no class" in refused(read, tmp_path).message


@pytest.mark.parametrize("content", [b"", b"\0\0", b"\0\0\x08\x05", b"text", b"\x1f\x8bx"])
def test_other_files_are_not_idx(content, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not idx.is_idx(path)
    # By its name it is one, and what is wrong with it is said.
    path = path.rename(tmp_path / TRAIN)
    assert resolve(str(path)) == "images"
    assert str(path) in refused(read, path).message


@pytest.mark.slow
@pytest.mark.realdata("mnist")
def test_mnist_as_idx_files_is_the_data_of_the_preset(tmp_path):
    parts = {name: read() for name, read in open_raw(DataSource("mnist")).read.items()}
    for name, part in {TRAIN: parts["train"], TEST: parts["test"]}.items():
        make_idx(tmp_path, np.asarray(part.inputs), part.labels.astype(np.uint8), name=name)
    own, preset = read(tmp_path), read("mnist")
    assert own.labels == preset.labels
    assert len(own.splits["train"]) == 54_000
    for name, split in preset.splits.items():
        assert np.array_equal(own.splits[name].inputs, split.inputs)
        assert np.array_equal(own.splits[name].labels, split.labels)
