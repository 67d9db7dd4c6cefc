"""Controls in the notebook. They never hold an answer or a decision: those are outputs, which survive the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.screen import OutputScreen
    from jupyter_llmroute.table import Table

AS_IT_IS = "as it is"
"""The order of a table that nobody sorted."""

NAMED = 8
"""Models that are named where nobody can choose one with a click."""


def show_retry(
    session: NotebookSession, request: Request, place: Any = None, screen: OutputScreen | None = None
) -> None:
    """Show the tasks and the models that could answer `request`, and a button that asks the chosen one.

    The answer comes into an output of the same cell, outside the widget. Once asked, the widget is replaced by a
    line of text, because a saved widget shows an error when its kernel is gone. Where no widget can be shown, the
    models are named, and how to ask them.

    Parameters
    ----------
    session
        Asks.
    request
        What to ask again.
    place, screen
        The outputs for the widget and for the answer. Default: new ones of the running cell.
    """
    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.inert import plain_line
    from jupyter_llmroute.screen import OutputScreen
    from jupyter_llmroute.wording import and_more, points, who

    free = request.model_copy(update={"model": None, "service": None})
    decided = session.decide(free)
    told, candidates = decided.classification.task, list(decided.route.candidates)
    if not candidates:
        session.answer(free)  # raises, and says why there is nobody
        return

    def names() -> list[tuple[str, int]]:
        told = (plain_line(f"{who(c.model.id, c.endpoint.name)}, {points(c)}") for c in candidates)
        return [(name, index) for index, name in enumerate(told)]

    named = [name for name, _ in names()]
    ways = "\n".join(
        ("Ask again: %llm_retry -m MODEL, or -t TASK.", *named[:NAMED], *filter(None, [and_more(len(named) - NAMED)]))
    )
    if not hasattr(session.shell, "kernel"):
        session.show({"text/plain": ways})
        return

    import ipywidgets
    from IPython.display import display

    task = ipywidgets.Dropdown(options=[each.value for each in Task], value=told.value, description="Task")
    picker = ipywidgets.Dropdown(options=names(), description="Ask")
    button = ipywidgets.Button(description="Retry", tooltip="Ask the last question again, of this model")
    box = ipywidgets.HBox([task, picker, button])
    view = {**view_of(box), "text/plain": ways}
    if place is None:
        shown = display(view, raw=True, display_id=True)
    else:
        shown = place
        shown.update(view, raw=True)
    if screen is None:
        screen = OutputScreen()
        screen.reserve()
    offer = session.offers.later(request)

    def wish() -> Request:
        # What was told and is left as it is was not named by the user.
        return free if task.value == told.value else free.model_copy(update={"task": Task(task.value)})

    def rank(_: Any) -> None:
        try:
            candidates[:] = session.decide(wish()).route.candidates
        except LLMRouteError:
            candidates.clear()  # asked, it will say why
        picker.options = names()
        button.disabled = not candidates

    def ask(_: Any) -> None:
        chosen = candidates[picker.value]
        line = plain_line(f"Asked again: {who(chosen.model.id, chosen.endpoint.name)}")
        shown.update({"text/plain": line}, raw=True)
        for widget in (*box.children, box):
            widget.close()
        pinned = wish().model_copy(update={"model": chosen.model.id, "service": chosen.endpoint.name})
        offer(pinned, session.answer(pinned, screen))

    task.observe(rank, "value")
    button.on_click(ask)


def show_table(table: Table, again: Callable[[], Table], *, shown: int | None, find: str = "") -> None:
    """Show a table with controls that find in it, sort it and make it anew.

    The table is an output of its own under the controls: it is saved with the notebook and shows without a kernel.

    Parameters
    ----------
    table
        What to show first.
    again
        Makes the table of now.
    shown
        Rows that are shown of a long one; `None` for all.
    find
        Words that the rows must hold.
    """
    import ipywidgets
    from IPython.display import display

    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.inert import inert_line, plain_line

    finder = ipywidgets.Text(value=find, placeholder="words in a row", description="Find")
    order = ipywidgets.Dropdown(options=(AS_IT_IS, *table.columns), description="Sort by")
    refresh = ipywidgets.Button(description="Refresh", tooltip="Look around again")
    close = ipywidgets.Button(description="Close", tooltip="Take these controls away; the table stays")
    box = ipywidgets.HBox([finder, order, refresh, close])
    controls = display(view_of(box), raw=True, display_id=True)
    output = display(table.found(find).bundle(shown), raw=True, display_id=True)
    tables = [table]

    def draw(_: Any = None) -> None:
        found = tables[-1].found(finder.value)
        found = found if order.value == AS_IT_IS else found.sorted_by(order.value)
        output.update(found.bundle(shown), raw=True)

    def look(_: Any) -> None:
        refresh.disabled = True
        try:
            tables[:] = [again()]
            draw()
        except LLMRouteError as error:
            # Nobody sees what a button's handler raises.
            output.update(
                {"text/markdown": inert_line(f"{error}", 600), "text/plain": plain_line(f"{error}", 600)}, raw=True
            )
        finally:
            refresh.disabled = False

    def leave(_: Any) -> None:
        controls.update({"text/plain": ""}, raw=True)
        for widget in (*box.children, box):
            widget.close()

    finder.observe(draw, "value")
    order.observe(draw, "value")
    refresh.on_click(look)
    close.on_click(leave)


def view_of(widget: Any) -> dict[str, Any]:
    """Return the bundle of a widget, with nothing for viewers that have no widgets: outputs beside it say it all."""
    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    return {"application/vnd.jupyter.widget-view+json": view, "text/plain": ""}
