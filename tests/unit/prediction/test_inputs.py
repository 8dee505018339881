"""What `predict` reads in Python: lists, generators, arrays, columns of tables; and images."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_runs import TEXTS, make_image_run, make_multi_label_run, make_text_run, text_config

import lstm_cli
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import SEPARATOR
from lstm_cli.prediction.inputs import read_images


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs") / "demo"


@pytest.fixture(scope="module")
def model(folder):
    return lstm_cli.load(make_text_run(folder / "one"))


@pytest.fixture(scope="module")
def two_columns(folder):
    config = text_config(data__text_columns=["title", "body"])
    texts = [f"fine {SEPARATOR} a dull moment", f" {SEPARATOR} dull"]
    return lstm_cli.load(make_text_run(folder / "columns", config=config, texts=texts))


@pytest.fixture(scope="module")
def pandas():
    return pytest.importorskip("pandas")


def refused(call, *args):
    with pytest.raises(LstmError) as caught:
        call(*args)
    assert caught.value.exit_code == ExitCode.USAGE
    return caught.value.message


@pytest.mark.parametrize(
    "form",
    [
        tuple,
        iter,
        np.array,
        lambda texts: np.array(texts, object),
        lambda texts: np.array(texts)[:, None],
        lambda texts: (text for text in texts),
        lambda texts: dict.fromkeys(texts).keys(),
    ],
)
def test_texts_in_any_form_give_the_same(model, form):
    assert model.predict(form(TEXTS)) == model.predict(list(TEXTS))
    assert (model.predict_proba(form(TEXTS)) == model.predict_proba(list(TEXTS))).all()


def test_a_single_string_is_one_text(model):
    assert model.predict(TEXTS[0]) == model.predict([TEXTS[0]])
    assert model.predict(np.array(TEXTS[0])) == model.predict([TEXTS[0]])
    assert model.predict_proba(TEXTS[0]).shape == (1, 2)


@pytest.mark.parametrize("dtype", ["str", "object", "string", "category"])
def test_a_column_of_pandas_is_read_whatever_its_type(model, pandas, dtype):
    column = pandas.Series(TEXTS, dtype=dtype, index=[7, 3, 9, 1])
    assert model.predict(column) == model.predict(list(TEXTS))


def test_a_table_of_pandas_is_read_by_its_column(model, two_columns, pandas):
    texts = pandas.Series(TEXTS)
    assert model.predict(texts.to_frame("words")) == model.predict(TEXTS)
    assert model.predict(pandas.DataFrame({"n": 1, "text": texts})) == model.predict(TEXTS)
    assert "n, m" in refused(model.predict, pandas.DataFrame({"n": texts, "m": texts}))
    table = pandas.DataFrame({"body": ["dull", "fine"], "id": 1, "title": ["fine", np.nan]})
    expected = two_columns.predict([f"fine {SEPARATOR} dull", f" {SEPARATOR} fine"])
    assert two_columns.predict(table) == expected
    assert "title, body" in refused(two_columns.predict, table[["body", "id"]])
    assert "several" in refused(
        model.predict, pandas.DataFrame([["a", "b"]], columns=["text", "text"])
    )


@pytest.mark.parametrize("missing", [None, np.nan, "NA", "NaT"])
def test_a_missing_cell_is_named_with_its_place(model, pandas, missing):
    value = getattr(pandas, missing) if isinstance(missing, str) else missing
    column = pandas.Series(["a", "b", value], index=["x", "y", "z"], name="words", dtype=object)
    message = refused(model.predict, column)
    assert "'z'" in message
    assert "'words'" in message
    assert "position 2" in message
    assert "missing" in message
    assert "position 1 " in refused(model.predict_proba, ["a", value])
    assert "position 1 " in refused(model.predict, np.array(["a", value], object))


def test_columns_of_arrow_are_read(model):
    arrow = pytest.importorskip("pyarrow")
    assert model.predict(arrow.array(TEXTS)) == model.predict(TEXTS)
    table = arrow.table({"n": [1] * len(TEXTS), "text": TEXTS})
    assert model.predict(table) == model.predict(TEXTS)
    assert "position 1 " in refused(model.predict, arrow.array(["a", None]))


@pytest.mark.parametrize("wrong", [5, None, b"text", np.zeros(3), np.array([["a", "b"]])])
def test_what_holds_no_texts_is_refused(model, wrong):
    refused(model.predict, wrong)
    refused(model.explain, wrong)


def test_an_element_that_is_not_a_text_is_named(model):
    for wrong in (b"bytes", ["a", "list"], 3):
        message = refused(model.predict, ["a", wrong])
        assert repr(wrong) in message
        assert "position 1 " in message


# Probabilities as those of scikit-learn


def test_probabilities_have_a_column_for_each_class(model):
    found = model.predict_proba(TEXTS)
    expected = [list(p.probabilities.values()) for p in model.predict(TEXTS)]
    assert found.tolist() == expected
    assert (found.dtype, model.classes_.tolist()) == (np.float32, list(model.labels))
    assert found.sum(axis=1) == pytest.approx(1)
    assert model.predict_proba([]).shape == (0, 2)
    labels = model.predict_labels(TEXTS)
    assert (model.classes_[found.argmax(axis=1)] == labels).all()
    assert labels.tolist() == [p.label for p in model.predict(TEXTS)]


def test_a_label_is_empty_where_there_is_no_answer(folder):
    run = make_text_run(folder / "unsure")
    lstm_cli.set_thresholds(run, min_probability=1.0)
    assert lstm_cli.load(run).predict_labels(TEXTS[:2]).tolist() == ["", ""]


def test_several_labels_are_an_indicator_matrix(folder):
    model = lstm_cli.load(make_multi_label_run(folder / "several"))
    found = model.predict_labels(TEXTS)
    assert (found.shape, found.dtype) == ((len(TEXTS), 3), np.int64)
    assert model.predict_proba(TEXTS).shape == (len(TEXTS), 3)
    for row, prediction in zip(found, model.predict(TEXTS), strict=True):
        assert set(model.classes_[row == 1]) == set(prediction.labels)
    assert 0 < found.sum() < found.size


# Images


def test_images_in_any_form_give_the_same(folder):
    model = lstm_cli.load(make_image_run(folder / "images"))
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    expected = model.predict(images)
    for form in (list(images), images[..., None], images.astype(np.int64), images.tolist()):
        assert model.predict(form) == expected
    assert model.predict(images[0]) == expected[:1]
    assert model.explain(images[0]).prediction.label == expected[0].label
    assert model.predict_proba(images).shape == (3, 10)
    assert "one text or image, found 3" in refused(model.explain, images)
    refused(model.predict, [images[0], images[1, :4]])
    refused(model.predict, "one text")


@pytest.mark.parametrize(
    ("images", "hint"),
    [
        (np.zeros((2, 64), np.uint8), "reshape(-1, 8, 8)"),
        (np.full((1, 8, 8), 0.5), "(images * 255)"),
        (np.full((1, 8, 8), 99.0), "(images)"),
    ],
)
def test_the_error_says_how_to_convert_images(images, hint):
    with pytest.raises(LstmError) as caught:
        read_images(images, (8, 8), "it")
    assert hint in caught.value.hint
