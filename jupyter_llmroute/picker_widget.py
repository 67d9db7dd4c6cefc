"""`%llm_pick`, and its controls. The table is an output of its own: it is saved, and shows without widgets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_llmroute.core.pins import ANY, AUTO
from jupyter_llmroute.core.task import Task

if TYPE_CHECKING:
    from argparse import Namespace

    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.picker import Decisions, Picker
    from jupyter_llmroute.table import Table

UNPINNED = "no pin of this session"
BY_SCORE = "auto: whoever suits best"


def pick(session: NotebookSession, options: Namespace) -> None:
    """Do what `%llm_pick` says."""
    from jupyter_llmroute.picker import Picker, picked

    picker = Picker(session)
    is_named, task, model = picked(options.task, options.model)
    if options.clear:
        session.show(picker.table(None, picker.clear(task, of_all=not is_named)).bundle(None))
    elif model:
        session.show(picker.table(None, picker.pick(task, model)).bundle(None))
    elif options.text or not hasattr(session.shell, "kernel"):
        session.show(picker.table(task, refresh=True).bundle(None))
    else:
        show_picker(picker, task)


def show_picker(picker: Picker, task: Task | None = None) -> None:
    """Show who would answer, and controls that pin a model to a task or to all.

    Parameters
    ----------
    picker
        Pins in its session.
    task
        What is chosen at first; `None`: all tasks.
    """
    import ipywidgets  # noqa: TID251
    from IPython.display import display  # noqa: TID251

    from jupyter_llmroute.core.errors import LLMRouteError
    from jupyter_llmroute.inert import inert_line, plain_line
    from jupyter_llmroute.picker import name_of
    from jupyter_llmroute.widgets import view_of
    from jupyter_llmroute.wording import points, who

    first = picker.decisions(task, refresh=True)

    def models(decisions: Decisions) -> list[tuple[str, str]]:
        """Return what can be chosen: for all tasks, each model that can answer one of them."""
        found = {
            name_of(one): plain_line(
                f"{who(one.model.id, one.endpoint.name)}" + (f", {points(one)}" if len(decisions) == 1 else "")
            )
            for decision in decisions.values()
            for one in decision.route.candidates
        }
        return [(UNPINNED, ""), (BY_SCORE, AUTO), *((label, name) for name, label in found.items())]

    def chosen() -> Task | None:
        return None if tasks_box.value == ANY else Task(tasks_box.value)

    tasks_box = ipywidgets.Dropdown(
        options=[("all tasks", ANY), *((each.value, each.value) for each in Task)],
        value=task.value if task else ANY,
        description="Task",
    )
    models_box = ipywidgets.Dropdown(options=models(first), description="Model", layout={"width": "26em"})
    pin = ipywidgets.Button(description="Pin", tooltip="Have this model answer these questions in this session")
    close = ipywidgets.Button(description="Close", tooltip="Take these controls away; the table stays")
    box = ipywidgets.HBox([tasks_box, models_box, pin, close])
    controls = display(view_of(box), raw=True, display_id=True)
    output = display(picker.shown(first).bundle(None), raw=True, display_id=True)

    def draw(table: Table) -> None:
        output.update(table.bundle(None), raw=True)

    def trying(do: Any) -> Any:
        """Return a handler that shows what goes wrong: nobody sees what a handler raises."""

        def handler(_: Any) -> None:
            try:
                do()
            except LLMRouteError as error:
                said = {"text/markdown": inert_line(f"{error}", 600), "text/plain": plain_line(f"{error}", 600)}
                output.update(said, raw=True)

        return handler

    def look() -> None:
        decisions = picker.decisions(chosen())
        models_box.options = models(decisions)
        draw(picker.shown(decisions))

    def put() -> None:
        task, model = chosen(), models_box.value
        said = picker.pick(task, model) if model else picker.clear(task, of_all=False)
        draw(picker.table(None, said))

    def leave(_: Any) -> None:
        controls.update({"text/plain": ""}, raw=True)
        for widget in (*box.children, box):
            widget.close()

    tasks_box.observe(trying(look), "value")
    pin.on_click(trying(put))
    close.on_click(leave)
