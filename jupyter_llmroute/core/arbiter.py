"""The arbiter: where two tasks are nearly as likely, the smallest model in memory is asked which of them it is.

Off by default, and never asked about what is clear. It is asked for one letter, within a fixed time; what it says moves
the probabilities of the two tasks by no more than it is worth, and the evidence says that it was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import httpx

from jupyter_llmroute.core.audit.folder import AuditError
from jupyter_llmroute.core.classifier import TASKS, Classification
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.prompt import Message, estimate_prompt
from jupyter_llmroute.core.providers import Chat, Provider
from jupyter_llmroute.core.request import Request, Sampling
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.sections import ClassifierSettings
from jupyter_llmroute.core.selector import Wish, in_memory
from jupyter_llmroute.core.snapshot import Snapshot
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.tokens import DENSEST

LETTERS = dict(zip(TASKS, "ABCD", strict=True))
"""One token in every vocabulary."""

MEANINGS = {
    Task.CODING: "write or change code",
    Task.REASONING: "answer a question, compare, plan or advise",
    Task.ANALYSIS: "find out what is wrong with existing code, or review it",
    Task.DOCUMENTATION: "explain or describe existing code, or write its docs",
}

INSTRUCTIONS = "\n".join(
    (
        "You sort requests that people send to a coding assistant. Answer with one letter.",
        *(f"{letter}: the person wants the assistant to {MEANINGS[task]}." for task, letter in LETTERS.items()),
    )
)
"""The same bytes in every prompt, so that a server has read them already."""

HEAD_CHARS, TAIL_CHARS = 200, 100
"""Of a longer question, what is shown: a token takes its time."""

WORTH = 0.6
"""How often the word of a model is taken to be right; not measured."""

LEAST_PARAMETERS = 1_000_000_000
"""Smaller models are not asked: SmolLM2-135M is right as often as a coin, by `tests/bench/arbiter.py`."""

LEAST_SHARE = 0.01
"""A first token that is an option with less probability than this says nothing of the options."""

MOST_CHARS = 100
"""Of an answer that should be one letter, what is listened to."""

TOLD_CHARS = 80
"""Of the name of a model and its server, and of why it was asked in vain, what is told."""


Heard = Callable[[str], None]
"""Takes what comes of an answer, piece by piece."""

Noted = Callable[[Candidate, Chat], AbstractAsyncContextManager[Heard]]
"""What holds around the asking: entered before anything is sent, left when it is over, however that was."""


def unnoted(asked: Candidate, chat: Chat) -> AbstractAsyncContextManager[Heard]:
    """Write nothing down."""
    return contextlib.nullcontext(lambda _: None)


async def arbitrate(
    request: Request,
    what: Classification,
    snapshot: Snapshot,
    policy: Policy,
    history: History,
    *,
    settings: ClassifierSettings,
    providers: Mapping[str, Provider],
    client: httpx.AsyncClient,
    noted: Noted = unnoted,
) -> Classification:
    """Return what a request asks for once the arbiter was asked; as it was where there is nobody to ask.

    Nobody is asked about what is clear, or where the user named the task or the model. Whatever goes wrong, the
    classification stays, and its evidence says that the arbiter was asked in vain.

    Raises
    ------
    AuditError
        `noted` cannot write it down.
    """
    if what.rival is None or request.task or request.model:
        return what
    pair = closest(what)
    chat = question(request.question, pair)
    wish = Wish(needed_tokens=chat.prompt_tokens, prompt_tokens=chat.prompt_tokens, service=request.service)
    found = in_memory(what, wish, snapshot, policy, history)
    asked = next((one for one in found if worth(one, settings) > 0.5), None)
    if asked is None:
        return what
    who = f"{asked.model.id} on {asked.endpoint.name}"
    chat = chat.model_copy(update={"model": asked.model})
    try:
        async with noted(asked, chat) as heard, asyncio.timeout(settings.arbiter_limit_s):
            share = await answer(asked, chat, providers[asked.endpoint.provider], client, heard)
    except AuditError:
        raise
    except TimeoutError:
        return _in_vain(what, who, f"no answer in {settings.arbiter_limit_s * 1000:.0f} ms")
    except LLMRouteError as error:
        return _in_vain(what, who, str(error).removeprefix(f"{who}: ").removeprefix(f"{who} "))
    except Exception as error:  # a provider is a third party's code, and may raise whatever it likes
        return _in_vain(what, who, without_key(repr(error), asked.endpoint.key))
    if share is None:
        return _in_vain(what, who, "it named neither task")
    return settled(what, pair, share, worth(asked, settings), who)


def closest(what: Classification) -> tuple[Task, Task]:
    """Return the most probable task and the next, in the order of all tasks."""
    rival = what.rival or max((task for task in TASKS if task is not what.task), key=what.scores.__getitem__)
    first, second = sorted((what.task, rival), key=TASKS.index)
    return first, second


def question(text: str, pair: tuple[Task, Task]) -> Chat:
    """Return what is asked about a text; the model is still to be named."""
    shown = text if len(text) <= HEAD_CHARS + TAIL_CHARS else f"{text[:HEAD_CHARS]} … {text[-TAIL_CHARS:]}"
    first, second = (LETTERS[task] for task in pair)
    # half a character, which a string of Python's can hold, cannot be sent
    shown = shown.encode("utf-8", "replace").decode()
    asked = f"Request:\n{shown}\n\nWhich letter fits the request, {first} or {second}?"
    messages = (Message(role="system", content=INSTRUCTIONS), Message(role="user", content=asked))
    return Chat(
        model=ServedModel(id=""),
        messages=messages,
        sampling=Sampling(temperature=0, max_tokens=1),
        prompt_tokens=estimate_prompt(messages, DENSEST),
        options=(first, second),
    )


def worth(candidate: Candidate, settings: ClassifierSettings) -> float:
    """Return how often a model's word is taken to be right; 0.5 is what a coin is worth."""
    if settings.arbiter_worth is not None:
        return settings.arbiter_worth
    parameters = candidate.model.parameters or candidate.info.parameters
    return WORTH if parameters is None or parameters >= LEAST_PARAMETERS else 0.5


async def answer(
    asked: Candidate, chat: Chat, provider: Provider, client: httpx.AsyncClient, heard: Heard = lambda _: None
) -> float | None:
    """Ask, and return the share of the first option; `None` where the answer is none of them.

    Raises
    ------
    LLMRouteError
        The server failed, or the policy forbids it.
    """
    said, chars = "", 0
    # Whoever has said its letter is left: closing the answer ends the server's work.
    async with contextlib.aclosing(provider.chat(client, asked.endpoint, chat)) as chunks:
        async for chunk in chunks:
            heard(chunk.text)
            if chunk.likely and (share := share_of_first(chunk.likely, chat.options)) is not None:
                return share
            said, chars = said + chunk.text, chars + len(chunk.text) + len(chunk.reasoning)
            if (word := _bare(said)) in chat.options:
                return float(word == chat.options[0])
            if chars > MOST_CHARS:
                return None
    return None


def share_of_first(likely: Mapping[str, float], options: tuple[str, ...]) -> float | None:
    """Return the first option's share of the probability of both; `None` where both have next to none.

    Of an option that is not among the likeliest tokens no more is known than that it is less likely than all of them,
    and has no more than what they leave.

    Examples
    --------
    >>> round(share_of_first({"A": -0.7, " A": -3.0, "B": -1.6, "The": -2.0}, ("A", "B")), 2)
    0.73
    """
    chances = dict.fromkeys(options, 0.0)
    for token, logarithm in likely.items():
        if (word := _bare(token)) in chances:
            chances[word] += math.exp(logarithm)
    if sum(chances.values()) < LEAST_SHARE:
        return None
    shares = [math.exp(logarithm) for logarithm in likely.values()]
    unseen = max(0.0, min(*shares, 1 - sum(shares), 1))
    first, second = (chances[option] or unseen for option in options)
    return first / (first + second)


def _bare(token: str) -> str:
    """Return a token without the blanks, quotes and stops around it."""
    return token.strip(" \t\r\n\"'`*().:\u2581\u0120")


def settled(what: Classification, pair: tuple[Task, Task], share: float, worth: float, who: str) -> Classification:
    """Return a classification that the arbiter's word has moved, by no more than it is worth.

    Parameters
    ----------
    what
        What was found without it.
    pair
        The tasks that it was asked about; their probabilities are divided anew, the others stay.
    share
        The probability, as it sees it, of the first of them.
    worth
        How often it is right, from 0.5 to 1: the most that the odds are moved by.
    who
        Whom to name.

    Examples
    --------
    An arbiter that is right in 6 of 10 cases turns odds of 1 to 1 into odds of 6 to 4, however sure it is.

    >>> scores = {Task.CODING: 0.4, Task.REASONING: 0.2, Task.ANALYSIS: 0.4, Task.DOCUMENTATION: 0.0}
    >>> what = Classification(
    ...     task=Task.CODING, confidence=0.4, scores=scores, evidence=("a guess",), needs_symbols=False
    ... )
    >>> moved = settled(what, (Task.CODING, Task.ANALYSIS), 0.001, 0.6, "a model")
    >>> moved.task, round(moved.confidence, 2), moved.evidence
    (<Task.ANALYSIS: 'analysis'>, 0.48, ('asked a model: rather analysis than coding', 'coding by its words: a guess'))
    """
    first, second = pair
    most = _odds(worth)
    odds = _odds(what.scores[first] / (what.scores[first] + what.scores[second])) + max(-most, min(most, _odds(share)))
    both, divided = what.scores[first] + what.scores[second], 1 / (1 + math.exp(-odds))
    scores = {**what.scores, first: both * divided, second: both * (1 - divided)}
    task = max(TASKS, key=scores.__getitem__)
    more, less = pair if share >= 0.5 else (second, first)
    kept = what.evidence if task is what.task else (f"{what.task} by its words: {what.evidence[0]}",)
    return what.model_copy(
        update={
            "task": task,
            "confidence": scores[task],
            "scores": scores,
            "evidence": (f"asked {_told(who)}: rather {more} than {less}", *kept),
        }
    )


def _odds(share: float) -> float:
    """Return the logarithm of the odds of a share; of a certainty, those of a near one."""
    share = min(max(share, 1e-6), 1 - 1e-6)
    return math.log(share / (1 - share))


def _in_vain(what: Classification, who: str, why: str) -> Classification:
    return what.model_copy(update={"evidence": (f"asked {_told(who)} in vain: {_told(why)}", *what.evidence)})


def _told(words: str) -> str:
    """Return as much of a server's or a provider's words as is told."""
    told = words.encode("utf-8", "replace").decode()
    return told if len(told) <= TOLD_CHARS else f"{told[: TOLD_CHARS - 1]}…"
