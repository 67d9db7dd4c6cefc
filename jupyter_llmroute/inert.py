r"""Markdown from a model, made inert: it shows what it says, and runs, loads and opens nothing by itself.

JupyterLab renders the outputs of a cell that was just run as trusted, and exported pages render everything as
trusted, so raw HTML in an answer would be live. No two renderers read Markdown alike, and JupyterLab and nbconvert
cut mathematics out before they read the rest. So nothing here rests on how a renderer reads the text:

1. Every tag, image, unsafe link and start of mathematics becomes text, wherever it stands.
2. Code within a line that holds one of these is written as `<code>` with each sign as an entity.
3. A block of code that holds one is moved to the left edge, between empty lines, into a fence of tildes of its own.
   There all renderers see the same block, even those that took an earlier fence for something else.
4. Mathematics stays where it begins and ends within one paragraph, and holds nothing that could leave it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

_INVISIBLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)
"""Control, direction and tag characters: they can make a line show other than it reads, or hide a text in it."""

UNSEEN = "\N{REPLACEMENT CHARACTER}"
"""What stands in the place of each."""

_FENCE = re.compile(
    r"(?P<before>[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)*)(?P<mark>`{3,}(?=[^`]*$)|~{3,})(?P<info>.*)", re.DOTALL
)
"""Opens a block of code: a fence as CommonMark has it, however deep, also behind the marks of list items."""

_SAFE_INFO = re.compile(r"\s*(?P<language>(?!mermaid)[\w+#.,:=/()-]*)\s*", re.IGNORECASE)
"""Of a fence: it becomes an attribute, and further words become classes, of which JupyterLab's may cover the page. A
"mermaid" block is drawn by running it; nbconvert even puts it in raw."""

_QUOTED_FENCE = re.compile(
    r"(?P<before>[ \t]*(?:(?:>|[-*+]|\d{1,9}[.)])[ \t]*)*(?:`{3,}(?=[^`]*$)|~{3,}))(?P<info>.*)", re.DOTALL
)
"""One that lies within a quotation, and is read as prose here."""

_RUN = re.compile(r"`+")
_ESCAPE_OR_RUN = re.compile(r"\\.|(?P<run>`+)")

_TAG = re.compile(r"<(?=[A-Za-z/!?])")
# A bare "#" is a folder to JupyterLab.
_URL = r"(?:https?://|mailto:|#(?!\)))[^\s<>()\"'`\\$]*(?:\([^\s<>()\"'`\\$]*\)[^\s<>()\"'`\\$]*)*"
_PROSE = (
    # MathJax reads the shown text: an entity could spell one of its macros.
    (re.compile(r"&(?=#|bsol;)"), "&amp;"),
    (_TAG, "&lt;"),
    (re.compile(r"!\["), r"\\!\\["),
    # A title or a definition may go on in the next line: only the plain link stays.
    (re.compile(rf"\]\((?!{_URL}\))", re.IGNORECASE), r"]\\("),
    (re.compile(r"\]:"), r"]\\:"),
    (re.compile(r"(?<!\\)\$"), "&#36;"),
    (re.compile(r"\\\\(?=[()\[\]])(.)"), lambda found: rf"\\&#{ord(found[1])};"),
    (re.compile(r"\\(begin|end)\{"), r"\\\1&#123;"),
)
_FORMULA = (
    # TeX reads over these spaces; to Markdown the signs are text then.
    (_TAG, "< "),
    (re.compile(r"(?<=&)(?=#|bsol;)"), " "),
    (re.compile(r"(?<=[!\]])(?=[\[(:])"), " "),
    (re.compile(r"(?<=\\\\)(?=[()\[\]])"), " "),
)
_MACRO = re.compile(
    r"\\(?=(?:style|class|data)\s*[{\[%]"
    r"|(?:href|url|includegraphics|html(?:Class|Data|Id|Style)|cssId|mmlToken|require|bbox"
    r"|[egx]?def|let|futurelet|csname|(?:new|renew|provide)(?:command|environment)|DeclareMathOperator)(?![A-Za-z]))"
)
"""Of MathJax and KaTeX: they make links and styles, load, or give these another name, for the page's other formulas
too. The first few are words of ordinary paths as well."""

_MATHEMATICS = re.compile(
    r"(?<![\\$])(?:\$\$(?!\$)(?P<display>[^$\"`]+)(?<!\\)\$\$|\$(?=[^\s$])(?P<inline>[^$\"`\n]*[^$\"`\s\\])\$(?!\d))(?!\$)"
)
"""No quotation mark: JupyterLab puts formulas back without escaping it. A price is no formula."""

_BRACE = re.compile(r"\\[{}]|[{}]")
_ENVIRONMENT = re.compile(r"\\(begin|end)\{([^{}]*)\}")


def seen(text: str) -> str:
    r"""Return a text in which each control and direction character is replaced by a sign, and line ends are `\n`.

    Examples
    --------
    >>> seen("a = 1\u202e\r\nb")
    'a = 1\ufffd\nb'
    """
    return _INVISIBLE.sub(UNSEEN, re.sub(r"\r\n?", "\n", text))


def inert_markdown(text: str) -> str:
    r"""Return Markdown that shows `text` and does nothing else.

    Examples
    --------
    >>> inert_markdown("<b>hi</b> `<b>` ![x](http://a.example/b.png)")
    '&lt;b>hi&lt;/b> <code>&#60;b&#62;</code> \\!\\[x](http://a.example/b.png)'
    """
    return "\n".join(_inert_lines(seen(text).split("\n")))


_LIVE = re.compile(r"""[&<"$\\@]|(?<=\w):(?=//)|(?<=(?i:www))\.""")
"""What has a meaning within a line; the last three of what viewers make links of without being asked."""


def inert_line(text: str, limit: int = 200) -> str:
    """Return a name or a message as one line of Markdown that has no markup at all.

    Parameters
    ----------
    text
        Anything, such as the name that a server gives its model.
    limit
        Characters after which it is cut, with a mark.
    """
    line = _MACRO.sub(_broken, plain_line(text, limit))
    return _LIVE.sub(_entity, re.sub(r"([`*_{}\[\]()#+!|~^])", "\0\\1", line)).replace("\0", "\\")


def plain_line(text: str, limit: int = 200) -> str:
    """Return a name or a message as one line of plain text, without control and direction characters."""
    line = " ".join(_INVISIBLE.sub(UNSEEN, text[: limit + 1]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class _Block(NamedTuple):
    """A block of code, as it was written."""

    opening: re.Match[str]
    code: list[str]
    closed: bool

    @property
    def column(self) -> int:
        return len(self.opening["before"].expandtabs(4))

    @property
    def is_inert(self) -> bool:
        # All at once, first: an answer is read anew with each update, and nearly all code holds nothing live.
        is_code_inert = not _holds_live("\n".join(self.code)) or all(_prose(c) == c for c in self.code)
        return _SAFE_INFO.fullmatch(self.opening["info"]) is not None and is_code_inert

    def as_written(self) -> Iterator[str]:
        """Yield its lines, closed where this reading of the text closes it."""
        yield self.opening.string
        yield from self.code
        if self.closed:
            yield " " * self.column + self.opening["mark"]

    def at_the_left_edge(self) -> Iterator[str]:
        """Yield its lines where nothing around them can change what they are."""
        tildes = "~" * max(3, 1 + max((len(run) for line in self.code for run in re.findall("~{3,}", line)), default=2))
        yield tildes + _language(self.opening["info"])
        for line in self.code:
            yield line[min(self.column, len(line) - len(line.lstrip(" \t"))) :]
        yield tildes


def _language(info: str) -> str:
    """Return the language that a fence names, where it is one."""
    found = _SAFE_INFO.fullmatch(next(iter(info.split()), ""))
    return found["language"] if found else ""


def _inert_lines(lines: list[str]) -> list[str]:
    done: list[str] = []
    after_block = False
    for chunk, is_block in _chunks(lines):
        if (after_block or is_block) and done and done[-1].strip() and chunk[0].strip():
            done.append("")
        done += chunk
        after_block = is_block
    return done


def _chunks(lines: list[str]) -> Iterator[tuple[list[str], bool]]:
    """Yield inert lines, and whether they are a block that has to stand between empty lines."""
    for is_prose, parts in groupby(_parts(lines), key=lambda part: isinstance(part, str)):
        if is_prose:
            yield list(_inert_paragraphs([part for part in parts if isinstance(part, str)])), False
            continue
        for block in (part for part in parts if isinstance(part, _Block)):
            if block.is_inert:
                yield list(block.as_written()), False
                continue
            if marks := block.opening["before"].strip():
                yield [marks], False
            yield list(block.at_the_left_edge()), True


def _parts(lines: list[str]) -> Iterator[str | _Block]:
    """Yield lines of prose and blocks of code, in order."""
    opening: re.Match[str] | None = None
    code: list[str] = []
    for line in lines:
        if opening and (closes := _closes(opening, line)) is not None:
            yield _Block(opening, code, closed=True)
            opening, code = None, []
            if closes:
                continue
        if opening:
            code.append(line)
        elif not (opening := _FENCE.fullmatch(line)):
            yield line
    if opening:
        yield _Block(opening, code, closed=False)


def _closes(opening: re.Match[str], line: str) -> bool | None:
    """Say whether the line closes the block, being a fence (`True`) or not (`False`); `None`: it is code."""
    bare = line.strip(" \t")
    if not opening["before"] and not bare.startswith(opening["mark"]):
        return None
    indent = len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip(" "))
    column = len(opening["before"].expandtabs(4))
    # Lenient where a renderer is: marked takes any marks after the right ones.
    if bare.startswith(opening["mark"]) and not bare.strip("`~") and (column or indent <= 3):
        return True
    # Less indented than its fence: the list item that held the fence is over, and so is the code.
    return False if bare and indent < column else None


def _inert_paragraphs(lines: list[str]) -> Iterator[str]:
    """Yield lines of prose made inert; a formula may span them, code within them may not."""
    parts: list[str] = []
    prose: list[str] = []
    for written in lines:
        fence = _QUOTED_FENCE.fullmatch(written)
        line = fence["before"] + _language(fence["info"]) if fence else written
        end = 0
        for start, stop, size in _code_spans(line):
            code = line[start:stop]
            if _prose(code) != code:
                parts += [_inert_prose("".join((*prose, line[end:start]))), _as_html(code[size:-size])]
                prose, end = [], stop
        prose.append(line[end:] + "\n")
    yield from "".join((*parts, _inert_prose("".join(prose)))).split("\n")[:-1]


def _code_spans(line: str) -> Iterator[tuple[int, int, int]]:
    """Yield where each code span of a line begins and ends, and how many backticks stand around it."""
    starts: dict[int, list[int]] = {}
    for run in _RUN.finditer(line):
        starts.setdefault(len(run.group()), []).append(run.start())
    position = 0
    while found := _ESCAPE_OR_RUN.search(line, position):
        position = found.end()
        size = len(found["run"] or "")
        partners = starts.get(size, [])
        if (index := bisect_left(partners, position)) < len(partners):
            position = partners[index] + size
            yield found.start(), position, size


def _as_html(code: str) -> str:
    if code.strip() and code[0] == code[-1] == " ":
        code = code[1:-1]
    return f"<code>{re.sub(r'[!-/:-@[-`{-~]', _entity, code)}</code>"


def _entity(found: re.Match[str]) -> str:
    return f"&#{ord(found[0])};"


def _inert_prose(text: str) -> str:
    """Make text without code inert; its formulas stay, where they are whole."""
    parts, end = [], 0
    for found in _MATHEMATICS.finditer(text):
        if _is_whole(found["display"] or found["inline"]) and not re.search(r"\n[ \t]*\n", found[0]):
            parts += [_prose(text[end : found.start()]), _formula(found[0])]
            end = found.end()
    return "".join((*parts, _prose(text[end:])))


def _is_whole(formula: str) -> bool:
    """Say whether braces and environments are closed within a formula: renderers look for their ends beyond it."""
    depth = 0
    for found in _BRACE.finditer(formula):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if depth < 0:
            return False
    names: list[str] = []
    for kind, name in _ENVIRONMENT.findall(formula):
        if kind == "begin":
            names.append(name)
        elif not names or names.pop() != name:
            return False
    return not depth and not names


def _prose(text: str) -> str:
    for pattern, replacement in _PROSE:
        text = pattern.sub(replacement, text)
    return _MACRO.sub(_broken, text)


def _holds_live(text: str) -> bool:
    """Whether `_prose` would change the text, or more."""
    return _MACRO.search(text) is not None or any(pattern.search(text) for pattern, _ in _PROSE)


def _formula(text: str) -> str:
    for pattern, replacement in _FORMULA:
        text = pattern.sub(replacement, text)
    return _MACRO.sub(_broken, text)


def _broken(found: re.Match[str]) -> str:
    return "\\\N{WORD JOINER}"
