"""One attempt after another, streamed.

The fallback contract: the next candidate is asked only when the one before failed before its first visible token;
after that, what has come is kept and the error is the caller's. One deadline and one budget of attempts hold for
the whole chain, and every attempt's error is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence

import httpx

from jupyter_llmroute.core.compaction import compact
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.errors import (
    BrokenStream,
    ContextOverflow,
    EmptyAnswer,
    PeerError,
    PolicyRefusal,
    RouteFailed,
    TimedOut,
    UserError,
)
from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Completed,
    Event,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from jupyter_llmroute.core.prompt import Message, estimate_prompt, lay_out
from jupyter_llmroute.core.providers import Chat, Chunk, Provider
from jupyter_llmroute.core.selector import Candidate, Route, answer_reserve
from jupyter_llmroute.core.settings import Limits

_HALF = re.compile(r"[\ud800-\udfff]")
"""One of the two halves in which UTF-16 writes a character: a string of Python's can hold it, UTF-8 cannot."""


async def execute(
    route: Route,
    context: Context,
    providers: Mapping[str, Provider],
    client: httpx.AsyncClient,
    limits: Limits,
    reserve_tokens: int,
) -> AsyncGenerator[Event, None]:
    """Ask the candidates of a route until one answers.

    Yields
    ------
    Event
        From AttemptStarted to Completed.

    Raises
    ------
    RouteFailed
        No candidate answered; `attempts` says what each of them did.
    UserError
        The prompt holds what cannot be sent as text.
    PeerError
        The server failed after the first visible token, or refused an option that no other would take either.
    """
    _refuse_half_characters(lay_out(context))
    deadline = time.monotonic() + limits.total_s
    attempts: list[Attempt] = []
    too_small = 0
    for candidate in route.candidates:
        if len(attempts) == limits.attempts or time.monotonic() >= deadline:
            break
        if too_small and (candidate.model.context_window or too_small + 1) <= too_small:
            continue  # this prompt overflowed a window at least as large
        visible = False
        try:
            async with contextlib.aclosing(
                _attempt(len(attempts) + 1, candidate, context, providers, client, limits, reserve_tokens, deadline)
            ) as events:
                async for event in events:
                    visible = visible or isinstance(event, TextDelta)
                    yield event
            return
        except (PeerError, PolicyRefusal) as error:
            attempts.append(_failed(len(attempts) + 1, candidate, error))
            yield AttemptFailed(attempt=attempts[-1])
            if visible or not error.may_fall_back:
                raise
            if isinstance(error, ContextOverflow):
                too_small = max(too_small, error.context_window or candidate.model.context_window or 0)
    tried = "; ".join(f"{attempt.model} on {attempt.service}: {attempt.error}" for attempt in attempts)
    raise RouteFailed(f"No model could answer; {len(attempts)} tried. {tried}", tuple(attempts))


async def _attempt(
    number: int,
    candidate: Candidate,
    context: Context,
    providers: Mapping[str, Provider],
    client: httpx.AsyncClient,
    limits: Limits,
    reserve_tokens: int,
    deadline: float,
) -> AsyncGenerator[Event, None]:
    chat, fitted = _fit(candidate, context, reserve_tokens)
    yield AttemptStarted(
        number=number,
        service=candidate.endpoint.name,
        model=candidate.model.id,
        reasons=candidate.reasons,
        prompt_tokens=chat.prompt_tokens,
        context=fitted.refs(),
        left_out=fitted.left_out,
    )
    answer = _Answer(candidate)
    provider = providers[candidate.endpoint.provider]
    async with contextlib.aclosing(provider.chat(client, candidate.endpoint, chat)) as chunks:
        while (chunk := await _next(chunks, answer, limits, deadline)) is not None:
            answer.take(chunk)
            if chunk.reasoning:
                yield ReasoningDelta(text=chunk.reasoning)
            if chunk.text:
                yield TextDelta(text=chunk.text)
    yield answer.completed()


def _fit(candidate: Candidate, context: Context, reserve_tokens: int) -> tuple[Chat, Context]:
    family, window = candidate.info.family, candidate.model.context_window
    fitted = context
    if window:
        fitted = compact(context, window - answer_reserve(candidate.model, reserve_tokens), family)
    messages = lay_out(fitted)
    chat = Chat(
        model=candidate.model,
        messages=messages,
        sampling=context.request.sampling,
        prompt_tokens=estimate_prompt(messages, family),
    )
    return chat, fitted


def _refuse_half_characters(messages: Sequence[Message]) -> None:
    for message in messages:
        if found := _HALF.search(message.content):
            around = message.content[max(0, found.start() - 20) : found.end() + 20]
            raise UserError(
                f"The prompt holds half a character, {found[0]!r}, which no server can be sent; it is in {around!r}: "
                f"take it out of the question, or out of the cell that goes along with it."
            )


async def _next(chunks: AsyncIterator[Chunk], answer: _Answer, limits: Limits, deadline: float) -> Chunk | None:
    """Wait for the next chunk within the limit of this phase; `None` at the end of the stream."""
    now = time.monotonic()
    # Chunks without a token, such as the one that only says "assistant", do not put off the first.
    ends = now + answer.endpoint.stall_s if answer.began else answer.sent_at + limits.first_token_s
    try:
        async with asyncio.timeout(max(0.0, min(ends, deadline) - now)):
            return await anext(chunks, None)
    except TimeoutError as error:
        if deadline <= ends:
            raise TimedOut(
                f"{answer.who} took longer than a question may (limits.total_s: {limits.total_s:g})."
            ) from error
        if answer.began:
            silent_s = answer.endpoint.stall_s
            raise TimedOut(f"{answer.who} was silent for {silent_s:g} s in the middle of its answer.") from error
        raise TimedOut(f"{answer.who} gave no token in {limits.first_token_s:g} s (limits.first_token_s).") from error


def _failed(number: int, candidate: Candidate, error: PeerError | PolicyRefusal) -> Attempt:
    return Attempt(number=number, service=candidate.endpoint.name, model=candidate.model.id, error=str(error))


class _Answer:
    """What has come of an answer, and when: enough to say how it ended and how fast it went."""

    def __init__(self, candidate: Candidate) -> None:
        self.endpoint = candidate.endpoint
        self.model = candidate.model.id
        self.who = f"{candidate.model.id} on {candidate.endpoint.name}"
        self.began = False
        self._has_text = False
        self._finish_reason: str | None = None
        self._answered_by: str | None = None
        self._usage = Usage()
        self.sent_at = time.monotonic()
        self._first_at = self._last_at = self.sent_at

    def take(self, chunk: Chunk) -> None:
        """Note a chunk's facts and the time."""
        if chunk.text or chunk.reasoning:
            self._last_at = time.monotonic()
            self._first_at = self._first_at if self.began else self._last_at
            self.began = True
        self._has_text = self._has_text or bool(chunk.text)
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._answered_by = chunk.answered_by or self._answered_by
        self._usage = chunk.usage or self._usage

    def completed(self) -> Completed:
        """Return how the answer ended.

        Raises
        ------
        BrokenStream
            No finish reason came: the server stopped in the middle.
        EmptyAnswer
            It ended properly, and said nothing.
        """
        if self._finish_reason is None:
            raise BrokenStream(f"{self.who} stopped without saying that its answer was complete.")
        if not self._has_text:
            raise EmptyAnswer(
                f"{self.who} ended without a word (finish reason {self._finish_reason!r}): "
                + ("its thoughts used up the tokens." if self.began else "ask again, or ask another model.")
            )
        return Completed(
            service=self.endpoint.name,
            model=self.model,
            answered_by=self._answered_by,
            finish_reason=self._finish_reason,
            usage=self._usage,
            time_to_first_token_s=self._first_at - self.sent_at,
            elapsed_s=self._last_at - self.sent_at,
            tokens_per_second=self._speed(),
        )

    def _speed(self) -> float | None:
        tokens, seconds = self._usage.completion_tokens, self._last_at - self._first_at
        return (tokens - 1) / seconds if tokens and tokens > 1 and seconds > 0 else None
