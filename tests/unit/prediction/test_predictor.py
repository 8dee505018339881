"""Prediction: one record per input, in order, independent of the batch, from unchanged runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import fixtures_lstm as reference
import msgspec
import numpy as np
import pytest
import safetensors.numpy
from fixtures_properties import relaxed
from fixtures_runs import TEXTS, make_image_run, make_text_run, text_config
from hypothesis import given
from hypothesis import strategies as st

import lstm_cli
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import SEPARATOR
from lstm_cli.prediction import batches, predictor
from lstm_cli.prediction.decision import Decision
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.prediction.result import make_prediction
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.corpus import encode

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "one")


@pytest.fixture(scope="module")
def text_predictor(template):
    return Predictor.load(template)


@pytest.fixture(scope="module")
def image_predictor(tmp_path_factory):
    return Predictor.load(make_image_run(tmp_path_factory.mktemp("runs") / "digits" / "one"))


@pytest.fixture(scope="module")
def three_class_predictor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "demo" / "three"
    return Predictor.load(make_text_run(folder, labels=("a", "b", "c")))


@pytest.fixture
def run(template, tmp_path):
    """A finished run of this test's own."""
    return RunDir(Path(shutil.copytree(template.path, tmp_path / "runs" / "demo" / "one")))


def refused(call, *args, code=ExitCode.USAGE):
    with pytest.raises(LstmError) as caught:
        call(*args)
    assert caught.value.exit_code == code
    return caught.value


# Columns


@pytest.fixture(scope="module")
def two_columns(tmp_path_factory):
    """A model whose run reads the columns `title` and `body`."""
    config = text_config(data__text_columns=["title", "body"])
    texts = [f"a fine film {SEPARATOR} not a dull moment", f"dull {SEPARATOR} a dull cast"]
    folder = tmp_path_factory.mktemp("runs") / "demo" / "columns"
    return lstm_cli.load(make_text_run(folder, config=config, texts=texts))


def test_a_text_can_be_the_values_of_its_columns(two_columns):
    rows = [
        {"id": 7, "body": "a dull cast", "title": "dull"},
        {"body": "a dull cast"},
        {"title": "dull", "body": None},
    ]
    texts = [f"dull {SEPARATOR} a dull cast", f" {SEPARATOR} a dull cast", f"dull {SEPARATOR} "]
    assert two_columns.predict(rows) == two_columns.predict(texts)
    assert two_columns.predict(rows[0]) == two_columns.predict(texts[0])
    assert two_columns.explain(rows[0]).text == texts[0]
    assert {place.text for place in two_columns.rank_uncertain(rows).ranked} == set(texts)


def test_values_of_other_columns_are_refused(two_columns, text_predictor):
    assert "'headline'" in refused(two_columns.predict, {"headline": "a"}).message
    assert "'body'" in refused(two_columns.predict, [{"title": "a", "body": 3}]).message
    assert "no columns" in refused(text_predictor.predict, {"text": "a"}).message


# Probabilities


def test_probabilities_equal_the_lstm_equations(text_predictor):
    weights = safetensors.numpy.load(text_predictor.run.file(runs.WEIGHTS).read_bytes())
    config = text_predictor.run.config()
    for text, prediction in zip(TEXTS, text_predictor.predict(TEXTS), strict=True):
        ids = text_predictor.tokenizer.encode([text])[0].ids
        vectors = reference.embed(ids, weights, config)
        expected = reference.probabilities(vectors, weights, config)
        assert list(prediction.probabilities.values()) == pytest.approx(expected, abs=1e-6)
        assert prediction.label == text_predictor.labels[int(expected.argmax())]
        assert prediction.probability == pytest.approx(expected.max(), abs=1e-6)


def test_the_number_of_threads_changes_no_bit(text_predictor):
    texts = [f"{'fine ' * (i % 9)}a dull film" for i in range(100)]
    found = []
    for num_threads in (1, 3):
        predictor = Predictor.load(text_predictor.run, num_threads)
        assert predictor.num_threads == num_threads
        found.append(predictor.text_probabilities(texts))
    np.testing.assert_array_equal(*found)


def test_one_record_per_text_in_order(text_predictor):
    texts = [*TEXTS, "", TEXTS[0], "wholly new words", "", *reversed(TEXTS)]
    together = text_predictor.predict(texts)
    assert len(together) == len(texts)
    for text, prediction in zip(texts, together, strict=True):
        alone = text_predictor.predict(text)[0]
        assert prediction.probability == pytest.approx(alone.probability, abs=1e-6)
        assert (prediction.label, prediction.num_tokens) == (alone.label, alone.num_tokens)


def test_equal_texts_get_equal_probabilities(text_predictor):
    assert (
        len({prediction.probability for prediction in text_predictor.predict([TEXTS[1]] * 40)}) == 1
    )


def test_image_run_refuses_texts(image_predictor):
    for call in (image_predictor.predict, image_predictor.text_probabilities):
        with pytest.raises(LstmError) as caught:
            call(["a fine film"])
        assert "--run" in caught.value.hint
        assert caught.value.exit_code == ExitCode.USAGE


def test_no_inputs_give_no_records(text_predictor, image_predictor):
    assert text_predictor.predict([]) == []
    assert image_predictor.predict(np.zeros((0, 8, 8), np.uint8)) == []


@relaxed
@given(st.lists(ANY_TEXT | st.sampled_from(TEXTS), max_size=30), st.randoms())
def test_order_of_texts_does_not_change_probabilities(text_predictor, texts, dice):
    order = dice.sample(range(len(texts)), len(texts))
    found = text_predictor.predict(texts)
    shuffled = text_predictor.predict([texts[i] for i in order])
    for place, i in enumerate(order):
        assert shuffled[place].probability == pytest.approx(found[i].probability, abs=1e-6)
    assert all(np.isfinite(prediction.probability) for prediction in found)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\0", "\x1b[31mred", "😀", "\u05e9\u05dc\u05d5\u05dd", "好电影", "\udc80 fine"],
)
def test_unusual_texts_are_classified(text, text_predictor):
    (prediction,) = text_predictor.predict(text)
    assert prediction.label in text_predictor.labels
    assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("missing", [None, float("nan"), 5, b"fine"])
def test_text_that_is_not_a_string_is_refused_with_its_position(missing, text_predictor):
    error = refused(text_predictor.predict, [*TEXTS, missing, ""])
    assert f"position {len(TEXTS)}" in error.message
    assert type(missing).__name__ in error.message
    refused(text_predictor.predict, np.array([*TEXTS, missing], object))


def test_make_prediction_keeps_the_most_probable_classes():
    row = np.array([0.2, 0.5, 0.3], np.float32)
    found = make_prediction(row, ("a", "b", "c"), top_k=2)
    assert (found.label, found.probability) == ("b", 0.5)
    assert list(found.probabilities) == ["b", "c"]
    assert json.loads(msgspec.json.encode(found)) == found.to_dict()
    decision = Decision(np.array([0.4, 0.6]))
    assert make_prediction(row[:2], ("a", "b"), decision=decision).label == "a"


def test_megabyte_of_text_is_classified(text_predictor):
    (prediction,) = text_predictor.predict("a fine film " * 90_000)
    assert (prediction.num_tokens, prediction.truncated) == (270_000, True)


def test_record_has_tokens_truncation_and_unknown_fraction(text_predictor):
    prediction = text_predictor.predict(["a fine xyz film", "a " * 13, ""])
    assert [s.num_tokens for s in prediction] == [4, 13, 0]
    assert [s.truncated for s in prediction] == [False, True, False]
    assert [s.unknown for s in prediction] == [0.25, 0.0, 0.0]


def test_record_is_plain_json_without_none(text_predictor, image_predictor):
    record = text_predictor.predict(TEXTS[0])[0].to_dict()
    assert list(record) == [
        "label", "probability", "probabilities", "num_tokens", "truncated", "unknown",
    ]  # fmt: skip
    record = image_predictor.predict(np.zeros((1, 8, 8), np.uint8))[0].to_dict()
    assert list(record) == ["label", "probability", "probabilities"]
    assert all(type(p) is float for p in record["probabilities"].values())


def test_encoded_corpus_gives_the_same_as_its_texts(text_predictor):
    corpus = encode(TEXTS, text_predictor.tokenizer)
    found = text_predictor.probabilities(corpus)
    assert found == pytest.approx(text_predictor.text_probabilities(TEXTS), abs=1e-6)


# Thresholds


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_second_class_is_predicted_from_the_threshold_on(threshold, text_predictor):
    texts = [*TEXTS, "", "dull dull", "fine film"]
    for prediction in text_predictor.predict(texts, threshold):
        second = prediction.probabilities["positive"]
        assert prediction.label == ("positive" if second >= threshold else "negative")
        assert prediction.probability == prediction.probabilities[prediction.label]


def test_probability_equal_to_the_threshold_predicts_the_second_class(text_predictor):
    exactly = text_predictor.predict(TEXTS[0])[0].probabilities["positive"]
    assert text_predictor.predict(TEXTS[0], exactly)[0].label == "positive"


def test_default_threshold_is_one_half(text_predictor):
    assert text_predictor.predict(TEXTS) == text_predictor.predict(TEXTS, 0.5)


def test_label_is_empty_below_the_smallest_probability(text_predictor, image_predictor):
    highest = text_predictor.predict(TEXTS[0])[0].probability
    for value, expected in ((highest, True), (highest + 1e-4, False), (0.0, True)):
        (found,) = text_predictor.predict(TEXTS[0], min_probability=value)
        assert bool(found.label) is expected
        assert found.probability == highest
    images = np.zeros((1, 8, 8), np.uint8)
    assert image_predictor.predict(images, min_probability=1.0)[0].label == ""
    (found,) = text_predictor.predict(TEXTS[0], threshold=0.0, min_probability=0.999)
    assert (found.label, found.probability) == ("", found.probabilities["positive"])
    for value in (-0.1, 1.1, float("nan")):
        call = text_predictor.predict
        assert "--min-probability" in refused(call, TEXTS, None, value).message


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_threshold_outside_0_to_1_is_refused(threshold, text_predictor):
    assert "--threshold" in refused(text_predictor.predict, TEXTS, threshold).message


def test_threshold_needs_two_classes(three_class_predictor, image_predictor):
    refused(three_class_predictor.predict, TEXTS, 0.5)
    refused(image_predictor.predict, np.zeros((1, 8, 8), np.uint8), 0.5)
    # Even where there is nothing to classify: a mistyped command line shows at once.
    refused(three_class_predictor.predict, [], 0.5)
    refused(image_predictor.predict, np.zeros((0, 8, 8), np.uint8), 0.5)


# Kinds


def test_image_probabilities_equal_the_lstm_equations(image_predictor):
    weights = safetensors.numpy.load(image_predictor.run.file(runs.WEIGHTS).read_bytes())
    images = np.random.default_rng(3).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    config = image_predictor.run.config()
    found = image_predictor.probabilities(images)
    assert (image_predictor.kind, image_predictor.shape) == ("image", (8, 8))
    for i in (0, 127, 128, 299):
        expected = reference.probabilities(images[i] / 255, weights, config)
        assert found[i] == pytest.approx(expected, abs=1e-6)


def test_inputs_of_the_other_kind_are_refused(text_predictor, image_predictor):
    images = np.zeros((1, 8, 8), np.uint8)
    refused(text_predictor.predict, images)
    refused(image_predictor.predict, TEXTS)
    refused(image_predictor.predict, "one text")
    refused(image_predictor.predict, np.array(TEXTS))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 9), np.uint8),
        np.zeros((1, 64), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((1, 8, 8), np.float32),
        np.full((1, 8, 8), 256, np.int64),
        np.full((1, 8, 8), -1, np.int64),
    ],
)
def test_images_of_wrong_shape_or_dtype_are_refused(images, image_predictor):
    message = refused(image_predictor.predict, images).message
    assert "uint8" in message
    assert "8" in message


# Streams


def test_stream_reads_at_most_one_window_ahead(text_predictor, monkeypatch):
    monkeypatch.setattr(batches, "_WINDOW_TEXTS", 500)
    read = 0

    def texts():
        nonlocal read
        for number in range(10_000):
            read += 1
            yield f"{'fine' if number % 3 else 'dull'} film {number}"

    answers = text_predictor.stream(texts())
    assert read == 0
    for done in range(1, 10_001):
        assert next(answers).num_tokens == 3
        assert read - done < 500
    assert next(answers, None) is None


def test_window_is_limited_in_characters(text_predictor, monkeypatch):
    monkeypatch.setattr(batches, "_WINDOW_CHARACTERS", 1000)
    read = []
    texts = (read.append(n) or "fine " * 50 for n in range(100))
    next(text_predictor.stream(texts))
    assert len(read) == 4


def test_stream_gives_the_same_as_a_list(text_predictor, monkeypatch):
    expected = text_predictor.predict(TEXTS)
    monkeypatch.setattr(batches, "_WINDOW_TEXTS", 3)
    for prediction, alone in zip(text_predictor.stream(iter(TEXTS)), expected, strict=True):
        assert prediction.probability == pytest.approx(alone.probability, abs=1e-6)


# Trust


def test_run_is_loaded_by_path_name_and_data_set(run):
    root = run.path.parents[1]
    for wanted in (run, run.path, str(run.path), "demo/one", "one", "demo"):
        assert lstm_cli.load(wanted, root).run.path == run.path


@pytest.mark.parametrize(
    "name", [runs.MODEL, runs.TOKENIZER, runs.LABELS, runs.CONFIG, runs.GOLDEN]
)
def test_changed_file_is_refused_before_parsing(name, run, monkeypatch):
    content = bytearray(run.file(name).read_bytes())
    content[len(content) // 2] ^= 1
    run.file(name).write_bytes(content)
    monkeypatch.setattr(Predictor, "from_files", None)
    assert name in refused(Predictor.load, run, code=ExitCode.INTEGRITY).message


@pytest.mark.parametrize("name", [runs.MODEL, runs.LABELS, runs.CONFIG, runs.GOLDEN, runs.MANIFEST])
def test_missing_file_is_refused(name, run):
    run.file(name).unlink()
    refused(Predictor.load, run, code=ExitCode.INTEGRITY)


def test_text_run_without_tokenizer_is_refused(run):
    run.file(runs.TOKENIZER).unlink()
    assert "tokenizer" in refused(Predictor.load, run, code=ExitCode.INTEGRITY).message


def golden(run, change):
    run.write_json(runs.GOLDEN, change(run.read_json(runs.GOLDEN)))
    run.write_manifest()


@pytest.mark.parametrize(
    "change",
    [
        lambda g: {**g, "probabilities": [[p[1], p[0]] for p in g["probabilities"]]},
        lambda g: {**g, "probabilities": g["probabilities"][:-1]},
        lambda g: {**g, "probabilities": [[float("nan")] * 2] * len(g["inputs"])},
        lambda g: {**g, "inputs": [], "probabilities": []},
        lambda g: {"inputs": g["inputs"]},
        lambda g: {**g, "inputs": 5},
        lambda g: {**g, "inputs": [5]},
        lambda g: [],
        lambda g: None,
    ],
)
def test_run_with_other_golden_probabilities_is_refused(change, run):
    golden(run, change)
    refused(Predictor.load, run, code=ExitCode.INTEGRITY)


def test_golden_probabilities_may_differ_by_rounding(run):
    def nudged(by):
        return lambda g: {**g, "probabilities": (np.array(g["probabilities"]) + by).tolist()}

    golden(run, nudged(predictor.GOLDEN_TOLERANCE / 2))
    Predictor.load(run)
    golden(run, nudged(predictor.GOLDEN_TOLERANCE * 2))
    assert "golden" in refused(Predictor.load, run, code=ExitCode.INTEGRITY).message


def test_files_of_two_runs_are_refused(run, image_predictor, tmp_path):
    few_words = make_text_run(tmp_path / "few", config=text_config(text__vocab_size=4))
    for name, content in (
        (runs.MODEL, few_words.file(runs.MODEL).read_bytes()),
        (runs.MODEL, image_predictor.run.file(runs.MODEL).read_bytes()),
        (runs.MODEL, b"no model"),
        (runs.LABELS, b'["a", "b", "c"]'),
        (runs.CONFIG, image_predictor.run.file(runs.CONFIG).read_bytes()),
    ):
        before = run.file(name).read_bytes()
        run.write_bytes(name, content)
        run.write_manifest()
        refused(Predictor.load, run, code=ExitCode.INTEGRITY)
        run.write_bytes(name, before)


# Without TensorFlow

_WITHOUT_KERAS = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"tensorflow", "keras", "jax", "sklearn", "matplotlib", "onnx"}:
            raise AssertionError(f"{name} was imported")

sys.meta_path.insert(0, Refuse())
import lstm_cli
prediction = lstm_cli.load(sys.argv[1]).predict(["a fine film", ""])
assert [s.label in ("negative", "positive") for s in prediction] == [True, True]
"""


def test_prediction_imports_neither_tensorflow_nor_keras(template):
    code = [sys.executable, "-c", _WITHOUT_KERAS, str(template.path)]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_building_the_graph_imports_neither_tensorflow_nor_keras():
    assert onnx_graph.__name__ == "lstm_cli.runs.onnx_graph"
    code = "import sys, lstm_cli.runs.onnx_graph as _; "
    code += "assert not {'tensorflow', 'keras', 'jax'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
