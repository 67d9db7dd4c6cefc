"""How much of its prompts a server need not read again over a session of twenty cells.

Run: python tests/bench/prompt_cache.py [--model FILE.gguf] [--only NAME]

llama.cpp's server is asked the same twenty questions in two ways, side by side: with prompts that grow at their ends,
as the router sends them, and with a window of the last two exchanges. The first two sessions are with llama.cpp's own
defaults, the others with those of the embedded server, which moves what it remembers of a prompt's middle. Then the
first way again with what costs something: variables, code of the project, a cell that is run again in the middle, a
window so small that the conversation is shortened, a question that another server answers. All figures are the
server's own: `cached_tokens` and `timings.prompt_ms` of each answer, from the second question on.
"""

from __future__ import annotations

import argparse
import asyncio
import runpy
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.cells_source import AttachmentsSource, CellsSource
from jupyter_llmroute.core.compaction import compact
from jupyter_llmroute.core.context import Context, Gathered, gather
from jupyter_llmroute.core.embedded import EmbeddedBackend, Running, find_models
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.prompt import Message, lay_out
from jupyter_llmroute.core.request import CellRef, Request, Turn
from jupyter_llmroute.core.sections import ContextSettings, EmbeddedSettings

write_tiny_model = runpy.run_path(str(Path(__file__).parents[1] / "tiny_gguf.py"))["write_tiny_model"]

QUESTIONS = 20
ANSWER_TOKENS = 110
RESERVE = 512
RULES = ContextSettings(max_cells=4, reserve_tokens=RESERVE)
MODULE = (
    "def load(path):\n" + "".join(f"    step_{n} = clean(path, rule={n})\n" for n in range(25)) + "    return step_24"
)


def cell(number: int) -> CellRef:
    """A cell as data work has them: a few lines, and a table as its output."""
    name, before = f"frame_{number}", f"frame_{number - 1}" if number > 1 else "raw"
    source = (
        f"{name} = {before}.assign(ratio={before}.price / {before}.count)\n"
        f"{name}[{name}.ratio > {number}].agg(['mean', 'std', 'max'])"
    )
    rows = (f"{stat:>6}  {number * 17 + at * 3.7:8.2f}  {number * 5 - at * 1.9:8.2f}" for at, stat in enumerate(STATS))
    return CellRef(number=number, source=source, output="        price     ratio\n" + "\n".join(rows))


STATS = ("mean", "std", "max")


class Session(NamedTuple):
    """What happens in twenty questions."""

    name: str
    window: int = 8192
    variables: bool = False
    project: bool = False
    again: int = 0
    """At this question the cell of an earlier one is run again, and asks again."""
    elsewhere: int = 0
    """This question is answered by another server."""
    exchanges: int | None = None
    """So many earlier exchanges go along; `None`: all."""
    moves: bool = True
    """Whether the server moves what it remembers, as ours does; by llama.cpp's own default it does not."""


SESSIONS = (
    Session("grows at its end", moves=False),
    Session("window of two exchanges", exchanges=2, moves=False),
    Session("grows, server moves", moves=True),
    Session("window, server moves", exchanges=2),
    Session("with variables", variables=True),
    Session("with code of the project", project=True),
    Session("a cell run again at 11", again=11),
    Session("shortened once, at 6,144 tokens", window=6144),
    Session("another server answers at 7", elsewhere=7),
    Session("all of these", variables=True, project=True, again=13, elsewhere=3),
)


class Project:
    """Code of the project, as it goes along with some questions."""

    async def gather(self, request: Request) -> Gathered:
        if request.cells[-1].number % 5:
            return Gathered()
        text = f"shop/load.py:\n```python\n{MODULE}\n```"
        return Gathered(items=(ContextItem(ref="shop/load.py", text=text, reason="uses load"),))


class Cost(NamedTuple):
    """What the server says of one prompt."""

    tokens: int
    cached: int
    prompt_ms: float


async def ask(client: httpx.AsyncClient, server: Running, messages: Sequence[Message]) -> tuple[str, Cost]:
    """Ask a server, and return its answer with what the prompt cost."""
    body = {
        "model": server.model,
        "messages": [message.model_dump() for message in messages],
        "max_tokens": ANSWER_TOKENS,
        "temperature": 0,
        "cache_prompt": True,
    }
    headers = {"Authorization": f"Bearer {server.key.get_secret_value()}"}
    reply = await client.post(f"{server.url}/v1/chat/completions", json=body, headers=headers)
    told = reply.raise_for_status().json()
    usage = told["usage"]
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    cost = Cost(usage["prompt_tokens"], cached, told["timings"]["prompt_ms"])
    return told["choices"][0]["message"]["content"], cost


async def run(session: Session, client: httpx.AsyncClient, server: Running, other: Running) -> list[Cost]:
    """Return what each prompt of a session cost."""
    sources = (AttachmentsSource(), *([Project()] if session.project else []), CellsSource(RULES))
    turns: list[Turn] = []
    costs = []
    for number in range(1, QUESTIONS + 1):
        asked = number
        if number == session.again:
            asked = number // 2
            turns = [turn for turn in turns if turn.number != asked]
        told = Attachment(
            name=f"frame_{asked}", kind="DataFrame", text=f"frame_{asked}: DataFrame, {asked}00 rows x 2 columns"
        )
        request = Request(
            question=f"{session.name}: what does the ratio of `frame_{asked}` tell, and is it plausible?",
            cells=tuple(map(cell, range(1, number + 1))),
            turns=tuple(turns if session.exchanges is None else turns[-session.exchanges :]),
            attachments=(told,) if session.variables and number % 3 == 0 else (),
        )
        context = await gather(request, sources)
        messages = lay_out(shortened(context, session.window))
        answer, cost = await ask(client, other if number == session.elsewhere else server, messages)
        costs.append(cost)
        turns.append(Turn(number=asked, question=request.question, answer=answer, items=context.items))
    return costs[1:]


def shortened(context: Context, window: int) -> Context:
    """Return a context as it fits a window, by the rules of the router."""
    return compact(context, window - RESERVE, "smollm", RULES)


def line(session: Session, costs: Sequence[Cost], compared: float | None) -> str:
    """Return the figures of a session."""
    tokens, cached = sum(cost.tokens for cost in costs), sum(cost.cached for cost in costs)
    seconds = sum(cost.prompt_ms for cost in costs) / 1000
    share = f"{cached / tokens:6.1%} of {tokens:7,} tokens cached, {tokens - cached:6,} read in {seconds:6.1f} s"
    return f"{session.name:30} {share}" + (f", x {seconds / compared:.2f}" if compared else "")


async def measure(model: Path | None, only: str) -> None:
    """Run the sessions, and print a line for each."""
    settings = EmbeddedSettings(model_path=model)
    header = find_models(settings)[0]
    tiny = Path(tempfile.mkdtemp()) / "tiny.gguf"
    write_tiny_model(header.path, tiny)
    small = settings.model_copy(update={"model_path": tiny})
    still = settings.model_copy(
        update={"model_path": Path(shutil.copy(header.path, tiny.parent)), "cache_reuse_tokens": 0}
    )
    with EmbeddedBackend(settings) as backend, EmbeddedBackend(small) as second, EmbeddedBackend(still) as third:
        moving, other = await backend.ensure(header), await second.ensure(find_models(small)[0])
        unmoved = await third.ensure(find_models(still)[0])
        async with httpx.AsyncClient(trust_env=False, timeout=600) as client:
            compared: float | None = None
            for session in SESSIONS:
                if only in session.name:
                    costs = await run(session, client, moving if session.moves else unmoved, other)
                    print(line(session, costs, compared), flush=True)
                    if session.exchanges is None and compared is None:
                        compared = sum(cost.prompt_ms for cost in costs) / 1000


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    asyncio.run(measure(options.model, options.only))
