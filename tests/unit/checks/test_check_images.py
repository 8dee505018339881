"""Own images that are equal are found, within a file and between files."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from fixtures_errors import refused
from fixtures_images import TEST, bars, make_folder, make_idx, save

from lstm_cli import cli
from lstm_cli.checks import check_images
from lstm_cli.data.image_rows import are_images, read_image_rows
from lstm_cli.errors import ExitCode


def checked(*paths, **options):
    return check_images(read_image_rows([str(path) for path in paths]), **options)


def numbers(check):
    return {finding.kind: finding.num for finding in check.findings if finding.num}


def places(check, kind):
    finding = next(finding for finding in check.findings if finding.kind == kind)
    return [[row.place for row in group.rows] for group in finding.groups]


@pytest.fixture
def shapes(tmp_path):
    rng = np.random.default_rng(0)
    for split, num in {"train": 6, "test": 3}.items():
        for number in range(num):
            pixels = rng.integers(0, 256, (4, 6 + number), dtype=np.uint8)
            save(tmp_path / "shapes" / split / "ab"[number % 2] / f"{number}.png", pixels)
    return tmp_path / "shapes"


def copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(source.read_bytes())


def test_different_images_have_no_findings(shapes):
    check = checked(shapes)
    assert numbers(check) == {}
    assert [(file.name, file.num_rows, file.num_classes) for file in check.files] == [
        ("shapes/train", 6, 2), ("shapes/test", 3, 2),
    ]  # fmt: skip


def test_copies_are_found_by_content(shapes):
    copy(shapes / "train/a/0.png", shapes / "train/a/copy.png")
    copy(shapes / "train/a/2.png", shapes / "test/a/leak.png")
    copy(shapes / "train/b/1.png", shapes / "train/a/wrong.png")
    check = checked(shapes)
    assert numbers(check) == {"leak": 1, "conflict": 2, "duplicate": 2}
    assert places(check, "leak") == [["shapes/test/a/leak.png", "shapes/train/a/2.png"]]
    conflict = ["shapes/train/a/wrong.png", "shapes/train/b/1.png"]
    assert places(check, "conflict") == [conflict]
    assert ["shapes/train/a/0.png", "shapes/train/a/copy.png"] in places(check, "duplicate")


def test_empty_images_and_labels_that_look_alike_are_found(shapes):
    save(shapes / "train" / "A" / "0.png", np.full((4, 4), 7, np.uint8))
    check = checked(shapes)
    assert numbers(check) == {"labels": 2, "empty": 1}
    assert places(check, "empty") == [["shapes/train/A/0.png"]]


def test_rows_of_idx_files_have_numbers(tmp_path):
    images, labels = bars(6, shape=(8, 8))
    make_idx(tmp_path / "own", images, labels)
    make_idx(tmp_path / "own", images[4:], labels[4:], name=TEST)
    check = checked(tmp_path / "own")
    first = ["own/t10k-images-idx3-ubyte:1", "own/train-images-idx3-ubyte:5"]
    assert places(check, "leak")[0] == first


def test_two_folders_are_compared(tmp_path):
    train, test = make_folder(tmp_path / "train", 2), make_folder(tmp_path / "b" / "test", 2)
    assert numbers(checked(test, train)) == {"leak": 2}


def test_checks_of_texts_are_skipped_and_cannot_be_required(tmp_path):
    make_folder(tmp_path, 4)
    assert "near-duplicate" in dict(checked(tmp_path).skipped)
    for kind in ("near-leak", "mojibake", "leak"):
        assert refused(checked, tmp_path, required=[kind], code=ExitCode.USAGE).hint


def test_texts_and_images_are_not_checked_together(tmp_path):
    make_folder(tmp_path / "shapes", 4)
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    files = [str(tmp_path / "a.csv"), str(tmp_path / "shapes")]
    assert refused(are_images, files, code=ExitCode.USAGE).hint
    assert are_images(files[1:])
    assert not are_images(files[:1])


@pytest.fixture
def lstm(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        return cli.run(), capfd.readouterr().out

    return run


def test_the_command_prints_places_and_no_hashes(lstm, shapes):
    copy(shapes / "train/a/2.png", shapes / "test/a/leak.png")
    code, out = lstm("data", "check", shapes)
    assert code == 0
    assert "rows whose image is also in an earlier file" in out
    assert "shapes/test/a/leak.png" in out
    groups = json.loads(lstm("data", "check", shapes, "--json")[1])["findings"][0]["groups"]
    assert [row["text"] for row in groups[0]["rows"]] == ["", ""]
    assert lstm("data", "check", shapes, "--fail-on", "leak")[0] == ExitCode.THRESHOLD
