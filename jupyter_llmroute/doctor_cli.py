"""The terminal's doctor: `jupyter-llmroute doctor`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.doctor import Report


def register(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Add the command `doctor` to those of the program."""
    doctor = subparsers.add_parser(
        "doctor",
        help="go through the checklist of a closed network",
        description="Go through the checklist of a closed network. Sends nothing to any address that is on no list, "
        "looks up no outside name, and has no model work. The exit code is 1 where a check failed.",
    )
    doctor.add_argument("--json", action="store_true", help="write JSON: status, and a finding for each check")
    doctor.set_defaults(run=_doctor)


async def diagnose(project: Path) -> Report:
    """Return what the checks find for a user who works in the folder `project`."""
    from jupyter_llmroute.core import diagnosis
    from jupyter_llmroute.core.audit.journal import Journal
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.settings import Settings
    from jupyter_llmroute.own_folders import own_folders

    loaded = Settings.loaded(project=project, own=own_folders())
    # A log that cannot be written is a finding, and not the doctor's end.
    security = loaded.settings.security.model_copy(update={"audit_required": False})
    async with Router(loaded.settings, journal=Journal.of(security)) as router:
        endpoints = await router.services(refresh=True)
    return await diagnosis.diagnose(loaded, endpoints)


def _doctor(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.doctor import Status
    from jupyter_llmroute.doctor_table import as_json, as_text

    report = asyncio.run(diagnose(Path.cwd()))
    print(as_json(report) if options.json else as_text(report))
    return 1 if report.status is Status.FAIL else 0
