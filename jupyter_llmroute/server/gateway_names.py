"""The names of models at the gateway: what is offered under a name is what a request with that name gets.

`auto` stands for whichever suits, `auto:coding` for whichever suits that task. A model that is itself named so is
offered with its server, `auto@ollama`; any model may be asked for like that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.likeness import Likeness, likeness
from jupyter_llmroute.core.pinned import ids_meant, is_named, named
from jupyter_llmroute.core.snapshot import Snapshot
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.inert import plain_line
from jupyter_llmroute.server.shapes import GatewayModel, OfferedModel

AUTO = "auto"
STANDING: dict[str, Task | None] = {AUTO: None, **{f"{AUTO}:{task}": task for task in Task}}
"""Names that stand for several models → the task that is asked for."""

LONGEST = 600
"""Characters of a name that a request may have; no longer one is offered."""


class Meant(NamedTuple):
    """Whom a name means; `None` leaves it open."""

    task: Task | None = None
    model: str | None = None
    service: str | None = None


def offered(models: Iterable[OfferedModel]) -> dict[str, GatewayModel]:
    """Return the models that may be asked, by their names; those that stand for several first."""
    servers: dict[str, list[str]] = {}
    for model in models:
        name = f"{model.id}@{model.service}" if model.id.lower() in STANDING else model.id
        if model.is_usable and 0 < len(name) <= LONGEST:
            servers.setdefault(name, []).append(model.service)
    every = {name: "jupyter-llmroute" for name in STANDING} | {name: ", ".join(of) for name, of in servers.items()}
    return {name: GatewayModel(id=name, owned_by=owner) for name, owner in every.items()}


def meant(name: str, endpoints: Sequence[Endpoint], catalog: Catalog) -> Meant | None:
    """Return whom a name means; `None` for a name that is like nothing that is known.

    Parameters
    ----------
    name
        As the client wrote it; none of `STANDING`.
    endpoints
        The servers that are known.
    catalog
        What is known of models.
    """
    model, service = named(name, endpoints)
    served = (each for endpoint in endpoints for each in endpoint.models)
    is_like = service is not None or any(likeness(name, m.id, catalog.describe(m).id) < Likeness.NONE for m in served)
    return Meant(model=model, service=service) if is_like else None


def answering(name: str, models: Iterable[OfferedModel], snapshot: Snapshot) -> GatewayModel | None:
    """Return what a request gets with a name that is not offered but understood; `None` where nobody would answer it.

    Parameters
    ----------
    name
        As the client wrote it.
    models
        All of them.
    snapshot
        The servers that they were seen on.
    """
    if name.lower() in STANDING:
        return offered(())[name.lower()]
    model, service = named(name, snapshot.endpoints)
    ids = ids_meant(model, service, snapshot)
    shown = service and plain_line(service)
    servers = [m.service for m in models if m.is_usable and m.id in ids and (not shown or is_named(m.service, shown))]
    return GatewayModel(id=name, owned_by=", ".join(dict.fromkeys(servers))) if servers else None
