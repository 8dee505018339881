"""Classes that a run cannot hold are refused, and those that it can hold are read again."""

from __future__ import annotations

import pytest
from fixtures_runs import make_text_run, text_config, write_results

from lstm_cli.data import Dataset
from lstm_cli.errors import LstmError
from lstm_cli.runs import limits
from lstm_cli.runs import record as run_record
from lstm_cli.training.auto_settings import with_data_format


def test_1450_classes_are_written_and_read(tmp_path):
    labels = tuple(f"class {i:04}" for i in range(1450))
    limits.check_labels(labels, "many.csv")
    run = write_results(make_text_run(tmp_path / "many" / "it", labels))
    report = run_record.read(run).test
    assert len(report.classes) == 1450
    # Of 2,102,500 cells, those that are not 0.
    assert len(report.confusion) <= report.num_examples == 4350
    assert run.file("metrics.json").stat().st_size < 2 << 20


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([str(i) for i in range(limits.MAX_CLASSES + 1)], "50,001 classes; a run can have 50,000"),
        (["x" * 1_500_000, "y" * 600_000], r"2 classes of a\.csv have 2,100,008 bytes.*1,500,000"),
        (["\u4e2d" * 800_000, "y"], "2,400,0"),
    ],
)
def test_more_or_longer_labels_are_refused_before_training(labels, expected):
    dataset = Dataset("a", "a.csv", "text", tuple(labels), {}, "")
    with pytest.raises(LstmError, match=expected) as caught:
        with_data_format(text_config(), dataset)
    assert "--label-column" in caught.value.hint
    assert len(caught.value.message) < 300


def test_half_characters_do_not_stop_the_check():
    limits.check_labels(["\ud800", "b"], "a.csv")
