"""Ten thousand answers, each spoiled in a few places: no crash, no hang, and no word that the server did not send."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.errors import LLMRouteError, PeerError, PolicyRefusal
from jupyter_llmroute.core.ndjson import LineDecoder
from jupyter_llmroute.core.providers import Chunk
from jupyter_llmroute.core.providers.completion import CompletionReader
from jupyter_llmroute.core.providers.failure import UNSEEN, failure
from jupyter_llmroute.core.providers.ollama_lines import LineReader
from jupyter_llmroute.core.sse import ServerSentEvent, SSEDecoder

from ..scripted import LAST_LINE, LOADING, OVERFLOW, USAGE, Reply, delta, line, ndjson, says, sse

EACH = 2500
"""Streams of each of four kinds."""

BOUNDED = settings(
    max_examples=EACH, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def written(reply: Reply) -> bytes:
    return b"".join(piece for piece in reply.pieces if isinstance(piece, bytes))


STREAMS = [
    written(says("Hel", "lo ", "wörld", "\N{GRINNING FACE}")),
    written(says("<think>hm", "m</think>", "Yes", finish="length")),
    written(sse(delta("Hel"), {"error": {"message": "out of memory", "code": 500}})),
    written(sse(delta(reasoning_content="hm"), delta("Yes", finish="stop"), {**USAGE, "timings": {"cache_n": 1}})),
    written(sse(delta("a"), "event: error\ndata: {}\n\n", ": ping\n\n", delta("b"))),
    written(sse({"choices": [{"message": {"content": [{"type": "text", "text": "Yes"}]}, "finish_reason": "stop"}]})),
]
LINES = [
    written(ndjson(line("Hel"), line("lo"), LAST_LINE)),
    written(ndjson(line(thinking="hm"), line("Yes"), LAST_LINE)),
    written(ndjson(line("Hel"), {"error": "llama runner process has terminated"})),
    written(ndjson(line("Hel", remote_host="https://ollama.com"), LAST_LINE)),
]
BODIES = [json.dumps(body).encode() for body in (OVERFLOW, LOADING, {"detail": [{"loc": ["a"], "msg": "no"}]}, "no")]
BODIES += [b'{"error":{"error":{"message":"no"}}}', b"<html>502</html>", b"", b'{"object":"error","message":"busy"}']

FRAGMENTS = [
    *[fragment.encode() for fragment in ("\n", "\n\n", "\r", "data:", "data: [DONE]\n\n", "event: error\n", ": x\n")],
    *[fragment.encode() for fragment in ("null", "true", "[]", "{}", "-1", "1e999", "NaN", '"', "\\", ",", "}", "]")],
    *[fragment.encode() for fragment in ('{"', '"error":', '"choices":', '"content":', '"done":true', "<think>")],
    *[b"\\ud800", b"\\u0000", b"\xff", b"\xef\xbb\xbf", b"\x00", b"\x1b[2J", "\u202e\u2028".encode(), b"9" * 5000],
    b"[" * 900 + b"]" * 900,
    b'{"a":' * 500 + b"1" + b"}" * 500,
    b"[" * 100_000,
]

Mutation = tuple[str, int, int, bytes]

MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "cut", "flip", "twice", "end", "replace"]),
        st.integers(0, 5000),
        st.integers(1, 60),
        st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=8)),
    ),
    max_size=4,
)


def spoiled(stream: bytes, mutations: Iterable[Mutation]) -> bytes:
    for kind, place, length, fragment in mutations:
        at = place % (len(stream) + 1)
        here, rest = stream[at : at + length], stream[at + length :]
        match kind:
            case "put":
                stream = stream[:at] + fragment + here + rest
            case "cut":
                stream = stream[:at] + rest
            case "flip":
                stream = stream[:at] + bytes(byte ^ length for byte in here[:1]) + here[1:] + rest
            case "twice":
                stream = stream[:at] + here + here + rest
            case "replace":
                stream = stream[:at] + fragment + rest
            case "end":
                stream = stream[:at]
    return stream


def spoiling(streams: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.builds(spoiled, st.sampled_from(streams), MUTATIONS)


CUTS = st.integers(1, 400)


def pieces(stream: bytes, size: int) -> list[bytes]:
    return [stream[start : start + size] for start in range(0, len(stream), size)]


def strings(value: Any) -> Iterator[str]:
    """Every text within what JSON holds, in its order."""
    left = [value]
    while left:
        match left.pop():
            case str() as text:
                yield text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            case list() as items:
                left += reversed(items)
            case dict() as items:
                left += reversed(items.values())


def sent(events: Iterable[str | bytes]) -> str:
    """All the texts of a stream, one behind the other."""
    found: list[str] = []
    for event in events:
        try:
            found += strings(json.loads(event))
        except (ValueError, RecursionError):
            continue
    return "".join(found)


def is_within(text: str, whole: str) -> bool:
    """Whether the characters of a text stand in another one, in their order."""
    left = iter(whole)
    return all(character in left for character in text)


def heard(read: Callable[[], Iterator[Chunk | None]]) -> tuple[list[Chunk], LLMRouteError | None]:
    chunks: list[Chunk] = []
    try:
        for chunk in read():
            if chunk:
                chunks.append(chunk)
    except (PeerError, PolicyRefusal) as error:
        return chunks, error
    return chunks, None


def prove(chunks: list[Chunk], error: LLMRouteError | None, events: Iterable[str | bytes]) -> None:
    whole = sent(events)
    assert is_within("".join(chunk.text for chunk in chunks), whole)
    assert is_within("".join(chunk.reasoning for chunk in chunks), whole)
    for chunk in chunks:
        (chunk.text + chunk.reasoning).encode("utf-8")
    if error:
        assert str(error)
        assert len(str(error)) < 1500


@BOUNDED
@given(spoiling(STREAMS), CUTS)
def test_a_spoiled_stream_of_events_gives_its_words_or_an_error(stream: bytes, size: int) -> None:
    whole = SSEDecoder()
    events = [*whole.feed(stream), *whole.close()]
    decoder, reader = SSEDecoder(), CompletionReader("m on desk")

    def read() -> Iterator[Chunk | None]:
        for piece in pieces(stream, size):
            yield from map(reader.read, decoder.feed(piece))
        yield from map(reader.read, decoder.close())
        yield reader.close()

    prove(*heard(read), [event.data for event in events])


@BOUNDED
@given(spoiling(LINES), CUTS)
def test_a_spoiled_stream_of_lines_gives_its_words_or_an_error(stream: bytes, size: int) -> None:
    whole = LineDecoder()
    lines = [*whole.feed(stream), *whole.close()]
    decoder, reader = LineDecoder(), LineReader("m on desk", may_be_remote=False, counts_whole=True)

    def read() -> Iterator[Chunk | None]:
        for piece in pieces(stream, size):
            yield from map(reader.read, decoder.feed(piece))
        yield from map(reader.read, decoder.close())
        yield reader.close()

    prove(*heard(read), lines)


@BOUNDED
@given(spoiling([stream.split(b"\n")[0].removeprefix(b"data: ") for stream in STREAMS]))
def test_a_spoiled_completion_gives_its_words_or_an_error(body: bytes) -> None:
    reader = CompletionReader("m on desk")

    def read() -> Iterator[Chunk | None]:
        yield reader.read_whole(body)
        yield reader.close()

    prove(*heard(read), [body])


@BOUNDED
@given(
    spoiling(BODIES),
    st.sampled_from([200, 400, 401, 404, 413, 422, 429, 500, 503, 599]),
    st.dictionaries(
        st.sampled_from(["Retry-After", "Date"]), st.sampled_from(["", "1", "1e9", "-1", "soon", "9" * 99])
    ),
)
def test_a_spoiled_error_is_still_an_error_of_the_servers(body: bytes, status: int, headers: dict[str, str]) -> None:
    error = failure("m on desk", status, body, headers)
    assert isinstance(error, PeerError)
    assert str(error).startswith("m on desk: ")
    assert len(str(error)) < 1500
    assert not UNSEEN.search(str(error))


@pytest.mark.parametrize("depth", [10, 100, 300, 500, 700, 800, 900, 950, 990, 2000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"error":', "}"), ('{"detail":[', "]}")])
def test_no_depth_is_too_deep(depth: int, opening: str, closing: str) -> None:
    nested = opening * depth + "1" + closing * depth
    assert isinstance(failure("m on desk", 500, nested), PeerError)
    assert isinstance(failure("m on desk", 500, f'{{"error": {nested}}}'), PeerError)
    reader = CompletionReader("m on desk")
    item = f'{{"choices":[{{"delta":{{"content":{nested}}}}}]}}'
    prove(*heard(lambda: iter([reader.read(ServerSentEvent(item))])), [])


@pytest.mark.parametrize("depth", [10, 500, 900, 2000, 100_000])
def test_no_depth_of_a_whole_completion_is_too_deep(depth: int) -> None:
    reader = CompletionReader("m on desk")
    body = f'{{"choices":[{{"message":{{"content":{"[" * depth}{"]" * depth}}}}}]}}'
    prove(*heard(lambda: iter([reader.read_whole(body.encode())])), [])
