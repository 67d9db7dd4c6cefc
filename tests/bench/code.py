"""What code intelligence costs: start, first answer, warm answers, eight at once, memory; and its parts in a kernel.

Run: python tests/bench/code.py PROJECT SYMBOL [--serena EXECUTABLE]

PROJECT is a folder with Python files, such as a package from the index; SYMBOL one of its symbols, as `Order.total`.
All figures are printed in seconds and megabytes. Serena is the one that is named, or that of `serena install`; without
it only what answers in its place is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from jupyter_llmroute.core.classifier import classify
from jupyter_llmroute.core.code.code_source import CodeSource
from jupyter_llmroute.core.code.finding import Ask, CodeIntelligence, CodeQuestion
from jupyter_llmroute.core.code.installation import find
from jupyter_llmroute.core.code.plan import Meant, plan
from jupyter_llmroute.core.code.serena import Serena
from jupyter_llmroute.core.code.static_code import StaticCode
from jupyter_llmroute.core.code.told import items_of
from jupyter_llmroute.core.context import Context, Gathered
from jupyter_llmroute.core.prompt import item_text
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.sections import SerenaSettings
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.tokens import estimate_tokens

WARM = 20
TOGETHER = 8


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that something takes."""
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def answers(name: str, who: CodeIntelligence, symbol: str, file: str) -> None:
    """Print what answers of one source cost."""
    definition = CodeQuestion(ask=Ask.DEFINITION, name_path=symbol, file=file)
    uses = CodeQuestion(ask=Ask.REFERENCES, name_path=symbol, file=file)
    print(f"{name:28} first definition {await timed(lambda: who.find(definition)):.3f}")
    print(f"{name:28} first uses       {await timed(lambda: who.find(uses)):.3f}")
    for ask, question in (("definition", definition), ("uses", uses)):
        warm = [await timed(lambda question=question: who.find(question)) for _ in range(WARM)]  # type: ignore[misc]
        print(f"{name:28} warm {ask:11} {statistics.median(warm):.3f} (median of {WARM})")
    together = await timed(lambda: asyncio.gather(*(who.find(definition) for _ in range(TOGETHER))))
    print(f"{name:28} {TOGETHER} together       {together:.3f}")


async def first_question(name: str, project: Path, symbol: str, settings: SerenaSettings) -> None:
    """Print what the first question about uses gets, in the time that a question has: nothing was read before."""
    question = f"who uses {symbol.replace('/', '.')}?"
    context = Context(request=Request(question=question, folder=str(project), with_code=True))
    what = classify(context.request, context)
    async with CodeSource(settings, Settings().task_routing) as source:
        code = source.project(context.request)
        if code and code.serena:
            await code.serena.ready(600)
        found: list[Gathered] = []
        for _ in range(2):
            took = time.perf_counter()
            found.append(await source.gather(context, what))
            took = time.perf_counter() - took
            lines = sum(item.output.count("\n") + 1 for item in found[-1].items if item.ref.startswith("where"))
            print(f"{name:28} {'first' if len(found) == 1 else 'next'} question: {took:.2f}, {lines} lines of uses")
        print("\n".join(f"{'':28} {remark}" for remark in found[0].remarks))


async def measure(project: Path, symbol: str, executable: Path | None) -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["LLMROUTE_HOME"] = home  # with an empty cache of jedi's
        await first_question("jedi and ast", project, symbol, SerenaSettings(enabled=False))
        if named := find(executable):
            await first_question("Serena", project, symbol, SerenaSettings(executable=str(named.serena)))
    del os.environ["LLMROUTE_HOME"]
    async with StaticCode(project) as static:
        found = await static.find(CodeQuestion(ask=Ask.DEFINITION, name_path=symbol))
        file = found[0].file if found else ""
        await answers("jedi and ast", static, symbol, file)
        asked = plan(f"who uses {symbol}?", Task.ANALYSIS, [Meant(name_path=symbol, file=file)])
        tokens = 0
        for question in asked:
            if question.ask in static.asks:
                items = items_of(question, await static.find(question), 1)
                tokens += sum(estimate_tokens(item_text(item)) for item in items)
        print(f"{'a question about its uses':28} adds {tokens} tokens")
    installed = find(executable)
    if installed is None:
        print("Serena is not installed: nothing more to measure")
        return
    with tempfile.TemporaryDirectory() as homes:
        for start in ("cold", "with its cache"):
            async with Serena(project, executable=installed.serena, homes=Path(homes)) as serena:
                took = await timed(lambda serena=serena: serena.ready(600))  # type: ignore[misc]
                print(f"{'Serena':28} ready, {start}: {took:.2f}")
                if start != "cold":
                    await answers("Serena", serena, symbol, file)
                    tree = [
                        psutil.Process(serena.state.pid),
                        *psutil.Process(serena.state.pid).children(recursive=True),
                    ]
                    rss = sum(process.memory_info().rss for process in tree) / 1e6
                    print(f"{'Serena':28} memory of {len(tree)} processes: {rss:.0f} MB")


def client() -> None:
    """Print what importing our client costs a kernel that has the router already."""
    code = (
        "import time, jupyter_llmroute.core.router as r, psutil; p = psutil.Process(); b = p.memory_info().rss;"
        "t = time.process_time(); import jupyter_llmroute.core.code.code_source;"
        "print(f'client: {time.process_time() - t:.3f} s of CPU, {(p.memory_info().rss - b) / 1e6:.1f} MB')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("project", type=Path)
    parser.add_argument("symbol")
    parser.add_argument("--serena", type=Path)
    options = parser.parse_args()
    client()
    asyncio.run(measure(options.project.resolve(), options.symbol.replace(".", "/"), options.serena))
