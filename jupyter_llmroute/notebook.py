"""The kernel's side of the router: shell and cells become a request, events become outputs.

One `NotebookSession` belongs to one shell. It holds the router, which lives on a background loop, and the turns of
this kernel session. Nothing of the router is imported before the first question.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import re
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_llmroute.bridge import BackgroundLoop, Stopped

if TYPE_CHECKING:
    from jupyter_llmroute.cells import CellLog
    from jupyter_llmroute.config import SessionConfig
    from jupyter_llmroute.core.attachment import Attachment
    from jupyter_llmroute.core.cassette import Cassette
    from jupyter_llmroute.core.endpoint import Endpoint
    from jupyter_llmroute.core.events import Event, Routed
    from jupyter_llmroute.core.item import ContextItem
    from jupyter_llmroute.core.pins import Pins
    from jupyter_llmroute.core.request import CellRef, Request, Turn
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.selector import Decision
    from jupyter_llmroute.core.sent import SentBy
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.response import Response
    from jupyter_llmroute.table import Table
    from jupyter_llmroute.view import RunView

MIN_TICK_S = 0.05
"""Seconds between two updates of an output: one a token overloads the page, whatever the method."""

TICK_S_PER_CHAR = 1e-5
"""Each update carries the whole text, so long answers are updated less often."""

SHOWING_SHARE = 0.04
"""Of one processor core, what updates may take: what takes long to show is shown less often."""

MOST_TICK_S = 1.0
"""So often there is an update whatever it takes."""

FIX = "Fix this error."
"""What is asked where the user writes `%%route --fix` and nothing else."""

STOPPED = "(The person stopped this answer here.)"
"""Said to the model of an answer that is not whole."""

_NAMED = re.compile(r"(?<![\w@.`])@([^\W\d]\w*)(?![\w(])")
"""`@df` in a question: no e-mail address, no decorator that is called, nothing within backticks."""

_NOT_PROSE = re.compile(
    r"```[\s\S]*?(?:```|\Z)|^[ \t]*@[\w.]+(?:\([^\n]*\))?[ \t]*(?=\n\s*(?:def|class|async|@))", re.MULTILINE
)
"""Code in a question, where `@name` is a decorator."""

MOST_MARKED_CHARS = 20_000
"""Of a longer question only so much is read for `@name`."""

T = TypeVar("T")


def _listed(names: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",") if name.strip())


def _marked(question: str) -> list[str]:
    return _NAMED.findall(_NOT_PROSE.sub(" ", question[:MOST_MARKED_CHARS]))


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
        self._cassettes: dict[Path, Cassette] = {}
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
            from jupyter_llmroute.core.model_lock import digests
            from jupyter_llmroute.core.router import Router
            from jupyter_llmroute.core.state import StateFile
            from jupyter_llmroute.places import notebook_path

            with folded():
                settings, path = self.config.loaded.settings, notebook_path(self.shell)
                journal = Journal.of(settings.security, notebook=str(path or ""), digests=digests(settings.embedded))
                self._router = Router(settings, state=StateFile.of_user(), journal=journal)
        return self._router

    def request(
        self,
        question: str,
        *,
        with_context: bool = True,
        cells: str | None = None,
        fix: bool = False,
        variables: str = "",
        values: bool = False,
        with_code: bool | None = None,
        symbols: str = "",
        files: str = "",
        is_to_edit: bool = False,
        **pins: Any,
    ) -> Request:
        """Return the request of the cell that is running.

        Parameters
        ----------
        question
            As the user wrote it; with `fix` it may be empty.
        with_context
            Whether earlier cells and answers go along.
        cells
            Which cells: what stands behind `--cells`; `None` lets those be chosen that the question needs.
        fix
            Whether the question is about the last error.
        variables
            Names with commas between them, to be attached beside those that the question marks with `@`.
        values
            Whether what is in the variables goes along too.
        with_code
            Whether the project's code is looked into; `None` where the question needs it.
        symbols, files
            What of it, by names with commas between them.
        is_to_edit
            Whether the answer is to hold changes of the project's files.
        pins
            Further fields of `Request`.

        Raises
        ------
        UserError
            A cell or variable that is named is not there, or there is no error to fix.
        """
        from jupyter_llmroute.core.request import CellRef, Request
        from jupyter_llmroute.places import chosen, notebook_path, saved, with_prose

        with folded():
            number, cell = self.log.running, self.log.running_id
            attachments = self._attachments(variables, question, values=values)
            if is_to_edit:
                from jupyter_llmroute.core.edits.answer_edits import HOW_TO_WRITE_CHANGES

                attachments = (*attachments, HOW_TO_WRITE_CHANGES)
            if with_code is None and (is_to_edit or not (with_context or symbols or files)):
                with_code = is_to_edit
            known = self.log.cells() if with_context or fix else ()
            path = notebook_path(self.shell)
            notebook = saved(path)
            places, held = notebook.places if with_context else (), self.pins.held(notebook.pins)
            asking = CellRef(number=number, source="", id=cell)
            choice = None if cells is None else chosen(cells, known, places, asking)
            return Request(
                question=question if question.strip() or not fix else FIX,
                number=number,
                cell=cell,
                cells=with_prose(known, places, asking) if with_context else known,
                turns=self._turns(number, cell) if with_context else (),
                chosen_cells=choice and choice.numbers,
                failed_cell=self._failed(known) if fix else None,
                attachments=attachments,
                with_code=with_code,
                symbols=_listed(symbols),
                files=_listed(files),
                folder=str(path.parent) if path else self.log.folder,
                pins=held.pins,
                remarks=(*(choice.remarks if choice else ()), *self._unknown(question), *held.remarks),
                **pins,
            )

    def _turns(self, number: int, cell: str) -> tuple[Turn, ...]:
        most = self.router.settings.context.max_turns
        turns = self.conversation.turns(asking=cell, number=number, deleted=self.log.deleted)
        return turns[-most:] if most else ()

    def _attachments(self, listed: str, question: str, *, values: bool) -> tuple[Attachment, ...]:
        """Describe the variables that the user names."""
        from jupyter_llmroute.core.errors import UserError
        from jupyter_llmroute.variables import describe_all

        named = [name.lstrip("@") for name in _listed(listed)]
        there = self.shell.user_ns
        if missing := [name for name in named if name not in there]:
            raise UserError(
                f"--vars {listed}: there is no variable {missing[0]!r}. Variables are named after their cell was run; "
                "%who lists them."
            )
        marked = (name for name in _marked(question) if name in there)
        return describe_all({name: there[name] for name in (*named, *marked)}, values=values)

    def _unknown(self, question: str) -> Iterator[str]:
        """Say what a question marks with `@` that is not there; `@property` may well be meant as it is."""
        for name in dict.fromkeys(_marked(question)):
            if name not in self.shell.user_ns and name not in vars(builtins):
                yield f"@{name}: there is no variable of that name, so nothing was attached for it."

    def _failed(self, known: Sequence[CellRef]) -> int:
        from jupyter_llmroute.core.errors import UserError

        failed = [cell.number for cell in known if cell.error]
        if not failed:
            raise UserError("--fix: no cell has failed since the extension was loaded. Run the cell that fails first.")
        return failed[-1]

    def cassette(self, mode: str | None = None) -> Cassette | None:
        """Return the recordings of this notebook; `None` where nothing is recorded or replayed.

        Parameters
        ----------
        mode
            What the question says; `None` leaves it to the settings.
        """
        from jupyter_llmroute.core.cassette import Cassette, Mode, place
        from jupyter_llmroute.core.sent import rules_of
        from jupyter_llmroute.places import notebook_path

        settings = self.config.loaded.settings
        mode = mode or settings.cassette.mode
        if mode == "off":
            return None
        path = place(notebook_path(self.shell), named=settings.cassette.file)
        cassette = self._cassettes.setdefault(path, Cassette(path))
        cassette.mode, cassette.paced = Mode(mode), settings.cassette.paced
        cassette.rules = rules_of(settings.context)
        return cassette

    def kept(
        self,
        sent_by: SentBy,
        form: type[T],
        live: Callable[[], Coroutine[Any, Any, T]],
        mode: str | None = None,
    ) -> T:
        """Return what is shown besides answers: from the recordings where these are to be replayed, else by `live`."""
        with folded():
            cassette = self.cassette(mode)
            if cassette is None:
                return self._loop.run(live())
            from pydantic import TypeAdapter

            from jupyter_llmroute.core.cassette import Asker

            asker = Asker(self.log.running_id, self.log.running)
            return self._loop.run(cassette.kept(sent_by, TypeAdapter(form), live, asker))

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
                cassette = self.cassette(mode)
                is_at_once = cassette is not None and cassette.replays_at_once
                tick = partial(_apply, view) if is_at_once else Ticker(view, screen)
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
            is_live = self.cassette(mode) is None
        return self.kept(partial(sent_of, request, kind="decision"), Routed, live, mode)

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
        self.decide(Request(question="", task=task, pins=self.held_pins().pins))
        decision = self.router.last_decision
        assert decision is not None
        return decision

    def held_pins(self) -> Pins:
        """Return the pins that hold now: this session's, then those of the notebook as it was saved last."""
        from jupyter_llmroute.places import notebook_path, saved

        return self.pins.held(saved(notebook_path(self.shell)).pins)

    def doctor_table(self) -> Table:
        """Return what the doctor finds, a row for each check."""
        from jupyter_llmroute.core.diagnosis import diagnose
        from jupyter_llmroute.doctor_table import table

        async def look() -> Table:
            return table(await diagnose(self.config.loaded, await self.router.services(refresh=True)))

        return self.run(look())

    def services_table(self, *, refresh: bool = True) -> Table:
        """Return the servers as a table."""
        from jupyter_llmroute.core.sent import command
        from jupyter_llmroute.services import table
        from jupyter_llmroute.table import Table

        async def live() -> Table:
            return table(await self.router.services(refresh=refresh))

        return self.kept(command("services"), Table, live)

    def models_table(self, task: Task | None = None, *, scores: bool = False, refresh: bool = True) -> Table:
        """Return the models as a table, ranked for a task where one is given."""
        from jupyter_llmroute.core.request import Request
        from jupyter_llmroute.core.sent import command
        from jupyter_llmroute.models import table
        from jupyter_llmroute.table import Table

        async def live() -> Table:
            await self.router.services(refresh=refresh)
            await self.router.decide(Request(question="", task=task, pins=self.held_pins().pins))
            assert self.router.last_decision is not None
            return table(self.router.last_decision, task, scores=scores)

        return self.kept(command("models", task=task and task.value, scores=scores), Table, live)

    def explanation(self, shown: int | None) -> dict[str, Any]:
        """Return what is to be said of the last decision, as a mime bundle; of long parts so many lines."""
        from jupyter_llmroute.core.sent import sent_of
        from jupyter_llmroute.why import Part, bundle, cut, parts

        if self.last_asked is None:
            return bundle(None)

        async def live() -> tuple[Part, ...]:
            return cut(parts(self.last_decision, self.last_view), shown) if self.last_decision else ()

        kind = "why" if shown else "why --all"
        found = self.kept(partial(sent_of, self.last_asked, kind=kind), tuple[Part, ...], live)
        return bundle(self.last_decision, self.last_view, shown=shown, found=found or None)

    def show_decision(self, request: Request, *, mode: str | None = None) -> None:
        """Show whom `answer` would ask, and why."""
        from jupyter_llmroute.terminal import decision_lines

        text = "\n".join(decision_lines(self.decide(request, mode=mode), request))
        self.last_decision, self.last_view, self.last_asked = self.router.last_decision, None, request
        self.show({"text/plain": text})

    def show_context(self, request: Request, *, shown: int | None, is_full: bool = False) -> None:
        """Show what would be sent for a request, and ask nobody."""
        from jupyter_llmroute.context_table import full, table
        from jupyter_llmroute.core.sent import sent_of
        from jupyter_llmroute.table import Table

        async def live() -> tuple[Table, str]:
            preview = await self.router.preview(request)
            return table(preview, request.cells), full(preview) if is_full else ""

        kind = "context --full" if is_full else "context"
        listed, whole = self.kept(partial(sent_of, request, kind=kind), tuple[Table, str], live)
        self.show(listed.bundle(shown))
        if is_full:
            self.show({"text/plain": whole})

    def show_serena(self, *, restart: bool) -> None:
        """Show how Serena is for the project of this notebook, started anew where that is wanted."""
        from jupyter_llmroute.core.sent import command

        async def live() -> str:
            project = self.router.project(self.request("", with_context=False))
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

        self.say(self.kept(command("serena", restart=restart or None), str, live))

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
            self.say(self.ratings.rate(Thumb(thumb)))
        else:
            self.show(table(self.ratings.feedback()).bundle())

    def settings(self) -> Table:
        """Return every setting, and what is pinned besides."""
        from jupyter_llmroute.session_pins import told

        return self.config.table(told(self.held_pins().pins))

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


class Ticker:
    """Applies events at once and updates the screen at a tick; the first token and every decision show immediately."""

    def __init__(
        self,
        view: RunView,
        screen: Screen,
        clock: Callable[[], float] = time.monotonic,
        work: Callable[[], float] = time.thread_time,
    ) -> None:
        self._view = view
        self._clock, self._work = clock, work
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
            before_s = self._work()
            self._screen.update(self._view, final=False)
            self._pending = False
            pause_s = min(MOST_TICK_S, (self._work() - before_s) / SHOWING_SHARE)
            self._next_at = self._clock() + max(MIN_TICK_S, self._chars * TICK_S_PER_CHAR, pause_s)

    def _count_the_wait(self) -> None:
        """Show each further second in which nothing comes because a model is being loaded."""
        elapsed_s = float(int(self._clock() - self._asked_at))
        if self._view.is_loading and elapsed_s > self._view.waited_s:
            self._view.note_wait(elapsed_s)
            self._pending = True


def _apply(view: RunView, events: list[Event]) -> None:
    """Apply what came, and show nothing yet: who compares outputs may hear of the first display alone."""
    for event in events:
        view.apply(event)


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
