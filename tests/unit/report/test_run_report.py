"""The report of a run: one page that loads no file and shows data as it is."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures_reports import (
    EVIL,
    image_run,
    lstm,
    misclassified_ids,
    parse_page,
    rewrite,
    text_run,
)
from fixtures_runs import make_text_run

from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.evaluation.mistakes import Misclassified
from lstm_cli.explain.explainer import Explainer
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.report.confident_errors import (
    ConfidentError,
    ConfidentErrors,
    Piece,
    explain_error,
    strongest_tokens,
    text_pieces,
)
from lstm_cli.report.run_report import nearest_preset, write_report
from lstm_cli.runs import directory as runs


@pytest.fixture
def root():
    return Path(os.environ["LSTM_RUNS_DIR"])


@pytest.fixture
def run(root):
    return text_run(root / "reviews" / "tiny")


def test_a_text_run_is_reported_on_one_page(root):
    run = text_run(root / "reviews" / "tiny", with_plots=True)
    written = write_report(run, num_errors=3)
    assert written.path == run.file("reports") / "report.html"
    assert written.num_bytes == written.path.stat().st_size
    page = parse_page(written.path)
    assert len(page.pictures) == 5
    test = run.read_json(runs.METRICS)["test"]
    low, high = test["accuracy_interval"]
    for expected in (
        f"{test['accuracy']:.4f}",
        f"{low:.4f} to {high:.4f}",
        "divided by 1.25",
        "lstm train it",
        "lstm runs verify reviews/tiny",
        "lstm runs replay reviews/tiny",
        "keras 3.15",
        "embedding.dim 4 128",
        run.with_manifest().manifest[runs.MODEL].sha256,
        run.with_manifest().manifest[runs.WEIGHTS].sha256,
    ):
        assert expected in page.text


def test_the_same_run_gives_the_same_bytes(root, tmp_path):
    run = text_run(root / "reviews" / "tiny", with_plots=True)
    first, second = (write_report(run, tmp_path / f"{i}.html").path for i in range(2))
    assert first.read_bytes() == second.read_bytes()


def test_an_image_run_shows_the_images_it_misclassifies(root):
    run = image_run(root / "digits" / "tiny", with_plots=True)
    written = write_report(run, num_errors=7)
    assert written.num_errors == 7
    assert [p.size for p in parse_page(written.path).pictures].count((8, 8)) == 7


def test_a_run_started_from_python_has_no_command(root):
    run = text_run(root / "reviews" / "tiny")
    rewrite(run, runs.RUN, lambda info: info.pop("command"))
    page = parse_page(write_report(run, num_errors=0).path)
    assert "started from Python" in page.text
    assert "None" not in page.text


def test_errors_are_sorted_by_confidence(run):
    written = write_report(run, num_errors=4)
    text = parse_page(written.path).text
    wrong = misclassified_ids(run)
    assert f"{len(wrong)} of 24 test examples" in text
    assert text.index("Results test validation") < text.index("Most confident errors")
    confidences = [float(part.split()[-1].strip(">")) for part in text.split("% example")[:-1]]
    assert confidences == sorted(confidences, reverse=True)
    assert len(confidences) == written.num_errors == min(4, len(wrong))


def test_data_is_shown_as_it_is_and_never_as_markup(root):
    labels = (f"{EVIL}&amp;", "''><img src=x onerror=alert(2)>")
    run = text_run(
        root / "reviews" / "<b>tiny",
        labels=labels,
        texts=(f"a dull film {EVIL} <img src=http://x.test/y>",),
        max_tokens=50,
        card=f"# {EVIL}\n\n![x](http://x.test/a.png) [y](javascript:alert(3))\n\n- <b>z</b>\n",
        record={"command": f"lstm train {EVIL}", "stopped": EVIL, "commit": EVIL},
    )
    page = parse_page(write_report(run).path)
    words = "".join(page.words)  # with no space between elements
    for start in ("onerror=alert(2)> or", "lstm train", "a dull film"):
        assert f"{start} {EVIL}" in words
    assert f"{EVIL}&amp;" in page.text
    assert "<img src=http://x.test/y>" in words
    assert "<b>z</b>" in page.text


def test_control_and_direction_characters_do_not_reach_the_page(root):
    evil = "\x1b[31m\u202e"
    run = text_run(
        root / "r" / "t",
        texts=(f"a dull {evil}\nfilm",),
        record={"device": evil, "why": evil, "kernel": evil, "versions": {"keras": evil}},
    )
    rewrite(run, runs.RUN, lambda info: info["dataset"].update(source=evil, notes=[evil]))
    page = parse_page(write_report(run).path)
    content = run.file("reports/report.html").read_text(encoding="utf-8")
    assert "\x1b" not in content
    assert "\u202e" not in content
    assert "a dull  [31m \nfilm" in "".join(page.words)


def test_tokens_are_coloured_by_effect_and_named_in_numbers(run):
    write_report(run, num_errors=2)
    content = run.file("reports/report.html").read_text(encoding="utf-8")
    strongest = re.findall(r'<span class="(for|against)" style="--w:0.60" title="([+-])', content)
    assert len(strongest) >= 2
    assert {("for", "+"), ("against", "-")} >= set(strongest)


ERROR = Misclassified(3, "x", "y", 0.9, "a dull film")


def test_the_effect_of_a_token_is_the_log_odds_lost_without_it(run):
    shown = explain_error(Explainer.load(run), ERROR)
    assert "".join(piece.text for piece in shown.pieces) == ERROR.text
    effects = {
        token: float(effect) for token, effect in re.findall("“(.+?)” (\\S+[0-9])", shown.strongest)
    }
    whole, without = Predictor.load(run).text_probabilities(["a dull film", "a zzz film"])
    chosen = int(whole.argmax())
    lost = np.log(whole / (1 - whole))[chosen] - np.log(without / (1 - without))[chosen]
    assert float(effects["dull"]) == pytest.approx(lost, abs=0.006)


def test_a_text_without_tokens_has_no_effects(run):
    shown = explain_error(Explainer.load(run), replace(ERROR, text="  "))
    assert shown.pieces == (Piece("  "),)
    assert shown.strongest == ""


TEXT = "one <two> three four"


def test_pieces_are_coloured_by_their_share_of_the_strongest_effect():
    spans, effects = [(0, 3), (5, 8), (10, 15)], [0.5, -2.0, 0.01]
    pieces = list(text_pieces(TEXT, spans, effects))
    assert "".join(piece.text for piece in pieces) == TEXT
    assert [piece for piece in pieces if piece.kind != "plain"] == [
        Piece("one", "for", pytest.approx(0.15), 0.5),
        Piece("two", "against", pytest.approx(0.6), -2.0),
    ]
    assert strongest_tokens(TEXT, spans, effects) == "“two” -2.00, “one” +0.50, “three” +0.01"


def test_line_breaks_of_html_become_line_breaks():
    text = "one<br /><BR>two <br> three"
    pieces = text_pieces(text, [(0, 3), (13, 16), (22, 27)], [1.0, 1.0, 1.0])
    assert "".join(piece.text for piece in pieces) == "one\n\ntwo \n three"


@pytest.mark.parametrize(
    ("num_wrong", "num_shown", "words"),
    [
        (1, 1, "1 of 60 test examples is misclassified."),
        (3, 3, "3 of 60 test examples are misclassified, the most confident one first."),
        (3, 1, "3 of 60 test examples are misclassified; this is the one with the highest"),
        (30, 12, "30 of 60 test examples are misclassified; these are the 12 with the highest"),
    ],
)
def test_errors_are_counted_in_correct_grammar(num_wrong, num_shown, words):
    shown = ConfidentErrors((ConfidentError(ERROR),) * num_shown, num_wrong, 60)
    assert shown.describe().startswith(words)


def test_only_epoch_is_described_and_not_drawn(root):
    run = text_run(root / "reviews" / "tiny", with_plots=True)
    run.write_text(runs.HISTORY, run.read_text(runs.HISTORY).splitlines(keepends=True)[0])
    rewrite(run, runs.RUN, lambda info: info.update(epochs=1, best_epoch=1))
    rewrite(run, runs.METRICS, lambda metrics: metrics.update(best_epoch=1))
    page = parse_page(write_report(run, num_errors=0).path)
    assert len(page.pictures) == 4
    assert (
        "One epoch was trained: loss 0.7000 and accuracy 0.5000 on training, loss 0.6800 and "
        "accuracy 0.5500 on validation."
    ) in page.text


@pytest.mark.parametrize(("spans", "effects"), [([], []), ([(0, 3)], [0.0])])
def test_a_text_without_effects_is_plain(spans, effects):
    pieces = list(text_pieces(TEXT, spans, effects))
    assert "".join(piece.text for piece in pieces) == TEXT
    assert {piece.kind for piece in pieces} == {"plain"}


def test_the_truncated_part_is_left_out_and_counted():
    pieces = list(text_pieces(TEXT, [(0, 3), (16, 20)], [1.0, 1.0], (4, 15)))
    assert [piece.text for piece in pieces if piece.kind != "omitted"] == ["one", " ", " ", "four"]
    (omitted,) = (piece.text for piece in pieces if piece.kind == "omitted")
    assert "11 characters" in omitted


def test_a_long_text_is_shown_up_to_a_limit():
    spans = [(5 * i, 5 * i + 4) for i in range(2000)]
    *shown, omitted = text_pieces("word " * 2000, spans, [1.0] * 2000)
    assert "".join(piece.text for piece in shown) == "word " * 400
    assert (omitted.kind, omitted.text.split()[0]) == ("omitted", "[8,000")


def test_a_page_is_written_when_the_data_is_missing(run, root):
    (root / "reviews" / "tiny.csv").unlink()
    written = write_report(run)
    assert written.num_errors == 0
    assert "tiny.csv" in written.missing
    assert "the test data could not be read" in parse_page(written.path).text


def test_a_page_says_that_the_data_has_changed(run, root):
    with (root / "reviews" / "tiny.csv").open("a") as file:
        file.write("a fine cast,positive\n")
    text = parse_page(write_report(run).path).text
    training, errors = text.index("Calibration The logits"), text.index("Most confident errors")
    assert "has changed since" in text[:training]
    assert "has changed since" not in text[errors:]


def test_a_run_that_was_changed_is_refused(run):
    run.write_text(runs.HISTORY, "")
    with pytest.raises(LstmError, match=r"history\.jsonl") as caught:
        write_report(run)
    assert caught.value.exit_code == ExitCode.INTEGRITY


@pytest.mark.parametrize("make", [text_run, image_run])
@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.MODEL, runs.LABELS, runs.HISTORY, runs.CARD])
def test_a_run_whose_manifest_lacks_a_file_is_refused(root, make, name):
    run = make(root / "data" / "tiny")
    manifest = run.read_json(runs.MANIFEST)
    del manifest["files"][name]
    run.write_json(runs.MANIFEST, manifest)
    with pytest.raises(LstmError, match=name) as caught:
        write_report(run)
    assert caught.value.exit_code == ExitCode.INTEGRITY


@pytest.mark.parametrize(
    ("name", "change"),
    [
        (runs.METRICS, lambda value: value.pop("validation")),
        (runs.METRICS, lambda value: value["test"].update(accuracy="high")),
        (runs.METRICS, lambda value: value["test"].update(confusion=[[1]])),
        (runs.METRICS, lambda value: value["test"].update(num_examples=0)),
        (runs.METRICS, lambda value: value["test"]["classes"][0].update(name="another")),
        (runs.RUN, lambda value: value.update(versions=3)),
        (runs.RUN, lambda value: value.pop("dataset")),
    ],
)
def test_a_run_whose_record_is_malformed_is_refused(run, name, change):
    rewrite(run, name, change)
    with pytest.raises(LstmError, match=name) as caught:
        write_report(run)
    assert caught.value.exit_code == ExitCode.INTEGRITY
    assert not run.file("reports").exists()


def test_a_language_model_is_refused(run):
    run.write_text(runs.CONFIG, run.read_text(runs.CONFIG) + "language: {}\n")
    run.write_manifest()
    with pytest.raises(LstmError, match="is a language model") as caught:
        write_report(run)
    assert caught.value.exit_code == ExitCode.USAGE


def test_a_page_that_lstm_did_not_write_is_not_replaced(run, tmp_path):
    mine = tmp_path / "mine.html"
    mine.write_text("<p>mine</p>")
    with pytest.raises(LstmError, match="not written by lstm"):
        write_report(run, mine)
    assert mine.read_text() == "<p>mine</p>"
    ours = tmp_path / "ours.html"
    write_report(run, ours)
    before = ours.stat().st_mtime_ns
    write_report(run, ours, num_errors=0)
    assert ours.stat().st_mtime_ns > before
    with pytest.raises(LstmError, match=r"ends in \.html") as caught:
        write_report(run, tmp_path / "report.png")
    assert caught.value.exit_code == ExitCode.USAGE


def test_the_nearest_preset_differs_least(run):
    from lstm_cli.config.load import load_preset

    assert nearest_preset(load_preset("imdb-tutorial")) == ("imdb-tutorial", {})
    changed = load_preset("imdb", {"model.units": 7})
    assert nearest_preset(changed) == ("imdb", {"model.units": (7, 64)})
    assert nearest_preset(load_preset("mnist", {"data.name": "tfds:other"})) is None
    assert nearest_preset(load_preset("text", {"data.name": "/some/x.csv"})) == ("text", {})


def test_the_command_writes_the_page_and_prints_its_path(run, tmp_path):
    out = tmp_path / "deep" / "page.html"
    done = lstm("runs", "report", "reviews", "--out", out)
    assert (done.exit_code, done.stdout) == (0, f"Report: {out}\n")
    parse_page(out)
    done = lstm("runs", "report", run.path, "--errors", 1, "--json")
    result = json.loads(done.stdout)
    assert result["path"] == str(run.file("reports") / "report.html")
    assert (result["num_errors"], result["missing"]) == (1, None)


def test_a_run_without_results_is_refused_by_the_command(root):
    make_text_run(root / "demo" / "bare")
    done = lstm("runs", "report", "bare")
    assert done.exit_code == 1
    assert done.exception.exit_code == ExitCode.INTEGRITY
    assert lstm("runs", "report", "nothing").exception.exit_code == ExitCode.ERROR
