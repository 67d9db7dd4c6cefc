"""Markdown from a model, made inert: it shows what it says, and runs, loads and opens nothing by itself.

JupyterLab renders the outputs of a cell that was just run as trusted, and exported pages render everything as
trusted, so raw HTML in an answer would be live. Here every `<` that could open a tag becomes text, every image
becomes its source, and every link whose target is not a plain web address becomes text. Code is left alone, but
only where no reading of the Markdown can take it for anything else; in doubt, the text is escaped.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import groupby

# A fence as CommonMark has it. Deeper indentation may mean something else, so it does not count.
_FENCE = re.compile(r"(?P<indent> {0,3})(?P<mark>`{3,}(?=[^`]*$)|~{3,})")
_RUN = re.compile(r"`+")
_ESCAPE_OR_RUN = re.compile(r"\\.|(?P<run>`+)")
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_IMAGE = re.compile(r"!(?=\[)")
_LINK = re.compile(r"\](?P<open>\(|:)(?!\s*<?(?:https?://|mailto:|#)[^\s<>]*)")
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
"""Control and direction characters: they can make a line show other than it reads."""


def inert_markdown(text: str) -> str:
    r"""Return Markdown that shows `text` and does nothing else.

    Examples
    --------
    >>> inert_markdown("<b>hi</b> `<b>` ![x](http://a.example/b.png)")
    '&lt;b>hi&lt;/b> `<b>` \\!\\[x](http://a.example/b.png)'
    """
    return "\n".join(_inert_lines(_INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text).split("\n")))


def inert_line(text: str, limit: int = 200) -> str:
    """Return a name or a message as one line of Markdown that has no markup at all.

    Parameters
    ----------
    text
        Anything, such as the name that a server gives its model.
    limit
        Characters after which it is cut, with a mark.
    """
    line = " ".join(plain_line(text, limit).split())
    return re.sub(r"([\\`*_{}\[\]()#+!|~$^])", r"\\\1", line).replace("&", "&amp;").replace("<", "&lt;")


def plain_line(text: str, limit: int = 200) -> str:
    """Return a name or a message as one line of plain text, without control and direction characters."""
    line = " ".join(_INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text[: limit + 1]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _inert_lines(lines: list[str]) -> Iterator[str]:
    fence: re.Match[str] | None = None
    open_lines: list[str] = []
    for line in lines:
        if fence is None and (fence := _FENCE.match(line)):
            yield from _inert_blocks(open_lines)
            open_lines = []
            yield line
        elif fence is None:
            open_lines.append(line)
        elif _closes(fence, line):
            fence = None
            yield line
        elif line.strip() and not line.startswith(fence["indent"]):
            # Less indented than its fence: the list item that held the fence is over, and so is the code.
            fence = None
            open_lines.append(line)
        else:
            yield line
    yield from _inert_blocks(open_lines)


def _closes(fence: re.Match[str], line: str) -> bool:
    bare = line.strip(" ")
    return (
        set(bare) == {fence["mark"][0]} and len(bare) >= len(fence["mark"]) and len(line) - len(line.lstrip(" ")) <= 3
    )


def _inert_blocks(lines: list[str]) -> Iterator[str]:
    """Treat lines block by block: code spans never reach over an empty line."""
    for is_empty, block in groupby(lines, key=lambda line: not line.strip()):
        group = list(block)
        # Where each line closes the spans that it opens, every division of the block into paragraphs, items and
        # headings reads the same spans. Elsewhere no span is trusted.
        spans = [_code_spans(line) for line in group]
        trusted = not is_empty and all(found is not None for found in spans)
        for line, found in zip(group, spans, strict=True):
            yield _inert_around(line, found or ()) if trusted else _inert_prose(line)


def _code_spans(line: str) -> list[tuple[int, int]] | None:
    """Return where the code spans of a line begin and end; `None` when a run of backticks in it has no partner."""
    if "`" not in line:
        return []
    starts: dict[int, list[int]] = {}
    for run in _RUN.finditer(line):
        starts.setdefault(len(run.group()), []).append(run.start())
    spans: list[tuple[int, int]] = []
    position = 0
    while found := _ESCAPE_OR_RUN.search(line, position):
        position = found.end()
        if found["run"]:
            partners = starts.get(len(found["run"]), [])
            index = bisect_left(partners, position)
            if index == len(partners):
                return None
            position = partners[index] + len(found["run"])
            spans.append((found.start(), position))
    return spans


def _inert_around(line: str, spans: Iterable[tuple[int, int]]) -> str:
    parts, end = [], 0
    for start, stop in spans:
        if "|" not in line[start:stop]:  # a table's cells end at a bar, within code too
            parts += [_inert_prose(line[end:start]), line[start:stop]]
            end = stop
    return "".join((*parts, _inert_prose(line[end:])))


def _inert_prose(text: str) -> str:
    text = _TAG.sub("&lt;", text)
    text = _IMAGE.sub(r"\\!\\", text)
    return _LINK.sub(r"]\\\g<open>", text)
