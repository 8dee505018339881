"""A run's page: all of it in one file, loading nothing, with data shown as it is."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import EVIL, FileStamp, image_run, lstm, read, rewrite, text_run, wrong_of
from fixtures_runs import make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.evaluate import Misclassified
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.render import html
from lstm_cli.report import sections
from lstm_cli.report.run_report import nearest_preset, read_texts, report
from lstm_cli.report.sections import Mark, Nearest, ReadText
from lstm_cli.runs import directory as runs


@pytest.fixture
def root():
    return Path(os.environ["LSTM_RUNS_DIR"])


@pytest.fixture
def run(root):
    return text_run(root / "reviews" / "tiny")


def test_a_text_run_is_told_on_one_page_that_loads_nothing(root):
    run = text_run(root / "reviews" / "drawn", drawn=True)
    written = report(run, num_errors=3)
    assert written.path == run.file("reports") / "report.html"
    assert written.num_bytes == written.path.stat().st_size
    seen = read(written.path)
    assert len(seen.pictures) == 5
    test = run.read_json(runs.METRICS)["test"]
    low, high = test["accuracy_interval"]
    for told in (
        f"{test['accuracy']:.4f}",
        f"{low:.4f} to {high:.4f}",
        "divided by 1.25",
        "lstm train it",
        "lstm runs verify reviews/drawn",
        "lstm runs replay reviews/drawn",
        "keras 3.15",
        "embedding.dim 4 64",
        run.with_manifest().manifest[runs.MODEL].sha256,
    ):
        assert told in seen.text


def test_an_image_run_shows_the_images_it_got_wrong(root):
    run = image_run(root / "digits" / "tiny", drawn=True)
    seen = read(report(run, num_errors=7).path)
    assert [p.size for p in seen.pictures].count((8, 8)) == 7
    assert "7 with most confidence" in seen.text


def test_the_errors_are_those_of_the_test_split_the_surest_first(run):
    written = report(run, num_errors=4)
    text = read(written.path).text
    wrong = wrong_of(run)
    assert f"{len(wrong)} of 24 test examples are wrong" in text
    shares = [float(part.split()[-1].strip(">")) for part in text.split("% example")[:-1]]
    assert shares == sorted(shares, reverse=True)
    assert len(shares) == written.num_errors == min(4, len(wrong))


def test_what_comes_from_data_is_shown_and_never_markup(root):
    labels = (f"{EVIL}&amp;", '"><img src=x onerror=alert(2)>')
    run = text_run(
        root / "reviews" / "<b>tiny",
        labels=tuple(label.replace('"', "''") for label in labels),
        texts=(f"a dull film {EVIL} <img src=http://x.test/y>",),
        max_tokens=50,
        card=f"# {EVIL}\n\n![x](http://x.test/a.png) [y](javascript:alert(3))\n\n- <b>z</b>\n",
        record={"command": f"lstm train {EVIL}", "stopped": EVIL, "commit": EVIL},
    )
    seen = read(report(run).path)
    told = "".join(seen.words)  # as it stands, without what parts one element from the next
    for place in ("onerror=alert(2)> and", "lstm train", "a dull film"):
        assert f"{place} {EVIL}" in told
    assert f"{EVIL}&amp;" in seen.text
    assert "<img src=http://x.test/y>" in told
    assert "<b>z</b>" in seen.text


def test_controls_and_marks_of_direction_do_not_reach_the_page(root):
    run = text_run(root / "r" / "t", texts=("a dull \x1b[31m\nfilm\u202e",))
    seen = read(report(run).path)
    content = run.file("reports/report.html").read_text(encoding="utf-8")
    assert "\x1b" not in content
    assert "\u202e" not in content
    assert "a dull  [31m\nfilm  " in "".join(seen.words)


def test_words_are_coloured_by_what_they_do_and_named_in_numbers(run):
    seen = read(report(run, num_errors=2).path)
    assert "log-odds of that class that are lost without the word" in seen.text
    content = run.file("reports/report.html").read_text(encoding="utf-8")
    strongest = re.findall(r'<span class="(for|against)" style="--w:0.60" title="([+-])', content)
    assert len(strongest) >= 2
    assert {("for", "+"), ("against", "-")} >= set(strongest)
    first, empty = read_texts(run, ["a dull film", "  "])
    assert [(mark.start, mark.end) for mark in first.marks] == [(0, 1), (2, 6), (7, 11)]
    network = Predictor.load(run)
    whole, without = network.text_probabilities(["a dull film", "a zzz film"])
    chosen = int(whole.argmax())
    lost = np.log(whole / (1 - whole))[chosen] - np.log(without / (1 - without))[chosen]
    assert first.marks[1].effect == pytest.approx(lost, abs=1e-3)
    assert empty == ReadText()


TOLD = Misclassified(3, "x", "y", 0.9, "one <two> three four")


def shown(reading, mistake=TOLD):
    """The text of an article, as a reader sees it."""
    seen = FileStamp(sections._text_error(mistake, reading))
    return "".join(seen.words)


def test_a_text_is_shown_as_it_is_between_and_in_its_coloured_words():
    marks = (Mark(0, 3, 0.5), Mark(5, 8, -2.0), Mark(10, 15, 0.01))
    article = sections._text_error(TOLD, ReadText(marks))
    assert '<span class="for" style="--w:0.15" title="+0.50">one</span> &lt;' in article
    assert (
        '<span class="against" style="--w:0.60" title="-2.00">two</span>&gt; three four' in article
    )
    assert "“two” -2.00, “one” +0.50, “three” +0.01" in article
    assert TOLD.text in shown(ReadText(marks))
    assert TOLD.text in shown(ReadText())
    assert TOLD.text in shown(ReadText((Mark(0, 3, 0.0),)))


def test_what_was_not_read_of_a_text_is_left_out_and_counted():
    marks = (Mark(0, 3, 1.0), Mark(16, 20, 1.0))
    told = shown(ReadText(marks, (4, 15)))
    assert "one  [11 characters that it did not read]  four" in told
    assert "three" not in told


def test_a_text_without_end_is_shown_as_far_as_it_can_be_read():
    words = "word " * 2000
    marks = tuple(Mark(5 * i, 5 * i + 4, 1.0) for i in range(2000))
    told = shown(ReadText(marks), replace(TOLD, text=words))
    assert told.count("word ") == 400  # and five in numbers below
    assert "[8,000 characters more]" in told


def test_a_page_is_written_though_the_data_is_gone(run, root):
    (root / "reviews" / "tiny.csv").unlink()
    written = report(run)
    assert written.num_errors == 0
    assert "tiny.csv" in written.missing
    assert "the test data could not be read" in read(written.path).text


def test_a_page_says_that_the_data_has_changed(run, root):
    with (root / "reviews" / "tiny.csv").open("a") as file:
        file.write("a fine cast,positive\n")
    assert "has changed since" in read(report(run).path).text


def test_a_run_that_was_changed_is_refused(run):
    run.write_text(runs.HISTORY, "")
    with pytest.raises(LstmError, match=r"history\.jsonl") as caught:
        report(run)
    assert caught.value.exit_code == ExitCode.INTEGRITY


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (runs.METRICS, lambda told: told.pop("test")),
        (runs.METRICS, lambda told: told["test"].update(accuracy="high")),
        (runs.METRICS, lambda told: told["test"].update(confusion=[[1]])),
        (runs.METRICS, lambda told: told["test"].update(num_examples=0)),
        (runs.METRICS, lambda told: told["test"]["classes"][0].update(name="another")),
        (runs.RUN, lambda told: told.update(versions=3)),
        (runs.RUN, lambda told: told.pop("dataset")),
    ],
)
def test_a_run_whose_account_has_another_form_is_refused(run, name, change):
    rewrite(run, name, change)
    with pytest.raises(LstmError, match=name) as caught:
        report(run)
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert not run.file("reports").exists()


def test_a_language_model_is_no_run_to_report_on(run):
    run.write_text(runs.CONFIG, run.read_text(runs.CONFIG) + "language: {}\n")
    run.write_manifest()
    with pytest.raises(LstmError, match="is a language model") as caught:
        report(run)
    assert caught.value.exit_code == ExitCode.USAGE


def test_what_is_no_page_of_ours_is_not_replaced(run, tmp_path):
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    with pytest.raises(LstmError, match="not written by lstm"):
        report(run, mine)
    assert mine.read_text() == "<p>mine</p>"
    ours = tmp_path / "ours.html"
    report(run, ours)
    before = ours.stat().st_mtime_ns
    report(run, ours, num_errors=0)
    assert ours.stat().st_mtime_ns > before
    with pytest.raises(LstmError, match=r"ends in \.html") as caught:
        report(run, tmp_path / "report.png")
    assert caught.value.exit_code == ExitCode.USAGE


def test_the_preset_that_differs_least_is_the_one_compared_with(run):
    from lstm_cli.config.load import load_preset

    assert nearest_preset(load_preset("imdb-tutorial")) == Nearest("imdb-tutorial", {})
    changed = load_preset("imdb", {"model.units": 7})
    assert nearest_preset(changed) == Nearest("imdb", {"model.units": (7, 64)})
    assert nearest_preset(load_preset("mnist", {"data.name": "tfds:other"})) is None
    assert nearest_preset(load_preset("text", {"data.name": "/some/x.csv"})) == Nearest("text", {})


def test_markup_is_what_was_made_here_and_all_else_is_data():
    made = html.element("p", "<b>", html.element("i", "&"), title='"<')
    assert made == '<p title="&quot;&lt;">&lt;b&gt;<i>&amp;</i></p>'


def test_the_command_writes_the_page_and_says_where(run, tmp_path):
    out = tmp_path / "deep" / "page.html"
    done = lstm("runs", "report", "reviews", "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"Report: {out}\n")
    read(out)
    done = lstm("runs", "report", run.path, "--errors", 1, "--json")
    told = json.loads(done.stdout)
    assert told["path"] == str(run.file("reports") / "report.html")
    assert (told["errors"], told["missing"]) == (1, None)


def test_a_run_without_results_is_refused_by_the_command(root):
    make_text_run(root / "demo" / "bare")
    done = lstm("runs", "report", "bare")
    assert done.exit_code == 1
    assert done.exception.exit_code == ExitCode.INTEGRITY
    assert lstm("runs", "report", "nothing").exception.exit_code == ExitCode.ERROR
