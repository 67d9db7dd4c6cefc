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
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value
from jupyter_llmroute.core.weights import weights

if TYPE_CHECKING:
    from jupyter_llmroute.core.context import Context

TASKS = (Task.CODING, Task.REASONING, Task.ANALYSIS, Task.DOCUMENTATION)

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

    Parameters
    ----------
    request
        What was asked.
    context
        What was gathered for it. Not looked at yet: the words of the question decide.
    """
    found = classify_text(request.question)
    if request.task is None:
        return found
    return Classification(
        task=request.task,
        confidence=1.0,
        scores={task: float(task is request.task) for task in TASKS},
        evidence=("named by the user",),
        needs_symbols=found.needs_symbols,
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
    share = learnt.share(len(found.words))
    shapes, words = learnt.sums(found.structure), learnt.sums(found.words)
    *sums, symbols = (b + s + share * w for b, s, w in zip(learnt.bias, shapes, words, strict=True))
    probabilities = _softmax(sums, learnt.temperature)
    best = max(range(len(TASKS)), key=probabilities.__getitem__)
    return Classification(
        task=TASKS[best],
        confidence=probabilities[best],
        scores=dict(zip(TASKS, probabilities, strict=True)),
        evidence=evidence(found, best, learnt),
        needs_symbols=symbols >= learnt.symbols_needed,
    )


def _softmax(sums: list[float], temperature: float) -> list[float]:
    top = max(sums)
    raised = [math.exp((value - top) / temperature) for value in sums]
    total = sum(raised)
    return [value / total for value in raised]
