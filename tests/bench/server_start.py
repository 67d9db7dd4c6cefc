"""What the extension adds to the start of a Jupyter server, and what its first request adds then.

Run: python tests/bench/server_start.py

The server is started with and without the extension in turns, as anybody starts it. What is told is the time from its
start until its port answers, its processor time and its memory by then, each as the median of the differences between
neighbours: the machine may do other things too. The bar is 0.1 s and 15 MB.
"""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import psutil

ROUNDS = 11
TOKEN = secrets.token_hex(16)
TIMEOUT_S = 120


class Figures(NamedTuple):
    """Of one process; times in seconds, memory in MB. The share of what is common to several is counted in PSS."""

    wall: float
    cpu: float
    pss: float
    rss: float


def figures(process: psutil.Process, began: float) -> Figures:
    wall, times, memory = time.perf_counter() - began, process.cpu_times(), process.memory_full_info()
    return Figures(wall, times.user + times.system, getattr(memory, "pss", memory.uss) / 1e6, memory.rss / 1e6)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def status(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Authorization": f"token {TOKEN}"})
        return connection.getresponse().status
    finally:
        connection.close()


def answers(port: int) -> bool:
    try:
        return status(port, "/api") == 200
    except OSError:
        return False


def run(is_with: bool, folder: str) -> tuple[Figures, Figures]:
    """Return what a server took until it answered, and until the extension had answered its first request too."""
    port = free_port()
    environ = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": folder,
        "JUPYTER_DATA_DIR": folder,
        "JUPYTER_RUNTIME_DIR": folder,
        "JUPYTER_NO_CONFIG": "1",
        "LLMROUTE_HOME": folder,
        "LLMROUTE_DISCOVERY__DEFAULT_PORTS": "false",
    }
    words = (
        *(sys.executable, "-W", "ignore", "-m", "jupyter_server", "--no-browser", "--allow-root", f"--port={port}"),
        *("--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folder}"),
        f"--ServerApp.jpserver_extensions={{'jupyter_llmroute': {is_with}}}",
    )
    began = time.perf_counter()
    with (
        Path(folder, "server.log").open("wb") as log,
        subprocess.Popen(words, env=environ, cwd=folder, stdout=log, stderr=log) as running,
    ):
        try:
            while not answers(port):
                if running.poll() is not None or time.perf_counter() - began > TIMEOUT_S:
                    raise SystemExit(Path(folder, "server.log").read_text()[-2000:])
                time.sleep(0.002)
            process = psutil.Process(running.pid)
            at_start = figures(process, began)
            asked = time.perf_counter()
            if (status(port, "/jupyter_llmroute/services") == 200) is not is_with:
                raise SystemExit(Path(folder, "server.log").read_text()[-2000:])
            return at_start, figures(process, asked)
        finally:
            running.terminate()


def main() -> None:
    taken: dict[bool, list[tuple[Figures, Figures]]] = {False: [], True: []}
    print(f"{os.cpu_count()} cores, load before: {load()}; {ROUNDS} starts of each, in turns")
    with tempfile.TemporaryDirectory() as folder:
        run(True, folder)  # what is compiled and read from the disk for the first time counts for neither
        for number in range(ROUNDS):
            for is_with in (bool(number % 2), not number % 2):
                taken[is_with].append(run(is_with, folder))
    units = {"wall": "s until it answers", "cpu": "s of processor time", "pss": "MB (PSS)", "rss": "MB (RSS)"}
    for what, unit in units.items():
        alone, more = ([getattr(at_start, what) for at_start, _ in taken[each]] for each in (False, True))
        added = [b - a for a, b in zip(alone, more, strict=True)]
        later = [getattr(first, what) - (0 if what == "wall" else getattr(start, what)) for start, first in taken[True]]
        print(
            f"server alone {statistics.median(alone):.3f} {unit}; with the extension {statistics.median(added):+.3f}"
            f" (medians apart by {statistics.median(more) - statistics.median(alone):+.3f}); its first request then"
            f" {statistics.median(later):+.3f}"
        )
    print(f"load after: {load()}")


def load() -> str:
    return ", ".join(f"{each:.1f}" for each in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    main()
