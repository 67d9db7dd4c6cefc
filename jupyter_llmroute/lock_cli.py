"""The terminal's commands for model checksums: `jupyter-llmroute models lock | verify`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from jupyter_llmroute import workplace

if TYPE_CHECKING:
    from jupyter_llmroute.core.audit.record import Security
    from jupyter_llmroute.core.embedded import Header
    from jupyter_llmroute.core.endpoint import Endpoint
    from jupyter_llmroute.core.model_lock import Compared
    from jupyter_llmroute.core.sections import SecuritySettings
    from jupyter_llmroute.core.settings import Settings

_T = TypeVar("_T")

LOCKED = "models locked"
"""The event of the audit log that holds the lock file's digest."""

BROKEN = "lock file put aside"
"""The event of the audit log that a lock file did not read, and was written anew."""

SHOWN_STEPS = 20
"""Of a file's reading, so many steps are shown."""


def register(models: argparse.ArgumentParser) -> None:
    """Add the actions `lock` and `verify` to the command `models`, which stays a command without one."""
    actions = models.add_subparsers(metavar="ACTION")
    locks = actions.add_parser("lock", help="write down the digests of all models")
    locks.set_defaults(run=_lock)
    verify = actions.add_parser("verify", help="compare all models with the digests that were written down")
    verify.add_argument("--quick", action="store_true", help="do not read files that look unchanged")
    verify.set_defaults(run=_verify)
    for action in (locks, verify):
        action.add_argument("--file", type=Path, metavar="FILE", help="the lock file; default: beside the models")


def _lock(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.audit.record import Security
    from jupyter_llmroute.core.lock_file import put_aside
    from jupyter_llmroute.core.model_lock import lock
    from jupyter_llmroute.wording import plural

    settings = workplace.settings()
    if broken := put_aside(options.file):
        _note(settings.security, Security(event=BROKEN, detail=str(broken.absolute())))
        print(f"The lock file did not read: it is kept as {str(broken)!r}, and all models are locked anew.")
    after, compared = asyncio.run(_with_models(settings, lambda e, h: lock(e, h, path=options.file, progress=_tell)))
    _show(compared)
    record = _record(options.file)
    _note(settings.security, record)
    print(f"Locked: {plural(len(after.models), 'model')} in {record.detail}, SHA-256 {record.sha256}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from jupyter_llmroute.core.audit.record import MODEL_CHANGED, Security
    from jupyter_llmroute.core.errors import UserError
    from jupyter_llmroute.core.lock_file import lock_path, read_lock
    from jupyter_llmroute.core.model_lock import verify

    if read_lock(options.file) is None:
        where = str(options.file or lock_path())
        raise UserError(f"No models were locked yet in {where!r}: look at them, then jupyter-llmroute models lock.")
    settings = workplace.settings()
    compared = asyncio.run(
        _with_models(
            settings, lambda e, h: verify(e, h, path=options.file, is_thorough=not options.quick, progress=_tell)
        )
    )
    _show(compared)
    wrong = [each for each in compared if each.is_wrong]
    for each in wrong:
        told = f"{each.model} on {each.service}"
        _note(settings.security, Security(event=MODEL_CHANGED, detail=told, sha256=each.found))
    if _is_another_file(settings.security, options.file):
        print("The lock file is not the one that was written: its digest is another than the audit log's last.")
        return 1
    print(f"{len(wrong)} changed" if wrong else "None is another than the one that was locked.")
    return 1 if wrong else 0


def _record(file: Path | None) -> Security:
    """Return the record of a lock file as it is now."""
    from jupyter_llmroute.core.audit.record import Security
    from jupyter_llmroute.core.lock_file import lock_digest, lock_path

    return Security(event=LOCKED, detail=str((file or lock_path()).absolute()), sha256=lock_digest(file))


def _note(security: SecuritySettings, record: Security) -> None:
    """Write a record, where an audit log is wanted."""
    from jupyter_llmroute.core.audit.journal import Journal

    if journal := Journal.of(security):
        asyncio.run(journal.note(record))


def _is_another_file(security: SecuritySettings, file: Path | None) -> bool:
    """Whether the audit log knows another digest of the lock file as the last that was written."""
    from jupyter_llmroute.core.audit.folder import path_of
    from jupyter_llmroute.core.audit.reading import records

    now, last = _record(file), ""
    for body in records(path_of(security)):
        if (body.get("event"), body.get("detail")) == (now.event, now.detail):
            last = body.get("sha256", "")
    return bool(last) and last != now.sha256


async def _with_models(settings: Settings, act: Callable[[Sequence[Endpoint], Sequence[Header]], Awaitable[_T]]) -> _T:
    """Look around, and do something with the servers and the files of the embedded one."""
    from jupyter_llmroute.core.audit.journal import Journal
    from jupyter_llmroute.core.embedded import find_models
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.state import StateFile

    async with Router(settings, state=StateFile.of_user(), journal=Journal.of(settings.security)) as router:
        return await act(await router.services(refresh=True), find_models(settings.embedded))


def _tell(path: Path, done: int, size: int) -> None:
    """Show how far a file is read, on a terminal."""
    from jupyter_llmroute.core.file_digests import BLOCK_BYTES
    from jupyter_llmroute.inert import plain_line

    blocks, every = done // BLOCK_BYTES, max(1, size // BLOCK_BYTES // SHOWN_STEPS)
    if sys.stderr.isatty() and (blocks % every == 0 or done >= size):
        end = "\n" if done >= size else ""
        print(f"\r{plain_line(path.name, 60)}: {done / max(1, size):4.0%}", end=end, file=sys.stderr, flush=True)


def _show(compared: Sequence[Compared]) -> None:
    from jupyter_llmroute.table import Table

    rows = tuple(
        (each.model, each.service, each.change.value, _short(each.locked), _short(each.found)) for each in compared
    )
    columns = ("model", "server", "", "locked", "found")
    print(Table(columns=columns, rows=rows, nothing="No server has a model.").text(None))


def _short(digest: str) -> str:
    kind, _, digits = digest.rpartition(":")
    return f"{kind}:{digits[:12]}" if kind else digits[:12]
