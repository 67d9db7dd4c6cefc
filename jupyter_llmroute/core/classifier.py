"""What kind of work a question asks for, read from its words and its shape.

The prose is parted from what was pasted (`reading`); its sentences are read by a lexicon (`words`, `asking`); what is
seen gets names (`features`), and a linear model has learnt what each name speaks for (`weights`, `data/classifier.md`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pydantic import Field

from jupyter_llmroute.core.evidence import evidence
from jupyter_llmroute.core.features import features
from jupyter_llmroute.core.reading import read
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.surroundings import continued, with_cell
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value
from jupyter_llmroute.core.weights import weights

if TYPE_CHECKING:
    from jupyter_llmroute.core.context import Context

TASKS = (Task.CODING, Task.REASONING, Task.ANALYSIS, Task.DOCUMENTATION)

INHERITED = 0.75
"""Share of the question before in the scores of one that goes on from it."""

SURE = 0.75
"""Confidence above which a question decides for itself, though it goes on from another."""

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
    def is_close(self) -> bool:
        """Whether another task is nearly as probable."""
        first, second = sorted(self.scores.values(), reverse=True)[:2]
        return first - second < CLOSE


def classify(request: Request, context: Context) -> Classification:
    """Tell the task of a request; the one that the user names wins.

    A short question that goes on from the one before has the task of that one, as far as its own words do not decide;
    one that points at the cell before is read with that cell.

    Parameters
    ----------
    request
        What was asked.
    context
        What was gathered for it; the request in it holds the cells and the questions before.
    """
    found = classify_text(with_cell(request))
    if request.task is not None:
        return Classification(
            task=request.task,
            confidence=1.0,
            scores={task: float(task is request.task) for task in TASKS},
            evidence=("named by the user",),
            needs_symbols=found.needs_symbols,
        )
    before = continued(request)
    return found if before is None else _going_on(found, classify_text(before))


def _going_on(found: Classification, before: Classification) -> Classification:
    """Mix what a question says with the task of the one that it goes on from."""
    if found.confidence > SURE:
        return found
    scores = {task: (1 - INHERITED) * found.scores[task] + INHERITED * before.scores[task] for task in TASKS}
    task = max(TASKS, key=scores.__getitem__)
    told = f"goes on from a question of {before.task}" if task is before.task else found.evidence[0]
    return found.model_copy(
        update={
            "task": task,
            "confidence": scores[task],
            "scores": scores,
            "evidence": tuple(dict.fromkeys((told, *found.evidence)))[:4],
        }
    )


def classify_text(text: str) -> Classification:
    """Tell the task of a text by its words and shape alone.

    The same text always gives the same result. Of a very long text the ends are read.

    Examples
    --------
    >>> classify_text("Add a docstring to this function").task
    <Task.DOCUMENTATION: 'documentation'>
    """
    found = features(read(text), text)
    learnt = weights()
    answer = learnt.answer(found.structure, found.words)
    probabilities = _softmax(answer.tasks, learnt.temperature)
    best = max(range(len(TASKS)), key=probabilities.__getitem__)
    return Classification(
        task=TASKS[best],
        confidence=probabilities[best],
        scores=dict(zip(TASKS, probabilities, strict=True)),
        evidence=evidence(found, best, learnt),
        needs_symbols=answer.symbols > 0,
    )


def _softmax(sums: list[float], temperature: float) -> list[float]:
    top = max(sums)
    raised = [math.exp((value - top) / temperature) for value in sums]
    total = sum(raised)
    return [value / total for value in raised]
