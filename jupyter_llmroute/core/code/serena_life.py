"""`SerenaLife`: one process of Serena for one project, started when it is needed, ended when it is not.

A task of its own on the running loop starts it, waits until it has read the project, looks after it, starts it anew
when it dies, and ends it when nobody has asked for long. Who asks meets one of the stages below, and never waits for a
start unless that is what was asked for.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from jupyter_llmroute.core.code.installation import INSTALL, find
from jupyter_llmroute.core.code.jsonrpc import MCP, Connection
from jupyter_llmroute.core.code.mcp import ToolAnswer, ToolServer
from jupyter_llmroute.core.code.process import Child
from jupyter_llmroute.core.code.project import python_files
from jupyter_llmroute.core.code.serena_home import TOOL_TIMEOUT_S, SerenaHome, Session, version_known
from jupyter_llmroute.core.code.serena_shapes import NoSuchSymbol, TooSlow, text_of
from jupyter_llmroute.core.code.source_file import Unreadable, decode, read_bytes
from jupyter_llmroute.core.code.symbols import known_symbols
from jupyter_llmroute.core.errors import CodeUnavailable
from jupyter_llmroute.core.values import Value

WAITS_S = (0.0, 2.0, 15.0, 60.0)
"""Before each further start, when one after the other ends; after the last it stays so for `REST_S`."""

REST_S = 300.0
WELL_S = 60.0
"""Who has lived for so long begins with the first wait again."""

START_S = 90.0
"""The greeting takes three seconds, ten on a busy machine."""

INDEX_TRIES = 2
WARM_S = 30.0
MOST_WARMED = 200
"""Files that are looked into for something to ask about."""

_NOTHING = {"name_path_pattern": "no symbol has this name"}
"""Asking for it makes Serena read the whole project, and shows whether there is a language server."""


class Stage(StrEnum):
    """How far Serena is."""

    ASLEEP = "asleep"
    """Not needed yet, or not for long."""
    NOT_INSTALLED = "not installed"
    STARTING = "starting"
    INDEXING = "indexing"
    """It reads the project for the first time."""
    READY = "ready"
    FAILED = "failed"


class SerenaState(Value):
    """What can be said of Serena now."""

    stage: Stage = Stage.ASLEEP
    reason: str = ""
    """Why it failed, and what can be done."""
    version: str = ""
    """Empty as long as it is not known."""
    pid: int | None = None
    starts: int = 0
    """How often it was started."""

    def __str__(self) -> str:
        return f"{_SENTENCES[self.stage]}{f' {self.reason}' if self.reason else ''}"


_SENTENCES: Mapping[Stage, str] = {
    Stage.ASLEEP: "Serena does not run yet: ask again in a moment.",
    Stage.NOT_INSTALLED: f"Serena is not installed: install it with `{INSTALL}`.",
    Stage.STARTING: "Serena is starting: ask again in a moment.",
    Stage.INDEXING: "Serena reads the project for the first time: ask again in a moment.",
    Stage.READY: "Serena is ready.",
    Stage.FAILED: "Serena failed.",
}


class _Over(StrEnum):
    """Why a life ended that had begun well."""

    DIED = "died"
    IDLE = "idle"
    ASKED = "asked to start anew"


class SerenaLife:
    """One process of Serena.

    Parameters
    ----------
    project
        The project's root.
    prefix
        `sys.prefix` of the Python that the project runs on.
    edits
        Whether it may change files.
    setting
        Serena's executable; `None` looks for it.
    idle_s
        Seconds without a question after which it is ended.
    homes
        Folder of private homes; `None` means that of the user.
    look_s
        Seconds between two looks at whether it is still needed.
    """

    def __init__(
        self,
        project: Path,
        prefix: Path,
        *,
        edits: bool,
        setting: Path | None,
        idle_s: float,
        homes: Path | None,
        look_s: float = 2.0,
    ) -> None:
        self._project = project
        self._prefix = prefix
        self._edits = edits
        self._setting = setting
        self._idle_s = idle_s
        self._homes = homes
        self._look_s = look_s
        self._state = SerenaState()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._server: ToolServer | None = None
        self._asking = 0
        self._used_at = 0.0
        self._failed_at = float("-inf")

    @property
    def state(self) -> SerenaState:
        """How it is now."""
        return self._state

    async def changed(self) -> SerenaState:
        """Wait for the next change of the state, and return what it is then."""
        await self._changed.wait()
        return self._state

    def start(self) -> None:
        """Have it started in the background; where it runs, or has just failed for good, nothing happens."""
        lives = self._task is not None and not self._task.done()
        if lives or asyncio.get_running_loop().time() - self._failed_at < REST_S:
            return
        try:
            is_there = find(self._setting) is not None
        except CodeUnavailable as error:
            return self._become(Stage.FAILED, str(error))
        if not is_there:
            return self._become(Stage.NOT_INSTALLED)
        self._become(Stage.STARTING)
        self._task = asyncio.create_task(self._supervise(), name="llmroute-serena")

    async def ready(self, timeout_s: float | None) -> None:
        """Start it, and wait until it can be asked.

        Raises
        ------
        CodeUnavailable
            It is not installed, has failed, or is not ready in time.
        """
        self.start()
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._state.stage not in (Stage.READY, Stage.FAILED, Stage.NOT_INSTALLED):
                    await self._changed.wait()
        if self._server is None:
            self._refuse()

    async def call(self, tool: str, arguments: Mapping[str, Any], *, timeout_s: float) -> ToolAnswer:
        """Use a tool.

        Raises
        ------
        CodeUnavailable
            It is not ready, which the message says, and is being started; or the call failed.
        """
        if self._server is None:
            self.start()
            self._refuse()
        self._asking += 1
        try:
            return await self._server.call(tool, arguments, timeout_s=timeout_s)
        finally:
            self._asking -= 1
            self._used_at = asyncio.get_running_loop().time()

    async def restart(self) -> None:
        """End it, and have it started anew, also where it had failed for good."""
        await self.close()
        self.start()

    async def close(self) -> None:
        """End it, with everything that it started."""
        self._failed_at = float("-inf")
        if self._task:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._become(Stage.ASLEEP)

    def _refuse(self) -> NoReturn:
        raise CodeUnavailable(str(self._state))

    def _become(self, stage: Stage, reason: str = "", **known: Any) -> None:
        self._state = self._state.model_copy(update={"stage": stage, "reason": reason, "pid": None, **known})
        self._changed.set()
        self._changed = asyncio.Event()

    async def _supervise(self) -> None:
        try:
            failures = 0
            while True:
                begun = asyncio.get_running_loop().time()
                if (over := await self._try_to_live()) is _Over.IDLE:
                    return self._become(Stage.ASLEEP)
                if self._state.stage is Stage.NOT_INSTALLED:
                    return None
                if asyncio.get_running_loop().time() - begun > WELL_S or over is _Over.ASKED:
                    failures = 0
                if failures == len(WAITS_S):
                    self._failed_at = asyncio.get_running_loop().time()
                    return self._become(Stage.FAILED, self._state.reason or "It ends again and again: see its log.")
                await asyncio.sleep(WAITS_S[failures])
                failures += 1
        except Exception as error:
            self._become(Stage.FAILED, f"{error!r}")
            raise

    async def _try_to_live(self) -> _Over | None:
        """Live once; `None` where it did not begin well, and the state says why."""
        try:
            over = await self._live()
        except CodeUnavailable as error:
            if self._state.stage is not Stage.NOT_INSTALLED:
                self._become(Stage.FAILED, str(error))
            return None
        self._become(Stage.STARTING)
        return over

    async def _live(self) -> _Over:
        self._become(Stage.STARTING)
        installed = await asyncio.to_thread(find, self._setting)
        if installed is None:
            self._become(Stage.NOT_INSTALLED)
            self._refuse()
        version = await asyncio.to_thread(version_known, installed.serena, self._homes)
        home = SerenaHome.take(self._project, edits=self._edits, homes=self._homes)
        try:
            await asyncio.to_thread(home.prepare, installed, version)
            # Started by the loop's own thread: where that ends, so does Serena.
            child = Child(
                home.command(installed, version),
                environment=home.environment(self._prefix),
                folder=home.folder,
                log=home.log,
            )
            async with child:
                self._become(Stage.STARTING, version=version, starts=self._state.starts + 1, pid=child.pid)
                connection = Connection(child.stdout, child.stdin, MCP, name="Serena")
                try:
                    return await self._serve(connection, home, child.pid, version)
                finally:
                    self._server = None
                    connection.close()
        finally:
            home.release()

    async def _serve(self, connection: Connection, home: SerenaHome, pid: int, version: str) -> _Over:
        server = ToolServer(connection, "Serena")
        await server.initialize(timeout_s=START_S)
        home.write_record(
            Session(
                project=home.project,
                edits=self._edits,
                owner=os.getpid(),
                pid=pid,
                version=version,
                started_at=time.time(),
            )
        )
        self._become(Stage.INDEXING, pid=pid)
        await _index(server)
        if not self._edits:
            await self._warm(server)
        self._used_at = asyncio.get_running_loop().time()
        self._server = server
        self._become(Stage.READY, pid=pid)
        return await self._until_over(connection, home)

    async def _warm(self, server: ToolServer) -> None:
        """Ask for the uses of anything: the first such question takes two seconds, which no user's question has."""
        if (first := await asyncio.to_thread(_any_symbol, self._project)) is None:
            return
        file, name_path = first
        with suppress(CodeUnavailable):  # it is asked again, and then somebody wants to know why not
            asked = {"name_path": name_path, "relative_path": file}
            await server.call("find_referencing_symbols", asked, timeout_s=WARM_S)

    async def _until_over(self, connection: Connection, home: SerenaHome) -> _Over:
        gone = asyncio.ensure_future(connection.ended())
        try:
            while not (await asyncio.wait({gone}, timeout=self._look_s))[0]:
                if home.restart.exists():
                    return _Over.ASKED
                if not self._asking and asyncio.get_running_loop().time() - self._used_at >= self._idle_s:
                    return _Over.IDLE
            return _Over.DIED
        finally:
            gone.cancel()


def _any_symbol(project: Path) -> tuple[str, str] | None:
    """Return the file and the name path of some class or function, of a small file first."""
    for file, _ in sorted(python_files(project).items(), key=lambda each: (each[1].size, each[0]))[:MOST_WARMED]:
        with suppress(Unreadable):
            for symbol in known_symbols(decode(read_bytes(project / file)), file):
                if symbol.kind in ("class", "function") and file.endswith(".py"):
                    return file, f"/{symbol.name_path}"
    return None


async def _index(server: ToolServer) -> None:
    """Have the project read; what is read is kept, so a second try goes on where the first one ended."""
    for tries_left in reversed(range(INDEX_TRIES)):
        try:
            text_of(await server.call("find_symbol", _NOTHING, timeout_s=TOOL_TIMEOUT_S + 10))
            return
        except NoSuchSymbol:
            return
        except TooSlow:
            if not tries_left:
                raise
