"""Fuzzing: inputs of every kind, each of which ends as a value or as an LstmError, soon."""

from __future__ import annotations

import time

from fixtures_attacks import within
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstm_cli.errors import LstmError

FEW, MANY = 300, 5000
_LONGEST_MESSAGE = 1500
_FEWEST = 0.1
_MOST_SECONDS = 2.0

# Marks of encodings, of CSV, of JSON, of YAML, and of bytes that are no text at all.
CHUNKS = [
    b"\0", b"\r", b"\n", b"\r\n", b"\t", b",", b";", b'"', b'""', b'"\n', b"\x1a", b"\x0c", b"\x85",
    b"\xff", b"\xfe\xff", b"\xff\xfe", b"\xff\xfe\0\0", b"\0\0\xfe\xff", b"\xef\xbb\xbf", b"\xc0",
    b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xe2\x80", b"caf\xe9", b"\\ud800",
    b"\\u0000", b"\\", b"{", b"}", b"[", b"]", b":", b"null", b"NaN", b"-Infinity", b"1e999",
    b'{"text": "a", "text": "b"}', b'"text": ', b"'", b"#", b"- ", b"? ", b"&a ", b"*a", b"<<: *a",
    b"!!bool ", b"!!int ", b"!!binary ", b"!!python/object:os.system ", b"|\n", b"---\n", b"%TAG",
    b"2020-13-45", b"0x_", b"1:60:99",
]  # fmt: skip
# What takes long, or fills the memory, where a reader is careless.
HEAVY = [b"9" * 5000, b"[" * 20_000, b'{"a":' * 20_000, b"w" * 300_000, b'"' * 9999, b"\0" * 70_000]
HEAVY += [b",\n" * 2000, b"{" * 3000, b"\r" * 5000, b" " * 70_000]
ENCODINGS = [*["utf-8"] * 9, "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "latin-1"]


@st.composite
def mutated(draw, texts):
    """Bytes of a valid text in some encoding, as they are or changed in a few places."""
    content = draw(texts).encode(draw(st.sampled_from(ENCODINGS)), "replace")
    content = draw(_changed(content))
    if draw(st.integers(0, 40)) == 0:
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(st.sampled_from(HEAVY)) + content[place:]
    return content


@st.composite
def near(draw, contents):
    """Bytes of a valid file of a binary format, as they are or changed in a few places."""
    return draw(_changed(draw(contents)))


@st.composite
def _changed(draw, content):
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4]))):
        content = draw(_change(content))
    return content


@st.composite
def _change(draw, content):
    """Put something in, take a part out, do a part twice, flip a bit, or cut the rest off."""
    start = draw(st.integers(0, len(content)))
    end = min(len(content), start + draw(st.integers(0, 30)))
    part = {
        "put": draw(st.sampled_from(CHUNKS) | st.binary(max_size=4)) + content[start:end],
        "out": b"",
        "twice": 2 * content[start:end],
        "flip": bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in content[start : start + 1]),
    }[draw(st.sampled_from(["put", "put", "put", "out", "twice", "flip"]))]
    if part and end == start + 1 and draw(st.booleans()):
        return content[:start] + part
    return content[:start] + part + content[end:]


@st.composite
def changed_bytes(draw, content):
    """Bytes of a valid file, changed in a few places."""
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        content = draw(_change(content))
    return content


def any_bytes(texts):
    """Mostly what is nearly valid, which gets deep; else anything."""
    nearly = mutated(texts)
    return st.one_of(nearly, nearly, nearly, nearly, st.binary(max_size=200))


def fuzz(name, strategy, call, num, refuses=True):
    """Give a reader many inputs; print how they ended; fail for all but a value or an LstmError.

    Args:
        name: Of the reader.
        strategy: Of its inputs.
        call: Reads one, and holds what it read to what it must be.
        num: How many inputs; with `MANY`, other ones each time.
        refuses: Whether it refuses anything at all.
    """
    counts = {"inputs": 0, "read": 0, "refused": 0, "failed": 0}

    # A hang is ended by the alarm; what is merely slow is found by the processor's time, which is
    # the same on a busy machine.
    @settings(
        max_examples=num,
        deadline=None,
        derandomize=num <= FEW,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def one(content):
        counts["inputs"] += 1
        began = time.process_time()
        try:
            with within(60):
                call(content)
        except LstmError as error:
            counts["refused"] += 1
            _check_words(error)
        except BaseException:
            counts["failed"] += 1
            raise
        else:
            counts["read"] += 1
        seconds = time.process_time() - began
        counts["failed"] += seconds > _MOST_SECONDS
        assert seconds <= _MOST_SECONDS, f"took {seconds:.1f} s"

    try:
        one()
    finally:
        summary = ", ".join(f"{value} {key}" for key, value in counts.items())
        print(f"\nfuzz {name}: {summary}", end="")  # noqa: T201  (shown by `pytest -s`)
    assert refuses or not counts["refused"]
    for key in ("read", "refused") if refuses else ("read",):
        assert counts[key] >= _FEWEST * counts["inputs"], f"too few inputs were {key}"


def _check_words(error):
    assert error.message.strip()
    assert len(error.message) < _LONGEST_MESSAGE, error.message[:200]
    f"{error.message} {error.hint}".encode("utf-8", "backslashreplace")
