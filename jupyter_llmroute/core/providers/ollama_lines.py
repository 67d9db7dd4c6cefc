"""The lines of an answer of Ollama's, read. Bytes in, chunks out, no I/O.

Facts: server/routes.go and api/types.go of ollama/ollama.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from jupyter_llmroute.core.errors import BrokenStream, PolicyRefusal
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.message import ToolCall, told_calls
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.providers import Chunk
from jupyter_llmroute.core.providers.choosing import likely
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.thinking import ThinkSplitter
from jupyter_llmroute.core.values import Answered

NO_ANSWER = ("load", "unload")
"""Reasons of `done` that say only what became of the model."""


class _Message(Answered):
    content: str | None = None
    thinking: str | None = None
    tool_calls: Any = None
    """Each of them whole, in one line or in several."""


class _Line(Answered):
    model: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None
    logprobs: Any = None
    """A list with an entry for each token, where they were asked for."""
    remote_host: str | None = None
    remote_model: str | None = None


class LineReader:
    """Reads one answer.

    Parameters
    ----------
    who
        The server and model, for messages.
    may_be_remote
        Whether another machine may have answered.
    counts_whole
        Whether the server's count of the prompt holds what it had in its cache.
    key
        The server's own, which no message must hold.
    """

    def __init__(self, who: str, *, may_be_remote: bool, counts_whole: bool, key: str | None = None) -> None:
        self._who = who
        self._key = key
        self._may_be_remote = may_be_remote
        self._counts_whole = counts_whole
        self._splitter = ThinkSplitter()
        self._calls = 0
        self.is_done = False
        """Whether the server has said that nothing follows."""

    def read(self, raw: bytes) -> Chunk:
        """Read the next line; what follows the last one says nothing.

        Raises
        ------
        PeerError
            The line reports a failure.
        BrokenStream
            It is no line of Ollama's.
        PolicyRefusal
            Another machine answers.
        """
        if self.is_done:
            return Chunk()
        try:
            line = _Line.model_validate_json(raw)
        except ValidationError as error:
            said = without_key(raw.decode("utf-8", "surrogateescape"), self._key).encode("utf-8", "surrogateescape")
            raise BrokenStream(f"{self._who} sent what is not a line of Ollama's: {said[:200]!r}.") from error
        if line.error:
            raise failure(self._who, 200, raw, key=self._key)
        if (elsewhere := line.remote_host or line.remote_model) and not self._may_be_remote:
            named = without_key(elsewhere, self._key)
            raise PolicyRefusal(
                f"{self._who} is answered from another machine, {named!r}: your text has been sent there already, "
                f"for this model bears no sign of it. Remove it there, or forbid such models with OLLAMA_NO_CLOUD=1; "
                f"if that machine may see your text, set models_are_local for this server."
            )
        self.is_done = line.done
        message = line.message or _Message()
        parts = self._splitter.feed(message.content or "", message.thinking or "")
        return Chunk(
            text=parts.text,
            reasoning=parts.reasoning,
            tool_calls=self._numbered(told_calls(message.tool_calls)),
            finish_reason=_reason(line),
            answered_by=line.model,
            usage=self._usage(line) if line.done else None,
            likely=likely(line.logprobs) if line.logprobs else None,
        )

    def _numbered(self, calls: tuple[ToolCall, ...]) -> tuple[ToolCall, ...]:
        """Return calls with their numbers in the whole answer."""
        first, self._calls = self._calls, self._calls + len(calls)
        return tuple(call.model_copy(update={"index": first + at}) for at, call in enumerate(calls))

    def close(self) -> Chunk | None:
        """End the answer; return what was held back of it, if anything was."""
        held = self._splitter.close()
        return Chunk(text=held.text, reasoning=held.reasoning) if any(held) else None

    def _usage(self, line: _Line) -> Usage:
        return Usage(
            prompt_tokens=line.prompt_eval_count if self._counts_whole else None, completion_tokens=line.eval_count
        )


def _reason(line: _Line) -> str | None:
    if not line.done or line.done_reason in NO_ANSWER:
        return None
    return line.done_reason or "stop"
