from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_cli.data.readers.tfrecord import crc32c, parse_example, read_records

# {"label": Int64List [-1], "text": BytesList [b""]}
EXAMPLE = (
    b"\n\x27\n\x17\n\x05label\x12\x0e\x1a\x0c\n\x0a" + b"\xff" * 9 + b"\x01"
    b"\n\x0c\n\x04text\x12\x04\n\x02\n\x00"
)


def test_checksums_are_those_of_the_crc_catalog():
    content = np.frombuffer(b"x123456789a", np.uint8)
    starts, lengths = np.array([1, 0, 10]), np.array([9, 0, 1])
    # Source: https://reveng.sourceforge.io/crc-catalogue/all.htm, CRC-32/ISCSI.
    assert [hex(crc) for crc in crc32c(content, starts, lengths)] == [
        "0xe3069283",
        "0x0",
        "0xc1d04330",
    ]
    assert len(crc32c(content, starts[:0], lengths[:0])) == 0


def test_negative_numbers_and_empty_texts_are_parsed():
    assert parse_example(EXAMPLE) == {"label": -1, "text": b""}
    unpacked = b"\n\x0f\n\x0d\n\x05label\x12\x04\x1a\x02\x08\x07"
    assert parse_example(unpacked) == {"label": 7}
    assert parse_example(b"") == {}


@given(st.binary())
def test_any_bytes_are_parsed_or_give_a_value_error(record):
    try:
        parse_example(record)
    except ValueError as error:
        assert "tf.train.Example" in str(error)


@pytest.mark.parametrize("content", [b"", b"\x01", b"\x00" * 16, b"\xff" * 40])
def test_a_file_that_is_not_a_tfrecord_is_refused(tmp_path, content):
    (tmp_path / "a.tfrecord").write_bytes(content)
    with pytest.raises(ValueError, match=r"empty|a\.tfrecord"):
        list(read_records(tmp_path / "a.tfrecord"))
