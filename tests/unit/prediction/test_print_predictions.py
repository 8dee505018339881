"""The table of `lstm predict`."""

from __future__ import annotations

import pytest

from lstm_cli.cli.print_predictions import Style, write
from lstm_cli.prediction.result import Prediction


@pytest.mark.parametrize(
    ("num_classes", "top_k", "expected"),
    [
        (2, None, "c0 0.100  c1 0.200"),
        (5, None, "c0 0.100  c1 0.200  c2 0.300  c3 0.400  c4 0.500"),
        (
            1000,
            None,
            "c999 100.000  c998 99.900  c997 99.800  c996 99.700  c995 99.600  ... 995 more",
        ),
        (7, 2, "c6 0.700  c5 0.600"),
    ],
)
def test_a_table_shows_few_of_many_classes(num_classes, top_k, expected, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    probabilities = {f"c{i}": (i + 1) / 10 for i in range(num_classes)}
    prediction = Prediction("c0", 0.1, probabilities)
    write(iter([prediction]), None, Style("table", header=False, top_k=top_k), None)
    *_, line = capsys.readouterr().out.strip().splitlines()
    assert line.split(maxsplit=2)[2].strip() == expected
