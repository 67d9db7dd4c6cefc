"""The layout of what is sent: instructions, earlier turns with what went along with each, the question last.

A server's prompt cache helps as far as one prompt begins like the one before. So nothing is put in before what was
sent already: what a question needs goes along in its own message, and stays there when it has become an earlier turn.
Clocks, counters and orders that change have no place in here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from jupyter_llmroute.core.context import Context, fenced
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.message import Message as Message
from jupyter_llmroute.core.request import Format, Turn
from jupyter_llmroute.core.tokens import TOKENS_PER_MESSAGE, estimate_tokens

INSTRUCTIONS = (
    "You help a person who works in a Jupyter notebook. Answer in Markdown. "
    "Put code into fenced blocks that name their language."
)
"""The same bytes in every prompt, so that a server's prompt cache begins to match here."""

ITEMS_HEADING = "From the notebook:"
QUESTION_HEADING = "The question:"

WISHES = {
    Format.CODE: "Answer with code alone, in one fenced block that names its language.",
    # A server's own JSON mode wants it said too: models that are only held to the grammar write blanks without end.
    Format.JSON: "Answer with one JSON object and nothing else: no prose, no Markdown.",
    Format.TEXT: "Answer in plain text, without Markdown.",
}
"""What is said of a form that is not the usual one, before the question; the instructions stay the same bytes."""

MOST_AROUND_MESSAGE = 32
"""Tokens that no chat template puts more of around one message."""


def lay_out(context: Context) -> tuple[Message, ...]:
    """Return the messages of a context: instructions, earlier turns, the question with what goes along last.

    A chat that somebody else laid out is that.
    """
    if context.request.messages:
        return context.request.messages
    messages = [Message(role="system", content=INSTRUCTIONS)]
    for turn in context.request.turns:
        messages += turn_messages(turn)
    request = context.request
    return (*messages, Message(role="user", content=asked(context.items, request.question, request.format)))


def turn_messages(turn: Turn) -> tuple[Message, Message]:
    """Return an earlier question as it was asked, and its answer."""
    question = Message(role="user", content=asked(turn.items, turn.question, turn.format))
    return question, Message(role="assistant", content=turn.answer)


def asked(items: Sequence[ContextItem], question: str, wanted: Format = Format.MARKDOWN) -> str:
    """Return a question behind what goes along with it; it ends the text, character for character."""
    parts = [ITEMS_HEADING, *map(item_text, items)] if items else []
    parts += [WISHES[wanted]] if wanted in WISHES else []
    return "\n\n".join((*parts, f"{QUESTION_HEADING}\n{question}")) if parts else question


def item_text(item: ContextItem) -> str:
    """Return an item as the model reads it."""
    if not item.output:
        return item.text
    label = f"{item.output_ref}:\n" if item.output_ref else ""
    return f"{item.text}\n{label}{fenced(item.output)}"


def estimate_prompt(messages: Sequence[Message], family: str = "") -> int:
    """Estimate the prompt tokens of a chat, its template included."""
    return sum(estimate_tokens(message.counted, family) + TOKENS_PER_MESSAGE for message in messages)


def estimate_tools(context: Context, family: str = "") -> int:
    """Estimate the tokens of the tools that a template writes into the prompt."""
    tools = context.request.passed.get("tools")
    return estimate_tokens(json.dumps(tools), family) if tools else 0


def answer_reserve(window: int, reserve_tokens: int) -> int:
    """Return the tokens of a window to keep free for the answer: at most half of it."""
    return min(reserve_tokens, window // 2)


def most_tokens(messages: tuple[Message, ...]) -> int:
    """Return a number of tokens that a chat never has more of: common vocabularies spell what they lack in bytes."""
    return sum(len(message.counted.encode("utf-8", "replace")) + MOST_AROUND_MESSAGE for message in messages)


def least_tokens(messages: tuple[Message, ...]) -> int:
    """Return a number of tokens that a chat has in every common vocabulary: none joins two words over a blank.

    Earlier answers do not count: templates of reasoning models leave out the thoughts in them.
    """
    return sum(len(message.content.split()) for message in messages if message.role != "assistant")
