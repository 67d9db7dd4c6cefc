"""The OpenAI dialect: chat completions over server-sent events. The base of all servers that speak it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import BrokenStream, ContextOverflow, ServerFailure
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.probe import Probe, key_headers
from jupyter_llmroute.core.prompt import least_tokens
from jupyter_llmroute.core.providers import Chat, Chunk
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.sse import EventTooLong, ServerSentEvent, SSEDecoder
from jupyter_llmroute.core.transport import peer_errors
from jupyter_llmroute.core.values import Answered

CERTAIN_TOKENS = 256
"""A prompt of fewer words than this is cut by nobody; whatever is counted of it, the answer is one to all of it."""


class _Delta(Answered):
    content: str | None = None
    # The three spellings of a reasoning model's thoughts: llama.cpp and SGLang, Ollama and newer vLLM.
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(Answered):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(Answered):
    cached_tokens: int | None = None


class _Usage(Answered):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Item(Answered):
    """One item of the stream, as far as it is read."""

    choices: tuple[_Choice, ...] = ()
    model: str | None = None
    usage: _Usage | None = None


class _Listed(Answered):
    id: str
    max_model_len: int | None = None
    """vLLM and SGLang: prompt and answer together."""


class OpenAICompatible:
    """A server that says nothing of what it is, and speaks the dialect."""

    name = "openai"
    default_urls: tuple[str, ...] = ()
    named_urls: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    cuts_silently = True  # nobody knows what it is
    models_path = "/v1/models"
    chat_path = "/v1/chat/completions"

    async def recognise(self, probe: Probe) -> bool:
        """Whether it lists models as the dialect has it."""
        return model_list(await probe.get(self.models_path)) is not None

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models of the list; most servers tell no more than their names."""
        answer = await probe.get(endpoint.models_path or self.models_path)
        listed = model_list(answer)
        if listed is None:
            raise failure(endpoint.name, answer.status, answer.body)
        served = []
        for item in listed:
            with contextlib.suppress(ValidationError):  # one odd entry must not hide the others
                served.append(self.served(item))
        return tuple(served)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        known = _Listed.model_validate(item)
        return ServedModel(id=known.id, context_window=known.max_model_len)

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send."""
        sampling = chat.sampling.model_dump(exclude_none=True)
        return {
            "model": chat.model.id,
            "messages": [message.model_dump() for message in chat.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **sampling,
        }

    async def chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; the end is what the server says it is, `[DONE]` alone proves nothing.

        An answer to a prompt that the server cut ends in `ContextOverflow`, after its text: usage comes last.
        """
        url = endpoint.base_url.rstrip("/") + (endpoint.chat_path or self.chat_path)
        who = f"{chat.model.id} on {endpoint.name}"
        with peer_errors(who):
            async with client.stream("POST", url, json=self.body(chat), headers=auth_headers(endpoint)) as response:
                await raise_unless_stream(who, response, "text/event-stream")
                decoder, usage = SSEDecoder(), Usage()
                try:
                    async for data in response.aiter_bytes():
                        for event in decoder.feed(data):
                            if chunk := _read(who, event):
                                usage = chunk.usage or usage
                                yield chunk
                except EventTooLong as error:
                    raise BrokenStream(f"{who}: {error}.") from error
                for event in decoder.close():
                    if chunk := _read(who, event):
                        usage = chunk.usage or usage
                        yield chunk
        _raise_if_cut(who, chat, usage)


def _raise_if_cut(who: str, chat: Chat, usage: Usage) -> None:
    """Raise when the server counted fewer tokens than the prompt has words: in this dialect it counts the whole prompt.

    Not by the estimate: of blanks, rules and rows of signs it may be several times too high.
    """
    words, counted = least_tokens(chat.messages), usage.prompt_tokens
    if counted and counted < words and words >= CERTAIN_TOKENS:
        raise ContextOverflow(
            f"{who} read only {counted:,} tokens of a prompt of more than {words:,}: it cut the prompt without a word, "
            f"so this is no answer to all of it; send less, or serve the model with a larger window.",
            prompt_tokens=counted,
        )


def model_list(answer: Any) -> list[dict[str, Any]] | None:
    """Return the entries of an OpenAI model list; `None` when the answer is not one."""
    body = answer.json if answer.status == 200 else None
    data = body.get("data") if isinstance(body, dict) else None
    if not isinstance(data, list):
        return None
    return [item for item in data if isinstance(item, dict) and isinstance(item.get("id"), str)]


def auth_headers(endpoint: Endpoint) -> dict[bytes, bytes]:
    """Return the header that carries the endpoint's key, if it has one."""
    return key_headers(endpoint.name, endpoint.api_key.get_secret_value() if endpoint.api_key else None)


async def raise_unless_stream(who: str, response: httpx.Response, content_type: str) -> None:
    """Raise what the server says when it did not answer with a stream of the wanted type."""
    found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.status_code == 200 and found == content_type:
        return
    body = await _read_at_most(response, 64 << 10)
    if response.status_code != 200 or b'"error"' in body:
        raise failure(who, response.status_code, body)
    raise ServerFailure(
        f"{who} answered {found or 'something without a type'!r} where {content_type!r} was due: is this the API?"
    )


async def _read_at_most(response: httpx.Response, limit_bytes: int) -> bytes:
    body = b""
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= limit_bytes:
            break
    return body[:limit_bytes]


def _read(who: str, event: ServerSentEvent) -> Chunk | None:
    if event.data.strip() == "[DONE]":
        return None
    try:
        raw = json.loads(event.data)
        if event.event == "error" or (isinstance(raw, dict) and raw.get("error")):
            raise failure(who, 200, event.data)
        item = _Item.model_validate(raw)
    except (ValueError, RecursionError) as error:  # of json's and of pydantic's
        raise BrokenStream(f"{who} sent what is not a chat completion: {event.data[:200]!r}.") from error
    choice = item.choices[0] if item.choices else _Choice()
    delta = choice.delta or _Delta()
    return Chunk(
        text=_whole(delta.content or ""),
        reasoning=_whole(delta.reasoning_content or delta.reasoning or ""),
        finish_reason=choice.finish_reason,
        answered_by=item.model,
        usage=_usage(item.usage) if item.usage else None,
    )


def _whole(text: str) -> str:
    """Return `text` without halves of characters: JSON can spell them, no output can show them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _usage(usage: _Usage) -> Usage:
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(prompt_tokens=usage.prompt_tokens, cached_tokens=cached, completion_tokens=usage.completion_tokens)
