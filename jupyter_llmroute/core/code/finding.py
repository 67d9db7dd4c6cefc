"""What is asked of code, and what is found: one question type, one result type, whoever answers."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from jupyter_llmroute.core.values import Value


class Source(StrEnum):
    """Who found something."""

    SERENA = "serena"
    TY = "ty"
    JEDI = "jedi"
    AST = "ast"


class Ask(StrEnum):
    """What may be asked of code."""

    DEFINITION = "definition"
    """Where a symbol is defined, with its body."""
    OVERVIEW = "overview"
    """The symbols of a file, without bodies."""
    DOCUMENTATION = "documentation"
    """Type, signature and docstring of a symbol."""
    REFERENCES = "references"
    """Where a symbol is used."""
    IMPLEMENTATIONS = "implementations"
    """What derives from a class, or overrides a method."""
    CALLERS = "callers"
    """Which functions call a function."""
    DIAGNOSTICS = "diagnostics"
    """What a type checker says of a file or of a symbol."""


class CodeQuestion(Value):
    """One question about code."""

    ask: Ask
    name_path: str = ""
    """`Order/total`, or `total` at any depth; empty where a whole file is asked about."""
    file: str = ""
    """Relative to the project's root, with `/`; empty where it is not known. `cell:<id>` is a cell of the notebook."""
    line: int | None = None
    """Counted from 1; where it is given, the symbol on that line is meant."""


class Finding(Value):
    """One symbol, one use of a symbol, or one remark about it."""

    ask: Ask
    """The kind of question that this answers."""
    name_path: str
    """`Order/total`; of a use, the symbol that it stands in, and empty at the level of the module."""
    kind: str
    """`class`, `function`, `method`, `variable`, …; of a remark its severity: `error`, `warning`, …"""
    file: str
    """Relative to the project's root, with `/`; or `cell:<id>`."""
    first_line: int
    """Counted from 1."""
    last_line: int
    """Counted from 1, and part of it."""
    body: str = ""
    """Source, as it stands in the file; of a use, the lines around it."""
    body_line: int | None = None
    """Counted from 1; where the body begins, if that is not the first line."""
    info: str = ""
    """Signature and docstring, or what the remark says."""
    reserve: str = ""
    """What may be missing beside it, where that is known."""
    source: Source


class CodeIntelligence(Protocol):
    """Somebody who knows code."""

    @property
    def source(self) -> Source:
        """Who it is."""

    @property
    def asks(self) -> frozenset[Ask]:
        """What it can be asked."""

    async def find(self, question: CodeQuestion) -> tuple[Finding, ...]:
        """Return what is found, in a stable order: by file, then by line; nothing found is an empty tuple.

        Raises
        ------
        CodeUnavailable
            It cannot answer now, or not at all; somebody else may.
        """
