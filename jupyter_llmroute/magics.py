"""`%%route`, `%route` and their companions.

This module is all that `%load_ext` imports: whatever is heavy comes with the first question.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence
from tokenize import TokenInfo
from typing import TYPE_CHECKING, Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import EscapedCommand
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments, parse_argstring

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from jupyter_llmroute.core.request import Request
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.table import Table

Magic = TypeVar("Magic", bound=Callable[..., Any])

TASKS = ("coding", "reasoning", "analysis", "documentation")

OPTIONS = (
    argument("-m", "--model", help="ask only this model: its name, or enough of its words to tell it"),
    argument("-s", "--service", help="ask only this server, by its name in %%llm_services"),
    argument("-t", "--task", choices=TASKS, help="name the task yourself"),
    argument("-o", "--output", metavar="NAME", help="also keep the Response in this variable"),
    argument("--temperature", type=float, help="0 takes the likeliest words, 2 is wild; default: the server's"),
    argument("--max-tokens", type=int, help="end the answer after so many tokens"),
    argument("--seed", type=int, help="the same seed gives the same answer, where the server keeps to it"),
    argument("--no-context", action="store_true", help="send the question alone, without earlier cells and answers"),
    argument("--dry-run", action="store_true", help="show the decision, and ask nobody"),
)
"""Options of `%%route` and `%route`; the README's table is made from them."""

_TOKEN = re.compile(r"""(?:"[^"]*"|'[^']*'|\S)+""")
_OPTION = re.compile(r"-[A-Za-z]|--[A-Za-z][\w-]*")
"""What looks like an option; `-1` may begin a question."""


def _with_options(magic: Magic) -> Magic:
    for option in reversed(OPTIONS):
        magic = option(magic)
    wrapped: Magic = magic_arguments()(magic)
    return wrapped


@magics_class
class RouteMagics(Magics):
    """The magics of one shell."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self._session: NotebookSession | None = None

    @property
    def session(self) -> NotebookSession:
        """What this kernel session knows; made with the first question."""
        if self._session is None:
            from jupyter_llmroute.notebook import NotebookSession

            self._session = NotebookSession(self.shell)
        return self._session

    @no_var_expand  # what the user wrote is what is sent
    @_with_options
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
        options = _parse(self.route, head)
        if not question.strip():
            raise UsageError("There is no question: write it below %%route, or after %route on its line.")
        self._ask(options, question)

    @magic_arguments()
    @argument("--cached", action="store_true", help="show what was last seen, without looking again")
    @argument("--text", action="store_true", help="show the table alone, without controls")
    @line_magic
    def llm_services(self, line: str) -> None:
        """Show which model servers run where, with which models, and what is wrong with those that do not answer."""
        from jupyter_llmroute.services import table

        options = _parse(self.llm_services, line)
        self._show(lambda refresh: table(self.session.services(refresh=refresh)), options, shown=None)

    @magic_arguments()
    @argument("task", nargs="?", choices=TASKS, help="rank the models by how they would be chosen for this task now")
    @argument("-t", "--task", dest="named_task", choices=TASKS, help="the same")
    @argument("--scores", action="store_true", help="show what each model is rated for each task, and by whom")
    @argument("--find", metavar="WORDS", help="show only rows that hold these words")
    @argument("--all", action="store_true", help="show all rows")
    @argument("--cached", action="store_true", help="show what was last seen, without looking again")
    @argument("--text", action="store_true", help="show the table alone, without controls")
    @line_magic
    def llm_models(self, line: str) -> None:
        """Show the models that the servers have, and why those that cannot be asked cannot.

        A model that several servers have stands in one row. What a model is rated, and by whom, is shown by --scores.
        """
        options = _parse(self.llm_models, line)

        named = options.task or options.named_task

        def make(refresh: bool) -> Table:
            from jupyter_llmroute.core.task import Task
            from jupyter_llmroute.models import table

            task = Task(named) if named else None
            return table(self.session.survey(task, refresh=refresh), task, scores=options.scores)

        from jupyter_llmroute.table import SHOWN

        self._show(make, options, shown=None if options.all else SHOWN, find=options.find or "")

    @magic_arguments()
    @argument("--all", action="store_true", help="show every line of every part")
    @line_magic
    def llm_why(self, line: str) -> None:
        """Explain the last decision: the task, the model, the others, what was tried, and what was known."""
        from jupyter_llmroute.why import SHOWN, bundle

        options, session = _parse(self.llm_why, line), self.session
        shown = None if options.all else SHOWN
        session.show(bundle(session.last_decision, session.last_view, shown=shown))

    @magic_arguments()
    @argument("-m", "--model", help="ask this model at once")
    @argument("-t", "--task", choices=TASKS, help="ask at once, as a question of this task; later ones learn from it")
    @line_magic
    def llm_retry(self, line: str) -> None:
        """Ask the last question again, of another model or as another task; without options, a picker is shown."""
        options = _parse(self.llm_retry, line)
        last = self.session.last
        if last is None:
            raise UsageError("There is no question to ask again yet: ask one with %%route.")
        if options.model or options.task:
            self.session.answer(_again(last, options))
            return
        from jupyter_llmroute.widgets import show_retry

        show_retry(self.session, last)

    def _show(self, make: Callable[[bool], Table], options: Namespace, *, shown: int | None, find: str = "") -> None:
        """Show a table: in a notebook with controls, and everywhere so that it can be read without them."""
        table = make(not options.cached)
        if options.text or not hasattr(self.shell, "kernel"):
            self.session.show(table.found(find).bundle(shown))
            return
        from jupyter_llmroute.widgets import show_table

        show_table(table, lambda: make(True), shown=shown, find=find)

    def _ask(self, options: Namespace, question: str) -> None:
        if options.output and (keyword.iskeyword(options.output) or not options.output.isidentifier()):
            raise UsageError(f"-o wants the name of a variable, not {options.output!r}.")
        request = self._request(options, question)
        if options.dry_run:
            self.session.show_decision(request)
            return
        before = self.shell.user_ns.get("_route")
        try:
            self.session.answer(request)
        finally:
            # Also when it was stopped or failed in the middle: what had come is the user's.
            if options.output and (now := self.shell.user_ns.get("_route")) is not before:
                self.shell.user_ns[options.output] = now

    def _request(self, options: Namespace, question: str) -> Request:
        from jupyter_llmroute.core.request import Sampling
        from jupyter_llmroute.notebook import folded

        with folded():
            sampling = Sampling.checked(
                temperature=options.temperature, max_tokens=options.max_tokens, seed=options.seed
            )
        return self.session.request(
            question,
            with_context=not options.no_context,
            task=options.task,
            model=options.model,
            service=options.service,
            sampling=sampling,
        )

    def _as_written(self, line: str, cell: str) -> str:
        """Return the question as it stands in the cell: IPython takes prompts and indentation out before a magic."""
        raw = self.shell.history_manager.input_hist_raw[-1]
        if self.shell.transform_cell(raw) != f"get_ipython().run_cell_magic('route', {line!r}, {cell!r})\n":
            return cell  # the magic was called from elsewhere, such as from under %%time
        question = str(raw.lstrip().partition("\n")[2])
        # The history drops line ends at the end, and the magic gets one where there was none.
        line_ends = len(cell) - len(cell.rstrip("\n"))
        return question + "\n" * line_ends if line_ends > 1 else question


class RouteQuestion(EscapedCommand):
    """Keeps IPython from taking the question mark at the end of a `%route` line for a call for help."""

    priority = 1  # before the help command, which begins at the same place

    @classmethod
    def find(cls, tokens_by_line: Sequence[Sequence[TokenInfo]]) -> RouteQuestion | None:
        """Return the first `%route` line that ends with a question mark and holds more than `%route?`."""
        for tokens in tokens_by_line:
            visible = [token for token in tokens if token.string.strip()]
            if len(visible) > 3 and [t.string for t in visible[:2]] == ["%", "route"] and visible[-1].string == "?":
                found: RouteQuestion = cls(visible[0].start)
                return found
        return None


def split_options(line: str, parser: ArgumentParser) -> tuple[str, str]:
    """Split a line magic's line into its leading options and the text behind them, which is left as it is.

    Examples
    --------
    >>> from jupyter_llmroute.magics import RouteMagics
    >>> split_options("-m phi4 --dry-run why  {x}?", RouteMagics.route.parser)
    ('-m phi4 --dry-run', 'why  {x}?')
    """
    takes_value = {flag: action.nargs != 0 for action in parser._actions for flag in action.option_strings}
    end, value_due = 0, False
    for token in _TOKEN.finditer(line):
        word, _, attached = token.group().partition("=")
        if value_due:
            value_due = False
        elif word == "--":
            return line[:end].strip(), line[token.end() :].strip()
        elif word in takes_value:
            value_due = takes_value[word] and not attached
        elif _OPTION.fullmatch(word):
            raise UsageError(f"There is no option {word!r}: see %route?, or write -- before a question that begins so.")
        else:
            return line[: token.start()].strip(), line[token.start() :].strip()
        end = token.end()
    return line.strip(), ""


def _again(last: Request, options: Namespace) -> Request:
    """Return a question as it is asked again."""
    from jupyter_llmroute.core.task import Task

    task = Task(options.task) if options.task else last.task
    pins = {"model": options.model, "service": None} if options.model else {}
    return last.model_copy(update={**pins, "task": task})


def _parse(magic: Any, line: str) -> Namespace:
    try:
        options: Namespace = parse_argstring(magic, line)
    except ValueError as error:
        raise UsageError(f"The options {line!r} do not read: {error}.") from None
    # IPython splits at blanks outside quotes, and leaves the quotes.
    unquoted = {name: _unquoted(value) for name, value in vars(options).items()}
    vars(options).update(unquoted)
    return options


def _unquoted(value: Any) -> Any:
    is_quoted = isinstance(value, str) and len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def load(shell: Any) -> None:
    """Register the magics with a shell."""
    shell.register_magics(RouteMagics)
    transformers = shell.input_transformer_manager.token_transformers
    if RouteQuestion not in transformers:
        transformers.append(RouteQuestion)


def unload(shell: Any) -> None:
    """Take the magics back, and close what they opened."""
    magics = shell.magics_manager.registry.pop(RouteMagics.__name__, None)
    if magics and magics._session:
        magics._session.close()
    for kind, names in RouteMagics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    if RouteQuestion in shell.input_transformer_manager.token_transformers:
        shell.input_transformer_manager.token_transformers.remove(RouteQuestion)
