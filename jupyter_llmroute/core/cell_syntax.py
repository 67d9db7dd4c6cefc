"""A cell as plain Python: what only IPython reads, `%magic`, `!shell` and `name?`, is put as Python of the same names.

Text in, text out; nothing is run, and nothing of IPython is needed. What comes out is for reading names, not to be run.
"""

from __future__ import annotations

import re
from typing import NamedTuple

PYTHON_BODIES = frozenset("capture debug heat ipytest lprun memit mprun mypy prun pyinstrument skip time".split())
"""Cell magics that run their body as Python of the notebook."""

PASSING_BODIES = frozenset(("timeit",))
"""Cell magics that run their body as Python and forget what it binds."""

PYTHON_LINES = frozenset("debug lprun memit mprun prun time timeit".split())
"""Line magics whose line is Python, behind options."""

PASSING_LINES = frozenset("lprun memit prun timeit".split())


class Plain(NamedTuple):
    """A cell in plain Python."""

    text: str
    is_kept: bool = True
    """Whether what it binds is there after it has run."""


_OPTIONS = re.compile(r"(?:\s*-\w+(?:[ =]{0,3}\d+)?(?=\s|$))*\s*")
_BOUND = re.compile(r"\s(?:-o|--out|--output|--err)[ =]([^\W\d]\w*)|\s([^\W\d]\w*)\s*<<")
_CAPTURED = re.compile(r"%%capture\s+(?:--?\S+\s+)*([^\W\d]\w*)")
_HANDED_IN = re.compile(r"\s(?:-i|--input)[ =]([\w,]+)")
_FILLED_IN = re.compile(r"\{\{?([^{}\n]{1,200})\}?\}|\$([^\W\d]\w*)")
_DOTTED = re.compile(r"[^\W\d][\w.]*(?<!\.)")
_ESCAPED = re.compile(r"(?P<indent>[ \t]*)(?P<target>[^\n=#'\"]{1,200}=[ \t]*)?(?P<call>%%?[^\W\d].*|!.*)")
_HELP = re.compile(r"(?P<indent>[ \t]*)(?:\?\??(?P<after>\S+)|(?P<before>[^\s#]+?)\?\??)[ \t;]*")
_PROMPT = re.compile(r"^[ \t]*(?:>>>|\.\.\.|In \[\d+\]:)(?: |$)")


def plain(source: str) -> Plain:
    r"""Return a cell as plain Python.

    Parameters
    ----------
    source
        A cell as it was written.

    Returns
    -------
    Plain
        Without the body where a cell magic makes it another language; what the magic's line binds remains.

    Examples
    --------
    >>> plain("files = !ls {folder}\n%matplotlib inline").text
    'files = (folder, )\npass'
    >>> plain("%%bash --out listing\nls").text
    'listing = 0\n'
    """
    head: list[str] = []
    text, is_kept = source.strip("\n"), True
    while text.lstrip().startswith("%%"):
        line, _, text = text.lstrip().partition("\n")
        words = line[2:].split(None, 1)
        magic = words[0] if words else ""
        head += [f"{name} = 0" for name in _bound(line)]
        head += [name for name in _handed_in(line) if name.isidentifier()]
        if magic in PASSING_BODIES:
            is_kept = False
        elif magic not in PYTHON_BODIES:
            text = ""
    lines = [*head, *_lines(text)]
    return Plain("\n".join(lines), is_kept)


def _bound(line: str) -> list[str]:
    names = [first or second for first, second in _BOUND.findall(line)]
    if captured := _CAPTURED.match(line):
        names.append(captured[1])
    return names


def _handed_in(line: str) -> list[str]:
    return [name for names in _HANDED_IN.findall(line) for name in names.split(",")]


def _lines(text: str) -> list[str]:
    lines, goes_on = [], False
    for line in text.split("\n"):
        if goes_on:  # of a magic or shell line that ended with a backslash
            goes_on = line.endswith("\\")
            continue
        line = _PROMPT.sub("", line, count=1)
        if escaped := _ESCAPED.fullmatch(line):
            goes_on = line.endswith("\\")
            line = escaped["indent"] + _python_of(escaped["target"] or "", escaped["call"])
        elif line.rstrip(" \t;").endswith("?") or line.lstrip().startswith("?"):
            line = _help(line)
        lines.append(line)
    return lines


def _python_of(target: str, call: str) -> str:
    """Put one magic or shell line as Python that has its names."""
    words = call.lstrip("%").split(None, 1)
    if call[0] == "%" and words[0] in PYTHON_LINES:
        code = _OPTIONS.sub("", words[1], count=1) if len(words) > 1 else ""
        if words[0] in PASSING_LINES or target:
            # As an expression it binds nothing.
            return f"{target}({code or 0})"
        return code or "pass"
    filled = [first or second for first, second in _FILLED_IN.findall(call)]
    names = [name for text in filled for name in _DOTTED.findall(text)[:1]]
    uses = "(" + "".join(f"{name}, " for name in names) + ")"
    if call[0] == "%" and not target:
        bound = [f"{name} = 0" for name in _bound(call)]
        return "; ".join([uses, *bound]) if names or bound else "pass"
    return f"{target}{uses}" if target or names else "pass"


def _help(line: str) -> str:
    asked = _HELP.fullmatch(line)
    if not asked:
        return line
    name = _DOTTED.fullmatch(asked["after"] or asked["before"])
    return asked["indent"] + (name[0] if name else "pass")
