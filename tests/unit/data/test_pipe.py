"""Standard input: the first line is whole before it is looked at."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import pytest

from lstm_cli.data.pipe import Pipe
from lstm_cli.data.readers.open_rows import open_rows


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield Pipe(reader), writer
    for handle in (reader, writer):
        with contextlib.suppress(OSError):
            os.close(handle)


def test_a_header_that_arrives_in_parts_is_one(pipe):
    stream, writer = pipe

    def write():
        for part in (b"te", b"xt,la", b"bel\na,b\n"):
            os.write(writer, part)
            time.sleep(0.01)
        os.close(writer)

    thread = threading.Thread(target=write)
    thread.start()
    with open_rows(stream, name="standard input") as rows:
        assert rows.columns == ("text", "label")
        assert [record for _, record, _ in rows] == [{"text": "a", "label": "b"}]
    thread.join()


def test_the_first_line_is_read_before_the_second_arrives(pipe):
    stream, writer = pipe
    os.write(writer, b"a text\n")
    with open_rows(stream, name="standard input") as rows:
        assert next(iter(rows)).record == {"text": "a text"}
