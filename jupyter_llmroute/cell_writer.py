"""Asking the page to write a cell or its clipboard, from a button.

A kernel can write a cell itself only while it runs one, and reaches no clipboard at all. The page is told through a
comm. JupyterLab with our extension writes, never runs what it wrote, and answers; a page that does not know the comm
closes it, as Jupyter's messages have it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

TARGET = "jupyter_llmroute.cell"
"""What the page listens to."""

WRITES = "jp-llmroute-write-"
"""Class of a button, before its action: the page writes for a press of such a one alone."""


class Action(StrEnum):
    """What is to be done."""

    BELOW = "below"
    """A new cell below the one that asked."""
    REPLACE = "replace"
    """In the place of the one that asked, if that still holds what it held."""
    COPY = "copy"
    """To the clipboard; no cell is touched."""


def write(action: Action, *, cell: str, text: str, expected: str, told: Callable[[bool, str], None]) -> None:
    """Ask the page to write.

    Parameters
    ----------
    action
        Where to.
    cell
        The id of the cell that asked.
    text
        What to write.
    expected
        What the cell that is to be replaced must still hold.
    told
        Called once the page has answered: whether it was written, and why not.
    """
    from comm import create_comm

    answers: list[bool] = []

    def answered(message: dict[str, Any]) -> None:
        data = message.get("content", {}).get("data", {})
        if not answers:
            answers.append(data.get("done") is True)
            told(answers[0], str(data.get("why", "")))

    def closed(_: dict[str, Any]) -> None:
        if not answers:
            answers.append(False)
            told(False, "")

    asked = {"version": 1, "action": action.value, "cell": cell, "text": text, "expected": expected}
    channel = create_comm(target_name=TARGET, data=asked)
    channel.on_msg(answered)
    channel.on_close(closed)
