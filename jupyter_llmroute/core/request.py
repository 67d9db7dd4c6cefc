"""What the user asks for: the question, what lies around it, and what they pinned."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, ValidationError

from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.message import Message
from jupyter_llmroute.core.pins import Pin
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

MOST_SECONDS = 86_400
"""Nobody waits for an answer for more than a day."""


class Format(StrEnum):
    """The form that an answer is wanted in."""

    MARKDOWN = "markdown"
    CODE = "code"
    """The code of its blocks alone."""
    JSON = "json"
    """One JSON object: servers that can are told to write nothing else."""
    TEXT = "text"
    """Plain text, shown as it stands."""


class CellRef(Value):
    """A cell that was run before the question, or prose that stands above it."""

    number: int
    """Its execution count: the `3` of `In[3]`; of prose that of the cell that it stands above."""
    source: str
    output: str = ""
    """What it printed and returned, as text; empty when that was nothing."""
    error: str = ""
    """The traceback where it failed."""
    kind: Literal["code", "markdown"] = "code"
    id: str = ""
    """What the notebook knows it by, where that is told."""


class Turn(Value):
    """An earlier question of this session and its answer."""

    number: int
    """Execution count of the cell that asked."""
    question: str
    answer: str
    items: tuple[ContextItem, ...] = ()
    """What went along with it, in the order of the prompt."""
    format: Format = Format.MARKDOWN
    """The form that was wanted of its answer."""
    summary: str = ""
    """The answer in a sentence, where a model was asked for one."""
    cell: str = ""
    """The id of the cell that asked, where the notebook tells it."""
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
    number: int = 0
    """Execution count of the cell that asks; 0 where none does."""
    cell: str = ""
    """Its id, where the notebook tells it."""
    cells: tuple[CellRef, ...] = ()
    """Earlier cells, oldest first, each behind the prose that stands above it; that above the question comes last."""
    turns: tuple[Turn, ...] = ()
    """Earlier questions and answers, oldest first."""
    chosen_cells: frozenset[int] | None = None
    """Numbers of the cells that the user wants to go along; `None` lets those be chosen that the question needs."""
    failed_cell: int | None = None
    """Number of the cell whose error the question is about."""
    attachments: tuple[Attachment, ...] = ()
    """What the user attached by name."""
    with_code: bool | None = None
    """Whether the project's code is looked into; `None` where the question needs it."""
    symbols: tuple[str, ...] = ()
    """Symbols of the project that the user names, such as `Order.total`."""
    files: tuple[str, ...] = ()
    """Files of the project that the user names, such as `src/x.py` or `src/x.py:42`."""
    folder: str = ""
    """Where the notebook lies; empty where that is not known."""
    task: Task | None = None
    """The task where the user names it; `None` lets the classifier decide."""
    model: str | None = None
    """Only this model: the one of that id; where none has it, those whose names have the same words; failing these,
    those whose names have these words and more. `None` lets the router choose."""
    service: str | None = None
    """Only this server, by its name; `None` allows all."""
    pins: tuple[Pin, ...] = ()
    """Models that are wanted for tasks, the pin that wins first; `model` wins over all of them."""
    sampling: Sampling = Sampling()
    format: Format = Format.MARKDOWN
    """The form that the answer is wanted in."""
    remarks: tuple[str, ...] = ()
    """What the user should know of how it was put together, a sentence each; no model reads them."""
    messages: tuple[Message, ...] = ()
    """The whole chat, where somebody else laid it out: it is sent as it is, in place of instructions and question."""
    passed: Mapping[str, Any] = Field(default_factory=dict)
    """Further keys of the OpenAI dialect's body, such as `tools`, that reach the server as they are."""
    caller: str = ""
    """The tool that asks, by its own word, where one asks through us; empty where it is this very process."""
    timeout_s: float | None = Field(None, gt=0, le=MOST_SECONDS)
    """Seconds for the question, all attempts together; `None` leaves it to `limits.total_s`."""
    may_start_over: bool = False
    """Whether another model starts over where one fails in the middle of its answer."""

    @property
    def code(self) -> tuple[CellRef, ...]:
        """The cells of code."""
        return tuple(cell for cell in self.cells if cell.kind == "code")

    @property
    def failed(self) -> CellRef | None:
        """The cell whose error the question is about."""
        return next((cell for cell in self.code if cell.number == self.failed_cell), None)
