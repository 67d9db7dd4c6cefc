"""Cells as Python, line for line, and the places where names stand in them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.code.lsp import path_of
from jupyter_llmroute.core.code.notebook_cell import aligned, cell_symbols, first_name, places, reachable
from jupyter_llmroute.core.code.symbols import pattern

ALIGNED = [
    ("x = 1\n", "x = 1\n"),
    ("%matplotlib inline\nx", "pass\nx"),
    ("if x:\n    !ls {x}\n    y", "if x:\n    pass\n    y"),
    ("files = !ls\nout = %sql select 1", "files = None\nout = None"),
    ("!pip install \\\n  a \\\n  b\nx", "pass\n\n\nx"),
    ("x?\n??y.z\nobj.method?;", "pass\npass\npass"),
    ("%%time\nx = 1", "\nx = 1"),
    ("\n%%capture out\n%%time\nx", "\n\n\nx"),
    ("%%bash\nls | wc", "\n"),
    ("%%route\nwhy (is it so?", "\n"),
    ("x = a %b", "x = a %b"),
    ("s = 'why?'", "s = 'why?'"),
]


@pytest.mark.parametrize(("source", "expected"), ALIGNED)
def test_what_only_ipython_reads_becomes_python_on_the_same_line(source: str, expected: str) -> None:
    assert aligned(source) == expected


REACHABLE = [
    ("raise ValueError", "pass"),
    ("x = 1\nraise E(\n  1,\n)\ny = 2", "x = 1\npass\n\n\ny = 2"),
    ("exit()\nsys.exit(1)\nreturn 3", "pass\npass\npass"),
    ("if x:\n    raise E", "if x:\n    raise E"),
    ("def f():\n    return 1", "def f():\n    return 1"),
    ("x = 1; raise E", "x = 1; raise E"),
    ("%time x\nraise E", "%time x\npass"),
    ("raise E(", "raise E("),
]


@pytest.mark.parametrize(("source", "expected"), REACHABLE)
def test_what_ends_a_cell_does_not_end_the_notebook(source: str, expected: str) -> None:
    assert reachable(source) == expected


PLACES = [
    ("x = 1\nprint(x)", "x", [(1, 0), (2, 6)]),
    ("a.total()\nb.total", "total", [(1, 2), (2, 2)]),
    ("order.total()\nother.total()\nmy.order.total", "order.total", [(1, 6), (3, 9)]),
    ("class Order:\n    def total(self): ...", "Order.total", [(2, 8)]),
    ("'😀x'; x  # x", "x", [(1, 6)]),
    ("!echo x\n%timeit x\nx?", "x", []),
    ("x = (\nx", "x", [(1, 0), (2, 0)]),
    ("a .\\\n  b", "a.b", [(2, 2)]),
]


@pytest.mark.parametrize(("source", "name", "expected"), PLACES)
def test_a_name_is_met_where_it_is_one(source: str, name: str, expected: list[tuple[int, int]]) -> None:
    assert list(dict.fromkeys(places(source, pattern(name)))) == expected


def test_the_symbols_of_a_cell_keep_their_lines() -> None:
    [found] = cell_symbols("a1", "%%time\n!ls\n@cache\ndef f(): ...\n")
    assert (found.name_path, found.file, found.first_line, found.name_line) == ("f", "cell:a1", 3, 4)


def test_the_first_name_of_a_line_is_no_keyword() -> None:
    assert first_name("x\nreturn not y", 2) == (2, 11)
    assert first_name("x\n\n", 2) is None


@given(st.text(alphabet="%!?ab= \n\\'\"()\r\t#:", max_size=60))
def test_any_cell_keeps_its_number_of_lines(source: str) -> None:
    lines = source.count("\n")
    assert aligned(source).count("\n") == lines
    assert reachable(source).count("\n") == lines
    assert all(line <= lines + 1 for line, _ in places(source, pattern("a")))
    cell_symbols("x", source)


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///srv/gr%C3%B6%C3%9Fe/a%20b.py", Path("/srv/größe/a b.py")),
        ("file:///C:/shop/a.py", Path("C:/shop/a.py")),
        ("file:///c%3A/shop/a.py", Path("c:/shop/a.py")),
        ("llmroute-cell:61", None),
        ("vendored:/stdlib/builtins.pyi", None),
    ],
)
def test_an_address_names_a_file_or_none(uri: str, path: Path | None) -> None:
    assert path_of(uri) == path
