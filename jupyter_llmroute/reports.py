"""What a session shows besides answers: its servers, models and settings, a decision, what would be sent.

Where recordings are replayed, they hold this too.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.table import Table


class Reports:
    """Reports on a session.

    Parameters
    ----------
    session
        Which.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session

    def doctor_table(self) -> Table:
        """Return what the doctor finds, a row for each check."""
        from jupyter_llmroute.core.diagnosis import diagnose
        from jupyter_llmroute.doctor_table import table

        async def look() -> Table:
            return table(await diagnose(self._session.config.loaded, await self._session.router.services(refresh=True)))

        return self._session.run(look())

    def services_table(self, *, refresh: bool = True) -> Table:
        """Return the servers as a table."""
        from jupyter_llmroute.core.sent import command
        from jupyter_llmroute.services import table
        from jupyter_llmroute.table import Table

        async def live() -> Table:
            return table(await self._session.router.services(refresh=refresh))

        return self._session.cassettes.kept(command("services"), Table, live)

    def models_table(self, task: Task | None = None, *, scores: bool = False, refresh: bool = True) -> Table:
        """Return the models as a table, ranked for a task where one is given."""
        from jupyter_llmroute.core.request import Request
        from jupyter_llmroute.core.sent import command, pinned
        from jupyter_llmroute.models import table
        from jupyter_llmroute.table import Table

        async def live() -> Table:
            request = Request(question="", task=task, pins=self._session.held_pins().pins)
            (taken,) = await self._session.router.decide_each([request], refresh=refresh)
            return table(taken.decision, task, scores=scores)

        asked = command(
            "models", task=task and task.value, scores=scores, **pinned(self._session.held_pins().pins, task)
        )
        return self._session.cassettes.kept(asked, Table, live)

    def explanation(self, shown: int | None) -> dict[str, Any]:
        """Return what is to be said of the last decision, as a mime bundle; of long parts so many lines."""
        from jupyter_llmroute.core.sent import sent_of
        from jupyter_llmroute.why import Part, bundle, cut, parts

        session = self._session
        if session.last_asked is None:
            return bundle(None)

        async def live() -> tuple[Part, ...]:
            return cut(parts(session.last_decision, session.last_view), shown) if session.last_decision else ()

        kind = "why" if shown else "why --all"
        found = session.cassettes.kept(partial(sent_of, session.last_asked, kind=kind), tuple[Part, ...], live)
        return bundle(session.last_decision, session.last_view, shown=shown, found=found or None)

    def explain(self, *, show_all: bool = False) -> None:
        """Show what is to be said of the last decision; of long parts only their beginning, unless all is wanted."""
        from jupyter_llmroute.why import SHOWN

        self._session.show(self.explanation(None if show_all else SHOWN))

    def show_decision(self, request: Request, *, mode: str | None = None) -> None:
        """Show whom `answer` would ask, and why."""
        from jupyter_llmroute.terminal import decision_lines

        session = self._session
        text = "\n".join(decision_lines(session.decide(request, mode=mode), request))
        session.last_decision, session.last_view, session.last_asked = session.router.last_decision, None, request
        session.show({"text/plain": text})

    def show_context(self, request: Request, *, shown: int | None, is_full: bool = False) -> None:
        """Show what would be sent for a request, and ask nobody."""
        from jupyter_llmroute.context_table import full, table
        from jupyter_llmroute.core.sent import sent_of
        from jupyter_llmroute.table import Table

        async def live() -> tuple[Table, str]:
            preview = await self._session.router.preview(request)
            return table(preview, request.cells), full(preview) if is_full else ""

        kind = "context --full" if is_full else "context"
        listed, whole = self._session.cassettes.kept(partial(sent_of, request, kind=kind), tuple[Table, str], live)
        self._session.show(listed.bundle(shown))
        if is_full:
            self._session.show({"text/plain": whole})

    def show_serena(self, *, restart: bool) -> None:
        """Show how Serena is for the project of this notebook, started anew where that is wanted."""
        from jupyter_llmroute.core.sent import command

        async def live() -> str:
            project = self._session.router.project(self._session.questions.request("", with_context=False))
            if project is None:
                return "This notebook belongs to no project: no folder above it has a pyproject.toml or .git."
            if project.serena is None:
                return "Serena is switched off by serena.enabled; jedi answers."
            if restart:
                await project.serena.restart()
            state = project.serena.state
            waits = state.stage.value == "asleep"
            said = "Serena does not run: the first question that needs it starts it." if waits else str(state)
            return f"{said} Project: {project.root}"

        self._session.say(self._session.cassettes.kept(command("serena", restart=restart or None), str, live))

    def settings(self) -> Table:
        """Return every setting, and what is pinned besides."""
        from jupyter_llmroute.session_pins import told

        return self._session.config.table(told(self._session.held_pins().pins))
