"""`Serena`: what Serena knows of a project, and changes of its symbols.

Questions go to a session that cannot change anything; the first change starts a second one that can. Serena names
symbols by path and file, so a line is first turned into the symbol on it.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock

from jupyter_llmroute.core.code.closing import Closing
from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.jsonrpc import CallTimedOut
from jupyter_llmroute.core.code.mcp import ToolAnswer
from jupyter_llmroute.core.code.serena_home import edit_lock
from jupyter_llmroute.core.code.serena_life import SerenaLife, SerenaState, Stage
from jupyter_llmroute.core.code.serena_questions import ASKS, SerenaQuestion, slashed
from jupyter_llmroute.core.code.serena_shapes import NoSuchSymbol, TooSlow, check_done
from jupyter_llmroute.core.embedded.rendezvous import try_lock
from jupyter_llmroute.core.errors import CodeUnavailable

IDLE_S = 15 * 60.0
EDITOR_IDLE_S = 3 * 60.0
"""A session that may change files is a second process of 150 MB, and changes are rare."""

CALL_S = 30.0
EDIT_S = 120.0
"""Seconds for the start before a change, and again for the change itself: a rename asks about the whole project."""

_LOCK_S = 20.0
_LOOK_AGAIN_S = 0.05

_PYTHON = (".py", ".pyi")


class Serena(Closing):
    """Serena for one project.

    Parameters
    ----------
    project
        The project's root; nothing outside it is asked about or changed.
    prefix
        `sys.prefix` of the Python whose packages the project uses.
    executable
        Serena's executable; `None` looks for it.
    idle_s
        Seconds without a question after which Serena is ended; the next question starts it again.
    homes
        Folder of Serena's private homes; `None` means that of the user.
    look_s
        Seconds between two looks at whether Serena is still needed.

    Examples
    --------
    >>> async def uses_of_total(project):
    ...     async with Serena(project) as serena:
    ...         await serena.ready(timeout_s=60)
    ...         return await serena.find(CodeQuestion(ask=Ask.REFERENCES, name_path="Order/total", file="shop.py"))
    """

    def __init__(
        self,
        project: Path,
        *,
        prefix: Path | None = None,
        executable: Path | None = None,
        idle_s: float = IDLE_S,
        homes: Path | None = None,
        look_s: float = 2.0,
    ) -> None:
        self._project = project.resolve()
        self._homes = homes
        python = prefix or Path(sys.prefix)
        self._reader = SerenaLife(
            self._project, python, edits=False, setting=executable, idle_s=idle_s, homes=homes, look_s=look_s
        )
        self._editor = SerenaLife(
            self._project,
            python,
            edits=True,
            setting=executable,
            idle_s=min(idle_s, EDITOR_IDLE_S),
            homes=homes,
            look_s=look_s,
        )

    async def close(self) -> None:
        """End what runs."""
        await asyncio.gather(self._reader.close(), self._editor.close())

    @property
    def source(self) -> Source:
        """Serena."""
        return Source.SERENA

    @property
    def asks(self) -> frozenset[Ask]:
        """What it can be asked."""
        return frozenset(ASKS)

    @property
    def project(self) -> Path:
        """The project's root, resolved."""
        return self._project

    @property
    def state(self) -> SerenaState:
        """How the session for questions is."""
        return self._reader.state

    async def changed(self) -> SerenaState:
        """Wait for the next change of that state, and return what it is then."""
        return await self._reader.changed()

    def start(self) -> None:
        """Have it started in the background, before the first question comes."""
        self._reader.start()

    async def ready(self, timeout_s: float | None) -> None:
        """Start it, and wait until it can be asked.

        Raises
        ------
        CodeUnavailable
            It is not installed, has failed, or is not ready in time.
        """
        await self._reader.ready(timeout_s)

    @property
    def can_edit(self) -> bool:
        """Whether the session for changes is there, so that a change need not wait for its start."""
        return self._editor.state.stage is Stage.READY

    async def ready_to_edit(self, timeout_s: float | None) -> None:
        """Start the session for changes, and wait until it is there; raises as `ready` does."""
        await self._editor.ready(timeout_s)

    async def restart(self) -> None:
        """End what runs, and start anew."""
        await self._editor.close()
        await self._reader.restart()

    async def find(self, question: CodeQuestion, *, timeout_s: float = CALL_S) -> tuple[Finding, ...]:
        """Ask; a Serena that is not ready is started in the background, and the question is refused.

        Parameters
        ----------
        question
            Its name path may have dots; with a line and no name, the innermost symbol there is meant.
        timeout_s
            Seconds for each call of a tool, of which a question needs one or two.

        Raises
        ------
        CodeUnavailable
            Serena is not ready, or cannot say; the message says which.
        """
        if question.ask not in ASKS:
            raise CodeUnavailable(f"Serena cannot be asked for {question.ask.value!r}: ask somebody else.")
        self._check(question.file)
        asker = SerenaQuestion(self._reader, self._project, timeout_s)
        try:
            return await asker.find(await asker.named(question))
        except NoSuchSymbol:
            return ()

    async def replace_body(self, file: str, name_path: str, body: str) -> None:
        """Put `body` in the place of a symbol's whole definition, decorators included.

        When this and the methods below return or raise, Serena writes nothing more.

        Parameters
        ----------
        file
            Relative to the project's root, with `/`.
        name_path
            As a question has it; with a `/` at its beginning the symbol is at the file's top level.
        body
            Its first line without indentation, the others as they will stand.

        Raises
        ------
        EditRefused
            Serena refuses; nothing was changed.
        CodeUnavailable
            It failed, or is not there; something may have been changed.
        """
        await self._edit("replace_symbol_body", file, name_path=slashed(name_path), body=body)

    async def insert_after(self, file: str, name_path: str, body: str) -> None:
        """Put `body` behind a symbol; raises as `replace_body` does."""
        await self._edit("insert_after_symbol", file, name_path=slashed(name_path), body=body)

    async def insert_before(self, file: str, name_path: str, body: str) -> None:
        """Put `body` before a symbol; raises as `replace_body` does."""
        await self._edit("insert_before_symbol", file, name_path=slashed(name_path), body=body)

    async def rename(self, file: str, name_path: str, new_name: str) -> None:
        """Give a symbol another name, here and wherever it is used; raises as `replace_body` does."""
        # The first question about uses makes the language server read everything; a rename before it may miss some.
        await self._editing("find_referencing_symbols", file, name_path=slashed(name_path))
        await self._edit("rename_symbol", file, name_path=slashed(name_path), new_name=new_name)

    async def safe_delete(self, file: str, name_path: str) -> None:
        """Remove a symbol that nothing uses; raises as `replace_body` does."""
        await self._edit("safe_delete_symbol", file, name_path_pattern=slashed(name_path))

    async def _edit(self, tool: str, file: str, **arguments: str) -> None:
        async with _only_one(edit_lock(self._project, self._homes)):
            try:
                check_done(await self._editing(tool, file, **arguments))
            except (CallTimedOut, TooSlow, asyncio.CancelledError):
                # It still works on it, and must not write when the files are looked at, or put back.
                await self._editor.close()
                raise

    async def _editing(self, tool: str, file: str, **arguments: str) -> ToolAnswer:
        self._check(file, must_be_named=True)
        await self._editor.ready(EDIT_S)
        return await self._editor.call(tool, {"relative_path": file, **arguments}, timeout_s=EDIT_S)

    def _check(self, file: str, *, must_be_named: bool = False) -> None:
        """Refuse what Serena would read wrongly, or not at all."""
        if not file and not must_be_named:
            return
        if not file.endswith(_PYTHON):
            raise CodeUnavailable(f"Serena is asked about .py and .pyi files alone, not about {file!r}.")
        try:
            path = (self._project / file).resolve()
            there = path.is_relative_to(self._project) and path.is_file()
        except (OSError, ValueError):
            there = False
        if not there or Path(file).is_absolute():
            raise CodeUnavailable(f"There is no file {file!r} in the project: name it relative to the project's root.")


@asynccontextmanager
async def _only_one(path: Path) -> AsyncIterator[None]:
    """Hold a project's lock of changes."""
    lock = await _locked(path)
    try:
        yield
    finally:
        lock.release()


async def _locked(path: Path) -> FileLock:
    loop = asyncio.get_running_loop()
    until = loop.time() + _LOCK_S
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A file tells nobody that it is free again. Not waited for in a thread: that could not be cancelled.
        while (lock := try_lock(path)) is None:
            if loop.time() > until:
                raise CodeUnavailable("Another kernel changes files of this project: apply again when it has finished.")
            await asyncio.sleep(_LOOK_AGAIN_S)
    except (OSError, NotImplementedError) as error:
        raise CodeUnavailable(
            f"No file can be locked at {str(path)!r} ({error}): name a folder on a local disk in LLMROUTE_HOME."
        ) from error
    return lock
