"""The table of training progress is aligned, fits narrow terminals, and is plain in logs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lstm_cli.cli import progress_table as table
from lstm_cli.cli import reporter as reporters
from lstm_cli.io.progress import Epoch, Fold, Step

EPOCH = Epoch(
    epoch=12, steps=350, loss=0.4512, accuracy=0.7812, val_loss=0.3012, val_accuracy=0.8812,
    learning_rate=0.001, seconds=725.04, best=True,
)  # fmt: skip
FIRST = replace(EPOCH, epoch=1, best=False, loss=10.5, seconds=1.0)
WORDS = replace(EPOCH, accuracy=None, val_accuracy=None, loss=6.4512, val_loss=7.1234)
REFIT = replace(EPOCH, val_loss=None, val_accuracy=None)
STEP = Step(12, 50, 1200, 3500, 0.4512, 0.7812, 12_345.0, 725.0)
FOLD = Fold(2, 10, 1200, 300, 3, 6, 0.51, 0.7, 12.0)


def rows(*epochs):
    columns = table.epoch_columns(epochs[0].accuracy is not None, epochs[0].val_loss is not None)
    return [table.header(columns), *(table.row(columns, table.epoch_cells(e, 50)) for e in epochs)]


def test_rows_stand_below_their_headings():
    assert rows(FIRST, EPOCH) == [
        "epoch     loss  accuracy  val loss  val accuracy  seconds",
        " 1/50  10.5000    0.7812    0.3012        0.8812      1.0",
        "12/50   0.4512    0.7812    0.3012        0.8812    725.0  best",
    ]


def test_a_language_model_has_a_perplexity():
    header, row = rows(WORDS)
    assert header.split() == [
        "epoch",
        "loss",
        "perplexity",
        "val",
        "loss",
        "val",
        "perplexity",
        "seconds",
    ]
    assert row.split() == ["12/50", "6.4512", "633.5", "7.1234", "1,240.7", "725.0", "best"]
    assert max(map(len, (header, row))) <= 80


def test_an_epoch_without_validation_has_no_columns_for_it():
    header, row = rows(REFIT)
    assert "val" not in header
    assert "best" not in row


def test_an_epoch_that_runs_has_the_columns_of_those_before():
    columns = table.epoch_columns(True, True)
    assert table.row(columns, table.step_cells(STEP)) == "12/50   0.4512    0.7812"


@pytest.mark.parametrize("width", [80, 60, 50, 40, 30, 5])
@pytest.mark.parametrize(
    "columns",
    [table.epoch_columns(True, True), table.epoch_columns(False, True), table.fold_columns()],
)
def test_a_narrow_terminal_has_fewer_columns(columns, width):
    kept = table.fit(columns, width)
    headings = [column.heading for column in kept]
    assert headings[0] in ("epoch", "fold")
    assert any(heading.startswith(("val acc", "val perp")) for heading in headings)
    if width >= 30:
        assert len(table.header(kept)) <= width
    assert (kept == columns) == (width == 80)


def test_seconds_go_before_what_was_learned():
    kept = table.fit(table.epoch_columns(True, True), 50)
    assert [column.heading for column in kept] == ["epoch", "loss", "val loss", "val accuracy", ""]


def test_a_log_gets_one_plain_line_an_epoch(capsys):
    log = reporters.LineReporter()
    for epoch in (FIRST, EPOCH):
        log.step(STEP)
        log.epoch(epoch)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == rows(FIRST, EPOCH)


def test_each_table_has_its_header(capsys):
    log = reporters.LineReporter()
    for number in (1, 2):
        log.step(replace(STEP, stage=f"fold {number} of 2"))
        log.fold(replace(FOLD, number=number))
    log.step(replace(STEP, stage="refit"))
    log.epoch(REFIT)
    lines = capsys.readouterr().err.splitlines()
    folds = table.fold_columns()
    assert lines[0] == table.header(folds)
    assert lines[2] == table.row(folds, table.fold_cells(FOLD))
    assert lines[3:] == ["Refit:", *rows(REFIT)]
    assert "2/10" in lines[2]
    assert "3/6" in lines[2]


def test_an_epoch_that_takes_long_is_heard_of(capsys, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(reporters.time, "monotonic", lambda: now)
    log = reporters.LineReporter()
    log.step(STEP)
    now = 1059.0
    log.step(STEP)
    assert not capsys.readouterr().err
    now = 1061.0
    log.step(STEP)
    log.step(STEP)
    assert capsys.readouterr().err.splitlines() == [reporters.progress_line(STEP)]
