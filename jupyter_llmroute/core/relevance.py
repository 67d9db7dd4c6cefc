"""Which cells a question needs, in which order, and why: by the flow of data, then by age.

Names come from the question, from the cell it points at, and from the last error. Each is followed back to the cell
that bound it last before it was used, to the cells that changed it since, and from these to what they use in turn.
`name_flow` does that. The same cells and the same question give the same ranking.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice, takewhile

from jupyter_llmroute.core.asked import Asked, asked, failing
from jupyter_llmroute.core.cell_ranges import references
from jupyter_llmroute.core.cell_text import Texts
from jupyter_llmroute.core.name_flow import SILENT, Flow
from jupyter_llmroute.core.ranking import Found, Ranking, Tier
from jupyter_llmroute.core.request import CellRef

MOST = 32
"""Cells that are ranked: more than a prompt holds as a rule."""

MOST_USERS, MOST_MENTIONS = 5, 4
"""Cells that are taken, newest first, because they use one name, or mention one word."""

SHORTEST_MENTION = 4
"""Letters of a word that is looked for between quotation marks, as a column's name is."""


def rank(
    cells: Sequence[CellRef],
    question: str = "",
    *,
    names: Iterable[str] = (),
    target: int | None = None,
    failed: int | None = None,
    traceback: str = "",
    most: int = MOST,
) -> Ranking:
    """Rank cells by how much a question needs them.

    Parameters
    ----------
    cells
        The cells that were run, oldest first. One whose `kind` is `"markdown"` is prose: it defines nothing, and comes
        along as the heading of what follows it.
    question
        As the user wrote it. `In[3]` and the like put a cell first; code and words in it are looked for as names.
    names
        Further names that are asked for, such as those of variables that the user attaches.
    target
        Number of the cell that is asked about; default: the last one.
    failed
        Number of the cell that the last error stands in, where the question may be about it.
    traceback
        That error's traceback, in IPython's form.
    most
        Cells that are ranked at most.

    Examples
    --------
    >>> cells = [CellRef(number=1, source="rate = 3"), CellRef(number=2, source="def net(x): return x - rate")]
    >>> [(found.cell.number, found.reason) for found in rank(cells, "what does the net function return?").relevant]
    [(2, 'defines `net`; just before'), (1, 'defines `rate`, used by In[2]')]
    """
    text = Texts(cells)
    found = Found(text, most)
    last = text.last
    looked_for = asked(question)
    error = failing(traceback)
    for reference in references(question):
        found.take(text.position(reference.number), Tier.NAMED, "named in the question", order=len(found))
    found.take(text.position(failed), Tier.FAILED, "failed last")
    pointed_at = text.position(target)
    if pointed_at is None and looked_for.points_back:
        pointed_at = last
    reason = "just before" if pointed_at == last else "pointed at"
    found.take(pointed_at, Tier.POINTED_AT, reason)
    flow = Flow(text, found)
    strange = _ask(flow, looked_for, (*names, *error.message))
    found.take(last, Tier.JUST_BEFORE, "just before")
    for word in (*strange, *looked_for.quoted):
        tier = Tier.RESEMBLES if word in SILENT else Tier.MENTIONS
        _mention(text, found, word, tier, in_quotes=word in looked_for.quoted)
    flow.follow(error.lines)
    _users(text, found, flow.asked)
    for word in looked_for.words:
        if len(word) >= SHORTEST_MENTION and word not in flow.asked:
            _mention(text, found, word, Tier.RESEMBLES, in_quotes=True)
    _headings(text, found)
    _fill(text, found)
    return found.ranking()


def _ask(flow: Flow, looked_for: Asked, further: Iterable[str]) -> list[str]:
    """Ask for all names of the question; return what is code, and no cell's name."""
    strange = [name for name in dict.fromkeys((*further, *looked_for.code)) if not flow.ask(name)]
    for word in looked_for.words:
        if not flow.ask(word, as_word=True) and word[0].isupper():
            flow.ask(word[0].lower() + word[1:], as_word=True)
    return strange


def _mention(text: Texts, found: Found, word: str, tier: Tier, *, in_quotes: bool) -> None:
    """Take the newest cells in which a word stands, or stands between quotation marks."""
    whole = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    places = (
        place
        for place in text.holding(word)
        if (text.has_quoted(place, word) if in_quotes else whole.search(text.sources[place]))
    )
    for place in islice(places, MOST_MENTIONS):
        found.take(place, tier, f"mentions `{word}`")


def _users(text: Texts, found: Found, bound: Mapping[str, int]) -> None:
    """Take the newest cells that use the names that are asked for, as they are bound now."""
    for name, origin in bound.items():
        since = takewhile(origin.__lt__, text.holding(name))
        users = (place for place in since if place not in found and name in text.names(place).uses)
        for place in islice(users, MOST_USERS):
            found.take(place, Tier.USES, f"uses `{name}`")


def _headings(text: Texts, found: Found) -> None:
    """Take the Markdown that stands right above what is taken so far."""
    if text.prose:
        for place in found.places(*(tier for tier in Tier if tier < Tier.HEADING)):
            above = next((other for other in range(place - 1, -1, -1) if other in text.prose), None)
            found.take(above, Tier.HEADING, f"heading of In[{text.cells[place].number}]")


def _fill(text: Texts, found: Found) -> None:
    """Take the newest of the other cells, until there are enough."""
    for place in reversed(range(len(text.cells))):
        if found.is_full:
            break
        if place not in found and (text.is_code(place) or place in text.prose):
            found.take(place, Tier.RECENT, "recent")
