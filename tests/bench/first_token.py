"""How long a token takes from the server to a notebook's output, and what a call costs over raw httpx.

Run: python tests/bench/first_token.py
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from jupyter_client.manager import start_new_kernel
from token_server import token_server

from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings

CALLS = 40
SERVICES = """
services:
  ollama: {{enabled: false}}
  llamacpp: {{enabled: false}}
  custom_endpoints: [{{name: clock, endpoint: '{url}'}}]
embedded: {{enabled: false}}
"""


def settings_file(url: str) -> Path:
    path = Path(tempfile.mkdtemp()) / "llmroute.yaml"
    path.write_text(SERVICES.format(url=url))
    os.environ["LLMROUTE_SETTINGS"] = str(path)
    return path


def figures(name: str, seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p90 = ordered[int(len(ordered) * 0.9)]
    median, p90, longest = (1e3 * value for value in (statistics.median(ordered), p90, ordered[-1]))
    return f"{name:44} median {median:6.1f} ms  p90 {p90:6.1f} ms  max {longest:6.1f} ms"


def to_the_output() -> list[float]:
    """Seconds from a first token's sending to the message that shows it."""
    lags: list[float] = []
    with token_server(tokens=20, every_s=0.02) as url:
        settings_file(url)
        manager, client = start_new_kernel(kernel_name="python3")
        client.execute_interactive("%load_ext jupyter_llmroute", timeout=60)
        for _ in range(CALLS):
            seen = False

            def hook(message: dict[str, Any]) -> None:
                nonlocal seen
                text = message["content"].get("data", {}).get("text/plain", "")
                if text and not seen:
                    seen = True
                    lags.append(time.time() - float(text.split()[0]))

            client.execute_interactive("%%route --no-context\nfix this", timeout=60, output_hook=hook)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return lags[1:]  # the first call imports the router


async def over_httpx() -> tuple[list[float], list[float]]:
    """Seconds of a whole call to a server that answers at once: raw httpx and the router, in turns."""
    raw, routed = [], []
    with token_server(tokens=50, every_s=0) as url:
        settings_file(url)
        body = {"model": "clock", "messages": [{"role": "user", "content": "fix this"}], "stream": True}
        async with Router(Settings.load()) as router, httpx.AsyncClient(trust_env=False) as client:
            for _ in range(CALLS * 3):
                start = time.perf_counter()
                async with client.stream("POST", url + "/v1/chat/completions", json=body) as response:
                    async for _line in response.aiter_lines():
                        pass
                raw.append(time.perf_counter() - start)
                start = time.perf_counter()
                async for _event in router.stream(Request(question="fix this")):
                    pass
                routed.append(time.perf_counter() - start)
    return raw[3:], routed[3:]


if __name__ == "__main__":
    print(figures("first token, from server to output", to_the_output()))
    raw, routed = asyncio.run(over_httpx())
    print(figures("50-token call, raw httpx", raw))
    print(figures("50-token call, router", routed))
    print(f"{'router over raw httpx':44} median {(statistics.median(routed) - statistics.median(raw)) * 1e3:6.1f} ms")
