"""Making a context fit a model's window. Pure, and done after selection: the budget depends on the model."""

from __future__ import annotations

from jupyter_llmroute.core.context import Context, turn_ref
from jupyter_llmroute.core.prompt import estimate_prompt, lay_out


def compact(context: Context, budget_tokens: int, family: str = "") -> Context:
    """Drop the oldest cells, then the oldest turns, until the prompt fits.

    Parameters
    ----------
    context
        What was gathered; the question in it is never touched.
    budget_tokens
        Tokens that the prompt may have.
    family
        The model's family, for the estimate.

    Returns
    -------
    Context
        Within the budget wherever the instructions and the question alone are; `left_out` names what went.
    """
    while estimate_prompt(lay_out(context), family) > budget_tokens:
        if context.items:
            oldest, *items = context.items
            context = context.model_copy(update={"items": tuple(items), "left_out": (*context.left_out, oldest.ref)})
        elif context.request.turns:
            turn, *turns = context.request.turns
            request = context.request.model_copy(update={"turns": tuple(turns)})
            left_out = (*context.left_out, turn_ref(turn))
            context = context.model_copy(update={"request": request, "left_out": left_out})
        else:
            break
    return context
