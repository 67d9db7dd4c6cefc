"""Changes taken back: every byte as it was, or nothing at all."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from jupyter_llmroute.core.edits.applied import Applied
from jupyter_llmroute.core.edits.guard import held, to_its_end
from jupyter_llmroute.core.edits.journal import Entry, Journal, Kept
from jupyter_llmroute.core.edits.place import place
from jupyter_llmroute.core.edits.proposal import FileChange
from jupyter_llmroute.core.edits.text_file import decoded, digest, read_bytes, write_whole
from jupyter_llmroute.core.edits.tree import Tree
from jupyter_llmroute.core.errors import EditRefused

LIMIT_S = 30.0


async def undo(root: Path, *, state: Path | None = None) -> Applied:
    """Take back the change of a project's files that was applied last and is not taken back yet.

    Parameters
    ----------
    root
        Of the project.
    state
        The folder of all journals; `None` for the one in the user's state folder.

    Raises
    ------
    EditRefused
        There is none, or a file was changed since: nothing is changed.
    """
    journal = Journal.of(root, state)
    async with held(journal):
        return await to_its_end(asyncio.to_thread(_undo, journal), lambda: None)


def changes(root: Path, *, state: Path | None = None) -> tuple[tuple[int, float, tuple[str, ...]], ...]:
    """Return what can be undone, the newest last: its number, when it was, what it was."""
    return tuple((entry.number, entry.at, entry.what) for entry in Journal.of(root, state).entries())


def _undo(journal: Journal) -> Applied:
    journal.recover()
    entries = journal.entries()
    if not entries:
        raise EditRefused(
            f"There is no change of {str(journal.home)!r} to take back: nothing was changed. Only changes that were "
            f"applied from an answer are kept."
        )
    entry = entries[-1]
    if _is_undone(journal, entry):
        # By hand, or by a process that died before it could say so.
        journal.drop(entry.number)
        raise EditRefused(
            f"Change {entry.number} of {_when(entry)} is taken back already: nothing was changed. The next undo is "
            f"about the one before it."
        )
    kept = {place(journal.home, each.file): each for each in entry.files}
    tree = Tree.take(journal.home, kept, whole=False)
    done = []
    for path, each in kept.items():
        seen = tree.files.get(path)
        if (digest(seen.raw) if seen else None) != each.after:
            raise EditRefused(
                f"{each.file!r} was changed since {_when(entry)}, when it was written: nothing was taken back. Take "
                f"your own change back first, or change it by hand."
            )
        done.append(_change(each, seen.raw if seen else None))
    planned = {path: None if each.before is None else digest(each.before) for path, each in kept.items()}
    journal.begin(tree, planned, (), LIMIT_S)
    try:
        _put_back(journal, entry, kept)
    except BaseException as error:
        journal.restore()
        if not isinstance(error, OSError):
            raise
        raise EditRefused(
            f"A file could not be written ({error.strerror}): nothing was taken back. Make it writable and try again."
        ) from error
    journal.forget()
    journal.drop(entry.number)
    return Applied(
        root=journal.home,
        changes=tuple(sorted(done, key=lambda change: change.file)),
        number=entry.number,
        at=time.time(),
        what=entry.what,
        taken_back=True,
    )


def _is_undone(journal: Journal, entry: Entry) -> bool:
    return all(read_bytes(place(journal.home, each.file), each.file) == each.before for each in entry.files)


def _put_back(journal: Journal, entry: Entry, kept: dict[Path, Kept]) -> None:
    for path, each in kept.items():
        if each.before is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, each.before, each.mode)
        if read_bytes(path, each.file) != each.before:
            raise EditRefused(f"{each.file!r} is written by somebody else: nothing was taken back. Try again later.")
    for name in reversed(entry.folders):
        folder = Path(name)
        if folder.is_relative_to(journal.home) and folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _change(kept: Kept, now: bytes | None) -> FileChange:
    return FileChange(
        file=kept.file,
        before=None if now is None else decoded(kept.file, now).text,
        after=None if kept.before is None else decoded(kept.file, kept.before).text,
        digest=None if now is None else digest(now),
        raw_after=kept.before,
    )


def _when(entry: Entry) -> str:
    return time.strftime("%H:%M:%S", time.localtime(entry.at))
