"""The kernel's side of the router: shell and cells become a request, events become outputs.

One `NotebookSession` belongs to one shell. It holds the router, which lives on a background loop, and the turns of
this kernel session. Nothing of the router is imported before the first question.
"""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_llmroute.bridge import BackgroundLoop, Stopped

if TYPE_CHECKING:
    from jupyter_llmroute.core.endpoint import Endpoint
    from jupyter_llmroute.core.events import Event, Routed
    from jupyter_llmroute.core.request import CellRef, Request, Turn
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.selector import Decision
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.response import Response
    from jupyter_llmroute.view import RunView

MIN_TICK_S = 0.05
"""Seconds between two updates of an output: one a token overloads the page, whatever the method."""

TICK_S_PER_CHAR = 1e-5
"""Each update carries the whole text, so long answers are updated less often."""

MAX_OUTPUT_CHARS = 20_000
"""A longer result of a cell is cut before it is kept for a prompt, where it is cut again."""

INNERMOST_FRAMES = 5
"""Of a traceback."""

OUR_MAGICS = ("%%route", "%route", "%llm_", "%load_ext", "%reload_ext")
"""Cells that are questions, or say nothing about the user's work."""

T = TypeVar("T")


class Screen(Protocol):
    """Where a run is shown."""

    def update(self, view: RunView, *, final: bool) -> None:
        """Show the run as it stands."""


class OutputScreen:
    """One output of the cell, updated in place; created when there is something to show."""

    def __init__(self) -> None:
        self._handle: Any = None

    def reserve(self) -> None:
        """Create the output now, empty: what is shown later, from a widget's button, has no cell to go to."""
        from IPython.display import display

        self._handle = display({"text/plain": ""}, raw=True, display_id=True)

    def update(self, view: RunView, *, final: bool) -> None:
        """Send the whole bundle; the one sent last is what is saved."""
        from IPython.display import display

        if self._handle is None:
            self._handle = display(view.bundle(), raw=True, display_id=True)
        else:
            self._handle.update(view.bundle(), raw=True)


class NotebookSession:
    """What one kernel session knows of its questions.

    Parameters
    ----------
    shell
        The running `InteractiveShell`.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.last: Request | None = None
        """The question that was asked last, for asking it again."""
        self.last_decision: Decision | None = None
        """The decision that was taken last, on a question of the user's."""
        self.last_view: RunView | None = None
        """The run that followed it; `None` where it was only to be shown."""
        self._loop = BackgroundLoop()
        self._router: Router | None = None
        self._turns: dict[tuple[int, str], Turn] = {}
        self._asked_in = 0
        """Number of the cell that the question under way stands in."""
        atexit.register(self.close)

    @property
    def router(self) -> Router:
        """The router of this session, made when it is first needed.

        Raises
        ------
        SettingsError
            The settings do not read.
        """
        if self._router is None:
            from jupyter_llmroute.core.router import Router
            from jupyter_llmroute.core.settings import Settings
            from jupyter_llmroute.core.state import StateFile

            with folded():
                settings = Settings.load(project=Path.cwd(), own=own_folders())
                self._router = Router(settings, state=StateFile.of_user())
        return self._router

    def request(self, question: str, *, with_context: bool = True, **pins: Any) -> Request:
        """Return the request of the cell that is running; `pins` are fields of `Request`."""
        from jupyter_llmroute.core.request import Request

        turns, cells = self._surroundings() if with_context else ((), ())
        self._asked_in = self._running_cell
        return Request(question=question, cells=cells, turns=turns, **pins)

    def answer(self, request: Request, screen: Screen | None = None) -> Response:
        """Ask, show the answer while it comes, and return it.

        Parameters
        ----------
        request
            What to ask.
        screen
            Where to show it; default: a new output of the running cell.

        Raises
        ------
        Stopped
            The user interrupted; `_route` holds what had come.
        LLMRouteError
            Nobody could answer, or the one who did failed in the middle.
        """
        from jupyter_llmroute.view import RunView

        view, screen = RunView(request), screen or self.screen()
        self.last = request
        with folded():
            try:
                self._loop.drain(self._stream(request, view), Ticker(view, screen))
            except KeyboardInterrupt:
                view.interrupt()
                raise
            except Exception as error:
                view.fail(error)
                raise
            finally:
                self._keep(view, screen)
        return view.response()

    def decide(self, request: Request) -> Routed:
        """Return the decision for a request, and ask nobody."""
        with folded():
            return self._loop.run(self.router.decide(request))

    def survey(self, task: Task | None = None, *, refresh: bool = True) -> Decision:
        """Return the decision for an empty question: it holds all models, and says who cannot be asked, and why.

        Parameters
        ----------
        task
            What the candidates are ranked for.
        refresh
            Whether to look around now.
        """
        from jupyter_llmroute.core.request import Request

        self.services(refresh=refresh)
        self.decide(Request(question="", task=task))
        decision = self.router.last_decision
        assert decision is not None
        return decision

    def show_decision(self, request: Request) -> None:
        """Show whom `answer` would ask, and why."""
        from jupyter_llmroute.terminal import decision_lines

        text = "\n".join(decision_lines(self.decide(request), request))
        self.last_decision, self.last_view = self.router.last_decision, None
        self.show({"text/plain": text})

    def show(self, bundle: dict[str, Any]) -> None:
        """Show a mime bundle as an output of the running cell, or its plain text in a terminal."""
        self.shell.display_pub.publish(bundle)

    def services(self, *, refresh: bool = True) -> Sequence[Endpoint]:
        """Return the servers that are known."""
        with folded():
            return self._loop.run(self.router.services(refresh=refresh))

    def close(self) -> None:
        """Close the router and stop its loop; the next question starts new ones."""
        atexit.unregister(self.close)
        if self._router:
            self._loop.run(self._router.__aexit__(None, None, None))
            self._router = None
        self._loop.close()

    async def _stream(self, request: Request, view: RunView) -> AsyncGenerator[Event, None]:
        async with contextlib.aclosing(self.router.stream(request)) as events:
            async for event in events:
                if event.kind == "routed":
                    self.last_decision, self.last_view = self.router.last_decision, view
                yield event

    def screen(self) -> Screen:
        """Return a new place to show a run: an output of the cell, or the terminal."""
        from jupyter_llmroute.terminal import TerminalScreen

        return OutputScreen() if hasattr(self.shell, "kernel") else TerminalScreen()

    def _keep(self, view: RunView, screen: Screen) -> None:
        """Show and keep what there is, however the run ended."""
        from jupyter_llmroute.core.request import Turn

        if view.is_shown:
            screen.update(view, final=True)
        response = view.response()
        self.shell.user_ns["_route"] = response
        if response.text:
            # Asked again, as %llm_retry does, a question has its new answer and stays in its place.
            key = (self._asked_in, response.question)
            self._turns[key] = Turn(
                number=self._asked_in, question=response.question, answer=response.text, task=response.task
            )

    @property
    def _running_cell(self) -> int:
        """Number of the cell that is running: IPython stores a cell before it runs it."""
        return len(self.shell.history_manager.input_hist_raw) - 1

    def _last_error(self) -> dict[int, str]:
        """Return the traceback of the cell that ran last, by its number, if it failed: no history holds it."""
        import traceback

        last = self.shell.last_execution_result
        error = last and (last.error_before_exec or last.error_in_exec)
        if not error or last.execution_count is None:
            return {}
        told = traceback.format_exception(error, limit=-INNERMOST_FRAMES, chain=False)
        return {last.execution_count: "".join(told).rstrip()}

    def _surroundings(self) -> tuple[tuple[Turn, ...], tuple[CellRef, ...]]:
        """Return the newest questions with their answers, and the newest other cells, of this kernel session."""
        from jupyter_llmroute.core.request import CellRef

        limits, history = self.router.settings.context, self.shell.history_manager
        results = {**history.output_hist_reprs, **self._last_error()}
        cells = [
            CellRef(number=number, source=source, output=str(results.get(number, ""))[:MAX_OUTPUT_CHARS])
            for number, source in enumerate(history.input_hist_raw[: self._running_cell])
            if source.strip() and not source.lstrip().startswith(OUR_MAGICS)
        ]
        turns = list(self._turns.values())
        return tuple(turns[-limits.max_turns :] if limits.max_turns else ()), tuple(cells)


class Ticker:
    """Applies events at once and updates the screen at a tick; the first token and every decision show immediately."""

    def __init__(self, view: RunView, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._view = view
        self._clock = clock
        self._screen = screen
        self._chars = 0
        self._pending = False
        self._next_at = 0.0
        self._asked_at = clock()

    def __call__(self, events: list[Event]) -> None:
        """Apply what came since the last tick, and show what there is to show."""
        for event in events:
            first_token = event.kind == "text_delta" and not self._view.pieces
            self._view.apply(event)
            self._asked_at = self._clock() if event.kind == "attempt_started" else self._asked_at
            self._chars += len(event.text) if event.kind == "text_delta" else 0
            self._pending = True
            if first_token or event.kind not in ("text_delta", "reasoning_delta"):
                self._next_at = 0.0
        self._count_the_wait()
        if self._pending and self._view.is_shown and self._clock() >= self._next_at:
            self._screen.update(self._view, final=False)
            self._pending = False
            self._next_at = self._clock() + max(MIN_TICK_S, self._chars * TICK_S_PER_CHAR)

    def _count_the_wait(self) -> None:
        """Show each further second in which nothing comes because a model is being loaded."""
        elapsed_s = float(int(self._clock() - self._asked_at))
        if self._view.is_loading and elapsed_s > self._view.waited_s:
            self._view.note_wait(elapsed_s)
            self._pending = True


@contextlib.contextmanager
def folded() -> Iterator[None]:
    """Have IPython show one line for what is raised within, instead of a page of traceback.

    Only for what is meant to be read by the user: a mistake of ours keeps its traceback.
    """
    from jupyter_llmroute.core.errors import LLMRouteError

    try:
        yield
    except (Stopped, LLMRouteError) as error:
        line = str(error) if isinstance(error, Stopped) else f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [line]  # type: ignore[union-attr]  # a hook of IPython's
        raise


def own_folders() -> list[Path]:
    """Return the folders in which Jupyter keeps this user's own configuration."""
    from jupyter_core.paths import jupyter_config_dir

    return [Path(jupyter_config_dir())]
