"""Own images from a folder to a run: settings, notes, and the same data afterwards."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from fixtures_images import bars, make_folder, save

from lstm_cli.data import DataSource
from lstm_cli.data.dataset_settings import dataset_settings
from lstm_cli.evaluation import evaluate
from lstm_cli.io.progress import SilentReporter
from lstm_cli.training import pipeline
from lstm_cli.training.auto_settings import with_auto_settings
from lstm_cli.training.prepare import load_training_data


class Notes(SilentReporter):
    def __init__(self):
        self.lines = []

    def note(self, text):
        self.lines.append(text)


def chosen(path, **overrides):
    notes = Notes()
    config = dataset_settings(str(path), None, overrides)
    config, _ = with_auto_settings(config, load_training_data(config, None), None, notes)
    return config, notes.lines


def test_settings_are_chosen_and_said(tmp_path):
    make_folder(tmp_path / "shapes", 20, shape=(16, 40))
    config, lines = chosen(tmp_path / "shapes")
    assert (config.image.border, config.image.shift, config.data.folds) == ("dark", 1, 5)
    assert lines[0] == (
        "Settings chosen for 16 images of 16 x 40 pixels (rows x columns), 2 classes:"
    )
    assert any("border=dark, shift=1" in line for line in lines)


def test_the_border_is_that_of_train_and_validation(tmp_path):
    make_folder(tmp_path / "train", 20)
    make_folder(tmp_path / "dev", 8, seed=1)
    save(tmp_path / "test" / "row" / "0.png", np.full((4, 6), 255, np.uint8))
    config, _ = chosen(tmp_path)
    assert (config.image.border, config.data.folds, config.train.refit) == ("dark", 0, False)
    save(tmp_path / "dev" / "row" / "paper.png", np.full((4, 6), 255, np.uint8))
    assert chosen(tmp_path)[0].image.border == "any"
    assert chosen(tmp_path, **{"image.border": "bright"})[0].image.border == "bright"


def test_a_folder_becomes_a_run_that_reads_it_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate, "draw_results", lambda *_: [])
    shapes = make_folder(tmp_path / "shapes", 30)
    for image, name in zip(bars(2, seed=9)[0], ("row", "column"), strict=True):
        save(shapes / name / "paper.png", 255 - image)
    settings = {"model.units": 3, "train.epochs": 2, "data.folds": 0, "train.refit": False}
    config = dataset_settings(str(shapes), None, {**settings, "image.border": "dark"})
    run = pipeline.train(config, runs_dir=tmp_path / "runs", name="a", device="cpu")
    # Training inverts what prediction inverts.
    own = evaluate.evaluate(run).report
    assert own.loss == pytest.approx(run.read_json("metrics.json")["test"]["loss"], rel=1e-5)
    shutil.copytree(shapes, tmp_path / "copy")
    notes = Notes()
    found = evaluate.evaluate(run, DataSource(str(tmp_path / "copy")), reporter=notes)
    assert found.report == own
    assert "copy of the data" in notes.lines[0]
