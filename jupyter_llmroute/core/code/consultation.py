"""`Consultation`: one question's way to those who know code: what is asked, of whom, what came, what is said of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence

from jupyter_llmroute.core.code.finding import Ask, CodeIntelligence, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.installation import INSTALL
from jupyter_llmroute.core.code.meaning import Meaning
from jupyter_llmroute.core.code.mentioned import named
from jupyter_llmroute.core.code.plan import further, plan
from jupyter_llmroute.core.code.project_code import ProjectCode
from jupyter_llmroute.core.code.serena_life import Stage
from jupyter_llmroute.core.code.told import NAMES, items_of, reason
from jupyter_llmroute.core.context import Context, Gathered
from jupyter_llmroute.core.errors import CodeUnavailable
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.task import Task

MOST_HOVERS = 3
"""Names of the notebook whose types are asked for."""

SHARE = 0.8
"""Of the time that is left: who has not answered by then is not waited for if somebody else can tell."""


TOLD_SHARE = 0.85
"""Of all the time: who looks at the clock tells by then what was found, and some is left to read it."""

NOT_INSTALLED = f"jedi, not Serena: it is not installed; `{INSTALL}` brings it."


class _Asked:
    """A question, and what came of it."""

    def __init__(self, question: CodeQuestion, whom: Sequence[CodeIntelligence]) -> None:
        self.question = question
        self.whom = [who for who in whom if question.ask in who.asks]
        self.found: tuple[Finding, ...] = ()
        self.refusals: list[str] = []
        self.is_over = False

    async def ask(self, budget_s: float) -> None:
        """Ask the best who can tell, and the next one where that fails, finds no definition, or takes long."""
        for place, who in enumerate(self.whom, start=1):
            is_last = place == len(self.whom)
            try:
                async with asyncio.timeout(None if is_last else budget_s * SHARE):
                    self.found = await who.find(self.question)
            except CodeUnavailable as error:
                self.refusals.append(str(error))
            except TimeoutError:
                self.refusals.append(f"{NAMES[who.source]} took longer than {budget_s * SHARE:.1f} s.")
            else:
                if self.found or self.question.ask is not Ask.DEFINITION:
                    break
        self.is_over = True


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
    budget_s
        Seconds that all of it may take.
    tells_install
        Whether it is said that Serena is not installed, where it would have been asked.

    Raises
    ------
    UserError
        A file that the user names is not in the project.
    """

    def __init__(
        self,
        project: ProjectCode,
        context: Context,
        task: Task,
        *,
        is_wanted: bool,
        budget_s: float,
        tells_install: bool = True,
    ) -> None:
        self._project = project
        self._request = context.request
        self._task = task
        self._is_wanted = is_wanted
        self._budget_s = budget_s
        self._tells_install = tells_install
        self._meaning = Meaning(project, context, task, is_wanted=is_wanted)
        self._ends_at = time.time() + budget_s * TOLD_SHARE
        self._of_project = self._asking(plan(self._request.question, task, self._meaning.by_user))
        self._of_cells: list[_Asked] = []

    async def run(self) -> None:
        """Find out what is meant, and ask everybody at once; what has come stays when this is cancelled."""
        await self._meaning.read()
        self._start_jedi()
        if self._meaning.by_user and self._project.serena:
            self._project.serena.start()
        meant = await self._meaning.places(self._budget_s)
        if meant and self._project.serena:
            self._project.serena.start()
        mistakes = [CodeQuestion(ask=Ask.DIAGNOSTICS, file=one.file) for one in self._meaning.by_user if one.file]
        self._of_project = [
            *self._asking(plan(self._request.question, self._task, meant)),
            # What does not parse has no symbols, and that is what is to be known of it.
            *(_Asked(question, [self._project.static.index]) for question in dict.fromkeys(mistakes)),
        ]
        self._of_cells = [_Asked(question, [self._project.cells]) for question in self._about_cells()]
        if self._of_cells:
            await self._project.cells.open([(str(cell.number), cell.source) for cell in self._request.code])
        await asyncio.gather(*(asked.ask(self._budget_s) for asked in (*self._of_project, *self._of_cells)))

    def _start_jedi(self) -> None:
        """Have jedi start while names are looked up, where it is going to be asked."""
        serena = self._project.serena
        is_ready = serena is not None and serena.state.stage is Stage.READY
        jedi = self._project.static.jedi
        if self._meaning.is_something and not is_ready and further(self._request.question, self._task) & jedi.asks:
            jedi.start()

    def _asking(self, questions: Sequence[CodeQuestion]) -> list[_Asked]:
        whom = self._project.of_files(self._ends_at)
        return [_Asked(question, whom) for question in questions]

    def _about_cells(self) -> list[CodeQuestion]:
        """Return what is asked of the notebook's own cells: types of the names, and what is wrong where one failed."""
        request = self._request
        if not self._is_wanted or not request.cells:
            return []
        failed = [CodeQuestion(ask=Ask.DIAGNOSTICS, file=f"cell:{request.failed.number}")] if request.failed else []
        names = [name for name in named(request.question, self._meaning.bound) if name in self._meaning.bound]
        return failed + [CodeQuestion(ask=Ask.DOCUMENTATION, name_path=name) for name in names[:MOST_HOVERS]]

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
        for rank, asked in enumerate((*self._of_project, *self._of_cells), start=1):
            found = [one for one in asked.found if _key(one) not in told]
            told |= {_key(one): one for one in found}
            items += items_of(asked.question, found, rank)
        remarks = self._remarks(tuple(told.values()), elapsed_s, is_late=is_late)
        return Gathered(items=tuple(items), remarks=tuple(remarks))

    def _remarks(self, found: Sequence[Finding], elapsed_s: float, *, is_late: bool) -> Iterator[str]:
        asked = (*self._of_project, *self._of_cells)
        counts = {source: sum(one.source is source for one in found) for source in Source}
        by = ", ".join(f"{NAMES[source]} {count}" for source, count in counts.items() if count)
        if asked or is_late:
            yield f"Code of {self._project.root.name}: {by or 'nothing was found'}, in {elapsed_s:.2f} s."
        elif self._request.with_code:
            yield f"Code of {self._project.root.name}: the question names nothing of it; --symbol or --file does."
        if is_late:
            missing = [reason(asked.question) for asked in asked if not asked.is_over]
            told = f"; not found in time: {', '.join(missing)}" if missing else ""
            yield f"Code intelligence: the time was over (serena.budget_s: {self._budget_s:g}){told}."
        else:
            yield from self._unknown()
            yield from self._unfinished()
        if self._project.serena and self._of_project and not counts[Source.SERENA]:
            yield from self._instead(self._project.serena.state.stage)

    def _unknown(self) -> Iterator[str]:
        """Say which symbols that the user named are not there."""
        for asked, name in zip(self._of_project, self._request.symbols, strict=False):
            if not asked.found:
                yield f"--symbol {name}: the project has no such symbol; a name at any depth is found, as Order.total."

    def _unfinished(self) -> Iterator[str]:
        """Say what nobody could tell though somebody was there who tells such things: the last of them says why."""
        for asked in self._of_project:
            if asked.question.ask is Ask.REFERENCES and not asked.found and len(asked.refusals) == len(asked.whom):
                yield from (f"Code intelligence: {refusal}" for refusal in asked.refusals[-1:])

    def _instead(self, stage: Stage) -> Iterator[str]:
        """Say why it was not Serena who answered."""
        assert self._project.serena
        match stage:
            case Stage.NOT_INSTALLED:
                if self._tells_install:
                    yield NOT_INSTALLED
            case Stage.STARTING | Stage.INDEXING | Stage.ASLEEP:
                yield f"jedi, not Serena: it is {stage.value} and answers the questions after this one."
            case Stage.FAILED:
                yield f"jedi, not Serena: it failed. {self._project.serena.state.reason}"
            case Stage.READY:
                refusals = [refusal for asked in self._of_project for refusal in asked.refusals]
                if refusals:
                    yield f"jedi, not Serena: {refusals[0]}"


def _key(one: Finding) -> tuple[object, ...]:
    return one.ask, one.file, one.first_line, one.name_path, one.info
