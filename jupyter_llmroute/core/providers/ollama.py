"""Ollama, by its native API: `/v1` there can neither set the window nor say what went wrong in mid-stream.

Facts: server/routes.go, api/types.go and envconfig/config.go of ollama/ollama.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import ValidationError

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel, Size
from jupyter_llmroute.core.errors import BrokenStream
from jupyter_llmroute.core.events import Usage
from jupyter_llmroute.core.ndjson import LineDecoder, LineTooLong
from jupyter_llmroute.core.probe import Answer, Probe
from jupyter_llmroute.core.providers import Chat, Chunk
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.providers.openai import auth_headers, raise_unless_stream
from jupyter_llmroute.core.transport import peer_errors
from jupyter_llmroute.core.values import Answered

DEFAULT_PORT = 11434

_Entry = TypeVar("_Entry", bound=Answered)

WANTED_WINDOW = 8192
"""Tokens to ask for when a model is not in memory yet: Ollama's own default is 4096 on most machines."""


EMBEDDING_FAMILY = "bert"
"""Builds that list no capabilities tell an embedding model by a family such as `nomic-bert` alone."""


class _Details(Answered):
    family: str | None = None
    quantization_level: str | None = None
    context_length: Size = None


class _Listed(Answered):
    """One entry of `/api/tags`; older builds leave out all but the first three."""

    name: str
    size: int | None = None
    details: _Details | None = None
    capabilities: tuple[str, ...] | None = None
    remote_host: str | None = None
    remote_model: str | None = None


class _Running(Answered):
    """One entry of `/api/ps`."""

    name: str
    context_length: Size = None
    """The window that was really allocated."""


class _Message(Answered):
    content: str | None = None
    thinking: str | None = None


class _Line(Answered):
    model: str | None = None
    message: _Message | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None


class Ollama:
    """Several models, loaded when they are asked."""

    name = "ollama"
    default_urls: tuple[str, ...] = (f"http://127.0.0.1:{DEFAULT_PORT}",)
    marks = ("/", "/api/version", "/.well-known/localai.json")
    cuts_silently = False  # it is told not to

    @property
    def named_urls(self) -> tuple[str, ...]:
        """Where `OLLAMA_HOST` says, as Ollama itself reads it."""
        value = os.environ.get("OLLAMA_HOST", "")
        return (base_url(value),) if value.strip(" \t\"'") else ()

    async def recognise(self, probe: Probe) -> bool:
        """Whether it greets as Ollama and its version has one key: several servers imitate one of the two."""
        if (await probe.get("/")).text.strip() != "Ollama is running":
            return False
        version = (await probe.get("/api/version")).json
        if not isinstance(version, dict) or set(version) != {"version"}:
            return False
        return (await probe.get("/.well-known/localai.json")).json is None  # LocalAI can be told to imitate both

    async def models(self, probe: Probe, endpoint: Endpoint) -> tuple[ServedModel, ...]:
        """Return what is pulled, marked where it is in memory."""
        tags = await probe.get("/api/tags")
        if tags.status != 200:
            raise failure(endpoint.name, tags.status, tags.body)
        running = {item.name: item for item in _entries(await probe.get("/api/ps"), _Running)}
        return tuple(_served(item, running.get(item.name)) for item in _entries(tags, _Listed))

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send: nothing may be cut silently, neither the prompt nor what is being generated."""
        sampling = chat.sampling
        options = {"temperature": sampling.temperature, "seed": sampling.seed, "num_predict": sampling.max_tokens}
        if window := chat.model.context_window:
            room = max(1, window - chat.prompt_tokens)
            options["num_ctx"] = window
            options["num_predict"] = min(sampling.max_tokens or room, room)
        return {
            "model": chat.model.id,
            "messages": [message.model_dump() for message in chat.messages],
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": {key: value for key, value in options.items() if value is not None},
        }

    async def chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; its end is the line with `done: true`."""
        who = f"{chat.model.id} on {endpoint.name}"
        url = endpoint.base_url.rstrip("/") + (endpoint.chat_path or "/api/chat")
        with peer_errors(who):
            async with client.stream("POST", url, json=self.body(chat), headers=auth_headers(endpoint)) as response:
                await raise_unless_stream(who, response, "application/x-ndjson")
                decoder = LineDecoder()
                try:
                    async for data in response.aiter_bytes():
                        for line in decoder.feed(data):
                            yield _read(who, line)
                except LineTooLong as error:
                    raise BrokenStream(f"{who}: {error}.") from error
                for line in decoder.close():
                    yield _read(who, line)


def base_url(ollama_host: str) -> str:
    """Return where a client finds the server that `OLLAMA_HOST` describes (`Host()` in envconfig/config.go).

    Examples
    --------
    >>> base_url(""), base_url("0.0.0.0:5678"), base_url("https://gpu.example/ollama")
    ('http://127.0.0.1:11434', 'http://127.0.0.1:5678', 'https://gpu.example:443/ollama')
    """
    value = ollama_host.strip().strip("\"'").strip()
    scheme, has_scheme, rest = value.partition("://")
    if not has_scheme:
        scheme, rest = "http", value
    if rest.count(":") > 1 and not rest.startswith("["):
        rest = f"[{rest}]"  # a bare IPv6 address
    try:
        parts = urlsplit(f"//{rest}")
    except ValueError:  # a bracket that does not close
        return base_url("")
    try:
        port = parts.port
    except ValueError:
        port = None
    port = port or {"http": 80, "https": 443}.get(scheme if has_scheme else "", DEFAULT_PORT)
    # An address to bind to is none to connect to.
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname or "")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}{parts.path.rstrip('/')}"


def _entries(answer: Answer, kind: type[_Entry]) -> list[_Entry]:
    body = answer.json if answer.status == 200 else None
    items = body.get("models") if isinstance(body, dict) else None
    entries = []
    for item in items if isinstance(items, list) else ():
        try:
            entries.append(kind.model_validate(item))
        except ValidationError:
            continue  # one odd entry must not hide the others
    return entries


def _served(item: _Listed, running: _Running | None) -> ServedModel:
    details = item.details or _Details()
    trained = details.context_length
    allocated = running.context_length if running else None
    return ServedModel(
        id=item.name,
        context_window=allocated or min(WANTED_WINDOW, trained or WANTED_WINDOW),
        trained_window=trained,
        size_bytes=item.size,
        quantisation=details.quantization_level,
        loaded=running is not None,
        chat=_chats(item.capabilities, details.family),
        remote=_remote_sign(item),
    )


def _chats(capabilities: tuple[str, ...] | None, family: str | None) -> bool:
    return "completion" in capabilities if capabilities else EMBEDDING_FAMILY not in (family or "")


def _remote_sign(item: _Listed) -> str | None:
    tag = item.name.rpartition(":")[2]
    if item.remote_host or item.remote_model:
        return f"remote host {item.remote_host or item.remote_model!r}"
    return f"cloud tag {item.name!r}" if tag == "cloud" or tag.endswith("-cloud") else None


def _read(who: str, raw: bytes) -> Chunk:
    try:
        line = _Line.model_validate_json(raw)
    except ValidationError as error:
        raise BrokenStream(f"{who} sent what is not a line of Ollama's: {raw[:200]!r}.") from error
    if line.error:
        raise failure(who, 200, raw)
    message = line.message or _Message()
    return Chunk(
        text=message.content or "",
        reasoning=message.thinking or "",
        finish_reason=(line.done_reason or "stop") if line.done else None,
        answered_by=line.model,
        usage=Usage(prompt_tokens=line.prompt_eval_count, completion_tokens=line.eval_count) if line.done else None,
    )
