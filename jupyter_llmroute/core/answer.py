"""What has come of an answer: enough to say whether it ended well, was cut, and how fast it went."""

from __future__ import annotations

import time

from jupyter_llmroute.core.errors import BrokenStream, EmptyAnswer, TruncatedContext
from jupyter_llmroute.core.events import Completed, Usage
from jupyter_llmroute.core.fitting import Fitted
from jupyter_llmroute.core.prompt import least_tokens
from jupyter_llmroute.core.providers import Chunk
from jupyter_llmroute.core.route import Candidate

MOST_CHARS = 4_000_000
"""A longer answer is none: the largest windows hold a million tokens."""

CERTAIN_TOKENS = 256
"""A prompt of fewer words than this is cut by nobody; whatever is counted of it, the answer is one to all of it."""

NEARLY_FULL = 0.7
"""Of the window: who counts more than this, and far more than was estimated, may have cut the prompt."""

FAR_MORE = 1.25

EXACTLY = 0.95
"""Of an exact count, what an honest server reports at least: some leave the template's first tokens out."""


class Answer:
    """What has come of an answer, and when.

    Parameters
    ----------
    candidate
        Who was asked.
    limit
        What ends it when it takes too long, in words.
    """

    def __init__(self, candidate: Candidate, limit: str) -> None:
        self.limit = limit
        self.endpoint = candidate.endpoint
        self.model = candidate.model.id
        self.who = f"{candidate.model.id} on {candidate.endpoint.name}"
        self.began = False
        self.has_text = False
        """Whether a word has come, or anything but white space."""
        self._has_calls = False
        self._chars = 0
        self._finish_reason: str | None = None
        self._answered_by: str | None = None
        self._usage = Usage()
        self.sent_at = time.monotonic()
        self._first_at = self._last_at = self.sent_at

    @property
    def is_finished(self) -> bool:
        """Whether the server said that the answer is complete."""
        return self._finish_reason is not None

    def take(self, chunk: Chunk) -> None:
        """Note a chunk's facts and the time.

        Raises
        ------
        BrokenStream
            The answer is longer than any answer.
        """
        self._chars += len(chunk.text) + len(chunk.reasoning) + sum(len(call.arguments) for call in chunk.tool_calls)
        if self._chars > MOST_CHARS:
            raise BrokenStream(f"{self.who} sent more than {MOST_CHARS:,} characters, and no end.")
        if chunk.text or chunk.reasoning or chunk.tool_calls:
            self._last_at = time.monotonic()
            self._first_at = self._first_at if self.began else self._last_at
            self.began = True
        self.has_text = self.has_text or bool(chunk.text.strip())
        self._has_calls = self._has_calls or bool(chunk.tool_calls)
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._answered_by = chunk.answered_by or self._answered_by
        self._usage = chunk.usage or self._usage

    def completed(self, fitted: Fitted, *, may_cut: bool) -> Completed:
        """Return how the answer ended; `may_cut` is whether such a server may cut a prompt without a word.

        Raises
        ------
        BrokenStream
            No finish reason came: the server stopped in the middle.
        TruncatedContext
            The server read less than what was sent.
        EmptyAnswer
            It ended properly, and said nothing.
        """
        if self._finish_reason is None:
            raise BrokenStream(f"{self.who} stopped without saying that its answer was complete.")
        self._raise_if_cut(fitted, may_cut)
        if not (self.has_text or self._has_calls):
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

    def _raise_if_cut(self, fitted: Fitted, may_cut: bool) -> None:
        """Raise when the server counted fewer tokens than were sent, or may have cut a prompt that it counted.

        What was sent is certain where the server counted it before; otherwise it has at least as many tokens as words.
        Not the estimate: of blanks, rules and rows of signs it may be several times too high. Where it was far too low
        and the prompt nearly fills its place, the rest of it may have been cut away.
        """
        counted = self._usage.prompt_tokens
        least = least_tokens(fitted.chat.messages)
        if fitted.is_exact:
            least = max(least, int(fitted.chat.prompt_tokens * EXACTLY))
        if counted and counted < least and least >= CERTAIN_TOKENS:
            raise TruncatedContext(
                f"{self.who} read only {counted:,} tokens of a prompt of at least {least:,}: it cut the prompt without "
                f"a word, so this is no answer to all of it; send less, or serve the model with a larger window.",
                prompt_tokens=counted,
            )
        window, estimated = fitted.chat.window, fitted.chat.prompt_tokens
        if not (counted and window and may_cut) or fitted.is_exact:
            return
        if counted > NEARLY_FULL * window and counted > FAR_MORE * estimated:
            raise TruncatedContext(
                f"{self.who} read {counted:,} tokens where about {estimated:,} were estimated, and its window of "
                f"{window:,} is nearly full: it may have cut the prompt without a word; send less, or serve the model "
                f"with a larger window.",
                prompt_tokens=counted,
                context_window=window,
            )

    def _speed(self) -> float | None:
        tokens, seconds = self._usage.completion_tokens, self._last_at - self._first_at
        return (tokens - 1) / seconds if tokens and tokens > 1 and seconds > 0 else None
