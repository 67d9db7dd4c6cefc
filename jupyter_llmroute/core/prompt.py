"""The layout of what is sent: instructions and cells, earlier turns, the question last.

The question is a message of its own, character for character; what was gathered stands in the system message.
A server's prompt cache helps as far as one prompt begins like the one before: up to the last cell of before while
cells are only added, and no further than the instructions once the oldest one has left.
"""

from __future__ import annotations

from typing import Literal

from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE, estimate_tokens
from jupyter_llmroute.core.values import Value

INSTRUCTIONS = (
    "You help a person who works in a Jupyter notebook. Answer in Markdown. "
    "Put code into fenced blocks that name their language."
)
"""The same bytes in every prompt, so that a server's prompt cache begins to match here."""

CELLS_HEADING = "Cells that were run earlier in this notebook, oldest first:"


MOST_AROUND_MESSAGE = 32
"""Tokens that no chat template puts more of around one message."""


class Message(Value):
    """One message of a chat."""

    role: Literal["system", "user", "assistant"]
    content: str


def lay_out(context: Context) -> tuple[Message, ...]:
    """Return the messages of a context: instructions and cells, earlier turns, the question last."""
    system = "\n\n".join(
        (INSTRUCTIONS, CELLS_HEADING, *(i.text for i in context.items)) if context.items else (INSTRUCTIONS,)
    )
    messages = [Message(role="system", content=system)]
    for turn in context.request.turns:
        messages += [Message(role="user", content=turn.question), Message(role="assistant", content=turn.answer)]
    return (*messages, Message(role="user", content=context.request.question))


def estimate_prompt(messages: tuple[Message, ...], family: str = "") -> int:
    """Estimate the prompt tokens of a chat, its template included."""
    return sum(estimate_tokens(message.content, family) + TOKENS_PER_MESSAGE for message in messages)


def answer_reserve(window: int, reserve_tokens: int) -> int:
    """Return the tokens of a window to keep free for the answer: at most half of it."""
    return min(reserve_tokens, window // 2)


def most_tokens(messages: tuple[Message, ...]) -> int:
    """Return a number of tokens that a chat never has more of: common vocabularies spell what they lack in bytes."""
    return sum(len(message.content.encode("utf-8", "replace")) + MOST_AROUND_MESSAGE for message in messages)


def least_tokens(messages: tuple[Message, ...]) -> int:
    """Return a number of tokens that a chat has in every common vocabulary: none joins two words over a blank.

    Earlier answers do not count: templates of reasoning models leave out the thoughts in them.
    """
    return sum(len(message.content.split()) for message in messages if message.role != "assistant")
