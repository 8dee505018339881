from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures_reports import EVIL, parse_page
from PIL import Image

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.compare import Comparison, Entry, PairedTest, UntestedPair
from lstm_cli.io.progress import Epoch
from lstm_cli.report import comparison

ENTRY = Entry(
    name="a/small",
    dataset="reviews",
    num_examples=1000,
    accuracy=0.75,
    accuracy_interval=(0.7, 0.8),
    loss=0.5,
    f1=0.75,
    calibration_error=0.02,
    parameters=100,
    model_bytes=2_000,
    num_bytes=3_000_000,
    seconds=4.0,
)
EPOCHS = tuple(
    Epoch(n, 3, 1 / n, 0.5, 1 / n, 0.5 + n / 10, 0.01, 1.0, best=True) for n in range(1, 4)
)
TEST = PairedTest(
    first="a/small",
    second="a/large",
    num_shared=1000,
    both_right=700,
    only_first=50,
    only_second=150,
    difference=-0.1,
    interval=(-0.13, -0.07),
    p_value=1e-9,
    adjusted_p_value=0.02,
)


@pytest.fixture
def two_runs():
    large = replace(ENTRY, name="a/large", accuracy=0.85, loss=0.4, parameters=900)
    settings = {"model.units": (8, 64), "text": (None, EVIL)}
    return Comparison((ENTRY, large), settings, (TEST,), (), (EPOCHS, EPOCHS[:2]))


def test_the_page_has_results_tests_settings_and_curves(two_runs, tmp_path):
    out = tmp_path / "page.html"
    comparison.write(two_runs, out)
    page = parse_page(out)
    assert len(page.pictures) == 1
    for expected in (
        "on reviews.",
        "accuracy 0.7500 0.8500",
        "95% interval 0.7000 to 0.8000",
        "run on disk 3.0 MB 3.0 MB",
        "a/small a/large 1,000 50 150 -10.0 (-13.0 to -7.0) <0.0001 0.0200",
        "model.units 8 64",
        f"text not set {EVIL}",
    ):
        assert expected in page.text


def test_runs_that_were_tested_on_other_rows_are_named_so(two_runs, tmp_path):
    assert comparison.other_rows_note(two_runs) == ""
    partly = replace(two_runs, paired=(replace(TEST, num_shared=171),))
    comparison.write(partly, tmp_path / "page.html")
    assert "a pair shares 171 rows or more" in parse_page(tmp_path / "page.html").text


def test_the_best_values_of_a_shared_data_set_are_bold(two_runs, tmp_path):
    out = tmp_path / "page.html"
    comparison.write(two_runs, out)
    bold = {"0.8500", "0.4000", "0.7500", "0.0200", "100", "2.0 kB", "3.0 MB", "4 s"}
    content = out.read_text()
    assert {text for text in bold if f"<td><b>{text}</b></td>" in content} == bold
    assert "<td><b>0.5000" not in content
    other = replace(ENTRY, name="b/run", dataset=EVIL)
    pair = UntestedPair("a/small", "b/run", "their classes differ")
    comparison.write(replace(two_runs, entries=(ENTRY, other), paired=(), untested=(pair,)), out)
    assert "<b>" not in out.read_text()
    assert f"b/run {EVIL}" in parse_page(out).text
    assert "a/small and b/run: not tested; their classes differ." in parse_page(out).text


def test_the_same_comparison_gives_the_same_bytes(two_runs, tmp_path):
    for name in ("page.html", "curves.png", "curves.svg"):
        first, second = tmp_path / f"1{name}", tmp_path / f"2{name}"
        comparison.write(two_runs, first)
        comparison.write(two_runs, second)
        assert first.read_bytes() == second.read_bytes()
    with Image.open(tmp_path / "1curves.png") as picture:
        assert picture.size[0] == 1200


def test_another_file_type_is_refused(two_runs, tmp_path):
    with pytest.raises(LstmError) as caught:
        comparison.write(two_runs, tmp_path / "page.pdf")
    assert caught.value.exit_code == ExitCode.USAGE
