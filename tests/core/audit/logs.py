"""Logs to test with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.audit.chain import read
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.reading import records
from jupyter_llmroute.core.audit.record import Origin, Security

ORIGIN = Origin(session="s1", user="ann", notebook="plan.ipynb", caller="aider", pid=7)


def path(folder: Path) -> Path:
    return folder / "log" / "audit.jsonl"


def log(folder: Path, **options: Any) -> AuditLog:
    return AuditLog(path(folder), ORIGIN, **{"is_forced": False, **options})


def event(name: str) -> Security:
    return Security(event=name)


def events(folder: Path) -> list[str]:
    """The names of the events in the log, in their order."""
    return [body["event"] for body in records(path(folder)) if body["kind"] == "security"]


def kinds(folder: Path) -> list[str]:
    return [body["kind"] for body in records(path(folder))]


def repairs(folder: Path) -> list[str]:
    return [body["what"] for body in records(path(folder)) if body["kind"] == "repaired"]


def bodies(file: Path) -> list[dict[str, Any]]:
    return [read(line).body for line in file.read_bytes().splitlines(keepends=True)]


def put(folder: Path, files: Mapping[str, bytes]) -> Path:
    """Put the files of a log into a folder, and return its path."""
    target = path(folder)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in target.parent.iterdir():
        old.unlink()
    for name, content in files.items():
        (target.parent / name).write_bytes(content)
    return target


def taken(folder: Path) -> dict[str, bytes]:
    """The files of a log, the lock aside."""
    return {file.name: file.read_bytes() for file in path(folder).parent.iterdir() if file.suffix != ".lock"}
