from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.serve.framing import Framer


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"ab", b"\n\n"])), st.data())
def test_every_blank_line_ends_a_piece(parts, data):
    stream = b"".join(parts)
    expected = {
        match.start() + 1 + len(match[1]) for match in re.finditer(rb"(?=\n(\r?\n))", stream)
    }
    framer, ends, position = Framer(), set(), 0
    while position < len(stream):
        size = data.draw(st.integers(1, len(stream) - position))
        framer.feed(stream[position : position + size])
        position += size
        while len(framer):
            ends.add(max(ends, default=0) + len(framer.next_piece()))
    assert expected <= ends


def test_body_with_content_length_is_one_piece():
    framer = Framer()
    framer.feed(b"HEAD\r\n\r\n12\n\n5NEXT\r\n\r\n")
    assert framer.next_piece() == b"HEAD\r\n\r\n"
    framer.start_body([(b"content-length", b"5")])
    assert framer.next_piece() == b"12\n\n5"
    framer.end_body()
    assert (framer.next_piece(), len(framer)) == (b"NEXT\r\n\r\n", 0)
