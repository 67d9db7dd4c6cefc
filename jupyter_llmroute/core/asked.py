"""Names that a question may mean: those written as code, and words that may be names of the notebook."""

from __future__ import annotations

import keyword
import re
from typing import NamedTuple

from jupyter_llmroute.core.dataflow import names_of

ENDS = 4000
"""Characters that are read at each end of a longer question: what is pasted between them rarely asks."""

MOST_CODE, MOST_WORDS = 32, 48
"""Names and words that are looked for; of more, the first."""

STOP_WORDS = frozenset(
    "a about above after again against all also always am an and any anyone anything are aren as at be because been "
    "before being below best better between both but by came can cannot cell cells come could couldn did didn do does "
    "doesn doing don done down during each either else error errors etc even ever every everything fail failed fails "
    "few find first fix for from further get gets getting give gives go goes going good got had has have having he her "
    "here hers him his how however i if in into is isn it its itself just know last less let like line lines look "
    "looks made make makes many may me mean means might more most much must my myself name need never new next no none "
    "nor not nothing notebook now of off ok on once one only or other our ours out over own per please previous put "
    "question rather really run running s same say says see seem seems she should show shows since so some something "
    "still such sure t take takes tell than thanks that the their theirs them then there these they thing this those "
    "though through to too try two under until up upon us use used uses using variable very want was way we well were "
    "what when where whether which while who whom whose why will wish with within without won work works would write "
    "wrong yes yet you your yours".split()
)
"""Words of English that stand in any question: no name is meant by them unless they are written as code.
Any other word is a name if the notebook defines it, which is evidence enough."""


class Asked(NamedTuple):
    """What a question may name, each once, in its order."""

    code: tuple[str, ...] = ()
    """Written as code is: between backticks, called, dotted, with `@`, or not as a word is written."""
    words: tuple[str, ...] = ()
    """Words that are names if the notebook has them."""
    quoted: tuple[str, ...] = ()
    """Between quotation marks, such as a column."""
    points_back: bool = False
    """Whether it speaks of the cell before it, or of what that showed."""


_SPAN = re.compile(r"```[^\n]*\n(.*?)(?:```|\Z)|`([^`\n]{1,200})`", re.S)
_ADDRESS = re.compile(r"\S{1,80}@[\w-]{1,80}\.\S+|\w{1,20}://\S+|www\.\S+")
_QUOTED = re.compile(r"(?<!\w)(?:'([^'\n]{1,60})'|\"([^\"\n]{1,60})\"|“([^”\n]{1,60})”)(?!\w)")
_WORD = re.compile(r"(?<![\w.])(@?)([^\W\d]\w*)(\(|\[|\.[^\W\d])?")
_WRITTEN_AS_CODE = re.compile(r"\w_|_\w|\d|[^\W\d_A-Z][A-Z]|[A-Z]{2}")
_BACK = re.compile(
    r"\b(?:(?:last|previous|preceding|above|prior|latest|this|that) (?:\w+ )?(?:cell|code|output|result|error|"
    r"exception|traceback|failure|warning|plot|figure|chart|graph|image|table|line|command|statement|step|number|loop)"
    r"|(?:cell|code|output|result|error|traceback|plot|figure|table) (?:above|before)|just (?:ran|run|did|executed)"
    r"|the (?:error|exception|traceback|output))\b",
    re.I,
)


def asked(question: str) -> Asked:
    """Read what a question may name.

    Examples
    --------
    >>> found = asked("why does `df` lose rows in clean_up(), what does load return?")
    >>> found.code, found.words
    (('df', 'clean_up'), ('lose', 'rows', 'load'))
    """
    if len(question) > 2 * ENDS:
        question = f"{question[:ENDS]}\n{question[-ENDS:]}"
    code: dict[str, None] = {}
    for fenced, inline in _SPAN.findall(question):
        names = names_of(fenced or inline)
        code |= dict.fromkeys(_in_order(names.uses | names.binds | names.mutates, fenced or inline))
    prose = _ADDRESS.sub(" ", _SPAN.sub(" ", question))
    quoted = {a or b or c: None for a, b, c in _QUOTED.findall(prose)}
    words: dict[str, None] = {}
    for at, word, follows in _WORD.findall(prose):
        if at or follows or (_WRITTEN_AS_CODE.search(word) or (len(word) == 1 and word.isupper() and word not in "AI")):
            code[word] = None
        elif word.lower() not in STOP_WORDS:
            words[word] = None
    for names_found in (code, words):
        for word in [word for word in names_found if keyword.iskeyword(word)]:
            del names_found[word]
    return Asked(
        tuple(code)[:MOST_CODE],
        tuple(word for word in words if word not in code)[:MOST_WORDS],
        tuple(quoted)[:MOST_CODE],
        bool(_BACK.search(prose)),
    )


def _in_order(names: frozenset[str], text: str) -> list[str]:
    return sorted(names, key=lambda name: (text.find(name), name))


_COLOUR = re.compile(r"\x1b\[[0-9;]{0,20}m")
_FAILING_LINE = re.compile(r"^(?:-+> ?\d+ |  File .*, line \d+.*\n {4})(.*)$", re.M)
"""As IPython shows it, or as Python does."""

_IN_MESSAGE = re.compile(r"'([^'\"\n]{1,60})'|\"([^'\"\n]{1,60})\"")


class Failing(NamedTuple):
    """What a traceback names."""

    lines: frozenset[str] = frozenset()
    """Names used on the lines that it points at."""
    message: tuple[str, ...] = ()
    """What its last line has between quotation marks: a name, an attribute, a key."""


def failing(traceback: str) -> Failing:
    r"""Read what a traceback names, in IPython's form.

    Examples
    --------
    >>> failing("----> 2 total(df)\n\nNameError: name 'df' is not defined").message
    ('df',)
    """
    if len(traceback) > 2 * ENDS:
        traceback = f"{traceback[:ENDS]}\n{traceback[-ENDS:]}"
    text = _COLOUR.sub("", traceback).rstrip()
    lines = (names_of(line.strip()).uses for line in _FAILING_LINE.findall(text)[:MOST_CODE])
    message = (single or double for single, double in _IN_MESSAGE.findall(text.rpartition("\n")[2]))
    return Failing(frozenset[str]().union(*lines), tuple(dict.fromkeys(message))[:MOST_CODE])
