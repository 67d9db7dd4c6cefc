"""How an answer holds edits: what the model is asked for, and how its text is read. Nothing is believed or looked up.

Read is, besides what is asked for, what models write all the same: the file's name in a comment, in a line above the
block, behind the language with a colon; blocks of "search" and "replace"; a whole answer wrapped in a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from jupyter_llmroute.core.attachment import Attachment
from jupyter_llmroute.core.edits.edit import (
    DeleteSymbol,
    Edit,
    InsertSymbol,
    RenameSymbol,
    ReplaceSymbol,
    Side,
    WriteFile,
)
from jupyter_llmroute.core.edits.patch import is_diff, is_search, read_diff, read_search
from jupyter_llmroute.core.edits.text_file import PYTHON, with_plain_ends
from jupyter_llmroute.core.values import Value

INSTRUCTIONS = """\
Write each change of a project file as a code block that names the file in its first line. Paths are relative to the \
project's root. Leave nothing out: never write "..." for code that stays.

To replace one function, class or method, give its whole new definition:
```python file=src/shop.py symbol=Order.total
def total(self):
    return sum(self.prices)
```
To add one beside it, write after= or before= instead of symbol=:
```python file=src/shop.py after=Order.total
def count(self):
    return len(self.prices)
```
To make a new file, give all of its text:
```python file=src/new.py
LIMIT = 3
```
To rename a symbol wherever it is used:
```edits
rename src/shop.py Order.total to grand_total
```
A block without a file name is only an example and changes nothing."""
"""Goes into the prompt where changes of files are wanted; about 200 tokens."""

HOW_TO_WRITE_CHANGES = Attachment(name="how to write changes", kind="instructions", text=INSTRUCTIONS)
"""The same, to be attached to a request."""

MOST_CHARS = 1_000_000
"""A longer answer holds no edits."""

MOST_EDITS = 100
MOST_NAMED_CHARS = 300
"""Of a file's name or a symbol's."""

_FENCE = re.compile(r"(?P<indent>[ \t]*)(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)")
_KEY = (
    r"(?P<key>file_?name|file_?path|file|path|title|symbol|name_path|function|method|insert_after|insert_before|"
    r"after|before)"
)
_VALUE = r"(?:\"(?P<double>[^\"]*)\"|'(?P<single>[^']*)'|`(?P<tick>[^`]*)`|(?P<bare>[^\s,;{}`\"']+))"
_ATTRIBUTE = re.compile(rf"(?<![\w.-]){_KEY}[ \t]*[=:][ \t]*{_VALUE}", re.IGNORECASE)
_MEANING = {
    "file": "file",
    "filename": "file",
    "filepath": "file",
    "path": "file",
    "title": "file",
    "symbol": "symbol",
    "namepath": "symbol",
    "function": "symbol",
    "method": "symbol",
    "after": "after",
    "insertafter": "after",
    "before": "before",
    "insertbefore": "before",
}
_SUFFIXES = (
    "py|pyi|pyx|toml|cfg|ini|md|rst|txt|yml|yaml|json|js|mjs|ts|tsx|jsx|css|html|sql|sh|bat|ps1|c|h|cpp|hpp|rs|go|java|"
    "r|jl|ipynb"
)
_PATH = re.compile(rf"(?:[\w@~.-]+[/\\])*[\w@.-]+\.(?:{_SUFFIXES})", re.IGNORECASE)
_NAMED_PATH = re.compile(rf"(?P<file>{_PATH.pattern})(?:(?:::|#)(?P<symbol>[A-Za-z_][\w./]*))?", re.IGNORECASE)
_COMMENT = re.compile(r"[ \t]*(?:#+|//|--|;|<!--|/\*)[ \t]*(?P<text>.*?)[ \t]*(?:-->|\*/)?[ \t]*")
_HEADING = re.compile(r"[ \t]*(?:#{1,6}[ \t]+|[-*+][ \t]+|\d{1,3}[.)][ \t]+)?(?P<text>.*?)[ \t]*:?[ \t]*")
_WORD = r"(?:\"[^\"]+\"|'[^']+'|`[^`]+`|[^\s\"'`:]+)"
_LINE_EDIT = re.compile(
    rf"[ \t]*(?:[-*+][ \t]+)?(?P<verb>rename|delete|remove):?[ \t]+(?P<file>{_WORD})"
    rf"(?:::?|[ \t#])[ \t]*(?P<symbol>{_WORD})"
    rf"(?:[ \t]+(?:to|as|->|=>|→)[ \t]+(?P<new>{_WORD}))?[ \t]*[.;]?[ \t]*",
    re.IGNORECASE,
)
_EDITS = {"edits", "edit"}
_PLAIN = {"", "text", "txt", "plaintext", "bash", "sh", "shell", "console"}
_SHOWN = {"text", "txt", "plaintext", "output", "bash", "sh", "shell", "console"}
"""What a file's name above the block is no name for: it shows what the file does."""
_DIFFS = {"diff", "patch", "udiff"}
_MARKDOWN = {"markdown", "md"}


class AnswerEdits(Value):
    """What an answer asks of files."""

    edits: tuple[Edit, ...] = ()
    """In its order."""
    problems: tuple[str, ...] = ()
    """What looked like an edit and is none, as sentences."""


class _Block(NamedTuple):
    info: str
    lines: list[str]
    above: str
    """The last line before it that is not empty."""
    is_closed: bool = True


def read_edits(answer: str) -> AnswerEdits:
    r"""Return what an answer asks of files.

    Examples
    --------
    >>> read_edits("```edits\nrename shop.py Order.total to sum\n```").edits
    (RenameSymbol(kind='rename', file='shop.py', symbol='Order.total', new_name='sum'),)
    """
    if len(answer) > MOST_CHARS:
        problem = f"The answer has {len(answer):,} characters, more than the {MOST_CHARS:,} that are read for edits."
        return AnswerEdits(problems=(problem,))
    edits: list[Edit] = []
    problems: list[str] = []
    for part in _parts(with_plain_ends(answer).split("\n"), look_into=True):
        found = _line_edit(part) if isinstance(part, str) else None
        if found is not None:
            edits.append(found)
        elif isinstance(part, _Block):
            more, wrong = _of_block(part)
            edits += more
            problems += wrong
    named = [edit for edit in edits if all(_is_sane(name) for name in _names(edit))]
    if len(named) < len(edits):
        problems.append("A change names its file or its symbol in a way that nobody can read: it was left out.")
    if len(named) > MOST_EDITS:
        problems.append(f"The answer holds {len(named)} changes: those after the first {MOST_EDITS} were left out.")
    return AnswerEdits(edits=tuple(named[:MOST_EDITS]), problems=tuple(problems[:MOST_EDITS]))


def _names(edit: Edit) -> Iterator[str]:
    for field in ("file", "symbol", "new_name"):
        if (name := getattr(edit, field, None)) is not None:
            yield name


def _is_sane(name: str) -> bool:
    return 0 < len(name) <= MOST_NAMED_CHARS and name.isprintable()


def _parts(lines: Sequence[str], *, look_into: bool) -> Iterator[str | _Block]:
    """Yield lines of prose and blocks, in order."""
    number, above = 0, ""
    while number < len(lines):
        line = lines[number]
        opening = _FENCE.fullmatch(line)
        if opening is None:
            yield line
            above = line.strip() or above
            number += 1
            continue
        end = _end(lines, number, opening)
        block = _Block(opening["info"].strip(), _outdented(lines[number + 1 : end], opening), above, end < len(lines))
        if look_into and _language(block.info) in _MARKDOWN and not _named_in(block.info):
            yield from _parts(block.lines, look_into=False)
        else:
            yield block
        number, above = end + 1, ""


def _end(lines: Sequence[str], start: int, opening: re.Match[str]) -> int:
    """Return the number of the line that closes a block; of Markdown, fences within it may open others."""
    mark = opening["mark"]
    nests = _language(opening["info"].strip()) in _MARKDOWN
    depth = 0
    for number in range(start + 1, len(lines)):
        bare = lines[number].strip()
        if not bare.startswith(mark):
            continue
        if not bare.strip(mark[0]):
            if not depth:
                return number
            depth -= 1
        elif nests and bare.lstrip(mark[0])[:1].isalpha():
            depth += 1
    return len(lines)


def _outdented(lines: Sequence[str], opening: re.Match[str]) -> list[str]:
    """Take the indentation of a fence that stands in a list from its lines, where all of them have it."""
    column = len(opening["indent"])
    inner = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    cut = column if inner >= column else 0
    return [line[cut:] if line.strip() else "" for line in lines] if cut else [*lines]


def _language(info: str) -> str:
    found = re.match(r"[\w+#-]+(?![\w+#./\\-])", info.lstrip("{. "))
    return found[0].lower() if found and not _ATTRIBUTE.match(info) else ""


def _of_block(block: _Block) -> tuple[list[Edit], list[str]]:
    language = _language(block.info)
    text = "\n".join(block.lines)
    if language in _EDITS or language in _PLAIN:
        told = [line for line in block.lines if line.strip() and not line.strip().startswith("#")]
        found = [edit for line in told if (edit := _line_edit(line)) is not None]
        if told and len(found) == len(told):
            return list(found), []
        if language in _EDITS:
            others = [line.strip()[:100] for line in told if not _line_edit(line)]
            return list(found), [f"{line!r} is no edit: it was left out." for line in others]
    named, body = _named(block)
    if language in _DIFFS or (is_diff(text) and language in _PLAIN):
        if not block.is_closed:
            return [], ["A diff has no end: the answer may be cut off, so it was left out."]
        patches, wrong = read_diff("\n".join(body), named.get("file", ""))
        return list(patches), wrong
    if "file" not in named:
        lone = next((named[key] for key in ("symbol", "after", "before") if key in named), None)
        by_info = lone is not None and _named_in(block.info)
        return [], [f"A change of {lone[:100]!r} names no file: it was left out."] if by_info and lone else []
    file = named["file"]
    if not block.is_closed:
        return [], [f"The block for {file[:100]!r} has no end: the answer may be cut off, so it was left out."]
    return _of_named(file, named, body)


def _of_named(file: str, named: dict[str, str], body: list[str]) -> tuple[list[Edit], list[str]]:
    text = "\n".join(body).strip("\n").rstrip()
    if not text.strip():
        return [], [f"The block for {file[:100]!r} is empty: it was left out."]
    if is_search(text):
        patch = read_search("\n".join(body), file)
        return ([patch], []) if patch.hunks else ([], [f"A change of {file[:100]!r} has no end: it was left out."])
    if symbol := named.get("symbol"):
        return [ReplaceSymbol(file=file, symbol=symbol, body=text)], []
    for side in Side:
        if symbol := named.get(side.value):
            return [InsertSymbol(file=file, symbol=symbol, side=side, body=text)], []
    return [WriteFile(file=file, text=text + "\n")], []


def _named(block: _Block) -> tuple[dict[str, str], list[str]]:
    """Return what a block names, and its lines without those that only name."""
    lines = list(block.lines)
    named = _named_in(block.info) or _path_in(block.info)
    while lines and (found := _named_by_comment(lines[0], named)):
        named = found | named
        del lines[0]
    is_shown = _language(block.info) in _SHOWN
    return named or ({} if is_shown else _named_above(block.above)), lines


def _named_in(text: str) -> dict[str, str]:
    named: dict[str, str] = {}
    for found in _ATTRIBUTE.finditer(text):
        value = next(value for value in found.group("double", "single", "tick", "bare") if value is not None)
        key = found["key"].lower().replace("_", "")
        # Of others a title may be anything.
        if key != "title" or _PATH.search(value):
            named.setdefault(_MEANING[key], value.strip())
    if "file" in named and (split := _NAMED_PATH.fullmatch(named["file"])) and split["symbol"]:
        named = {"file": split["file"], "symbol": split["symbol"]} | {k: v for k, v in named.items() if k != "file"}
    return named


def _path_in(info: str) -> dict[str, str]:
    """Return the file that an info string names without saying so: `python:src/shop.py`, `src/shop.py`."""
    words = re.sub(r"^\{?\.?[\w+#-]+:(?=\S)", "", info.strip()).strip("{}").split()
    for word in words:
        if found := _NAMED_PATH.fullmatch(word.strip("`'\"()[],:")):
            return {key: value for key, value in found.groupdict().items() if value}
    return {}


def _named_by_comment(line: str, known: dict[str, str]) -> dict[str, str]:
    comment = _COMMENT.fullmatch(line)
    if comment is None or not comment["text"]:
        return {}
    text = comment["text"]
    rest = _ATTRIBUTE.sub("", text).strip(" \t,;|-()")
    if not rest and (named := _named_in(text)) and not named.keys() & known.keys():
        return named
    bare = _NAMED_PATH.fullmatch(text.strip("`'\"*: "))
    if bare and ("file" not in known or known["file"] == bare["file"]):
        return {key: value for key, value in bare.groupdict().items() if value}
    return {}


def _named_above(line: str) -> dict[str, str]:
    """Return the file that the line above a block names, where it says nothing else."""
    heading = _HEADING.fullmatch(line)
    text = heading["text"].strip("*_`: ") if heading else ""
    text = re.sub(r"^(?:new )?(?:file|filename|path)\b[*_`]*:?[*_`: ]*", "", text, flags=re.IGNORECASE).strip("*_`: ")
    found = _NAMED_PATH.fullmatch(text)
    return {key: value for key, value in found.groupdict().items() if value} if found else {}


def _line_edit(line: str) -> RenameSymbol | DeleteSymbol | None:
    if len(line) > 4 * MOST_NAMED_CHARS:
        return None
    found = _LINE_EDIT.fullmatch(line)
    if found is None:
        return None
    file, symbol, new = ((found[key] or "").strip("\"'`").rstrip(".,;") for key in ("file", "symbol", "new"))
    if not file.endswith(PYTHON) or (found["verb"].lower() == "rename") != bool(new):
        return None
    return RenameSymbol(file=file, symbol=symbol, new_name=new) if new else DeleteSymbol(file=file, symbol=symbol)
