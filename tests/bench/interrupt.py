"""How long an interrupted `%%route` takes to end: from the interrupt to the idle kernel, all through an answer.

Run: python tests/bench/interrupt.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from first_token import settings_file
from jupyter_client.manager import start_new_kernel
from token_server import token_server

RUNS = 25


def main() -> None:
    """Print the figures."""
    took, kept = [], 0
    with token_server(tokens=2000, every_s=0.01) as url:
        settings_file(url)
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(Path(tempfile.mkdtemp())))
        client.execute_interactive("%load_ext jupyter_llmroute", timeout=60)
        for run in range(RUNS):
            sent_at = 0.0
            shown = ""

            def hook(message: dict[str, Any], wanted: int = 1 + 3 * run) -> None:
                nonlocal sent_at, shown
                shown = message["content"].get("data", {}).get("text/plain", shown)
                if not sent_at and len(shown.split()) >= wanted:
                    sent_at = time.perf_counter()
                    manager.interrupt_kernel()

            client.execute_interactive("%%route --no-context\nfix this", timeout=60, output_hook=hook)
            took.append(time.perf_counter() - sent_at)
            texts: list[str] = []
            client.execute_interactive(
                "print(_route.text, end='')",
                timeout=60,
                output_hook=lambda message, texts=texts: texts.append(message["content"].get("text", "")),
            )
            kept += "".join(texts) == shown
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    median, longest = statistics.median(took[1:]) * 1e3, max(took[1:]) * 1e3
    print(f"interrupt to idle, {RUNS - 1} runs: median {median:.0f} ms, max {longest:.0f} ms")
    print(f"output and _route hold the same text: {kept} of {RUNS}")


if __name__ == "__main__":
    main()
