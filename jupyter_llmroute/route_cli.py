"""The terminal's questions: `jupyter-llmroute route`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_llmroute import workplace

if TYPE_CHECKING:
    from jupyter_llmroute.core.cassette import Cassette
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.view import RunView

STANDING = ("model", "service", "task", "temperature", "max_tokens", "seed")
"""Options that the settings may name for all questions."""


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command `route` to those of the program."""
    from jupyter_llmroute.core.task import Task

    route = commands.add_parser("route", help="ask the model that suits a question")
    route.add_argument("question", nargs="+", help="the question, best in quotes; - reads it from standard input")
    route.add_argument("-m", "--model", help="ask only this model")
    route.add_argument("-s", "--service", help="ask only this server")
    route.add_argument("-t", "--task", choices=[task.value for task in Task])
    route.add_argument("--temperature", type=float)
    route.add_argument("--max-tokens", type=int)
    route.add_argument("--seed", type=int)
    route.add_argument(
        "--symbol", metavar="NAME", action="append", default=[], help="look it up in this folder's project"
    )
    route.add_argument(
        "--file", metavar="FILE", action="append", default=[], help="look into it: src/x.py, src/x.py:42"
    )
    route.add_argument("--serena", dest="code", action="store_true", default=None, help="look into the project anyway")
    route.add_argument("--no-serena", dest="code", action="store_false", default=None, help="do not look into it")
    route.add_argument(
        "--replay",
        choices=["none", "once", "new_episodes", "all"],
        help="give the answer that was kept in FILE, or ask and keep it there",
    )
    route.add_argument("--record", action="store_true", help="ask, and keep the answer in FILE: --replay all")
    route.add_argument("--cassette", type=Path, metavar="FILE", help="default: the only *.cassette.json of this folder")
    route.add_argument("--dry-run", action="store_true", help="show the decision, and ask nobody")
    route.add_argument("--why", action="store_true", help="explain the decision afterwards")
    route.add_argument("--all", action="store_true", help="with --why: every line of every part")
    route.set_defaults(run=_route)


def _route(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.environment import caller
    from jupyter_llmroute.core.errors import UserError
    from jupyter_llmroute.core.request import Request, Sampling

    question = sys.stdin.read() if options.question == ["-"] else " ".join(options.question)
    if not question.strip():
        raise UserError("There is no question.")
    settings = workplace.settings()
    _fill(options, settings.options_for(caller()))
    sampling = Sampling.checked(temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed)
    request = Request(
        question=question,
        task=options.task,
        model=options.model,
        service=options.service,
        sampling=sampling,
        with_code=options.code,
        symbols=options.symbol,
        files=options.file,
        folder=str(Path.cwd()),
    )

    async def go() -> None:
        from jupyter_llmroute.view import RunView

        view = RunView(request)
        async with workplace.router(settings) as router:
            try:
                await (_decide(router, request) if options.dry_run else answer(router, view, _cassette(options)))
            finally:
                if options.why:
                    _explain(router, view, show_all=options.all)

    asyncio.run(go())
    return 0


def _fill(options: argparse.Namespace, said: Mapping[str, object]) -> None:
    """Take from the settings what the command line does not say."""
    for name in STANDING:
        if getattr(options, name) is None and name in said:
            setattr(options, name, said[name])


async def _decide(router: Router, request: Request) -> None:
    from jupyter_llmroute.terminal import decision_lines

    print("\n".join(decision_lines(await router.decide(request), request)))


def _explain(router: Router, view: RunView, *, show_all: bool) -> None:
    from jupyter_llmroute.why import SHOWN, as_text

    if router.last_decision is None:
        return  # what stood in the way says so itself
    print(f"\n{as_text(router.last_decision, view, shown=None if show_all else SHOWN)}")


def _cassette(options: argparse.Namespace) -> Cassette | None:
    from jupyter_llmroute.core.cassette import Cassette, Mode, place

    mode = Mode.ALL if options.record else options.replay and Mode(options.replay)
    return Cassette(place(None, named=options.cassette), mode) if mode else None


async def answer(router: Router, view: RunView, cassette: Cassette | None = None) -> None:
    """Show an answer while it comes, from the recordings where they are given."""
    import contextlib

    from jupyter_llmroute.terminal import TerminalScreen

    screen = TerminalScreen()
    try:
        live = partial(router.stream, view.request)
        async with contextlib.aclosing(cassette.stream(view.request, live) if cassette else live()) as events:
            async for event in events:
                view.apply(event)
                screen.update(view, final=False)
    except asyncio.CancelledError:
        view.interrupt()
        raise
    except Exception as error:
        view.fail(error)
        raise
    finally:
        screen.update(view, final=True)
