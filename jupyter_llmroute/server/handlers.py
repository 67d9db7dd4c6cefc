"""The panel's handlers: each reads what it is sent, asks the router, and writes what came of it.

Imported when the Jupyter server starts, as `handler` is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_llmroute.server.handler import ROUTING, Handler, Refusal

if TYPE_CHECKING:
    from jupyter_llmroute.core.pins import Pins
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.selector import Decision as Decided
    from jupyter_llmroute.server.shapes import Decision, Question

AUDIT, DOCTOR, SETTINGS = "llmroute_audit", "llmroute_doctor", "llmroute_settings"

MOST_RECORDS = 1000
MOST_DIGITS = 4


async def look(router: Router, *, refresh: bool = False) -> Decided:
    """Have the router look around, where that is due or wanted, and return its decision on an empty question."""
    from jupyter_llmroute.core.request import Request

    (taken,) = await router.decide_each([Request(question="")], refresh=refresh)
    return taken.decision


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

            self.give(services(await look(router, refresh=self.is_asked("refresh")), router))


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

            self.give(Models(models=models(await look(router))))


class DecideHandler(Handler):
    """A decision, and nobody is asked."""

    auth_resource = ROUTING

    @authenticated
    @authorized(action="read")
    async def post(self) -> None:
        """Give the decision for a question."""
        async with self.router() as router:
            from jupyter_llmroute.server.shapes import Question

            (taken,) = await _decided(router, [asked(self.taken(Question, has_pins=True))])
            self.give(taken)


class NextHandler(Handler):
    """Who each task would use now."""

    auth_resource = ROUTING

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give the decision for each task, under the pins of the address; anybody may have written those."""
        async with self.router() as router:
            from jupyter_llmroute.core.request import Request
            from jupyter_llmroute.core.task import Task
            from jupyter_llmroute.server.shapes import NextUp

            pins, remarks = _pins(self.get_query_argument("pins", "{}"))
            requests = [Request(question="", task=task, pins=pins, remarks=remarks, with_code=False) for task in Task]
            taken = await _decided(router, requests)
            self.give(NextUp(tasks=dict(zip(Task, taken, strict=True))))


def _pins(text: str) -> Pins:
    """Return the pins that a notebook's metadata says; what cannot be read there is named, and stops nothing."""
    from jupyter_llmroute.core.pins import Origin, Pins, read

    try:
        return read(json.loads(text), Origin.NOTEBOOK)
    except (ValueError, RecursionError):
        return Pins(remarks=(f"The pins {Origin.NOTEBOOK} are passed over: they are no JSON.",))


async def _decided(router: Router, requests: Sequence[Request]) -> list[Decision]:
    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.server.describe import decision, undecided

    try:
        taken = await router.decide_each(requests)
    except LLMRouteError as error:
        return [undecided(error)] * len(requests)
    return [decision(each.routed, request) for each, request in zip(taken, requests, strict=True)]


class AuditHandler(Handler):
    """The newest records of the audit log."""

    auth_resource = AUDIT

    @authenticated
    @authorized
    async def get(self) -> None:
        """Give so many as are wanted, without the words of questions and answers."""
        wanted = self.get_query_argument("tail", "50")
        if not wanted.isdecimal() or len(wanted) > MOST_DIGITS or int(wanted) > MOST_RECORDS:
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
