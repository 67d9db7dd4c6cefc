"""`Consultation`: one question's way to those who know code: what of the project it means, what is asked, what came."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from jupyter_llmroute.core.code.finding import Ask, CodeIntelligence, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.installation import INSTALL
from jupyter_llmroute.core.code.mentioned import Imported, failed_at, imported, named, used
from jupyter_llmroute.core.code.plan import Meant, plan
from jupyter_llmroute.core.code.project import module_names, relative, source_folders
from jupyter_llmroute.core.code.project_code import ProjectCode
from jupyter_llmroute.core.code.serena_life import Stage
from jupyter_llmroute.core.code.told import NAMES, items_of
from jupyter_llmroute.core.context import Context, Gathered
from jupyter_llmroute.core.dataflow import names_of
from jupyter_llmroute.core.errors import CodeUnavailable, UserError
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.core.task import Task

MOST_HOVERS = 3
"""Names of the notebook whose types are asked for."""

_PYTHON = (".py", ".pyi")
_OF_ERRORS = re.compile(
    r"\b(?:fail|error|exception|traceback|crash|wrong|fix|broke|raise|warum|fehler|pourquoi|erreur|por qu)|^\W*why\W*$",
    re.IGNORECASE,
)
"""Words of a question that is about what has just failed."""


class Consultation:
    """What is asked about code for one question.

    Parameters
    ----------
    project
        Who is asked.
    context
        The question, with the cells that go along.
    task
        What it was taken for.
    is_wanted
        Whether code is wanted whatever the question names.
    """

    def __init__(self, project: ProjectCode, context: Context, task: Task, *, is_wanted: bool) -> None:
        self._project = project
        self._context = context
        self._request = context.request
        self._task = task
        self._is_wanted = is_wanted
        self._planned: list[CodeQuestion] = []
        self._answers: dict[CodeQuestion, tuple[Finding, ...]] = {}
        self._refusals: dict[str, None] = {}

    async def run(self) -> None:
        """Find out what is meant, and ask everybody at once; what has come stays when this is cancelled."""
        meant = await self._meant()
        self._planned += plan(self._request.question, self._task, meant)
        if self._planned and self._project.serena:
            self._project.serena.start()
        of_cells = self._of_cells({one.name_path for one in meant})
        await self._project.cells.open([(str(cell.number), cell.source) for cell in self._request.code])
        of_project = (self._ask(question, self._project.of_files) for question in self._planned)
        self._planned += of_cells
        await asyncio.gather(*of_project, *(self._ask(question, [self._project.cells]) for question in of_cells))

    async def _meant(self) -> list[Meant]:
        """Return what of the project the question is about, what the user names first."""
        request, root = self._request, self._project.root
        meant = [Meant(name_path=name.replace(".", "/")) for name in request.symbols]
        meant += (self._file(name) for name in request.files)
        if not self._is_wanted and not request.cells:
            return meant
        modules = await asyncio.to_thread(module_names, root, [Path(request.folder)] if request.folder else [])
        known = imported(request.cells, modules)
        names = named(request.question, known)
        if not self._is_wanted:
            # Unasked, only what cells have imported from the project is a reason to look into it.
            names = tuple(name for name in names if name.partition(".")[0] in known)
        if not names and self._is_wanted and not meant:
            names = used((cell.source for cell in self._sent()), known)
        places = await asyncio.gather(*(self._place(name, known) for name in names))
        failed = await asyncio.gather(*map(self._symbol_on, self._failing_lines()))
        return list(dict.fromkeys((*meant, *failed, *filter(None, places))))

    def _file(self, name: str) -> Meant:
        """Read `src/x.py:42`."""
        path, colon, number = name.rpartition(":")
        if not (colon and number.isdigit()):
            path, number = name, ""
        inside = relative(self._project.root, path)
        if inside is None or not (self._project.root / inside).is_file():
            raise UserError(
                f"--file {name!r}: there is no such file in the project {str(self._project.root)!r}. "
                "Name it from the project's root, such as src/shop.py or src/shop.py:42."
            )
        if not inside.endswith(_PYTHON):
            raise UserError(f"--file {name!r}: only .py and .pyi files are looked into.")
        return Meant(file=inside, line=int(number) if number else None)

    def _failing_lines(self) -> Iterator[Meant]:
        """Give the lines of the project's files that the error points at, where the question is about one."""
        request = self._request
        last = request.code[-1:] if _OF_ERRORS.search(request.question) else ()
        for cell in (request.failed,) if request.failed else last:
            for at in failed_at(cell.error):
                inside = relative(self._project.root, at.file)
                if inside and inside.endswith(_PYTHON) and (self._project.root / inside).is_file():
                    yield Meant(file=inside, line=at.line)

    async def _symbol_on(self, place: Meant) -> Meant:
        """Return the symbol that a line stands in; the line itself where that is none."""
        question = CodeQuestion(ask=Ask.DEFINITION, file=place.file, line=place.line)
        found = await self._first(question, self._project.static.index)
        return Meant(name_path=found[0].name_path, file=place.file) if found else place

    def _sent(self) -> list[CellRef]:
        refs = {item.ref for item in self._context.items}
        return [cell for cell in self._request.code if f"In[{cell.number}]" in refs]

    async def _place(self, name: str, known: Mapping[str, Imported]) -> Meant | None:
        """Return the symbol of the project that a name is; `None` where it is none."""
        first, _, rest = name.partition(".")
        origin = known.get(first)
        path = "/".join(filter(None, (origin.name if origin else first, *rest.split("."))))
        file = _module_file(self._project.root, origin.module) if origin else None
        if origin and not path:
            return Meant(file=file) if file else None
        question = CodeQuestion(ask=Ask.DEFINITION, name_path=path, file=file or "")
        found = await self._first(question, self._project.static.index)
        if not found and file:  # imported there from another file
            found = await self._first(question.model_copy(update={"file": ""}), self._project.static.index)
        if not found or len({one.file for one in found}) > 1:
            return Meant(name_path=path) if origin or (found and self._is_wanted) else None
        return Meant(name_path=found[0].name_path, file=found[0].file)

    async def _first(self, question: CodeQuestion, who: CodeIntelligence) -> tuple[Finding, ...]:
        try:
            return await who.find(question)
        except CodeUnavailable:
            return ()

    def _of_cells(self, known: set[str]) -> list[CodeQuestion]:
        """Return what is asked of the notebook's own cells: types of the names, and what is wrong where one failed."""
        request = self._request
        if not self._is_wanted or not request.cells:
            return []
        failed = [request.failed] if request.failed else []
        asks = [CodeQuestion(ask=Ask.DIAGNOSTICS, file=f"cell:{cell.number}") for cell in failed]
        bound = frozenset[str]().union(*(names_of(cell.source).binds for cell in self._sent()))
        names = [name for name in named(request.question, bound) if name in bound and name not in known]
        return asks + [CodeQuestion(ask=Ask.DOCUMENTATION, name_path=name) for name in names[:MOST_HOVERS]]

    async def _ask(self, question: CodeQuestion, whom: Sequence[CodeIntelligence]) -> None:
        """Ask the best who can tell, and the next one where that fails."""
        for who in whom:
            if question.ask in who.asks:
                try:
                    self._answers[question] = await who.find(question)
                    return
                except CodeUnavailable as error:
                    self._refusals[str(error)] = None

    def gathered(self, elapsed_s: float, *, is_late: bool) -> Gathered:
        """Return what was found, in the order of the plan, each finding once.

        Parameters
        ----------
        elapsed_s
            How long it took, in seconds.
        is_late
            Whether the time was over before everybody had answered.
        """
        items: list[ContextItem] = []
        told: dict[tuple[object, ...], Finding] = {}
        for rank, question in enumerate(self._planned, start=1):
            found = [one for one in self._answers.get(question, ()) if _key(one) not in told]
            told |= {_key(one): one for one in found}
            items += items_of(question, found, rank)
        remarks = self._remarks(tuple(told.values()), elapsed_s, is_late=is_late)
        return Gathered(items=tuple(items), remarks=tuple(remarks))

    def _remarks(self, found: Sequence[Finding], elapsed_s: float, *, is_late: bool) -> Iterator[str]:
        if not self._planned:
            return
        counts = {source: sum(one.source is source for one in found) for source in Source}
        by = ", ".join(f"{NAMES[source]} {count}" for source, count in counts.items() if count)
        yield f"Code of {self._project.root.name}: {by or 'nothing was found'}, in {elapsed_s:.2f} s."
        for name in self._request.symbols:
            if not any(one.name_path.endswith(name.replace(".", "/")) for one in found) and not is_late:
                yield f"--symbol {name}: the project has no such symbol; a name at any depth is found, as Order.total."
        if is_late:
            missing = sum(question not in self._answers for question in self._planned)
            yield f"Code intelligence: the time was over (serena.budget_s); {missing} of its answers are missing."
        if self._project.serena and not counts[Source.SERENA]:
            yield from self._instead(self._project.serena.state.stage)

    def _instead(self, stage: Stage) -> Iterator[str]:
        """Say why it was not Serena who answered."""
        match stage:
            case Stage.NOT_INSTALLED:
                yield f"jedi, not Serena: it is not installed; `{INSTALL}` brings it."
            case Stage.STARTING | Stage.INDEXING | Stage.ASLEEP:
                yield f"jedi, not Serena: it is {stage.value} and answers the questions after this one."
            case Stage.FAILED:
                yield f"jedi, not Serena: {next(iter(self._refusals), 'it failed')}"
            case Stage.READY:
                return


def _key(one: Finding) -> tuple[object, ...]:
    return one.ask, one.file, one.first_line, one.name_path, one.info


def _module_file(root: Path, module: str) -> str:
    """Return the file of a module of the project; empty where it is not found, or a folder without `__init__.py`."""
    parts = module.split(".")
    for folder in source_folders(root):
        base = folder.joinpath(*parts)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file() and (inside := relative(root, path)):
                return inside
    return ""
