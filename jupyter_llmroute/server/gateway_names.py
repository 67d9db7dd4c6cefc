"""The names of models at the gateway: what is offered under a name is what a request with that name gets.

`auto` stands for whichever suits, `auto:coding` for whichever suits that task. A model that is itself named so is
offered with its server, `auto@ollama`; any model may be asked for like that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.pinned import named
from jupyter_llmroute.core.task import Task
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


def meant(name: str, endpoints: Sequence[Endpoint]) -> Meant | None:
    """Return whom a name means; `None` for a name of nothing that is known.

    Parameters
    ----------
    name
        As the client wrote it.
    endpoints
        The servers that are known.
    """
    if name.lower() in STANDING:
        return Meant(task=STANDING[name.lower()])
    model, service = named(name, endpoints)
    is_whole = service is None and any(each.id == name for endpoint in endpoints for each in endpoint.models)
    return Meant(model=model, service=service) if is_whole or service else None
