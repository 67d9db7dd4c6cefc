"""The panel's handlers: each reads what it is sent, asks the router, and writes what came of it.

This file is imported when the Jupyter server starts, so it imports nothing of the core and no pydantic at its head.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from jupyter_llmroute.server.exchange import Exchange

if TYPE_CHECKING:
    from pydantic import BaseModel

    from jupyter_llmroute.core.events import Event
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.server.shapes import ChatQuestion, Question

    Shape = TypeVar("Shape", bound=BaseModel)

T = TypeVar("T")

ROUTING = "llmroute"
"""The authorization resource of asking, and of seeing whom one can ask."""

AUDIT, DOCTOR, SETTINGS = "llmroute_audit", "llmroute_doctor", "llmroute_settings"

MOST_BODY_BYTES = 8 << 20
"""A larger body is refused: no window holds so much text."""

MOST_RECORDS = 1000

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

    def taken(self, shape: type[Shape]) -> Shape:
        """Return the body, read.

        Raises
        ------
        Refusal
            It is too large, or not what it should be; the message holds nothing of it but names.
        """
        from pydantic import ValidationError

        if len(self.request.body) > MOST_BODY_BYTES:
            raise Refusal(413, f"The body is larger than {MOST_BODY_BYTES >> 20} MiB.")
        try:
            return shape.model_validate_json(self.request.body)
        except ValidationError as error:
            raise Refusal(400, problem(error)) from None

    def is_asked(self, name: str) -> bool:
        """Whether an argument of the address says yes."""
        return self.get_query_argument(name, "").lower() in ("1", "true", "yes")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write what went wrong; nothing of what is not ours to tell."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        self.set_header("Content-Type", "application/json")
        self.set_status(status_code)  # without the reason that an error may carry
        told = getattr(error, "told", None) or (
            self._reason if status_code < 500 else "The server failed; see its log."
        )
        self.finish(json.dumps({"message": told, "reason": getattr(error, "log_message", None)}))

    async def while_there(self, work: Coroutine[Any, Any, None]) -> None:
        """Do work for as long as the client is there."""
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
        if self._work:
            self._work.cancel()

    def begin_events(self) -> None:
        """Begin a stream of events that nothing on the way holds back."""
        self.set_header("Content-Type", EVENT_STREAM)
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Accel-Buffering", "no")
        self._transforms: list[Any] = []  # Jupyter packs what is text: each piece by itself would be larger than it was

    async def send(self, piece: str) -> None:
        """Write a piece of a stream, and wait until it is on its way: a slow reader slows the writer."""
        self.write(piece)
        await self.flush()

    def finish(self, *args: Any, **kwargs: Any) -> Any:
        """End the answer; of a stream the type stays what it is."""
        if self._headers.get("Content-Type") == EVENT_STREAM:
            kwargs["set_content_type"] = EVENT_STREAM
        return super().finish(*args, **kwargs)


def problem(error: Any) -> str:
    """Return what a validation found, by the names of the fields; what was sent may be anything, and is not told."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc']))[:100] or 'body'}: {each['msg'][:300]}" for each in found[:5]]
    return "; ".join(told)


async def look(router: Router, *, refresh: bool = False) -> None:
    """Have the router look around, where that is due or wanted, and decide on an empty question."""
    from jupyter_llmroute.core.request import Request

    await router.services(refresh=refresh)
    await router.decide(Request(question=""))


def asked(question: Question) -> Request:
    """Return the request of a question."""
    from jupyter_llmroute.core.pins import Origin, read
    from jupyter_llmroute.core.request import Request

    pins, remarks = read(question.pins, Origin.NOTEBOOK)
    return Request(
        question=question.question,
        task=question.task,
        model=question.model,
        pins=pins,
        remarks=remarks,
        with_code=False,
    )


class ServicesHandler(Handler):
    """The servers, with their models."""

    auth_resource = ROUTING

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give what was seen; look now where that is wanted."""
        async with self.router() as router:
            from jupyter_llmroute.server.describe import services

            await look(router, refresh=self.is_asked("refresh"))
            assert router.last_decision
            self.give(services(router.last_decision, router))


class ModelsHandler(Handler):
    """The models of all servers."""

    auth_resource = ROUTING

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give all models, each with its server."""
        async with self.router() as router:
            from jupyter_llmroute.server.describe import models
            from jupyter_llmroute.server.shapes import Models

            await look(router)
            assert router.last_decision
            self.give(Models(models=models(router.last_decision)))


class DecideHandler(Handler):
    """A decision, and nobody is asked."""

    auth_resource = ROUTING

    @authenticated
    @authorized(action="read")
    async def post(self) -> None:
        """Give the decision for a question."""
        async with self.router() as router:
            from jupyter_llmroute.server.shapes import Question

            self.give(await _decided(router, asked(self.taken(Question))))


class NextHandler(Handler):
    """Who each task would use now."""

    auth_resource = ROUTING

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give the decision for each task, under the pins of the address."""
        async with self.router() as router:
            from jupyter_llmroute.core.task import Task
            from jupyter_llmroute.server.shapes import NextUp, Question

            try:
                pins = json.loads(self.get_query_argument("pins", "{}"))
            except (ValueError, RecursionError):
                raise Refusal(400, "pins: it is no JSON.") from None
            question = self._read(lambda: Question(question="", pins=pins))
            requests = {task: asked(question.model_copy(update={"task": task})) for task in Task}
            self.give(NextUp(tasks={task: await _decided(router, each) for task, each in requests.items()}))

    def _read(self, make: Callable[[], T]) -> T:
        from pydantic import ValidationError

        try:
            return make()
        except ValidationError as error:
            raise Refusal(400, problem(error)) from None


async def _decided(router: Router, request: Request) -> Any:
    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.server.describe import decision, undecided

    try:
        return decision(await router.decide(request), request)
    except LLMRouteError as error:
        return undecided(error)


class ChatHandler(Handler):
    """An answer, streamed: one event for each of the core's."""

    auth_resource = ROUTING

    @authenticated
    @authorized(action="execute")
    async def post(self) -> None:
        """Answer a question."""
        async with self.router() as router:
            from jupyter_llmroute.server.shapes import ChatQuestion

            request = _chat(self.taken(ChatQuestion))
            await self.while_there(self._answer(router, request))

    async def _answer(self, router: Router, request: Request) -> None:
        from jupyter_llmroute.core.errors import LLMRouteError

        try:
            async with contextlib.aclosing(_begun(router.stream(request, learns=False))) as events:
                async for event in events:
                    if not self._headers_written:
                        self.begin_events()
                    await self.send(f"event: {event.kind}\ndata: {event.model_dump_json()}\n\n")
        except LLMRouteError as error:
            if not self._headers_written:
                raise
            failed = {"message": self.exchange.hidden(str(error)), "reason": type(error).__name__}
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


class AuditHandler(Handler):
    """The newest records of the audit log."""

    auth_resource = AUDIT

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give so many as are wanted, without the words of questions and answers."""
        wanted = self.get_query_argument("tail", "50")
        if not wanted.isdecimal() or not 0 <= int(wanted) <= MOST_RECORDS:
            raise Refusal(400, f"tail: wants a number from 0 to {MOST_RECORDS}.")
        async with self.router():
            loaded = await self.exchange.loaded()
            self.give(await asyncio.to_thread(_tail, loaded, int(wanted)))


def _tail(loaded: Any, wanted: int) -> Any:
    from jupyter_llmroute.core.audit.folder import path_of
    from jupyter_llmroute.core.audit.reading import newest, without_text
    from jupyter_llmroute.server.shapes import AuditTail

    security = loaded.settings.security
    path = path_of(security)
    if not (security.audit_enabled and path.expanduser().exists()):
        return AuditTail(records=(), is_kept=False)
    found = newest(path, wanted)
    shown = ({key: value for key, value in without_text(body).items() if key != "basis"} for body in found)
    return AuditTail(records=tuple(shown), is_kept=True)


class DoctorHandler(Handler):
    """The checklist of a closed network."""

    auth_resource = DOCTOR

    @authenticated
    @authorized
    async def get(self) -> None:
        """Go through it: the servers are looked at, and nothing is sent anywhere else."""
        async with self.router() as router:
            from jupyter_llmroute.core.diagnosis import diagnose
            from jupyter_llmroute.server.describe import doctor

            endpoints = await router.services(refresh=self.is_asked("refresh"))
            self.give(doctor(await diagnose(await self.exchange.loaded(), endpoints)))


class SettingsHandler(Handler):
    """The settings that hold in this server."""

    auth_resource = SETTINGS

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give them, without secrets."""
        async with self.router():
            await self._show()

    @authenticated
    @authorized
    async def put(self) -> None:
        """Change some for as long as this server runs."""
        async with self.router():
            from jupyter_llmroute.core.errors import SettingsError
            from jupyter_llmroute.server.shapes import ChangedSettings

            try:
                await self.exchange.change(self.taken(ChangedSettings).settings)
            except SettingsError as error:  # what was sent is the client's to mend
                raise self.refusal(error, 400) from error
            await self._show()

    async def _show(self) -> None:
        from jupyter_llmroute.server.describe import settings

        self.give(settings(await self.exchange.loaded()))


class DescriptionHandler(Handler):
    """The OpenAPI description of all this."""

    auth_resource = ROUTING

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give it."""
        from jupyter_llmroute.server.openapi import description

        self.finish(json.dumps(await asyncio.to_thread(description)))
