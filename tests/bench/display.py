"""What a kernel spends on showing an answer while it comes, and what of that a saved notebook keeps.

Run: python tests/bench/display.py  (in an environment with ipykernel)

2,000 tokens at 500 a second, in a real kernel: once shown as `%%route` shows it, once not shown at all, in turns. The
difference of processor seconds is what showing costs; it is told as a share of one core over the time of the answer.
The tokens come from a server in a process of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

TOKENS, RATE = 2_000, 500
TURNS = 5
MOST_SHARE = 0.05
"""Of a core, for showing."""

WORDS = ("def ", "total", "(rows", ", ", "window", "=3):\n", "    ", "return ", "sum(", "rows[-", "window", ":])\n\n")

SETTINGS = """
services: {{custom_endpoints: [{{name: pace, endpoint: '{url}', api_style: openai}}]}}
embedded: {{enabled: false}}
discovery: {{default_ports: false, host_machine: false}}
"""

SETUP = """
%load_ext jupyter_llmroute
from IPython import get_ipython

class Nowhere:
    def update(self, view, *, final):
        pass

session = get_ipython().magics_manager.registry["RouteMagics"].session
"""
SHOWN = "%%route --no-context\nfix this"
NOT_SHOWN = "r = session.answer(session.questions.request('fix this', with_context=False), Nowhere())"


class Turn(NamedTuple):
    """One answer."""

    cpu_s: float
    """Of the kernel, all its threads."""
    wall_s: float
    updates: int
    sent_bytes: int
    """Of all messages with outputs."""
    saved: dict[str, dict[str, object]]
    """The outputs that a saved notebook keeps."""


def serve() -> None:
    """Be the server: tokens of an answer with a block of code, each at its time."""
    import asyncio

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                await reader.readexactly(int(length[0].split(b":")[1])) if length else None
                if b"/v1/chat/completions" in head.split(b"\r\n", 1)[0]:
                    await answer(writer)
                else:
                    is_models = b" /v1/models " in head
                    body = json.dumps({"data": [{"id": "pace", "object": "model"}]} if is_models else {}).encode()
                    status = b"200 OK" if is_models else b"404 Not Found"
                    more = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
                    writer.write(b"HTTP/1.1 %b\r\n%b" % (status, more))
                    await writer.drain()
        writer.close()

    async def answer(writer: asyncio.StreamWriter) -> None:
        def chunk(data: bytes) -> bytes:
            return b"%x\r\n%b\r\n" % (len(data), data)

        def event(delta: dict[str, str], finish: str | None = None) -> bytes:
            item = {"model": "pace", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
            return chunk(f"data: {json.dumps(item)}\n\n".encode())

        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        began = time.perf_counter()
        for number in range(TOKENS):
            text = "Here it is:\n\n```python\n" if number == 0 else WORDS[number % len(WORDS)]
            writer.write(event({"content": text}))
            await writer.drain()
            await asyncio.sleep(max(0.0, began + (number + 1) / RATE - time.perf_counter()))
        writer.write(event({"content": "\n```\n"}) + event({}, "stop") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        await writer.drain()

    async def main() -> None:
        server = await asyncio.start_server(conversation, "127.0.0.1", 0)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until the one who started it is done

    asyncio.run(main())


@contextlib.contextmanager
def server() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait(10)


@contextlib.contextmanager
def kernel(url: str) -> Iterator[tuple[BlockingKernelClient, psutil.Process]]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "llmroute.yaml"
        settings.write_text(SETTINGS.format(url=url))
        own = {name: folder for name in ("LLMROUTE_HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
        manager, client = start_new_kernel(env={**os.environ, **own, "LLMROUTE_SETTINGS": str(settings)})
        try:
            run(client, psutil.Process(), SETUP)
            (pid,) = [manager.provisioner.pid]  # type: ignore[union-attr]
            yield client, psutil.Process(pid)
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def run(client: BlockingKernelClient, process: psutil.Process, code: str) -> Turn:
    """Run a cell, and keep of its outputs what a front end saves."""
    outputs: dict[str, dict[str, object]] = {}
    updates = sent = 0

    def hook(message: dict[str, object]) -> None:
        nonlocal updates, sent
        kind, content = message["header"]["msg_type"], message["content"]  # type: ignore[index]
        if kind == "error":
            raise RuntimeError("\n".join(content["traceback"]))  # type: ignore[index]
        if kind in ("display_data", "update_display_data"):
            outputs[content["transient"].get("display_id", "")] = content["data"]  # type: ignore[index]
            updates += 1
            sent += len(json.dumps(content))

    before, began = process.cpu_times(), time.perf_counter()
    client.execute_interactive(code, timeout=120, output_hook=hook, store_history=True)
    after, wall_s = process.cpu_times(), time.perf_counter() - began
    cpu_s = after.user + after.system - before.user - before.system
    return Turn(cpu_s, wall_s, updates, sent, outputs)


def saved_bytes(turn: Turn) -> int:
    """Return what the outputs are worth in a saved notebook."""
    return sum(len(json.dumps(data)) for data in turn.saved.values())


def main() -> None:
    with server() as url, kernel(url) as (client, process):
        for code in (SHOWN, NOT_SHOWN):
            run(client, process, code)  # warm
        shown, not_shown = [], []
        for _ in range(TURNS):
            shown.append(run(client, process, SHOWN))
            not_shown.append(run(client, process, NOT_SHOWN))
    wall_s = statistics.median(turn.wall_s for turn in shown)
    whole = statistics.median(turn.cpu_s / turn.wall_s for turn in shown)
    without = statistics.median(turn.cpu_s / turn.wall_s for turn in not_shown)
    of_showing = statistics.median((a.cpu_s - b.cpu_s) / a.wall_s for a, b in zip(shown, not_shown, strict=True))
    last = shown[-1]
    text = len(str(next(iter(last.saved.values()))["text/plain"]))
    print(f"{TOKENS:,} tokens at {RATE} a second, {TURNS} answers each, in turns: {wall_s:.2f} s an answer")
    print(f"  kernel's share of a core: {whole:.1%} shown, {without:.1%} not shown")
    print(f"  for showing alone: {of_showing:.1%} (at most {MOST_SHARE:.0%})")
    print(f"  {last.updates} updates, {last.sent_bytes:,} bytes in messages")
    print(f"  saved: {len(last.saved)} output, {saved_bytes(last):,} bytes for an answer of {text:,} characters")
    assert len(last.saved) == 1, "every update is of the same output"
    assert saved_bytes(last) < 3 * text + 5_000, "the text twice, escaped, and the facts"
    assert of_showing <= MOST_SHARE, of_showing


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
