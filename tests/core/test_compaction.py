"""Fitting a context into a window: the oldest cells go first, then the oldest turns, the question never."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.compaction import compact
from jupyter_llmroute.core.context import Context, ContextItem
from jupyter_llmroute.core.prompt import estimate_prompt, lay_out
from jupyter_llmroute.core.request import Request, Turn


def context_of(cells: list[int], turns: list[int], question: str = "why?") -> Context:
    """A context whose cells and answers have so many characters."""
    return Context(
        request=Request(
            question=question,
            turns=tuple(Turn(number=n, question="q", answer="a" * size) for n, size in enumerate(turns, start=50)),
        ),
        items=tuple(ContextItem(ref=f"In[{n}]", text="c" * size) for n, size in enumerate(cells, start=1)),
    )


def tokens(context: Context, family: str = "") -> int:
    return estimate_prompt(lay_out(context), family)


FULL = context_of([400, 400, 400], [400, 400])


@pytest.mark.parametrize(
    ("too_much", "left_out"),
    [
        (0, ()),
        (1, ("In[1]",)),
        (102, ("In[1]", "In[2]")),
        (250, ("In[1]", "In[2]", "In[3]")),
        (350, ("In[1]", "In[2]", "In[3]", "answer to In[50]")),
        (10_000, ("In[1]", "In[2]", "In[3]", "answer to In[50]", "answer to In[51]")),
    ],
)
def test_what_goes(too_much: int, left_out: tuple[str, ...]):
    assert compact(FULL, tokens(FULL) - too_much).left_out == left_out


def test_what_was_left_out_before_stays_named():
    before = FULL.model_copy(update={"left_out": ("In[0]",)})
    assert compact(before, tokens(FULL) - 1).left_out == ("In[0]", "In[1]")


SIZES = st.lists(st.integers(0, 300), max_size=5)
CONTEXTS = st.builds(context_of, SIZES, SIZES, st.text(max_size=60))
FAMILIES = st.sampled_from(["", "qwen", "llama"])


@given(CONTEXTS, st.integers(0, 600), FAMILIES)
@settings(deadline=None)
def test_rules(context: Context, budget: int, family: str):
    fitted = compact(context, budget, family)
    bare = context_of([], [], context.request.question)
    assert tokens(fitted, family) <= max(budget, tokens(bare, family))
    assert fitted.request.question == context.request.question
    # What stays is the newest, in its order; what goes is named, in its order.
    assert fitted.items == context.items[len(context.items) - len(fitted.items) :]
    assert fitted.request.turns == context.request.turns[len(context.request.turns) - len(fitted.request.turns) :]
    gone = len(context.items) - len(fitted.items) + len(context.request.turns) - len(fitted.request.turns)
    assert len(fitted.left_out) == gone
    assert not fitted.items or fitted.request.turns == context.request.turns, "cells go before turns"
    assert compact(fitted, budget, family) == fitted, "compacting twice is compacting once"
    if tokens(context, family) <= budget:
        assert fitted == context


@given(CONTEXTS, st.integers(0, 600))
@settings(deadline=None)
def test_nothing_goes_that_could_stay(context: Context, budget: int):
    gone = len(compact(context, budget).left_out)
    if gone:
        turns = context.request.turns[max(0, gone - 1 - len(context.items)) :]
        request = context.request.model_copy(update={"turns": turns})
        one_less = context.model_copy(update={"items": context.items[gone - 1 :], "request": request})
        assert tokens(one_less) > budget
