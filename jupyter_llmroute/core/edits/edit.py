"""What an answer may ask of files: `Edit`, one value for each kind."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from jupyter_llmroute.core.values import Value


class Side(StrEnum):
    """Where something new goes."""

    BEFORE = "before"
    AFTER = "after"


class ReplaceSymbol(Value):
    """A new definition in the place of an old one."""

    kind: Literal["replace"] = "replace"
    file: str
    """As the answer names it: nothing is known yet of whether it is a file of the project's."""
    symbol: str
    """`Order/total`."""
    body: str
    """The whole definition, decorators included."""


class InsertSymbol(Value):
    """A new definition beside an old one."""

    kind: Literal["insert"] = "insert"
    file: str
    symbol: str
    """The old one."""
    side: Side
    body: str


class RenameSymbol(Value):
    """Another name for a symbol, wherever it is used."""

    kind: Literal["rename"] = "rename"
    file: str
    """Where it is defined."""
    symbol: str
    new_name: str


class DeleteSymbol(Value):
    """A symbol that nobody uses goes away."""

    kind: Literal["delete"] = "delete"
    file: str
    symbol: str


class WriteFile(Value):
    """The whole text of a file, new or not."""

    kind: Literal["write"] = "write"
    file: str
    text: str


class Hunk(Value):
    """Lines that take the place of others."""

    line: int | None = None
    """Where the old lines begin, counted from 1, as it was said; where they truly stand is looked for."""
    old: tuple[str, ...]
    new: tuple[str, ...]


class PatchFile(Value):
    """Some lines of a file change."""

    kind: Literal["patch"] = "patch"
    file: str
    hunks: tuple[Hunk, ...]


Edit = Annotated[
    ReplaceSymbol | InsertSymbol | RenameSymbol | DeleteSymbol | WriteFile | PatchFile, Field(discriminator="kind")
]

SymbolEdit = ReplaceSymbol | InsertSymbol | DeleteSymbol
"""What changes one file at one symbol."""


def told(edit: Edit) -> str:
    """Return what an edit does, in a few words.

    Examples
    --------
    >>> told(RenameSymbol(file="shop.py", symbol="Order/total", new_name="sum"))
    "rename 'Order/total' of 'shop.py' to 'sum'"
    """
    match edit:
        case ReplaceSymbol():
            return f"replace {edit.symbol!r} in {edit.file!r}"
        case InsertSymbol():
            return f"insert {edit.side} {edit.symbol!r} in {edit.file!r}"
        case RenameSymbol():
            return f"rename {edit.symbol!r} of {edit.file!r} to {edit.new_name!r}"
        case DeleteSymbol():
            return f"delete {edit.symbol!r} from {edit.file!r}"
        case WriteFile():
            return f"write {edit.file!r}"
        case PatchFile():
            return f"change lines of {edit.file!r}"
