"""The core's values as the interface gives them: values in, values out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from jupyter_llmroute.core.doctor import Report
from jupyter_llmroute.core.endpoint import Endpoint, Health
from jupyter_llmroute.core.events import Routed
from jupyter_llmroute.core.provenance import Source, origin
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Rejection, RejectionReason
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.secrets import MASK, is_secret_name, masked
from jupyter_llmroute.core.selector import Decision as Decided
from jupyter_llmroute.core.settings import Loaded
from jupyter_llmroute.core.settings_file import EXTERNAL
from jupyter_llmroute.core.unanswered import nobody
from jupyter_llmroute.inert import plain_line
from jupyter_llmroute.models import Offer, offers
from jupyter_llmroute.server.exchange import MAY_SET
from jupyter_llmroute.server.shapes import (
    Check,
    Considered,
    Decision,
    Doctor,
    GuessedTask,
    OfferedModel,
    ServedModel,
    Service,
    Services,
    ShownSettings,
    Verdict,
)
from jupyter_llmroute.wording import PRODUCTS

LONGEST = 400
"""Characters of one line of a server's words."""

MOST_CONSIDERED = 100

ONLY_FOR_THIS_QUESTION = frozenset({RejectionReason.WINDOW_TOO_SMALL, RejectionReason.NOT_ASKED_FOR})
"""Reasons that say nothing of the model itself."""


def services(decided: Decided, router: Router) -> Services:
    """Return the servers with their models.

    Parameters
    ----------
    decided
        A decision on an empty question: it holds all models, and says who cannot be asked, and why.
    router
        Who took it.
    """
    by_server: dict[str, list[ServedModel]] = {}
    for offer in offers(decided):
        by_server.setdefault(offer.endpoint.name, []).append(ServedModel(**_model(offer)))
    known = sorted(decided.snapshot.endpoints, key=lambda endpoint: endpoint.priority)
    refused = {r.service: r for r in decided.route.rejections if r.model is None}
    return Services(
        services=tuple(_service(each, by_server.get(each.name, []), refused.get(each.name)) for each in known),
        looked_at=datetime.fromtimestamp(router.seen_at, UTC) if router.seen_at else None,
        is_looking=router.is_looking,
        remarks=(EXTERNAL,) if router.settings.security.allow_external else (),
    )


def models(decided: Decided) -> tuple[OfferedModel, ...]:
    """Return all models, each with its server."""
    return tuple(OfferedModel(**_model(offer), service=plain_line(offer.endpoint.name)) for offer in offers(decided))


def _service(endpoint: Endpoint, served: list[ServedModel], refused: Rejection | None) -> Service:
    is_well = endpoint.health is Health.WELL and refused is None
    why_not = "" if is_well else (refused.detail if refused else endpoint.detail or endpoint.health.value)
    return Service(
        name=plain_line(endpoint.name),
        product=plain_line(PRODUCTS.get(endpoint.provider, endpoint.provider)),
        url=plain_line(masked(endpoint.base_url), LONGEST),
        healthy=is_well,
        why_not=_line(why_not),
        models=tuple(served),
    )


def _model(offer: Offer) -> dict[str, Any]:
    model, rejection = offer.model, offer.rejection
    stands = rejection is not None and rejection.reason not in ONLY_FOR_THIS_QUESTION
    return {
        "id": model.id,
        "name": plain_line(model.id, LONGEST),
        "loaded": model.loaded,
        "context_window": model.context_window,
        "window_is_assumed": model.window_is_assumed,
        "size_bytes": model.size_bytes,
        "is_usable": not stands,
        "why_not": _line(rejection.detail) if rejection and stands else None,
    }


def _line(text: str) -> str | None:
    """Return a server's words as a line that can be shown; `None` where there are none."""
    return plain_line(masked(text), LONGEST) or None


def decision(routed: Routed, request: Request) -> Decision:
    """Return who would answer a request."""
    what, route = routed.classification, routed.route
    first = route.candidates[0] if route.candidates else None
    return Decision(
        task=GuessedTask(name=what.task, confidence=what.confidence, evidence=what.evidence, rival=what.rival),
        model=first.model.id if first else None,
        service=first.endpoint.name if first else None,
        reasons=tuple(plain_line(reason, LONGEST) for reason in first.reasons) if first else (),
        considered=tuple(_considered(routed))[:MOST_CONSIDERED],
        remarks=tuple(plain_line(remark, LONGEST) for remark in routed.remarks),
        error=None if first else plain_line(masked(str(nobody(request, route))), LONGEST),
    )


def undecided(error: Exception) -> Decision:
    """Return that nobody would answer, and why."""
    told = plain_line(masked(str(error)), LONGEST)
    return Decision(task=None, model=None, service=None, reasons=(), considered=(), remarks=(), error=told)


def _considered(routed: Routed) -> Iterator[Considered]:
    for other in routed.route.candidates[1:]:
        verdict = f"next in line: {other.score:.0f} points"
        yield Considered(model=other.model.id, service=other.endpoint.name, verdict=verdict)
    for out in routed.route.rejections:
        yield Considered(model=out.model, service=out.service, verdict=plain_line(masked(out.detail), LONGEST))


def doctor(report: Report) -> Doctor:
    """Return what the checks found."""
    return Doctor(
        checks=tuple(
            Check(
                id=found.check.lower().replace(" ", "-"),
                title=found.check,
                verdict=Verdict(found.status.value),
                evidence=plain_line(masked(found.evidence), LONGEST),
                remedy=plain_line(masked(found.remedy), LONGEST),
            )
            for found in report.findings
        ),
        verdict=Verdict(report.status.value),
    )


def settings(loaded: Loaded) -> ShownSettings:
    """Return the settings with who said each; secrets are masked, whatever they are named."""
    data = _shown(loaded.settings.model_dump(mode="json"))
    origins = {name: str(origin(loaded.layers, tuple(name.split(".")))) for name in _names(data)}
    files = [layer.places.get(()) for layer in loaded.layers if layer.source is Source.FILE]
    return ShownSettings(
        file=files[0] if files else None,
        settings=data,
        origins={name: said for name, said in origins.items() if said != Source.DEFAULT.value},
        may_set=MAY_SET,
    )


def _shown(data: Any, name: str = "") -> Any:
    if data is not None and not isinstance(data, bool | int | float) and name and is_secret_name(name):
        return MASK
    if isinstance(data, Mapping):
        return {str(key): _shown(each, str(key)) for key, each in data.items()}
    if isinstance(data, list):
        return [_shown(each) for each in data]
    return masked(data) if isinstance(data, str) else data


def _names(data: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in data.items():
        name = f"{before}.{key}" if before else key
        if isinstance(value, Mapping) and value:
            yield from _names(value, name)
        else:
            yield name
