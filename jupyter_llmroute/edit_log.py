"""What is changed for the user, cells and files, written into the audit log: before it happens, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession


class Change(NamedTuple):
    """Something that is to be changed, or was."""

    target: str
    before: str | None = None
    """Its text; `None` where that is not known."""
    after: str | None = None


def note(session: NotebookSession, action: str, changes: Iterable[Change], request: Request | None = None) -> None:
    """Write changes down.

    Parameters
    ----------
    session
        Whose log.
    action
        What is done, in words.
    changes
        To what.
    request
        The question whose answer it is, where it is one.

    Raises
    ------
    AuditError
        It cannot be written, and audit is required.
    """
    from jupyter_llmroute.core.audit.question import id_of
    from jupyter_llmroute.core.audit.record import Edited, Fingerprint

    async def write() -> None:
        journal = session.router.journal
        if journal is None:
            return

        async def kept(text: str | None) -> Fingerprint | None:
            return None if text is None else await journal.fingerprint(text)

        edited = [
            Edited(
                question=id_of(request) if request else "",
                action=action,
                target=change.target,
                before=await kept(change.before),
                after=await kept(change.after),
            )
            for change in changes
        ]
        await journal.note(*edited)

    session.run(write())


def of_cells(session: NotebookSession, request: Request | None = None) -> Callable[[str, str, str], None]:
    """Return what notes that a cell is written: what is done, the text that was there and the one that will be.

    Parameters
    ----------
    session
        Whose log.
    request
        The question; default: the last one.
    """
    request = request or session.last

    def noted(action: str, before: str, after: str) -> None:
        asked = (request.cell or f"In [{request.number}]") if request else ""
        note(session, action, [Change(f"cell {asked}".strip(), before, after)], request)

    return noted
