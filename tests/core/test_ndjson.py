"""Newline-delimited JSON: the same bytes give the same lines, wherever they were cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.ndjson import MAX_LINE_BYTES, LineDecoder, LineTooLong


def decode(*pieces: bytes) -> list[bytes]:
    decoder = LineDecoder()
    return [line for piece in pieces for line in decoder.feed(piece)] + decoder.close()


TRANSCRIPTS = {
    "lines": (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
    "open last line": (b'{"a":1}\n{"b":', [b'{"a":1}', b'{"b":']),
    "blank lines": (b"\n  \n1\n\r\n\t\n2\n\n", [b"1", b"2"]),
    "CRLF stays, and JSON does not mind": (b"1\r\n2\r\n", [b"1\r", b"2\r"]),
    "CR is no line end": (b"1\r2\n", [b"1\r2"]),
    "other line ends of Unicode": ('"a\u2028b\x85c\x0b"\n'.encode(), ['"a\u2028b\x85c\x0b"'.encode()]),
    "nothing": (b"", []),
    "blanks at the end": (b"1\n ", [b"1"]),
}


@pytest.mark.parametrize(("stream", "lines"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_transcript(stream: bytes, lines: list[bytes]):
    assert decode(stream) == lines
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], b"", stream[cut:]) == lines, f"cut at {cut}"


CUTS = st.lists(st.integers(min_value=0), max_size=12)


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(edges)]


@given(st.one_of(st.binary(), st.text(alphabet="\n\r a\u2028é").map(str.encode)), CUTS)
@settings(deadline=None)
def test_any_cut_gives_the_same_lines(stream: bytes, cuts: list[int]):
    assert decode(*pieces_of(stream, cuts)) == [line for line in stream.split(b"\n") if line.strip()]


@given(st.lists(st.dictionaries(st.text(), st.text())), CUTS)
@settings(deadline=None)
def test_what_is_written_is_read(values: list[dict[str, str]], cuts: list[int]):
    stream = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values).encode("utf-8", "surrogatepass")
    assert [json.loads(line) for line in decode(*pieces_of(stream, cuts))] == values


@pytest.mark.parametrize("pieces", [1, 2, 17])
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_memory_for_one_line_is_bounded(pieces: int, end: bytes):
    decoder = LineDecoder()
    with pytest.raises(LineTooLong):
        _ = [decoder.feed(b"x" * (MAX_LINE_BYTES // pieces + 1) + end * (n == pieces)) for n in range(1, pieces + 1)]


def test_many_lines_are_no_long_line():
    assert len(decode(*[b"x" * (MAX_LINE_BYTES // 4) + b"\n"] * 5)) == 5


def test_the_longest_line_passes_and_is_forgotten():
    decoder = LineDecoder()
    longest = b"x" * MAX_LINE_BYTES
    assert decoder.feed(longest) == []
    assert decoder.feed(b"\n") == [longest]
    assert decoder.feed(longest + b"\n") == [longest]
    decoder.feed(b"1")
    assert decoder.close() == [b"1"]
    assert decoder.feed(longest) == [], "closing begins anew"
