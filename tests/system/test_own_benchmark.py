"""`benchmarks.own` and `benchmarks.large`, on small folders of tables."""

from __future__ import annotations

import argparse
import json
import statistics

import pytest

from benchmarks import large, own, own_data, own_goals, own_tables, report
from benchmarks.scripts import text_baseline
from lstm_cli.data.readers.table import LabeledTexts, read_table
from lstm_cli.errors import ExitCode, LstmError

_ROWS = [
    row
    for number in range(30)
    for row in ((f"a fine day, number {number}", "good"), (f"a dull day, no {number}", "bad"))
]


def _make_set(folder, name, train=_ROWS, test=_ROWS[:10]):
    (folder / name).mkdir(parents=True)
    own_data.write_table(folder / name / "train.csv", train)
    if test:
        own_data.write_table(folder / name / "test.csv", test)


def _run(folder, *options):
    """Run the benchmark; return its exit code and the JSON."""
    path = folder.parent / "result.json"
    code = own.main([str(folder), "--json", str(path), *options])
    return code, json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "sets"


@pytest.fixture
def only_words(monkeypatch):
    """Measure one baseline instead of four."""
    monkeypatch.setattr(own_tables, "BASELINES", {"words": "SVM words"})


# Data sets


def test_sets_are_found_by_their_tables_and_others_skipped_with_the_reason(folder):
    _make_set(folder, "plain")
    _make_set(folder, "many", [("x", "joy"), ("y", "joy|love"), ("z", "love")])
    _make_set(folder, "untested", test=None)
    sets, skipped = own_data.find_sets(folder, [], 0)
    assert [s.name for s in sets] == ["plain"]
    assert skipped.keys() == {"many", "untested"}
    sets, skipped = own_data.find_sets(folder, [], 3)
    assert [s.name for s in sets] == ["plain", "untested"]
    assert skipped.keys() == {"many"}


def test_a_bar_in_a_label_is_allowed_if_it_joins_no_labels():
    assert own_data.has_many_labels(["joy", "joy|love"])
    assert not own_data.has_many_labels(["tv|radio", "print"])


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--sets", "plian"], ExitCode.USAGE),
        (["--folds", "1"], ExitCode.USAGE),
        (["--jobs", "0"], ExitCode.USAGE),
        (["--skip-baselines", "--only-baselines"], ExitCode.USAGE),
        (["--baselines", "missing.json"], ExitCode.DATA),
    ],
)
def test_wrong_options_are_errors_before_the_measurement(folder, options, code):
    _make_set(folder, "plain")
    assert _run(folder, *options) == (code, None)


def test_a_folder_without_tables_is_an_error(folder):
    folder.mkdir()
    assert _run(folder) == (ExitCode.DATA, None)


@pytest.mark.parametrize(
    ("texts", "unspaced"),
    [
        (["真心不像湄洲应有的水准", "卷饼 OK"], True),
        (["ไม่อร่อยเลย", "ดีมาก"], True),
        (["Straßenbahn", "très bien"], False),
        (["한국어 문장", "مرحبا بكم"], False),
        (["12 !?"], False),
    ],
)
def test_scripts_without_spaces_are_detected(texts, unspaced):
    assert own_data.is_unspaced(texts) == unspaced


def test_folds_deal_every_class_and_hold_each_row_out_once(tmp_path):
    rows = [(f"text {i}", "rare" if i % 10 == 0 else "often") for i in range(40)]
    rows[5] = ('comma, "quotes"\nand a break', "often")
    texts, labels = zip(*rows, strict=True)
    text_set = own_data.TextSet("s", tmp_path, LabeledTexts(list(texts), list(labels)), False)
    held_out = []
    for part in own_data.split_parts(text_set, 3, tmp_path):
        train, test = (read_table(path, ("text",), "label") for path in (part.train, part.test))
        assert set(train.texts).isdisjoint(test.texts)
        assert len(train.texts) + len(test.texts) == 40
        assert "rare" in train.labels
        assert "rare" in test.labels
        held_out += zip(test.texts, test.labels, strict=True)
    assert sorted(held_out) == sorted(rows)


# Comparison and goals


def _result(lstm=None, num_train=100, ece=0.01, **baselines):
    """Return the result of a set whose accuracies are given."""
    metrics = {"accuracy": lstm, "ece": ece, "seconds": 10.0, "peak_mb": 900.0}
    result = {
        "num_train": num_train,
        "baselines": {k: {"accuracy": report.spread([v])} for k, v in baselines.items()},
        **({"lstm": {k: report.spread([v]) for k, v in metrics.items()}} if lstm else {}),
    }
    return {**result, **own_goals.compare(result)}


def test_lstm_is_compared_with_the_best_baseline_of_each_set():
    results = {
        "a": _result(0.90, words=0.88, both=0.89),
        "b": _result(0.80, words=0.805, both=0.79),
        "c": _result(words=0.7),
    }
    assert [r["best"] for r in results.values()] == ["both", "words", "words"]
    found = own_goals.summarize(results)
    assert (found["num_sets"], found["num_above"], found["worst_set"]) == (2, 1, "b")
    assert found["worst_difference"] == pytest.approx(-0.005)
    assert found["mean_difference"] == pytest.approx(0.0025)


def test_goals_apply_to_the_differences_the_sets_and_their_size():
    results = {"cr": _result(0.82, words=0.81), "big": _result(0.9, 5000, 0.04, words=0.901)}
    goals = {goal.metric: goal.met for goal in own_goals.goals(results, 0, 0)}
    assert goals == {
        "data sets that failed": True,
        "worst difference (big)": True,
        "fraction of sets above": False,
        "mean difference": False,
        "cr: test accuracy": True,
        "big: calibration error": False,
    }
    # Goals for the test split do not apply to folds.
    assert "cr: test accuracy" not in {g.metric for g in own_goals.goals(results, 0, 3)}


# Baselines


def test_features_of_a_script_without_spaces_cross_the_borders_of_words():
    for kind in ("chars", "both"):
        grams = text_baseline.vectorizer(kind, True).fit(["好 吃"]).get_feature_names_out()
        assert "好 吃" in {gram.split("__")[-1] for gram in grams}
    grams = text_baseline.vectorizer("both", False).fit(["Good!"]).get_feature_names_out()
    assert {gram.split("__")[-1] for gram in grams} >= {"good !", " good", "d!"}


def test_fasttext_reads_one_line_per_text():
    assert text_baseline.fasttext_line("Not bad!\nNot 2", False) == "not bad ! not 2"
    assert text_baseline.fasttext_line("好吃 ok", True) == "好 吃 o k"


@pytest.mark.parametrize("kind", ["words", "chars", "both", "fasttext"])
def test_each_baseline_learns(kind, tmp_path):
    if kind == "fasttext":
        pytest.importorskip("fasttext")
    _make_set(tmp_path, "plain")
    paths = [str(tmp_path / "plain" / f"{name}.csv") for name in ("train", "test")]
    out = tmp_path / "result.json"
    text_baseline.main(kind, "0", *paths, str(out))
    found = json.loads(out.read_text())
    assert found["accuracy"] == found["macro_f1"] == 1
    assert found["seconds"] > 0


# The whole benchmark


@pytest.mark.usefixtures("only_words")
def test_cross_validation_reads_the_training_table_only(folder, tmp_path, capsys):
    _make_set(folder, "plain")
    (folder / "plain" / "test.csv").unlink()
    (folder / "plain" / "test.csv").mkdir()  # cannot be read
    markdown = tmp_path / "tables.md"
    options = ("--only-baselines", "--folds", "2", "--markdown", str(markdown))
    code, found = _run(folder, *options)
    assert code == 0
    words = found["measurements"]["sets"]["plain"]["baselines"]["words"]
    assert words["accuracy"]["values"] == [1.0]
    assert "| plain (60, 2) |" in markdown.read_text()
    assert "plain" in capsys.readouterr().out


def test_lstm_is_trained_and_compared_with_earlier_baselines(folder, tmp_path):
    _make_set(folder, "plain")
    (text_set,), _ = own_data.find_sets(folder, [], 0)
    earlier = {
        "fingerprint": own_data.fingerprint(text_set, 0),
        "baselines": {
            "words": {key: report.spread([0.75]) for key in ("accuracy", "seconds", "peak_mb")}
        },
    }
    path = tmp_path / "earlier.json"
    record = {"settings": {"folds": 0}, "measurements": {"sets": {"plain": earlier}}}
    path.write_text(json.dumps(record))
    code, found = _run(folder, "--quick", "--baselines", str(path), "--set", "train.batch_size=7")
    assert code == 0
    result = found["measurements"]["sets"]["plain"]
    lstm = {key: values["mean"] for key, values in result["lstm"].items()}
    assert lstm.keys() == {"accuracy", "macro_f1", "ece", "loss", "seconds", "peak_mb"}
    assert lstm["seconds"] > 1
    assert result["difference"] == pytest.approx(lstm["accuracy"] - 0.75)
    assert found["settings"]["set"] == ["train.batch_size=7"]


@pytest.mark.usefixtures("only_words")
def test_a_set_that_fails_does_not_stop_the_others(folder):
    _make_set(folder, "plain")
    _make_set(folder, "single", [("x", "one"), ("y", "one")], [("x", "one")])
    code, found = _run(folder, "--only-baselines")
    assert code == 0
    assert found["measurements"]["sets"].keys() == {"plain"}
    assert "exit code 1" in found["measurements"]["failed"]["single"]
    assert [goal["met"] for goal in found["goals"]] == [False]


def test_earlier_baselines_need_the_same_folds(tmp_path):
    path = tmp_path / "earlier.json"
    path.write_text(json.dumps({"settings": {"folds": 3}, "measurements": {"sets": {}}}))
    with pytest.raises(LstmError) as caught:
        own._read_baselines(argparse.Namespace(baselines=str(path), folds=0))
    assert caught.value.exit_code == ExitCode.USAGE


# The large set


def test_the_large_set_is_the_same_each_time_and_has_texts_of_40_words(tmp_path):
    for name in ("first", "second"):
        assert large.main([str(tmp_path / name), "--texts", "200"]) == 0
    first, second = (tmp_path / name / "large" for name in ("first", "second"))
    for table in ("train.csv", "test.csv"):
        assert (first / table).read_bytes() == (second / table).read_bytes()
    train, test = (read_table(first / f"{n}.csv", ("text",), "label") for n in ("train", "test"))
    assert (len(train.texts), len(test.texts)) == (200, 20)
    assert set(train.labels) == set(large.CLASSES)
    assert set(train.texts).isdisjoint(test.texts)
    assert 36 < statistics.fmean(len(text.split()) for text in train.texts) < 44


def test_the_words_of_the_large_set_tell_the_class_but_not_always(tmp_path):
    large.write(tmp_path, 3000)
    paths = [str(tmp_path / "large" / f"{name}.csv") for name in ("train", "test")]
    out = tmp_path / "result.json"
    text_baseline.main("words", "0", *paths, str(out))
    assert 0.5 < json.loads(out.read_text())["accuracy"] < 0.95


# Options and tables


def test_options_may_be_flags_lists_and_arguments():
    options = (
        report.Option("place", "where", kind="argument"),
        report.Option("fast", "whether", False, True, "flag"),
        report.Option("set", "what", (), ("a=1",), "list"),
    )
    read = lambda *words: vars(report.read_settings("try", None, options, words))  # noqa: E731
    found = read("here")
    assert (found["place"], found["fast"], found["set"]) == ("here", False, ())
    found = read("here", "--fast", "--set", "a=2", "--set", "b=3")
    assert (found["fast"], found["set"]) == (True, ["a=2", "b=3"])
    found = read("here", "--quick")
    assert (found["fast"], found["set"]) == (True, ("a=1",))


def test_tables_are_written_as_markdown():
    table = report.Table("Title", ("set", "n"), [("a|b", "1")])
    found = report.markdown(report.Outcome({}, [table], [report.at_least("n", 2, 3)], ["Note."]))
    assert found.splitlines()[:5] == [
        "**Title**",
        "",
        "| set | n |",
        "| --- | ---: |",
        "| a\\|b | 1 |",
    ]
    assert "| n | >= 3 | 2.0 | NOT met |" in found
    assert found.endswith("- Note.\n")
