"""Which cells a question needs: small notebooks, each with a question, and the cells in the order of their need."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.cell_ranges import references
from jupyter_llmroute.core.cell_text import MOST_SEARCHED
from jupyter_llmroute.core.dataflow import LONGEST
from jupyter_llmroute.core.ranking import Ranking
from jupyter_llmroute.core.relevance import MOST, rank
from jupyter_llmroute.core.request import CellRef


class Notebook(NamedTuple):
    """Cells numbered from 1, a question, and the start of the ranking as `number: reason`."""

    cells: tuple[str, ...]
    question: str
    ranked: tuple[str, ...]
    given: Mapping[str, Any] = MappingProxyType({})


class Markdown(CellRef):
    """A cell as a notebook's file has it, which kernels do not know."""

    kind: str = "markdown"


def numbered(*sources: str) -> list[CellRef]:
    return [CellRef(number=number, source=source) for number, source in enumerate(sources, 1)]


def shown(ranking: Ranking) -> list[str]:
    return [f"{found.cell.number}: {found.reason}" for found in ranking.relevant]


MERGE = (
    "import pandas as pd\nfrom pathlib import Path",
    "orders = pd.read_csv('orders.csv')\norders.head()",
    "customers = pd.read_csv('customers.csv')",
    "import this",
    "customers['name'] = customers['name'].str.strip()",
    "print('unrelated')",
    "merged = orders.merge(customers, on='customer_id', how='left')\nlen(orders), len(merged)",
)

MODEL = (
    "from sklearn.linear_model import LogisticRegression",
    "X, y = load()",
    "X_train, X_test = X[:80], X[80:]\ny_train, y_test = y[:80], y[80:]",
    "model = LogisticRegression(C=10)",
    "model.fit(X_train, y_train)",
    "notes = 'nothing of this matters'",
    "model.score(X_test, y_test)",
)

LOADER = (
    "PATH = 'data.csv'\nSEP = ';'",
    "import csv",
    "def load():\n    with open(PATH) as lines:\n        return list(csv.reader(lines, delimiter=SEP))",
    "SEP = ','",
    "rows = load()",
    "len(rows)",
)

NOTEBOOKS = {
    "the last cell is asked about, and what it needs comes along": Notebook(
        MERGE,
        "why does the merge in the last cell duplicate rows?",
        (
            "7: just before",
            "5: changes `customers`, used by In[7]",
            "3: defines `customers`, used by In[7]",
            "2: defines `orders`, used by In[7]",
            "1: imports `pd`, used by In[2]",
            "6: recent",
            "4: recent",
        ),
    ),
    "a question of no name is about the last cell": Notebook(
        MODEL,
        "is that good?",
        (
            "7: just before",
            "5: changes `model`, used by In[7]",
            "4: defines `model`, used by In[7]",
            "3: defines `X_test`, used by In[7]; defines `y_test`, used by In[7]; defines `X_train`, used by In[5]",
            "2: defines `X`, used by In[3]; defines `y`, used by In[3]",
            "1: imports `LogisticRegression`, used by In[4]",
            "6: recent",
        ),
    ),
    "a function is found by its name as a word, with what it uses when it is called": Notebook(
        LOADER,
        "what does the load function return?",
        (
            "3: defines `load`",
            "6: just before",
            "4: defines `SEP`, used by In[3]",
            "1: defines `PATH`, used by In[3]",
            "2: imports `csv`, used by In[3]",
            "5: defines `rows`, used by In[6]",
        ),
    ),
    "what a function uses is what there was when it was called": Notebook(
        (*LOADER[:3], "rows = load()", "SEP = ','", "len(rows)"),
        "explain `rows`",
        (
            "4: defines `rows`",
            "6: just before",
            "3: defines `load`, used by In[4]",
            "1: defines `PATH`, used by In[3]; defines `SEP`, used by In[3]",
            "2: imports `csv`, used by In[3]",
            "5: recent",
        ),
    ),
    "the latest definition counts, and what made it": Notebook(
        (
            "df = make()",
            "df = df.dropna()",
            "df = other()",
            "df['b'] = 1",
            "df.head()",
            "z = 0",
        ),
        "what columns does df have?",
        (
            "3: defines `df`",
            "4: changes `df`",
            "6: just before",
            "5: uses `df`",
            "2: recent",
            "1: recent",
        ),
    ),
    "a name that is made anew of itself is followed back": Notebook(
        ("df = make()", "k = 2", "df = df.dropna()", "df = df.head(k)"),
        "why has `df` so few rows?",
        (
            "4: defines `df`; just before",
            "3: defines `df`, used by In[4]",
            "2: defines `k`, used by In[4]",
            "1: defines `df`, used by In[3]",
        ),
    ),
    "an error is answered with its cell, the key it names, and the names on its line": Notebook(
        (
            "import pandas as pd",
            "df = pd.DataFrame({'Price': [1, 2]})",
            "limit = 3",
            "def report(value):\n    print(value)",
            "report(limit)\ntotal = df['price'].sum()",
            "report('done')",
        ),
        "what is wrong?",
        (
            "5: failed last; mentions `price`",
            "6: just before",
            "2: defines `df`, used by In[5]",
            "4: defines `report`, used by In[5]",
            "3: defines `limit`, used by In[5]",
            "1: imports `pd`, used by In[2]",
        ),
        {
            "failed": 5,
            "traceback": "\x1b[0;31mKeyError\x1b[0m   Traceback (most recent call last)\n"
            "      1 report(limit)\n----> 2 total = df['price'].sum()\n\nKeyError: 'price'",
        },
    ),
    "a name that was deleted is found by its error": Notebook(
        ("frame = make()", "total = frame.sum()", "del frame", "frame.head()"),
        "please fix",
        ("4: failed last; just before", "1: defines `frame`", "3: changes `frame`", "2: uses `frame`"),
        {"failed": 4, "traceback": "----> 1 frame.head()\n\nNameError: name 'frame' is not defined"},
    ),
    "cells that are named come first, in the question's order": Notebook(
        ("a = 1", "b = 2", "c = 3", "d = a + b", "e = 0"),
        "how does Out[4] follow from In[1], and not from In[77]?",
        ("4: named in the question", "1: named in the question; defines `a`, used by In[4]", "5: just before"),
    ),
    "a cell that is pointed at, not the last one": Notebook(
        ("a = 1", "b = a + 1", "c = 9", "d = 8"),
        "explain",
        ("2: pointed at", "4: just before", "1: defines `a`, used by In[2]", "3: recent"),
        {"target": 2},
    ),
    "a column is found by its name": Notebook(
        (
            "import pandas as pd",
            "df = pd.read_csv('sales.csv')",
            "df['revenue'] = df['units'] * df['price']",
            "x = 1",
            "df.plot()",
        ),
        "why is the revenue negative?",
        (
            "5: just before",
            "3: changes `df`, used by In[5]; mentions `revenue`",
            "2: defines `df`, used by In[5]",
            "1: imports `pd`, used by In[2]",
            "4: recent",
        ),
    ),
    "an ordinary word is a name where the notebook defines it": Notebook(
        ("def plot(points):\n    draw(points)", "points = []", "x = 0", "plot(points)", "y = 0"),
        "why is the plot empty?",
        ("1: defines `plot`", "5: just before", "4: uses `plot`", "3: recent", "2: recent"),
    ),
    "words that stand in any question are no names": Notebook(
        ("a = 1", "i = 2", "it = 3", "in_ = 4", "is_ = 5"),
        "why is it that I have a list in it?",
        ("5: just before", "4: recent", "3: recent", "2: recent", "1: recent"),
    ),
    "but they are names between backticks, called, or dotted": Notebook(
        ("it = 3", "def use():\n    pass", "like = make()", "z = 0"),
        "what do `it`, use() and like.shape mean?",
        ("3: defines `like`", "2: defines `use`", "1: defines `it`", "4: just before"),
    ),
    "plots are changed by what is drawn into them": Notebook(
        (
            "import matplotlib.pyplot as plt",
            "fig, ax = plt.subplots()",
            "ax.plot([1, 2])",
            "other = 1",
            "ax.set_title('two')\nax.legend()",
            "fig",
        ),
        "why has ax no labels?",
        (
            "2: defines `ax`; defines `fig`, used by In[6]",
            "5: changes `ax`",
            "3: changes `ax`",
            "6: just before",
            "1: imports `plt`, used by In[2]",
            "4: recent",
        ),
    ),
    "magics, shells and other languages": Notebook(
        (
            "folder = 'data'",
            "files = !ls {folder}",
            "%%bash\nfiles=nothing",
            "%%time\nsizes = [len(name) for name in files]",
            "%timeit sum(sizes)",
        ),
        "what is in `sizes`?",
        (
            "4: defines `sizes`",
            "5: just before",
            "2: defines `files`, used by In[4]",
            "1: defines `folder`, used by In[2]",
            "3: recent",
        ),
    ),
    "a result is used by its number": Notebook(
        ("make()", "x = 1", "y = _1.head()", "Out[1]"),
        "explain `y`",
        ("3: defines `y`", "4: just before", "1: shows a result, used by In[3]", "2: recent"),
    ),
    "a name of a module that gives all it has": Notebook(
        ("from numpy import *", "z = 0", "table = zeros((2, 2))"),
        "what is `table`?",
        ("3: defines `table`; just before", "1: may import `zeros`, used by In[3]", "2: recent"),
    ),
    "a cell that was run again as it was counts once": Notebook(
        ("x = 1", "y = 1", "x = 1", "y = 2", "x = 1"),
        "what is x?",
        ("5: defines `x`; just before", "4: recent", "2: recent"),
    ),
    "a cell with mistakes in it is read as far as it can be": Notebook(
        ("a = 1", "total = sum(\nb = a", "c = 0"),
        "what is `b`?",
        ("2: defines `b`", "3: just before", "1: defines `a`, used by In[2]"),
    ),
    "names that are asked for besides": Notebook(
        ("df = make()", "model = fit(df)", "z = 0"),
        "is this right?",
        ("2: defines `model`", "3: just before", "1: defines `df`, used by In[2]"),
        {"names": ("model",)},
    ),
    "one branch that binds a name leaves what was there": Notebook(
        ("mode = 'slow'", "if fast():\n    mode = 'fast'", "run(mode)"),
        "explain",
        ("3: just before", "2: changes `mode`, used by In[3]", "1: defines `mode`, used by In[3]"),
    ),
}


@pytest.mark.parametrize("notebook", NOTEBOOKS.values(), ids=NOTEBOOKS.keys())
def test_the_cells_of_a_question_come_in_the_order_of_their_need(notebook: Notebook):
    ranking = rank(numbered(*notebook.cells), notebook.question, **notebook.given)
    assert shown(ranking)[: len(notebook.ranked)] == list(notebook.ranked)
    assert ranking.limits == ()


def test_what_is_not_ranked_is_said():
    cells = numbered(*(f"x{n} = {n}" for n in range(MOST + 10)))
    ranking = rank(cells, "explain")
    assert [found.cell.number for found in ranking.relevant] == list(range(MOST + 10, 10, -1))
    assert ranking.left_out == tuple(range(1, 11))


def test_markdown_comes_along_as_a_heading_and_defines_nothing():
    cells = [
        Markdown(number=0, source="# Loading\n\ndf = nothing"),
        CellRef(number=1, source="df = load()"),
        Markdown(number=0, source="# Other"),
        CellRef(number=2, source="x = 1"),
        CellRef(number=3, source="df.head()"),
    ]
    found = [(f.cell.source.split("\n")[0], f.reason) for f in rank(cells, "what is `df`?").relevant]
    assert found == [
        ("df = load()", "defines `df`"),
        ("df.head()", "just before"),
        ("# Other", "heading of In[3]"),
        ("# Loading", "heading of In[1]"),
        ("x = 1", "recent"),
    ]


@pytest.mark.parametrize(
    ("cells", "limit"),
    [
        (["df = 1\n" * LONGEST, "df"], "In[1] was not read for names: it has 140,000 characters"),
        (
            ["df = [" + "1," * 9000 + "]\n"] * 2 + ["df = df + [" + f"{'2,' * 9000}]"] * 2 + ["df"],
            "some cells were not",
        ),
        (
            ["df = 1"] + ["x = '" + "y" * 10_000 + "'"] * (MOST_SEARCHED // 10_000 + 1),
            "the cells before In[4] were not",
        ),
    ],
    ids=["a long cell", "much to parse", "much to search"],
)
def test_what_is_too_much_is_left_unread_and_said(cells: list[str], limit: str):
    ranking = rank(numbered(*cells), "what is `df`?")
    assert any(words.startswith(limit) for words in ranking.limits), ranking.limits


@pytest.mark.parametrize(
    "source",
    [
        "use(" + "df," * 6_000 + ")",
        "df" * 9_000,
        "df.a" * 4_500,
        "df[" * 6_000,
        "df == " * 3_000,
        "if df:" * 3_000,
        "@" * 19_000,
    ],
    ids=range(7),
)
def test_hostile_cells_are_ranked(source: str):
    cells = numbered("df = 1", *[source] * 40, "df")
    assert rank(cells, f"what is `df`, {source}?").relevant


@pytest.mark.parametrize("cells", [[], numbered("", "  \n")], ids=["none", "blank"])
def test_without_code_there_is_nothing_to_rank(cells: list[CellRef]):
    assert rank(cells, "why? In[1] `x`", target=1, failed=2, traceback="NameError: name 'x'").relevant == ()


LINES = st.sampled_from(
    [
        "x = 1",
        "x = x + y",
        "y['a'] = x",
        "def f(a):\n    return a + x",
        "y = f(z)",
        "z.append(y)",
        "import numpy as x",
        "from y import *",
        "%%time",
        "%%bash",
        "z = !ls {x}",
        "if y:\n    z = 1",
        "for x in z: y += x",
        "del x",
        "broken = (",
        "    indented",
        "_1 + Out[2]",
        "z?",
    ]
)
SOURCES = st.one_of(st.text(max_size=60), st.lists(LINES, max_size=5).map("\n".join))
QUESTIONS = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from("why is `x` f() z.a In[1] Out[2] Err[9] the last cell y 'x'".split()), max_size=8).map(
        " ".join
    ),
)


@given(st.lists(SOURCES, max_size=12), QUESTIONS, st.integers(0, 13), st.text(max_size=40), st.integers(0, 8))
@settings(deadline=None)
def test_any_notebook_is_ranked_and_named_cells_come_first(
    sources: list[str], question: str, number: int, traceback: str, most: int
):
    cells = numbered(*sources)
    ranking = rank(cells, question, failed=number, target=number, traceback=traceback, most=most)
    assert ranking == rank(cells, question, failed=number, target=number, traceback=traceback, most=most)

    numbers = [found.cell.number for found in ranking.relevant]
    assert all(cells[found.cell.number - 1] is found.cell and found.reason for found in ranking.relevant)
    assert sorted([*numbers, *ranking.left_out]) == [cell.number for cell in cells]
    assert len(numbers) <= most
    there = {cell.number for cell in cells if cell.source.strip()}
    named = [n for n in dict.fromkeys(reference.number for reference in references(question)) if n in there]
    assert numbers[: len(named)] == named[:most]
