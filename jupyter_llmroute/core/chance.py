"""Telling what was drawn by chance, such as a key, from what somebody wrote, such as a long name.

In words, and so in names made of words, a few hundred pairs of letters stand for nearly all; by chance every pair is as
likely as any other, and letters, capitals and digits change places at every second sign.
"""

from __future__ import annotations

import itertools

WINDOW = 24
"""Letters and digits in a row that are looked at together; fewer tell nothing."""

_BIGRAMS = frozenset(
    """th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro
    ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so
    rs un lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl
    ig tu ev ld ry mp fe bl ab gh ty op wo sa ay ex ke fr oo av ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt
    oc fa ef cu rn sc gi da yo cr cl du ga qu ue ff ba ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck
    ew mu br bi pt ak pu ui rg ib tl ny ki rk ys""".split()
)
"""The 200 pairs of letters that English words are mostly made of."""

_WORD, _CHANCE, _NEITHER = "w", "c", "n"


def holds_chance(run: str) -> bool:
    """Say whether letters and digits follow one another by chance somewhere in a run of them.

    Parameters
    ----------
    run
        Letters, digits and the few signs that stand within names and encoded keys, without blanks.

    Examples
    --------
    >>> holds_chance("HistGradientBoostingClassifierWithFolds5"), holds_chance("9fQ2xLr8vTz4Kp7WmB3nYc6Jd1Hs0Ga5")
    (False, True)
    """
    marks = "".join(_mark(first, second) for first, second in itertools.pairwise(run))
    windows = (marks[start : start + WINDOW - 1] for start in range(0, max(1, len(marks) - WINDOW + 2), 4))
    return any(_is_chance(window) for window in windows)


def _is_chance(window: str) -> bool:
    words, chances = window.count(_WORD), window.count(_CHANCE)
    return chances >= 6 and words < 0.4 * (words + chances)


def _mark(first: str, second: str) -> str:
    """Tell whether two signs follow one another as in words or as by chance."""
    if not (first.isalnum() and second.isalnum()) or (first.isdigit() and second.isdigit()) or first == second:
        return _NEITHER
    if first.islower() and second.isupper():
        return _CHANCE
    is_alphabet = ord(second) - ord(first) == 1
    return _WORD if is_alphabet or (first + second).lower() in _BIGRAMS else _CHANCE
