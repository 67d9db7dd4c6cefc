"""What the extension adds to the start of a Jupyter server, and what its first request adds then.

Run: python tests/bench/server_start.py

The server is started with and without the extension in turns, each time as a process of its own; what is told is the
processor time until it listens, and its memory then: the clock tells more of what else the machine does.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile

ROUNDS = 5

CODE = """
import asyncio, json, logging, os, sys, time
from pathlib import Path
import psutil
from jupyter_server.serverapp import ServerApp

def figures():
    times = time.process_time()
    return {"s": times, "mb": psutil.Process().memory_full_info().uss / 2**20}

app = ServerApp.instance(
    jpserver_extensions={"jupyter_llmroute": sys.argv[1] == "with"}, open_browser=False, allow_root=True,
    log_level=logging.ERROR, port=0, root_dir=os.getcwd(),
)
app.initialize(argv=[])
at_start = figures()
heavy = sorted({"pydantic", "httpx", "yaml", "jupyter_llmroute.core.router"} & set(sys.modules))

async def first():
    async with app.web_app.settings["llmroute_exchange"].router() as router:
        await router.services()

if sys.argv[1] == "with":
    asyncio.get_event_loop_policy().get_event_loop().run_until_complete(first())
print(json.dumps({"start": at_start, "first": figures(), "heavy": heavy}))
os._exit(0)
"""


def run(which: str, folder: str) -> dict[str, dict[str, float]]:
    environ = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": folder,
        "JUPYTER_NO_CONFIG": "1",
        "LLMROUTE_HOME": folder,
        "LLMROUTE_DISCOVERY__DEFAULT_PORTS": "false",
    }
    words = (sys.executable, "-W", "ignore", "-c", CODE, which)
    told = subprocess.run(words, env=environ, cwd=folder, capture_output=True, check=True, text=True).stdout
    answer: dict[str, dict[str, float]] = json.loads(told.strip().splitlines()[-1])
    return answer


def main() -> None:
    runs: dict[str, list[dict[str, dict[str, float]]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(ROUNDS):
            for which, taken in runs.items():
                taken.append(run(which, folder))

    def median(which: str, when: str, what: str) -> float:
        return statistics.median(each[when][what] for each in runs[which])

    for what, unit, digits in (("s", "s of processor time", 3), ("mb", "MiB", 1)):
        before, after = median("without", "start", what), median("with", "start", what)
        later = median("with", "first", what)
        print(
            f"server alone {before:.{digits}f} {unit}; with the extension {after - before:+.{digits}f}; "
            f"its first request then {later - after:+.{digits}f}"
        )
    print(f"imported at the start of what is heavy: {', '.join(map(str, runs['with'][0]['heavy'])) or 'nothing'}")


if __name__ == "__main__":
    main()
