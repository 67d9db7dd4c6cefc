"""What the gateway adds to an answer, beside the LiteLLM proxy: the same fake server behind both, asked in turns.

Run: python tests/bench/gateway.py [--litellm PATH_OF_ITS_PROGRAM] [--tokens 64] [--without-audit-too]

The fake server, the Jupyter server and the proxy are processes of their own; each answer is a stream of tokens that
come at once. The gateway keeps its audit log, forced to the disk, as it does where nobody says otherwise; the proxy
keeps none. The added latency is what one client at a time waits longer than it does without a gateway, each taking a
few turns and then the next; ratios are of the same run, for the machine may do other things too.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

TOKENS = 20
ROUNDS = 20
ALONE = 50
"""Requests one after another, in each round: a thousand in all."""
RATED = 5
"""Rounds from one in which many ask together to the next."""
TOGETHER, AT_ONCE = 64, 16
MANY = 200
PROXY = "LiteLLM proxy"
KEY = "sk-bench-0123456789"
TIMEOUT_S = 120


class Target(NamedTuple):
    """Somebody to ask."""

    name: str
    url: str
    model: str
    tokens: int
    """Of each of its answers."""


class Took(NamedTuple):
    """One answer, in seconds."""

    first_s: float
    whole_s: float


class Connection:
    """One connection that is kept open, and asked again and again."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._parts = urlsplit(target.url)

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(
            self._parts.hostname, self._parts.port, limit=1 << 20
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def ask(self) -> Took:
        body = json.dumps(
            {
                "model": self._target.model,
                "stream": True,
                "messages": [{"role": "user", "content": "Write a function that adds two numbers."}],
            }
        ).encode()
        head = (
            f"POST {self._parts.path}/chat/completions HTTP/1.1\r\nHost: {self._parts.netloc}\r\n"
            f"Authorization: Bearer {KEY}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        self._writer.write(head.encode() + body)
        status = await self._reader.readuntil(b"\r\n\r\n")
        text, first_s = b"", 0.0
        while size := int(await self._reader.readline(), 16):
            text += (await self._reader.readexactly(size + 2))[:-2]
            if not first_s and re.search(rb'"content": ?"[^"]', text):
                first_s = time.perf_counter() - began
        await self._reader.readline()
        whole_s = time.perf_counter() - began
        tokens = len(re.findall(rb'"content": ?"[^"]', text))
        if b" 200 " not in status[:20] or tokens != self._target.tokens:
            raise SystemExit(f"{self._target.name}: {tokens} tokens\n{status.decode()}{text.decode()[:500]}")
        return Took(first_s, whole_s)


async def one_by_one(target: Target, count: int) -> list[Took]:
    async with Connection(target) as connection:
        return [await connection.ask() for _ in range(count)]


async def together(target: Target, count: int, at_once: int) -> float:
    """Return the answers a second of so many clients."""
    began = time.perf_counter()
    await asyncio.gather(*(one_by_one(target, count // at_once) for _ in range(at_once)))
    return count / (time.perf_counter() - began)


def free_port() -> int:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def process(
    *words: str, ready: str, environ: dict[str, str] | None = None, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until its address answers."""
    with log.open("wb") as output:
        running = subprocess.Popen(words, stdout=output, stderr=output, env={**os.environ, **(environ or {})})
    try:
        if not asyncio.run(_is_ready(ready, running)):
            raise SystemExit(f"{running.args!r} did not start:\n{log.read_text()[-2000:]}")
        yield running
    finally:
        running.terminate()
        running.wait(30)


async def _is_ready(url: str, running: subprocess.Popen[bytes]) -> bool:
    parts = urlsplit(url)
    ends = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends:
        if running.poll() is not None:
            break
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            auth = f"Authorization: Bearer {KEY}\r\n"
            writer.write(
                f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{auth}Connection: close\r\n\r\n".encode()
            )
            status = await reader.readline()
            writer.close()
            if b" 200 " in status:
                return True
        await asyncio.sleep(0.3)
    return False


@contextlib.contextmanager
def jupyter(upstream: str, folder: Path, tokens: int, *, with_audit: bool) -> Iterator[Target]:
    port = free_port()
    settings = {
        "services": {"custom_endpoints": [{"name": "fake", "endpoint": upstream}]},
        "discovery": {"default_ports": False},
        "embedded": {"enabled": False},
        "security": {"audit_enabled": with_audit},
    }
    (folder / "llmroute.yaml").write_text(json.dumps(settings))
    environ = {
        "LLMROUTE_SETTINGS": str(folder / "llmroute.yaml"),
        "LLMROUTE_HOME": str(folder / "state"),
        "JUPYTER_CONFIG_DIR": str(folder / "jupyter"),
    }
    words = (
        *(sys.executable, "-m", "jupyter_server", f"--port={port}", f"--IdentityProvider.token={KEY}"),
        *("--no-browser", "--allow-root", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"),
        "--ServerApp.jpserver_extensions={'jupyter_llmroute': True}",
    )
    url = f"http://127.0.0.1:{port}/jupyter_llmroute/v1"
    with process(*words, ready=f"{url}/models", environ=environ, log=folder / "jupyter.log"):
        yield Target(f"gateway, audit {'on' if with_audit else 'off'}", url, "auto", tokens)


@contextlib.contextmanager
def litellm(program: str, upstream: str, folder: Path, tokens: int) -> Iterator[Target]:
    port = free_port()
    config = {
        "model_list": [
            {
                "model_name": "clock",
                "litellm_params": {"model": "openai/clock", "api_base": f"{upstream}/v1", "api_key": "none"},
            }
        ],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
    }
    (folder / "litellm.yaml").write_text(json.dumps(config))
    url = f"http://127.0.0.1:{port}"
    words = (program, "--config", str(folder / "litellm.yaml"), "--port", str(port), "--host", "127.0.0.1")
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DISABLE_ADMIN_UI": "True"}
    with process(*words, ready=f"{url}/health/liveliness", environ=environ, log=folder / "litellm.log"):
        yield Target(PROXY, f"{url}/v1", "clock", tokens)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def measure(targets: Sequence[Target]) -> None:
    alone: dict[str, list[Took]] = {target.name: [] for target in targets}
    rates: dict[str, list[float]] = {target.name: [] for target in targets}
    for target in targets:
        await one_by_one(target, 10)
    for number in range(ROUNDS):
        for target in targets:
            alone[target.name] += await one_by_one(target, ALONE)
        for target in targets if number % RATED == 0 else ():
            rates[target.name].append(await together(target, TOGETHER, AT_ONCE))
    direct = alone[targets[0].name]
    print(f"{'':22} {'answers/s':>9}   added to the first token (whole answer), ms")
    for target in targets:
        took = alone[target.name]
        added = [
            1e3 * (percentile([t[at] for t in took], share) - percentile([t[at] for t in direct], share))
            for share in (0.5, 0.99)
            for at in (0, 1)
        ]
        told = f"p50 {added[0]:6.1f} ({added[1]:6.1f})   p99 {added[2]:6.1f} ({added[3]:6.1f})"
        print(f"{target.name:22} {statistics.median(rates[target.name]):9.1f}   {told if took is not direct else ''}")
    for target in targets:
        print(f"{MANY} streams at once, {target.name}: {await together(target, MANY, MANY):.1f} answers/s")
    print(f"{ROUNDS * ALONE} answers of {targets[0].tokens} tokens each, one client at a time")
    if PROXY in alone:
        for name in (target.name for target in targets[1:] if target.name != PROXY):
            print(f"{name}, of the proxy's: {_ratios(alone[name], alone[PROXY], rates[name], rates[PROXY])}")


def _ratios(ours: Sequence[Took], theirs: Sequence[Took], our_rates: list[float], their_rates: list[float]) -> str:
    def ratio(at: int, share: float) -> float:
        return percentile([took[at] for took in ours], share) / percentile([took[at] for took in theirs], share)

    what = ("first token", "whole answer")
    waits = (f"{what[at]} p{100 * share:g} {ratio(at, share):.2f}" for at in (0, 1) for share in (0.5, 0.99))
    rates = statistics.median(mine / other for mine, other in zip(our_rates, their_rates, strict=True))
    return f"{', '.join(waits)}; answers/s {rates:.2f}"


@contextlib.contextmanager
def upstream(tokens: int) -> Iterator[str]:
    words = (sys.executable, str(Path(__file__).with_name("token_server.py")), str(tokens), "0")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin
        assert running.stdout
        yield running.stdout.readline().decode().strip()
        running.stdin.close()


def load_now() -> str:
    return ", ".join(f"{each:.1f}" for each in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--litellm", metavar="PROGRAM", help="of an environment in which litellm[proxy] is installed")
    parser.add_argument("--tokens", type=int, default=TOKENS, help="of each answer")
    parser.add_argument("--without-audit-too", action="store_true", help="ask a gateway that keeps no log too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = Path(name)
        tokens: int = options.tokens
        url = running.enter_context(upstream(tokens))
        targets = [Target("direct", f"{url}/v1", "clock", tokens)]
        for with_audit in (True, False)[: 1 + options.without_audit_too]:
            place = folder / f"audit_{with_audit}"
            place.mkdir()
            targets.append(running.enter_context(jupyter(url, place, tokens, with_audit=with_audit)))
        if options.litellm:
            targets.append(running.enter_context(litellm(options.litellm, url, folder, tokens)))
        print(f"{os.cpu_count()} cores, load before: {load_now()}")
        asyncio.run(measure(targets))
        print(f"load after: {load_now()}")


if __name__ == "__main__":
    main()
