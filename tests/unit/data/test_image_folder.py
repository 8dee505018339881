"""A folder with a subfolder of images for each class becomes a data set, or a clear error."""

from __future__ import annotations

import os

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_images import bars, make_folder, make_idx, save
from PIL import Image

from lstm_cli.data import DataSource, load, load_for_labels, resolve
from lstm_cli.data.readers import image_folder
from lstm_cli.errors import ExitCode


def read(path, **options):
    return load(DataSource(str(path), **options))


def all_images(data):
    return np.concatenate([np.asarray(split.inputs) for split in data.splits.values()])


def test_each_subfolder_is_a_class(tmp_path):
    data = read(make_folder(tmp_path / "shapes"))
    assert (data.name, data.kind, data.labels) == ("shapes", "image", ("column", "row"))
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 17, "validation": 2, "test": 5,
    }  # fmt: skip
    assert data.notes == ()
    images, _ = bars(24)
    assert sorted(map(bytes, all_images(data))) == sorted(map(bytes, images))
    for image, label in zip(data.splits["train"].inputs, data.splits["train"].labels, strict=True):
        assert (image.max(axis=0) > 0).all() == (data.labels[label] == "row")


def test_classes_that_are_numbers_are_sorted_as_numbers(tmp_path):
    images, labels = bars(24)
    for number, image in enumerate(images):
        save(tmp_path / str(8 + labels[number] * 2) / f"{number}.bmp", image)
    assert read(tmp_path).labels == ("8", "10")


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [("train", "dev", "test"), ("Train", "val", "Test"), ("training", "validation", "testing")],
)
def test_folders_of_splits_are_found(train, validation, test, tmp_path):
    make_folder(tmp_path / train, 12)
    make_folder(tmp_path / validation, 6, seed=1)
    make_folder(tmp_path / test, 4, seed=2)
    data = read(tmp_path)
    assert {name: len(split) for name, split in data.splits.items()} == {
        "train": 12, "validation": 6, "test": 4,
    }  # fmt: skip
    assert np.array_equal(
        sorted(map(bytes, data.splits["test"].inputs)), sorted(map(bytes, bars(4, seed=2)[0]))
    )


def test_a_class_may_be_called_train(tmp_path):
    make_folder(tmp_path, names=("train", "plane"))
    assert read(tmp_path).labels == ("plane", "train")


def test_a_folder_beside_train_that_is_no_split_is_said(tmp_path):
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "extra")
    (note,) = read(tmp_path).notes
    assert "extra" in note


def test_two_folders_of_one_split_are_refused(tmp_path):
    for name in ("train", "val", "dev"):
        make_folder(tmp_path / name)
    error = refused(read, tmp_path)
    assert "dev" in error.message
    assert "val" in error.message


def test_a_class_that_only_the_test_folder_has_is_named(tmp_path):
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "test", names=("row", "circle"))
    error = refused(read, tmp_path)
    assert "'circle'" in error.message
    assert str(tmp_path / "test") in error.message


# Sizes


def test_different_sizes_are_refused_and_two_files_named(tmp_path):
    make_folder(tmp_path, 20)
    large = save(tmp_path / "row" / "z.png", np.zeros((9, 7), np.uint8))
    error = refused(read, tmp_path)
    assert f"{large} has 9 and 7" in error.message.replace("columns, ", "")
    assert str(tmp_path / "column" / "001.png") in error.message
    assert "--image-size" in error.hint
    assert "image.size" in error.hint


def test_what_the_hint_says_works(tmp_path):
    make_folder(tmp_path, 20)
    save(tmp_path / "row" / "z.png", np.full((9, 7), 7, np.uint8))
    data = read(tmp_path, image_size=(4, 6))
    assert all_images(data).shape == (21, 4, 6)
    assert any("1 of 21 images" in note and "4 rows and 6 columns" in note for note in data.notes)
    kept = {bytes(image) for image in bars(20)[0]}
    assert kept <= {bytes(image) for image in all_images(data)}


def test_another_size_in_the_test_folder_is_refused(tmp_path):
    make_folder(tmp_path / "train")
    make_folder(tmp_path / "test", shape=(8, 6))
    error = refused(read, tmp_path)
    assert str(tmp_path / "test") in error.message
    assert "--image-size 4x6" in error.hint
    assert read(tmp_path, image_size=(4, 6)).splits["test"].inputs.shape == (24, 4, 6)


def test_large_images_need_a_size(tmp_path):
    for number in range(3):
        save(tmp_path / "a" / f"{number}.png", np.zeros((3, 1025), np.uint8))
        save(tmp_path / "b" / f"{number}.png", np.full((3, 1025), 9, np.uint8))
    assert "1,025" in refused(read, tmp_path).message
    assert all_images(read(tmp_path, image_size=(3, 32))).shape == (6, 3, 32)


def test_more_pixels_than_memory_are_refused_before_they_are_read(tmp_path, monkeypatch):
    make_folder(tmp_path)
    monkeypatch.setattr(image_folder, "MAX_BYTES", 24 * 4 * 6 - 1)
    error = refused(read, tmp_path)
    assert "24 images" in error.message
    monkeypatch.setattr(image_folder, "MAX_BYTES", 24 * 4 * 6)
    read(tmp_path)


# Files


def test_a_damaged_image_is_named(tmp_path):
    make_folder(tmp_path)
    file = tmp_path / "row" / "000.png"
    file.write_bytes(file.read_bytes()[:40])
    assert str(file) in refused(read, tmp_path).message


def test_a_broken_link_is_named(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "row" / "z.png").symlink_to(tmp_path / "gone.png")
    error = refused(read, tmp_path, code=ExitCode.DATA)
    assert str(tmp_path / "row" / "z.png") in error.message


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    make_folder(tmp_path)
    os.mkfifo(tmp_path / "row" / "z.png")
    refused(read, tmp_path, code=ExitCode.DATA)


def test_files_of_other_types_are_counted(tmp_path):
    make_folder(tmp_path)
    for name in ("row/a.json", "row/b.json", "column/c.db", "labels.csv", "row/.hidden.json"):
        (tmp_path / name).write_text("x")
    (note,) = read(tmp_path).notes
    assert note.startswith("4 files")
    assert ".json 2, .csv 1, .db 1" in note


def test_images_beside_and_below_class_folders_are_said(tmp_path):
    make_folder(tmp_path)
    save(tmp_path / "loose.png", bars(1)[0][0])
    save(tmp_path / "row" / "more" / "1.png", bars(1)[0][0])
    data = read(tmp_path)
    assert len(all_images(data)) == 25
    nested, beside = data.notes
    assert str(tmp_path / "row" / "more" / "1.png") in nested
    assert str(tmp_path / "loose.png") in beside


def test_colours_and_frames_are_said(tmp_path):
    make_folder(tmp_path)
    red = np.zeros((4, 6, 3), np.uint8)
    red[1, :, 0] = 255
    save(tmp_path / "row" / "red.jpg", red)
    frames = [Image.fromarray(image) for image in bars(2)[0]]
    save(tmp_path / "row" / "two.gif", frames[0], save_all=True, append_images=frames[1:])
    coloured, several = read(tmp_path).notes
    assert "1 of 26 images" in coloured
    assert several.startswith("1 file ")


def test_an_empty_class_folder_is_refused_and_what_it_holds_said(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "blue").mkdir()
    (tmp_path / "blue" / "1.heic").write_bytes(b"x")
    error = refused(read, tmp_path)
    assert str(tmp_path / "blue") in error.message
    assert ".heic 1" in error.message


def test_texts_and_images_in_one_folder_are_refused(tmp_path):
    make_folder(tmp_path)
    (tmp_path / "column" / "note.txt").write_text("hello")
    error = refused(read, tmp_path)
    assert str(tmp_path / "column" / "note.txt") in error.message
    assert ".png" in error.message
    assert "both" in error.message
    (tmp_path / "column" / "note.txt").rename(tmp_path / "note.txt")
    assert len(all_images(read(tmp_path))) == 24


def test_one_image_among_texts_is_refused_too(tmp_path):
    for label in ("good", "bad"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.txt").write_text(f"a {label} film")
    assert resolve(str(tmp_path)) == "folder"
    save(tmp_path / "good" / "2.png", bars(1)[0][0])
    assert "both" in refused(resolve, str(tmp_path)).message


def test_one_class_is_refused(tmp_path):
    make_folder(tmp_path, names=("row", "row"))
    assert "one class" in refused(read, tmp_path).message


# Content


def test_the_fingerprint_follows_the_content_and_the_size(tmp_path):
    first = read(make_folder(tmp_path / "a")).fingerprint
    assert read(make_folder(tmp_path / "b")).fingerprint == first
    assert read(tmp_path / "a", image_size=(4, 6)).fingerprint != first
    save(tmp_path / "b" / "row" / "000.png", np.zeros((4, 6), np.uint8))
    assert read(tmp_path / "b").fingerprint != first


def test_the_fingerprint_is_of_what_training_reads(tmp_path):
    for name in ("train", "dev", "test"):
        make_folder(tmp_path / name, 6)
    before = read(tmp_path).fingerprint
    save(tmp_path / "test" / "row" / "000.png", np.full((4, 6), 9, np.uint8))
    assert read(tmp_path).fingerprint == before
    save(tmp_path / "dev" / "row" / "000.png", np.full((4, 6), 9, np.uint8))
    assert read(tmp_path).fingerprint != before


def test_examples_have_the_names_of_their_files(tmp_path):
    data = read(make_folder(tmp_path))
    for name, image in zip(data.splits["train"].ids, data.splits["train"].inputs, strict=True):
        assert np.array_equal(np.asarray(Image.open(tmp_path / name)), image)


def test_a_name_with_invalid_bytes_can_be_written(tmp_path):
    make_folder(tmp_path)
    file = tmp_path / "row" / "000.png"
    file.rename(os.fsdecode(os.fsencode(tmp_path / "row") + b"/\xff.png"))
    splits = read(tmp_path).splits.values()
    names = [name for split in splits for name in split.ids]
    assert "row/\\udcff.png" in names
    assert "".join(names).encode()


def test_a_limit_keeps_all_classes(tmp_path):
    data = read(make_folder(tmp_path), limit=6)
    assert len(data.splits["train"]) == 6
    assert set(data.splits["train"].labels.tolist()) == {0, 1}


def test_files_of_other_splits_can_be_named(tmp_path):
    make_folder(tmp_path / "shapes", 12)
    make_folder(tmp_path / "more" / "train", 8, seed=1)
    make_folder(tmp_path / "more" / "test", 6, seed=2)
    idx = make_idx(tmp_path / "idx", *bars(4))
    data = read(tmp_path / "shapes", test_file=tmp_path / "more")
    assert np.array_equal(
        sorted(map(bytes, data.splits["test"].inputs)), sorted(map(bytes, bars(6, seed=2)[0]))
    )
    refused(read, tmp_path / "shapes", test_file=idx)  # its classes are numbers
    error = refused(read, tmp_path / "shapes", test_file=tmp_path / "no", code=ExitCode.DATA)
    assert "--test" in error.hint
    (tmp_path / "a.csv").write_text("text,label\na,row\n")
    error = refused(read, tmp_path / "shapes", validation_file=tmp_path / "a.csv")
    assert "--validation" in error.hint


def test_another_folder_is_read_whole_with_the_labels_of_a_run(tmp_path):
    make_folder(tmp_path, 6, shape=(8, 12))
    source = DataSource(str(tmp_path), image_size=(4, 6))
    data = load_for_labels(source, ("circle", "row", "column"))
    assert data.splits["test"].inputs.shape == (6, 4, 6)
    assert sorted(data.splits["test"].labels.tolist()) == [1, 1, 1, 2, 2, 2]
    assert "'column'" in refused(load_for_labels, source, ("row",)).message


def test_a_size_for_other_data_is_refused():
    assert "image.size" in refused(read, "digits", image_size=(8, 8), code=ExitCode.USAGE).message
