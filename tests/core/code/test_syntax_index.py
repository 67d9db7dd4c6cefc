"""What `ast` knows of a project: symbols, their bodies, and what does not parse."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.source_file import Unreadable, decode, parse
from jupyter_llmroute.core.code.symbols import pattern, symbols_of
from jupyter_llmroute.core.code.syntax_index import MOST_FOUND, SyntaxIndex
from jupyter_llmroute.core.errors import CodeUnavailable

from .shop_project import ORDERS, contents, has_run, make

NOBODY = 65534
"""The user of no files, on most systems."""

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def shop(tmp_path: Path) -> SyntaxIndex:
    return SyntaxIndex(make(tmp_path))


async def ask(index: SyntaxIndex, what: Ask, name: str = "", file: str = "", line: int | None = None) -> list[Finding]:
    return list(await index.find(CodeQuestion(ask=what, name_path=name, file=file, line=line)))


NAMED = [
    ("Order", [("Order", "class", 9, 32)]),
    ("Order.total", [("Order/total", "method", 21, 23)]),
    ("Order/total", [("Order/total", "method", 21, 23)]),
    ("/Order/total", [("Order/total", "method", 21, 23)]),
    ("shop.orders.Order.total", [("Order/total", "method", 21, 23)]),
    ("orders.Order.total()", [("Order/total", "method", 21, 23)]),
    ("Line.total", [("Invoice/Line/total", "method", 40, 40)]),
    ("/Line/total", []),
    ("discount", [("Order/discount[0]", "property", 25, 28), ("Order/discount[1]", "property", 30, 32)]),
    ("Order.discount[1]", [("Order/discount[1]", "property", 30, 32)]),
    ("discount[2]", []),
    ("RATE", [("RATE", "constant", 5, 5)]),
    ("second", [("second", "variable", 6, 6)]),
    ("currency", [("Order/currency", "variable", 15, 15)]),
    ("naïve_grüße", [("naïve_grüße", "function", 43, 53)]),
    ("inner", [("naïve_grüße/inner", "function", 50, 51)]),
    ("orders", []),
    ("lines", []),
    ("", []),
    ("a b", []),
    ("Order..total", []),
    ("../Order", []),
]


@pytest.mark.parametrize(("name", "expected"), NAMED)
async def test_a_name_path_means_these_symbols(
    shop: SyntaxIndex, name: str, expected: list[tuple[str, str, int, int]]
) -> None:
    found = [one for one in await ask(shop, Ask.DEFINITION, name) if one.file == "src/shop/orders.py"]
    assert [(one.name_path, one.kind, one.first_line, one.last_line) for one in found] == expected
    lines = ORDERS.split("\n")
    assert [one.body for one in found] == ["\n".join(lines[first - 1 : last]) for _, _, first, last in expected]
    assert {one.source for one in found} <= {Source.AST}


async def test_one_method_name_in_several_classes_is_found_in_each_by_file_then_line(shop: SyntaxIndex) -> None:
    found = await ask(shop, Ask.DEFINITION, "total")
    assert [(one.file.rpartition("/")[2], one.name_path) for one in found] == [
        ("orders.py", "Order/total"),
        ("orders.py", "Invoice/total"),
        ("orders.py", "Invoice/Line/total"),
        ("uses.py", "Rush/total"),
    ]


@pytest.mark.parametrize(
    ("line", "name"),
    [(9, "Order"), (23, "Order/total"), (43, "naïve_grüße"), (51, "naïve_grüße/inner"), (5, "RATE"), (1, "")],
)
async def test_a_line_means_the_innermost_symbol_around_it(shop: SyntaxIndex, line: int, name: str) -> None:
    found = await ask(shop, Ask.DEFINITION, file="src/shop/orders.py", line=line)
    assert [one.name_path for one in found] == [name] * bool(name)


async def test_an_overview_tells_signatures_and_no_bodies(shop: SyntaxIndex) -> None:
    found = await ask(shop, Ask.OVERVIEW, file="src/shop/orders.py")
    told = {one.name_path: one.info for one in found}
    assert told["Order"] == "class Order — An order of one customer."
    assert told["Order/total"] == "def total(self, tax: float = RATE) -> float — Sum up the lines."
    assert told["Invoice/Line/total"] == "def total(self)"
    assert told["naïve_grüße"] == "def naïve_grüße(name: str, *others) -> str"
    assert "naïve_grüße/inner" not in told
    assert not any(one.body for one in found)


async def test_an_overview_may_be_of_one_class(shop: SyntaxIndex) -> None:
    found = await ask(shop, Ask.OVERVIEW, "Invoice", "src/shop/orders.py")
    assert [one.name_path for one in found] == ["Invoice", "Invoice/total", "Invoice/Line", "Invoice/Line/total"]


async def test_documentation_is_signature_and_docstring(shop: SyntaxIndex) -> None:
    [found] = await ask(shop, Ask.DOCUMENTATION, "Order")
    assert found.info == "class Order\n\nAn order of one customer.\n\nIt has lines."
    [found] = await ask(shop, Ask.DOCUMENTATION, "Order.total")
    assert found.info == "def total(self, tax: float = RATE) -> float\n\nSum up the lines."


async def test_a_file_that_does_not_parse_is_left_out_and_said(shop: SyntaxIndex) -> None:
    assert await ask(shop, Ask.DEFINITION, "Half") == []
    assert list(shop.left_out) == ["src/shop/broken.py"]
    with pytest.raises(CodeUnavailable, match=r"broken\.py' cannot be read as Python \(line 5"):
        await ask(shop, Ask.DEFINITION, "Half", "src/shop/broken.py")


@pytest.mark.parametrize("file", ["src/shop/broken.py", ""])
async def test_diagnostics_are_syntax_errors(shop: SyntaxIndex, file: str) -> None:
    [found] = await ask(shop, Ask.DIAGNOSTICS, file=file)
    assert (found.file, found.kind, found.first_line, found.body) == ("src/shop/broken.py", "error", 5, "def f(:")
    assert found.info.startswith("SyntaxError: ")


@pytest.mark.parametrize("file", ["../elsewhere/outside.py", "src/shop", "notebooks/one.ipynb", "no.py", "cell:a"])
async def test_a_file_that_is_none_of_the_projects_is_refused(shop: SyntaxIndex, file: str) -> None:
    with pytest.raises(CodeUnavailable, match="no Python file of the project"):
        await ask(shop, Ask.OVERVIEW, file=file)


@pytest.mark.parametrize("what", [Ask.REFERENCES, Ask.CALLERS, Ask.IMPLEMENTATIONS])
async def test_what_ast_cannot_tell_is_refused(shop: SyntaxIndex, what: Ask) -> None:
    assert what not in shop.asks
    with pytest.raises(CodeUnavailable, match="install Serena"):
        await ask(shop, what, "Order")


async def test_a_change_a_new_file_and_a_removed_one_are_noticed(shop: SyntaxIndex) -> None:
    assert len(await ask(shop, Ask.DEFINITION, "Order")) == 1
    path = shop.root / "src/shop/orders.py"
    path.write_text("# moved\n\n" + path.read_text("utf-8"), "utf-8")
    (shop.root / "new.py").write_text("class Order: ...\n")
    found = await ask(shop, Ask.DEFINITION, "Order")
    assert [(one.file, one.first_line) for one in found] == [("new.py", 1), ("src/shop/orders.py", 11)]
    (shop.root / "new.py").unlink()
    assert len(await ask(shop, Ask.DEFINITION, "Order")) == 1


async def test_nothing_of_the_project_is_run_or_written(shop: SyntaxIndex) -> None:
    before = contents(shop.root)
    for what in shop.asks:
        for name in ("Order", "total"):
            await ask(shop, what, name, "src/shop/orders.py")
    assert await shop.names() >= {"Order", "total", "inner"}
    assert contents(shop.root) == before
    assert not has_run(shop.root)


async def test_without_time_nothing_is_found_and_how_much_was_not_read_is_known(tmp_path: Path) -> None:
    index = SyntaxIndex(make(tmp_path), limit_s=-1)
    assert await ask(index, Ask.DEFINITION, "Order") == []
    assert index.unread > 0


async def test_a_name_that_many_have_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("".join(f"class C{n}:\n    def get(self): ...\n" for n in range(2 * MOST_FOUND)))
    assert len(await ask(SyntaxIndex(tmp_path), Ask.DEFINITION, "get")) == MOST_FOUND


ENCODED = [
    ("plain", "näme = 1\n".encode(), "näme"),
    ("byte order mark", b"\xef\xbb\xbf" + "näme = 1\n".encode(), "näme"),
    ("latin-1", "# -*- coding: latin-1 -*-\nnäme = 1\n".encode("latin-1"), "näme"),
    ("cp1251", "# vim: set fileencoding=cp1251 :\nимя = 1\n".encode("cp1251"), "имя"),
    ("carriage returns", b"a = 1\r\nname = 2\rlast = 3\n", "name"),
    ("form feed", b"a = 1\n\x0c\nname = '\x1c\xe2\x80\xa8'\n", "name"),
]


@pytest.mark.parametrize(("data", "name"), [case[1:] for case in ENCODED], ids=[case[0] for case in ENCODED])
async def test_a_file_is_decoded_as_python_does(tmp_path: Path, data: bytes, name: str) -> None:
    (tmp_path / "a.py").write_bytes(data)
    [found] = await ask(SyntaxIndex(tmp_path), Ask.DEFINITION, name)
    assert found.body.startswith(name)


UNREADABLE = [
    b"name = '\xe9'\n",
    b"# coding: no-such-thing\nname = 1\n",
    b"# coding: rot13\nname = 1\n",
    b"\xef\xbb\xbf# coding: latin-1\nname = 1\n",
    b"name = 1\x00\n",
    b"name = " + b"(" * 5000 + b")" * 5000,
    b"name = " + b"-" * 100_000 + b"1",
]


@pytest.mark.parametrize("data", UNREADABLE)
async def test_what_cannot_be_read_is_left_out_and_the_rest_is_found(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "odd.py").write_bytes(data)
    (tmp_path / "well.py").write_text("name = 1\n")
    index = SyntaxIndex(tmp_path)
    assert [one.file for one in await ask(index, Ask.DEFINITION, "name")] == ["well.py"]
    assert list(index.left_out) == ["odd.py"]


@pytest.mark.parametrize("text", ["a = '\\d'", 'a = "\\\\d\\d"', "a = 1or 2", "a = b'\\400\\N'", "a = '\\777'"])
def test_parsing_warns_of_nothing(text: str) -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        parse(text)
    assert not [warning for warning in heard if r"\d" in str(warning.message) or "literal" in str(warning.message)]


@given(st.text(alphabet="abn(){}[]:,.=@'\"\\#\n\t 01défclsxyz\x0c\r\0\ud83d", max_size=80))
def test_any_text_has_symbols_or_a_reason_why_not(text: str) -> None:
    found, reason = (), ""
    try:
        found = symbols_of(decode(text.encode("utf-8", "surrogatepass")), "a.py")
    except Unreadable as error:
        reason = str(error) or "none"
    assert reason != "none"
    assert all(1 <= symbol.first_line <= symbol.name_line <= symbol.last_line for symbol in found)
    assert all(pattern(f"/{symbol.name_path}").matches(symbol) for symbol in found)


@given(st.text(max_size=30))
def test_any_name_path_can_be_asked_for(text: str) -> None:
    [symbol] = symbols_of("x = 1", "a.py")
    assert pattern(text).matches(symbol) in (True, False)


@pytest.fixture
def folder_of_others() -> Iterator[Path]:
    """A folder that anybody may look into, seen by somebody who may not read everything."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        os.seteuid(user or NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)


@pytest.mark.skipif(os.name == "nt", reason="a file's mode keeps nobody out there")
async def test_a_file_that_may_not_be_read_is_left_out_and_said(folder_of_others: Path) -> None:
    user = os.geteuid()
    os.seteuid(os.getuid())
    (folder_of_others / "a.py").write_text("name = 1\n")
    (folder_of_others / "a.py").chmod(0)
    os.seteuid(user)
    index = SyntaxIndex(folder_of_others)
    assert await ask(index, Ask.DEFINITION, "name") == []
    assert list(index.left_out) == ["a.py"]
