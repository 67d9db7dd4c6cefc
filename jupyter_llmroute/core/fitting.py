"""Making a prompt fit the window of the model that is to be asked, by the server's own count where it matters."""

from __future__ import annotations

import asyncio
import math
from collections.abc import MutableMapping
from typing import NamedTuple

import httpx

from jupyter_llmroute.core.compaction import bare_of_repeats, compact
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.errors import ContextOverflow, PeerError
from jupyter_llmroute.core.prompt import answer_reserve, estimate_prompt, estimate_tools, lay_out, most_tokens
from jupyter_llmroute.core.providers import Chat, Counted, Provider, TokenCounter, WindowChooser
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.sections import ContextSettings

COUNT_S = 10.0
"""Seconds that a server may take to count; after that the estimate must do."""

CLEARLY_FITS = 0.5
"""An estimate below this share of the budget need not be checked, where a server would refuse what does not fit."""

ROUNDS = 4
"""How often a prompt is made shorter and counted again."""


STEP = 0.85
"""The share of a budget that is used becomes smaller by this much at a time where a server counts more than is
estimated. Prompts are shortened at other places when it changes, so it changes seldom."""

Margins = MutableMapping[tuple[str, str], float]
"""By server and model: the share of a budget, in estimated tokens, that fills the whole by the server's count."""


class Fitted(NamedTuple):
    """What is to be sent, and what of the context is in it."""

    chat: Chat
    context: Context
    is_exact: bool = False
    """Whether the server counted the prompt, its template included."""


async def fit(
    candidate: Candidate,
    context: Context,
    provider: Provider,
    client: httpx.AsyncClient,
    rules: ContextSettings,
    margins: Margins | None = None,
) -> Fitted:
    """Return a chat whose prompt leaves room for the answer in the candidate's window.

    Parameters
    ----------
    candidate, provider, client
        Who is to be asked, and by what.
    context
        What was gathered.
    rules
        How it is shortened.
    margins
        What servers have counted so far; what this one counts is learnt.

    Raises
    ------
    ContextOverflow
        The question alone is too long, by the server's own count or, where a server may cut without a word, by the
        estimate.
    """
    reserve_tokens = rules.reserve_tokens
    window = _window(candidate, context, provider, rules)
    if window is None:
        return _laid_out(candidate, bare_of_repeats(context), None, reserve_tokens)
    budget = window - answer_reserve(window, reserve_tokens)
    who = (candidate.endpoint.base_url, candidate.model.id)
    share = 1.0 if margins is None else margins.get(who, 1.0)
    counter = provider if isinstance(provider, TokenCounter) else None
    for left in reversed(range(ROUNDS)):
        # By the last round the counts have shown no way: then the question goes alone.
        sent = compact(context, int(budget * share), candidate.info.family, rules) if left else context.alone()
        fitted = _laid_out(candidate, sent, window, reserve_tokens)
        counted = None
        if counter and not _surely_fits(fitted.chat, budget, provider):
            counted = await _count(fitted.chat, candidate, counter, client)
            counter = counter if counted else None  # who does not answer once is not waited for again
        tokens = counted.tokens if counted else fitted.chat.prompt_tokens
        if tokens <= budget:
            return _counted(fitted, counted, window) if counted else fitted
        if counted is None and not provider.cuts_silently:
            return fitted  # the server will say so
        if not fitted.context.refs():
            break
        # By as much shorter, in estimated tokens, as the count is too high.
        allowed, share = fitted.chat.prompt_tokens / tokens, share * STEP
        while share > allowed:
            share *= STEP
        if counted and margins is not None:
            margins[who] = share
    raise ContextOverflow(
        f"{candidate.model.id} on {candidate.endpoint.name}: the prompt has {tokens:,} tokens, and of its window of "
        f"{window:,} are {budget:,} for it; send less, or serve the model with a larger window.",
        prompt_tokens=tokens,
        context_window=window,
    )


def expected(
    candidate: Candidate, context: Context, provider: Provider, rules: ContextSettings, margins: Margins
) -> Fitted:
    """Return what `fit` would, by the estimate alone: nobody is asked."""
    window = _window(candidate, context, provider, rules)
    if window is None:
        return _laid_out(candidate, bare_of_repeats(context), None, rules.reserve_tokens)
    budget = window - answer_reserve(window, rules.reserve_tokens)
    share = margins.get((candidate.endpoint.base_url, candidate.model.id), 1.0)
    shortened = compact(context, int(budget * share), candidate.info.family, rules)
    return _laid_out(candidate, shortened, window, rules.reserve_tokens)


def _window(candidate: Candidate, context: Context, provider: Provider, rules: ContextSettings) -> int | None:
    """Return the window that the server is to give, or gives anyway."""
    model = candidate.model
    if isinstance(provider, WindowChooser):
        # The whole context if it can be had, and so much more that nothing is shortened before a larger window is asked
        # for: what was once left out, and comes back with the larger window, is read anew twice.
        family = candidate.info.family
        whole = estimate_prompt(lay_out(bare_of_repeats(context)), family) + estimate_tools(context, family)
        needed = math.ceil(whole / rules.compaction_threshold) + rules.reserve_tokens
        if chosen := provider.window_for(model, needed):
            return chosen
    return model.context_window


def _laid_out(candidate: Candidate, context: Context, window: int | None, reserve_tokens: int) -> Fitted:
    messages = lay_out(context)
    family = candidate.info.family
    tokens = estimate_prompt(messages, family) + estimate_tools(context, family)
    chat = Chat(
        model=candidate.model,
        messages=messages,
        sampling=context.request.sampling,
        format=context.request.format,
        passed=context.request.passed,
        prompt_tokens=tokens,
        window=window,
        room_tokens=max(1, window - tokens) if window else reserve_tokens,
    )
    return Fitted(chat, context)


def _counted(fitted: Fitted, counted: Counted, window: int) -> Fitted:
    room_tokens = max(1, window - counted.tokens)
    chat = fitted.chat.model_copy(update={"prompt_tokens": counted.tokens, "room_tokens": room_tokens})
    return fitted._replace(chat=chat, is_exact=counted.is_exact)


def _surely_fits(chat: Chat, budget: int, provider: Provider) -> bool:
    """Whether a prompt need not be counted."""
    is_short = not provider.cuts_silently and chat.prompt_tokens < budget * CLEARLY_FITS
    return is_short or (not chat.passed and most_tokens(chat.messages) <= budget)


async def _count(chat: Chat, candidate: Candidate, counter: TokenCounter, client: httpx.AsyncClient) -> Counted | None:
    try:
        async with asyncio.timeout(COUNT_S):
            return await counter.count(client, candidate.endpoint, chat)
    except (TimeoutError, PeerError):
        return None  # what is in the way will show when it is asked
