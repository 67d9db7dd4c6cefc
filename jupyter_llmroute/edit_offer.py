"""Changes of files in a session: an answer's are offered, applied where the user says so, and can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_llmroute.core.errors import UserError

if TYPE_CHECKING:
    from jupyter_llmroute.core.code.project_code import ProjectCode
    from jupyter_llmroute.core.edits.applied import Applied
    from jupyter_llmroute.core.edits.proposal import FileChange, Proposal
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.edit_widget import ProposalPlace
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.response import Response

NOTHING = "The answer holds no change of a file."
NONE_WAITS = (
    "No change waits to be applied: it was applied or discarded, or the kernel was started anew since. Run the cell "
    "with %%route --apply again."
)
STARTING = "starting Serena (usually 10 s)…"
STOPPED = "Stopped: nothing was changed."

Say = Callable[[str], None]


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
        self._take_back: Callable[[], None] = _nothing
        """Has the answer that brought it offer it no more."""

    def offer(
        self,
        request: Request,
        answer: str,
        *,
        is_agreed: bool,
        place: ProposalPlace | None = None,
        say: Say | None = None,
    ) -> None:
        """Show what an answer wants to change; apply it at once where the user has agreed beforehand.

        Parameters
        ----------
        request
            Its question.
        answer
            Its text.
        is_agreed
            Whether the user has.
        place, say
            Where to show it, and what there is to say of it; default: new outputs of the running cell.
        """
        from jupyter_llmroute.core.edits.edits_of_project import offered

        project = self.project(request)
        self._settle()
        self._take_back = self._session.settle
        offer = self._session.run(offered(answer, project))
        is_nothing = offer.proposal.is_empty and not offer.proposal.refused
        said = [*offer.problems, *([NOTHING] if is_nothing else [])]
        if say and said:
            say(" ".join(said))
        for line in () if say else said:
            self._session.say(line)
        if offer.proposal.is_empty:
            self._settle()
        if is_nothing:
            return
        self._waiting = (offer.proposal, project)
        if is_agreed and not offer.proposal.is_empty:
            self._show(self._done(offer.proposal, project, is_agreed=True))
        elif hasattr(self._session.shell, "kernel"):
            self._show_with_buttons(offer.proposal, project, place)
        else:
            self._show(offer.proposal)
            if not offer.proposal.is_empty:
                self._session.say("%llm_apply changes the files as shown.")

    def again(self, request: Request, response: Response, **where: Any) -> None:
        """Offer what the answer to a question that was asked again wants to change, if the question asked for changes.

        Nobody has agreed to this answer, whatever was agreed to before the first one.
        """
        if _asks_for_changes(request) and response.state == "complete":
            self.offer(request, response.text, is_agreed=False, **where)

    def later(self, request: Request) -> Callable[[Request, Response], None]:
        """Make room in the running cell for what `again` shows once a button is pressed, and return what shows it."""
        if not _asks_for_changes(request):
            return lambda _, __: None
        from jupyter_llmroute.core.errors import LLMRouteError
        from jupyter_llmroute.edit_widget import Line, ProposalPlace

        said, place = Line().reserve(), ProposalPlace()

        def show(again: Request, response: Response) -> None:
            try:
                self.again(again, response, place=place, say=said.say)
            except LLMRouteError as error:
                said.say(str(error))  # nobody sees what a button's handler raises

        return show

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
            raise UserError(NONE_WAITS)
        self._show(self._done(*self._waiting, as_shown=as_shown))

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

    def _show_with_buttons(self, proposal: Proposal, project: ProjectCode, place: ProposalPlace | None) -> None:
        from jupyter_llmroute.edit_widget import ProposalPlace, show_proposal

        place = place or ProposalPlace()
        say = place.result.say
        show_proposal(proposal, lambda shown: self._apply(shown, project, say=say), self._discard, place)

    def _done(
        self, proposal: Proposal, project: ProjectCode, *, as_shown: bool = False, is_agreed: bool = False
    ) -> Applied:
        """Apply without buttons: what an editor would do otherwise is shown here."""
        from jupyter_llmroute.core.edits.verification import NotAsShown

        try:
            return self._apply(proposal, project, as_shown=as_shown, is_agreed=is_agreed)
        except NotAsShown as error:
            self._show(error.instead)
            raise

    def _apply(
        self,
        proposal: Proposal,
        project: ProjectCode,
        *,
        as_shown: bool = False,
        is_agreed: bool = False,
        say: Say | None = None,
    ) -> Applied:
        from jupyter_llmroute.core.edits.edits_of_project import applied, waits_for_serena
        from jupyter_llmroute.core.edits.verification import NotAsShown

        who = "agreed beforehand (--yes)" if is_agreed else "agreed"
        self._note(who, project.root, proposal.changes)
        say = say or self._passing()
        if waits_for_serena(proposal, project, as_shown=as_shown):
            say(STARTING)
        try:
            done = self._session.run(applied(proposal, project, as_shown=as_shown))
        except NotAsShown as error:
            say("")
            self._waiting = (error.instead, project)
            raise
        except KeyboardInterrupt:
            say(STOPPED)
            raise
        except BaseException:
            say("")
            raise
        say("")
        self._settle()
        self._note("; ".join(done.what) or "changed", done.root, done.changes)
        return done

    def _passing(self) -> Say:
        """Return what says something for a while: a terminal keeps it, an output of a kernel does not."""
        if not hasattr(self._session.shell, "kernel"):
            return lambda text: self._session.say(text) if text else None
        from jupyter_llmroute.edit_widget import Line

        line = Line()
        return line.say

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
        self._settle()

    def _settle(self) -> None:
        """Forget what waits: its answer offers nothing any more."""
        self._waiting = None
        take_back, self._take_back = self._take_back, _nothing
        take_back()

    def _show(self, shown: Any) -> None:
        from jupyter_llmroute.edit_card import bundle

        self._session.show(bundle(shown))


def _nothing() -> None:
    """Do nothing."""


def _asks_for_changes(request: Request) -> bool:
    from jupyter_llmroute.core.edits.answer_edits import HOW_TO_WRITE_CHANGES

    return HOW_TO_WRITE_CHANGES in request.attachments
