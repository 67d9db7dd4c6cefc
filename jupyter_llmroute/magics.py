"""`%%route`, `%route` and their companions: the magics that ask, and those that write what an answer holds.

This module and `session_magics` are all that `%load_ext` imports: whatever is heavy comes with the first question.
"""

from __future__ import annotations

import keyword
import warnings
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from jupyter_llmroute.cells import CellLog
from jupyter_llmroute.lines import LoneFix, QuestionLines
from jupyter_llmroute.options import TASKS, parse, split_options, with_options
from jupyter_llmroute.session_magics import SessionMagics
from jupyter_llmroute.traits import LLMRoute

if TYPE_CHECKING:
    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.response import Response

SHOWN_ITEMS = 60
"""Rows that `%llm_context` shows where not all are asked for."""


@magics_class
class RouteMagics(LLMRoute, Magics):
    """The magics of one shell that ask."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._session: NotebookSession | None = None
        self._log = CellLog(shell)
        self._names = ["route"]
        self.observe(self._take_settings, "settings")

    def close(self) -> None:
        """Close what was opened, and stop listening."""
        self._log.close()
        self.shell.configurables.remove(self)
        if self._session:
            self._session.close()

    @property
    def session(self) -> NotebookSession:
        """What this kernel session knows; made with the first question."""
        if self._session is None:
            from jupyter_llmroute.config import SessionConfig
            from jupyter_llmroute.notebook import NotebookSession

            config = SessionConfig(lambda: (self.settings, self.settings_place), self.route.parser)
            self._session = NotebookSession(self.shell, self._log, config)
        return self._session

    @no_var_expand  # what the user wrote is what is sent
    @with_options
    @line_cell_magic
    def route(self, line: str, cell: str | None = None) -> None:
        """Ask the local model that suits the question, and stream its answer.

        %%route [options] takes the cell below as the question, %route [options] question the rest of its line;
        either reaches the model character for character: braces, dollars, backslashes and all. Earlier cells and
        answers of this session go along. The Response is in _route afterwards, and in the variable that -o names.
        """
        if cell is None:
            head, question = split_options(line, self.route.parser)
        else:
            head, question = line, self._as_written(line, cell)
        options = parse(self.route.parser, head, self._defaults())
        if not question.strip() and not options.fix:
            raise UsageError("There is no question: write it below %%route, or after %route on its line.")
        options.asked = self._asked_to_go(options.to, line, cell)
        self._ask(options, question)

    @no_var_expand
    @with_options
    @argument("--full", action="store_true", help="show all that would be sent, word for word")
    @line_cell_magic
    def llm_context(self, line: str, cell: str | None = None) -> None:
        """Show what would be sent with a question, item by item or with --full word for word, and ask nobody.

        %llm_context [options] question takes the options of %%route; so does %%llm_context above the question.
        %llm_context reset forgets the earlier questions and answers; save FILE and load FILE keep them in a file, which
        holds all that was sent with them.
        """
        session, (word, _, file) = self.session, line.strip().partition(" ")
        if cell is None and line.strip() == "reset":
            from jupyter_llmroute.wording import plural

            session.say(f"Forgotten: {plural(session.conversation.reset(), 'earlier question')}.")
        elif cell is None and word in ("save", "load"):
            if not (file := file.strip().strip("\"'")):
                raise UsageError(f"%llm_context {word} wants the name of a file, such as {word} talk.json.")
            session.keep_conversation(word, file)
        else:
            head, question = split_options(line, self.llm_context.parser) if cell is None else (line, cell)
            options = parse(self.llm_context.parser, head, self._defaults())
            session.reports.show_context(self._request(options, question), shown=SHOWN_ITEMS, is_full=options.full)

    @magic_arguments()
    @argument("--as-shown", action="store_true", help="write exactly what was shown, whatever Serena would change too")
    @line_magic
    def llm_apply(self, line: str) -> None:
        """Apply the changes of files that the last answer to %%route --apply holds, as they were shown."""
        as_shown = parse(self.llm_apply.parser, line).as_shown
        self._changing(lambda: self.session.offers.apply(as_shown=as_shown))

    @line_magic
    def llm_undo(self, line: str) -> None:
        """Take the last change of the project's files back, byte for byte."""
        self._changing(lambda: self.session.offers.undo(self.session.questions.request("", with_context=False)))

    @magic_arguments()
    @argument("-m", "--model", help="ask this model at once")
    @argument("-t", "--task", choices=TASKS, help="ask at once, as a question of this task; later ones learn from it")
    @line_magic
    def llm_retry(self, line: str) -> None:
        """Ask the last question again, of another model or as another task; without options, a picker is shown."""
        options = parse(self.llm_retry.parser, line)
        last = self.session.last
        if last is None:
            raise UsageError("There is no question to ask again yet: ask one with %%route.")
        last = last.model_copy(update={"pins": self.session.held_pins().pins})
        if options.model or options.task:
            again = _again(last, options)
            response = self.session.answer(again)
            self._deliver(response)
            self._changing(lambda: self.session.offers.again(again, response))
            return
        from jupyter_llmroute.widgets import show_retry

        show_retry(self.session, last)

    def _ask(self, options: Namespace, question: str) -> None:
        if options.output and (keyword.iskeyword(options.output) or not options.output.isidentifier()):
            raise UsageError(f"-o wants the name of a variable, not {options.output!r}.")
        if options.code is False and (options.symbol or options.file):
            raise UsageError("--no-serena keeps the project out, and --symbol and --file ask for it: choose one.")
        request = self._request(options, question)
        if options.apply:
            self._changing(lambda: self.session.offers.project(request))
        if options.yes and not options.apply:
            raise UsageError("--yes agrees to changes of files beforehand, and goes with --apply alone.")
        if options.to and options.format == "text":
            raise UsageError("--to writes code into a cell, and -f text asks for none: leave one of them out.")
        mode = "all" if options.record else options.replay
        if options.dry_run:
            self.session.reports.show_decision(request, mode=mode)
            if options.explain:
                self.session.reports.explain()
            return
        before, viewed = self.shell.user_ns.get("_route"), self.session.last_view
        try:
            self.session.answer(request, mode=mode)
        finally:
            # Also when it was stopped or failed in the middle: what had come is the user's.
            if (now := self.shell.user_ns.get("_route")) is not before:
                if options.output:
                    self.shell.user_ns[options.output] = now
                self._deliver(now, options.to, options.asked)
                if options.apply and now.state == "complete":
                    self._changing(lambda: self.session.offers.offer(request, now.text, is_agreed=options.yes))
                if options.actions and now.text:
                    from jupyter_llmroute.answer_widget import show_actions

                    show_actions(self.session, now)
            if options.explain and self.session.last_view is not viewed:
                self.session.reports.explain()

    def _changing(self, change: Callable[[], object]) -> None:
        from jupyter_llmroute.tracebacks import folded

        with folded():
            change()

    def _defaults(self) -> dict[str, Any]:
        """Return the options that hold where a question does not say otherwise."""
        from jupyter_llmroute.tracebacks import folded

        with folded():
            return self.session.config.route_options()

    def _take_settings(self, _: Any) -> None:
        """Have the traitlets hold from the next question on."""
        if self._session:
            self._session.renew()

    def take_names(self, manager: Any) -> list[str]:
        """Register the aliases of `%%route` that are nobody's yet, and return all its names."""
        for name in self.aliases:
            if not name.isidentifier():
                warnings.warn(f"An alias of %route is one word, not {name!r}: mend c.LLMRoute.aliases.", stacklevel=2)
            elif not any(self.shell.find_magic(name, kind) for kind in ("line", "cell")):
                manager.register_function(self.route, "line_cell", name)
                self._names.append(name)
        self._log.ours = tuple(self._names)
        return self._names

    def _request(self, options: Namespace, question: str) -> Request:
        from jupyter_llmroute.core.request import Format, Sampling
        from jupyter_llmroute.tracebacks import folded

        with folded():
            sampling = Sampling.checked(
                temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed
            )
        return self.session.questions.request(
            question,
            with_context=not options.no_context,
            cells=options.cells,
            fix=options.fix,
            variables=options.vars,
            values=options.values,
            with_code=options.code,
            symbols=options.symbol,
            files=options.file,
            is_to_edit=options.apply,
            task=options.task,
            model=options.model,
            service=options.service,
            sampling=sampling,
            format=Format(options.format),
            timeout_s=options.timeout,
            may_start_over=options.start_over,
        )

    def _deliver(self, response: Response, to: str | None = None, asked: str = "") -> None:
        from jupyter_llmroute.delivery import deliver
        from jupyter_llmroute.edit_log import of_cells

        if said := deliver(response, self.shell, to=to, asked=asked, noted=of_cells(self.session)):
            self.session.show(said)

    def _asked_to_go(self, to: str | None, line: str, cell: str | None) -> str:
        """Return the text of the cell that the answer's code is to replace; empty where it replaces none."""
        if to != "replace":
            return ""
        from jupyter_llmroute.delivery import own_cell
        from jupyter_llmroute.tracebacks import folded

        with folded():
            return own_cell(self.shell.history_manager.input_hist_raw[-1], line, cell)

    def _as_written(self, line: str, cell: str) -> str:
        """Return the question as it stands in the cell: IPython takes prompts and indentation out before a magic."""
        raw = self.shell.history_manager.input_hist_raw[-1]
        calls = [f"get_ipython().run_cell_magic({name!r}, {line!r}, {cell!r})\n" for name in self._names]
        if self.shell.transform_cell(raw) not in calls:
            return cell  # the magic was called from elsewhere, such as from under %%time
        question = str(raw.lstrip().partition("\n")[2])
        # The history drops line ends at the end, and the magic gets one where there was none.
        line_ends = len(cell) - len(cell.rstrip("\n"))
        return question + "\n" * line_ends if line_ends > 1 else question


def _again(last: Request, options: Namespace) -> Request:
    """Return a question as it is asked again."""
    from jupyter_llmroute.core.task import Task

    task = Task(options.task) if options.task else last.task
    pins = {"model": options.model, "service": None} if options.model else {}
    return last.model_copy(update={**pins, "task": task})


def load(shell: Any) -> None:
    """Register the magics with a shell."""
    shell.register_magics(RouteMagics)
    manager = shell.magics_manager
    magics = manager.registry[RouteMagics.__name__]
    shell.register_magics(SessionMagics(shell, lambda: magics.session))
    names = magics.take_names(manager)
    shell.input_transformer_manager.token_transformers.append(QuestionLines((*names, "llm_context")))
    shell.input_transformers_cleanup.append(LoneFix(names))


def unload(shell: Any) -> None:
    """Take the magics back, and close what they opened."""
    manager, transformers = shell.magics_manager, shell.input_transformer_manager.token_transformers
    ours = [manager.registry.pop(each.__name__, None) for each in (SessionMagics, RouteMagics)]
    if None in ours:
        return
    for magics in ours:
        magics.close()
    for named in manager.magics.values():
        # What the user put in the place of ours is theirs.
        for name in [name for name, magic in named.items() if any(magics is _owner(magic) for magics in ours)]:
            del named[name]
    transformers[:] = [each for each in transformers if not isinstance(each, QuestionLines)]
    cleanup = shell.input_transformers_cleanup
    cleanup[:] = [each for each in cleanup if not isinstance(each, LoneFix)]


def _owner(magic: Any) -> Any:
    return getattr(magic, "__self__", None)
