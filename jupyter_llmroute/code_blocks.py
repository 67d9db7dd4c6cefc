r"""Blocks of code in an answer's Markdown: text in, blocks out; nothing is run, and nothing is changed.

A fence is what CommonMark calls one, read as leniently as models write it:

- It may stand behind the marks of lists and quotations, and be indented as deep as one likes.
- Code that is less indented than its fence still belongs to it; where a quotation ends, its block ends too.
- It is closed by a fence of the same sign, at least as long, with nothing behind it, and at most three columns further
  in: what stands deeper is code, such as a fence in a docstring.
- A block that is never closed goes to the end.
- A block of Markdown that holds fences, as of models that wrap their whole answer, is read for these.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.parsing import tree_of
from jupyter_llmroute.core.values import Value

PYTHON = "python"

ALIASES = {
    alias: language
    for language, aliases in {
        PYTHON: "py python3 py3 ipython ipython3 pycon python-repl pyrepl doctest sage jupyter",
        "bash": "shell shellscript shell-script zsh console shell-session shellsession sh-session terminal",
        "javascript": "js ecmascript node mjs",
        "html": "htm svg xhtml",
        "latex": "tex",
        "markdown": "md",
        "perl": "pl",
        "ruby": "rb",
        "text": "txt plaintext plain output out stdout log none",
    }.items()
    for alias in aliases.split()
}
"""Further names of languages."""

SESSIONS = {
    PYTHON: (re.compile(r">>>(?: |$)"), re.compile(r"(?:>>>|\.\.\.)(?: |$)")),
    "bash": (re.compile(r"\$ "), re.compile(r"\$ ")),
}
"""What a session that is shown begins with, and what stands before each line of its code; the rest is output."""

MOST_GUESSED_CHARS = 100_000
"""A block that names no language is not read as Python beyond this length."""

_QUOTE = re.compile(r"(?: {0,3}> ?)+")
_FENCE = re.compile(
    r"(?P<before>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)", re.DOTALL
)
_DIRECTIVE = re.compile(r"\{code(?:-cell|-block)?\}\s*")
_NAME = re.compile(r"[A-Za-z][\w+#.-]*")
_LINE_END = re.compile(r"\r\n?|\n")


class Block(Value):
    """One block of code."""

    language: str
    """In lower case and by its usual name; empty where it names none, and is not Python by its syntax."""
    text: str
    """Without its fence, and without a line end at the end."""
    is_closed: bool = True
    """Whether its end was there: the answer may have been cut off."""


def code_blocks(text: str) -> tuple[Block, ...]:
    r"""Return the blocks of code of an answer, in order, empty ones left out.

    Examples
    --------
    >>> code_blocks("So:\n\n1. First\n   ```py\n   x = 1\n   ```\n")
    (Block(language='python', text='x = 1', is_closed=True),)
    """
    return tuple(_blocks(_LINE_END.split(text), look_into=True))


def code_of(text: str) -> tuple[Block, ...]:
    """Return the blocks of an answer; of one without fences, all of it, where it is a program in Python.

    Examples
    --------
    >>> [block.text for block in code_of("print(1)")], code_of("Nothing.")
    (['print(1)'], ())
    """
    if blocks := code_blocks(text):
        return blocks
    return (Block(language=PYTHON, text=text.strip("\r\n")),) if is_program(text) else ()


class Chosen(NamedTuple):
    """The code that an answer is about, and what else it has."""

    code: Block
    """All blocks of one language, with an empty line between them."""
    others: tuple[Block, ...] = ()


def choose(blocks: Sequence[Block]) -> Chosen | None:
    """Return the blocks of one language as one: of Python where there is any, else of the first; `None` for no block.

    What only shows text, such as a program's output, comes last.
    """
    if not blocks:
        return None
    languages = [block.language for block in blocks]
    programs = [language for language in languages if language not in ("", "text")]
    language = PYTHON if PYTHON in languages else (programs or languages)[0]
    own = [block for block in blocks if block.language == language]
    code = Block(
        language=language,
        text="\n\n".join(block.text for block in own),
        is_closed=all(block.is_closed for block in own),
    )
    return Chosen(code, tuple(block for block in blocks if block.language != language))


def language_of(info: str) -> str:
    """Return the language that a fence's info string names, in whichever of the usual ways; empty for none.

    Examples
    --------
    >>> [language_of(info) for info in ("Python {.line}", "{.py}", "{code-cell} ipython3", "sh title=x", "c++", "{.}")]
    ['python', 'python', 'python', 'sh', 'c++', '']
    """
    found = _NAME.match(_DIRECTIVE.sub("", info.strip()).lstrip("{. "))
    name = found[0].lower() if found else ""
    return ALIASES.get(name, name)


def syntax_tree(code: str) -> ast.Module:
    """Return the tree of a text in Python.

    Raises
    ------
    SyntaxError
        It is none, or nested so deeply that Python cannot read it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that are none: that is said when it is run
            return tree_of(code)
    except (ValueError, RecursionError, MemoryError) as error:
        raise SyntaxError(str(error) or "too deeply nested") from error


def is_program(text: str) -> bool:
    """Whether a text is Python that does something: `42`, `Yes` and `ls -la` have the syntax alone."""
    if len(text) > MOST_GUESSED_CHARS:
        return False
    try:
        tree = syntax_tree(text)
    except SyntaxError:
        return False
    return any(isinstance(node, (ast.Call, ast.Await)) or _is_deed(node) for node in ast.walk(tree))


def _is_deed(node: ast.AST) -> bool:
    # "Note: int" is an annotation.
    return isinstance(node, ast.stmt) and not isinstance(node, (ast.Expr, ast.AnnAssign))


class _Fence(NamedTuple):
    """The beginning of a block."""

    mark: str
    info: str
    column: int
    depth: int
    """Marks of quotation before it."""

    @classmethod
    def of(cls, line: str) -> _Fence | None:
        quote = _QUOTE.match(line)
        found = _FENCE.fullmatch(line, quote.end() if quote else 0)
        if found is None:
            return None
        depth = quote[0].count(">") if quote else 0
        return cls(found["mark"], found["info"], len(found["before"].expandtabs(4)), depth)

    def within(self, line: str) -> str | None:
        """Return a line without the marks of the block's quotation; `None` where it is not part of that."""
        if not self.depth:
            return line
        found = re.match(rf"(?: {{0,3}}> ?){{{self.depth}}}", line)
        return line[found.end() :] if found else None

    def is_closed_by(self, line: str) -> bool:
        bare = line.strip(" \t")
        closes = bare.startswith(self.mark) and not bare.strip(self.mark[0])
        return closes and _indent(line) <= self.column + 3


def _blocks(lines: Sequence[str], *, look_into: bool) -> Iterator[Block]:
    fence: _Fence | None = None
    code: list[str] = []
    for line in lines:
        if fence is not None:
            inner = fence.within(line)
            if inner is not None and not fence.is_closed_by(inner):
                code.append(inner)
                continue
            yield from _block(fence, code, is_closed=True, look_into=look_into)
            fence, code = None, []
            if inner is not None:
                continue
        fence = _Fence.of(line)
    if fence is not None:
        yield from _block(fence, code, is_closed=False, look_into=look_into)


def _block(fence: _Fence, lines: list[str], *, is_closed: bool, look_into: bool) -> Iterator[Block]:
    language = language_of(fence.info)
    lines = _outdented(lines, fence.column)
    if look_into and language == "markdown" and any(map(_Fence.of, lines)):
        # Of fences within these no others are looked for: they could go on without end.
        yield from _blocks(lines, look_into=False)
        return
    text = "\n".join(_without_prompts(lines, language)).rstrip()
    text = text.lstrip("\n") if text.startswith("\n") else text
    if text:
        yield Block(language=language or (PYTHON if is_program(text) else ""), text=text, is_closed=is_closed)


def _outdented(lines: list[str], column: int) -> list[str]:
    """Take the fence's indentation from its code; where the code stands further out, as much as it has."""
    first = next((line for line in lines if line.strip()), "")
    column = min(column, _indent(first))
    return [_from_column(line, column) for line in lines] if column else lines


def _indent(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip(" "))


def _from_column(line: str, column: int) -> str:
    blanks = len(line) - len(line.lstrip(" \t"))
    width = len(line[:blanks].expandtabs(4))
    return " " * (width - column) + line[blanks:] if width > column else line[blanks:]


def _without_prompts(lines: list[str], language: str) -> list[str]:
    """Return the code of a session that is shown with its prompts and outputs; other code as it is."""
    begins, prompt = SESSIONS.get(language, (None, None))
    first = next((line for line in lines if line.strip()), "")
    if begins is None or prompt is None or not begins.match(first):
        return lines
    return [line[found.end() :] for line in lines if (found := prompt.match(line))]
