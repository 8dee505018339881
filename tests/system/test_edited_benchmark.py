"""`benchmarks.edited`: edits that turn the label of a review, and who follows them."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
import safetensors.numpy
from fixtures_runs import TEXTS, make_text_run, text_config

from benchmarks import child, edited, parts
from benchmarks.run_logits import run_logits
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.explain import forward_pass
from lstm_cli.models.calibration import SplitLogits
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs

_TEXT = "not bad, not bad at all"


def _edit(old, new, **more):
    return {"old": old, "new": new, **more}


def test_edits_replace_snippets_of_the_text_as_written():
    # The second `old` is in the first `new`: positions are those in the text.
    edits = [_edit("at all", "if not bad"), _edit("not bad, ", "bad, ")]
    assert edited.apply_edits(_TEXT, edits) == "bad, not bad if not bad"
    assert edited.apply_edits(_TEXT, [_edit("bad", "good", occurrence=2)]) == (
        "not bad, not good at all"
    )


@pytest.mark.parametrize(
    ("edits", "message"),
    [
        ([_edit("fine", "dull")], "found it 0 times"),
        ([_edit("bad", "good")], "found it 2 times"),
        ([_edit("bad", "good", occurrence=3)], "'occurrence' 3"),
        ([_edit("bad, not", ""), _edit("not bad at", "")], "overlaps"),
    ],
)
def test_an_edit_that_does_not_fit_the_text_is_an_error(edits, message):
    with pytest.raises(ValueError, match=message):
        edited.apply_edits(_TEXT, edits)


def test_reviews_are_found_by_their_hash(tmp_path):
    path = tmp_path / "edits.json"
    entry = {"review": 7, "sha256": edited.text_hash(_TEXT), "label": 1}
    path.write_text(json.dumps([{**entry, "edits": [_edit("at all", "but dull")]}]))
    pairs = edited.load_pairs(["another", _TEXT], path)
    assert pairs == [edited.Pair(7, _TEXT, "not bad, not bad but dull", 1)]
    assert edited.pair_texts(pairs) == [_TEXT, "not bad, not bad but dull"]
    with pytest.raises(LstmError, match=r"Review 7 .* 2 texts") as caught:
        edited.load_pairs(["another", _TEXT + " "], path)
    assert caught.value.exit_code == ExitCode.DATA
    path.write_text(json.dumps([{**entry, "edits": [_edit("fine", "dull")]}]))
    with pytest.raises(LstmError, match=r"Review 7 .*'fine'"):
        edited.load_pairs([_TEXT], path)


def test_the_edits_are_many_small_and_balanced():
    entries = json.loads(edited.EDITS.read_text(encoding="utf-8"))
    assert len({entry["sha256"] for entry in entries}) == len(entries) >= 100
    labels = Counter(entry["label"] for entry in entries)
    assert labels.keys() == {0, 1}
    assert 0.8 < labels[0] / labels[1] < 1.25
    for entry in entries:
        assert len(entry["sha256"]) == 16
        assert entry["edits"]
        assert all(edit["old"] != edit["new"] for edit in entry["edits"])
        assert all(len(edit["old"].split()) < 40 for edit in entry["edits"])


def test_each_part_of_a_run_is_scored_alone():
    lstm = np.array([[2.0], [-1.0], [0.5]])
    linear = np.array([[-3.0], [1.5], [1.0]], np.float32)
    labels = np.array([1, 0, 1], np.int32)
    found = parts.accuracies(SplitLogits(lstm, linear), labels)
    assert found == pytest.approx({"whole": 1 / 3, "network": 1, "linear": 1 / 3})
    # The run itself adds half of the linear logits.
    found = parts.accuracies(SplitLogits(lstm, linear, np.array([0.5], np.float32)), labels)
    assert found == pytest.approx({"whole": 1, "network": 1, "linear": 1 / 3})
    assert parts.accuracies(SplitLogits(lstm, None), np.array([1, 0, 0])) == {"whole": 2 / 3}


def _pairs(labels):
    return [edited.Pair(i, f"a {i}", f"b {i}", label) for i, label in enumerate(labels)]


def test_a_pair_counts_if_both_texts_are_right():
    # Originals, then the edited ones, whose labels are 0, 0 and 1.
    lstm = np.array([[2.0], [2.0], [-2.0], [1.0], [-1.0], [-1.0]])
    linear = np.array([[-9.0], [1.0], [-1.0], [1.0], [1.0], [9.0]], np.float32)
    counts = edited.count_right(_pairs([1, 1, 0]), SplitLogits(lstm, linear), (1.0, 0.5))
    assert counts["lstm"] == {"pairs": 3, "originals": 3, "edited": 1, "both": 1}
    assert counts["linear"] == {"pairs": 3, "originals": 2, "edited": 1, "both": 1}
    # The sums are -2.5, 2.5, -2.5, 1.5, -0.5 and 3.5.
    assert counts["whole"] == {"pairs": 3, "originals": 2, "edited": 2, "both": 2}
    alone = edited.count_right(_pairs([1, 1, 0]), SplitLogits(lstm, None), (3.0, 0.0))
    assert alone == {"whole": counts["lstm"]}


@pytest.mark.parametrize("characters", ["none", "unknown"])
def test_the_logits_of_a_run_are_split(tmp_path, characters):
    config = text_config(linear__buckets=7, linear__char_ngrams=characters)
    run = make_text_run(tmp_path / "demo" / "run", config=config)
    texts = [*TEXTS, "an unknown filmlet"]
    found = run_logits(run, texts)
    weights = safetensors.numpy.load_file(run.path / runs.WEIGHTS)
    encodings = Predictor.load(run).tokenizer.encode(texts)
    for row, encoding in enumerate(encodings):
        tokens = forward_pass.linear_logits(config, weights, encoding)
        expected = tokens.sum(axis=0) + forward_pass.linear_biases(config, weights)
        linear = found.linear_scale * found.linear[row]
        np.testing.assert_allclose(linear, expected, rtol=1e-4, atol=1e-6)
        inputs = forward_pass.embed(config, weights, encoding.ids)[None]
        lengths = np.array([len(encoding.ids)])
        lstm = forward_pass.run_layers(config.model, weights, inputs, lengths).logits
        np.testing.assert_allclose(found.lstm[row], lstm[0], rtol=1e-3, atol=1e-5)


def test_a_run_without_a_linear_model_has_one_part(tmp_path):
    run = make_text_run(tmp_path / "demo" / "run")
    assert run_logits(run, TEXTS).linear is None


@pytest.mark.parametrize("options", [[], ["--run", "a", "--films", "imdb"]])
def test_one_model_is_scored(options, capsys):
    assert edited.main(["--quick", *options]) == ExitCode.USAGE
    assert "--run RUN and --films PRESET" in capsys.readouterr().err


def test_a_run_on_other_data_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(edited.report, "require_data", lambda *_names: None)
    run = make_text_run(tmp_path / "demo" / "run")
    assert edited.main(["--quick", "--run", str(run.path)]) == ExitCode.USAGE
    assert "demo" in capsys.readouterr().err


def test_a_preset_is_trained_with_the_changes_and_each_seed(tmp_path, monkeypatch):
    trained = []

    def run_script(*arguments):
        trained.append(arguments)
        counts = {"pairs": 10, "originals": 9, "edited": 5 + len(trained), "both": 5}
        return {"pairs": {"whole": counts}}

    monkeypatch.setattr(edited.report, "require_data", lambda *_names: None)
    monkeypatch.setattr(child, "run_script", run_script)
    path = tmp_path / "edited.json"
    options = ["--changes", "linear.dropout=0,train.epochs=2", "--seeds", "0,1"]
    assert edited.main(["--films", "imdb", *options, "--json", str(path)]) == 0
    changes = ("linear.dropout=0", "train.epochs=2")
    assert trained == [("ablate", "imdb", *changes, f"seed={seed}") for seed in (0, 1)]
    goals = {goal["metric"]: goal["value"] for goal in json.loads(path.read_text())["goals"]}
    assert goals == {"accuracy on edited reviews": "0.650", "accuracy on their originals": "0.900"}
