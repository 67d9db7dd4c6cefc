"""`apply`: a proposal made true, or nothing at all.

Whoever changes the files is not believed: every file is looked at afterwards, and what is not exactly what was shown is
taken back, byte for byte. A process that dies in the middle leaves a snapshot from which the next one restores.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, assert_never

from filelock import FileLock

from jupyter_llmroute.core.edits.applied import Applied
from jupyter_llmroute.core.edits.edit import (
    DeleteSymbol,
    Edit,
    InsertSymbol,
    PatchFile,
    RenameSymbol,
    ReplaceSymbol,
    Side,
    WriteFile,
    told,
)
from jupyter_llmroute.core.edits.editor import Editor
from jupyter_llmroute.core.edits.journal import Journal, Kept
from jupyter_llmroute.core.edits.place import place
from jupyter_llmroute.core.edits.proposal import Proposal
from jupyter_llmroute.core.edits.restoring import Restored
from jupyter_llmroute.core.edits.syntax_editor import SyntaxEditor
from jupyter_llmroute.core.edits.text_file import digest, write_whole
from jupyter_llmroute.core.edits.tree import Tree
from jupyter_llmroute.core.edits.verification import NotAsShown, Verification, change_of, digest_of
from jupyter_llmroute.core.embedded.rendezvous import try_lock
from jupyter_llmroute.core.errors import EditRefused

LIMIT_S = 60.0
"""Seconds that an editor may take for all of a proposal."""

LOCK_S = 10.0
"""Seconds to wait for another process that changes files of the same project."""

T = TypeVar("T")


async def apply(
    proposal: Proposal,
    editor: Editor | None = None,
    *,
    references: Collection[str] = (),
    state: Path | None = None,
    limit_s: float = LIMIT_S,
) -> Applied:
    """Make a proposal's changes, all of them or none.

    Parameters
    ----------
    proposal
        As it was shown.
    editor
        Makes the changes of symbols and the renames. `None`: what was shown is written as it is, and what could not be
        shown beforehand is left to `SyntaxEditor`.
    references
        Names of files that are known to use what is renamed: each must have been changed.
    state
        The folder of all journals; `None` for the one in the user's state folder.
    limit_s
        Seconds that the editor may take.

    Raises
    ------
    EditRefused
        Nothing was changed, or all of it was taken back; the message says why.
    NotAsShown
        The same, and what the editor would do can be looked at.
    """
    if proposal.is_empty:
        raise EditRefused("The proposal changes nothing: there is nothing to apply. Its refusals say why.")
    journal = Journal.of(proposal.root, state)
    what = proposal.steps
    if editor is None and not proposal.unseen:
        proposal = proposal.model_copy(update={"steps": ()})
    application = _Application(
        proposal, what, editor or SyntaxEditor(proposal.root), frozenset(references), journal, limit_s
    )
    async with held(journal):
        return await to_its_end(application.run(), application.stop)


async def recover(root: Path, *, state: Path | None = None) -> Restored | None:
    """Put back what a process that died left of a change of a project's files; `None` where there is nothing.

    Raises
    ------
    EditRefused
        Something cannot be put back, or another process holds the project for long.
    """
    journal = Journal.of(root, state)
    if not journal.is_pending:
        return None
    async with held(journal):
        return await asyncio.to_thread(journal.recover)


async def recover_all(*, state: Path | None = None) -> tuple[Restored, ...]:
    """Put back what processes that died left in any project; those that somebody is changing now are left alone.

    What cannot be put back stays pending, and says so when a change of that project is next asked for.
    """
    return await asyncio.to_thread(_recover_all, state)


def _recover_all(state: Path | None) -> tuple[Restored, ...]:
    restored = []
    for journal in Journal.pending(state):
        with contextlib.suppress(EditRefused):
            if (lock := _lock(journal)) is not None:
                try:
                    restored.append(journal.recover())
                finally:
                    lock.release()
    return tuple(found for found in restored if found is not None)


@contextlib.asynccontextmanager
async def held(journal: Journal) -> AsyncIterator[None]:
    """Hold a project's lock.

    Raises
    ------
    EditRefused
        Another process holds it.
    """
    await asyncio.to_thread(journal.open)
    until = time.monotonic() + LOCK_S
    while (lock := _lock(journal)) is None:
        if time.monotonic() > until:
            raise EditRefused(
                f"Another process changes files of {str(journal.home)!r} just now: nothing was changed. Try again when "
                f"it is done."
            )
        await asyncio.sleep(0.05)
    try:
        yield
    finally:
        lock.release()


def _lock(journal: Journal) -> FileLock | None:
    try:
        return try_lock(journal.lock)
    except (NotImplementedError, OSError) as error:
        raise EditRefused(
            f"{str(journal.lock)!r} cannot be locked ({error}): nothing was changed. Name a folder of a local disk in "
            f"LLMROUTE_HOME."
        ) from error


async def to_its_end(work: Coroutine[Any, Any, T], stop: Callable[[], None]) -> T:
    """Run work that must not be left half done; a cancellation is told to `stop`, and waits for it."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
            stop()
    if cancelled:
        task.exception()
        raise asyncio.CancelledError
    return task.result()


class _Application:
    """One proposal on its way into the files."""

    def __init__(
        self,
        proposal: Proposal,
        what: tuple[Edit, ...],
        editor: Editor,
        references: frozenset[str],
        journal: Journal,
        limit_s: float,
    ) -> None:
        self._proposal = proposal
        self._what = what
        self._editor = editor
        self._references = references
        self._journal = journal
        self._limit_s = limit_s
        self._home = journal.home
        self._shown = {change.file: change for change in proposal.changes}
        self._written = {change.file for change in proposal.changes if change.written or not proposal.steps}
        self._editing: asyncio.Future[None] | None = None
        self._stopped = False
        self._notes: tuple[str, ...] = ()

    def stop(self) -> None:
        """Have it taken back: nobody waits for it any more."""
        self._stopped = True
        if self._editing:
            self._editing.cancel()

    async def run(self) -> Applied:
        try:
            tree, folders = await asyncio.to_thread(self._begin)
        except OSError as error:
            raise EditRefused(
                f"The files cannot be kept so that they could be put back ({error.strerror or error}): nothing was "
                f"changed. Make room in {str(self._journal.folder)!r}."
            ) from error
        try:
            if self._proposal.steps and not self._stopped:
                self._editing = asyncio.ensure_future(self._edit())
                await self._in_time(self._editing)
            changed = await asyncio.to_thread(tree.changed)
            final = await asyncio.to_thread(self._finish, tree, changed, folders)
            if self._stopped:
                raise asyncio.CancelledError
            return self._commit(tree, final, folders)
        except BaseException as error:
            # Synchronously: nothing can come between.
            restored = self._journal.restore(_made(tree))
            if isinstance(error, EditRefused):
                raise _with_aside(error, restored) from error
            if not isinstance(error, Exception):
                raise
            raise _with_aside(EditRefused(_told_failure(error, self._limit_s)), restored) from error

    def _begin(self) -> tuple[Tree, tuple[Path, ...]]:
        self._journal.recover()
        places = {place(self._home, change.file): change for change in self._proposal.changes}
        tree = Tree.take(self._home, places, whole=bool(self._proposal.steps))
        for path, change in places.items():
            seen = tree.files.get(path)
            if (digest(seen.raw) if seen else None) != change.digest:
                raise EditRefused(
                    f"{change.file!r} was changed since the proposal was made: nothing was changed. Ask again, so that "
                    f"the change fits the file as it is."
                )
        folders = tuple(dict.fromkeys(folder for path in places for folder in _missing(path.parent)))
        planned = {path: digest_of(change.raw_after) for path, change in places.items()}
        self._journal.begin(tree, planned, folders, self._limit_s)
        return tree, folders

    async def _in_time(self, editing: asyncio.Future[None]) -> None:
        """Wait for the editor, and, where it is late, for its end."""
        done, _ = await asyncio.wait([editing], timeout=self._limit_s)
        if not done:
            editing.cancel()
            await asyncio.wait([editing])
            raise TimeoutError
        if editing.cancelled():
            if self._stopped:
                raise asyncio.CancelledError
            raise TimeoutError
        editing.result()

    async def _edit(self) -> None:
        for step in self._proposal.steps:
            await _make(step, self._editor)

    def _finish(
        self, tree: Tree, changed: Mapping[Path, bytes | None], folders: Iterable[Path]
    ) -> dict[Path, bytes | None]:
        """Look at what the editor did, put right what it did to bytes alone, and write what is written whole."""
        if others := sorted(self._written & {tree.names[path] for path in changed}):
            raise _busy(others[0])
        final = Verification(self._proposal, tree, self._shown, self._written, self._references).run(changed)
        self._notes = tuple(
            f"Encoding, line ends or empty lines of {tree.names[path]!r} were put right."
            for path, raw in sorted(changed.items())
            if final[path] != raw
        )
        final |= {place(self._home, name): self._shown[name].raw_after for name in self._written}
        for folder in folders:
            folder.mkdir(exist_ok=True)
        for path, raw in final.items():
            mode = tree.files[path].mode if path in tree.files else None
            if raw is None:
                path.unlink(missing_ok=True)
            elif not path.is_file() or path.read_bytes() != raw:
                write_whole(path, raw, mode)
            elif mode is not None and path.stat().st_mode & 0o7777 != mode:
                path.chmod(mode)
        for path, raw in final.items():
            if raw is not None and path.read_bytes() != raw:
                raise _busy(tree.names[path])
        return final

    def _commit(self, tree: Tree, final: Mapping[Path, bytes | None], folders: Iterable[Path]) -> Applied:
        changes, kept = [], []
        for path, raw in sorted(final.items(), key=lambda item: tree.names[item[0]]):
            name = tree.names[path]
            seen = tree.files.get(path)
            if seen and seen.raw == raw:
                continue
            change = self._shown.get(name) or change_of(name, seen.raw if seen else None, raw)
            changes.append(change)
            kept.append(Kept(name, seen.raw if seen else None, seen.mode if seen else None, digest_of(raw)))
        at = time.time()
        what = tuple(told(step) for step in self._what) or tuple(f"write {name!r}" for name in self._shown)
        number = self._journal.commit(what, kept, folders, at)
        return Applied(root=self._home, changes=tuple(changes), number=number, at=at, what=what, notes=self._notes)


async def _make(step: Edit, editor: Editor) -> None:
    match step:
        case ReplaceSymbol():
            await editor.replace_body(step.file, step.symbol, step.body)
        case InsertSymbol():
            insert = editor.insert_after if step.side is Side.AFTER else editor.insert_before
            await insert(step.file, step.symbol, step.body)
        case RenameSymbol():
            await editor.rename(step.file, step.symbol, step.new_name)
        case DeleteSymbol():
            await editor.safe_delete(step.file, step.symbol)
        case WriteFile() | PatchFile():
            raise EditRefused(f"No editor can {told(step)}: nothing was changed. Propose it anew.")
        case _:
            assert_never(step)


def _missing(folder: Path) -> list[Path]:
    """Return the folders that are not there, the outermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    return missing[::-1]


def _made(tree: Tree) -> list[Path]:
    """Return the files that are there and were not."""
    try:
        return [path for path in tree.changed() if path not in tree.files]
    except (EditRefused, OSError):
        return []


def _busy(name: str) -> EditRefused:
    return EditRefused(
        f"{name!r} was changed by somebody else at the same time: all was taken back. Try again when nobody writes it."
    )


def _told_failure(error: BaseException, limit_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"The editor was not done after {limit_s:g} s: all was taken back. Try again, or without it."
    said = " ".join(str(error).split())[:300]
    return f"The editor failed ({type(error).__name__}: {said}): all was taken back. Try again, or without it."


def _with_aside(error: EditRefused, restored: Restored) -> EditRefused:
    if restored.aside is None:
        return error
    message = f"{error} What stood in the files instead is kept in {str(restored.aside)!r}."
    return NotAsShown(message, error.instead) if isinstance(error, NotAsShown) else EditRefused(message)
