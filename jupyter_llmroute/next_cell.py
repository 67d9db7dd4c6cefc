"""From an answer to the text of a cell: its code, checked, and what is to be said of it. Pure; nothing is run.

What goes into the cell is what the model wrote, but for characters that cannot be seen: those become signs that can.
Where anything is wrong with the code, the cell says so in its first line, as a comment.
"""

from __future__ import annotations

import pprint
import re
from ast import literal_eval
from collections.abc import Callable, Iterable
from textwrap import dedent
from typing import NamedTuple

from jupyter_llmroute.code_blocks import PYTHON, Block, choose, syntax_tree
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import Format
from jupyter_llmroute.inert import UNSEEN, plain_line, seen
from jupyter_llmroute.response import Response, State
from jupyter_llmroute.wording import CUT_SHORT, plural

MOST_CHARS = 200_000
"""Longer code is not put into a cell: notebooks and their pages become slow."""

MOST_TO_TRANSFORM = 2_000_000
"""Characters that IPython's transformer may read of a cell: it reads all of it anew for each line that it changes."""

COMMENTS = {
    "javascript": ("// ", ""),
    "latex": ("% ", ""),
    "sql": ("-- ", ""),
    "html": ("<!-- ", " -->"),
    "markdown": ("<!-- ", " -->"),
}
"""What makes a line a comment, before and behind it, where that is not `# `."""

MAGICS = {
    "bash": ("bash", "sh"),
    "sh": ("sh", "bash"),
    "html": ("html",),
    "javascript": ("javascript",),
    "latex": ("latex",),
    "markdown": ("markdown",),
    "perl": ("perl",),
    "ruby": ("ruby",),
    "sql": ("sql",),
    "r": ("R",),
    "julia": ("julia",),
    "cython": ("cython",),
    "cmd": ("cmd",),
    "bat": ("cmd",),
    "batch": ("cmd",),
}
"""The cell magics that run a language, the best first; those of extensions count where they are loaded."""

_ESCAPE = re.compile(r"^[ \t]*(?:[%!?]|\w[^=\n]*=[ \t]*[%!])|\?[ \t]*$", re.MULTILINE)
_LINE_END = re.compile(r"\r\n?|\n")
_CLOSES_COMMENT = re.compile(r"--(?=!?>)")


class Cell(NamedTuple):
    """A cell to be, and what to say of it."""

    text: str
    """Empty where there is none to be."""
    what: str
    """What is in it, as a subject; without a text, why there is none, as a sentence."""
    notes: tuple[str, ...] = ()
    """Sentences."""


class Reader(NamedTuple):
    """What a notebook can read."""

    has_magic: Callable[[str], bool]
    """Whether it has a cell magic of a name."""
    transform: Callable[[str], str]
    """Makes plain Python of what only IPython reads."""


def next_cell(response: Response, reader: Reader, asked: str = "") -> Cell:
    """Return the cell that an answer's code makes.

    Parameters
    ----------
    response
        The answer; only of a complete one a cell is made.
    reader
        What the notebook can read.
    asked
        The text of a cell that stays in it as comments, where the code takes its place.
    """
    if response.state is not State.COMPLETE:
        return Cell("", f"The answer is not complete ({response.state}): no cell was written.")
    if response.format is Format.JSON:
        return _of_json(response, asked)
    chosen = choose(response.blocks)
    if chosen is None:
        return Cell("", "The answer holds no code: no cell was written.")
    if len(chosen.code.text) > MOST_CHARS:
        return _too_long(len(chosen.code.text), "_route.code")
    text, comments, language = _of_code(chosen.code, response.finish_reason == CUT_SHORT, reader)
    left = (f"Left in the answer: {_counted(chosen.others)}.",) if chosen.others else ()
    return Cell(_below([*_as_asked(asked), *comments], text, language), _what(chosen.code), (*comments, *left))


def _of_json(response: Response, asked: str) -> Cell:
    """Return a cell of an answer's JSON as an expression in Python: `null` is no name there."""
    try:
        data = response.data
        text = pprint.pformat(data, width=100, sort_dicts=False)
        if len(text) > MOST_CHARS:
            return _too_long(len(text), "_route.data")
        if bool(literal_eval(text) != data):  # a number beyond all floats is read as `inf`
            raise ValueError
    except UserError:
        return Cell("", "The answer is not JSON: no cell was written.")
    except (ValueError, RecursionError, MemoryError):
        return Cell("", "The answer's JSON cannot be written in Python: no cell was written. _route.data holds it.")
    return Cell(_below(_as_asked(asked), text, PYTHON), "The answer's JSON, as an expression of Python,")


def _too_long(chars: int, where: str) -> Cell:
    return Cell(
        "",
        f"The code has {chars:,} characters, more than the {MOST_CHARS:,} that are put into a cell: {where} holds it.",
    )


def _of_code(code: Block, is_cut: bool, reader: Reader) -> tuple[str, list[str], str]:
    """Return what to write, what is wrong with it as comments, and the language of both."""
    text, hidden = _visible(code.text)
    comments = ["The answer was cut off at its length limit: this may not be all of the code."] if is_cut else []
    if hidden:
        comments.append(f"{plural(hidden, 'character')} that cannot be seen became {UNSEEN} here.")
    if code.language == PYTHON:
        text, wrong = _checked(text, reader.transform)
        return text, [*([f"{wrong} It is as it came."] if wrong else []), *comments], PYTHON
    if magic := next(filter(reader.has_magic, MAGICS.get(code.language, ())), None):
        return f"%%{magic}\n{text}", comments, code.language
    why = f"No cell magic here runs {code.language}" if code.language else "Its language is not named"
    return _commented(text), [f"{why}: it is as it came, as comments.", *comments], PYTHON


def _what(code: Block) -> str:
    lines = plural(code.text.count("\n") + 1, "line")
    return f"The answer's code ({code.language}, {lines})" if code.language else f"The answer's code ({lines})"


def _counted(blocks: Iterable[Block]) -> str:
    counts: dict[str, int] = {}
    for block in blocks:
        counts[block.language or "no language"] = counts.get(block.language or "no language", 0) + 1
    return ", ".join(f"{plural(count, 'block')} of {language}" for language, count in counts.items())


def _checked(code: str, transform: Callable[[str], str]) -> tuple[str, str]:
    """Return code, without an indentation that all of it has, and what is wrong with it as Python, if anything is."""
    problem = ""
    for text in dict.fromkeys((code, dedent(code))):
        try:
            syntax_tree(text)
            return text, ""
        except SyntaxError as error:
            problem = problem or _words(error)
    escapes = len(_ESCAPE.findall(code))
    if not escapes:
        return code, problem
    if escapes * len(code) > MOST_TO_TRANSFORM:
        return code, "It has too many magics to check whether it parses as Python."
    try:
        syntax_tree(transform(code))
        return code, ""
    except Exception as error:  # also what transformers of other extensions raise
        return code, _words(error) if isinstance(error, SyntaxError) else problem


def _words(error: SyntaxError) -> str:
    where = f"line {error.lineno}: " if error.lineno else ""
    return f"It does not parse as Python ({where}{plain_line(str(error.msg or error), 100)})."


def _visible(text: str) -> tuple[str, int]:
    """Return a text without characters that cannot be seen, and how many it had."""
    text = _LINE_END.sub("\n", text)
    shown = seen(text)
    return shown, sum(old != new for old, new in zip(text, shown, strict=True))


def _as_asked(asked: str) -> list[str]:
    return seen(asked).strip("\n").split("\n") if asked.strip() else []


def _below(comments: list[str], text: str, language: str) -> str:
    """Return a cell's text under comments; a cell magic stays its first line."""
    head: tuple[str, ...] = ()
    if comments and text.lstrip().startswith("%%"):
        first, _, text = text.lstrip().partition("\n")
        magic = next(iter(first[2:].split()), "")
        language = next((language for language, magics in MAGICS.items() if magic in magics), language)
        head = (first,)
    return "\n".join((*head, *(_comment(line, language) for line in comments), text))


def _commented(text: str) -> str:
    return "\n".join(_comment(line, PYTHON) for line in text.split("\n"))


def _comment(line: str, language: str) -> str:
    before, behind = COMMENTS.get(language, ("# ", ""))
    if behind:
        line = _CLOSES_COMMENT.sub("-- ", line)
    return f"{before}{line}{behind}".rstrip()
