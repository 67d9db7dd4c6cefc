"""The OpenAI dialect: chat completions over server-sent events. The base of all servers that speak it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, ClassVar

import httpx
from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.errors import BadRequest, BrokenStream, RefusedOption, ServerFailure
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.probe import Probe, key_headers
from jupyter_llmroute.core.providers import Chat, Chunk
from jupyter_llmroute.core.providers.choosing import LIKELIEST
from jupyter_llmroute.core.providers.completion import CompletionReader
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.providers.signs import cloud_sign, is_doubt, model_list, owner_sign
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.core.sse import EventTooLong, SSEDecoder
from jupyter_llmroute.core.transport import key_sent, peer_errors, read_at_most
from jupyter_llmroute.core.values import Answered

STREAM, WHOLE = "text/event-stream", "application/json"
"""The types of an answer that comes in pieces, and of one that does not."""

MAX_COMPLETION_BYTES = 16 << 20
"""No honest answer is larger than 16 MiB."""

MAX_ERROR_BYTES = 64 << 10

LINGER_S = 0.2
"""Seconds for the end of the body after that of the answer: both are in one packet, or nearly."""

OPTIONAL = {
    "stream_options": re.compile(r"stream_options|include_usage"),
    "response_format": re.compile(r"response_format|json_object|json_schema"),
    "logprobs": re.compile(r"logprobs"),
    "top_logprobs": re.compile(r"logprobs"),
    "grammar": re.compile(r"grammar"),
}
"""Keys of the body that a server may do without, and the words by which a strict or older one names each."""


class _Listed(Answered):
    id: str
    max_model_len: Size = None
    """vLLM and SGLang: prompt and answer together, fixed at launch."""
    owned_by: Any = None


class OpenAICompatible:
    """A server that says nothing of what it is, and speaks the dialect."""

    name = "openai"
    default_urls: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    cuts_silently = True  # nobody knows what it is
    models_path = "/v1/models"
    chat_path = "/v1/chat/completions"
    json_mode: ClassVar[Mapping[str, Any]] = {"response_format": {"type": "json_object"}}
    """What holds such a server to JSON, as keys of the body."""

    @property
    def named_urls(self) -> tuple[str, ...]:
        """No variable of its own names an address."""
        return ()

    async def recognise(self, probe: Probe) -> bool:
        """Whether it lists models as the dialect has it."""
        return model_list(await probe.get(self.models_path)) is not None

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return the models of the list; most servers tell no more than their names.

        A name may say that the model runs elsewhere, whoever the server is: it may pass text on. The user may vouch for
        what is in doubt, not for what a server says itself.
        """
        answer = await probe.get(endpoint.models_path or self.models_path)
        listed = model_list(answer)
        if listed is None:
            raise failure(endpoint.name, answer.status, answer.body, answer.headers, key=endpoint.key)
        served = []
        for item in listed:
            with contextlib.suppress(ValidationError):  # one odd entry must not hide the others
                model = self.served(item)
                remote = model.remote or cloud_sign(model.id)
                if remote and endpoint.models_are_local and is_doubt(remote):
                    remote = None
                served.append(model.model_copy(update={"remote": remote}))
        return tuple(served)

    def served(self, item: dict[str, Any]) -> ServedModel:
        """Read one entry of the model list."""
        known = _Listed.model_validate(item)
        return ServedModel(id=known.id, context_window=known.max_model_len, remote=owner_sign(known.owned_by))

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send; more tokens than there is room for are not asked for."""
        sampling = chat.sampling.model_dump(exclude_none=True)
        if chat.sampling.max_tokens and chat.window_is_known:
            sampling["max_tokens"] = min(chat.sampling.max_tokens, chat.room_tokens)
        return {
            "model": chat.model.id,
            "messages": [message.model_dump() for message in chat.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **sampling,
            **(self.json_mode if chat.format is Format.JSON else {}),
            **(self.narrowed(chat) if chat.options else {}),
            **chat.passed,
        }

    def narrowed(self, chat: Chat) -> dict[str, Any]:
        """Return the keys that narrow an answer to the options, or tell how likely each is; a dialect may have more."""
        return {"logprobs": True, "top_logprobs": LIKELIEST}

    def window_for(self, model: ServedModel, needed_tokens: int) -> int | None:
        """Return the window in tokens to ask for, so that it holds so many; `None` where the server's is fixed."""
        return None

    def believed(self, usage: Usage) -> Usage:
        """Return what is true of the server's counts; a dialect whose servers invent some overrides this."""
        return usage

    async def chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; the end is what the server says it is, `[DONE]` alone proves nothing.

        A whole completion is an answer too. A key that the server could do without and refuses is left out, and the
        server asked once more.
        """
        url = endpoint.base_url.rstrip("/") + (endpoint.chat_path or self.chat_path)
        who = f"{chat.model.id} on {endpoint.name}"
        with peer_errors(who, key=endpoint.key):
            async with contextlib.AsyncExitStack() as opened:
                body, needed = self.body(chat), frozenset(chat.passed)
                response = await _ask(opened, client, who, url, body, auth_headers(endpoint), needed)
                chunks = await opened.enter_async_context(contextlib.aclosing(_chunks(who, response, endpoint.key)))
                async for chunk in chunks:
                    yield chunk.model_copy(update={"usage": self.believed(chunk.usage)}) if chunk.usage else chunk


async def _ask(
    opened: contextlib.AsyncExitStack,
    client: httpx.AsyncClient,
    who: str,
    url: str,
    body: dict[str, Any],
    headers: dict[bytes, bytes],
    needed: frozenset[str],
) -> httpx.Response:
    """Return the answer, once its head says that it is one; keys that are `needed` are never left out."""
    response = await opened.enter_async_context(client.stream("POST", url, json=body, headers=headers))
    try:
        if not _is_whole(response):
            await raise_unless_stream(who, response, STREAM)
        return response
    except (BadRequest, RefusedOption) as error:
        may_lack = {key: words for key, words in OPTIONAL.items() if key in body and key not in needed}
        needless = {key for key, words in may_lack.items() if words.search(str(error))}
        if not needless:
            raise
    await opened.aclose()
    kept = {key: value for key, value in body.items() if key not in needless}
    return await _ask(opened, client, who, url, kept, headers, needed)


async def _chunks(who: str, response: httpx.Response, key: str | None) -> AsyncGenerator[Chunk, None]:
    reader = CompletionReader(who, key=key)
    if _is_whole(response):
        body = await read_at_most(response, MAX_COMPLETION_BYTES)
        if not (chunk := reader.read_whole(body)):
            raise _no_answer(who, response, STREAM)
        yield chunk
    else:
        decoder = SSEDecoder()
        pieces = response.aiter_bytes()
        try:
            async for data in pieces:
                for event in decoder.feed(data):
                    if chunk := reader.read(event):
                        yield chunk
                if reader.is_done:
                    await let_end(pieces)
        except EventTooLong as error:
            raise BrokenStream(f"{who}: {error}.") from error
        for event in decoder.close():
            if chunk := reader.read(event):
                yield chunk
    if rest := reader.close():
        yield rest


def auth_headers(endpoint: Endpoint) -> dict[bytes, bytes]:
    """Return the header that carries the endpoint's key, if it has one."""
    return key_headers(endpoint.name, endpoint.key)


async def raise_unless_stream(who: str, response: httpx.Response, content_type: str) -> None:
    """Raise what the server says when it did not answer with a stream of the wanted type."""
    if response.status_code == 200 and _media_type(response) == content_type:
        return
    body = await read_at_most(response, MAX_ERROR_BYTES)
    if response.status_code >= 500 and (stream := response.extensions.get("network_stream")):
        # llama-cpp-python and transformers reset the next request on a connection that had a 500: seen on both.
        await stream.aclose()
    if response.status_code != 200 or b'"error"' in body:
        raise failure(who, response.status_code, body, response.headers, key=key_sent(response.request))
    raise _no_answer(who, response, content_type)


async def let_end(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the end of an answer: a connection that is read to its end can be used again.

    Some servers leave it open; then it is closed with the response. However it ends, the answer was complete.
    """
    with contextlib.suppress(TimeoutError, httpx.RequestError):
        async with asyncio.timeout(LINGER_S):
            async for _ in pieces:
                pass


def _no_answer(who: str, response: httpx.Response, content_type: str) -> ServerFailure:
    found = without_key(_media_type(response), (key_sent(response.request) or "").lower()) or "something without a type"
    return ServerFailure(f"{who} answered {found!r} where {content_type!r} was due: is this the API?")


def _media_type(response: httpx.Response) -> str:
    told: str = response.headers.get("content-type", "")
    return told.partition(";")[0].strip().lower()


def _is_whole(response: httpx.Response) -> bool:
    return response.status_code == 200 and _media_type(response) == WHOLE
