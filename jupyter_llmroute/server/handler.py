"""What all handlers have in common: the router, what is read and written, refusals, streams and clients that leave.

This file is imported when the Jupyter server starts, so it imports nothing of the core and no pydantic at its head.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from jupyter_llmroute.server.exchange import Exchange

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jupyter_llmroute.core.router import Router

    Shape = TypeVar("Shape", bound=BaseModel)

ROUTING = "llmroute"
"""The authorization resource of asking, and of seeing whom one can ask."""

MOST_BODY_BYTES = 8 << 20
"""A larger body is refused: no window holds so much text."""

FAILED = "The server failed; see its log."
"""What is told of what nobody expected."""

MOST_CAUSES = 5
"""Errors behind an error that are logged with it."""

EVENT_STREAM = "text/event-stream"


class Refusal(HTTPError):
    """A request that comes to nothing, with what is told of it."""

    def __init__(self, status: int, told: str) -> None:
        super().__init__(status)
        self.told = told


class Handler(APIHandler):
    """What all have in common."""

    def initialize(self, exchange: Exchange) -> None:
        """Take the one router's keeper."""
        self.exchange = exchange
        self._work: asyncio.Task[None] | None = None
        self._has_left = False
        self._sent: Awaitable[None] | None = None
        self._is_due = False

    @contextlib.asynccontextmanager
    async def router(self) -> AsyncIterator[Router]:
        """Give the router, and turn our errors into answers."""
        from jupyter_llmroute.core.errors import LLMRouteError

        try:
            async with self.exchange.router() as router:
                yield router
        except LLMRouteError as error:
            raise self.refusal(error) from error

    def refusal(self, error: Exception, status: int | None = None) -> Refusal:
        """Return the answer that one of our errors is."""
        from jupyter_llmroute.server.problems import kind_of

        return Refusal(status or kind_of(error).status, self.exchange.hidden(str(error)))

    def give(self, shape: BaseModel) -> None:
        """Write an answer."""
        self.finish(shape.model_dump_json())

    def taken(self, shape: type[Shape], *, has_pins: bool = False) -> Shape:
        """Return the body, read.

        Parameters
        ----------
        shape
            What it is to be.
        has_pins
            Whether a notebook's pins are in it: these may hold anything, half a character too, and stop nothing.

        Raises
        ------
        Refusal
            It is too large, or not what it should be; the message holds nothing of it but names.
        """
        from pydantic import ValidationError

        if len(self.request.body) > MOST_BODY_BYTES:
            raise Refusal(413, f"The body is larger than {MOST_BODY_BYTES >> 20} MiB.")
        try:
            if has_pins:
                return shape.model_validate(json.loads(self.request.body))
            return shape.model_validate_json(self.request.body)
        except ValidationError as error:
            raise Refusal(400, problem(error)) from None
        except (ValueError, RecursionError):
            raise Refusal(400, "body: Invalid JSON") from None

    def is_asked(self, name: str) -> bool:
        """Whether an argument of the address says yes."""
        return self.get_query_argument(name, "").lower() in ("1", "true", "yes")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write what went wrong; nothing of what is not ours to tell."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self.set_header("Content-Type", "application/json")
        self.set_status(status_code)  # without the reason that an error may carry
        told = getattr(error, "told", None) or (self._reason if status_code < 500 else FAILED)
        reason = getattr(error, "log_message", None) if status_code < 500 else None
        self.finish(json.dumps({"message": told, "reason": reason}))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log what went wrong; of what nobody expected, as `log_failure` does."""
        if isinstance(value, HTTPError):
            super().log_exception(kind, value, trace)
        else:
            self.log_failure(value)

    def log_failure(self, error: BaseException) -> None:
        """Log what nobody expected: its kind and where it happened; in its message may be what somebody asked."""
        self.log.error("jupyter_llmroute: %s %s failed: %s", self.request.method, self.request.path, where(error))

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work for as long as the client is there: all of it, so that it may leave at any time."""
        if self._has_left:
            work.close()
            return
        self._work = asyncio.create_task(work)
        try:
            await asyncio.shield(self._work)
        except StreamClosedError:
            pass
        except asyncio.CancelledError:
            if not self._work.cancelled():  # it is this handler that is cancelled, with the server
                self._work.cancel()
                raise
        finally:
            if not self._work.done():
                self._work.cancel()

    def on_connection_close(self) -> None:
        """End the work: nobody reads what would come of it."""
        super().on_connection_close()
        self._has_left = True
        if self._work:
            self._work.cancel()

    def begin_events(self) -> None:
        """Begin a stream of events that nothing on the way holds back."""
        self.set_header("Content-Type", EVENT_STREAM)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self._transforms: list[Any] = []  # Jupyter packs what is text: each piece by itself would be larger than it was

    async def send(self, piece: str) -> None:
        """Write a piece of a stream: the first at once, and then those together that come together.

        A slow reader slows the writer: it waits until what went before is on its way.
        """
        if self._sent:
            await self._sent
        self.write(piece)
        if not self._headers_written:
            await self.flush()
        elif not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._send_on)

    def _send_on(self) -> None:
        self._is_due = False
        if not self._finished:
            self._sent = self.flush()

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """End the answer; of a stream the type stays what it is."""
        if self._headers.get("Content-Type") == EVENT_STREAM:
            kwargs["set_content_type"] = EVENT_STREAM
        return super().finish(*args, **kwargs)


def where(error: BaseException) -> str:
    """Return the kinds of an error and of those that led to it, each with the lines of code that it came through."""
    told: list[BaseException] = []
    cause = error.__cause__ or error.__context__
    while cause is not None and len(told) < MOST_CAUSES:
        told.append(cause)
        cause = cause.__cause__ or cause.__context__
    return "\ncaused by ".join(
        f"{type(each).__name__}\n{''.join(traceback.format_tb(each.__traceback__))}".rstrip() for each in (error, *told)
    )


def problem(error: Any) -> str:
    """Return what a validation found, by the names of the fields; what was sent may be anything, and is not told."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc']))[:100] or 'body'}: {each['msg'][:300]}" for each in found[:5]]
    return "; ".join(told)
