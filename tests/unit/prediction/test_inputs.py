"""What `predict` reads in Python: lists, generators, arrays, columns of tables; and images."""

from __future__ import annotations

import sqlite3

import numpy as np
import pytest
from fixtures_runs import TEXTS, make_multi_label_run, make_text_run, text_config

import lstm_cli
from lstm_cli.errors import ExitCode, LstmError
from lstm_cli.io.fields import SEPARATOR


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
        lambda texts: [np.array(text) for text in texts],
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


def test_a_row_of_a_table_is_one_text(model, two_columns, pandas):
    table = pandas.DataFrame({"title": ["fine", "dull"], "body": ["dull", None], "id": ["a", "b"]})
    expected = two_columns.predict(table)
    first = table.iloc[0]
    assert two_columns.predict(first) == expected[:1]
    assert two_columns.explain(first).prediction.probability == expected[0].probability
    assert two_columns.predict([row for _, row in table.iterrows()]) == expected
    assert two_columns.predict(next(table.itertuples())) == expected[:1]
    assert two_columns.predict(table.to_records()) == expected
    assert two_columns.predict(table.to_records()[0]) == expected[:1]
    assert two_columns.predict(first[["title", "id"]]) == two_columns.predict({"title": "fine"})
    # Without a name of a column in its index, it is a column; so is one with such a name twice.
    assert len(two_columns.predict(first[["id"]])) == 1
    assert len(model.predict(pandas.Series(["fine", "dull"], index=["text", "text"]))) == 2
    assert model.predict(pandas.Series({"n": 1, "text": "fine"})) == model.predict("fine")
    assert "missing" in refused(model.predict, pandas.Series({"n": 1, "text": np.nan}))


def test_a_row_of_a_database_is_one_text(two_columns):
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    row = connection.execute("select 'fine' as title, 'dull' as body").fetchone()
    expected = two_columns.predict({"title": "fine", "body": "dull"})
    assert two_columns.predict(row) == two_columns.predict([row]) == expected


def test_a_name_of_a_column_hides_no_attribute_of_the_table(model, pandas):
    table = pandas.DataFrame({"column_names": ["x"], "columns": ["y"], "text": [TEXTS[0]]})
    assert model.predict(table) == model.predict(table.iloc[0]) == model.predict(TEXTS[0])


def test_tables_of_polars_are_read(model, two_columns):
    polars = pytest.importorskip("polars", reason="polars is not installed")
    table = polars.DataFrame({"title": ["fine", "dull"], "body": ["dull", None]})
    expected = two_columns.predict(table.rows(named=True))
    assert two_columns.predict(table) == two_columns.predict(table.to_struct("s")) == expected
    assert model.predict(table["title"]) == model.predict(["fine", "dull"])
    assert "position 1 of the column 'body'" in refused(model.predict, table["body"])
    assert "LazyFrame" in refused(two_columns.predict, table.lazy())


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
    assert model.predict(list(arrow.array(TEXTS))) == model.predict(TEXTS)
    assert model.predict(arrow.scalar(TEXTS[0])) == model.predict(TEXTS[0])


@pytest.mark.parametrize(
    "wrong", [5, None, str, b"text", memoryview(b"a"), np.zeros(3), np.array([["a", "b"]])]
)
def test_what_holds_no_texts_is_refused(model, wrong):
    for call in (model.predict, model.predict_proba, model.explain, model.text_probabilities):
        refused(call, wrong)


def test_the_class_of_a_table_is_not_a_table(model, pandas):
    refused(model.predict, pandas.DataFrame)


def test_columns_by_their_names_are_not_one_text(two_columns):
    message = refused(two_columns.predict, {"title": ["fine", "dull"], "body": ["a", "b"]})
    assert "one string in 'title'" in message


@pytest.mark.parametrize("value", ["0.5", True, [0.5], -1, 2, np.nan])
def test_a_threshold_is_a_number_from_0_to_1(model, value):
    assert "threshold" in refused(lambda: model.predict("a", threshold=value))
    assert "min-probability" in refused(lambda: model.predict("a", min_probability=value))


@pytest.mark.parametrize("num", [0, "3", 2.5, None, True])
def test_a_ranking_has_a_whole_number_of_texts(model, num):
    refused(model.rank_uncertain, TEXTS, num)


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
    assert model.predict_proba([]).shape == model.predict_proba(np.array([])).shape == (0, 2)
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
