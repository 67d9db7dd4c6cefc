"""What `%load_ext jupyter_llmroute` costs over plain IPython: seconds and resident memory, medians of fresh processes.

Run: python tests/bench/load_ext.py
"""

import statistics
import subprocess
import sys

SCRIPT = """
import sys, time, psutil
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
start, rss = time.perf_counter(), psutil.Process().memory_info().rss
if {load}:
    shell.run_line_magic("load_ext", "jupyter_llmroute")
heavy = [name for name in ("pydantic", "httpx", "ipywidgets", "yaml", "jupyter_server") if name in sys.modules]
print(time.perf_counter() - start, psutil.Process().memory_info().rss - rss, ",".join(heavy) or "none")
"""


def measure(load: bool, runs: int = 5) -> tuple[float, float, str]:
    """Return seconds, MiB and the heavy modules that came along."""
    found = []
    for _ in range(runs):
        output = subprocess.check_output([sys.executable, "-c", SCRIPT.format(load=load)], text=True)
        found.append(output.split())
    seconds = statistics.median(float(line[0]) for line in found)
    mib = statistics.median(int(line[1]) for line in found) / 2**20
    return seconds, mib, found[-1][2]


if __name__ == "__main__":
    for load in (False, True):
        seconds, mib, heavy = measure(load)
        name = "with %load_ext" if load else "plain IPython"
        print(f"{name:16} {seconds:.4f} s  {mib:+.1f} MiB  heavy modules: {heavy}")
