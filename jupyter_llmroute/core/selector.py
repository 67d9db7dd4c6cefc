"""From a classification and what was seen of the servers to an ordered list of candidates.

Hard filters first, each with a typed reason; then one score. Pure: the same arguments give the same route.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum

from pydantic import Field

from jupyter_llmroute.core.catalog import Catalog, ModelInfo, words
from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint, Health, ServedModel
from jupyter_llmroute.core.policy import Policy, check_model, check_name
from jupyter_llmroute.core.prompt import estimate_prompt, lay_out
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.settings import TaskRouting
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

COLD_COST = 5.0
"""Points a model loses for not being in memory: loading takes seconds to minutes."""

SMALL_WINDOW_COST = 10.0
"""Points a model loses for serving less than the task's `min_context`."""

LIST_GAIN = 4.0
"""Points that the first place of the catalog's list for the task is worth; the last place is worth near none."""


class RejectionReason(StrEnum):
    """Why a model, or a whole server, cannot be a candidate."""

    POLICY = "policy"
    NOT_WELL = "not well"
    NO_MODELS = "no models"
    NOT_ASKED_FOR = "not asked for"
    NOT_A_CHAT_MODEL = "not a chat model"
    WINDOW_TOO_SMALL = "window too small"


class Rejection(Value):
    """A server or a model that was left out, and why."""

    service: str
    model: str | None = None
    """`None` when the whole server was left out."""
    reason: RejectionReason
    detail: str


class Candidate(Value):
    """A model on a server that may answer."""

    endpoint: Endpoint
    model: ServedModel
    info: ModelInfo
    score: float
    """Higher is better: expected quality from 0 to 100, less costs."""
    reasons: tuple[str, ...]
    """What the score is made of, in words."""


class Route(Value):
    """The decision: whom to ask, in which order, and who was left out."""

    candidates: tuple[Candidate, ...]
    rejections: tuple[Rejection, ...]


class Snapshot(Value):
    """All that a decision rests on besides the question: servers as last seen, and the user's standing wishes."""

    endpoints: tuple[Endpoint, ...]
    catalog: Catalog
    routing: Mapping[Task, TaskRouting]
    reserve_tokens: int = Field(1024, gt=0)
    """Tokens of each window kept free for the answer."""


def select(what: Classification, context: Context, snapshot: Snapshot, policy: Policy) -> Route:
    """Choose who may answer.

    Returns
    -------
    Route
        Candidates best first, perhaps none; and a rejection for each server and model that is not among them.
    """
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    bare = context.model_copy(update={"items": (), "request": context.request.model_copy(update={"turns": ()})})
    needed = estimate_prompt(lay_out(bare))
    pinned = _pinned(context.request, snapshot)
    for endpoint in snapshot.endpoints:
        if rejection := _reject_endpoint(endpoint, context.request, policy):
            rejections.append(rejection)
            continue
        for model in endpoint.models:
            if pinned is not None and model.id not in pinned:
                rejections.append(_not_asked_for(endpoint, model, context.request))
            elif rejection := _reject_model(endpoint, model, policy, needed, snapshot.reserve_tokens):
                rejections.append(rejection)
            else:
                candidates.append(_rate(endpoint, model, what, snapshot))
    places = _places(candidates, snapshot.routing.get(what.task, TaskRouting()))
    candidates.sort(
        key=lambda c: (*places.get(_names(c), UNLISTED), -c.score, c.endpoint.priority, c.endpoint.name, c.model.id)
    )
    return Route(candidates=tuple(candidates), rejections=tuple(rejections))


class Likeness(IntEnum):
    """How well the name that a user writes fits a model; the lower, the better."""

    SAME_NAME = 0
    SAME_WORDS = 1
    """As the catalog reads names: publisher, quantisation and such as "instruct" aside."""
    SOME_WORDS = 2
    """All that the user wrote, and more."""
    NONE = 3


def likeness(asked: str, model_id: str, known_as: str) -> Likeness:
    """Compare what a user wrote with a model's id, and with the catalog's name for that model."""
    if asked.lower() == model_id.lower():
        return Likeness.SAME_NAME
    wanted = words(asked)
    if wanted and wanted in (words(model_id), words(known_as)):
        return Likeness.SAME_WORDS
    return Likeness.SOME_WORDS if wanted and wanted <= words(model_id) else Likeness.NONE


Names = tuple[str, str]
"""A model's id on its server, and the catalog's name for it."""


def meant(asked: str, models: Iterable[Names]) -> frozenset[Names]:
    """Return the models that a user who writes `asked` means: those whose names are most like it, and no other.

    Examples
    --------
    >>> coder, plain = ("qwen2.5-coder:7b", "qwen2.5-coder-7b"), ("qwen2.5:7b", "qwen2.5-7b")
    >>> meant("qwen2.5:7b", [coder, plain]) == {plain}, meant("qwen2.5", [coder, plain]) == {coder, plain}
    (True, True)
    """
    found = {names: likeness(asked, *names) for names in models}
    best = min(found.values(), default=Likeness.NONE)
    return frozenset(names for names, like in found.items() if like is best and best is not Likeness.NONE)


def _pinned(request: Request, snapshot: Snapshot) -> frozenset[str] | None:
    """Return the ids of the models that the request pins, `None` where it pins none."""
    if not request.model:
        return None
    served = (model for e in snapshot.endpoints if _is_asked_for(e, request) for model in e.models)
    names = ((model.id, snapshot.catalog.describe(model).id) for model in served)
    return frozenset(model_id for model_id, _ in meant(request.model, names))


def _is_asked_for(endpoint: Endpoint, request: Request) -> bool:
    return not request.service or request.service.lower() == endpoint.name.lower()


def _not_asked_for(endpoint: Endpoint, model: ServedModel, request: Request) -> Rejection:
    detail = f"only {request.model} was asked for"
    return Rejection(service=endpoint.name, model=model.id, reason=RejectionReason.NOT_ASKED_FOR, detail=detail)


def _reject_endpoint(endpoint: Endpoint, request: Request, policy: Policy) -> Rejection | None:
    def no(reason: RejectionReason, detail: str) -> Rejection:
        return Rejection(service=endpoint.name, reason=reason, detail=detail)

    if not _is_asked_for(endpoint, request):
        return no(RejectionReason.NOT_ASKED_FOR, f"only {request.service} was asked for")
    if endpoint.host and not (verdict := check_name(policy, endpoint.host)).allowed:
        return no(RejectionReason.POLICY, verdict.reason)
    if endpoint.health not in (Health.WELL, Health.LOADING):
        return no(RejectionReason.NOT_WELL, endpoint.detail or endpoint.health.value)
    if not endpoint.models:
        return no(RejectionReason.NO_MODELS, endpoint.detail or "it serves no model")
    return None


def _reject_model(
    endpoint: Endpoint, model: ServedModel, policy: Policy, needed: int, reserve: int
) -> Rejection | None:
    def no(reason: RejectionReason, detail: str) -> Rejection:
        return Rejection(service=endpoint.name, model=model.id, reason=reason, detail=detail)

    if not model.chat:
        return no(RejectionReason.NOT_A_CHAT_MODEL, "it makes embeddings")
    if not (verdict := check_model(policy, model)).allowed:
        return no(RejectionReason.POLICY, verdict.reason)
    if model.context_window and needed + answer_reserve(model, reserve) > model.context_window:
        detail = f"about {needed:,} tokens and room for the answer do not fit its {model.context_window:,}"
        return no(RejectionReason.WINDOW_TOO_SMALL, detail)
    return None


def answer_reserve(model: ServedModel, reserve_tokens: int) -> int:
    """Return the tokens of a model's window to keep free for the answer: at most half of it."""
    return min(reserve_tokens, model.context_window // 2) if model.context_window else reserve_tokens


def _rate(endpoint: Endpoint, model: ServedModel, what: Classification, snapshot: Snapshot) -> Candidate:
    info = snapshot.catalog.describe(model)
    # The mixture, not the winner alone: where two tasks are close, a model that is good at both is the better bet.
    quality = sum(what.scores[task] * info.scores[task] for task in Task)
    origin = "guessed from its size" if info.source == "size" else "catalog"
    score, reasons = quality, [f"rated {info.scores[what.task]:.0f} of 100 for {what.task} ({origin})"]
    if gain := _list_gain(info, what.task, snapshot.catalog):
        score += gain
        reasons.append(f"on the list for {what.task}")
    if model.loaded is False:
        score -= COLD_COST
        reasons.append("not in memory yet")
    wanted = snapshot.routing.get(what.task, TaskRouting()).min_context
    if model.context_window and model.context_window < wanted:
        score -= SMALL_WINDOW_COST
        reasons.append(f"window {model.context_window:,} below the {wanted:,} wanted for {what.task}")
    return Candidate(endpoint=endpoint, model=model, info=info, score=round(score, 2), reasons=tuple(reasons))


def _list_gain(info: ModelInfo, task: Task, catalog: Catalog) -> float:
    listed = catalog.lists[task]
    order = (*listed.primary, *listed.fallback)
    return LIST_GAIN * (1 - order.index(info.id) / len(order)) if info.id in order else 0.0


UNLISTED = (2, 0)
"""The place of a model that is on none of the user's lists."""


def _names(candidate: Candidate) -> Names:
    return candidate.model.id, candidate.info.id


def _places(candidates: Iterable[Candidate], wishes: TaskRouting) -> dict[Names, tuple[int, int]]:
    """Place models by the user's own lists: primary first, then fallback."""
    models = {_names(candidate) for candidate in candidates}
    places: dict[Names, tuple[int, int]] = {}
    for rank, listed in enumerate((wishes.primary_models, wishes.fallback_models)):
        for position, name in enumerate(listed):
            for model in meant(name, models):
                places.setdefault(model, (rank, position))
    return places
