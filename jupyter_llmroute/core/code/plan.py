"""What is asked about code for a question: few questions, chosen by its words and by its task."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

MOST_QUESTIONS = 8
"""Asked together they cost what one costs; more would only fill the window."""

MOST_DEFINITIONS = 4


class Meant(Value):
    """A symbol, a file or a line of the project that a question is about."""

    name_path: str = ""
    file: str = ""
    """Relative to the project's root; empty where it is not known."""
    line: int | None = None


_FURTHER: tuple[tuple[Ask, re.Pattern[str]], ...] = (
    (
        Ask.REFERENCES,
        re.compile(
            r"\b(?:renam|refactor|impact|break|chang|mov(?:e|ing)\b|delet|remov|deprecat|replac|call(?:s|ed|er|ers|ing)\b"
            r"|us(?:e|es|ed|ers?|ages?)\b|depend|referenc|affect|where\b.{0,40}\b(?:used|called)"
            r"|umbenenn|verwend|aufgeruf|utilis|appel|usa(?:do|da|n)?\b|llama)",
            re.IGNORECASE,
        ),
    ),
    (
        Ask.IMPLEMENTATIONS,
        re.compile(
            r"\b(?:subclass|implement(?:s|ed by|ations?|ers?)\b|overrid|inherit|derive[sd]?\b|abstract"
            r"|(?:who|which|what)\b.{0,40}\bimplement\b)",
            re.IGNORECASE,
        ),
    ),
    (
        Ask.DOCUMENTATION,
        re.compile(r"\b(?:signature|docstring|document|types?\b|annotat|parameters?|arguments?|returns?)", re.I),
    ),
    (
        Ask.DIAGNOSTICS,
        # Words of the question, not parts of names such as `shop.errors.fail`.
        re.compile(
            r"(?<![\w.`/-])(?:mistakes?|bugs?|wrong|errors?|warnings?|typ(?:e|ing).?(?:check\w*|errors?)|lint\w*"
            r"|problems?|issues?|diagnos\w+|review\w*|fehler\w*|erreurs?|errores|probl[eè]m\w+)(?![`(/-]|\.?\w)",
            re.IGNORECASE,
        ),
    ),
)
"""What more is asked of the first symbol where a question has such a word."""

_TYPES = re.compile(r"(?<![\w.`/-])(?:types|typing|annotations|mypy)(?![`(/-]|\.?\w)", re.IGNORECASE)
"""Of a whole file these words ask for what a type checker says; of a symbol, for its documentation."""

_BY_TASK: dict[Task, tuple[Ask, ...]] = {
    Task.CODING: (),
    Task.REASONING: (),
    Task.ANALYSIS: (Ask.REFERENCES,),
    Task.DOCUMENTATION: (Ask.DOCUMENTATION,),
}


def plan(question: str, task: Task, meant: Sequence[Meant]) -> tuple[CodeQuestion, ...]:
    """Return what is asked of code, the most needed first.

    Parameters
    ----------
    question
        As the user wrote it.
    task
        What it was taken for.
    meant
        What of the project it is about, the most certain first.

    Examples
    --------
    >>> order = Meant(name_path="Order/total", file="shop.py")
    >>> [asks.ask.value for asks in plan("who calls Order.total?", Task.CODING, [order])]
    ['definition', 'references']
    """
    return tuple(dict.fromkeys(_questions(question, task, meant)))[:MOST_QUESTIONS]


def further(question: str, task: Task) -> frozenset[Ask]:
    """Return what more a question asks of a symbol than what it is."""
    return frozenset((*(ask for ask, words in _FURTHER if words.search(question)), *_BY_TASK[task]))


def _questions(question: str, task: Task, meant: Sequence[Meant]) -> Iterator[CodeQuestion]:
    for one in meant[:MOST_DEFINITIONS]:
        yield _asking(Ask.OVERVIEW if _is_file(one) else Ask.DEFINITION, one)
    further = [*(ask for ask, words in _FURTHER if words.search(question)), *_BY_TASK[task]]
    if meant and _is_file(meant[0]) and _TYPES.search(question):
        further.append(Ask.DIAGNOSTICS)
    for ask in dict.fromkeys(further):
        for one in meant[:1]:
            if ask is Ask.DIAGNOSTICS:
                if one.file:
                    yield CodeQuestion(ask=ask, file=one.file)
            elif one.name_path or one.line is not None:
                yield _asking(ask, one)


def _is_file(one: Meant) -> bool:
    return not one.name_path and one.line is None


def _asking(ask: Ask, one: Meant) -> CodeQuestion:
    return CodeQuestion(ask=ask, name_path=one.name_path, file=one.file, line=one.line)
