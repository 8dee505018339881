"""Prediction: a record an input, in order, the same in any company, and from no changed run."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import fixtures_lstm as reference
import numpy as np
import pytest
import safetensors.numpy
from fixtures_properties import relaxed
from fixtures_runs import TEXTS, make_image_run, make_text_run, text_config
from hypothesis import given
from hypothesis import strategies as st

import lstm_cli
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.prediction import predictor
from lstm_cli.prediction.predictor import Predictor
from lstm_cli.runs import directory as runs
from lstm_cli.runs import onnx_graph
from lstm_cli.runs.directory import RunDir
from lstm_cli.text.corpus import encode

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_text_run(tmp_path_factory.mktemp("runs") / "demo" / "one")


@pytest.fixture(scope="module")
def reads_text(template):
    return Predictor.load(template)


@pytest.fixture(scope="module")
def reads_images(tmp_path_factory):
    return Predictor.load(make_image_run(tmp_path_factory.mktemp("runs") / "digits" / "one"))


@pytest.fixture(scope="module")
def of_three(tmp_path_factory):
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


# What is said


def test_the_probabilities_are_those_of_the_equations(reads_text):
    weights = safetensors.numpy.load(reads_text.run.file(runs.WEIGHTS).read_bytes())
    config = reads_text.run.config()
    for text, said in zip(TEXTS, reads_text.predict(TEXTS), strict=True):
        ids = reads_text.tokenizer.encode([text])[0].ids
        vectors = reference.embed(ids, weights, config)
        expected = reference.probabilities(vectors, weights, config)
        assert list(said.probabilities.values()) == pytest.approx(expected, abs=1e-6)
        assert said.label == reads_text.labels[int(expected.argmax())]
        assert said.probability == pytest.approx(expected.max(), abs=1e-6)


def test_there_is_one_record_a_text_in_order(reads_text):
    texts = [*TEXTS, "", TEXTS[0], "wholly new words", "", *reversed(TEXTS)]
    together = reads_text.predict(texts)
    assert len(together) == len(texts)
    for text, said in zip(texts, together, strict=True):
        alone = reads_text.predict(text)[0]
        assert said.probability == pytest.approx(alone.probability, abs=1e-6)
        assert (said.label, said.num_tokens) == (alone.label, alone.num_tokens)


def test_equal_texts_get_equal_answers(reads_text):
    assert len({said.probability for said in reads_text.predict([TEXTS[1]] * 40)}) == 1


def test_texts_for_a_run_that_reads_images_are_refused(reads_images):
    for call in (reads_images.predict, reads_images.text_probabilities):
        with pytest.raises(LstmError, match="reads images, not texts") as caught:
            call(["a fine film"])
        assert "--run" in caught.value.hint
        assert caught.value.exit_code == ExitCode.USAGE


def test_no_texts_get_no_answers(reads_text, reads_images):
    assert reads_text.predict([]) == []
    assert reads_images.predict(np.zeros((0, 8, 8), np.uint8)) == []


@relaxed
@given(st.lists(ANY_TEXT | st.sampled_from(TEXTS), max_size=30), st.randoms())
def test_the_company_of_a_text_does_not_change_its_answer(reads_text, texts, dice):
    order = dice.sample(range(len(texts)), len(texts))
    found = reads_text.predict(texts)
    shuffled = reads_text.predict([texts[i] for i in order])
    for place, i in enumerate(order):
        assert shuffled[place].probability == pytest.approx(found[i].probability, abs=1e-6)
    assert all(np.isfinite(said.probability) for said in found)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "\0", "\x1b[31mred", "😀", "\u05e9\u05dc\u05d5\u05dd", "好电影", "\udc80 fine"],
)
def test_odd_texts_get_an_answer(text, reads_text):
    (said,) = reads_text.predict(text)
    assert said.label in reads_text.labels
    assert sum(said.probabilities.values()) == pytest.approx(1, abs=1e-6)


def test_a_megabyte_of_text_gets_an_answer(reads_text):
    (said,) = reads_text.predict("a fine film " * 90_000)
    assert (said.num_tokens, said.truncated) == (270_000, True)


def test_a_record_tells_tokens_cut_and_unknown_words(reads_text):
    said = reads_text.predict(["a fine xyz film", "a " * 13, ""])
    assert [s.num_tokens for s in said] == [4, 13, 0]
    assert [s.truncated for s in said] == [False, True, False]
    assert [s.unknown for s in said] == [0.25, 0.0, 0.0]


def test_a_record_is_plain_json_and_leaves_out_what_does_not_apply(reads_text, reads_images):
    told = reads_text.predict(TEXTS[0])[0].to_dict()
    assert list(told) == [
        "label", "probability", "probabilities", "num_tokens", "truncated", "unknown",
    ]  # fmt: skip
    told = reads_images.predict(np.zeros((1, 8, 8), np.uint8))[0].to_dict()
    assert list(told) == ["label", "probability", "probabilities"]
    assert all(type(p) is float for p in told["probabilities"].values())


def test_an_encoded_corpus_gets_the_answers_of_its_texts(reads_text):
    corpus = encode(TEXTS, reads_text.tokenizer)
    found = reads_text.probabilities(corpus)
    assert found == pytest.approx(reads_text.text_probabilities(TEXTS), abs=1e-6)


def test_strings_in_an_array_are_texts(reads_text):
    assert reads_text.predict(np.array(TEXTS)) == reads_text.predict(TEXTS)
    assert reads_text.predict(np.array(TEXTS, object)) == reads_text.predict(TEXTS)


# Thresholds


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.9, 1.0])
def test_a_threshold_is_the_probability_from_which_the_second_class_is_chosen(
    threshold, reads_text
):
    texts = [*TEXTS, "", "dull dull", "fine film"]
    for said in reads_text.predict(texts, threshold):
        second = said.probabilities["positive"]
        assert said.label == ("positive" if second >= threshold else "negative")
        assert said.probability == said.probabilities[said.label]


def test_a_probability_of_just_the_threshold_chooses_the_second_class(reads_text):
    exactly = reads_text.predict(TEXTS[0])[0].probabilities["positive"]
    assert reads_text.predict(TEXTS[0], exactly)[0].label == "positive"


def test_without_a_threshold_the_likelier_class_is_chosen(reads_text):
    assert reads_text.predict(TEXTS) == reads_text.predict(TEXTS, 0.5)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_threshold_outside_0_and_1_is_refused(threshold, reads_text):
    assert "--threshold" in refused(reads_text.predict, TEXTS, threshold).message


def test_a_threshold_for_three_classes_is_refused(of_three, reads_images):
    assert "two classes" in refused(of_three.predict, TEXTS, 0.5).message
    refused(reads_images.predict, np.zeros((1, 8, 8), np.uint8), 0.5)
    # Even where there is nothing to classify: a mistyped command line shows at once.
    refused(of_three.predict, [], 0.5)
    refused(reads_images.predict, np.zeros((0, 8, 8), np.uint8), 0.5)


# Kinds


def test_images_get_the_answers_of_the_equations(reads_images):
    weights = safetensors.numpy.load(reads_images.run.file(runs.WEIGHTS).read_bytes())
    images = np.random.default_rng(3).integers(0, 256, (300, 8, 8), dtype=np.uint8)
    config = reads_images.run.config()
    found = reads_images.probabilities(images)
    assert (reads_images.kind, reads_images.shape) == ("image", (8, 8))
    for i in (0, 127, 128, 299):
        expected = reference.probabilities(images[i] / 255, weights, config)
        assert found[i] == pytest.approx(expected, abs=1e-6)


def test_a_text_run_given_images_and_an_image_run_given_texts_are_refused(reads_text, reads_images):
    images = np.zeros((1, 8, 8), np.uint8)
    assert "reads texts" in refused(reads_text.predict, images).message
    assert "reads images" in refused(reads_images.predict, TEXTS).message
    assert "reads images" in refused(reads_images.predict, "one text").message
    assert "reads images" in refused(reads_images.predict, np.array(TEXTS)).message


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 9), np.uint8),
        np.zeros((8, 8), np.uint8),
        np.zeros((1, 8, 8, 1), np.uint8),
        np.zeros((1, 8, 8), np.float32),
        np.zeros((1, 8, 8), np.int64),
    ],
)
def test_images_of_another_shape_or_type_are_refused(images, reads_images):
    message = refused(reads_images.predict, images).message
    assert "uint8" in message
    assert "8" in message


# Streams


def test_a_stream_is_read_no_further_than_a_window_ahead(reads_text, monkeypatch):
    monkeypatch.setattr(predictor, "_WINDOW_TEXTS", 500)
    read = 0

    def texts():
        nonlocal read
        for number in range(10_000):
            read += 1
            yield f"{'fine' if number % 3 else 'dull'} film {number}"

    answers = reads_text.stream(texts())
    assert read == 0
    for done in range(1, 10_001):
        assert next(answers).num_tokens == 3
        assert read - done < 500
    assert next(answers, None) is None


def test_long_texts_fill_a_window_sooner(reads_text, monkeypatch):
    monkeypatch.setattr(predictor, "_WINDOW_CHARACTERS", 1000)
    read = []
    texts = (read.append(n) or "fine " * 50 for n in range(100))
    next(reads_text.stream(texts))
    assert len(read) == 4


def test_a_stream_gives_what_a_list_gives(reads_text, monkeypatch):
    expected = reads_text.predict(TEXTS)
    monkeypatch.setattr(predictor, "_WINDOW_TEXTS", 3)
    for said, alone in zip(reads_text.stream(iter(TEXTS)), expected, strict=True):
        assert said.probability == pytest.approx(alone.probability, abs=1e-6)


# Trust


def test_a_run_is_loaded_by_path_by_name_and_by_data_set(run):
    root = run.path.parents[1]
    for wanted in (run, run.path, str(run.path), "demo/one", "one", "demo"):
        assert lstm_cli.load(wanted, root).run.path == run.path


@pytest.mark.parametrize(
    "name", [runs.MODEL, runs.TOKENIZER, runs.LABELS, runs.CONFIG, runs.GOLDEN]
)
def test_a_changed_file_is_found_out_before_anything_is_parsed(name, run, monkeypatch):
    content = bytearray(run.file(name).read_bytes())
    content[len(content) // 2] ^= 1
    run.file(name).write_bytes(content)
    monkeypatch.setattr(Predictor, "from_files", None)
    assert name in refused(Predictor.load, run, code=ExitCode.INTEGRITY).message


@pytest.mark.parametrize("name", [runs.MODEL, runs.LABELS, runs.CONFIG, runs.GOLDEN, runs.MANIFEST])
def test_a_missing_file_is_found_out(name, run):
    run.file(name).unlink()
    refused(Predictor.load, run, code=ExitCode.INTEGRITY)


def test_a_text_run_that_lost_its_tokenizer_is_no_image_run(run):
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
def test_a_run_that_answers_its_golden_inputs_otherwise_is_refused(change, run):
    golden(run, change)
    refused(Predictor.load, run, code=ExitCode.INTEGRITY)


def test_golden_answers_may_differ_by_rounding_alone(run):
    def nudged(by):
        return lambda g: {**g, "probabilities": (np.array(g["probabilities"]) + by).tolist()}

    golden(run, nudged(predictor.GOLDEN_TOLERANCE / 2))
    Predictor.load(run)
    golden(run, nudged(predictor.GOLDEN_TOLERANCE * 2))
    assert "golden" in refused(Predictor.load, run, code=ExitCode.INTEGRITY).message


def test_files_of_two_runs_under_one_manifest_are_refused(run, reads_images, tmp_path):
    few_words = make_text_run(tmp_path / "few", config=text_config(text__vocab_size=4))
    for name, content in (
        (runs.MODEL, few_words.file(runs.MODEL).read_bytes()),
        (runs.MODEL, reads_images.run.file(runs.MODEL).read_bytes()),
        (runs.MODEL, b"no model"),
        (runs.LABELS, b'["a", "b", "c"]'),
        (runs.CONFIG, reads_images.run.file(runs.CONFIG).read_bytes()),
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
said = lstm_cli.load(sys.argv[1]).predict(["a fine film", ""])
assert [s.label in ("negative", "positive") for s in said] == [True, True]
"""


def test_prediction_imports_neither_tensorflow_nor_keras(template):
    code = [sys.executable, "-c", _WITHOUT_KERAS, str(template.path)]
    done = subprocess.run(code, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_building_the_graph_imports_neither_tensorflow_nor_keras():
    assert onnx_graph.__name__ == "lstm_cli.runs.onnx_graph"
    code = (
        "import sys, lstm_cli.runs.onnx_graph\n"
        "assert not {'tensorflow', 'keras', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
