"""Controls in the notebook. They never hold an answer or a decision: those are outputs, which survive the kernel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession


def show_retry(session: NotebookSession, request: Request) -> None:
    """Show the models that could answer `request`, and a button that asks the chosen one.

    The answer comes into an output of the same cell, outside the widget. Once asked, the widget is replaced by a
    line of text, because a saved widget shows an error when its kernel is gone.
    """
    import ipywidgets
    from IPython.display import display

    from jupyter_llmroute.inert import plain_line
    from jupyter_llmroute.notebook import OutputScreen

    free = request.model_copy(update={"model": None, "service": None})
    candidates = session.decide(free).route.candidates
    if not candidates:
        session.answer(free)  # raises, and says why there is nobody
        return
    picker = ipywidgets.Dropdown(
        options=[
            (plain_line(f"{c.model.id} on {c.endpoint.name} ({max(0.0, c.score):.0f} points)"), index)
            for index, c in enumerate(candidates)
        ],
        description="Ask",
    )
    button = ipywidgets.Button(description="Retry", tooltip="Ask the last question again, of this model")
    box = ipywidgets.HBox([picker, button])
    shown = display(box, display_id=True)
    screen = OutputScreen()
    screen.reserve()

    def ask(_: Any) -> None:
        chosen = candidates[picker.value]
        line = f"Asked again: {plain_line(chosen.model.id)} on {plain_line(chosen.endpoint.name)}"
        shown.update({"text/plain": line}, raw=True)
        for widget in (picker, button, box):
            widget.close()
        pinned = free.model_copy(update={"model": chosen.model.id, "service": chosen.endpoint.name})
        session.answer(pinned, screen)

    button.on_click(ask)
