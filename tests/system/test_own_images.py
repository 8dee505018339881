"""Commands on own images: predict, explain and eval read them by one rule."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fixtures_images import bars, make_folder, make_idx, save
from fixtures_runs import make_image_run

import lstm_cli
from lstm_cli import cli
from lstm_cli.evaluation import evaluate
from lstm_cli.prediction.predictor import Predictor

STROKE = np.zeros((8, 8), np.uint8)
STROKE[2:6, 3:5] = 200


@pytest.fixture
def lstm(monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lstm", *map(str, arguments)])
        return cli.run(), *capfd.readouterr()

    return run


@pytest.fixture
def run():
    """A run whose training images had a dark border."""
    root = Path(os.environ["LSTM_RUNS_DIR"])
    labels = ("row", "column", "blob")
    return make_image_run(root / "shapes" / "a", labels=labels, image__border="dark")


@pytest.fixture
def new(tmp_path):
    """A folder of images as people have them."""
    save(tmp_path / "new" / "b.png", STROKE)
    save(tmp_path / "new" / "more" / "a.png", STROKE.T)
    save(tmp_path / "new" / "paper.png", 255 - STROKE)
    (tmp_path / "new" / "bad.png").write_bytes(b"no image")
    (tmp_path / "new" / "notes.md").write_text("x")
    return tmp_path / "new"


def probabilities(run, *images):
    return Predictor.load(run).probabilities(np.stack(images))


def test_a_folder_gives_a_record_for_each_image(lstm, run, new):
    code, out, err = lstm("predict", "--run", "shapes", new, "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    names = [record["file"] for record in records]
    assert code == 0
    assert names == [str(new / n) for n in ("b.png", "bad.png", "paper.png", "more/a.png")]
    found = [record["prediction"].get("probabilities") for record in records]
    assert found[1] is None
    assert "bad.png" in records[1]["prediction"]["error"]
    expected = probabilities(run, STROKE, STROKE, STROKE.T)
    for record, row in zip([found[0], *found[2:]], expected, strict=True):
        assert list(record.values()) == pytest.approx(row.tolist(), abs=1e-6)
    assert "1 file of other types" in err
    assert ".md 1" in err
    assert "1 of 3 images has a bright border" in err
    assert lstm("predict", "--run", "shapes", "--file", new, "--format", "jsonl")[1] == out


def test_a_file_has_one_name_in_each_line(lstm, run, new, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a,b.png", STROKE)
    Path("list.csv").write_text("new/b.png\na,b.png\n\nnew/gone.png\n")
    code, out, err = lstm("predict", "--run", "shapes", "--file", "list.csv")
    first, second, empty, gone = [line.split("\t") for line in out.splitlines()]
    assert code == 0
    assert first == second
    assert (empty[0], gone[0]) == ("", "")
    assert "empty line" in empty[-1]
    assert "new/gone.png" in gone[-1]
    assert "2 of 4 records" in err


def test_a_folder_without_images_is_refused(lstm, run, tmp_path):
    (tmp_path / "a.txt").write_text("x")
    code, _, err = lstm("predict", "--run", "shapes", tmp_path)
    assert code == 1
    assert ".txt 1" in err


def test_the_border_counts_alike_in_all_places(lstm, run, tmp_path, monkeypatch):
    expected = probabilities(run, STROKE)[0]
    assert np.array_equal(probabilities(run, 255 - STROKE)[0], expected)
    model = lstm_cli.load(run.path)
    paper = 255 - STROKE
    assert model.predict(paper[None])[0].probabilities == pytest.approx(
        dict(zip(model.labels, expected.tolist(), strict=True))
    )
    assert np.array_equal(model.explain(paper).image, STROKE)
    path = save(tmp_path / "paper.png", paper)
    code, out, err = lstm("explain", "--run", "shapes", path, "--format", "json")
    assert code == 0
    assert json.loads(out)["image"] == STROKE.tolist()
    assert "inverted" in err
    stream = SimpleNamespace(buffer=io.BytesIO(path.read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)
    found = json.loads(lstm("explain", "--run", "shapes", "-", "--format", "json")[1])
    assert found["image"] == STROKE.tolist()


def test_eval_scales_and_inverts_other_images(lstm, run, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "draw_results", lambda *_: [])
    images, labels = bars(6, shape=(16, 16))
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        save(tmp_path / "other" / ("row", "column")[label] / f"{number}.png", 255 - image)
    code, out, err = lstm("eval", tmp_path / "other", "--run", "shapes", "--json")
    assert code == 0
    assert json.loads(out)["num_examples"] == 6
    assert "scaled to 8 rows and 8 columns" in err
    assert "6 of 6 images have a bright border" in err


def test_eval_refuses_classes_that_the_run_does_not_know(lstm, run, tmp_path):
    path = make_idx(tmp_path, *bars(4))
    code, _, err = lstm("eval", path, "--run", "shapes")
    assert code == 1
    assert "'0'" in err


def test_data_show_draws_and_resizes(lstm, tmp_path):
    make_folder(tmp_path / "shapes", 12, shape=(200, 150))
    code, out, _ = lstm("data", "show", tmp_path / "shapes")
    assert code == 0
    assert "200 rows and 150 columns" in out
    assert max(map(len, out.splitlines())) <= 100
    out = lstm("data", "show", tmp_path / "shapes", "--image-size", "8x6")[1]
    assert "8 rows and 6 columns" in out


@pytest.mark.parametrize("size", ["8", "0x8", "8x2000", "8x8x8", "axb"])
def test_an_image_size_that_is_none_is_refused(size, lstm, tmp_path):
    make_folder(tmp_path / "shapes", 4)
    code, _, err = lstm("data", "show", tmp_path / "shapes", "--image-size", size)
    assert code == 2
    assert "ROWSxCOLUMNS" in err


@pytest.mark.parametrize("options", [["--text-column", "a"], ["--encoding", "latin-1"]])
def test_options_for_tables_are_refused(options, lstm, tmp_path):
    make_folder(tmp_path / "shapes", 4)
    code, _, err = lstm("data", "show", tmp_path / "shapes", *options)
    assert code == 2
    assert options[0] in err


def test_an_image_size_for_texts_is_refused(lstm, tmp_path):
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    for command in (["data", "show"], ["train"]):
        code, _, err = lstm(*command, tmp_path / "a.csv", "--image-size", "8x8")
        assert code == 2
        assert "--image-size" in err
