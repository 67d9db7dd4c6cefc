"""The panel's chat: a question is answered, one event for each of the core's.

Imported when the Jupyter server starts, as `handler` is.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import authenticated

from jupyter_llmroute.server.handler import FAILED, ROUTING, Handler
from jupyter_llmroute.server.handlers import asked

if TYPE_CHECKING:
    from jupyter_llmroute.core.events import Event
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.server.shapes import ChatQuestion


class ChatHandler(Handler):
    """An answer, streamed: one event for each of the core's."""

    auth_resource = ROUTING

    @authenticated
    @authorized(action="execute")
    async def post(self) -> None:
        """Answer a question."""
        await self.while_there(self._answered())

    async def _answered(self) -> None:
        async with self.router() as router:
            from jupyter_llmroute.server.shapes import ChatQuestion

            await self._answer(router, _chat(self.taken(ChatQuestion, has_pins=True)))

    async def _answer(self, router: Router, request: Request) -> None:
        from jupyter_llmroute.core.errors import LLMRouteError

        try:
            async with contextlib.aclosing(_begun(router.stream(request, learns=False))) as events:
                async for event in events:
                    if not self._headers_written:
                        self.begin_events()
                    await self.send(f"event: {event.kind}\ndata: {event.model_dump_json()}\n\n")
        except StreamClosedError:
            raise
        except Exception as error:
            if not self._headers_written:
                raise
            message = str(error)
            if not isinstance(error, LLMRouteError):
                self.log_failure(error)
                message = FAILED
            failed = {"message": self.exchange.hidden(message), "reason": type(error).__name__}
            await self.send(f"event: failed\ndata: {json.dumps(failed)}\n\n")
        await self.send("event: end\ndata: {}\n\n")


async def _begun(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """Give events once somebody is asked: what nobody can answer is an error, and no stream."""
    held: list[Event] = []
    async with contextlib.aclosing(events):
        async for event in events:
            if event.kind == "routed" and not event.route.candidates:
                held = [event]
                continue
            for each in (*held, event):
                yield each
            held = []


def _chat(question: ChatQuestion) -> Request:
    """Return the request of a question; what was said before is sent as it was."""
    from jupyter_llmroute.core.message import Message
    from jupyter_llmroute.core.prompt import INSTRUCTIONS

    request = asked(question)
    if not question.messages:
        return request
    said = [Message(role=each.role, content=each.content) for each in question.messages]
    if said[0].role != "system":
        said.insert(0, Message(role="system", content=INSTRUCTIONS))
    messages = (*said, Message(role="user", content=question.question))
    return request.model_copy(update={"messages": messages})
