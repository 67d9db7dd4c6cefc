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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from jupyter_llmroute.bridge import BackgroundLoop, Stopped

if TYPE_CHECKING:
    from jupyter_llmroute.cells import CellLog
    from jupyter_llmroute.config import SessionConfig
    from jupyter_llmroute.core.attachment import Attachment
    from jupyter_llmroute.core.endpoint import Endpoint
    from jupyter_llmroute.core.events import Event, Routed
    from jupyter_llmroute.core.item import ContextItem
    from jupyter_llmroute.core.request import CellRef, Request, Turn
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.selector import Decision
    from jupyter_llmroute.core.task import Task
    from jupyter_llmroute.response import Response
    from jupyter_llmroute.table import Table
    from jupyter_llmroute.view import RunView

MIN_TICK_S = 0.05
"""Seconds between two updates of an output: one a token overloads the page, whatever the method."""

TICK_S_PER_CHAR = 1e-5
"""Each update carries the whole text, so long answers are updated less often."""

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
            from jupyter_llmroute.core.router import Router
            from jupyter_llmroute.core.state import StateFile

            with folded():
                self._router = Router(self.config.loaded.settings, state=StateFile.of_user())
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
        from jupyter_llmroute.places import chosen, notebook_path, order, with_prose

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
            places = order(path) if with_context else ()
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
                remarks=(*(choice.remarks if choice else ()), *self._unknown(question)),
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

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Have something done on the session's loop, and return what comes of it."""
        with folded():
            return self._loop.run(work)

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

    def show_context(self, request: Request, *, shown: int | None, is_full: bool = False) -> None:
        """Show what would be sent for a request, and ask nobody."""
        from jupyter_llmroute.context_table import full, table

        with folded():
            preview = self._loop.run(self.router.preview(request))
        self.show(table(preview, request.cells).bundle(shown))
        if is_full:
            self.show({"text/plain": full(preview)})

    def show_serena(self, *, restart: bool) -> None:
        """Show how Serena is for the project of this notebook, started anew where that is wanted."""
        with folded():
            project = self.router.project(self.request("", with_context=False))
            if project is None:
                self.say("This notebook belongs to no project: no folder above it has a pyproject.toml or .git.")
            elif project.serena is None:
                self.say("Serena is switched off by serena.enabled; jedi answers.")
            else:
                if restart:
                    self._loop.run(project.serena.restart())
                state = project.serena.state
                waits = state.stage.value == "asleep"
                said = "Serena does not run: the first question that needs it starts it." if waits else str(state)
                self.say(f"{said} Project: {project.root}")

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
            self._close_router()
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

    async def _stream(self, request: Request, view: RunView) -> AsyncGenerator[Event, None]:
        if self.router.settings.context.summaries == "model" and request.turns:
            from jupyter_llmroute.core.summaries import summarised

            request = request.model_copy(update={"turns": await summarised(request, self.router)})
            self.conversation.learn(request.turns)
        async with contextlib.aclosing(self.router.stream(request)) as events:
            async for event in events:
                if event.kind == "routed":
                    routed = event
                    self.last_decision, self.last_view = self.router.last_decision, view
                if event.kind == "attempt_started":
                    self._items = routed.items if event.context else ()
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
    from jupyter_llmroute.inert import seen

    try:
        yield
    except (Stopped, LLMRouteError) as error:
        line = str(error) if isinstance(error, Stopped) else f"{type(error).__name__}: {error}"
        error._render_traceback_ = lambda: [seen(line)]  # type: ignore[union-attr]  # a hook of IPython's
        raise


def own_folders() -> list[Path]:
    """Return the folders in which Jupyter keeps this user's own configuration."""
    from jupyter_core.paths import jupyter_config_dir

    return [Path(jupyter_config_dir())]
