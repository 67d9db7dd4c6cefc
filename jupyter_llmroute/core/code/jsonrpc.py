"""JSON-RPC 2.0 with a program of ours, over its pipes: what is asked, answered, told and called off.

Two dialects: `MCP` has one message to a line, `LSP` puts its length before each. What comes is read, and what goes is
written, by a thread of its own: pipes of a subprocess need a loop of a certain kind on Windows, and a program that does
not read must not hold up the loop.

Reading
-------
1. What is not a message is skipped: programs print, whatever their protocol says.
2. A message above the bound ends the connection: its end cannot be waited for, nor can it be said whose answer it was.
3. The end of the stream ends the connection; every call that waits fails with the same `PeerLost`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO

from jupyter_llmroute.core.errors import CodeUnavailable

Message = dict[str, Any]

MAX_MESSAGE_BYTES = 64 << 20
"""An answer of a language server about a large file has a few MB."""

METHOD_NOT_FOUND = -32601
_HEADER_BYTES = 8192


class PeerLost(CodeUnavailable):
    """The program at the other end is gone, or what it writes cannot be followed any more."""


class CallTimedOut(CodeUnavailable):
    """An answer took longer than it may; the program was told that nobody waits any more."""


class CallRefused(CodeUnavailable):
    """The program answered with an error."""

    def __init__(self, message: str, *, code: int, said: str) -> None:
        super().__init__(message)
        self.code = code
        """As JSON-RPC numbers errors."""
        self.said = said
        """The program's own words; they may be meant for a language model, so they are no part of the message."""


class TooLong(Exception):
    """A message is longer than what is accepted."""


class NotOffered(Exception):
    """Raised by whoever answers the peer's requests, for one that is unknown to it."""


def _read_lines(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    while line := stream.readline(limit + 1):
        if len(line) <= limit:
            yield line
        elif line.startswith(b"{"):
            raise TooLong
        else:
            while line and not line.endswith(b"\n"):
                line = stream.readline(_HEADER_BYTES)


def _read_blocks(stream: BinaryIO, limit: int) -> Iterator[bytes]:
    length = None
    while line := stream.readline(_HEADER_BYTES):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            length = int(value)
        elif not line.strip() and length is not None:
            if length > limit:
                raise TooLong
            yield stream.read(length)
            length = None


def _as_line(body: bytes) -> bytes:
    return body + b"\n"


def _as_block(body: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


@dataclass(frozen=True)
class Dialect:
    """How messages are told apart, and how a call is called off."""

    read: Callable[[BinaryIO, int], Iterator[bytes]]
    frame: Callable[[bytes], bytes]
    cancel: str
    """The notification that calls off a request."""
    cancelled_id: str
    """Its parameter that names the request."""


MCP = Dialect(_read_lines, _as_line, "notifications/cancelled", "requestId")
LSP = Dialect(_read_blocks, _as_block, "$/cancelRequest", "id")


def answer_nothing(method: str, params: Any) -> Any:
    """Answer `ping`, and no other request of the peer's."""
    if method == "ping":
        return {}
    raise NotOffered


def hear_nothing(method: str, params: Any) -> None:
    """Let a notification be."""


class Connection:
    """The talk with one program, on the loop that runs when it is made.

    Parameters
    ----------
    stdout, stdin
        The program's pipes; they are closed by the connection alone.
    dialect
        `MCP` or `LSP`.
    name
        What the program is called in messages.
    answer
        Called on the loop with method and parameters of each request of the peer's; it returns the result, or raises
        `NotOffered`.
    hear
        Called on the loop with method and parameters of each notification.
    max_message_bytes
        A longer message ends the connection.

    Examples
    --------
    >>> async def first_words(child):
    ...     connection = Connection(child.stdout, child.stdin, MCP, name="Serena")
    ...     try:
    ...         return await connection.request("ping", timeout_s=5)
    ...     finally:
    ...         connection.close()
    """

    def __init__(
        self,
        stdout: BinaryIO,
        stdin: BinaryIO,
        dialect: Dialect,
        *,
        name: str,
        answer: Callable[[str, Any], Any] = answer_nothing,
        hear: Callable[[str, Any], None] = hear_nothing,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
    ) -> None:
        self._dialect = dialect
        self._name = name
        self._answer = answer
        self._hear = hear
        self._limit = max_message_bytes
        self._loop = asyncio.get_running_loop()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._reason = ""
        self._ended = asyncio.Event()
        for work, stream in ((self._read, stdout), (self._write, stdin)):
            threading.Thread(target=work, args=(stream,), name=f"llmroute-{name}", daemon=True).start()

    @property
    def lost(self) -> PeerLost | None:
        """Why nothing can be asked any more; `None` while it can."""
        if not self._reason:
            return None
        return PeerLost(f"{self._name} does not answer any more ({self._reason}): ask again, it is started anew.")

    async def ended(self) -> None:
        """Wait until nothing can be asked any more."""
        await self._ended.wait()

    def close(self) -> None:
        """End the talk: the program reads the end of its input, and every call that waits fails."""
        self._end("the connection was closed")

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Tell something that has no answer; where nobody is left to hear it, nothing happens."""
        self._send({"method": method} | ({} if params is None else {"params": params}))

    async def request(self, method: str, params: Mapping[str, Any] | None = None, *, timeout_s: float | None) -> Any:
        """Ask, and return the result.

        Cancelling tells the program that nobody waits any more.

        Parameters
        ----------
        method, params
            As the protocol has them; without `params` the message has none.
        timeout_s
            Seconds to wait for the answer; `None` waits for as long as the program lives.

        Raises
        ------
        CallRefused
            The answer is an error.
        CallTimedOut
            There was none in time.
        PeerLost
            The program is gone.
        """
        if lost := self.lost:
            raise lost
        number = next(self._ids)
        waiting = self._waiting[number] = self._loop.create_future()
        try:
            self._send({"id": number, "method": method} | ({} if params is None else {"params": params}))
            async with asyncio.timeout(timeout_s):
                return await waiting
        except TimeoutError:
            raise CallTimedOut(
                f"{self._name} did not answer {method!r} within {timeout_s:g} s: ask again, or allow it more time."
            ) from None
        finally:
            if self._waiting.pop(number, None):
                self.notify(self._dialect.cancel, {self._dialect.cancelled_id: number})

    def _send(self, message: Mapping[str, Any]) -> None:
        if self._reason:
            return
        body = json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode()
        self._outgoing.put(self._dialect.frame(body))

    def _received(self, message: Message) -> None:
        if "method" in message:
            self._asked(message) if "id" in message else self._hear(str(message["method"]), message.get("params"))
        elif isinstance(number := message.get("id"), int) and (waiting := self._waiting.pop(number, None)):
            self._answered(waiting, message)

    def _asked(self, message: Message) -> None:
        try:
            reply = {"result": self._answer(str(message["method"]), message.get("params"))}
        except NotOffered:
            reply = {"error": {"code": METHOD_NOT_FOUND, "message": "not offered"}}
        self._send({"id": message["id"], **reply})

    def _answered(self, waiting: asyncio.Future[Any], message: Message) -> None:
        if waiting.done():
            return
        if "error" not in message:
            waiting.set_result(message.get("result"))
            return
        error = message["error"] if isinstance(message["error"], dict) else {}
        code = error.get("code")
        number = code if isinstance(code, int) else 0
        waiting.set_exception(
            CallRefused(
                f"{self._name} refuses the call (error {number}): another version may know it.",
                code=number,
                said=str(error.get("message", "")),
            )
        )

    def _end(self, reason: str) -> None:
        if self._reason:
            return
        self._reason = reason
        while self._waiting:
            _, waiting = self._waiting.popitem()
            if not waiting.done():
                waiting.set_exception(self.lost or PeerLost())
        self._outgoing.put(None)
        self._ended.set()

    def _read(self, stream: BinaryIO) -> None:
        reason = "its output ended"
        with stream:
            try:
                for body in self._dialect.read(stream, self._limit):
                    if (message := _message(body)) is not None:
                        self._on_loop(self._received, message)
            except TooLong:
                reason = f"a message of more than {self._limit} bytes"
            except (OSError, ValueError) as error:
                reason = f"its output cannot be read: {error}"
        self._on_loop(self._end, reason)

    def _write(self, stream: BinaryIO) -> None:
        # The stream's own end may fail too, where something is still to be flushed.
        with suppress(OSError, ValueError), stream:
            while (body := self._outgoing.get()) is not None:
                stream.write(body)
                stream.flush()
        self._on_loop(self._end, "its input is closed")

    def _on_loop(self, call: Callable[[Any], None], value: Any) -> None:
        # The loop may have ended before the program did.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, value)


def _message(body: bytes) -> Message | None:
    """Read one message; `None` where it is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
