"""Folders: what is read, and what is not read is said."""

from __future__ import annotations

import pytest

from lstm_cli.data import DataSource, load
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.data.readers.folder import find_splits
from lstm_cli.data.rows import read_rows
from lstm_cli.errors import LstmError


def write_class(folder, names, text="a text"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text} {folder.name} {name}")


def write_split(folder, num=4):
    for label in ("bad", "good"):
        write_class(folder / label, [f"{i}.txt" for i in range(num)], folder.name)
    return folder


NAMES = [
    "0.txt", "1.TEXT", "2", "00003.7c53336b37003a9286aba55d2945844c", "sub/4.txt", "sub/deep/5",
]  # fmt: skip


def test_texts_have_several_suffixes_or_none_and_lie_at_any_depth(tmp_path):
    for label in ("bad", "good"):
        write_class(tmp_path / label, [*NAMES, "6.html", "7.html", ".hidden.txt", "8.pdf"])
        (tmp_path / label / "9").write_bytes(b"\x7fELF\0")
    dataset = load(DataSource(str(tmp_path)))
    assert sum(map(len, dataset.splits.values())) == 2 * len(NAMES)
    (note,) = [note for note in dataset.notes if "not read" in note]
    assert note.startswith(
        "8 files of train in class folders are not read: 4 .html, 2 .pdf, 2 binary file without"
    )
    (part,) = read_rows([str(tmp_path)])
    assert part.notes == (note,)
    assert sorted(part.rows)[:3] == ["bad/0.txt", "bad/00003.7c53336b37003a9286aba55d2945844c",
                                     "bad/1.TEXT"]  # fmt: skip
    assert part.place(list(part.rows).index("good/sub/deep/5")).endswith("/good/sub/deep/5")


def test_a_nested_file_is_part_of_the_fingerprint(tmp_path):
    path = write_split(tmp_path)
    (path / "good" / "sub").mkdir()
    found = set()
    for name in ("a.txt", "b.txt"):
        (path / "good" / "sub" / name).write_text("the same")
        found.add(load(DataSource(str(path)), ["train"]).fingerprint)
    (path / "good" / "sub" / "a.txt").unlink()
    found.add(load(DataSource(str(path)), ["train"]).fingerprint)
    assert len(found) == 3


def test_class_folders_of_equal_names_are_one_class(tmp_path):
    for name in ("caf\u00e9", "cafe\u0301", "bar"):
        write_class(tmp_path / name, [f"{name}{i}.txt" for i in range(4)])
    dataset = load(DataSource(str(tmp_path)))
    assert dataset.labels == ("bar", "caf\u00e9")
    assert "4 rows" in next(note for note in dataset.notes if "written differently" in note)


@pytest.mark.parametrize("name", ["dev", "val", "valid", "validation", "Dev"])
def test_a_folder_beside_train_is_the_validation_split(name, tmp_path):
    for split in ("train", name, "test"):
        write_split(tmp_path / split)
    dataset = load(DataSource(str(tmp_path)))
    assert all(text.startswith(name) for text in dataset.splits["validation"].inputs)
    assert [len(split) for split in dataset.splits.values()] == [8, 8, 8]
    assert dataset.notes == ()
    data = dataset_settings(str(tmp_path)).data
    assert data.validation_file == str(tmp_path / name)
    assert {part.name for part in read_rows([str(tmp_path)])} == {
        f"{tmp_path.name}/{split}" for split in ("train", name, "test")
    }


def test_a_validation_file_goes_first_and_what_is_not_read_is_said(tmp_path):
    for split in ("train", "dev", "extra"):
        write_split(tmp_path / split)
    write_class(tmp_path / "train" / "unsup", ["1.txt"])
    write_class(tmp_path, ["README"])
    other = write_split(tmp_path.parent / "other")
    dataset = load(DataSource(str(tmp_path), validation_file=other))
    assert dataset.splits["validation"].inputs[0].startswith("other")
    assert [note for note in dataset.notes if "ot read" in note] == [
        "Not read beside train: 'dev/', 'extra/', 'README'.",
        "Not read beside the classes of train: 'unsup/'.",
    ]


def test_with_folds_train_and_validation_are_divided(tmp_path):
    for split in ("train", "dev"):
        write_split(tmp_path / split)
    settings = dataset_settings(str(tmp_path), overrides={"data.folds": 5})
    assert settings.data.validation_file is None


def test_splits_are_not_mistaken_for_classes(tmp_path):
    for name in ("train", "test"):
        write_class(tmp_path / name, ["1.txt", "2.txt"])
    with pytest.raises(LstmError, match="named like splits") as caught:
        find_splits(tmp_path)
    assert "folder/train/positive/1.txt" in caught.value.hint
    write_class(tmp_path / "bus", ["1.txt"])  # a train is also a vehicle
    assert find_splits(tmp_path) == {"train": tmp_path}


def test_two_folders_of_one_split_are_refused(tmp_path):
    for name in ("train", "dev", "val"):
        write_split(tmp_path / name)
    with pytest.raises(LstmError, match="two folders for validation: 'val', 'dev'"):
        find_splits(tmp_path)
