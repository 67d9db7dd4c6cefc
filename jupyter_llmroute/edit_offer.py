"""Changes of files in a session: an answer's are offered, applied where the user says so, and can be taken back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.edit_log import Change, note

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


class _Waiting(NamedTuple):
    """Changes that nobody has agreed to yet."""

    proposal: Proposal
    project: ProjectCode
    request: Request
    """The question whose answer wants them."""


class EditOffers:
    """The changes that a session's answers have brought.

    Parameters
    ----------
    session
        Whose answers, and whose project.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session
        self._waiting: _Waiting | None = None
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
        self._waiting = _Waiting(offer.proposal, project, request)
        if is_agreed and not offer.proposal.is_empty:
            self._do(self._waiting, is_agreed=True)
        elif hasattr(self._session.shell, "kernel"):
            self._show_with_buttons(self._waiting, place)
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
        self._do(self._waiting, as_shown=as_shown)

    def undo(self, request: Request) -> None:
        """Take the last change of the project's files back."""
        from jupyter_llmroute.core.edits.edits_of_project import taken_back

        root = self.project(request).root
        note(self._session, "agreed to taking the last change back (%llm_undo)", [Change(str(root))])
        try:
            done = self._session.run(taken_back(root))
        except BaseException as error:
            self._note_failure("not taken back", error, [Change(str(root))])
            raise
        self._show(done)
        note(self._session, "taken back (%llm_undo)", _changes(done.root, done.changes))

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

    def _show_with_buttons(self, waiting: _Waiting, place: ProposalPlace | None) -> None:
        from jupyter_llmroute.edit_card import bundle
        from jupyter_llmroute.edit_widget import ProposalPlace, show_proposal

        shown_at = place or ProposalPlace()

        def show(done: Applied) -> None:
            shown_at.card.update(bundle(done), raw=True)

        def apply(shown: Proposal) -> Applied:
            return self._apply(waiting._replace(proposal=shown), show, say=shown_at.result.say)

        show_proposal(waiting.proposal, apply, self._discard, shown_at)

    def _do(self, waiting: _Waiting, *, as_shown: bool = False, is_agreed: bool = False) -> None:
        """Apply without buttons: what an editor would do otherwise is shown here."""
        from jupyter_llmroute.core.edits.verification import NotAsShown

        try:
            self._apply(waiting, self._show, as_shown=as_shown, is_agreed=is_agreed)
        except NotAsShown as error:
            self._show(error.instead)
            raise

    def _apply(
        self,
        waiting: _Waiting,
        show: Callable[[Applied], None],
        *,
        as_shown: bool = False,
        is_agreed: bool = False,
        say: Say | None = None,
    ) -> Applied:
        """Change the files, and write down that it is agreed to before, and what came of it once that is shown."""
        from jupyter_llmroute.core.edits.edits_of_project import applied, waits_for_serena
        from jupyter_llmroute.core.edits.verification import NotAsShown

        proposal, project, request = waiting
        who = "agreed beforehand (--yes)" if is_agreed else "agreed"
        note(self._session, who, _changes(project.root, proposal.changes), request)
        say = say or self._passing()
        try:
            if waits_for_serena(proposal, project, as_shown=as_shown):
                say(STARTING)
            done = self._session.run(applied(proposal, project, as_shown=as_shown))
        except BaseException as error:
            say(STOPPED if isinstance(error, KeyboardInterrupt) else "")
            if isinstance(error, NotAsShown):
                self._waiting = waiting._replace(proposal=error.instead)
            files = [Change(str(project.root / change.file)) for change in proposal.changes]
            self._note_failure("not changed", error, files, request)
            raise
        say("")
        self._settle()
        show(done)
        note(self._session, "; ".join(done.what) or "changed", _changes(done.root, done.changes), request)
        return done

    def _note_failure(
        self, action: str, error: BaseException, changes: Sequence[Change], request: Request | None = None
    ) -> None:
        """Write down that what was agreed to did not happen; the error itself is what the user is to see."""
        from jupyter_llmroute.core.errors import LLMRouteError

        why = "stopped" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__}: {error}"
        try:
            note(self._session, f"{action} ({why})", changes, request)
        except LLMRouteError as lost:
            self._session.say(str(lost))

    def _passing(self) -> Say:
        """Return what says something for a while: a terminal keeps it, an output of a kernel does not."""
        if not hasattr(self._session.shell, "kernel"):
            return lambda text: self._session.say(text) if text else None
        from jupyter_llmroute.edit_widget import Line

        line = Line()
        return line.say

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


def _changes(root: Path, changes: Iterable[FileChange]) -> list[Change]:
    return [Change(str(root / each.file), each.before or "", each.after or "") for each in changes]


def _nothing() -> None:
    """Do nothing."""


def _asks_for_changes(request: Request) -> bool:
    from jupyter_llmroute.core.edits.answer_edits import HOW_TO_WRITE_CHANGES

    return HOW_TO_WRITE_CHANGES in request.attachments
