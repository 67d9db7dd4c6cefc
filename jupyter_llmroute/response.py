"""An answer as a value: what a notebook's variable holds after `%%route`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Any, NoReturn

from jupyter_llmroute.code_blocks import Block, choose, code_blocks, code_of
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.events import Attempt, Usage
from jupyter_llmroute.core.fallback import Level
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value


class State(StrEnum):
    """How far an answer has come."""

    ROUTING = "routing"
    WAITING = "waiting"
    """Asked, and not one token yet."""
    STREAMING = "streaming"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


class Response(Value):
    """One question, its answer and how it came about; `str()` of it is the answer's text."""

    question: str
    text: str
    """The answer, character for character as it came; what had come, where the state is not complete."""
    reasoning: str = ""
    """What the model thought before it answered, where it says so."""
    format: Format = Format.MARKDOWN
    """The form that it was wanted in; the text is as it came whatever that is."""
    state: State
    error: str | None = None
    task: Task | None = None
    confidence: float | None = None
    """Of the task, from 0 to 1."""
    model: str | None = None
    service: str | None = None
    level: Level | None = None
    """How far the question had to fall back; `Level.PRIMARY` where the model that was wanted first answered."""
    answered_by: str | None = None
    """The name that the server gave itself in the answer."""
    finish_reason: str | None = None
    attempts: tuple[Attempt, ...] = ()
    """Those that failed, the last of them perhaps in the middle of its answer."""
    abandoned: tuple[str, ...] = ()
    """What others had said before they failed and the next one started over."""
    usage: Usage = Usage()
    time_to_first_token_s: float | None = None
    elapsed_s: float | None = None
    tokens_per_second: float | None = None

    def __str__(self) -> str:
        return self.text

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of code of the answer, in order, each with its language; untrusted, as all that a model writes."""
        return code_of(self.text)

    @property
    def code(self) -> str:
        """The code of the answer: its blocks in Python, or else of the first one's language; empty where none is."""
        chosen = choose(self.blocks)
        return chosen.code.text if chosen else ""

    @property
    def data(self) -> Any:
        """The answer read as JSON.

        Raises
        ------
        UserError
            It is not JSON; the message says where that shows.
        """
        try:
            return read_json(self.text)
        except ValueError as error:
            cut = "it was cut off at its length limit; " if self.finish_reason == "length" else ""
            raise UserError(
                f"The answer is not JSON: {cut}{error}. Its text is kept as it came; ask again, or another model."
            ) from None

    def _repr_markdown_(self) -> str:
        from jupyter_llmroute.forms import markdown_of

        return markdown_of(self.text, self.format)


def read_json(text: str) -> Any:
    """Return what a text says as JSON (RFC 8259), also where it is the only block of code in a text.

    Raises
    ------
    ValueError
        It is not JSON, or nested too deeply; the message says where.
    """
    try:
        return _loads(text)
    except ValueError:
        blocks = code_blocks(text)
        if len(blocks) != 1:
            raise
        return _loads(blocks[0].text)


def _loads(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no value of JSON")
