"""What Serena's answers look like, and nothing else knows it: text in, findings out; no I/O.

Covered against recorded answers of 1.7.0 and 2.1.0 (`tests/data/serena`), which have the same shapes.

Traps
-----
1. A tool that failed may say so in its text alone; a text that is too long is replaced by a sentence, without an error.
2. Errors are worded for a language model ("Stop, do not attempt workarounds"), with paths of this machine in them: none
   is passed on, each becomes a message of ours.
3. Lines count from 0, also those printed before the source lines around a use.
4. A module of the asked name is reported as a symbol of the kind `File`; it is none.
5. Messages of the type checker go on, after an empty line, with where it looked: paths of this machine again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import dropwhile
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from jupyter_llmroute.core.code.finding import Ask, Finding, Source
from jupyter_llmroute.core.code.mcp import ToolAnswer
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused
from jupyter_llmroute.core.values import Answered

T = TypeVar("T")

EVERYTHING: Mapping[str, Any] = {"name_path_pattern": "/", "substring_matching": True}
"""Arguments of `find_symbol` for all symbols of a file at its top level; an empty pattern is refused."""

MOST_FINDINGS = 1000


class NoSuchSymbol(CodeUnavailable):
    """Serena knows no symbol of that name there."""


class ManySymbols(CodeUnavailable):
    """The name is that of several symbols, and Serena wants one."""


class BackendFailed(CodeUnavailable):
    """The language server behind Serena did not start."""


class TooSlow(CodeUnavailable):
    """Serena's own limit for one call was reached."""


class AnswerTooLong(CodeUnavailable):
    """The answer is longer than what Serena gives at once."""

    def __init__(self, message: str, *, uses: Mapping[str, int]) -> None:
        super().__init__(message)
        self.uses = uses
        """Number of uses by file, where Serena says at least that."""


_FAILURES: tuple[tuple[str, type[CodeUnavailable], str], ...] = (
    (
        "language server manager is not initialized",
        BackendFailed,
        "Serena's language server did not start: see `jupyter-llmroute serena log`, "
        "or make its environment anew with `jupyter-llmroute serena install`.",
    ),
    ("No symbol matching", NoSuchSymbol, "Serena knows no such symbol: see whether the name and the file are right."),
    ("Found multiple", ManySymbols, "Several symbols have that name: give a longer one, such as 'Order.total'."),
    ("FileNotFoundError", NoSuchSymbol, "Serena knows no such file: see whether it is in the project and not ignored."),
    ("outside the project", CodeUnavailable, "Serena is asked about files of the project alone: name one of these."),
    ("Unknown tool", CodeUnavailable, "This version of Serena cannot do that: install the one that is known to."),
    ("timed out", TooSlow, "Serena took too long: ask again, or name the file that holds the symbol."),
)
"""Parts of what Serena says when it fails, and what becomes of each."""

_OTHER_FAILURE = "Serena could not answer: see `jupyter-llmroute serena log`, or ask about something else."
_TOO_LONG = "The answer is too long ("
_CANNOT_DELETE = "Cannot delete, "
_DONE = ("OK", "Successfully renamed")
_SHOWN_USES = 5


class _Span(Answered):
    start_line: int
    end_line: int


class _Child(Answered):
    name: str
    body_location: _Span
    children: Mapping[str, tuple[_Child, ...]] = {}


class _Symbol(Answered):
    name_path: str
    kind: str
    relative_path: str
    body_location: _Span
    body: str | None = ""
    info: str | None = ""
    children: Mapping[str, tuple[_Child, ...]] = {}


class _Use(Answered):
    name_path: str = ""
    content_around_reference: str = ""
    body_location: _Span | None = None


class _Place(Answered):
    line: int
    character: int


class _Range(Answered):
    start: _Place
    end: _Place


class _Remark(Answered):
    message: str
    range: _Range
    code: str | int | None = None


_SYMBOLS = TypeAdapter(tuple[_Symbol, ...])
_USES = TypeAdapter(dict[str, dict[str, tuple[_Use, ...]]])
_REMARKS = TypeAdapter(dict[str, dict[str, dict[str, tuple[_Remark, ...]]]])
_COUNTS = TypeAdapter(dict[str, int])
_LINES = TypeAdapter(dict[str, tuple[int, ...]])


def text_of(answer: ToolAnswer) -> str:
    """Return the text of an answer that is one.

    Raises
    ------
    CodeUnavailable
        It is an error, or stands in for an answer that is too long; `NoSuchSymbol`, `ManySymbols`, `BackendFailed` and
        `AnswerTooLong` tell which.
    """
    text = answer.text
    if answer.is_error:
        for part, kind, message in _FAILURES:
            if part in text:
                raise kind(message)
        raise CodeUnavailable(_OTHER_FAILURE)
    if text.startswith(_TOO_LONG):
        raise _too_long(text)
    return text


def symbols(answer: ToolAnswer, ask: Ask, *, with_children: bool = False) -> tuple[Finding, ...]:
    """Read what `find_symbol` and `find_implementations` say.

    Parameters
    ----------
    answer
        As it came.
    ask
        What was asked.
    with_children
        Whether the symbols within are findings as well.
    """
    found = []
    for symbol in _parsed(_SYMBOLS, text_of(answer)):
        if symbol.kind != "File":
            found.append(_symbol(symbol, ask))
            if with_children:
                found += _children(symbol.children, symbol.name_path, symbol.relative_path, ask)
    return _in_order(found)


def uses(answer: ToolAnswer) -> tuple[Finding, ...]:
    """Read what `find_referencing_symbols` says."""
    by_file = _parsed(_USES, text_of(answer))
    return _in_order(
        _use(use, kind, file) for file, kinds in by_file.items() for kind, some in kinds.items() for use in some
    )


def remarks(answer: ToolAnswer) -> tuple[Finding, ...]:
    """Read what `get_diagnostics_for_file` and `get_diagnostics_for_symbol` say."""
    by_file = _parsed(_REMARKS, text_of(answer))
    return _in_order(
        _remark(remark, severity, name_path, file)
        for file, severities in by_file.items()
        for severity, places in severities.items()
        for name_path, some in places.items()
        for remark in some
    )


def check_done(answer: ToolAnswer) -> None:
    """Read what a tool says that changes files.

    Raises
    ------
    EditRefused
        Serena refuses to remove what is used; nothing was changed.
    CodeUnavailable
        It failed; whether something was changed is not known.
    """
    text = text_of(answer)
    if text.startswith(_CANNOT_DELETE):
        raise EditRefused(f"The symbol is still used{_where(text)}: change what uses it first. Nothing was changed.")
    if not text.startswith(_DONE):
        raise CodeUnavailable(f"{_OTHER_FAILURE} Whether it changed something is not known.")


def _parsed(shape: TypeAdapter[T], text: str) -> T:
    try:
        return shape.validate_json(text)
    except ValidationError as error:
        raise CodeUnavailable(
            "Serena answered in a way that is not known: install the version that is, "
            "with `jupyter-llmroute serena install`."
        ) from error


def _symbol(symbol: _Symbol, ask: Ask) -> Finding:
    return Finding(
        ask=ask,
        name_path=symbol.name_path,
        kind=symbol.kind.lower(),
        file=_posix(symbol.relative_path),
        first_line=symbol.body_location.start_line + 1,
        last_line=symbol.body_location.end_line + 1,
        body=symbol.body or "",
        info=_plain(symbol.info or ""),
        source=Source.SERENA,
    )


def _plain(info: str) -> str:
    """Take the Markdown away that a language server puts around a signature, and between it and the docstring."""
    lines = (line for line in info.split("\n") if not line.startswith("```"))
    return "\n".join("" if line == "---" else line for line in lines).strip()


def _children(kinds: Mapping[str, tuple[_Child, ...]], parent: str, file: str, ask: Ask) -> Iterator[Finding]:
    placed = sorted(
        ((child, kind) for kind, some in kinds.items() for child in some),
        key=lambda pair: pair[0].body_location.start_line,
    )
    times = Counter(child.name for child, _ in placed)
    seen: Counter[str] = Counter()
    for child, kind in placed:
        # Where a name occurs twice, Serena numbers it, and wants the number in questions.
        number = f"[{seen[child.name]}]" if times[child.name] > 1 else ""
        seen[child.name] += 1
        name_path = f"{parent}/{child.name}{number}"
        whole = _Symbol(name_path=name_path, kind=kind, relative_path=file, body_location=child.body_location)
        yield _symbol(whole, ask)
        yield from _children(child.children, name_path, file, ask)


_AROUND = re.compile(r"^(?:\.\.\.|\s*>)\s*(\d+):(.*)$")


def _use(use: _Use, kind: str, file: str) -> Finding:
    lines = [match for line in use.content_around_reference.split("\n") if (match := _AROUND.match(line))]
    around = list(dropwhile(lambda match: not match[2].strip(), lines))
    marked = [match for match in around if match[0].lstrip().startswith(">")]
    at_module = kind == "File"
    first = int(marked[0][1]) if marked else (use.body_location.start_line if use.body_location else 0)
    return Finding(
        ask=Ask.REFERENCES,
        name_path="" if at_module else use.name_path,
        kind="module" if at_module else kind.lower(),
        file=_posix(file),
        first_line=first + 1,
        last_line=int(marked[-1][1]) + 1 if marked else first + 1,
        body="\n".join(match[2] for match in around).rstrip("\n"),
        body_line=int(around[0][1]) + 1 if around else None,
        source=Source.SERENA,
    )


def _remark(remark: _Remark, severity: str, name_path: str, file: str) -> Finding:
    start, end = remark.range.start, remark.range.end
    last = end.line if end.character or end.line == start.line else end.line - 1
    code = f" [{remark.code}]" if remark.code else ""
    return Finding(
        ask=Ask.DIAGNOSTICS,
        name_path="" if name_path == "<file>" else name_path,
        kind=severity.lower(),
        file=_posix(file),
        first_line=start.line + 1,
        last_line=max(last, start.line) + 1,
        info=remark.message.split("\n\n")[0].strip() + code,
        source=Source.SERENA,
    )


def _in_order(found: Iterable[Finding]) -> tuple[Finding, ...]:
    unlike = dict.fromkeys(found)
    return tuple(sorted(unlike, key=lambda one: (one.file, one.first_line, one.last_line, one.name_path)))[
        :MOST_FINDINGS
    ]


def _too_long(text: str) -> AnswerTooLong:
    uses: dict[str, int] = {}
    if (start := text.find("\n{")) >= 0:
        try:
            uses = _COUNTS.validate_json(text[start + 1 :])
        except ValidationError:
            uses = {}  # the beginning of another shape
    counted = f", {sum(uses.values())} uses in {len(uses)} files" if uses else ""
    return AnswerTooLong(
        f"Serena's answer is too long{counted}: name the file, or a symbol within it.",
        uses={_posix(file): count for file, count in uses.items()},
    )


def _where(text: str) -> str:
    if (start := text.find("{")) < 0:
        return ""
    try:
        by_file = _LINES.validate_json(text[start:])
    except ValidationError:
        return ""
    places = [f"{_posix(file)}:{line + 1}" for file, lines in sorted(by_file.items()) for line in lines]
    more = f" and {len(places) - _SHOWN_USES} more places" if len(places) > _SHOWN_USES else ""
    return f" in {', '.join(places[:_SHOWN_USES])!r}{more}"


def _posix(path: str) -> str:
    return path.replace("\\", "/")
