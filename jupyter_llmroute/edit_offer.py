"""Changes of files in a session: an answer's are offered, applied where the user says so, and can be taken back."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_llmroute.core.errors import UserError

if TYPE_CHECKING:
    from jupyter_llmroute.core.code.project_code import ProjectCode
    from jupyter_llmroute.core.edits.applied import Applied
    from jupyter_llmroute.core.edits.proposal import FileChange, Proposal
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession

NOTHING = "The answer holds no change of a file."


class EditOffers:
    """The changes that a session's answers have brought.

    Parameters
    ----------
    session
        Whose answers, and whose project.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session
        self._waiting: tuple[Proposal, ProjectCode] | None = None

    def offer(self, request: Request, answer: str, *, is_agreed: bool) -> None:
        """Show what an answer wants to change; apply it at once where the user has agreed beforehand."""
        from jupyter_llmroute.core.edits.edits_of_project import offered

        project = self.project(request)
        self._waiting = None
        offer = self._session.run(offered(answer, project))
        for problem in offer.problems:
            self._session.say(problem)
        if offer.proposal.is_empty and not offer.proposal.refused:
            self._session.say(NOTHING)
            return
        self._waiting = (offer.proposal, project)
        if is_agreed and not offer.proposal.is_empty:
            self._show(self._apply(offer.proposal, project, is_agreed=True))
        elif hasattr(self._session.shell, "kernel"):
            from jupyter_llmroute.edit_widget import show_proposal

            show_proposal(offer.proposal, lambda shown: self._apply(shown, project), self._discard)
        else:
            self._show(offer.proposal)
            if not offer.proposal.is_empty:
                self._session.say("%llm_apply changes the files as shown.")

    def apply(self, *, as_shown: bool = False) -> None:
        """Apply what was offered last.

        Parameters
        ----------
        as_shown
            Whether exactly that is written, and Serena is not asked what else a rename concerns.

        Raises
        ------
        UserError
            Nothing waits.
        """
        if self._waiting is None:
            raise UserError("There is no change to apply: ask for one with %%route --apply.")
        self._show(self._apply(*self._waiting, as_shown=as_shown))

    def undo(self, request: Request) -> None:
        """Take the last change of the project's files back."""
        from jupyter_llmroute.core.edits.edits_of_project import taken_back

        done = self._session.run(taken_back(self.project(request).root))
        self._note("taken back (%llm_undo)", done.root, done.changes)
        self._show(done)

    def project(self, request: Request) -> ProjectCode:
        """Return the project whose files are changed.

        Raises
        ------
        UserError
            The notebook belongs to none.
        """
        project = self._session.router.project(request)
        if project is None:
            raise UserError(
                f"{request.folder!r} belongs to no project, so there are no files to change: put a pyproject.toml or "
                ".git into the project's root, or set serena.workspace."
            )
        return project

    def _apply(
        self, proposal: Proposal, project: ProjectCode, *, as_shown: bool = False, is_agreed: bool = False
    ) -> Applied:
        from jupyter_llmroute.core.edits.edits_of_project import applied
        from jupyter_llmroute.core.edits.verification import NotAsShown

        who = "agreed beforehand (--yes)" if is_agreed else "agreed"
        self._note(who, project.root, proposal.changes)
        try:
            done = self._session.run(applied(proposal, project, as_shown=as_shown))
        except NotAsShown as error:
            self._waiting = (error.instead, project)
            self._show(error.instead)
            raise
        self._waiting = None
        self._note("; ".join(done.what) or "changed", done.root, done.changes)
        return done

    def _note(self, action: str, root: Path, changes: Iterable[FileChange]) -> None:
        """Write into the audit log what is to become of files, or has."""
        from jupyter_llmroute.core.audit.record import Edited

        async def note() -> None:
            journal = self._session.router.journal
            if journal is None:
                return
            edited = [
                Edited(
                    action=action,
                    target=str(root / change.file),
                    before=await journal.fingerprint(change.before or ""),
                    after=await journal.fingerprint(change.after or ""),
                )
                for change in changes
            ]
            await journal.note(*edited)

        self._session.run(note())

    def _discard(self) -> None:
        self._waiting = None

    def _show(self, shown: Any) -> None:
        from jupyter_llmroute.edit_card import bundle

        self._session.show(bundle(shown))
