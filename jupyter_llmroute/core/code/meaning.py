"""`Meaning`: which symbols, files and lines of a project a question is about."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding
from jupyter_llmroute.core.code.mentioned import Imported, failed_at, imported, named, used
from jupyter_llmroute.core.code.named_file import named_file
from jupyter_llmroute.core.code.plan import Meant
from jupyter_llmroute.core.code.project import module_names, relative, source_folders
from jupyter_llmroute.core.code.project_code import ProjectCode
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.dataflow import names_of
from jupyter_llmroute.core.errors import CodeUnavailable
from jupyter_llmroute.core.request import CellRef
from jupyter_llmroute.core.task import Task

MOST_FAILED = 4
"""Lines of a traceback that are looked up, the innermost first."""

MOST_USED = 2
"""Names that nobody named, and that the cells which go along have from the project."""

LOOK_UP_SHARE = 0.4
"""Of the time for code intelligence: after it names go on as they are written."""

_PYTHON = (".py", ".pyi")
_FOREIGN = frozenset(("site-packages", "dist-packages", "venv", "env", "node_modules"))
_CALLED = frozenset(("class", "function", "method", "property"))
_OF_ERRORS = re.compile(
    r"\b(?:fail|error|exception|traceback|crash|wrong|fix|broke|raise|warum|fehler|pourquoi|erreur|por qu)|^\W*why\W*$",
    re.IGNORECASE,
)
"""Words of a question that is about what has just failed."""


class Meaning:
    """What of a project a question is about.

    Parameters
    ----------
    project
        Whose symbols are looked up.
    context
        The question, with the cells that go along.
    task
        What it was taken for.
    is_wanted
        Whether code is wanted; otherwise only a symbol of the project that the question names is a reason to look.

    Raises
    ------
    UserError
        A file that the user names is not in the project.
    """

    def __init__(self, project: ProjectCode, context: Context, task: Task, *, is_wanted: bool) -> None:
        self._root, self._index = project.root, project.static.index
        self._context, self._request = context, context.request
        self._task = task
        self._is_wanted = is_wanted
        self._known: Mapping[str, Imported] = {}
        self.bound: frozenset[str] = frozenset()
        """Names that the cells which go along bind, and do not import from the project."""
        self.by_user = (
            *(Meant(name_path=_path(name)) for name in self._request.symbols),
            *(named_file(self._root, Path(self._request.folder or self._root), name) for name in self._request.files),
        )
        """What the user named, as it was written."""
        self._failing = tuple(self._failing_lines())
        self._names: tuple[str, ...] = ()

    @property
    def is_something(self) -> bool:
        """Whether there is something to look up, once `read` is done."""
        return bool(self.by_user or self._failing or self._names)

    async def read(self) -> None:
        """Read which names the question and the cells have from the project."""
        request = self._request
        folder = [Path(request.folder)] if request.folder else []
        modules = await asyncio.to_thread(module_names, self._root, folder)
        self._known = imported(request.cells, modules)
        sent = self._sent()
        self.bound = frozenset[str]().union(*(names_of(cell.source).binds for cell in sent)) - self._known.keys()
        names = [name for name in named(request.question, self._known) if name not in self.bound]
        if not names and not self.by_user and (self._is_wanted or self._task is Task.CODING):
            names += used((cell.source for cell in sent), self._known)[:MOST_USED]
        self._names = tuple(names)

    async def places(self, budget_s: float) -> list[Meant]:
        """Return what is meant, with file and exact name as far as they are found in time; the user's own first."""
        wanted = [
            *((self._place(name, self._known), Meant(name_path=_path(name))) for name in self._request.symbols),
            *((self._symbol_on(place), place) for place in self.by_user[len(self._request.symbols) :]),
            *((self._symbol_on(place), place) for place in self._failing),
            *((self._place(name, self._known), self._unfound(name)) for name in self._names),
        ]
        looking = [asyncio.ensure_future(look) for look, _ in wanted]
        _, late = await asyncio.wait(looking, timeout=budget_s * LOOK_UP_SHARE) if looking else (set(), set())
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        is_users = [True] * len(self.by_user) + [False] * (len(wanted) - len(self.by_user))
        found = [
            asked if task in late else task.result() or (asked if mine else None)
            for task, (_, asked), mine in zip(looking, wanted, is_users, strict=True)
        ]
        return list(dict.fromkeys(filter(None, found)))

    def _unfound(self, name: str) -> Meant | None:
        """Return a name as it goes on where there was no time to look it up."""
        is_meant = self._is_wanted or name.partition(".")[0] in self._known
        return Meant(name_path=_path(name)) if is_meant else None

    def _failing_lines(self) -> Iterator[Meant]:
        """Give the lines of the project's files that the error points at, where the question is about one."""
        request = self._request
        last = request.code[-1:] if _OF_ERRORS.search(request.question) else ()
        places = [at for cell in ((request.failed,) if request.failed else last) for at in failed_at(cell.error)]
        own = ((relative(self._root, at.file), at.line) for at in places)
        inside = [(file, line) for file, line in own if file and _is_own(file) and (self._root / file).is_file()]
        yield from (Meant(file=file, line=line) for file, line in inside[:MOST_FAILED])

    def _sent(self) -> list[CellRef]:
        """Return the cells that go along for a reason."""
        refs = {item.ref for item in self._context.items if self._is_wanted or item.reason != "recent"}
        return [cell for cell in self._request.code if f"In[{cell.number}]" in refs]

    async def _symbol_on(self, place: Meant) -> Meant:
        """Return the symbol that a line stands in; what was asked for where that is none, or no line."""
        if place.line is None:
            return place
        found = await self._look_up(CodeQuestion(ask=Ask.DEFINITION, file=place.file, line=place.line))
        return Meant(name_path=found[0].name_path, file=place.file) if found else place

    async def _place(self, name: str, known: Mapping[str, Imported]) -> Meant | None:
        """Return the symbol of the project that a name is; `None` where it is none."""
        first, _, rest = name.partition(".")
        origin = known.get(first)
        path = "/".join(filter(None, (origin.name if origin else first, *rest.split("."))))
        file = _module_file(self._root, origin.module) if origin else ""
        if origin and not path:
            return Meant(file=file) if file else None
        question = CodeQuestion(ask=Ask.DEFINITION, name_path=path, file=file)
        found = await self._look_up(question)
        if not found and file:  # imported there from another file
            found = await self._look_up(question.model_copy(update={"file": ""}))
        if not origin and not self._is_wanted:
            found = [one for one in found if one.kind in _CALLED]  # a word in capitals may be anything
        if not found or len({one.file for one in found}) > 1:
            return Meant(name_path=path) if origin or (found and self._is_wanted) else None
        return Meant(name_path=found[0].name_path, file=found[0].file)

    async def _look_up(self, question: CodeQuestion) -> Sequence[Finding]:
        try:
            return await self._index.find(question)
        except CodeUnavailable:
            return ()


def _path(name: str) -> str:
    return name.replace(".", "/")


def _is_own(file: str) -> bool:
    parts = PurePosixPath(file).parts
    return file.endswith(_PYTHON) and not any(part.startswith(".") or part in _FOREIGN for part in parts)


def _module_file(root: Path, module: str) -> str:
    """Return the file of a module of the project; empty where it is not found, or a folder without `__init__.py`."""
    parts = module.split(".")
    for folder in source_folders(root):
        base = folder.joinpath(*parts)
        for path in (base.with_name(f"{base.name}.py"), base / "__init__.py"):
            if path.is_file() and (inside := relative(root, path)):
                return inside
    return ""
