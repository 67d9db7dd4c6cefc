"""What a router costs over raw httpx: to the first token, and in tokens a second. LiteLLM's Router beside it.

Run: python tests/bench/overhead.py  (with litellm installed, it is measured too)

All in turns in one run, against one server in a process of its own, so that they share whatever else the machine does.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings

QUESTION = "fix this"
PACES = {
    "50 tokens at once": (50, 0.0, 60),
    "100 tokens, 100 a second": (100, 0.01, 10),
    "200 tokens, 400 a second": (200, 0.0025, 10),
}
"""Tokens of an answer, seconds between two, and calls."""

Ask = Callable[[], AsyncIterator[str]]


class Call(NamedTuple):
    """One call: seconds to the first text, and texts a second from the first to the last."""

    first_s: float
    rate: float
    tokens: int


@contextlib.contextmanager
def server(tokens: int, every_s: float) -> Iterator[str]:
    """Run the token server in a process of its own."""
    script = Path(__file__).with_name("token_server.py")
    command = [sys.executable, str(script), str(tokens), str(every_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


async def call(ask: Ask) -> Call:
    start = time.perf_counter()
    first = last = None
    tokens = 0
    async for text in ask():
        last = time.perf_counter()
        first = first or last
        tokens += len(text.split())
    assert first
    assert last
    return Call(first - start, (tokens - 1) / max(last - first, 1e-9), tokens)


@contextlib.asynccontextmanager
async def raw(url: str) -> AsyncIterator[Ask]:
    body = {"model": "clock", "messages": [{"role": "user", "content": QUESTION}], "stream": True}
    async with httpx.AsyncClient(trust_env=False) as client:

        async def ask() -> AsyncIterator[str]:
            async with client.stream("POST", url + "/v1/chat/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        yield json.loads(line[6:])["choices"][0]["delta"].get("content") or ""

        yield ask


@contextlib.asynccontextmanager
async def routed(url: str) -> AsyncIterator[Ask]:
    settings = Settings(
        services={"custom_endpoints": [{"name": "clock", "endpoint": url, "api_style": "openai"}]},
        embedded={"enabled": False},
        discovery={"host_machine": False},
    )
    async with Router(settings) as router:
        request = Request(question=QUESTION, service="clock")

        async def ask() -> AsyncIterator[str]:
            async for event in router.stream(request):
                if event.kind == "text_delta":
                    yield event.text

        yield ask


@contextlib.asynccontextmanager
async def litellm_routed(url: str) -> AsyncIterator[Ask]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # otherwise it asks the internet for prices
    import litellm

    parameters = {"model": "openai/clock", "api_base": url + "/v1", "api_key": "none"}
    router = litellm.Router(model_list=[{"model_name": "clock", "litellm_params": parameters}])

    async def ask() -> AsyncIterator[str]:
        messages = [{"role": "user", "content": QUESTION}]
        async for chunk in await router.acompletion(model="clock", messages=messages, stream=True):
            yield chunk.choices[0].delta.content or ""

    yield ask


WAYS = {"raw httpx": raw, "this router": routed, "LiteLLM Router": litellm_routed}


async def measure(name: str, tokens: int, every_s: float, calls: int) -> None:
    ways = dict(WAYS)
    if not importlib.util.find_spec("litellm"):
        del ways["LiteLLM Router"]
    seen: dict[str, list[Call]] = {way: [] for way in ways}
    with server(tokens, every_s) as url:
        async with contextlib.AsyncExitStack() as stack:
            asks = {way: await stack.enter_async_context(opened(url)) for way, opened in ways.items()}
            for _ in range(3):
                for ask in asks.values():
                    await call(ask)
            for _ in range(calls):
                for way, ask in asks.items():
                    seen[way].append(await call(ask))
    print(f"{name}, {calls} calls each, in turns")
    base = seen["raw httpx"]
    first_s = statistics.median(c.first_s for c in base)
    for way, of_way in seen.items():
        assert {c.tokens for c in of_way} == {tokens}, f"{way} lost some"
        extra_ms = 1e3 * (statistics.median(c.first_s for c in of_way) - first_s)
        share = statistics.median(c.rate / b.rate for c, b in zip(of_way, base, strict=True))
        # Where all tokens come in one piece there is no pace to keep up with.
        pace = f"   tokens/s {share:6.3f} of raw httpx" if every_s else ""
        print(f"  {way:16} first token {extra_ms:+7.2f} ms over raw httpx{pace}")


if __name__ == "__main__":
    for name, (tokens, every_s, calls) in PACES.items():
        asyncio.run(measure(name, tokens, every_s, calls))
    if not importlib.util.find_spec("litellm"):
        print("LiteLLM is not installed here: pip install litellm, in an environment of its own, to see it beside.")
