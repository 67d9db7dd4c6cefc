"""What kind of work a question asks for, read from its words and its shape.

The prose is parted from what was pasted (`reading`); its sentences are read by a lexicon (`words`, `asking`); what is
seen gets names (`features`). What these names speak for, and the plain words (`phrases`), is learnt (`weights`,
`data/classifier.md`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from jupyter_llmroute.core.evidence import OWN_CORRECTIONS, evidence
from jupyter_llmroute.core.features import features
from jupyter_llmroute.core.lean import Lean
from jupyter_llmroute.core.phrases import phrases
from jupyter_llmroute.core.reading import read
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.surroundings import asks, continued, with_cell
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value
from jupyter_llmroute.core.weights import weights

if TYPE_CHECKING:
    from jupyter_llmroute.core.context import Context

TASKS = (Task.CODING, Task.REASONING, Task.ANALYSIS, Task.DOCUMENTATION)

INHERITED = 0.75
"""Share of the question before in the scores of one that goes on from it."""

SURE = 0.85
"""Confidence above which a question that asks something decides for itself, though it goes on from another."""

NAMED_BY_USER = ("named by the user",)
"""The evidence where the user names the task."""

CLOSE = 0.15
"""Two tasks whose probabilities differ by less are close."""


class Classification(Value):
    """What a question asks for, how sure that is, and what it was seen by."""

    task: Task
    confidence: float = Field(ge=0, le=1)
    """Probability of `task`."""
    scores: Mapping[Task, float]
    """Probability of each task; they sum to 1."""
    evidence: tuple[str, ...]
    """What was found, in a few words each, the strongest first."""
    needs_symbols: bool
    """Whether an answer needs code intelligence on the project: where a thing is defined, who uses it."""

    @property
    def rival(self) -> Task | None:
        """Another task that is nearly as probable, if there is one."""
        share, rival = max((share, task) for task, share in self.scores.items() if task is not self.task)
        return rival if self.confidence - share < CLOSE else None


NO_LEAN = Lean()


def classify(request: Request, context: Context, lean: Lean = NO_LEAN) -> Classification:
    """Tell the task of a request; the one that the user names wins.

    A short question that goes on from the one before has the task of that one, as far as its own words do not decide;
    one that points at the cell before is read with that cell.

    Parameters
    ----------
    request
        What was asked.
    context
        What was gathered for it; the request in it holds the cells and the questions before.
    lean
        What the user's own corrections say.
    """
    text = with_cell(request)
    found = classify_text(text, lean)
    if request.task is not None:
        return Classification(
            task=request.task,
            confidence=1.0,
            scores={task: float(task is request.task) for task in TASKS},
            evidence=NAMED_BY_USER,
            needs_symbols=found.needs_symbols,
        )
    before = continued(request)
    if before is None or text != request.question:
        return found
    earlier = classify_text(before.question, lean)
    known = {task: float(task is before.task) for task in TASKS} if before.task else earlier.scores
    return _going_on(found, known, needs_symbols=earlier.needs_symbols, decides=asks(request.question))


def _going_on(
    found: Classification, before: Mapping[Task, float], *, needs_symbols: bool, decides: bool
) -> Classification:
    """Mix what a question says with the task of the one that it goes on from."""
    found = found.model_copy(update={"needs_symbols": found.needs_symbols or needs_symbols})
    if found.confidence > SURE and decides:
        return found
    scores = {task: (1 - INHERITED) * found.scores[task] + INHERITED * before[task] for task in TASKS}
    task = max(TASKS, key=scores.__getitem__)
    earlier = max(TASKS, key=before.__getitem__)
    told = f"goes on from a question of {earlier}" if task is earlier else found.evidence[0]
    return found.model_copy(
        update={
            "task": task,
            "confidence": scores[task],
            "scores": scores,
            "evidence": tuple(dict.fromkeys((told, *found.evidence)))[:4],
        }
    )


def classify_text(text: str, lean: Lean = NO_LEAN) -> Classification:
    """Tell the task of a text by its words and shape alone.

    The same text always gives the same result. Of a very long text the ends are read.

    Examples
    --------
    >>> classify_text("Add a docstring to this function").task
    <Task.DOCUMENTATION: 'documentation'>
    """
    found = features(read(text), text)
    learnt = weights()
    spoken = phrases(text)
    answer = learnt.answer(found.structure, found.words, spoken)
    sums = [
        value / learnt.temperature + lean.towards.get(task, 0.0)
        for task, value in zip(TASKS, answer.tasks, strict=True)
    ]
    probabilities = _softmax(sums)
    best = max(range(len(TASKS)), key=probabilities.__getitem__)
    told = evidence(found, best, learnt, spoken)
    if answer.tasks[best] < max(answer.tasks):
        told = (OWN_CORRECTIONS, *told)
    return Classification(
        task=TASKS[best],
        confidence=probabilities[best],
        scores=dict(zip(TASKS, probabilities, strict=True)),
        evidence=told,
        needs_symbols=answer.symbols > 0,
    )


def _softmax(sums: list[float]) -> list[float]:
    top = max(sums)
    raised = [math.exp(value - top) for value in sums]
    total = sum(raised)
    return [value / total for value in raised]
