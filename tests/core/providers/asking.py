"""What the tests of all dialects share: a question, texts that are easily spoiled, and a way to listen."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any, NamedTuple

import httpx

from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.errors import LLMRouteError
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.probe import Probe
from jupyter_llmroute.core.prompt import Message
from jupyter_llmroute.core.providers import Chat, Chunk, Provider
from jupyter_llmroute.core.request import Sampling
from jupyter_llmroute.core.transport import open_client

TEXTS = {
    "braces": "{name} {{x}} {0} {} %s %(a)s ${HOME} $x `ls` !pwd %%time",
    "backslashes": r"C:\new\table \u0041 \\ \" \n" + "\\",
    "LaTeX": r"$$\frac{\alpha}{2} \begin{cases} 1 & x > 0 \\ 0 \end{cases}$$",
    "JSON": '{"a": [1, null, "\\u00e9\\n"], "b": {"c": "}"}}',
    "f-string": 'f"{x!r:>{width}} {{literal}} {d["k"]}"',
    "emoji": "👩‍🔬 🇩🇪 é e\u0301 \U0001f9ff 数据 \u202eabc\u202c",
    "white space": "  leading\ttab\r\nlines\n\n\u2028\u00a0\u0085end",
    "markup": "<|user|> [INST] </s> <think>no</think> ``` data: [DONE]\n\n",
    "control": "a\x00b\x07c\x1b[31m\x7f",
}


def chat(text: str = "Hello?", model: ServedModel | None = None, *, tokens: int = 20, **sampling: Any) -> Chat:
    messages = (Message(role="system", content="You help."), Message(role="user", content=text))
    return Chat(
        model=model or ServedModel(id="m"), messages=messages, sampling=Sampling(**sampling), prompt_tokens=tokens
    )


def endpoint(url: str = "http://127.0.0.1:1", **more: Any) -> Endpoint:
    return Endpoint(name="desk", provider="openai", base_url=url, **more)


def opened() -> httpx.AsyncClient:
    """Open a client as a router does, but for the certificates: reading them takes a while."""
    return open_client(Policy(), transport=httpx.AsyncHTTPTransport(verify=False))


class Heard(NamedTuple):
    """What a dialect gave, and how it ended."""

    chunks: tuple[Chunk, ...]
    error: LLMRouteError | None

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def reasoning(self) -> str:
        return "".join(chunk.reasoning for chunk in self.chunks)

    def last(self, field: str) -> Any:
        """What was last said of `field`."""
        return next((value for chunk in reversed(self.chunks) if (value := getattr(chunk, field))), None)


async def listen(provider: Provider, url: str, asked: Chat | None = None, **more: Any) -> Heard:
    """Ask a server, and keep what came before it failed."""
    chunks: list[Chunk] = []
    async with opened() as client:
        try:
            async with aclosing(provider.chat(client, endpoint(url, **more), asked or chat())) as stream:
                async for chunk in stream:
                    chunks.append(chunk)
        except LLMRouteError as error:
            return Heard(tuple(chunks), error)
    return Heard(tuple(chunks), None)


async def first_chunk_then_leave(provider: Provider, url: str) -> None:
    """Take one chunk with text, and close."""
    async with (
        opened() as client,
        aclosing(provider.chat(client, endpoint(url), chat())) as stream,
    ):
        async for chunk in stream:
            if chunk.text:
                return


async def sent(provider: Provider, asked: Chat, **more: Any) -> httpx.Request:
    """Return the request that goes out for a chat."""
    requests: list[httpx.Request] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(500)

    async with open_client(Policy(), transport=httpx.MockTransport(refuse)) as client:
        try:
            async for _ in provider.chat(client, endpoint(**more), asked):
                pass
        except LLMRouteError:
            pass
    return requests[0]


def body(request: httpx.Request) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(request.content)
    return read


async def models(provider: Provider, url: str, **more: Any) -> tuple[ServedModel, ...]:
    async with opened() as client:
        return await provider.models(Probe(client, url, timeout_s=5), endpoint(url, **more))


async def recognises(provider: Provider, url: str) -> bool:
    async with opened() as client:
        return await provider.recognise(Probe(client, url, timeout_s=5))


async def within_reason(future: Any) -> Any:
    """Wait for what must happen; a minute is only there so that a failure ends."""
    async with asyncio.timeout(60):
        return await asyncio.wrap_future(future)
