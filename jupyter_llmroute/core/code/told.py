"""What was found of code, as a model reads it: one item for each question, the same bytes for the same findings."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.context import cut_middle, fenced
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.secrets import masked

MOST_LINES = 40
"""Uses, symbols or remarks in one item."""

MOST_CHARS = 6000
"""Of one body, or of one list."""

MOST_MASKED_CHARS = 20_000
"""Of one body: what is looked through for secrets is longer than what is sent, so that none is cut in two before."""

MOST_BODIES = 3
"""Definitions of one name: more of them say that the name says too little."""

_TITLES = {
    Ask.OVERVIEW: "What {what} defines",
    Ask.REFERENCES: "Where {what} is used",
    Ask.IMPLEMENTATIONS: "What implements {what}",
    Ask.CALLERS: "What calls {what}",
    Ask.DIAGNOSTICS: "What a type checker says of {what}",
    Ask.DOCUMENTATION: "Type and documentation of {what}",
}
_REASONS = {
    Ask.DEFINITION: "definition of {what}",
    Ask.OVERVIEW: "symbols of {what}",
    Ask.REFERENCES: "uses of {what}",
    Ask.IMPLEMENTATIONS: "implementations of {what}",
    Ask.CALLERS: "callers of {what}",
    Ask.DIAGNOSTICS: "remarks on {what}",
    Ask.DOCUMENTATION: "documentation of {what}",
}
NAMES = {Source.SERENA: "Serena", Source.TY: "ty", Source.JEDI: "jedi", Source.AST: "ast"}


def items_of(question: CodeQuestion, found: Sequence[Finding], rank: int) -> tuple[ContextItem, ...]:
    """Return what answers a question, as items.

    Parameters
    ----------
    question
        What was asked.
    found
        What was found, in its order.
    rank
        Place of the question among all, the most needed first.
    """
    if not found:
        return ()
    by = f"{reason(question)}, by {', '.join(dict.fromkeys(NAMES[one.source] for one in found))}"
    if question.ask is Ask.DEFINITION:
        return tuple(_definition(one, by, rank) for one in found[:MOST_BODIES])
    title = _TITLES[question.ask].format(what=_what(question)) + _reserved(found)
    lines = [_line(one) for one in found[:MOST_LINES]]
    if more := len(found) - len(lines):
        lines.append(f"… and {more:,} more")
    # What is not whole in the context is cut as an output is.
    return (
        ContextItem(
            ref=_ref(question),
            text=f"{title}:",
            output=cut_middle(masked("\n".join(lines)), MOST_CHARS),
            reason=by,
            rank=rank,
        ),
    )


def _ref(question: CodeQuestion) -> str:
    title = _TITLES[question.ask].format(what=_what(question))
    return title[0].lower() + title[1:]


def _reserved(found: Sequence[Finding]) -> str:
    """Return what is to be known of uses that jedi found: how many may be missing."""
    said = dict.fromkeys(one.reserve for one in found if one.reserve)
    return f" ({'; '.join(said)})" if said else ""


def reason(question: CodeQuestion) -> str:
    """Return what is asked, in words, such as ``uses of `Order.total```."""
    return _REASONS[question.ask].format(what=_what(question))


def _what(question: CodeQuestion) -> str:
    name = question.name_path.replace("/", ".")
    return f"`{name}`" if name else _place(question.file, question.line)


def _definition(one: Finding, reason: str, rank: int) -> ContextItem:
    where = _place(one.file, one.first_line)
    body = fenced(cut_middle(masked(cut_middle(one.body or one.info, MOST_MASKED_CHARS)), MOST_CHARS), "python")
    return ContextItem(
        ref=f"{one.name_path.replace('/', '.')} in {_cell(one.file)}",
        text=f"{where}, {one.kind} {one.name_path.replace('/', '.')}:\n{body}",
        reason=reason,
        rank=rank,
    )


def _line(one: Finding) -> str:
    where = _place(one.file, one.first_line)
    name = one.name_path.replace("/", ".")
    match one.ask:
        case Ask.REFERENCES | Ask.CALLERS:
            line = _used_line(one)
            return f"{where}{f' in {name}' if name else ''}: {line}"
        case Ask.DIAGNOSTICS:
            return f"{where} {one.kind}{f' in {name}' if name else ''}: {' '.join(one.info.split())}"
        case Ask.DOCUMENTATION:
            return f"{where} {one.kind} {name}\n{one.info.strip()}"
        case _:
            return f"{where} {one.kind} {name}{f': {one.info.splitlines()[0]}' if one.info else ''}"


def _used_line(one: Finding) -> str:
    """Return the line of a use; a body has the lines around it too."""
    lines = one.body.split("\n")
    place = one.first_line - (one.body_line or one.first_line)
    return lines[place].strip() if 0 <= place < len(lines) else ""


def _place(file: str, line: int | None) -> str:
    return f"{_cell(file)}:{line}" if line is not None else _cell(file)


def _cell(file: str) -> str:
    """Return a file as it stands in a heading, where no name of one begins a line or ends a code span."""
    name = f"In[{file.removeprefix('cell:')}]" if file.startswith("cell:") else file
    return "".join(sign if sign.isprintable() and sign != "`" else "\N{REPLACEMENT CHARACTER}" for sign in name)
