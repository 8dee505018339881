from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.explain.segments import Segment, relative_effects, segments


def test_a_text_is_split_into_tokens_and_what_is_between():
    assert list(segments("a  dull film", [(0, 1), (3, 7), (8, 12)], None)) == [
        Segment("token", "a", 0),
        Segment("between", "  "),
        Segment("token", "dull", 1),
        Segment("between", " "),
        Segment("token", "film", 2),
    ]


@pytest.mark.parametrize(
    ("spans", "kinds"),
    [
        ([(0, 3), (12, 15)], ["token", "between", "truncated", "between", "token"]),
        ([(12, 15)], ["between", "truncated", "between", "token"]),
        # The end of the text was not read either.
        ([(0, 3)], ["token", "between", "truncated", "between"]),
    ],
)
def test_the_truncated_span_is_a_segment_of_its_own(spans, kinds):
    found = list(segments("one two six ten", spans, (4, 11)))
    assert [segment.kind for segment in found] == kinds
    assert [segment.text for segment in found if segment.kind == "truncated"] == ["two six"]


@given(st.text(), st.lists(st.integers(0, 50), unique=True), st.booleans())
def test_segments_join_to_the_text(text, cuts, truncated):
    ends = sorted({min(cut, len(text)) for cut in cuts})
    spans = list(zip(ends[::2], ends[1::2], strict=False))
    span = None
    if truncated and len(spans) > 1 and spans[0][1] < spans[1][0]:
        span = (spans[0][1], spans[1][0])
    found = list(segments(text, spans, span))
    assert "".join(segment.text for segment in found) == text
    assert [s.text for s in found if s.kind == "token"] == [text[a:b] for a, b in spans]


def test_tokens_of_one_character_show_it_once():
    assert list(segments("½ a", [(0, 1), (0, 1), (2, 3)], None)) == [
        Segment("token", "½", 0),
        Segment("token", "", 1),
        Segment("between", " "),
        Segment("token", "a", 2),
    ]
    found = list(segments("aŀb", [(0, 2), (1, 2), (2, 3)], None))
    assert [segment.text for segment in found] == ["aŀ", "", "b"]


def test_effects_are_relative_to_the_strongest():
    assert relative_effects([1.0, -2.0, 0.0]) == [0.5, -1.0, 0.0]
    assert relative_effects([0.0]) == [0.0]
    assert relative_effects([]) == []
