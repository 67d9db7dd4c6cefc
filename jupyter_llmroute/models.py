"""The models as a table: one row a model, whichever servers have it, and why it cannot be asked where it cannot."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple

from jupyter_llmroute.core.catalog import GUESSED, ModelInfo
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.naming import same_model, without_size, words
from jupyter_llmroute.core.route import Candidate, Rejection
from jupyter_llmroute.core.selector import Decision
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.inert import plain_line
from jupyter_llmroute.services import NOTHING_FOUND
from jupyter_llmroute.table import Table
from jupyter_llmroute.wording import file_size, parameters, points, publications, ratings, window

WHO = ("model", "servers")
NOT_ASKED = "cannot be asked"
PROPERTIES = ("window", "in memory", "size", "file", "quantisation", "family", "can")
"""What matters most stands first: a page may be too narrow for the others."""

LONGEST_NAME = 64
"""Characters of a model's name in a table: a longer one would push all else out of sight."""

UNRANKED = 1 << 30
"""The rank of what is no candidate: behind all of them."""


class Offer(NamedTuple):
    """A model on one server, and what a decision made of it."""

    endpoint: Endpoint
    model: ServedModel
    info: ModelInfo
    rejection: Rejection | None
    rank: int
    """Among the candidates, from 0; `UNRANKED` where it is none."""
    candidate: Candidate | None


def table(decision: Decision, task: Task | None = None, *, scores: bool = False) -> Table:
    """Return one row a model: those that may be asked first, by name or, for a task, the best first.

    Parameters
    ----------
    decision
        One on an empty question, of that task where one is named: it holds the servers, and says who was left out.
    task
        What to rank for.
    scores
        Whether to show each model's scores with their sources in place of its other properties.
    """

    def place(group: list[Offer]) -> tuple[bool, int, str]:
        best = min(offer.rank for offer in group) if task else 0
        return all(offer.rejection for offer in group), best, group[0].model.id.lower()

    groups = sorted(grouped(offers(decision)), key=place)
    ranked = (f"for {task}",) if task else ()
    behind = f"below the first {len(decision.route.candidates)}"
    cells = _scores if scores else _properties
    rows = (
        (*_name(group), *(_points(group, behind) for _ in ranked), _not_asked(group), *cells(group)) for group in groups
    )
    sources = [source for group in groups for source in group[0].info.sources.values()] if scores else []
    return Table(
        columns=(*WHO, *ranked, NOT_ASKED, *(map(str, Task) if scores else PROPERTIES)),
        rows=tuple(rows),
        notes=tuple(publications(decision.snapshot.catalog, sources)),
        nothing=NOTHING_FOUND,
    )


def offers(decision: Decision) -> Iterator[Offer]:
    """Yield every model on every server that a decision looked at."""
    route, catalog = decision.route, decision.snapshot.catalog
    refused = {(rejection.service, rejection.model): rejection for rejection in route.rejections}
    ranks = {(candidate.endpoint.name, candidate.model.id): rank for rank, candidate in enumerate(route.candidates)}
    for endpoint in decision.snapshot.endpoints:
        for model in endpoint.models:
            rank = ranks.get((endpoint.name, model.id), UNRANKED)
            yield Offer(
                endpoint=endpoint,
                model=model,
                info=catalog.describe(model),
                rejection=refused.get((endpoint.name, model.id)) or refused.get((endpoint.name, None)),
                rank=rank,
                candidate=route.candidates[rank] if rank < UNRANKED else None,
            )


def grouped(all_offers: Iterable[Offer]) -> list[list[Offer]]:
    """Return the offers of the same model together, in the order in which each was first seen."""
    groups: list[list[Offer]] = []
    near: dict[Hashable, list[list[Offer]]] = {}
    for offer in all_offers:
        marks = _marks(offer.model)
        likely = (group for mark in marks for group in near.get(mark, ()))
        group = next((group for group in likely if same_model(group[0].model, offer.model)), None)
        if group is None:
            groups.append(group := [])
        group.append(offer)
        for mark in marks:
            if not any(group is known for known in near.setdefault(mark, [])):
                near[mark].append(group)
    return groups


def _marks(model: ServedModel) -> tuple[Hashable, ...]:
    """Return what equal models have one of in common, so that not all must be compared with all."""
    named = without_size(words(model.id)) or model.id.lower()
    return (named, model.digest.lower()) if model.digest else (named,)


def _name(group: list[Offer]) -> tuple[str, str]:
    """Return a model's name, and its servers; a server that calls it otherwise, with its name there."""
    first = group[0].model.id
    servers = (o.endpoint.name + (f" as {o.model.id}" if o.model.id != first else "") for o in group)
    return plain_line(first, LONGEST_NAME), plain_line(", ".join(dict.fromkeys(servers)), 300)


def _points(group: list[Offer], behind: str) -> str:
    if all(offer.rejection for offer in group):
        return ""
    best = min(group, key=lambda offer: offer.rank).candidate
    return points(best) if best else behind


def _properties(group: list[Offer]) -> tuple[str, ...]:
    def each(say: Callable[[Offer], str]) -> str:
        return plain_line(_by_server(group, say), 300)

    return (
        each(lambda offer: window(offer.model) if offer.model.chat else ""),
        each(lambda offer: {True: "yes", False: "no", None: ""}[offer.model.loaded]),
        each(lambda offer: parameters(offer.model.parameters or offer.info.parameters)),
        _files(group),
        each(lambda offer: offer.model.quantisation or ""),
        plain_line(_family(group)),
        each(lambda offer: ", ".join(sorted(offer.model.capabilities))),
    )


def _files(group: list[Offer]) -> str:
    """Return the size of the file, or of the smallest and the largest where the servers have different ones."""
    told = sorted(offer.model.size_bytes for offer in group if offer.model.size_bytes)
    return " to ".join(dict.fromkeys(file_size(size) for size in (*told[:1], *told[-1:])))


def _scores(group: list[Offer]) -> tuple[str, ...]:
    return tuple(plain_line(said.replace(" of 100", "", 1), 300) for _, said in ratings(group[0].info))


def _not_asked(group: list[Offer]) -> str:
    if all(offer.rejection for offer in group):
        return plain_line(_by_server(group, lambda offer: offer.rejection.detail if offer.rejection else ""), 300)
    told = (f"{offer.rejection.detail} on {offer.endpoint.name}" for offer in group if offer.rejection)
    return plain_line("; ".join(told), 300)


def _family(group: list[Offer]) -> str:
    info = group[0].info
    known = "" if info.source == GUESSED else info.family
    return next((offer.model.family for offer in group if offer.model.family), known)


def _by_server(group: list[Offer], say: Callable[[Offer], str]) -> str:
    """Return what is the same on all servers once, and what differs with the server."""
    servers: dict[str, list[str]] = {}
    for offer in group:
        if said := say(offer):
            servers.setdefault(said, []).append(offer.endpoint.name)
    if len(servers) <= 1:
        return next(iter(servers), "")
    return "; ".join(f"{said} on {', '.join(dict.fromkeys(names))}" for said, names in servers.items())
