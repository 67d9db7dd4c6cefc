"""The kernel's side of the router: a request is answered, and its events become outputs.

One `NotebookSession` belongs to one shell. It holds the router, which lives on a background loop, and the turns of
this kernel session. Nothing of the router is imported before the first question. `questions` makes the requests,
`cassettes` has the recordings, and `reports` shows what there is besides answers.
"""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_llmroute.bridge import BackgroundLoop, Stopped
from jupyter_llmroute.cassettes import Cassettes
from jupyter_llmroute.questions import Questions
from jupyter_llmroute.reports import Reports
from jupyter_llmroute.screen import OutputScreen, Screen
from jupyter_llmroute.ticker import Ticker, apply
from jupyter_llmroute.tracebacks import folded

if TYPE_CHECKING:
    from jupyter_llmroute.cells import CellLog
    from jupyter_llmroute.config import SessionConfig
    from jupyter_llmroute.core.cassette import Cassette
    from jupyter_llmroute.core.endpoint import Endpoint
    from jupyter_llmroute.core.events import Event, Routed
    from jupyter_llmroute.core.item import ContextItem
    from jupyter_llmroute.core.pins import Pins
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.selector import Decision
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.response import Response
    from jupyter_llmroute.table import Table
    from jupyter_llmroute.view import RunView

STOPPED = "(The person stopped this answer here.)"
"""Said to the model of an answer that is not whole."""

T = TypeVar("T")


class NotebookSession:
    """What one kernel session knows of its questions.

    Parameters
    ----------
    shell
        The running `InteractiveShell`.
    log
        Its cells.
    config
        Its settings.
    """

    def __init__(self, shell: Any, log: CellLog, config: SessionConfig) -> None:
        from jupyter_llmroute.conversation import Conversation
        from jupyter_llmroute.edit_offer import EditOffers
        from jupyter_llmroute.rating import Ratings
        from jupyter_llmroute.session_pins import SessionPins

        self.shell = shell
        self.log = log
        self.config = config
        self.conversation = Conversation()
        self.questions = Questions(self)
        """Makes its requests."""
        self.cassettes = Cassettes(self)
        """The recordings of its notebook."""
        self.reports = Reports(self)
        """Shows what there is besides answers."""
        self.last: Request | None = None
        """The question that was asked last, for asking it again."""
        self.last_decision: Decision | None = None
        """The decision that was taken last, on a question of the user's."""
        self.last_view: RunView | None = None
        """The run that followed it; `None` where it was only to be shown."""
        self.offers = EditOffers(self)
        """Changes of files that answers have brought."""
        self.pins = SessionPins()
        """Models that this session wants for its tasks."""
        self.ratings = Ratings(self)
        """The user's words on its answers."""
        self.take_row_away: Callable[[], None] = lambda: None
        """Takes the buttons under the last answer away."""
        self.last_asked: Request | None = None
        """The question that was asked or decided last."""
        self.settle: Callable[[], None] = lambda: None
        """Has the last answer say that the changes of files in it wait no more."""
        self._loop = BackgroundLoop()
        self._router: Router | None = None
        self._items: tuple[ContextItem, ...] = ()
        """What goes along with it."""
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
            from jupyter_llmroute.core.audit.journal import Journal
            from jupyter_llmroute.core.file_digests import digests
            from jupyter_llmroute.core.router import Router
            from jupyter_llmroute.core.state import StateFile
            from jupyter_llmroute.places import notebook_path

            with folded():
                settings, path = self.config.loaded.settings, notebook_path(self.shell)
                journal = Journal.of(settings.security, notebook=str(path or ""), digests=digests(settings.embedded))
                self._router = Router(settings, state=StateFile.of_user(), journal=journal)
        return self._router

    def answer(self, request: Request, screen: Screen | None = None, *, mode: str | None = None) -> Response:
        """Ask, show the answer while it comes, and return it.

        Parameters
        ----------
        request
            What to ask.
        screen
            Where to show it; default: a new output of the running cell.
        mode
            When recordings are replayed; `None` leaves it to the settings.

        Raises
        ------
        Stopped
            The user interrupted; `_route` holds what had come.
        LLMRouteError
            Nobody could answer, or the one who did failed in the middle.
        """
        from jupyter_llmroute.core.recording import Interrupted
        from jupyter_llmroute.view import RunView

        view, screen = RunView(request), screen or self.screen()
        self.last = self.last_asked = request
        with folded():
            try:
                cassette = self.cassettes.cassette(mode)
                is_at_once = cassette is not None and cassette.replays_at_once
                tick = partial(apply, view) if is_at_once else Ticker(view, screen)
                self._loop.drain(self._stream(request, view, cassette), tick)
            except Interrupted:
                view.interrupt()
                raise Stopped("Stopped; what had come is kept.") from None
            except KeyboardInterrupt:
                view.interrupt()
                raise
            except Exception as error:
                view.fail(error)
                raise
            finally:
                self._keep(view, screen)
        return view.response()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done on the session's loop, and return what comes of it."""
        with folded():
            return self._loop.run(work)

    def decide(self, request: Request, *, mode: str | None = None) -> Routed:
        """Return the decision for a request, and ask nobody."""
        from jupyter_llmroute.core.events import Routed
        from jupyter_llmroute.core.recording import written
        from jupyter_llmroute.core.sent import sent_of

        async def live() -> Routed:
            routed = await self.router.decide(request)
            return routed if is_live else written(routed)

        with folded():
            is_live = self.cassettes.cassette(mode) is None
        return self.cassettes.kept(partial(sent_of, request, kind="decision"), Routed, live, mode)

    def survey(self, tasks: Iterable[Task], *, refresh: bool = False) -> dict[Task, Decision]:
        """Return the decisions for an empty question of each task, all on the same look at the servers.

        Parameters
        ----------
        tasks
            At least one.
        refresh
            Whether to look around now.
        """
        from jupyter_llmroute.core.request import Request

        pins = self.held_pins().pins
        requests = {task: Request(question="", task=task, pins=pins) for task in tasks}
        taken = self.run(self.router.decide_each([*requests.values()], refresh=refresh))
        return {task: each.decision for task, each in zip(requests, taken, strict=True)}

    def held_pins(self) -> Pins:
        """Return the pins that hold now: this session's, then those of the notebook as it was saved last."""
        from jupyter_llmroute.places import notebook_path, saved

        return self.pins.held(saved(notebook_path(self.shell)).pins)

    def keep_conversation(self, action: str, file: str) -> None:
        """Save the conversation in a file, or load it from there."""
        from jupyter_llmroute.wording import plural

        path = Path(file).expanduser()
        with folded():
            count = self.conversation.save(path) if action == "save" else self.conversation.load(path)
        done = "Saved in" if action == "save" else "Loaded from"
        questions = plural(count, "question")
        self.say(f"{done} {str(path)!r}: {questions}, answered, with what was sent along.")

    def say(self, line: str) -> None:
        """Show a line of text as an output."""
        from jupyter_llmroute.inert import plain_line

        self.show({"text/plain": plain_line(line, 400)})

    def show(self, bundle: dict[str, Any]) -> None:
        """Show a mime bundle as an output of the running cell, or its plain text in a terminal."""
        self.shell.display_pub.publish(bundle)

    def rate(self, thumb: str | None, *, forget: bool = False) -> None:
        """Do what `%llm_rate` says."""
        from jupyter_llmroute.core.feedback import Thumb
        from jupyter_llmroute.rating import table
        from jupyter_llmroute.wording import plural

        if forget:
            self.say(f"Forgotten: {plural(self.ratings.forget(), 'rating')}.")
        elif thumb:
            self.say(self.ratings.rate(None if thumb == "none" else Thumb(thumb)))
        else:
            self.show(table(self.ratings.feedback()).bundle())

    def services(self, *, refresh: bool = True) -> Sequence[Endpoint]:
        """Return the servers that are known."""
        with folded():
            return self._loop.run(self.router.services(refresh=refresh))

    def configure(self, words: Sequence[str], *, reset: bool = False) -> Table | None:
        """Set, take back or show settings, as `%llm_config` says it; return what there is to show of them.

        What was set holds from the next question on; the conversation is kept.

        Raises
        ------
        SettingsError
            There is no such setting, or it takes no such value; everything stays as it was.
        """
        before = self.config.loaded
        table = self.config.take(words, reset=reset)
        if self.config.loaded is not before:
            from jupyter_llmroute.core.audit.journal import note_end

            self._close_router()
            self._loop.run(note_end(before.settings.security, self.config.loaded.settings.security))
        return table

    def renew(self) -> None:
        """Read all settings anew with the next question; the conversation is kept."""
        self.config.forget()
        self._close_router()

    def _close_router(self) -> None:
        router, self._router = self._router, None
        if router:
            self._loop.run(router.__aexit__(None, None, None))

    def close(self) -> None:
        """Close the router and stop its loop; the next question starts new ones."""
        atexit.unregister(self.close)
        self._close_router()
        self._loop.close()

    async def _stream(self, request: Request, view: RunView, cassette: Cassette | None) -> AsyncGenerator[Event, None]:
        """Give the events of an answer, from the recordings or from whoever answers, and keep what they say."""
        self.router.last_decision = None
        events = cassette.stream(request, lambda: self._live(request)) if cassette else self._live(request)
        async with contextlib.aclosing(events):
            async for event in events:
                if event.kind == "routed":
                    routed = event
                    self.last_decision, self.last_view = self.router.last_decision, view
                if event.kind == "attempt_started":
                    self._items = routed.items if event.context else ()
                yield event

    async def _live(self, request: Request) -> AsyncGenerator[Event, None]:
        if self.router.settings.context.summaries == "model" and request.turns:
            from jupyter_llmroute.core.summaries import summarised

            request = request.model_copy(update={"turns": await summarised(request, self.router)})
            self.conversation.learn(request.turns)
        async with contextlib.aclosing(self.router.stream(request)) as events:
            async for event in events:
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
            if isinstance(screen, OutputScreen):
                self.settle = partial(_settle, view, screen)
        response = view.response()
        self.shell.user_ns["_route"] = response
        if response.text:
            self.ratings.note(view, self.last_decision)
        if response.text and response.state != "failed":
            self.conversation.add(
                Turn(
                    number=view.request.number,
                    cell=view.request.cell,
                    question=response.question,
                    answer=f"{response.text}\n\n{STOPPED}" if response.state == "interrupted" else response.text,
                    task=response.task,
                    items=self._items,
                    format=response.format,
                )
            )


def _settle(view: RunView, screen: Screen) -> None:
    view.is_settled = True
    screen.update(view, final=True)
