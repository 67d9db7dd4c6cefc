"""Who would answer each task now, and who is pinned to it: as a table, and changed by `%llm_pick`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.pins import ANY, AUTO, Pin, pinned_for
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.selector import Decision
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.inert import plain_line
from jupyter_llmroute.table import Table
from jupyter_llmroute.wording import and_more, plural, points, who

if TYPE_CHECKING:
    from jupyter_llmroute.notebook import NotebookSession

OVERVIEW = ("task", "pinned", "would answer now", "next in line")
OF_TASK = ("model", "server", "points", "why")

NEXT = 2
"""Others that are named for each task."""

HOW = "%llm_pick TASK MODEL@SERVER pins a model for this session; auto in its place pins none, --clear takes pins back."

NOBODY = "nobody: no model can answer"

Decisions = Mapping[Task, Decision]


def table(decisions: Decisions, pins: Sequence[Pin], notes: Iterable[str] = ()) -> Table:
    """Return a row for each task; of one task alone, a row for each model that can answer.

    Parameters
    ----------
    decisions
        On an empty question, by task.
    pins
        Those that hold, the one that wins first.
    notes
        What else is to be said, under the table.
    """
    remarks = (remark for decision in decisions.values() for remark in decision.route.remarks)
    said = tuple(dict.fromkeys((*notes, *remarks, HOW)))
    if len(decisions) == 1:
        ((_, decision),) = decisions.items()
        rows = tuple(map(_candidate, decision.route.candidates))
        return Table(columns=OF_TASK, rows=rows, notes=said, nothing=NOBODY)
    rows = tuple(_task(task, decision, pinned_for(task, pins)) for task, decision in decisions.items())
    return Table(columns=OVERVIEW, rows=rows, notes=said, nothing=NOBODY)


def name_of(candidate: Candidate) -> str:
    """Return what pins this model on this server."""
    return f"{candidate.model.id}@{candidate.endpoint.name}"


def _candidate(candidate: Candidate) -> tuple[str, ...]:
    why = "; ".join(candidate.reasons)
    names = (candidate.model.id, candidate.endpoint.name)
    return (*map(plain_line, names), points(candidate), plain_line(why, 400))


def _task(task: Task, decision: Decision, pin: Pin | None) -> tuple[str, ...]:
    first, *others = decision.route.candidates or (None,)
    named = [_who(other) for other in others[:NEXT] if other]
    more = and_more(len(others) - NEXT + decision.route.unranked) if others else ""
    return (
        task.value,
        plain_line(f"{pin.model} {pin.origin}") if pin else "",
        f"{_who(first)}, {points(first)}" if first else NOBODY,
        ", ".join([*named, *([more] if more else [])]),
    )


def _who(candidate: Candidate) -> str:
    return plain_line(who(candidate.model.id, candidate.endpoint.name))


class Picker:
    """Pins models in a session.

    Parameters
    ----------
    session
        Whose questions go to them.
    """

    def __init__(self, session: NotebookSession) -> None:
        self._session = session

    def table(self, task: Task | None = None, notes: Iterable[str] = (), *, refresh: bool = False) -> Table:
        """Return who would answer now, with what is pinned; of one task where it is named."""
        return self.shown(self.decisions(task, refresh=refresh), notes)

    def shown(self, decisions: Decisions, notes: Iterable[str] = ()) -> Table:
        """Return decisions as a table, with what is pinned."""
        held = self._session.held_pins()
        return table(decisions, held.pins, (*notes, *held.remarks))

    def decisions(self, task: Task | None = None, *, refresh: bool = False) -> Decisions:
        """Return what would be decided now for each task, or for the one that is named."""
        return self._session.survey([task] if task else Task, refresh=refresh)

    def pick(self, task: Task | None, model: str) -> tuple[str, ...]:
        """Pin a model to a task, or to all; return what there is to say."""
        self._session.pins.put(task, model)
        name = "No model is" if model.lower() == AUTO else f"{model} is"
        said = f"{name} pinned for {task or 'all tasks'} in this session, until its kernel ends."
        named = self._session.config.route_options().get("model")
        wins = f"route.model is set to {named}, and wins over every pin: %llm_config --reset route.model."
        return (said, wins) if named else (said,)

    def clear(self, task: Task | None, *, of_all: bool) -> tuple[str, ...]:
        """Take pins of this session back; return what there is to say."""
        number = self._session.pins.clear(task, of_all=of_all)
        left = self._session.held_pins().pins
        return (f"Taken back: {plural(number, 'pin')}.", *(f"It still holds: {pin.model}, {pin}." for pin in left))


def picked(task: str | None, model: str | None) -> tuple[bool, Task | None, str | None]:
    """Return what the words behind `%llm_pick` mean: whether a task is named, which one, and the model.

    Examples
    --------
    >>> picked("coding", "phi4")[2], picked("phi4", None), picked("any", None)
    ('phi4', (True, None, 'phi4'), (True, None, None))

    Raises
    ------
    UserError
        The first of two words is no task.
    """
    if task is None:
        return False, None, None
    if task.lower() in (*Task, ANY):
        return True, None if task.lower() == ANY else Task(task.lower()), model
    if model is None:
        return True, None, task
    raise UserError(f"{task!r} is no task: %llm_pick takes one of {', '.join((*Task, ANY))}, and a model behind it.")
