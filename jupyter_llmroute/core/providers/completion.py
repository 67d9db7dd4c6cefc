"""Chat completions, read: items of a stream, and whole ones. Events in, chunks out, no I/O.

What servers really send, where the dialect alone does not tell: reasoning in a field of three spellings or in the text
itself; `finish_reason` as the word "null" (KoboldCpp 1.76) or "error" (KoboldCpp, vLLM); content as a list of parts
(Mistral); errors as an item, as an event, and under status 200; a whole completion where a stream was asked for
(GPT4All); counts in llama.cpp's `timings` where there is no usage.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_llmroute.core.errors import BrokenStream, ServerFailure
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.message import told_calls
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.providers import Chunk
from jupyter_llmroute.core.providers.choosing import likely
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.sse import ServerSentEvent
from jupyter_llmroute.core.thinking import Split, ThinkSplitter
from jupyter_llmroute.core.values import Answered

NO_REASON = ("", "null")
"""Spellings of an answer that goes on."""

FAILED = ("error", "abort")
"""Reasons that are no end of an answer: of KoboldCpp and vLLM, and of vLLM and SGLang."""

THOUGHTS = ("thinking", "reasoning")
"""Types of those parts of a content that are no text."""


class _Said(Answered):
    """A delta, or a message."""

    content: Any = None
    # The three spellings of a reasoning model's thoughts: llama.cpp and SGLang; newer vLLM, mlx-lm and LocalAI; Ollama.
    reasoning_content: Any = None
    reasoning: Any = None
    thinking: Any = None
    tool_calls: Any = None


class _Choice(Answered):
    delta: _Said | None = None
    message: _Said | None = None
    finish_reason: Any = None
    logprobs: Any = None


class _PromptDetails(Answered):
    cached_tokens: Any = None


class _Usage(Answered):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    prompt_tokens_details: _PromptDetails | None = None


class _Timings(Answered):
    """llama.cpp's; its prompt is what was cached and what was read."""

    cache_n: Any = None
    prompt_n: Any = None
    predicted_n: Any = None


class _Item(Answered):
    """One item of the stream, or a whole completion, as far as it is read."""

    choices: tuple[_Choice, ...] | None = None
    model: str | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None


class CompletionReader:
    """Reads one answer; `who` is the server and model, for messages, and `key` what they must not hold."""

    def __init__(self, who: str, *, key: str | None = None) -> None:
        self._who = who
        self._key = key
        self._splitter = ThinkSplitter()
        self._began = False
        self._has_usage = False
        self.is_done = False
        """Whether the server has said that nothing follows."""

    def read(self, event: ServerSentEvent) -> Chunk | None:
        """Read the next event of a stream; `None` for one that says nothing, and for what follows the last.

        Raises
        ------
        PeerError
            The event reports a failure.
        BrokenStream
            It is no item of a chat completion.
        """
        self.is_done = self.is_done or event.data.strip() == "[DONE]"
        if self.is_done:
            return None
        if event.event == "error":
            raise failure(self._who, 200, event.data, key=self._key)
        try:
            raw = json.loads(event.data)
            if _is_error(raw):
                raise failure(self._who, 200, event.data, key=self._key)
            return self._chunk(_Item.model_validate(raw))
        except (ValueError, RecursionError) as error:  # of json's and of pydantic's
            said = without_key(event.data, self._key)[:200]
            raise BrokenStream(f"{self._who} sent what is not a chat completion: {said!r}.") from error

    def read_whole(self, body: bytes) -> Chunk | None:
        """Read an answer that came in one piece; `None` for what is no completion.

        Raises
        ------
        PeerError
            The answer reports a failure.
        """
        try:
            raw = json.loads(body)
            if _is_error(raw):
                raise failure(self._who, 200, body, key=self._key)
            item = _Item.model_validate(raw)
            return self._chunk(item) if item.choices and item.choices[0].message else None
        except (ValueError, RecursionError):
            return None

    def close(self) -> Chunk | None:
        """End the answer; return what was held back of it, if anything was."""
        held = self._splitter.close()
        return Chunk(text=held.text, reasoning=held.reasoning) if any(held) else None

    def _chunk(self, item: _Item) -> Chunk:
        choice = item.choices[0] if item.choices else _Choice()
        if choice.finish_reason in FAILED:
            raise ServerFailure(
                f"{self._who} ended its answer with {choice.finish_reason!r}: ask again, or see the server's log."
            )
        # A whole message at the end of a stream repeats what its deltas said.
        said = choice.delta or (None if self._began else choice.message) or _Said()
        parts = self._split(said)
        calls = told_calls(said.tool_calls)
        self._began = self._began or any(parts) or bool(calls)
        return Chunk(
            text=parts.text,
            reasoning=parts.reasoning,
            tool_calls=calls,
            finish_reason=_reason(choice.finish_reason),
            answered_by=item.model,
            usage=self._usage(item),
            likely=_likely(choice.logprobs) if choice.logprobs else None,
        )

    def _split(self, said: _Said) -> Split:
        text, reasoning = _parts(said.content)
        # Some servers send the same thoughts under two names.
        told = map(_text, (said.reasoning_content, said.reasoning, said.thinking))
        thoughts = "".join(dict.fromkeys((*told, reasoning)))
        return self._splitter.feed(_whole(text), _whole(thoughts))

    def _usage(self, item: _Item) -> Usage | None:
        if item.usage:
            self._has_usage = True
            details = item.usage.prompt_tokens_details or _PromptDetails()
            return Usage(
                prompt_tokens=_count(item.usage.prompt_tokens),
                cached_tokens=_count(details.cached_tokens),
                completion_tokens=_count(item.usage.completion_tokens),
            )
        return _timed(item.timings) if item.timings and not self._has_usage else None


def _is_error(raw: Any) -> bool:
    if not isinstance(raw, dict):
        return False
    return bool(raw.get("error")) or raw.get("object") == "error" or ("detail" in raw and "choices" not in raw)


def _reason(told: Any) -> str | None:
    return told if isinstance(told, str) and told not in NO_REASON else None


def _parts(content: Any) -> Split:
    """Part a content, which is a text or a list of parts."""
    if not isinstance(content, list):
        return Split(_text(content))
    thoughts = [isinstance(part, dict) and part.get("type") in THOUGHTS for part in content]
    texts = list(map(_text, content))
    return Split(
        "".join(text for text, is_thought in zip(texts, thoughts, strict=True) if not is_thought),
        "".join(text for text, is_thought in zip(texts, thoughts, strict=True) if is_thought),
    )


def _text(told: Any) -> str:
    """Return the text of a field, of a part, or of a list of parts."""
    match told:
        case str():
            return told
        case list():
            return "".join(map(_text, told))
        case dict():
            return next((_text(told[key]) for key in ("text", *THOUGHTS) if key in told), "")
    return ""


def _whole(text: str) -> str:
    """Return `text` without halves of characters: JSON can spell them, no output can show them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _likely(told: Any) -> dict[str, float] | None:
    return likely(told.get("content")) if isinstance(told, dict) else None


def _count(told: Any) -> int | None:
    return told if isinstance(told, int) and not isinstance(told, bool) else None


def _timed(timings: _Timings) -> Usage:
    cached, read = _count(timings.cache_n), _count(timings.prompt_n)
    return Usage(
        # Older builds tell only what was read, and not what was cached.
        prompt_tokens=None if cached is None or read is None else cached + read,
        cached_tokens=cached,
        completion_tokens=_count(timings.predicted_n),
    )
