"""How late the last word of an answer is in a JupyterLab page, and how busy an answer keeps the page.

Run: python -m tests.bench.browser  (in an environment with the extension, JupyterLab, Playwright and Chromium)

An answer of prose and code comes at a steady pace from a server in a process of its own. The page notes when the
kernel's end of the cell was sent (by the kernel's clock, which is the page's) and seen, and when the whole text, the
finished card with it, was on the screen. Where the main thread's time went is the browser's own account.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import nbformat
from playwright.sync_api import CDPSession, Page, sync_playwright

from tests.e2e.conftest import CHROMIUM, CHROMIUM_ARGS, KERNEL_READY, running_lab

TURNS = 3
MOST_LATE_MS = 300
TOKEN_BYTES = 4

SETTINGS = """
services: {{custom_endpoints: [{{name: clock, endpoint: '{url}', api_style: openai}}]}}
embedded: {{enabled: false}}
discovery: {{default_ports: false, host_machine: false}}
"""

ANSWER = """() => new Promise((resolve) => {
  const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
  const cell = [...document.querySelectorAll('.jp-CodeCell')][1];
  const kernel = sessionContext.session.kernel;
  const now = () => performance.timeOrigin + performance.now();
  const tasks = [], seen = { begun: now() };
  const watch = new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration)));
  watch.observe({ type: 'longtask' });
  let asks = null;
  const over = () => {
    if (seen.drawn === undefined || seen.idle === undefined) return;
    watch.disconnect();
    look.disconnect();
    resolve({ ...seen, tasks, length: cell.querySelector('.jp-llmroute-text').textContent.length });
  };
  kernel.iopubMessage.connect(function idle(_, message) {
    if (message.header.msg_type === 'execute_input') asks = message.parent_header.msg_id;
    if (message.content.execution_state !== 'idle' || message.parent_header.msg_id !== asks) return;
    kernel.iopubMessage.disconnect(idle);
    seen.sent = Date.parse(message.header.date);
    seen.idle = now();
    over();
  });
  const look = new MutationObserver(() => {
    const isWhole = cell.querySelector('.jp-llmroute-card')?.dataset.state === 'complete'
      && cell.querySelector('.jp-llmroute-text')?.textContent.trim().endsWith('THE END');
    if (!isWhole || seen.waits) return;
    seen.waits = true;
    requestAnimationFrame(() => setTimeout(() => { seen.drawn = now(); over(); }));
  });
  look.observe(cell, { subtree: true, childList: true, characterData: true, attributes: true });
  content.activeCellIndex = 1;
  void window.jupyterapp.commands.execute('notebook:run-cell');
})"""


class Turn(NamedTuple):
    """One answer; milliseconds."""

    late_ms: float
    """From the end of the cell, as the kernel sent it, to the whole text on the screen."""
    late_seen_ms: float
    """The same from the end of the cell as the page saw it."""
    busy: float
    """Share of the answer's time that the main thread was at work."""
    longest_ms: float
    long_tasks: int
    """Those over 50 ms."""
    parts: dict[str, float]
    """Share of the answer's time by kind of work."""
    characters: int
    wall_s: float


@contextmanager
def server(tokens: int, every_s: float) -> Iterator[str]:
    words = (sys.executable, str(Path(__file__).with_name("token_server.py")), str(tokens), str(every_s), "prose")
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def work(session: CDPSession) -> dict[str, float]:
    """Return the seconds of the main thread until now, by kind of work."""
    metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    kinds = {"all": "TaskDuration", "script": "ScriptDuration", "style": "RecalcStyleDuration"}
    return {kind: metrics[name] for kind, name in {**kinds, "layout": "LayoutDuration"}.items()}


def turn(page: Page, session: CDPSession) -> Turn:
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    before = work(session)
    seen = page.evaluate(ANSWER)
    after = work(session)
    wall_s = (seen["drawn"] - seen["begun"]) / 1000
    parts = {kind: (after[kind] - before[kind]) / wall_s for kind in before}
    return Turn(
        late_ms=seen["drawn"] - seen["sent"],
        late_seen_ms=seen["drawn"] - seen["idle"],
        busy=parts.pop("all"),
        longest_ms=max(seen["tasks"], default=0),
        long_tasks=len(seen["tasks"]),
        parts=parts,
        characters=seen["length"],
        wall_s=wall_s,
    )


def open_notebook(page: Page, url: str, token: str, root: Path) -> None:
    cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext jupyter_llmroute", "%%route --no-context\nhi")]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), root / "pace.ipynb")
    page.goto(f"{url}/lab/tree/pace.ipynb?reset&token={token}")
    page.wait_for_selector("#jupyterlab-splash", state="detached")
    page.evaluate(KERNEL_READY, 60_000)
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-cell')")
    page.evaluate(KERNEL_READY, 60_000)


def measure(tokens: int, every_s: float) -> list[Turn]:
    """Return some answers of so many tokens; the first of a page is not counted."""
    with tempfile.TemporaryDirectory() as folder, server(tokens, every_s) as url, sync_playwright() as playwright:
        settings = Path(folder) / "llmroute.yaml"
        settings.write_text(SETTINGS.format(url=url))
        os.environ["LLMROUTE_HOME"] = folder
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGS)
        try:
            with running_lab(Path(folder), settings) as lab:
                page = browser.new_page(viewport={"width": 1200, "height": 900})
                page.set_default_timeout(120_000)
                open_notebook(page, lab.url, lab.token, lab.root)
                session = page.context.new_cdp_session(page)
                session.send("Performance.enable")
                return [turn(page, session) for _ in range(TURNS + 1)][1:]
        finally:
            browser.close()


def main() -> None:
    for tokens, rate in ((50_000 // TOKEN_BYTES, 1000), (2_000, 500)):
        turns = measure(tokens, 1 / rate)
        print(f"{tokens:,} tokens at {rate:,} a second: {turns[0].characters:,} characters shown, {TURNS} answers,")
        print(f"  {statistics.median(one.wall_s for one in turns):.2f} s each; load {os.getloadavg()[0]:.2f}")
        print("  | ms late | as seen | main thread busy | script, style, layout | longest block, ms | blocks |")
        print("  | --- | --- | --- | --- | --- | --- |")
        for one in turns:
            print(_row(one))
        late = statistics.median(one.late_ms for one in turns)
        busy, longest = (statistics.median(getattr(one, name) for one in turns) for name in ("busy", "longest_ms"))
        print(f"  median: {late:.0f} ms late (at most {MOST_LATE_MS}), {busy:.0%} busy, longest block {longest:.0f} ms")


def _row(one: Turn) -> str:
    parts = ", ".join(f"{one.parts[kind]:.0%}" for kind in ("script", "style", "layout"))
    late = f"{one.late_ms:.0f} | {one.late_seen_ms:.0f}"
    return f"  | {late} | {one.busy:.0%} | {parts} | {one.longest_ms:.0f} | {one.long_tasks} |"


if __name__ == "__main__":
    main()
