"""Which models a name means among those that are served, and what became of a pin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.likeness import Likeness, likeness, meant
from jupyter_llmroute.core.pins import Pin, divided
from jupyter_llmroute.core.route import Candidate, Rejection, RejectionReason
from jupyter_llmroute.core.snapshot import Row, Snapshot

TOLD = 2
"""Reasons why a pinned model cannot answer that are told."""


class Wanted(NamedTuple):
    """Whom a pin means."""

    pin: Pin
    service: str | None
    """`None`: whichever server has it."""
    ids: frozenset[str]
    """Of the models that are meant; none where nobody serves such a one."""
    servers: frozenset[str]
    """Names of those that serve them."""

    @classmethod
    def by(cls, pin: Pin, snapshot: Snapshot) -> Wanted:
        """Return whom a pin means, of all that is served."""
        model, service = named(pin.model, snapshot.endpoints)
        ids = ids_meant(model, service, snapshot)
        servers = {
            endpoint.name
            for endpoint in snapshot.endpoints
            if (service is None or is_named(endpoint.name, service)) and any(m.id in ids for m in endpoint.models)
        }
        return cls(pin, service, ids, frozenset(servers))

    def among(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Yield those of the rows that are meant."""
        return (row for row in rows if row.model.id in self.ids and row.endpoint.name in self.servers)

    def unmet(self, candidates: Iterable[Candidate], rejections: Iterable[Rejection]) -> str | None:
        """Return why nobody who is meant can answer, in a sentence; `None` where somebody can."""
        if any(c.model.id in self.ids and c.endpoint.name in self.servers for c in candidates):
            return None
        why = "; ".join(self._reasons([*rejections]))
        return f"{self.pin.model} is {self.pin} and cannot answer: {why}. The best of the others is asked."

    def _reasons(self, rejections: list[Rejection]) -> list[str]:
        if self.ids:
            meant = (r for r in rejections if r.service in self.servers and (r.model is None or r.model in self.ids))
            return list(dict.fromkeys(r.detail.rstrip(".") for r in meant))[:TOLD]
        closed = [r for r in rejections if r.model is None and self.service in (None, r.service)]
        if self.service and closed:
            return [closed[0].detail.rstrip(".")]
        nowhere = f"{self.service} has no such model" if self.service else "no server has such a model"
        return [nowhere, *(f"{r.service}: {r.detail.rstrip('.')}" for r in closed[:TOLD])]


def named(asked: str, endpoints: Sequence[Endpoint]) -> tuple[str, str | None]:
    """Return the model and the server that a user names; `None` where they name no server.

    What is some model's whole name is that model, whatever it looks like.
    """
    if any(model.id == asked for endpoint in endpoints for model in endpoint.models):
        return asked, None
    return divided(asked, [endpoint.name for endpoint in endpoints])


def ids_meant(asked: str, service: str | None, snapshot: Snapshot) -> frozenset[str]:
    """Return the ids of the models that are meant, of all that is served.

    Also of what cannot answer: a model of a similar name must not stand in for it.
    """
    served = (
        (model.id, snapshot.catalog.describe(model).id)
        for endpoint in snapshot.endpoints
        if not service or is_named(endpoint.name, service)
        for model in endpoint.models
    )
    return frozenset(model_id for model_id, _ in meant(asked, served))


def stands_in(asked: str, service: str | None, snapshot: Snapshot, rejections: Iterable[Rejection]) -> str | None:
    """Return what is to be said of models that bear more words than were asked for, in a sentence.

    `None` where a name was asked for as it is, or no server is out of sight that may have that very one.
    """
    closed = list(dict.fromkeys(r.service for r in rejections if r.reason is RejectionReason.NOT_WELL and not r.model))
    if not closed:
        return None
    model, server = named(asked, snapshot.endpoints)
    ids = ids_meant(model, service or server, snapshot)
    infos = {each.id: snapshot.catalog.describe(each) for e in snapshot.endpoints for each in e.models}
    if server or not ids or any(likeness(model, name, infos[name].id) < Likeness.SOME_WORDS for name in ids):
        return None
    which = ", ".join(sorted(ids)[:TOLD]) + (" and others" if len(ids) > TOLD else "")
    return f"{', '.join(closed[:TOLD])} may have a model {asked!r} and cannot be looked into: {which} is taken for it."


def is_named(name: str, asked: str) -> bool:
    """Whether a server is the one that is asked for."""
    return name.lower() == asked.lower()
