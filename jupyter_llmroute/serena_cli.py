"""The terminal's commands about Serena: `jupyter-llmroute serena install | status | restart | log | wheels`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_llmroute import workplace

if TYPE_CHECKING:
    from jupyter_llmroute.core.code.serena_home import Session

LOG_LINES = 40


def register(commands: Any) -> None:
    """Add `serena` to the commands of `jupyter-llmroute`, as `ArgumentParser.add_subparsers` returns them."""
    serena: argparse.ArgumentParser = commands.add_parser(
        "serena",
        help="code intelligence for your project: make and check Serena's own environment",
        description="Serena is another program (GPL-3.0-or-later) that knows the symbols of a project; it gets an "
        "environment of its own, and is asked over pipes. Without it, jedi answers.",
    )
    actions = serena.add_subparsers(required=True, metavar="ACTION")
    making = actions.add_parser("install", help="make its environment, or make it anew (200 MB)")
    making.add_argument("--wheels", metavar="DIR", type=Path, help="take everything from this folder, ask no network")
    making.add_argument("-v", "--verbose", action="store_true", help="show what pip says")
    making.set_defaults(run=install)
    actions.add_parser("status", help="show where it is, whether it runs, and for which projects").set_defaults(
        run=status
    )
    actions.add_parser("restart", help="have the kernels start theirs anew").set_defaults(run=restart)
    reading = actions.add_parser("log", help="show the last that each has said")
    reading.add_argument("-n", "--lines", type=int, default=LOG_LINES, metavar="N", help=f"default: {LOG_LINES}")
    reading.set_defaults(run=log)
    filling = actions.add_parser("wheels", help="fill a folder for `install --wheels` on a machine without a network")
    filling.add_argument("folder", metavar="DIR", type=Path)
    filling.add_argument("-v", "--verbose", action="store_true", help="show what pip says")
    filling.set_defaults(run=wheels)


def install(options: argparse.Namespace) -> int:
    """Make the environment, and check it."""
    from jupyter_llmroute.core.code.installation import SERENA_REQUIREMENT, TY_REQUIREMENT, check, own_folder
    from jupyter_llmroute.core.code.installation import install as make

    if not options.wheels:
        _refuse_download("make a folder of wheels on another machine (serena wheels), and take --wheels")
    source = f"the wheels in {options.wheels}" if options.wheels else "pip's usual index"
    print(f"Installing {SERENA_REQUIREMENT} and {TY_REQUIREMENT} out of {source} into {own_folder()}", flush=True)
    installed = make(options.wheels, _show if options.verbose else _hide)
    remarks = check(installed)
    print("\n".join(f"{remark.name}: {remark.said}" for remark in remarks))
    if not all(remark.is_well for remark in remarks):
        return 1
    print("Ready: the next question about code can use it.")
    return 0


def status(options: argparse.Namespace) -> int:
    """Show what is installed and what runs."""
    from jupyter_llmroute.core.code.installation import INSTALL, FoundBy, check, find, is_current
    from jupyter_llmroute.core.code.serena_home import homes_folder, sessions

    installed = find(_setting())
    if installed is None:
        print(f"Serena: not installed; jedi answers instead. To install it: {INSTALL}")
        return 1
    print(f"found by: {installed.found_by.value}\nserena: {installed.serena}\nty: {installed.ty or 'missing'}")
    remarks = check(installed)
    print("\n".join(f"{remark.name}: {remark.said}" for remark in remarks))
    if installed.found_by is FoundBy.OWN and not is_current():
        print(f"It was made for another version of jupyter-llmroute; to make it anew: {INSTALL}")
    print(f"private homes: {homes_folder()}")
    running = [session for _, session in sessions()]
    print("\n".join(map(_line, running)) or "nothing runs")
    return 0 if all(remark.is_well for remark in remarks) else 1


def restart(options: argparse.Namespace) -> int:
    """Ask the kernels that own a Serena to start it anew."""
    from jupyter_llmroute.core.code.serena_home import sessions

    running = list(sessions())
    for home, session in running:
        home.with_suffix(".restart").touch(mode=0o600)
        print(f"asked to start anew, within seconds: {_line(session)}")
    if not running:
        print("Nothing runs: the next question about code starts it.")
    return 0


def log(options: argparse.Namespace) -> int:
    """Show the end of each log; a log stays after its session, until the next one."""
    from jupyter_llmroute.core.code.serena_home import homes_folder

    logs = [path for path in sorted(homes_folder().glob("*/*.log")) if not path.name.endswith(".before.log")]
    for path in logs:
        lines = path.read_text("utf-8", errors="replace").splitlines()
        print(f"== {path}")
        print("\n".join(lines[-options.lines :]) or "(it said nothing)")
    if not logs:
        print(f"No Serena has run yet: there is no log below {homes_folder()}")
    return 0


def wheels(options: argparse.Namespace) -> int:
    """Fill a folder of wheels."""
    import platform
    import sys

    from jupyter_llmroute.core.code.installation import prepare_wheels

    _refuse_download("fill the folder on another machine")
    made = prepare_wheels(options.folder, _show if options.verbose else _hide)
    size = sum(path.stat().st_size for path in made) / 1e6
    python = ".".join(map(str, sys.version_info[:2]))
    print(
        f"{len(made)} wheels, {size:.0f} MB, in {options.folder}; they fit Python {python} on {platform.system()} "
        f"{platform.machine()}. There: jupyter-llmroute serena install --wheels {options.folder.name}"
    )
    return 0


def _setting() -> Path | None:
    """Return the executable that the settings name."""
    return getattr(getattr(workplace.settings(), "serena", None), "executable", None)


def _refuse_download(instead: str) -> None:
    from jupyter_llmroute.core.air_gap import refuse_download

    refuse_download("Serena", instead, workplace.settings().environment)


def _line(session: Session) -> str:
    import time

    kind = "for edits" if session.edits else "for questions"
    minutes = max(0, time.time() - session.started_at) / 60
    return (
        f"{session.project}: Serena {session.version} {kind}, process {session.pid}, "
        f"of process {session.owner}, for {minutes:.0f} min"
    )


def _show(line: str) -> None:
    print(line, flush=True)


def _hide(line: str) -> None:
    pass
