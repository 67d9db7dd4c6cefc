"""Server-sent events: the same bytes give the same events, wherever they were cut."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.sse import MAX_EVENT_BYTES, EventTooLong, ServerSentEvent, SSEDecoder

BOM = "\ufeff".encode()


def decode(*pieces: bytes) -> list[ServerSentEvent]:
    decoder = SSEDecoder()
    return [event for piece in pieces for event in decoder.feed(piece)] + decoder.close()


def said(data: str, event: str = "message") -> ServerSentEvent:
    return ServerSentEvent(data, event)


TRANSCRIPTS = {
    "LF": (b"data: a\n\ndata: b\n\n", [said("a"), said("b")]),
    "CRLF": (b"data: a\r\n\r\ndata: b\r\n\r\n", [said("a"), said("b")]),
    "CR": (b"data: a\r\rdata: b\r\r", [said("a"), said("b")]),
    "mixed line ends": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", [said("a"), said("b"), said("c")]),
    "no space after the colon": (b"data:a\n\n", [said("a")]),
    "one space is taken, no more": (b"data:  a \n\n", [said(" a ")]),
    "several data lines": (b"data: a\ndata\ndata: b\n\n", [said("a\n\nb")]),
    "several data lines, CRLF": (b"data: a\r\ndata: b\r\n\r\n", [said("a\nb")]),
    "empty data": (b"data:\n\n", [said("")]),
    "event name": (b"event: error\ndata: a\n\ndata: b\n\n", [said("a", "error"), said("b")]),
    "the last name counts": (b"event: x\nevent: y\ndata: a\n\n", [said("a", "y")]),
    "a name without data is nothing": (b"event: x\n\ndata: a\n\n", [said("a")]),
    "comments": (b": ping\n\n:data: x\ndata: a\n: in between\ndata: b\n\n", [said("a\nb")]),
    "other fields": (b"id: 7\nretry: 10\nfoo: bar\ndatas: x\n data: x\ndata: a\n\n", [said("a")]),
    "BOM at the start": (BOM + b"data: a\n\n", [said("a")]),
    "BOM elsewhere": (b"data: a\n\n" + BOM + b"data: b\n\n", [said("a")]),
    "two BOMs": (BOM + BOM + b"data: a\n\n", []),
    "colons in data": (b'data: {"a": 1}\n\n', [said('{"a": 1}')]),
    "other line ends of Unicode": ("data: a\u2028b\x0b\x85c\n\n".encode(), [said("a\u2028b\x0b\x85c")]),
    "broken UTF-8": (b"data: a\xff\xc3\n\n", [said("a\ufffd\ufffd")]),
    "open last event": (b"data: a\n\ndata: b\n", [said("a"), said("b")]),
    "open last line": (b"data: a\n\nevent: error\ndata: b", [said("a"), said("b", "error")]),
    "nothing": (b"", []),
    "blank lines": (b"\n\r\n\r\r\n\n", []),
    "the end of a chat": (b'data: {"x":"\xc3\xa9"}\n\ndata: [DONE]\n\n', [said('{"x":"é"}'), said("[DONE]")]),
}


@pytest.mark.parametrize(("stream", "events"), TRANSCRIPTS.values(), ids=TRANSCRIPTS)
def test_transcript(stream: bytes, events: list[ServerSentEvent]):
    assert decode(stream) == events
    assert decode(*(bytes([byte]) for byte in stream)) == events, "byte by byte"
    for cut in range(len(stream) + 1):
        assert decode(stream[:cut], b"", stream[cut:]) == events, f"cut at {cut}"


def pieces_of(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[start:stop] for start, stop in pairwise(edges)]


CUTS = st.lists(st.integers(min_value=0), max_size=12)
FRAGMENTS = [
    b"data",
    b":",
    b" ",
    b"\n",
    b"\r",
    b"\r\n",
    b"event",
    b"a",
    "é".encode(),
    "𝄞".encode(),
    BOM,
    b"\xff",
    b"\x85",
]


@given(st.one_of(st.binary(), st.lists(st.sampled_from(FRAGMENTS)).map(b"".join)), CUTS)
@settings(deadline=None)
def test_any_cut_gives_the_same_events(stream: bytes, cuts: list[int]):
    assert decode(*pieces_of(stream, cuts)) == decode(stream)


LINE = st.text(st.characters(exclude_characters="\r\n", codec="utf-8"))
EVENTS = st.lists(st.tuples(st.lists(LINE, min_size=1), LINE))


# A CR and an LF of an empty line after it would be one line end.
ENDS = st.sampled_from([["\n"], ["\r"], ["\r\n"], ["\n", "\r\n"], ["\r", "\r\n"]])


@given(EVENTS, ENDS, st.sampled_from(["", "\ufeff"]), CUTS)
@settings(deadline=None)
def test_what_is_written_is_read(events: list[tuple[list[str], str]], ends: list[str], bom: str, cuts: list[int]):
    lines = []
    for data, name in events:
        lines += [f"event: {name}", ": a comment", *(f"data: {line}" for line in data), ""]
    stream = bom + "".join(line + ends[number % len(ends)] for number, line in enumerate(lines))
    read = decode(*pieces_of(stream.encode(), cuts))
    assert read == [said("\n".join(data), name or "message") for data, name in events]


@pytest.mark.parametrize(
    "piece",
    [b"data: " + b"x" * (1 << 20) + b"\n", b"data: " + b"x" * (1 << 20), b": " + b"x" * (1 << 20), b"x" * (1 << 25)],
    ids=["data lines", "a data line", "a comment", "one piece"],
)
def test_memory_for_one_event_is_bounded(piece: bytes):
    decoder = SSEDecoder()
    with pytest.raises(EventTooLong):
        _ = [decoder.feed(piece) for _ in range(MAX_EVENT_BYTES // (1 << 20) + 1)]


def test_many_events_are_no_long_event():
    block = b"data: " + b"x" * (MAX_EVENT_BYTES // 4) + b"\n\n"
    assert len(decode(*[block] * 5)) == 5
