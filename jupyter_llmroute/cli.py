"""The terminal's face: `jupyter-llmroute` and its commands, of which each larger one has a file of its own."""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jupyter_llmroute
from jupyter_llmroute import (
    audit_cli,
    classify_cli,
    demo_cli,
    doctor_cli,
    embedded_cli,
    lock_cli,
    route_cli,
    serena_cli,
    workplace,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what the `jupyter-llmroute` script calls.

    Returns
    -------
    int
        The exit status: 0 well, 1 failed with a message, 2 wrong usage, 130 stopped by Ctrl-C.
    """
    from jupyter_llmroute.core.errors import LLMRouteError

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an answer must not end because a code page lacks a character
    warnings.showwarning = _show_warning
    options = build_parser().parse_args(argv)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        status = run(options)
        sys.stdout.flush()  # a reader that is gone shows here, not when Python ends
        return status
    except LLMRouteError as error:
        _say(f"jupyter-llmroute: {error}")
        return 1
    except KeyboardInterrupt:
        print("\njupyter-llmroute: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away, as `| head` does; Python would complain once more when it flushes at exit.
        sys.stdout = None
        return 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    _say(f"jupyter-llmroute: {message}")


def _say(message: str) -> None:
    """Write to standard error what may hold the words of servers."""
    from jupyter_llmroute.inert import seen

    print(seen(message), file=sys.stderr)


class _Command(argparse.ArgumentParser):
    """A command that refuses what it does not know itself, with its own usage instead of the whole program's."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return options, unknown


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from jupyter_llmroute.core.task import Task

    parser = _Command(prog="jupyter-llmroute", description=jupyter_llmroute.__doc__)
    parser.add_argument("--version", action="version", version=jupyter_llmroute.__version__)
    commands: argparse._SubParsersAction[Any] = parser.add_subparsers(required=True, metavar="COMMAND")

    services = commands.add_parser("services", help="show which model servers run, with which models")
    services.set_defaults(run=_services)

    models = commands.add_parser(
        "models", help="show which models the servers have, and which cannot be asked, and why"
    )
    models.add_argument("-t", "--task", choices=[task.value for task in Task], help="rank them for this task")
    models.add_argument("--scores", action="store_true", help="show what each is rated for each task, and by whom")
    models.add_argument("--find", metavar="WORDS", default="", help="show only rows that hold these words")
    models.add_argument("--all", action="store_true", help="show all rows")
    models.set_defaults(run=_models)
    lock_cli.register(models)

    route_cli.register(commands)
    classify_cli.register(commands)
    demo_cli.register(commands)
    embedded_cli.register(commands)
    serena_cli.register(commands)
    doctor_cli.register(commands)
    audit_cli.register(commands)
    return parser


def _services(options: argparse.Namespace) -> int:
    from jupyter_llmroute.services import as_text

    async def look() -> str:
        async with workplace.router() as router:
            return as_text(await router.services(refresh=True))

    print(asyncio.run(look()))
    return 0


def _models(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.models import table
    from jupyter_llmroute.table import SHOWN

    task = Task(options.task) if options.task else None

    async def look() -> str:
        async with workplace.router() as router:
            (taken,) = await router.decide_each([Request(question="", task=task)], refresh=True)
            found = table(taken.decision, task, scores=options.scores).found(options.find)
            return found.text(None if options.all else SHOWN)

    print(asyncio.run(look()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
