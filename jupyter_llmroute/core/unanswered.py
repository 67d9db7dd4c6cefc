"""What is told of a route that nobody can answer on, or not everybody: who is in the way, and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_llmroute.core.errors import RouteFailed, TooLong, UnknownModel, UnknownService
from jupyter_llmroute.core.providers.embedded import Embedded
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Rejection, RejectionReason, Route

STILL = {RejectionReason.LOADING: "loaded", RejectionReason.CHECKING: "compared with the locked one"}
"""What ends by itself, and what is being done meanwhile."""

NAMED = 20
"""Models of a message that are named."""

LONGEST_NAME = 80
"""Characters of a model's name in a message; it is its server's to choose."""


def changed(route: Route) -> tuple[str, ...]:
    """Return what is to be said of models that are others than they were."""
    return tuple(
        f"{rejection.model} on {rejection.service} is not asked: {rejection.detail}."
        for rejection in route.rejections
        if rejection.reason is RejectionReason.CHANGED
    )


def waited_for(route: Route) -> RejectionReason | None:
    """Return why nobody can answer yet, where somebody may soon."""
    reasons = set() if route.candidates else {rejection.reason for rejection in route.rejections}
    return next((reason for reason in STILL if reason in reasons), None)


def still(route: Route, why: RejectionReason) -> str:
    """Return who was still waited for."""
    names = [r.model or r.service for r in route.rejections if r.reason is why]
    return f"{', '.join(names)} was still being {STILL[why]}"


def nobody(request: Request, route: Route) -> Exception:
    """Return the error for a route without candidates: what is in the way, and what to do."""
    services = list(dict.fromkeys(r.service for r in route.rejections))
    if request.service and request.service.lower() not in {name.lower() for name in services}:
        known = ", ".join(services) or "none"
        return UnknownService(f"There is no server named {request.service!r}. Known servers: {known}.")
    in_the_way = [r for r in route.rejections if r.reason is not RejectionReason.NOT_ASKED_FOR]
    if request.model:
        of_servers = [r for r in in_the_way if r.model is None]
        in_the_way = [r for r in in_the_way if r.model]
        if not in_the_way:
            served = _names(r.model for r in route.rejections if r.model) or "none"
            closed = ", ".join(f"{r.service} ({r.detail})" for r in of_servers)
            who = f"The server {request.service!r} has no" if request.service else "No server has a"
            return UnknownModel(
                f"{who} model {request.model!r}. Models there are: {served}."
                + (f" Not looked into: {closed}." if closed else "")
            )
    if request.service or any(r.service != Embedded.name or r.model for r in route.rejections):
        is_too_long = in_the_way and all(r.reason is RejectionReason.WINDOW_TOO_SMALL for r in in_the_way)
        return (TooLong if is_too_long else RouteFailed)(f"No model can answer this. {_reasons(in_the_way)}")
    built_in = next((r.detail for r in in_the_way), "switched off by embedded.enabled")
    return RouteFailed(
        "No model server was found on this machine. Start one (such as Ollama or llama.cpp's server), "
        f"name one under services in llmroute.yaml, or use the built-in one ({built_in})."
    )


def _reasons(rejections: Iterable[Rejection]) -> str:
    alike: dict[str, list[str]] = {}
    for rejection in rejections:
        alike.setdefault(rejection.detail.rstrip("."), []).append(rejection.model or rejection.service)
    return "; ".join(f"{_names(names)}: {detail}" for detail, names in alike.items())


def _names(names: Iterable[str]) -> str:
    """Return names that servers chose as one short line."""
    found = list(dict.fromkeys(map(_line, names)))
    return ", ".join(found[:NAMED]) + (f" and {len(found) - NAMED} more" if len(found) > NAMED else "")


def _line(name: str) -> str:
    shown = "".join(sign if sign.isprintable() else "\ufffd" for sign in name[: LONGEST_NAME + 1])
    return shown if len(shown) <= LONGEST_NAME else f"{shown[:LONGEST_NAME]}…"
