"""`JediProcess`: the process in which jedi works; started when needed, ended when it is idle or takes too long."""

from __future__ import annotations

import asyncio
import json
import os
import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from jupyter_llmroute.core.code.closing import Closing
from jupyter_llmroute.core.code.jsonrpc import MCP, CallTimedOut, Connection, PeerLost
from jupyter_llmroute.core.code.process import Child
from jupyter_llmroute.core.errors import CodeUnavailable

IDLE_S = 300.0
"""Seconds without a question after which it ends."""

START_S = 20.0
"""Seconds that it may take to start, on a machine that has other things to do."""

_WORKER = Path(__file__).with_name("jedi_worker.py")
_PASSED_ON = frozenset("HOME LANG LD_LIBRARY_PATH LOCALAPPDATA PATH SYSTEMROOT TEMP USERPROFILE".split())


def installed_folders(sys_path: Sequence[str]) -> list[str]:
    """Return the folders of `sys.path` that hold the interpreter's own packages.

    Only what lies there may be imported; a project, or what `PYTHONPATH` names, is none of it.
    """
    paths = sysconfig.get_paths()
    own = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib") if name in paths]
    own += getattr(site, "getsitepackages", list)()
    if site.ENABLE_USER_SITE:
        own.append(site.getusersitepackages())
    known = {os.path.realpath(folder) for folder in own}
    return [folder for folder in sys_path if folder and os.path.realpath(folder) in known]


def cache_folder() -> Path:
    """Return where jedi keeps what it has parsed; not where it does by itself, for IPython uses that too.

    `LLMROUTE_HOME`, where it is set, holds it.
    """
    if home := os.environ.get("LLMROUTE_HOME"):
        return Path(home).expanduser().absolute() / "cache" / "jedi"
    from platformdirs import user_cache_path

    return user_cache_path("jupyter-llmroute", appauthor=False) / "jedi"


class JediProcess(Closing):
    """Where jedi works.

    Parameters
    ----------
    python
        The interpreter that the notebook runs on; jedi is one of its packages.
    sys_path
        Its `sys.path`.
    idle_s
        Seconds without a question after which the process ends.
    """

    def __init__(self, python: str = sys.executable, sys_path: Sequence[str] = (), *, idle_s: float = IDLE_S) -> None:
        self._python = python
        self._folders = installed_folders(sys_path or sys.path)
        self._idle_s = idle_s
        self._child: Child | None = None
        self._connection: Connection | None = None
        self._one = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The running process; `None` where there is none."""
        return self._child.pid if self._child and self._child.exit_code is None else None

    def start(self) -> None:
        """Start the process, if there is none: it takes a second, which goes by while something else is done.

        Raises
        ------
        CodeUnavailable
            jedi is not installed.
        """
        if self._connection is None and not self._one.locked():
            self._start()

    async def close(self) -> None:
        """End the process; it is started again where something is asked."""
        connection, self._connection = self._connection, None
        child, self._child = self._child, None
        if connection:
            connection.close()
        if child:
            child.kill()
            await child.ended()

    async def ask(self, method: str, params: Mapping[str, Any], *, limit_s: float) -> Any:
        """Ask one thing, after what was asked before.

        Parameters
        ----------
        method, params
            As `jedi_worker` has them.
        limit_s
            Seconds that the answer may take; then the process is ended.

        Raises
        ------
        CodeUnavailable
            jedi is not installed, failed, or took too long.
        """
        async with self._one:
            try:
                return await self._ask(method, params, limit_s)
            except PeerLost:  # it may have ended because it was idle, just when it was asked
                await self.close()
            try:
                return await self._ask(method, params, limit_s)
            except PeerLost:
                await self.close()
                raise

    async def _ask(self, method: str, params: Mapping[str, Any], limit_s: float) -> Any:
        connection, start_s = self._connection, 0.0
        if connection is None or connection.lost:
            await self.close()
            connection, start_s = self._start(), START_S
        try:
            return await connection.request(method, params, timeout_s=limit_s + start_s)
        except (CallTimedOut, asyncio.CancelledError):
            await self.close()  # or it would go on with what nobody waits for
            raise

    def _start(self) -> Connection:
        if PathFinder.find_spec("jedi", self._folders) is None:
            raise CodeUnavailable(f"jedi is not installed for {self._python!r}: install it there, `pip install jedi`.")
        with suppress(OSError):  # without it jedi is slower
            cache_folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        # Isolated, and without `site`: see what the worker says of it.
        command = [self._python, "-I", "-S", str(_WORKER), json.dumps(self._folders)]
        command += [str(cache_folder()), str(self._idle_s)]
        environment = {name: value for name, value in os.environ.items() if name in _PASSED_ON}
        self._child = Child(command, environment=environment, folder=_WORKER.parent)
        self._connection = Connection(self._child.stdout, self._child.stdin, MCP, name="jedi")
        return self._connection
