"""Making a prompt fit a model's window: which window, who counts, how often, and what is left out."""

import asyncio
import contextlib
import math
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.catalog import guess
from jupyter_llmroute.core.compaction import EARLIER
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import ContextOverflow, ServerFailure, Unreachable
from jupyter_llmroute.core.fitting import CLEARLY_FITS, ROUNDS, Fitted, fit
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import estimate_prompt, lay_out
from jupyter_llmroute.core.providers import Chat, Counted
from jupyter_llmroute.core.request import Request, Turn
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.sections import ContextSettings

pytestmark = pytest.mark.anyio

RESERVE = 1024


@pytest.fixture
def anyio_backend():
    return "asyncio"


class Plain:
    """A provider whose servers neither count nor choose."""

    name = "plain"
    default_urls = named_urls = marks = ()

    def __init__(self, *, cuts_silently: bool = False) -> None:
        self.cuts_silently = cuts_silently

    async def recognise(self, probe):
        return False

    async def models(self, probe, endpoint):
        return ()

    async def chat(self, client, endpoint, chat):
        raise AssertionError("nobody is asked")
        yield


class Counts(Plain):
    """One whose servers count a prompt: as many tokens as `counted` says."""

    def __init__(
        self, counted: Callable[[Chat], int | None], *, cuts_silently: bool = True, is_exact: bool = True
    ) -> None:
        super().__init__(cuts_silently=cuts_silently)
        self.counted = counted
        self.is_exact = is_exact
        self.asked: list[Chat] = []

    async def count(self, client, endpoint, chat) -> Counted | None:
        self.asked.append(chat)
        tokens = self.counted(chat)
        return None if tokens is None else Counted(tokens, is_exact=self.is_exact)


class Chooses(Plain):
    """One whose servers are told the window."""

    def __init__(self, chosen: int | None) -> None:
        super().__init__(cuts_silently=True)
        self.chosen = chosen
        self.asked: list[tuple[str, int]] = []

    def window_for(self, model, needed_tokens) -> int | None:
        self.asked.append((model.id, needed_tokens))
        return self.chosen


def characters(chat: Chat) -> int:
    return sum(len(message.content) for message in chat.messages)


def context(question: str = "why?", *, cells: int = 0, cell: str = "x" * 1000, turns: int = 0) -> Context:
    items = tuple(ContextItem(ref=f"In[{number}]", text=cell) for number in range(cells))
    told = tuple(Turn(number=90 + number, question="w" * 200, answer="a" * 200) for number in range(turns))
    return Context(request=Request(question=question, turns=told), items=items)


async def fitted(provider: Plain, given: Context, *, window: int | None = 4096, reserve: int = RESERVE) -> Fitted:
    model = ServedModel(id="m", context_window=window)
    endpoint = Endpoint(name="desk", provider="plain", base_url="http://127.0.0.1:1")
    candidate = Candidate(endpoint=endpoint, model=model, info=guess(model), score=1, reasons=())
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return await fit(candidate, given, provider, client, ContextSettings(reserve_tokens=reserve))


def estimate(given: Context) -> int:
    return estimate_prompt(lay_out(given))


# --- which window ---


async def test_where_nobody_knows_the_window_all_is_sent():
    given = context(cells=40)
    found = await fitted(Counts(characters, cuts_silently=False), given, window=None)
    assert (found.context, found.is_exact) == (given, False)
    assert (found.chat.window, found.chat.room_tokens) == (None, RESERVE)
    assert found.chat.prompt_tokens == estimate(given)


async def test_who_can_be_told_the_window_is_asked_for_one_that_holds_all_and_the_answer():
    provider, given = Chooses(16384), context(cells=20)
    found = await fitted(provider, given)
    # Nothing is shortened before a larger window is asked for.
    assert provider.asked == [("m", math.ceil(estimate(given) / 0.8) + RESERVE)]
    assert found.context == given
    assert (found.chat.window, found.chat.room_tokens) == (16384, 16384 - estimate(given))


async def test_who_cannot_be_given_all_is_given_what_fits_the_window_that_is_chosen():
    given = context(cells=20)
    found = await fitted(Chooses(2048), given, window=131072)
    assert found.chat.window == 2048
    assert found.chat.prompt_tokens <= 2048 - RESERVE
    assert 0 < len(found.context.items) < 20


async def test_where_none_is_chosen_the_one_that_is_served_counts():
    found = await fitted(Chooses(None), context(cells=20))
    assert found.chat.window == 4096
    assert found.chat.prompt_tokens <= 4096 - RESERVE


# --- who counts ---

BUDGET = 4096 - RESERVE
CELL = "word " * 200

COUNTED = {
    # name: (whether it may cut silently, cells of 254 estimated tokens each, whether it is asked to count)
    "short, where it may cut": (True, 0, False),
    "middling, where it may cut": (True, 4, True),
    "long, where it may cut": (True, 11, True),
    "short, where it refuses": (False, 0, False),
    "middling, where it refuses: clearly fits": (False, 5, False),
    "long, where it refuses": (False, 8, True),
}


@pytest.mark.parametrize(("cuts_silently", "cells", "is_asked"), COUNTED.values(), ids=COUNTED)
async def test_the_server_counts_where_it_matters(cuts_silently: bool, cells: int, is_asked: bool):
    provider = Counts(lambda chat: 1000, cuts_silently=cuts_silently)
    given = context(cells=cells, cell=CELL)
    assert (estimate(given) < BUDGET * CLEARLY_FITS) is (cells <= 5)
    found = await fitted(provider, given)
    assert bool(provider.asked) is found.is_exact is is_asked
    tokens = 1000 if is_asked else estimate(given)
    assert (found.chat.prompt_tokens, found.chat.room_tokens) == (tokens, 4096 - tokens)


async def test_a_count_without_the_template_is_used_and_is_not_exact():
    found = await fitted(Counts(lambda chat: 1000, is_exact=False), context(cells=8))
    assert (found.chat.prompt_tokens, found.chat.room_tokens, found.is_exact) == (1000, 3096, False)


def raises(error: Exception) -> Callable[[Chat], int | None]:
    def counted(chat: Chat) -> int | None:
        raise error

    return counted


@pytest.mark.parametrize(
    "counted",
    [lambda chat: None, raises(Unreachable("gone")), raises(ServerFailure("no")), raises(TimeoutError())],
    ids=["it will not", "unreachable", "it fails", "it takes too long"],
)
async def test_where_it_does_not_count_the_estimate_must_do(counted: Callable[[Chat], int | None]):
    provider, given = Counts(counted), context(cells=8)
    found = await fitted(provider, given)
    assert len(provider.asked) == 1
    assert (found.is_exact, found.chat.prompt_tokens) == (False, estimate(given))


async def test_where_it_would_refuse_and_does_not_count_it_is_sent_and_says_so_itself():
    question = "word " * 5000
    found = await fitted(Plain(), context(question, cells=3))
    assert found.context.refs() == ()
    assert found.chat.messages[-1].content == question
    assert (found.chat.prompt_tokens > 4096, found.chat.room_tokens) == (True, 1)


@pytest.mark.parametrize("provider", [Plain(cuts_silently=True), Counts(lambda chat: None)])
async def test_where_it_would_cut_and_does_not_count_it_is_not_sent(provider: Plain):
    with pytest.raises(ContextOverflow, match=r"^m on desk: the prompt has 6,\d{3} tokens, and of its window of 4,096"):
        await fitted(provider, context("word " * 5000, cells=3))


# --- how often ---


async def test_a_count_that_is_too_high_makes_the_prompt_shorter_by_as_much():
    provider = Counts(characters)
    found = await fitted(provider, context(cells=8))
    assert characters(found.chat) <= BUDGET
    assert len(found.context.items) == 2, "as many as fit"
    assert len(provider.asked) == 1, "what has fewer characters than the budget has tokens fits for certain"


async def test_a_server_that_counts_whatever_it_likes_is_asked_a_few_times():
    provider = Counts(lambda chat: 10**9)
    with pytest.raises(ContextOverflow) as caught:
        await fitted(provider, context("x" * 4000, cells=500, cell="x"))
    assert 1 < len(provider.asked) <= ROUNDS
    assert (caught.value.prompt_tokens, caught.value.context_window) == (10**9, 4096)


async def test_a_question_alone_that_is_too_long_is_counted_once():
    provider = Counts(lambda chat: BUDGET + 1)
    with pytest.raises(ContextOverflow):
        await fitted(provider, context("x" * 4000))
    assert len(provider.asked) == 1


@pytest.mark.parametrize("count", [BUDGET - 1, BUDGET, BUDGET + 1])
async def test_the_last_token_of_the_budget_may_be_used(count: int):
    provider = Counts(lambda chat: count)
    try:
        found = await fitted(provider, context("x" * 4000))
    except ContextOverflow:
        assert count > BUDGET
    else:
        assert (found.chat.prompt_tokens, found.chat.room_tokens) == (count, 4096 - count)
        assert count <= BUDGET


@given(
    st.integers(512, 20_000),
    st.integers(1, 4000),
    st.integers(0, 12),
    st.integers(0, 3),
    st.integers(0, 3000),
    st.floats(0.2, 4),
)
def test_what_is_returned_fits_by_the_servers_count_and_all_else_is_named(
    window: int, reserve: int, cells: int, turns: int, length: int, share: float
):
    given = context("x" * length + "!", cells=cells, turns=turns)
    budget = window - min(reserve, window // 2)

    def counted(chat: Chat) -> int:
        return round(estimate_prompt(chat.messages) * share)

    found = None
    with contextlib.suppress(ContextOverflow):
        found = asyncio.run(fitted(Counts(counted), given, window=window, reserve=reserve))
    if found is None:
        assert round(estimate(given.alone()) * share) > budget, "not even the question alone"
        return
    tokens = found.chat.prompt_tokens
    assert tokens == counted(found.chat) if found.is_exact else tokens == estimate(found.context)
    assert max(tokens, counted(found.chat)) <= budget
    assert found.chat.room_tokens == window - tokens
    assert found.chat.messages == lay_out(found.context)
    assert found.chat.messages[-1].content.endswith(given.request.question)
    assert {*found.context.left_out, *found.context.refs()} - {EARLIER} == {*given.refs()}
