"""Answers as Parquet: the input's types stay, and a row that cannot be read has no values."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lstm_cli.data.kept_columns import NOTHING, KeptColumns
from lstm_cli.data.records import InputRecord, open_records
from lstm_cli.errors import LstmError
from lstm_cli.io.atomic_write import open_atomic
from lstm_cli.prediction import write_parquet
from lstm_cli.prediction.answers import Answer
from lstm_cli.prediction.columns import PredictionColumns
from lstm_cli.prediction.ranking import RankedPrediction
from lstm_cli.prediction.result import Prediction
from lstm_cli.prediction.write_parquet import ParquetWriter, write_ranked_parquet
from lstm_cli.prediction.write_text import Layout

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

COLUMNS = PredictionColumns(("label", "b"), has_errors=True)
PREDICTION = Prediction("b", 0.75, {"label": 0.25, "b": 0.75}, 3, True, 0.5)


def layout(*names, columns=COLUMNS, is_open=False):
    kept = KeptColumns(names, is_open) if names else NOTHING
    return Layout("parquet", False, kept, columns)


def written(layout, answers, schema=None):
    file = io.BytesIO()
    with ParquetWriter(layout, file, schema) as writer:
        for found in answers:
            writer.write(found)
    return pq.read_table(io.BytesIO(file.getvalue()))


def test_columns_of_parquet_keep_their_types(tmp_path):
    table = pa.table(
        {
            "id": pa.array([1, None], pa.int16()),
            "text": ["a fine film", None],
            "when": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 2, pa.timestamp("ms", "UTC")),
            "price": pa.array([Decimal("1.20"), None], pa.decimal128(8, 2)),
            "tags": [["a", "b"], []],
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "raw": pa.array([b"\xff", None]),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    with open_records(tmp_path / "t.parquet") as records:
        answers = [Answer(r, PREDICTION if r.error is None else None) for r in records]
        found = written(layout(*records.columns), answers, records.schema)
    assert found.select(table.column_names) == table
    first, second = found.drop_columns(table.column_names).to_pylist()
    assert first == {
        "prediction_label": "b", "prediction_probability": 0.75,
        "prediction_probability:label": 0.25, "prediction_probability:b": 0.75,
        "prediction_tokens": 3, "prediction_truncated": True, "prediction_unknown": 0.5,
        "prediction_error": None,
    }  # fmt: skip
    assert "null" in second.pop("prediction_error")
    assert set(second.values()) == {None}


def test_values_of_json_become_text():
    records = [InputRecord("x", {"n": 1, "z": None, "l": [1]}), InputRecord("y", {"n": "s"})]
    answers = [Answer(record, PREDICTION) for record in records]
    found = written(layout("n", "z", "l"), [*answers, Answer(records[0], None)])
    assert found.select(["n", "z", "l"]).to_pylist()[:2] == [
        {"n": "1", "z": None, "l": "[1]"},
        {"n": "s", "z": None, "l": None},
    ]


def test_several_labels_are_lists():
    columns = PredictionColumns(("label", "b"), separator="|")
    prediction = Prediction("b", 0.75, {"label": 0.5, "b": 0.75}, 3, True, 0.5, ["b", "label"])
    (row,) = written(layout(columns=columns), [Answer(InputRecord(""), prediction)]).to_pylist()
    assert (row["labels"], row["probabilities"]) == (["b", "label"], [0.75, 0.5])


def test_rows_are_written_in_groups(monkeypatch):
    monkeypatch.setattr(write_parquet, "_GROUP_ROWS", 2)
    file = io.BytesIO()
    with ParquetWriter(layout("text"), file) as writer:
        for index in range(5):
            writer.write(Answer(InputRecord("", {"text": str(index)}), PREDICTION))
    parquet = pq.ParquetFile(io.BytesIO(file.getvalue()))
    assert parquet.num_row_groups == 3
    assert parquet.read()["text"].to_pylist() == list("01234")


def test_an_error_leaves_no_file(tmp_path):
    path = tmp_path / "x.parquet"
    with pytest.raises(LstmError), open_atomic(path) as file, ParquetWriter(layout(), file) as new:
        new.write(Answer(InputRecord(""), PREDICTION))
        raise LstmError("No.")
    assert not list(tmp_path.iterdir())


def test_a_ranking_has_records_and_texts():
    file = io.BytesIO()
    write_ranked_parquet([RankedPrediction(7, 0.5, 0.0, PREDICTION, "a text")], COLUMNS, file)
    (row,) = pq.read_table(io.BytesIO(file.getvalue())).to_pylist()
    assert (row["record"], row["uncertainty"], row["text"]) == (7, 0.5, "a text")
