"""What the user asks for: the question, what lies around it, and what they pinned."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value


class CellRef(Value):
    """A cell that was run before the question."""

    number: int
    """Its execution count: the `3` of `In[3]`."""
    source: str
    output: str = ""
    """The text that its result was shown as; empty when it had none."""


class Turn(Value):
    """An earlier question of this session and its answer."""

    number: int
    """Execution count of the cell that asked."""
    question: str
    answer: str
    task: Task | None = None
    """What it was taken for."""


class Sampling(Value):
    """How the model is to write; `None` leaves a choice to the server."""

    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, gt=0)
    """Upper limit of the answer's length in tokens."""
    seed: int | None = None

    @classmethod
    def checked(cls, **values: Any) -> Sampling:
        """Return the sampling that a user's options ask for.

        Raises
        ------
        UserError
            A value is out of its range; the message names the option.
        """
        try:
            return cls(**values)
        except ValidationError as error:
            problem = error.errors()[0]
            option = "--" + str(problem["loc"][0]).replace("_", "-")
            raise UserError(f"{option} {problem['input']!r}: {problem['msg']}.") from None


class Request(Value):
    """One question, as the user wrote it."""

    question: str
    """Reaches the model character for character."""
    cells: tuple[CellRef, ...] = ()
    """Earlier cells, oldest first."""
    turns: tuple[Turn, ...] = ()
    """Earlier questions and answers, oldest first."""
    task: Task | None = None
    """The task where the user names it; `None` lets the classifier decide."""
    model: str | None = None
    """Only this model: the one of that id; where none has it, those whose names have the same words; failing these,
    those whose names have these words and more. `None` lets the router choose."""
    service: str | None = None
    """Only this server, by its name; `None` allows all."""
    sampling: Sampling = Sampling()
