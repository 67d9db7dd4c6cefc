"""Ollama, by its native API: `/v1` there can neither set the window nor say what went wrong in mid-stream.

Facts: server/routes.go, api/types.go and envconfig/config.go of ollama/ollama.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterable, Sequence
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import BrokenStream, LLMRouteError
from jupyter_llmroute.core.ndjson import LineDecoder, LineTooLong
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.providers import Chat, Chunk
from jupyter_llmroute.core.providers.choosing import LIKELIEST
from jupyter_llmroute.core.providers.failure import failure
from jupyter_llmroute.core.providers.ollama_lines import LineReader
from jupyter_llmroute.core.providers.ollama_listing import (
    Listed,
    Running,
    Shown,
    entries,
    remote_sign,
    served,
    served_window,
    shown,
)
from jupyter_llmroute.core.providers.ollama_passed import messages, with_passed
from jupyter_llmroute.core.providers.openai import auth_headers, let_end, raise_unless_stream
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.core.transport import peer_errors

DEFAULT_PORT = 11434

MAX_SHOWN = 20
"""How many models are asked about one by one, in one look; of the others, the next look asks."""

QUOTES = 2
"""Tokens that an answer by a schema has besides its word."""


class Ollama:
    """Several models, loaded when they are asked."""

    name = "ollama"
    default_urls: tuple[str, ...] = (f"http://127.0.0.1:{DEFAULT_PORT}",)
    marks = ("/", "/api/version", "/.well-known/localai.json")
    cuts_silently = True  # it is told not to, and builds before `truncate` do not listen

    def __init__(self) -> None:
        self._shown: dict[str, Shown] = {}
        """By the digest: what was told of it holds for good."""
        self._windows: dict[tuple[str, str], int] = {}
        """By server and model: the window that it has in memory, or that was got since."""
        self._newer: set[str] = set()
        """Servers of a build that lists capabilities."""

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
            raise failure(endpoint.name, tags.status, tags.body, tags.headers, key=endpoint.key)
        listed = entries(tags, Listed)
        running = {item.name: item for item in entries(await probe.get("/api/ps"), Running)}
        await self._look_closer(probe, listed)
        models = tuple(served(item, running.get(item.name), self._shown.get(_key(item), Shown())) for item in listed)
        self._note(endpoint.base_url, listed, models)
        return models

    async def _look_closer(self, probe: Probe, listed: Iterable[Listed]) -> None:
        """Ask what older builds leave out of their list: `/api/show` reads a file's head, and loads nothing.

        Not of a model that runs elsewhere: there it would be asked.
        """
        unknown = {_key(item): item for item in listed if item.lacks and not remote_sign(item)}
        asked = dict(islice(((key, item) for key, item in unknown.items() if key not in self._shown), MAX_SHOWN))
        answers = await asyncio.gather(*(_describe(probe, item) for item in asked.values()))
        self._shown |= {key: told for key, told in zip(asked, answers, strict=True) if told}

    def _note(self, url: str, listed: Sequence[Listed], models: Iterable[ServedModel]) -> None:
        told: list[Listed | Shown] = [*listed, *(self._shown.get(_key(item), Shown()) for item in listed)]
        if any(each.capabilities is not None for each in told):
            self._newer.add(url)
        for model in models:
            self._windows.pop((url, model.id), None)
            if model.loaded and model.context_window:
                self._windows[url, model.id] = model.context_window

    def window_for(self, model: ServedModel, needed_tokens: int) -> int | None:
        """Return the window in tokens to ask for, so that it holds so many: the one there is, if it does."""
        return served_window(needed_tokens, model.context_window, model.window_limit or model.context_window)

    def body(self, chat: Chat) -> dict[str, Any]:
        """Return the JSON to send: nothing may be cut silently, neither the prompt nor what is being generated."""
        sampling = chat.sampling
        options = {
            "temperature": sampling.temperature,
            "seed": sampling.seed,
            "num_ctx": chat.window or chat.model.context_window,
            "num_predict": min(sampling.max_tokens or chat.room_tokens, chat.room_tokens)
            + (QUOTES if chat.options else 0),
        }
        body = {
            "model": chat.model.id,
            "messages": messages(chat.messages),
            "stream": True,
            "truncate": False,
            "shift": False,
            "options": {key: value for key, value in options.items() if value is not None},
            **({"format": "json"} if chat.format is Format.JSON else {}),
            **(_narrowed(chat) if chat.options else {}),
        }
        return with_passed(body, chat.passed) if chat.passed else body

    async def chat(self, client: httpx.AsyncClient, endpoint: Endpoint, chat: Chat) -> AsyncGenerator[Chunk, None]:
        """Stream the answer; its end is the line with `done: true`."""
        who = f"{chat.model.id} on {endpoint.name}"
        url = endpoint.base_url.rstrip("/") + (endpoint.chat_path or "/api/chat")
        place = endpoint.base_url, chat.model.id
        body = self.body(chat)
        if window := body["options"].get("num_ctx"):
            # Not smaller than the one in memory: another size is another load.
            body["options"]["num_ctx"] = window = max(window, self._windows.get(place, 0))
        # A sign that was known before has been judged by the policy.
        may_be_remote = endpoint.models_are_local or chat.model.remote is not None
        counts_whole = self._counts_whole(endpoint, chat.model)
        reader = LineReader(who, may_be_remote=may_be_remote, counts_whole=counts_whole, key=endpoint.key)
        with peer_errors(who, key=endpoint.key):
            async with client.stream("POST", url, json=body, headers=auth_headers(endpoint)) as response:
                await raise_unless_stream(who, response, "application/x-ndjson")
                if window:
                    self._windows[place] = window
                decoder = LineDecoder()
                pieces = response.aiter_bytes()
                try:
                    async for data in pieces:
                        for line in decoder.feed(data):
                            yield reader.read(line)
                        if reader.is_done:
                            await let_end(pieces)
                except LineTooLong as error:
                    raise BrokenStream(f"{who}: {error}.") from error
                for line in decoder.close():
                    yield reader.read(line)
        if rest := reader.close():
            yield rest

    def _counts_whole(self, endpoint: Endpoint, model: ServedModel) -> bool:
        """Whether the count of a prompt holds what was cached of it: older builds leave that out."""
        is_newer = endpoint.base_url in self._newer or bool(model.capabilities)
        return is_newer or model.loaded is False  # nothing is cached of a model that is not in memory


def _narrowed(chat: Chat) -> dict[str, Any]:
    """Return the keys that narrow an answer to the options; older builds know `format` alone, and no thoughts."""
    schema = {"type": "string", "enum": list(chat.options)}
    thoughtless = {"think": False} if "thinking" in chat.model.capabilities else {}
    return {"format": schema, "logprobs": True, "top_logprobs": LIKELIEST, **thoughtless}


async def _describe(probe: Probe, item: Listed) -> Shown | None:
    try:
        # An older server takes `name`, a newer one `model`.
        return shown(await probe.post_json("/api/show", {"model": item.name, "name": item.name}))
    except LLMRouteError:
        return None  # perhaps the next look has more luck


def _key(item: Listed) -> str:
    return item.digest or item.name


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
