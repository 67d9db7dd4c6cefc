"""Which names a piece of Python defines, uses, changes and imports.

Read with `ast`, never run. Order counts as far as a name that is bound first and used then is not used from outside; a
name that only one branch binds is changed, not defined, because what was there before may still be. What stands in the
body of a function happens when it is called: it is kept by the function's name, and counts as used where the same
piece uses that name.
"""

from __future__ import annotations

import ast
import keyword
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from jupyter_llmroute.core.cell_syntax import plain
from jupyter_llmroute.core.parsing import tree_of
from jupyter_llmroute.core.statement_names import Found, gather

LONGEST = 20_000
"""Characters of the longest source that is read; of a longer one, which is data as a rule, nothing is said."""

MOST_PIECES = 200
"""Statements that are parsed one by one where the whole does not parse."""

STAR = "*"
"""Stands among the imports for all the names of a module."""


class Names(NamedTuple):
    """What a piece of Python does with names of the notebook."""

    defines: frozenset[str] = frozenset()
    """Bound whenever it runs to its end, imports aside."""
    uses: frozenset[str] = frozenset()
    """Needed from outside; builtins among them."""
    mutates: frozenset[str] = frozenset()
    """Changed in place, deleted, or bound in some cases only."""
    imports: frozenset[str] = frozenset()
    """Bound by an import; `*` where a module gives all that it has."""
    bodies: Mapping[str, frozenset[str]] = MappingProxyType({})
    """What the functions and classes that it defines use when they are called, by their names."""

    @property
    def binds(self) -> frozenset[str]:
        """What it defines or imports."""
        return self.defines | self.imports


NOTHING = Names()

# -- reading ---------------------------------------------------------------------------------------------------------

_ESCAPE = re.compile(r"\\([^\n\r\\'\"N])")
_NUMBER_AND_WORD = re.compile(r"\b(\d+)(?=(?:and|else|for|if|in|is|not|or)\b)")


@lru_cache(maxsize=2048)
def names_of(source: str) -> Names:
    r"""Read the names of a cell.

    Parameters
    ----------
    source
        Python as IPython takes it, also with mistakes in it: what does not parse is read line by line.

    Returns
    -------
    Names
        Empty where the cell is another language, longer than `LONGEST`, or nested too deeply to be read.

    Examples
    --------
    >>> names = names_of("import pandas as pd\ndf = pd.read_csv(path)\ndf['a'] = 0")
    >>> sorted(names.defines), sorted(names.imports), sorted(names.uses), sorted(names.mutates)
    (['df'], ['pd'], ['path'], ['df'])
    """
    if len(source) > LONGEST:
        return NOTHING
    cell = _Cell()
    try:
        tree = _parsed(source)
        if tree:
            cell.run(tree.body, cell.sure)
            return cell.names()
        text, is_kept = plain(source)
        text = textwrap.dedent(text)
        whole = _parsed(text) if text != source else None
        for piece in [whole] if whole else _pieces(text):
            cell.run_piece(piece)
    except RecursionError:
        return NOTHING
    return cell.names() if is_kept else cell.names()._replace(defines=frozenset(), imports=frozenset())


def _parsed(text: str) -> ast.Module | None:
    """Parse a text, and give no warning of what is written in it: the user had it when the cell ran."""
    if "\\" in text:
        text = _ESCAPE.sub(r"\\\\\1", text)
    try:
        return tree_of(_NUMBER_AND_WORD.sub(r"\1 ", text))
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # null bytes, lone surrogates, deep nesting
        return None


_CONTINUES = re.compile(r"[ \t)\]}#]|(?:else|elif|except|finally)\b|$")


def _pieces(text: str) -> list[str | ast.Module]:
    """Return the statements of a text parsed, and those that do not parse as texts."""
    blocks: list[list[str]] = []
    for line in text.split("\n"):
        if blocks and _CONTINUES.match(line):
            blocks[-1].append(line)
        else:
            blocks.append([line])
    if len(blocks) == 1 or len(blocks) > MOST_PIECES:
        return [text]
    return [_parsed(block) or block for block in map("\n".join, blocks)]


# -- guessing the names of what does not parse -----------------------------------------------------------------------

_STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|#[^\n]*")
_IDENTIFIER = re.compile(r"(?<![\w.])[^\W\d]\w*(?![\w'\"])")
_KEYWORD_ARGUMENT = re.compile(r"([(,]\s*)[^\W\d]\w*\s*=(?!=)")
_DEFINED = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class|type)[ \t]+([^\W\d]\w*)", re.M)
_ASSIGNED = re.compile(r"^[ \t]*([^\W\d]\w*(?:[ \t]*,[ \t]*[^\W\d]\w*)*)[ \t]*(?::[^=\n]{1,200})?=(?!=)", re.M)
_IMPORTED = re.compile(r"^[ \t]*(?:from[ \t]+[\w.]+[ \t]+)?import[ \t]+([\w., \t*()]+)", re.M)


def _guessed(text: str) -> Found:
    found = Found()
    text = _STRING.sub(" ", text)
    for names in _IMPORTED.findall(text):
        for part in names.strip(" \t()").split(","):
            words = part.split()
            if words:
                found.imports.add(words[-1] if "as" in words else words[0].partition(".")[0])
    text = _IMPORTED.sub(" ", text)
    found.stores.update(_DEFINED.findall(text))
    for names in _ASSIGNED.findall(text):
        found.stores.update(_IDENTIFIER.findall(names))
    rest = _KEYWORD_ARGUMENT.sub(r"\1", _ASSIGNED.sub(" ", _DEFINED.sub(" ", text)))
    found.loads.update(name for name in _IDENTIFIER.findall(rest) if not keyword.iskeyword(name))
    for names in (found.stores, found.imports):
        names -= {name for name in names if keyword.iskeyword(name)}
    return found


# -- statements, in order ----------------------------------------------------------------------------------------------


class _Cell:
    """What the statements of a cell do, one after the other."""

    def __init__(self) -> None:
        self.sure: set[str] = set()
        """Bound so far, whatever happens."""
        self._stores: set[str] = set()
        self._uses: set[str] = set()
        self._mutates: set[str] = set()
        self._imports: set[str] = set()
        self._bodies: dict[str, frozenset[str]] = {}

    def names(self) -> Names:
        return Names(
            defines=frozenset(self.sure - self._imports),
            uses=frozenset(self._uses),
            mutates=frozenset(self._mutates | (self._stores - self.sure)),
            imports=frozenset(self._imports),
            bodies=MappingProxyType(self._bodies),
        )

    def run_piece(self, piece: str | ast.Module) -> None:
        if isinstance(piece, str):
            self._add(_guessed(piece), self.sure)
        else:
            self.run(piece.body, self.sure)

    def run(self, statements: Iterable[ast.stmt], sure: set[str]) -> None:
        """Take statements in; `sure` is what is bound at their place, and grows."""
        for statement in statements:
            block = _BLOCKS.get(type(statement))
            if block:
                block(self, statement, sure)
            else:
                self._add(gather([statement]), sure)

    def _add(self, found: Found, sure: set[str]) -> None:
        self._uses |= found.loads - sure
        self._uses |= self._called(found.loads) - sure
        self._mutates |= found.mutated
        self._imports |= found.imports
        self._stores |= found.stores
        sure -= found.deleted
        sure |= found.stores | found.imports
        self._bodies |= {name: frozenset(used) for name, used in found.bodies.items()}

    def _called(self, loads: set[str]) -> set[str]:
        """Return what the functions of this cell use that are used here, and those that they use."""
        used: set[str] = set()
        seen: set[str] = set()
        due = [name for name in loads if name in self._bodies]
        while due:
            name = due.pop()
            if name not in seen:
                seen.add(name)
                used |= self._bodies[name]
                due += [inner for inner in self._bodies[name] if inner in self._bodies]
        return used

    def _if(self, node: Any, sure: set[str]) -> None:
        branches: list[list[ast.stmt]] = []
        while True:
            self._add(gather([node.test]), sure)
            branches.append(node.body)
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
        self._branch([*branches, node.orelse], sure)

    def _branch(self, branches: Sequence[list[ast.stmt]], sure: set[str]) -> None:
        """Take branches in, of which one runs: sure is what all of them bind."""
        ends = []
        for branch in branches:
            bound = set(sure)
            self.run(branch, bound)
            ends.append(bound)
        sure |= set.intersection(*ends)

    def _match(self, node: Any, sure: set[str]) -> None:
        self._add(gather([node.subject]), sure)
        for case in node.cases:
            bound = set(sure)
            self._add(gather([case.pattern]), bound)
            self._add(gather([case.guard] if case.guard else []), bound)
            self.run(case.body, bound)

    def _for(self, node: Any, sure: set[str]) -> None:
        self._add(gather([node.iter]), sure)
        self._add(gather([node.target]), sure)
        self.run(node.body, sure)
        self.run(node.orelse, sure)

    def _while(self, node: Any, sure: set[str]) -> None:
        self._add(gather([node.test]), sure)
        self.run(node.body, sure)
        self.run(node.orelse, sure)

    def _with(self, node: Any, sure: set[str]) -> None:
        for item in node.items:
            self._add(gather([item]), sure)
        self.run(node.body, sure)

    def _try(self, node: Any, sure: set[str]) -> None:
        before = set(sure)
        self.run(node.body, sure)
        for handler in node.handlers:
            bound = before | ({handler.name} if handler.name else set())
            self._add(gather([handler.type] if handler.type else []), bound)
            self.run(handler.body, bound)
        self.run(node.orelse, sure)
        self.run(node.finalbody, sure)


_BLOCKS: dict[type[ast.stmt], Callable[[_Cell, Any, set[str]], None]] = {
    ast.If: _Cell._if,
    ast.Match: _Cell._match,
    ast.For: _Cell._for,
    ast.AsyncFor: _Cell._for,
    ast.While: _Cell._while,
    ast.With: _Cell._with,
    ast.AsyncWith: _Cell._with,
    ast.Try: _Cell._try,
    ast.TryStar: _Cell._try,
}
