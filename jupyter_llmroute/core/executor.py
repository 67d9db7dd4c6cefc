"""One attempt after another, streamed.

The fallback contract: another candidate is asked only when the one before failed before its first visible token;
after that, what has come is kept and the error is the caller's, unless the request lets another start over. One
deadline and one budget of attempts hold for the whole chain, and every attempt's error is kept. Who is next is
`fallback`'s to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence

import httpx

from jupyter_llmroute.core.answer import Answer
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.errors import (
    ModelLoading,
    PeerError,
    PolicyRefusal,
    RouteFailed,
    ServerFailure,
    TimedOut,
    UserError,
)
from jupyter_llmroute.core.events import (
    Attempt,
    AttemptFailed,
    AttemptStarted,
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Waiting,
)
from jupyter_llmroute.core.fallback import Step, Tried, next_step
from jupyter_llmroute.core.fitting import Fitted, Margins, fit
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.prompt import Message, lay_out
from jupyter_llmroute.core.providers import Chat, Chunk, Provider
from jupyter_llmroute.core.route import Route
from jupyter_llmroute.core.sections import ContextSettings, Limits

LOADING_POLL_S = 1.0
"""Seconds after which a server that reads its model is asked again."""

_HALF = re.compile(r"[\ud800-\udfff]")
"""One of the two halves in which UTF-16 writes a character: a string of Python's can hold it, UTF-8 cannot."""


async def execute(
    route: Route,
    context: Context,
    providers: Mapping[str, Provider],
    client: httpx.AsyncClient,
    limits: Limits,
    rules: ContextSettings,
    deadline: float | None = None,
    margins: Margins | None = None,
    on_sending: Callable[[Chat], None] = lambda _: None,
) -> AsyncGenerator[Event, None]:
    """Ask the candidates of a route until one answers, until `deadline` of the monotonic clock.

    What servers count of their prompts is kept in `margins`. What each attempt sends is told to `on_sending` just
    before it starts.

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
        The server failed after the first visible token and nobody may start over, or refused an option that no other
        would take either; TimedOut also where the time was over before anybody was asked.
    """
    _refuse_half_characters(lay_out(context))
    deadline = time.monotonic() + limits.total_s if deadline is None else deadline
    may_start_over = context.request.may_start_over
    tried: list[Tried] = []
    while (step := next_step(route, tried, limits.attempts, has_context=bool(context.refs()))) is not None:
        if time.monotonic() + step.pause_s >= deadline:
            break
        if step.pause_s >= LOADING_POLL_S:
            yield Waiting(reason=f"waiting {step.pause_s:.0f} s to ask again", elapsed_s=0.0)
        await asyncio.sleep(step.pause_s)
        attempt = _Attempt(len(tried) + 1, step, providers[step.candidate.endpoint.provider], client, limits, deadline)
        visible = False
        try:
            async with contextlib.aclosing(attempt.events(context, rules, margins, on_sending)) as events:
                async for event in events:
                    visible = visible or isinstance(event, TextDelta | ToolCallDelta)
                    yield event
            return
        except UserError:
            raise
        except Exception as error:
            failure = _ours(error, step)
            tried.append(Tried(step, failure))
            yield AttemptFailed(attempt=_failed(len(tried), tried[-1]))
            if not failure.may_fall_back or (visible and not may_start_over):
                raise failure from (None if failure is error else error)
    if not tried and time.monotonic() >= deadline:
        raise TimedOut(f"The time for the question was over before anybody was asked ({_limit(context, limits)}).")
    attempts = tuple(_failed(number, past) for number, past in enumerate(tried, start=1))
    told = "; ".join(map(_told, attempts))
    raise RouteFailed(f"No model could answer; {len(attempts)} tried. {told}", attempts)


def _told(attempt: Attempt) -> str:
    """Return an attempt's error with who failed, where it does not begin with that itself."""
    who = f"{attempt.model} on {attempt.service}"
    return attempt.error if attempt.error.startswith(who) else f"{who}: {attempt.error}"


def _limit(context: Context, limits: Limits) -> str:
    """Return who says how long a question may take."""
    seconds = context.request.timeout_s
    return f"limits.total_s: {limits.total_s:g}" if seconds is None else f"--timeout {seconds:g}"


def _ours(error: Exception, step: Step) -> PeerError | PolicyRefusal:
    """Return the failure of an attempt; a provider is a third party's code, and may raise whatever it likes."""
    endpoint = step.candidate.endpoint
    if isinstance(error, PeerError | PolicyRefusal):
        who = f"{step.candidate.model.id} on {endpoint.name}"
        error.args = (without_key(str(error), endpoint.key, behind=who), *error.args[1:])
        return error
    return ServerFailure(f"The provider {endpoint.provider!r} failed: {without_key(repr(error), endpoint.key)}.")


def _failed(number: int, past: Tried) -> Attempt:
    candidate = past.step.candidate
    return Attempt(
        number=number,
        service=candidate.endpoint.name,
        model=candidate.model.id,
        error=str(past.error),
        level=past.step.level,
        failure=type(past.error).__name__,
    )


def _refuse_half_characters(messages: Sequence[Message]) -> None:
    for message in messages:
        if found := _HALF.search(message.content):
            around = message.content[max(0, found.start() - 20) : found.end() + 20]
            raise UserError(
                f"The prompt holds half a character, {found[0]!r}, which no server can be sent; it is in {around!r}: "
                f"take it out of the question, or out of the cell that goes along with it."
            )


class _Attempt:
    """One model asked once, or for as long as it says that it is loading."""

    def __init__(
        self,
        number: int,
        step: Step,
        provider: Provider,
        client: httpx.AsyncClient,
        limits: Limits,
        deadline: float,
    ) -> None:
        self._number = number
        self._step = step
        self._provider = provider
        self._client = client
        self._limits = limits
        self._deadline = deadline

    async def events(
        self,
        context: Context,
        rules: ContextSettings,
        margins: Margins | None,
        on_sending: Callable[[Chat], None],
    ) -> AsyncGenerator[Event, None]:
        """Ask, and give what happens."""
        candidate = self._step.candidate
        sent = context.alone() if self._step.is_reduced else context
        fitted = await self._fitted(sent, rules, margins)
        served, wanted = candidate.model.context_window, fitted.chat.window
        must_grow = bool(served and wanted and wanted > served)  # then it is loaded again
        on_sending(fitted.chat)
        yield AttemptStarted(
            number=self._number,
            service=candidate.endpoint.name,
            model=candidate.model.id,
            reasons=candidate.reasons,
            prompt_tokens=fitted.chat.prompt_tokens,
            prompt_tokens_exact=fitted.is_exact,
            level=self._step.level,
            context_window=fitted.chat.window,
            is_cold=candidate.model.loaded is False or must_grow,
            context=fitted.context.refs(),
            left_out=fitted.context.left_out,
        )
        answer = Answer(candidate, _limit(context, self._limits))
        while True:
            try:
                async with contextlib.aclosing(self._deltas(fitted, answer)) as deltas:
                    async for delta in deltas:
                        yield delta
                yield answer.completed(fitted, may_cut=self._provider.cuts_silently)
                return
            except ModelLoading:
                waited_s = time.monotonic() - answer.sent_at
                ends = min(answer.sent_at + self._limits.first_token_s, self._deadline)
                if answer.began or time.monotonic() + LOADING_POLL_S >= ends:
                    raise
                # It is alive: another one would not be sooner, and this one is what was wanted.
                yield Waiting(reason="loading", elapsed_s=waited_s)
                await asyncio.sleep(LOADING_POLL_S)

    async def _fitted(self, context: Context, rules: ContextSettings, margins: Margins | None) -> Fitted:
        """Make the prompt fit, within the time for the question: servers are asked to count."""
        try:
            async with asyncio.timeout(max(0.0, self._deadline - time.monotonic())):
                return await fit(self._step.candidate, context, self._provider, self._client, rules, margins)
        except TimeoutError as error:
            raise TimedOut(
                f"{self._step.candidate.endpoint.name} took longer to count the prompt than a question may "
                f"({_limit(context, self._limits)})."
            ) from error

    async def _deltas(self, fitted: Fitted, answer: Answer) -> AsyncGenerator[Event, None]:
        endpoint = self._step.candidate.endpoint
        takes_calls = bool(fitted.chat.passed.get("tools"))
        blank = ""  # white space is shown with the first word: without one, another model may still be asked
        async with contextlib.aclosing(self._provider.chat(self._client, endpoint, fitted.chat)) as chunks:
            while (chunk := await self._next(chunks, answer)) is not None:
                if chunk.tool_calls and not takes_calls:
                    chunk = chunk.model_copy(update={"tool_calls": ()})
                answer.take(chunk)
                if chunk.reasoning:
                    yield ReasoningDelta(text=chunk.reasoning)
                if chunk.text and not answer.has_text:
                    blank += chunk.text
                elif chunk.text:
                    yield TextDelta(text=blank + chunk.text)
                    blank = ""
                if chunk.tool_calls:
                    yield ToolCallDelta(calls=chunk.tool_calls)

    async def _next(self, chunks: AsyncIterator[Chunk], answer: Answer) -> Chunk | None:
        """Wait for the next chunk within the limit of this phase; `None` at the end of the stream."""
        now, limits = time.monotonic(), self._limits
        # Chunks without a token, such as the one that only says "assistant", do not put off the first.
        ends = now + answer.endpoint.stall_s if answer.began else answer.sent_at + limits.first_token_s
        try:
            async with asyncio.timeout(max(0.0, min(ends, self._deadline) - now)):
                return await anext(chunks, None)
        except TimeoutError as error:
            if answer.is_finished:
                return None  # it is complete, and only the connection was left open
            if self._deadline <= ends:
                raise TimedOut(f"{answer.who} took longer than a question may ({answer.limit}).") from error
            if answer.began:
                silent_s = answer.endpoint.stall_s
                raise TimedOut(f"{answer.who} was silent for {silent_s:g} s in the middle of its answer.") from error
            raise TimedOut(
                f"{answer.who} gave no token in {limits.first_token_s:g} s (limits.first_token_s)."
            ) from error
