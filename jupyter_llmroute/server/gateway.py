"""The gateway: OpenAI's `/v1/models` and `/v1/chat/completions` over the same router.

The Jupyter token is the key: Jupyter Server itself takes it as `Authorization: Bearer`, and asks a request that bears
it for no XSRF token. A failure is answered as OpenAI answers it, so that clients know what to do.

Imported when the Jupyter server starts, as `handler` is.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, authenticated

from jupyter_llmroute.server.handler import FAILED, MOST_BODY_BYTES, ROUTING, Handler
from jupyter_llmroute.server.handlers import look

if TYPE_CHECKING:
    from jupyter_llmroute.core.events import AttemptStarted, Event, Routed
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.server.gateway_names import Meant
    from jupyter_llmroute.server.openai_wire import Wanted, Writer

HEADER = "x-llmroute-"

LONGEST_HEADER = 300

NEW_S = 5.0
"""Seconds for which a look is new enough for a name that nothing has: clients ask for such a one again and again."""


class GatewayHandler(Handler):
    """What the routes of the gateway have in common: how they refuse."""

    def check_xsrf_cookie(self) -> None:
        """Ask as Jupyter does; who is nobody is told that, and not that a cookie is missing."""
        if hasattr(self, "_jupyter_current_user") and self.current_user is None:
            raise HTTPError(401)
        super().check_xsrf_cookie()

    def get_login_url(self) -> str:
        """Refuse who is nobody; there is no page to go to."""
        raise HTTPError(401)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write OpenAI's error object."""
        from jupyter_llmroute.server.openai_wire import failure

        error = kwargs.get("exc_info", (None, None, None))[1]
        message, kind, param = explained(error, status_code)
        self.set_status(kind.status)
        if kind.status == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        if retry_after_s := getattr(error, "retry_after_s", None):
            self.set_header("Retry-After", str(max(1, round(retry_after_s))))
        self.finish(failure(self.exchange.hidden(message), kind, param).model_dump_json())

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log what is not answered by its own words."""
        from jupyter_llmroute.core.errors import LLMRouteError
        from jupyter_llmroute.server.openai_wire import Problem

        if not isinstance(value, LLMRouteError | Problem):
            super().log_exception(kind, value, trace)


class ElsewhereHandler(GatewayHandler):
    """Whatever else OpenAI's clients ask for: they read an error's text where it is JSON."""

    auth_resource = ROUTING

    @authenticated
    async def get(self) -> None:
        """Say what there is."""
        from jupyter_llmroute.server.openai_wire import Problem
        from jupyter_llmroute.server.problems import INVALID, Kind

        told = "There is no such path here: only models and chat/completions are served."
        raise Problem(told, Kind(404, INVALID, "unknown_url"))

    post = put = patch = delete = get


class GatewayModelsHandler(GatewayHandler):
    """The models, as OpenAI lists them."""

    auth_resource = ROUTING

    @authenticated
    @authorized
    async def get(self, model: str | None = None) -> None:
        """Give all, or one by its id."""
        async with self.exchange.router() as router:
            from jupyter_llmroute.server.describe import models
            from jupyter_llmroute.server.gateway_names import answering, offered
            from jupyter_llmroute.server.openai_wire import Problem
            from jupyter_llmroute.server.problems import INVALID, Kind
            from jupyter_llmroute.server.shapes import GatewayModels

            decided = await look(router)
            every = offered(models(decided))
            if model is None:
                self.give(GatewayModels(data=tuple(every.values())))
            elif found := every.get(model) or answering(model, models(decided), decided.snapshot):
                self.give(found)
            else:
                kind = Kind(404, INVALID, "model_not_found")
                raise Problem(f"There is no model {model[:LONGEST_HEADER]!r}.", kind, "model")


async def _meant(router: Router, name: str) -> tuple[Meant, float | None]:
    """Return whom a name means: of what was seen, or where that has nobody of this name, of what is there now.

    Returns
    -------
    tuple
        Beside it, since when what was seen is new enough for this question; `None` leaves that to the router.
    """
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.server.gateway_names import AUTO, STANDING, Meant, meant
    from jupyter_llmroute.server.openai_wire import Problem
    from jupyter_llmroute.server.problems import INVALID, Kind

    if name.lower() in STANDING:
        return Meant(task=STANDING[name.lower()]), None
    found, since = meant(name, await router.services(), router.catalog), None
    if found is None and "@" in name:
        since = time.time() - NEW_S
        if router.seen_at < since:
            found = meant(name, await router.services(refresh=True), router.catalog)
    if found is None and name.lower().startswith(f"{AUTO}:"):
        kind = Kind(404, INVALID, "model_not_found")
        raise Problem(f"{name[len(AUTO) + 1 :][:100]!r} is no task: {', '.join(Task)}.", kind, "model")
    return found or Meant(model=name), since


class CompletionsHandler(GatewayHandler):
    """Chat completions."""

    auth_resource = ROUTING

    @authenticated
    @authorized(action="execute")
    async def post(self) -> None:
        """Answer, in one or in pieces."""
        await self.while_there(self._answered())

    async def _answered(self) -> None:
        async with self.exchange.router() as router:
            from jupyter_llmroute.server.asking_tool import by_tool
            from jupyter_llmroute.server.openai_wire import Problem, read
            from jupyter_llmroute.server.problems import INVALID, Kind

            if len(self.request.body) > MOST_BODY_BYTES:
                raise Problem(f"The body is larger than {MOST_BODY_BYTES >> 20} MiB.", Kind(413, INVALID))
            wanted = read(self.request.body)
            whom, since = await _meant(router, wanted.model)
            request = wanted.request.model_copy(update=whom._asdict())
            said_by = self.request.headers.get("User-Agent", "")
            wanted = wanted._replace(request=by_tool(request, said_by, router.settings.callers))
            events = router.stream(wanted.request, learns=False, since=since)
            await (self._stream if wanted.is_stream else self._whole)(events, wanted)

    async def _whole(self, answer: AsyncGenerator[Event, None], wanted: Wanted) -> None:
        from jupyter_llmroute.core.events import Completed, ReasoningDelta, TextDelta, ToolCallDelta
        from jupyter_llmroute.server.openai_wire import Writer

        writer, taken = Writer(), _Taken()
        async with contextlib.aclosing(answer) as events:
            async for event in events:
                taken.note(event)
                match event:
                    case TextDelta():
                        writer.keep(text=event.text)
                    case ReasoningDelta():
                        writer.keep(thoughts=event.text)
                    case ToolCallDelta():
                        writer.keep(calls=event.calls)
                    case Completed():
                        taken.put_in(self)
                        writer.begin(event.model)
                        self.finish(json.dumps(writer.whole(event), ensure_ascii=False))
                    case _ if event.kind == "attempt_started":
                        writer = Writer()  # thoughts of an attempt that failed are not this answer's

    async def _stream(self, answer: AsyncGenerator[Event, None], wanted: Wanted) -> None:
        """Give an answer as it comes. Nothing is sent before somebody answers: until then another may be asked."""
        from jupyter_llmroute.core.errors import LLMRouteError
        from jupyter_llmroute.server.openai_wire import Writer, failure

        writer = Writer()
        try:
            async with contextlib.aclosing(self._pieces(answer, wanted, writer)) as pieces:
                async for piece in pieces:
                    await self.send(piece)
        except StreamClosedError:
            raise
        except Exception as error:
            if not self._headers_written:
                raise
            if not isinstance(error, LLMRouteError | _Broken):
                self.log_failure(error)
            message, kind, param = explained(error, 500)
            told = failure(self.exchange.hidden(message), kind, param)
            await self.send(f"data: {told.model_dump_json()}\n\n")

    async def _pieces(
        self, answer: AsyncGenerator[Event, None], wanted: Wanted, writer: Writer
    ) -> AsyncGenerator[str, None]:
        from jupyter_llmroute.core.events import AttemptFailed, Completed, ReasoningDelta, TextDelta, ToolCallDelta

        taken, has_begun = _Taken(), False
        async with contextlib.aclosing(answer) as events:
            async for event in events:
                taken.note(event)
                if not has_begun and isinstance(event, TextDelta | ReasoningDelta | ToolCallDelta):
                    has_begun = True
                    self.begin_events()
                    taken.put_in(self)
                    writer.begin(taken.model)
                    yield writer.first()
                match event:
                    case TextDelta():
                        yield writer.text(event.text)
                    case ReasoningDelta():
                        yield writer.thoughts(event.text)
                    case ToolCallDelta():
                        yield writer.calls(event.calls)
                    case Completed():
                        yield writer.last(event, with_usage=wanted.with_usage)
                    case AttemptFailed() if has_begun:
                        # Its thoughts have been read, and the headers name it: nobody else can go on.
                        raise _Broken(event.attempt.error, event.attempt.failure)


class _Broken(Exception):
    """An answer that failed after it had begun."""

    def __init__(self, message: str, failure: str) -> None:
        super().__init__(message)
        self.failure = failure


class _Taken:
    """What is told of the decision in the headers."""

    def __init__(self) -> None:
        self._routed: Routed | None = None
        self._started: AttemptStarted | None = None

    def note(self, event: Event) -> None:
        """Take what an event says of it."""
        if event.kind == "routed":
            self._routed = event
        elif event.kind == "attempt_started":
            self._started = event

    @property
    def model(self) -> str:
        """The one that answers."""
        return self._started.model if self._started else ""

    def put_in(self, handler: Handler) -> None:
        """Set the headers."""
        if not (self._routed and self._started):
            return
        told = {
            "model": self._started.model,
            "service": self._started.service,
            "task": self._routed.classification.task.value,
            "reason": "; ".join(self._started.reasons),
            "level": self._started.level.value,
            "attempts": str(self._started.number),
        }
        for name, value in told.items():
            handler.set_header(HEADER + name, _header(value))


def _header(value: str) -> str:
    """Return a value that a header can hold: what a server says may be anything."""
    return value.encode("ascii", "replace").decode()[:LONGEST_HEADER].translate(_UNSEEN)


_UNSEEN = {code: "?" for code in (*range(32), 127)}


def explained(error: BaseException | None, status: int) -> tuple[str, Any, str | None]:
    """Return the message, the kind and the parameter of an error; there may be secrets in it."""
    from jupyter_llmroute.core import errors
    from jupyter_llmroute.server import problems
    from jupyter_llmroute.server.openai_wire import Problem
    from jupyter_llmroute.server.problems import DENIED, INVALID, Kind, kind_of

    match error:
        case Problem():
            return str(error), error.kind, error.param
        case errors.LLMRouteError():
            return str(error), kind_of(error), "model" if isinstance(error, errors.UnknownModel) else None
        case _Broken():
            named = getattr(errors, error.failure, errors.PeerError)
            return str(error), kind_of(named(str(error))), None
        case HTTPError(status_code=401):
            told = "This wants the Jupyter server's token as its key (Authorization: Bearer TOKEN)."
            return told, Kind(401, INVALID, "invalid_api_key"), None
        case HTTPError(status_code=403):
            return error.log_message or "Forbidden.", Kind(403, DENIED), None
        case HTTPError(status_code=405):
            return "This path takes another method: models GET, chat/completions POST.", Kind(405, INVALID), None
        case HTTPError() if status < 500:
            return error.log_message or "The request is refused.", Kind(status, INVALID), None
    return FAILED, Kind(status, problems.FAILED), None
