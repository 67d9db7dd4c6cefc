"""Earlier answers in a sentence each, by a model: only where the user has opted in, and through the same router."""

from __future__ import annotations

import contextlib

from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.request import Request, Sampling, Turn
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.task import Task

QUESTION = "Say in one sentence of at most thirty words what you answered last, with the names that matter."
MOST_TOKENS = 80
MOST_S = 30
"""Seconds that one of them may take."""

MOST_AT_ONCE = 4
"""Turns that are summarised before one question; the others follow before the next ones."""


async def summarised(request: Request, router: Router) -> tuple[Turn, ...]:
    """Return the turns of a request; those that no longer fit have their answers in a sentence each.

    Where nobody can say it the turn stays as it is, and its ends are kept instead. The user's question and its pins are
    not touched.
    """
    turns = list(request.turns)
    try:
        kept = len((await router.preview(request)).fitted.context.request.turns)
    except LLMRouteError:
        return request.turns  # the question itself will say so
    gone = [place for place in range(len(turns) - kept) if not turns[place].summary]
    for place in gone[-MOST_AT_ONCE:]:
        if not (summary := await _said(turns[place], request, router)):
            break  # who cannot say one will not say the next: the question is not to wait for that
        turns[place] = turns[place].model_copy(update={"summary": summary})
    return tuple(turns)


async def _said(turn: Turn, request: Request, router: Router) -> str:
    asked = Request(
        question=QUESTION,
        turns=(turn.model_copy(update={"items": ()}),),
        chosen_cells=frozenset(),
        task=Task.DOCUMENTATION,
        model=request.model,
        service=request.service,
        sampling=Sampling(temperature=0, max_tokens=MOST_TOKENS),
        timeout_s=MOST_S,
    )
    text = ""
    with contextlib.suppress(LLMRouteError):
        async with contextlib.aclosing(router.stream(asked, learns=False)) as events:
            async for event in events:
                text += event.text if event.kind == "text_delta" else ""
    return " ".join(text.split())
