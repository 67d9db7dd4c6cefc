"""An answer in the form that it was wanted in: Markdown that does nothing, and plain text."""

from __future__ import annotations

from jupyter_llmroute.code_blocks import Block, code_blocks, code_of
from jupyter_llmroute.core.context import fenced
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.inert import inert_markdown


def markdown_of(text: str, form: Format, *, is_over: bool = True) -> str:
    """Return Markdown that shows an answer, and is inert.

    Parameters
    ----------
    text
        The answer, as far as it has come.
    form
        The form that it is wanted in.
    is_over
        Whether nothing more comes: an answer that turns out to have no code is shown as it is.
    """
    match form:
        case Format.CODE:
            shown = "\n\n".join(fenced(block.text, block.language) for block in _blocks(text, is_over=is_over))
        case Format.JSON if not text.lstrip().startswith(("```", "~~~")):
            shown = fenced(text.strip(), "json") if text.strip() else ""
        case Format.TEXT:
            shown = fenced(text, "text") if text.strip() else ""
        case _:
            shown = text
    return inert_markdown(shown if shown or not is_over else text)


def plain_of(text: str, form: Format, *, is_over: bool = True) -> str:
    """Return an answer as plain text: of code alone that of the blocks, with empty lines between them."""
    if form is not Format.CODE:
        return text
    code = "\n\n".join(block.text for block in _blocks(text, is_over=is_over))
    return code if code or not is_over else text


def _blocks(text: str, *, is_over: bool) -> tuple[Block, ...]:
    # Whether a text without fences is a program is not to be known before its end.
    return code_of(text) if is_over else code_blocks(text)
