"""Names that a question may mean, and those that a traceback gives."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.asked import ENDS, MOST_CODE, MOST_WORDS, asked, failing


@pytest.mark.parametrize(
    ("question", "code", "words"),
    [
        ("", "", ""),
        ("what is this?", "", ""),
        ("what does the load function return?", "", "load function"),
        ("why is `plot` empty?", "plot", "empty"),
        ("why is plot() empty, and df.head wrong", "plot df", "empty"),
        ("look at rows[3]", "rows", ""),
        ("explain clean_up, loadData, df2, PATH and X", "clean_up loadData df2 PATH X", "explain"),
        ("what is in @df", "df", ""),
        ("Am I right? A plan.", "", "right plan"),
        ("`model.fit(X, y)` then `Z = 1`", "model X y Z", ""),
        ("see\n```python\ntotal = sum(rows)\n```\nplease", "total sum rows", ""),
        ("mail a.b@example.org of x://df.y/z?load=1", "", "mail"),
        ("why is the column 'unit price' odd", "", "column unit price odd"),
        ("warum ist df leer", "", "warum ist df leer"),
        ("`%%bash`, ` `, ``", "", ""),
    ],
)
def test_a_question_is_read_for_names(question: str, code: str, words: str):
    found = asked(question)
    assert set(found.code) == set(code.split())
    assert " ".join(found.words) == words


@pytest.mark.parametrize(
    ("question", "quoted"),
    [
        ("column 'price', \"unit cost\" and “Größe”", ("price", "unit cost", "Größe")),
        ("it's not what it's said", ()),
    ],
)
def test_what_stands_between_quotation_marks_is_kept_whole(question: str, quoted: tuple[str, ...]):
    assert asked(question).quoted == quoted


@pytest.mark.parametrize(
    ("question", "points"),
    [
        ("what went wrong in the last cell?", True),
        ("explain the code above", True),
        ("why this error", True),
        ("what does that KeyError exception mean", True),
        ("the output is odd", True),
        ("I just ran it", True),
        ("what is the last element of rows?", False),
        ("write a function that reads a table", False),
    ],
)
def test_a_question_may_point_back(question: str, points: bool):
    assert asked(question).points_back is points


TRACEBACK = """\
\x1b[0;31m---------------------------------------------------------------------------\x1b[0m
\x1b[0;31mKeyError\x1b[0m                                  Traceback (most recent call last)
Cell \x1b[0;32mIn[5], line 2\x1b[0m
\x1b[1;32m      1\x1b[0m report(limit)
\x1b[0;32m----> 2\x1b[0m total = df[\x1b[38;5;124m'\x1b[39mprice'].sum()

File frame.py:4102, in DataFrame.__getitem__(self, key)
   4101     return self._getitem_multilevel(key)
-> 4102 indexer = self.columns.get_loc(key)

\x1b[0;31mKeyError\x1b[0m: 'price'
"""


@pytest.mark.parametrize(
    ("traceback", "lines", "message"),
    [
        ("", set(), ()),
        (TRACEBACK, {"df", "self", "key"}, ("price",)),
        ("NameError: name 'df' is not defined", set(), ("df",)),
        ("KeyError: \"['a', 'b'] not in index\"", set(), ("a", "b")),
        ("'x'\nValueError: no", set(), ()),
    ],
)
def test_a_traceback_is_read_for_names(traceback: str, lines: set[str], message: tuple[str, ...]):
    found = failing(traceback)
    assert found.lines == lines
    assert found.message == message


def test_of_a_long_question_both_ends_are_read():
    found = asked(f"why is `first` {'filler ' * ENDS} not `last`?")
    assert found.code == ("first", "last")


def test_names_and_words_are_bounded():
    found = asked(" ".join(f"word{'abcdefghij'[n % 10]}{'klmnopqrst'[n // 10]} `name{n}`" for n in range(99)))
    assert (len(found.code), len(found.words)) == (MOST_CODE, MOST_WORDS)


@given(st.text(), st.text(alphabet="'\"->0123 Errx:\n\x1b[m"))
@settings(deadline=None)
def test_any_question_and_any_traceback_is_read(question: str, traceback: str):
    found = asked(question)
    assert not set(found.code) & set(found.words)
    assert all(name in traceback for name in failing(traceback).message)
