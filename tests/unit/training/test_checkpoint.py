"""Checkpoints: restored exactly, the last two kept, damaged ones reported and skipped."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from fixtures_checkpoints import WarningRecorder, newest, state

from lstm_cli.errors import LstmError
from lstm_cli.training import checkpoint
from lstm_cli.training.checkpoint import Checkpoint


def saved(folder, num):
    for number in range(1, num + 1):
        checkpoint.save(folder, state(number))
    return sorted(path.name for path in folder.iterdir())


def test_a_checkpoint_is_restored_bit_by_bit(tmp_path):
    checkpoint.save(tmp_path / "checkpoints", state(7))
    assert newest(tmp_path / "checkpoints") == 7


def test_numbers_that_json_cannot_write_are_restored(tmp_path):
    odd = np.array([np.nan, np.inf, -0.0, 1e-45], np.float32)
    checkpoint.save(tmp_path, Checkpoint({"odd": odd}, {"best": 5e-324, "none": None}))
    found = checkpoint.newest(tmp_path, WarningRecorder())
    assert found.tensors["odd"].tobytes() == odd.tobytes()
    assert found.progress == {"best": 5e-324, "none": None}


def test_the_last_two_checkpoints_are_kept(tmp_path):
    names = [f"{n:06d}{suffix}" for n in (4, 5) for suffix in (".json", ".safetensors")]
    assert saved(tmp_path, 5) == names
    assert newest(tmp_path) == 5


def test_checkpoint_1000000_is_newer_than_999999(tmp_path):
    checkpoint.save(tmp_path, state(1))
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"000001{suffix}").rename(tmp_path / f"999999{suffix}")
    checkpoint.save(tmp_path, state(2))
    assert newest(tmp_path) == 2


def test_an_empty_folder_has_no_checkpoint(tmp_path):
    assert newest(tmp_path / "none") is None
    assert newest(tmp_path) is None


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _lengthen(path):
    path.write_bytes(path.read_bytes() + b"\0")


def _empty(path):
    path.write_bytes(b"")


def _remove(path):
    path.unlink()


def _become_a_folder(path):
    path.unlink()
    path.mkdir()


def _swap_for_the_older(path):
    path.write_bytes(path.with_stem("000001").read_bytes())


DAMAGES = [_flip, _cut, _lengthen, _empty, _become_a_folder, _swap_for_the_older]


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(damage, suffix, tmp_path):
    saved(tmp_path, 2)
    damage(tmp_path / f"000002{suffix}")
    reporter = WarningRecorder()
    assert newest(tmp_path, reporter) == 1
    (warning,) = reporter.warnings
    assert "Checkpoint 2" in warning
    assert str(tmp_path.parent) in warning


RECORDS = ["", "{", "[]", "null", "5", '{"body": 5, "sha256": ""}', '{"body": "{}"}', "[" * 100_000]
RECORDS += ['{"body": "\\ud800", "sha256": ""}', "\0", "é"]


@pytest.mark.parametrize("record", RECORDS)
def test_an_invalid_record_is_skipped(record, tmp_path):
    saved(tmp_path, 2)
    (tmp_path / "000002.json").write_text(record, "latin-1")
    assert newest(tmp_path) == 1


def test_every_flipped_bit_is_detected(tmp_path):
    saved(tmp_path, 2)
    for suffix in (".json", ".safetensors"):
        path = tmp_path / f"000002{suffix}"
        content = path.read_bytes()
        for bit in range(0, 8 * len(content), 7):
            flipped = bytearray(content)
            flipped[bit // 8] ^= 1 << bit % 8
            path.write_bytes(flipped)
            # Not `newest`, which removes damaged checkpoints.
            try:
                found = checkpoint._read(tmp_path, 2)
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                continue
            assert found.progress == state(2).progress, f"bit {bit} of {path.name}"
        path.write_bytes(content)


def test_a_damaged_checkpoint_does_not_count_among_the_two_kept(tmp_path):
    saved(tmp_path, 3)
    _flip(tmp_path / "000003.safetensors")
    assert newest(tmp_path) == 2
    checkpoint.save(tmp_path, state(4))
    assert newest(tmp_path) == 4
    _flip(max(tmp_path.glob("*.safetensors")))
    assert newest(tmp_path) == 2


def test_new_checkpoints_are_kept_after_all_were_damaged(tmp_path):
    saved(tmp_path, 2)
    for path in tmp_path.glob("*.safetensors"):
        _cut(path)
    reporter = WarningRecorder()
    assert newest(tmp_path, reporter) is None
    assert len(reporter.warnings) == 2
    checkpoint.save(tmp_path, state(1))
    checkpoint.save(tmp_path, state(2))
    assert newest(tmp_path) == 2
    assert len(list(tmp_path.iterdir())) == 4


def test_tensors_without_a_record_are_ignored_and_removed(tmp_path):
    saved(tmp_path, 2)
    (tmp_path / "000003.safetensors").write_bytes(b"a process was killed here")
    (tmp_path / "notes.txt").write_text("mine")
    assert newest(tmp_path) == 2
    checkpoint.save(tmp_path, state(3))
    assert newest(tmp_path) == 3
    checkpoint.remove_old(tmp_path, 1)
    assert len(list(tmp_path.glob("00*"))) == 2
    assert (tmp_path / "notes.txt").exists()


@pytest.mark.parametrize("name", ["1.json", "²²²²²².json", "-00001.json", "last.json", "9" * 200])
def test_other_files_are_not_removed(name, tmp_path):
    saved(tmp_path, 1)
    (tmp_path / name).write_text("not ours")
    checkpoint.save(tmp_path, state(2))
    checkpoint.remove_old(tmp_path, 1)
    assert newest(tmp_path) == 2
    assert (tmp_path / name).read_text() == "not ours"


def test_an_unreadable_folder_is_an_error(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where a folder should be")
    for call in (
        lambda: newest(tmp_path / "checkpoints"),
        lambda: checkpoint.save(tmp_path / "checkpoints", state(1)),
    ):
        with pytest.raises(LstmError, match="checkpoints"):
            call()


def test_the_error_names_a_checkpoint_that_cannot_be_removed(tmp_path):
    saved(tmp_path, 2)
    _become_a_folder(tmp_path / "000001.safetensors")
    with pytest.raises(LstmError, match=r"Cannot remove .*000001\.safetensors"):
        checkpoint.save(tmp_path, state(3))
    assert newest(tmp_path) == 3


def test_the_record_is_written_after_the_tensors_and_removed_before_them(tmp_path, monkeypatch):
    order = []
    write, unlink = checkpoint.write_atomic, type(tmp_path).unlink

    def writing(path, content, hint=""):
        order.append(f"write {path.name}")
        write(path, content)

    def removing(path, missing_ok=False):
        order.append(f"remove {path.name}")
        unlink(path, missing_ok)

    saved(tmp_path, 2)
    monkeypatch.setattr(checkpoint, "write_atomic", writing)
    monkeypatch.setattr(type(tmp_path), "unlink", removing)
    checkpoint.save(tmp_path, state(3))
    names = ("000003.safetensors", "000003.json", "000001.json", "000001.safetensors")
    assert order == [f"{'write' if n.startswith('000003') else 'remove'} {n}" for n in names]


def test_no_two_checkpoints_share_a_file_even_after_a_kill(tmp_path):
    saved(tmp_path, 2)
    os.link(tmp_path / "000002.safetensors", tmp_path / "kept")
    (tmp_path / "000002.json").unlink()
    checkpoint.save(tmp_path, state(3))
    assert newest(tmp_path) == 3
    assert json.loads((tmp_path / "000002.json").read_text())["sha256"]
