"""A glance at a cell sees no less than parsing it tells, and most of the time no more."""

import pytest

from jupyter_llmroute.core.cell_text import Glance, Texts, glance
from jupyter_llmroute.core.dataflow import names_of
from jupyter_llmroute.core.request import CellRef

from .test_dataflow import FUNCTIONS, IPYTHON, PYTHON

BINDS, CHANGES, USES = Glance.MAY_BIND, Glance.MAY_CHANGE, Glance.USES

LINES = [
    ("df = 1", BINDS),
    ("a = df = 1", BINDS),
    ("a, df = 1, 2", BINDS),
    ("(df, a) = 1, 2", BINDS),
    ("df: int = 1", BINDS),
    ("use(df := 1)", BINDS),
    ("x = 1; df = 2", BINDS),
    ("for a, df in x:", BINDS),
    ("with a as df:", BINDS),
    ("import df", BINDS),
    ("from a import (\n    b,\n    df,\n)", BINDS),
    ("from a import b, \\\n    df", BINDS),
    ("def df():", BINDS),
    ("df <<= 1", BINDS),
    ("df['a'] = 1", CHANGES),
    ("df.loc[df['a'] > 3, 'b'] = f(x=1)", CHANGES),
    ("df[a == 1] = 2", CHANGES),
    ("df.pop('a')", CHANGES),
    ("df.drop(a, inplace=True)", CHANGES),
    ("df.set_title(1)", CHANGES),
    ("df.add_(1)", CHANGES),
    ("shuffle(df)", CHANGES),
    ("add(1, out=df)", CHANGES),
    ("del df", CHANGES),
    ("df.head()", USES),
    ("x = df", USES),
    ("x = df.a + df['b']", USES),
    ("plot(df, x='a', y='b')", USES),
    ("df.set_index('a')", USES),
    ("if df == 1 or df != 2 or df <= 3:", USES),
    ("x.df = 1", USES),
    ("dfs = 1", USES),
    ("a_df = 1", USES),
    ("print(df['a'], sep='')", USES),
    ("x = f(b=1); df['a'] = 2", CHANGES),
]


@pytest.mark.parametrize(("source", "seen"), LINES, ids=[source for source, _ in LINES])
def test_a_glance_tells_what_may_bind_and_change_a_name(source: str, seen: Glance):
    assert glance(source, "df") == seen


SOURCES = [*(source for source, _ in (*PYTHON, *IPYTHON)), *(source for source, *_ in FUNCTIONS)]


@pytest.mark.parametrize("source", [source for source in SOURCES if "case" not in source])
def test_a_glance_sees_no_less_than_parsing_tells(source: str):
    names = names_of(source)
    assert all(glance(source, name) == BINDS for name in names.binds - {"*"})
    assert all(glance(source, name) != USES for name in names.mutates)


def test_cells_are_found_newest_first_by_text_before_a_place():
    texts = Texts([CellRef(number=n, source=source) for n, source in enumerate(["x", "y", "", "x y", "x"], 1)])
    assert list(texts.holding("x")) == [4, 3, 0]
    assert list(texts.holding("x", 3)) == [0]
    assert list(texts.holding("z")) == []
    assert texts.last == 4
    assert [texts.position(number) for number in (1, 3, 9, None)] == [0, None, None, None]
