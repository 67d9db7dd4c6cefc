"""The magics that ask no model: they show what a session has and knows, and set what holds in it.

`%load_ext` imports this module with `magics`: whatever is heavy comes with the first use.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from jupyter_llmroute.options import TASKS, parse

if TYPE_CHECKING:
    from jupyter_llmroute.notebook import NotebookSession
    from jupyter_llmroute.table import Table


@magics_class
class SessionMagics(Magics):
    """The magics on the session of one shell.

    Parameters
    ----------
    shell
        The running `InteractiveShell`.
    session
        Gives the session, which is made when it is first needed.
    """

    def __init__(self, shell: Any, session: Callable[[], NotebookSession]) -> None:
        super().__init__(shell)
        self._session = session

    def close(self) -> None:
        """Stop listening."""
        self.shell.configurables.remove(self)

    @property
    def session(self) -> NotebookSession:
        """What this kernel session knows; made with the first question."""
        return self._session()

    @magic_arguments()
    @argument("--cached", action="store_true", help="show what was last seen, without looking again")
    @argument("--text", action="store_true", help="show the table alone, without controls")
    @line_magic
    def llm_services(self, line: str) -> None:
        """Show which model servers run where, with which models, and what is wrong with those that do not answer."""
        options = parse(self.llm_services.parser, line)
        self._show(lambda refresh: self.session.reports.services_table(refresh=refresh), options, shown=None)

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
        options = parse(self.llm_models.parser, line)

        named = options.task or options.named_task

        def make(refresh: bool) -> Table:
            from jupyter_llmroute.core.task import Task

            task = Task(named) if named else None
            return self.session.reports.models_table(task, scores=options.scores, refresh=refresh)

        from jupyter_llmroute.table import SHOWN

        self._show(make, options, shown=None if options.all else SHOWN, find=options.find or "")

    @magic_arguments()
    @argument("--all", action="store_true", help="show every line of every part")
    @line_magic
    def llm_why(self, line: str) -> None:
        """Explain the last decision: the task, the model, the others, what was tried, and what was known."""
        self.session.reports.explain(show_all=parse(self.llm_why.parser, line).all)

    @magic_arguments()
    @argument("--text", action="store_true", help="show the table alone, without controls")
    @line_magic
    def llm_doctor(self, line: str) -> None:
        """Go through the checklist of a closed network; only servers that are listed are called, and no model works."""
        options = parse(self.llm_doctor.parser, line)
        again = Namespace(cached=False, text=options.text)
        self._show(lambda _: self.session.reports.doctor_table(), again, shown=None)

    @magic_arguments()
    @argument("action", nargs="?", choices=("status", "restart"), default="status")
    @line_magic
    def llm_serena(self, line: str) -> None:
        """Show how Serena is, which knows the project's code, or start it anew."""
        action = parse(self.llm_serena.parser, line).action
        self.session.reports.show_serena(restart=action == "restart")

    @magic_arguments()
    @argument("task", nargs="?", help="coding, reasoning, analysis, documentation; any, or left out: all of them")
    @argument("model", nargs="?", help="MODEL or MODEL@SERVER, as %%llm_models names them; auto: whoever suits best")
    @argument("--clear", action="store_true", help="take this session's pin of the task back; without a task, all")
    @argument("--text", action="store_true", help="show the table alone, without controls")
    @line_magic
    def llm_pick(self, line: str) -> None:
        """Pin a model to a task, or to all, for this session; without a model, show who would answer and pick one.

        A pin wins over every score and over the pins in the notebook's metadata, and -m wins over it. It never
        overrules the policy, a window that is too small or a server that is not well: then the card says why, and the
        next in line answers.
        """
        from jupyter_llmroute.picker_widget import pick
        from jupyter_llmroute.tracebacks import folded

        options = parse(self.llm_pick.parser, line)
        with folded():
            pick(self.session, options)

    @magic_arguments()
    @argument(
        "thumb", nargs="?", choices=("up", "down", "none"), help="the last answer was good or bad; none: take that back"
    )
    @argument("--forget", action="store_true", help="forget all ratings")
    @line_magic
    def llm_rate(self, line: str) -> None:
        """Rate the last answer, which moves later choices a little, for its model and task; or show all ratings.

        Ratings stay on this machine, in your own state folder. They hold no word of a question or an answer.
        """
        from jupyter_llmroute.tracebacks import folded

        options = parse(self.llm_rate.parser, line)
        with folded():
            self.session.rate(options.thumb, forget=options.forget)

    @no_var_expand
    @magic_arguments()
    @argument("words", nargs="*", metavar="KEY[=VALUE]", help="a setting or a section to show, or a value to set")
    @argument("--reset", action="store_true", help="take back what this session set: of these keys, or everything")
    @argument("--text", action="store_true", help="show the table alone, without controls")
    @line_magic
    def llm_config(self, line: str) -> None:
        """Show the settings and who set them, or set some for this session.

        %llm_config context.max_cells=12 sets one, and route.model=phi4 an option for every %%route that does not say
        otherwise. What was set before goes on to hold, and the conversation is kept. Values are written as in the
        settings file: 12, true, null, [a, b].
        """
        from jupyter_llmroute.tracebacks import folded

        options = parse(self.llm_config.parser, line)
        with folded():
            table = self.session.configure(options.words, reset=options.reset)
        again = self.session.reports.settings
        plain = options.text or options.words or options.reset
        self._show(lambda _: again() if table is None else table, Namespace(cached=True, text=plain), shown=None)

    def _show(self, make: Callable[[bool], Table], options: Namespace, *, shown: int | None, find: str = "") -> None:
        """Show a table: in a notebook with controls, and everywhere so that it can be read without them."""
        table = make(not options.cached)
        if options.text or not hasattr(self.shell, "kernel"):
            self.session.show(table.found(find).bundle(shown))
            return
        from jupyter_llmroute.widgets import show_table

        show_table(table, lambda: make(True), shown=shown, find=find)
