"""How a user's own questions differ from those of others: learnt from the tasks that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

RATE = 0.15
"""Log-odds that a task gains by one correction of a sure mistake: five of them turn a probability of 0.32 into 0.5."""

MOST = 1.0
"""Log-odds, either way: what a question says plainly is never overruled."""


class Lean(Value):
    """What a user's corrections say for each task, whatever the question says."""

    towards: Mapping[Task, Annotated[float, Field(ge=-MOST, le=MOST)]] = {}
    """Log-odds that are added for a task; they sum to about 0."""
    corrections: int = Field(0, ge=0)
    """How often the user named another task than was told."""

    def corrected(self, said: Mapping[Task, float], right: Task) -> Lean:
        """Return the lean after the user named a task: a step down the slope of the logistic loss.

        Parameters
        ----------
        said
            Probability of each task, as the classifier told them.
        right
            The task that the user named.
        """
        towards = {
            task: _held(self.towards.get(task, 0.0) + RATE * ((task is right) - share)) for task, share in said.items()
        }
        was_wrong = right is not max(said, key=said.__getitem__)
        return Lean(towards=towards, corrections=self.corrections + was_wrong)


def _held(value: float) -> float:
    return round(max(-MOST, min(MOST, value)), 4)
