"""How much memory this machine has."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container is told how much it may take, in version 2 and 1; "max" or a number that no machine has: no limit.
"""

MOST_DIGITS = 32
"""No limit is longer, its line end included."""


class _MemoryStatus(ctypes.Structure):
    """`MEMORYSTATUSEX` of the Windows API (sysinfoapi.h)."""

    _fields_ = (
        ("length", ctypes.c_ulong),
        ("load", ctypes.c_ulong),
        ("total_physical", ctypes.c_ulonglong),
        ("rest", ctypes.c_ulonglong * 6),
    )


def total_memory_bytes(limits: Iterable[str | Path] = CGROUP_LIMITS) -> int | None:
    """Return the memory of this machine, or of this container where that is less; `None` where it is not told.

    The memory of a graphics card does not count: who has much of it says so by `models.memory_gb`.

    Parameters
    ----------
    limits
        Files that may say how much a container may take; what is no number of bytes says nothing.
    """
    total = _windows() if sys.platform == "win32" else _posix()
    told = [limit for path in limits if (limit := _limit(Path(path)))]
    return min([*told, total]) if total else None


def _posix() -> int | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return None
    return total if total > 0 else None  # -1 of either: not told


def _windows() -> int | None:
    status = _MemoryStatus(length=ctypes.sizeof(_MemoryStatus))
    is_told = getattr(ctypes, "windll").kernel32.GlobalMemoryStatusEx(ctypes.byref(status))  # noqa: B009
    return int(status.total_physical) if is_told else None


def _limit(path: Path) -> int | None:
    try:
        with path.open("rb") as file:
            told = int(file.read(MOST_DIGITS))
    except (OSError, ValueError):
        return None
    return told if told > 0 else None
