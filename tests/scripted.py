"""A server on a real loopback socket that plays a script: answers as the products write them, and their faults.

A script maps "METHOD /path" to the replies that are due there, one after another; the last one is due from then on.
A reply may be made of the request. A line with a query is looked up as it is and then without its query; `*` in a
line of the script stands for anything. What is not in it is answered with 404. The server has a thread and a loop of
its own, so that blocking tests, async tests and other processes can ask it.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, NamedTuple, Self


class Fault(Enum):
    """What can happen between two pieces of a reply."""

    HANG = auto()
    """Nothing more comes, until the client leaves. As the first piece: not even headers."""
    CUT = auto()
    """The connection ends without the end of the body. As the first piece: without an answer."""


HANG, CUT = Fault.HANG, Fault.CUT


class Reply(NamedTuple):
    """One answer: its head, and the pieces of its body as they are written to the socket."""

    pieces: Sequence[bytes | Fault] = ()
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = {}
    is_http: bool = True
    """Without it, the pieces are all that is written."""

    @property
    def has_body(self) -> bool:
        """Whether such an answer may have one, be it empty."""
        return self.status not in (204, 304)


@dataclass
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    is_abandoned: Future[bool] = field(default_factory=Future)
    """Done when its reply is over: whether the client left before the reply's end."""
    is_stray: bool = False
    """Whether the script has nothing of it."""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


Due = Reply | Callable[[Asked], Reply]
"""An answer, or what makes one of the request."""
Script = Mapping[str, Due | Sequence[Due]]


class Scripted:
    """The server; a context manager.

    Parameters
    ----------
    script
        What is due for which line.
    otherwise
        What is due for every other line.
    headers
        Those of every answer.
    guard
        Looks at every request first: what it returns is the answer, such as a refusal of a wrong key.
    never
        Lines that a scan must not ask for, as in a script; see `spoilt`.
    """

    def __init__(
        self,
        script: Script,
        *,
        otherwise: Due | None = None,
        headers: Mapping[str, str] | None = None,
        guard: Callable[[Asked], Reply | None] | None = None,
        never: Sequence[str] = (),
    ):
        self.script: dict[str, list[Due]] = {
            line: [due] if isinstance(due, Reply) or callable(due) else list(due) for line, due in script.items()
        }
        self.asked: list[Asked] = []
        self._guard = guard
        self._never = tuple(never)
        self._awaited: list[tuple[str, int, Future[Asked]]] = []
        self._lock = threading.Lock()
        self._otherwise = otherwise or json_reply({"error": {"message": "File Not Found", "code": 404}}, 404)
        self._headers = headers or {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted", daemon=True)
        self._conversations: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def lines(self) -> list[str]:
        """What was asked, such as `"GET /v1/models"`."""
        return [asked.line for asked in self.asked]

    @property
    def chats(self) -> list[Asked]:
        """The requests that made a model work."""
        return [asked for asked in self.asked if asked.method == "POST"]

    @property
    def spoilt(self) -> list[str]:
        """What was asked that a scan must never ask."""
        return [line for line in self.lines if any(matches(pattern, line) for pattern in self._never)]

    @property
    def strays(self) -> list[str]:
        """What was asked that the server does not know."""
        return [asked.line for asked in self.asked if asked.is_stray]

    async def _open(self) -> str:
        self._server = await asyncio.start_server(self._greet, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def _close(self) -> None:
        self._server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await self._server.wait_closed()

    def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = self._loop.create_task(self._converse(reader, writer))
        self._conversations.add(conversation)
        conversation.add_done_callback(self._conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while asked := await _read(reader):
                    self._note(asked)
                    if not await self._play(self._due(asked), asked, reader, writer):
                        break
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    def arrival(self, line: str, number: int = 1) -> Future[Asked]:
        """Return what is done when `line` was asked that many times."""
        future: Future[Asked] = Future()
        with self._lock:
            self._awaited.append((line, number, future))
            self._announce()
        return future

    def _note(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked)
            self._announce()

    def _announce(self) -> None:
        for line, number, future in self._awaited:
            same = [asked for asked in self.asked if asked.line == line]
            if len(same) >= number and not future.done():
                future.set_result(same[number - 1])

    def _due(self, asked: Asked) -> Reply:
        if self._guard and (refusal := self._guard(asked)):
            return refusal
        replies = self._replies(asked.line)
        asked.is_stray = replies is None
        due = (replies.pop(0) if len(replies) > 1 else replies[0]) if replies else self._otherwise
        return due if isinstance(due, Reply) else due(asked)

    def _replies(self, line: str) -> list[Due] | None:
        for exact in (line, line.partition("?")[0]):
            if exact in self.script:
                return self.script[exact]
        return next((due for pattern, due in self.script.items() if matches(pattern, line.partition("?")[0])), None)

    async def _play(
        self, reply: Reply, asked: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Write the reply; return whether the connection is still good."""
        has_head = False
        try:
            for piece in reply.pieces or (b"",):
                if piece is HANG:
                    with suppress(ConnectionError):
                        await reader.read()
                    asked.is_abandoned.set_result(True)
                    return False
                if isinstance(piece, Fault):
                    return False
                if reply.is_http and not has_head:
                    writer.write(self._head(reply))
                    has_head = True
                if piece and reply.has_body:
                    writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if reply.is_http else piece)
                await writer.drain()
            writer.write(b"0\r\n\r\n" if reply.is_http and reply.has_body else b"")
            await writer.drain()
            return reply.is_http
        except ConnectionError:  # it left before all was written
            asked.is_abandoned.set_result(True)
            return False
        finally:
            if not asked.is_abandoned.done():
                asked.is_abandoned.set_result(False)

    def _head(self, reply: Reply) -> bytes:
        body = {"Content-Type": reply.content_type, "Transfer-Encoding": "chunked"} if reply.has_body else {}
        headers = {**body, **self._headers, **reply.headers}
        lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode()


def matches(pattern: str, line: str) -> bool:
    """Whether `line` is `pattern`, in which `*` stands for anything.

    Examples
    --------
    >>> matches("GET /upstream/*", "GET /upstream/m/v1/models"), matches("GET */v1/models", "GET /v1/model")
    (True, False)
    """
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), line))


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.rstrip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body)


@contextmanager
def nobody() -> Iterator[str]:
    """Give an address whose port is taken, and where nobody listens: connections are refused."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def json_reply(body: object, status: int = 200, **headers: str) -> Reply:
    return Reply((json.dumps(body).encode(),), status, "application/json; charset=utf-8", headers)


def text_reply(text: str, status: int = 200, content_type: str = "text/plain; charset=utf-8") -> Reply:
    return Reply((text.encode(),), status, content_type)


def html(status: int = 200) -> Reply:
    """A single-page app's answer to everything."""
    return text_reply("<!doctype html><title>An app</title>", status, "text/html; charset=utf-8")


# --- the OpenAI dialect ---

OVERFLOW = {
    "error": {
        "code": 400,
        "message": "request (9000 tokens) exceeds the available context size (8192 tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": 9000,
        "n_ctx": 8192,
    }
}
LOADING = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}


def delta(text: str | None = None, *, finish: str | None = None, **more: object) -> dict[str, Any]:
    """One item of a chat stream; `more` goes into the delta."""
    content = {} if text is None else {"content": text}
    return {
        "choices": [{"finish_reason": finish, "index": 0, "delta": {**content, **more}}],
        "model": "m",
        "object": "chat.completion.chunk",
    }


USAGE: dict[str, Any] = {
    "choices": [],
    "model": "m",
    "object": "chat.completion.chunk",
    "usage": {"completion_tokens": 2, "prompt_tokens": 42, "prompt_tokens_details": {"cached_tokens": 41}},
}


def sse(*items: dict[str, Any] | str | Fault) -> Reply:
    """A stream of events: JSON for dictionaries, and strings as they are."""
    pieces: list[bytes | Fault] = []
    for item in items:
        if isinstance(item, Fault):
            pieces.append(item)
        else:
            pieces.append(item.encode() if isinstance(item, str) else f"data: {json.dumps(item)}\n\n".encode())
    return Reply(pieces, content_type="text/event-stream")


def says(*texts: str, finish: str = "stop", prompt_tokens: int = 42) -> Reply:
    """A whole answer in the OpenAI dialect, as llama.cpp writes it."""
    first = delta(role="assistant", content=None)
    usage = {**USAGE, "usage": {**USAGE["usage"], "prompt_tokens": prompt_tokens}}
    return sse(first, *map(delta, texts), delta(finish=finish), usage, "data: [DONE]\n\n")


def llamacpp(
    chat: Reply | Sequence[Reply] = (), *, model: str = "m", window: int = 8192, trained: int = 32768, slot: int = 0
) -> Scripted:
    """llama.cpp's server with one model; `slot` is the window of one request where several are taken at once."""
    listed = {
        "id": model,
        "object": "model",
        "owned_by": "llamacpp",
        "meta": {"n_ctx": window, "n_ctx_train": trained, "n_params": 8_190_735_360, "size": 5_021_941_760},
    }
    script: dict[str, Reply | Sequence[Reply]] = {
        "GET /v1/models": json_reply({"object": "list", "data": [listed]}),
        "GET /props": json_reply({"default_generation_settings": {"n_ctx": slot or window}, "total_slots": 1}),
        "POST /v1/chat/completions": chat or says("Hel", "lo"),
    }
    return Scripted(script, headers={"Server": "llama.cpp"})


# --- Ollama's dialect ---

TAG = {
    "name": "qwen3:8b",
    "model": "qwen3:8b",
    "modified_at": "2026-05-01T10:00:00Z",
    "size": 5225388164,
    "digest": "500a1f",
    "details": {
        "parent_model": "",
        "format": "gguf",
        "family": "qwen3",
        "families": ["qwen3"],
        "parameter_size": "8.2B",
        "quantization_level": "Q4_K_M",
        "context_length": 40960,
        "embedding_length": 4096,
    },
    "capabilities": ["completion", "tools", "thinking"],
}
"""One entry of `/api/tags` of a newer build."""


def line(text: str = "", **more: object) -> dict[str, Any]:
    """One line of an answer that goes on."""
    thinking = {"thinking": more.pop("thinking")} if "thinking" in more else {}
    message = {"role": "assistant", "content": text, **thinking}
    return {"model": "qwen3:8b", "created_at": "2026-05-01T10:00:00Z", "message": message, "done": False, **more}


LAST_LINE = line(
    done=True,
    done_reason="stop",
    total_duration=4883583458,
    load_duration=1334875,
    prompt_eval_count=26,
    prompt_eval_duration=342546000,
    eval_count=282,
    eval_duration=4535599000,
)


def ndjson(*lines: dict[str, Any] | str | Fault) -> Reply:
    """A stream of lines: JSON for dictionaries, and strings as they are."""
    pieces: list[bytes | Fault] = []
    for each in lines:
        if isinstance(each, Fault):
            pieces.append(each)
        else:
            pieces.append(each.encode() if isinstance(each, str) else json.dumps(each).encode() + b"\n")
    return Reply(pieces, content_type="application/x-ndjson")


def ollama_says(*texts: str) -> Reply:
    """A whole answer of Ollama's."""
    return ndjson(*map(line, texts), LAST_LINE)


def ollama(
    chat: Reply | Sequence[Reply] = (), *, tags: Sequence[dict[str, Any]] = (TAG,), running: Sequence[object] = ()
) -> Scripted:
    """Ollama with the models of `tags`, of which those of `running` are in memory."""
    return Scripted(
        {
            "GET /": text_reply("Ollama is running"),
            "GET /api/version": json_reply({"version": "0.12.3"}),
            "GET /api/tags": json_reply({"models": list(tags)}),
            "GET /api/ps": json_reply({"models": list(running)}),
            "GET /v1/models": json_reply(
                {
                    "object": "list",
                    "data": [{"id": tag["name"], "object": "model", "owned_by": "library"} for tag in tags],
                }
            ),
            "POST /api/chat": chat or ollama_says("Hel", "lo"),
        },
        otherwise=text_reply("404 page not found", 404),
    )
