"""The doctor's round: what is to be known is gathered, and examined."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from jupyter_llmroute.core.audit.folder import Folder, path_of
from jupyter_llmroute.core.code.installation import find, find_ty
from jupyter_llmroute.core.doctor import Report, examine
from jupyter_llmroute.core.doctor_facts import NO_CHECKSUMS, Checksums, gather
from jupyter_llmroute.core.embedded import Header, find_models
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.errors import CodeUnavailable, NoModelFile
from jupyter_llmroute.core.lock_file import ModelLockError, read_lock
from jupyter_llmroute.core.model_lock import Change, Compared, verify
from jupyter_llmroute.core.sections import EmbeddedSettings, SecuritySettings, SerenaSettings
from jupyter_llmroute.core.settings import Loaded


async def diagnose(loaded: Loaded, endpoints: Iterable[Endpoint]) -> Report:
    """Go through the checklist of a closed network; nothing is sent, and no model works.

    Parameters
    ----------
    loaded
        The settings and where they come from.
    endpoints
        The servers as they were just seen.
    """
    endpoints, settings = tuple(endpoints), loaded.settings
    return examine(
        await asyncio.to_thread(
            gather,
            loaded,
            endpoints,
            programs=_programs(settings.serena),
            audit_files=_files(path_of(settings.security)) if settings.security.audit_enabled else (),
            audit_error=await asyncio.to_thread(_trouble, settings.security),
            checksums=await _checksums(endpoints, settings.embedded),
        )
    )


async def _checksums(endpoints: Iterable[Endpoint], settings: EmbeddedSettings) -> Checksums:
    try:
        if read_lock() is None:
            return NO_CHECKSUMS
        return _by_change(await verify(endpoints, _own_files(settings), is_thorough=False))
    except ModelLockError as error:
        return Checksums((), error=str(error))


def _own_files(settings: EmbeddedSettings) -> tuple[Header, ...]:
    """Return the embedded server's files; where there are none, its endpoint says why."""
    try:
        return find_models(settings)
    except NoModelFile:
        return ()


def _by_change(compared: Iterable[Compared]) -> Checksums:
    named: dict[Change, list[str]] = {change: [] for change in Change}
    for each in compared:
        named[each.change].append(f"{each.model} on {each.service}")
    new, changed, untold = (tuple(named[change]) for change in (Change.NEW, Change.CHANGED, Change.UNKNOWN))
    return Checksums(new, changed, untold)


def _programs(serena: SerenaSettings) -> dict[str, str | None]:
    """Return the programs that code intelligence runs on; none where it is switched off."""
    if not serena.enabled:
        return {}
    try:
        found = find(Path(serena.executable) if serena.executable else None)
    except CodeUnavailable:  # what is named is no program
        found = None
    ty = found.ty if found else find_ty()
    return {"serena": os.fspath(found.serena) if found else None, "ty": os.fspath(ty) if ty else None}


def _trouble(security: SecuritySettings) -> str:
    return Folder(path_of(security)).trouble() if security.audit_enabled else ""


def _files(log: Path) -> tuple[Path, ...]:
    folder = Folder(log)
    try:
        named = (folder.active, folder.head, folder.salt, *map(folder.archive, folder.archives()))
        return tuple(path for path in named if path.exists())
    except PermissionError:  # the log's own check says so
        return ()
