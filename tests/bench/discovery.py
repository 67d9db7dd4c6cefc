"""How long a look around takes: when nothing runs, and when something takes connections and never answers.

`python tests/bench/discovery.py` prints the median, and all, of five fresh routers each, in seconds. All default ports
of all dialects are looked at, on this machine and, in the last two rows, on one more host. The ports are the real ones:
a model server that runs here is found, and named.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import statistics
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from jupyter_llmroute.core.providers import load_providers
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings

ROUNDS = 5
NOTHING_RUNS_S, BLACK_HOLE_S = 0.3, 1.6
"""What a look may take."""
FAR = "127.0.0.3"
"""Stands for another machine."""


def default_ports() -> list[int]:
    urls = (url for provider in load_providers().values() for url in provider.default_urls)
    return sorted({port for url in urls if (port := urlsplit(url).port)})


@contextlib.contextmanager
def silent(host: str, ports: list[int], *, drops: bool = False) -> Iterator[list[int]]:
    """Take connections on these ports, as far as they are free, and say nothing; give those that were free.

    Parameters
    ----------
    drops
        Let their queues be full, so that what comes in is dropped and connecting takes for ever.
    """
    with contextlib.ExitStack() as opened:
        taken = []
        for port in ports:
            with contextlib.suppress(OSError):
                opened.enter_context(listener(host, port, backlog=0 if drops else 64))
                taken.append(port)
            for _ in range(4 if drops else 0):
                waiting = opened.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((host, port))
        yield taken


def listener(host: str, port: int, backlog: int) -> socket.socket:
    opened = socket.socket()
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(backlog)
    except OSError:
        opened.close()
        raise
    return opened


async def look(hosts: tuple[str, ...]) -> tuple[float, list[str]]:
    """Return the seconds that a fresh router takes for its first look, and what it found."""
    settings = Settings(embedded={"enabled": False}, discovery={"hosts": hosts, "host_machine": False})
    async with Router(settings) as router:
        start = time.perf_counter()
        found = await router.services()
        return time.perf_counter() - start, [f"{endpoint.name} at {endpoint.base_url}" for endpoint in found]


def measure(name: str, bar_s: float, *hosts: str) -> None:
    rounds = [asyncio.run(look(hosts)) for _ in range(ROUNDS)]
    seconds = [took for took, _ in rounds]
    median = statistics.median(seconds)
    verdict = "within" if median < bar_s else "ABOVE"
    shown = " ".join(f"{took:.3f}" for took in seconds)
    print(f"{name:58} median {median:6.3f} s, {verdict} {bar_s} s   ({shown})")
    for found in rounds[-1][1]:
        print(f"{'':4}found: {found}")


if __name__ == "__main__":
    ports = default_ports()
    print(f"{len(ports)} default ports, {ROUNDS} fresh routers each")
    measure("nothing runs", NOTHING_RUNS_S)
    with silent("127.0.0.1", ports[:1]) as taken:
        measure(f"a port that never answers ({taken})", BLACK_HOLE_S)
    with silent("127.0.0.1", ports) as taken:
        measure(f"{len(taken)} ports that never answer", BLACK_HOLE_S)
    with silent(FAR, ports) as taken:
        measure(f"a host that never answers, on {len(taken)} ports", BLACK_HOLE_S, FAR)
    with silent(FAR, ports, drops=True) as taken:
        measure(f"a host that drops packets, on {len(taken)} ports", BLACK_HOLE_S, FAR)
