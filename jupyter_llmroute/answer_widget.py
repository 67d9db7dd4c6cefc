"""A row of buttons under an answer, which is an output of its own. Only the last answer of a session has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from jupyter_llmroute.core.feedback import Thumb

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.rating import Answered
    from jupyter_llmroute.response import Response

THUMBS = {
    Thumb.UP: ("thumbs-up", "Good", "A good answer: its model is chosen a little more often", "success"),
    Thumb.DOWN: ("thumbs-down", "Bad", "A bad answer: its model is chosen a little less often", "danger"),
}
"""Icon, word, tooltip, and style where it was said. An icon alone has no name for those who cannot see it."""

WORDS = {"below": "write a new cell below", "replace": "replace the cell"}
"""By what the page is asked for."""

NARROW = {"width": "auto"}

ASKED = "The page is asked to write the cell. Where it cannot, this is what would be in it:"
WRITTEN = "The code is in a cell now; it was not run."
NOT_WRITTEN = "No page has said that it wrote the cell"
ASKED_TO_COPY = "The page is asked to copy the answer. Where it cannot, this is its text, to be copied by hand:"
COPIED = "The answer's text is on the clipboard."
NOT_COPIED = "This page copies nothing from a button"


class Shown(NamedTuple):
    """An answer, and what its buttons need of it."""

    request: Request
    response: Response
    answered: Answered | None
    asked: str
    """The text of the cell that asked."""


def show_actions(session: NotebookSession, response: Response) -> None:
    """Show the row of the answer that has just come, where there is a page for it; that of the answer before goes.

    A saved widget shows an error when its kernel is gone: so no more than one is left to be saved.
    """
    if not hasattr(session.shell, "kernel") or session.last is None:
        return
    from jupyter_llmroute.delivery import whole_question

    session.take_row_away()
    asked = whole_question(session.shell.history_manager.input_hist_raw[-1])
    session.take_row_away = _Row(session, Shown(session.last, response, session.ratings.last, asked)).leave


class _Row:
    """The buttons, and the outputs that are reserved for what they do: a button's handler has no cell of its own."""

    def __init__(self, session: NotebookSession, shown: Shown) -> None:
        import ipywidgets  # noqa: TID251
        from IPython.display import display  # noqa: TID251

        from jupyter_llmroute.cell_writer import WRITES, Action
        from jupyter_llmroute.screen import OutputScreen
        from jupyter_llmroute.widgets import view_of

        self._session, self._shown = session, shown
        self._thumbs = {thumb: self._thumb(ipywidgets, thumb) for thumb in THUMBS} if shown.answered else {}
        self._copy = self._button(ipywidgets, "Copy", "Copy the text of the answer to the clipboard", self._take)
        self._below = self._button(ipywidgets, "Insert below", "Write its code into a new cell below", self._insert)
        self._replace = self._button(ipywidgets, "Replace", "Write its code into the cell that asked", self._put)
        self._retry = self._button(ipywidgets, "Retry…", "Ask another model, or as another task", self._again)
        self._copy.add_class(f"{WRITES}{Action.COPY}")
        self._below.add_class(f"{WRITES}{Action.BELOW}")
        self._replace.add_class(f"{WRITES}{Action.REPLACE}")
        self._copy.disabled = not shown.response.text or not shown.request.cell
        self._below.disabled = not shown.response.code or not shown.request.cell
        self._replace.disabled = self._below.disabled or not shown.asked
        children = [*self._thumbs.values(), self._copy, self._below, self._replace, self._retry]
        self._box = ipywidgets.HBox(children)
        self._controls = display(view_of(self._box), raw=True, display_id=True)
        self._note = display({"text/plain": ""}, raw=True, display_id=True)
        self._screen = OutputScreen()
        self._screen.reserve()
        session.ratings.redraw = self._draw

    def _button(self, ipywidgets: Any, words: str, tooltip: str, do: Callable[[], None]) -> Any:
        button = ipywidgets.Button(description=words, tooltip=tooltip, layout=NARROW)
        button.on_click(self._telling(do))
        return button

    def _thumb(self, ipywidgets: Any, thumb: Thumb) -> Any:
        icon, word, tooltip, _ = THUMBS[thumb]
        button = ipywidgets.Button(icon=icon, description=word, tooltip=tooltip, layout=NARROW)
        button.on_click(self._telling(lambda: self._rate(thumb)))
        return button

    def _telling(self, do: Callable[[], None]) -> Callable[[Any], None]:
        """Return a handler that shows what goes wrong: nobody sees what a handler raises."""
        from jupyter_llmroute.core.errors import LLMRouteError

        def handler(_: Any) -> None:
            try:
                do()
            except LLMRouteError as error:
                self._say(f"{error}")

        return handler

    def leave(self) -> None:
        """Take the buttons away; what they have shown stays."""
        if self._box.comm is not None:
            self._controls.update({"text/plain": ""}, raw=True)
            for widget in (*self._box.children, self._box):
                widget.close()

    def _rate(self, thumb: Thumb) -> None:
        answered, ratings = self._shown.answered, self._session.ratings
        is_again = answered is not None and ratings.said(answered) is thumb
        self._say(ratings.rate(None if is_again else thumb, answered))  # a second press takes it back

    def _draw(self) -> None:
        """Show what was said of the answer, by these buttons or by the magic."""
        answered = self._shown.answered
        if answered is None or self._box.comm is None:
            return
        said = self._session.ratings.said(answered)
        for each, button in self._thumbs.items():
            button.button_style = THUMBS[each][3] if each is said else ""

    def _again(self) -> None:
        from jupyter_llmroute.widgets import show_retry

        self.leave()
        show_retry(self._session, self._shown.request, self._controls, self._screen)

    def _take(self) -> None:
        from jupyter_llmroute.cell_writer import Action, write

        text = self._shown.response.text

        def told(is_done: bool, why: str) -> None:
            if is_done:
                self._say(f"{COPIED} {why}".strip())
            else:
                self._say(f"{NOT_COPIED}{_of(why)}. This is the answer's text:", text, "markdown")

        self._say(ASKED_TO_COPY, text, "markdown")
        write(Action.COPY, cell=self._shown.request.cell, text=text, expected="", told=told)

    def _insert(self) -> None:
        from jupyter_llmroute.cell_writer import Action

        self._write(Action.BELOW, asked="")

    def _put(self) -> None:
        from jupyter_llmroute.cell_writer import Action

        self._write(Action.REPLACE, asked=self._shown.asked)

    def _write(self, action: Any, *, asked: str) -> None:
        from jupyter_llmroute.cell_writer import write
        from jupyter_llmroute.core.errors import LLMRouteError
        from jupyter_llmroute.delivery import reader_of
        from jupyter_llmroute.edit_log import of_cells
        from jupyter_llmroute.next_cell import next_cell

        cell = next_cell(self._shown.response, reader_of(self._session.shell), asked)
        if not cell.text:
            self._say(cell.what)
            return

        words = f"{WORDS[action.value]} (button)"
        noted = of_cells(self._session, self._shown.request)

        def told(is_done: bool, why: str) -> None:
            line, code = (WRITTEN, "") if is_done else (f"{NOT_WRITTEN}{_of(why)}. This would be in it:", cell.text)
            self._say(line, code)
            try:
                noted(f"{words}: {'written' if is_done else f'not written{_of(why)}'}", asked, cell.text)
            except LLMRouteError as error:  # the page has done what it has done, and that is said first
                self._say(f"{error} {line}", code)

        noted(f"{words}: agreed", asked, cell.text)
        self._say(ASKED, cell.text)
        write(action, cell=self._shown.request.cell, text=cell.text, expected=asked, told=told)

    def _say(self, line: str, code: str = "", language: str = "python") -> None:
        from jupyter_llmroute.core.context import fenced
        from jupyter_llmroute.inert import inert_line, inert_markdown, plain_line, seen

        markdown, plain = inert_line(line, 600), plain_line(line, 600)
        if code:
            markdown += "\n\n" + inert_markdown(fenced(seen(code), language))
            plain += "\n\n" + seen(code)
        self._note.update({"text/markdown": markdown, "text/plain": plain}, raw=True)


def _of(why: str) -> str:
    return f" ({why})" if why else ""
