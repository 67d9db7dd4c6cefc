"""What the real `ty` knows of cells that are nowhere saved."""

import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from jupyter_llmroute.core.code.finding import Ask, CodeQuestion, Finding, Source
from jupyter_llmroute.core.code.project import PACKAGE
from jupyter_llmroute.core.code.ty_cells import TyCells
from jupyter_llmroute.core.code.ty_notebook import MOST_CHARACTERS
from jupyter_llmroute.core.errors import CodeUnavailable

from .shop_project import contents, has_run, make, root_of

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def ty() -> Path:
    serena = os.environ.get("LLMROUTE_TEST_SERENA")
    beside = shutil.which("ty", path=str(Path(serena).parent)) if serena else None
    found = os.environ.get("LLMROUTE_TEST_TY") or beside or shutil.which("ty")
    if not found:
        required = os.environ.get("LLMROUTE_TEST_REQUIRE", "")
        stop = pytest.fail if "serena" in required or required == "all" else pytest.skip
        stop("no ty: set LLMROUTE_TEST_TY, or put it beside Serena or on PATH")
    return Path(found)


CELLS = [
    ("1", "from shop.orders import Order\nimport json\nimport numpy as np"),
    ("c/é 😀", "%matplotlib inline\nfiles = !ls {json}\n'😀'; order = Order([1]); order.total()\norder.nope()"),
    ("half \ud83d", "x = '\ud83d'"),
    (
        "3",
        'class Basket(Order):\n    """Many."""\n    @property\n    def size(self): return 1\n\n'
        'def helper(n: int) -> float:\n    """Help."""\n    return order.total()\nhelper("x")',
    ),
    ("bash", "%%bash\nls | grep (x"),
    ("ask", "%%route\nwhy is the total (in here wrong?"),
    ("4", "def other():\n    return helper(2)\nawait helper(3)\nraise ValueError(\n    1)\n"),
    ("5", "%%time\norder.total()\nget_ipython()\ndisplay(_, In[3], Out, _i1)\n1 + 1\norder == 2\norder?\nimport os"),
]


@pytest.fixture
async def cells(tmp_path: Path, ty: Path) -> AsyncIterator[TyCells]:
    async with TyCells(make(tmp_path), ty, limit_s=30) as code:
        await code.open(CELLS)
        yield code


async def ask(code: TyCells, what: Ask, name: str = "", file: str = "", line: int | None = None) -> list[Finding]:
    return list(await code.find(CodeQuestion(ask=what, name_path=name, file=file, line=line)))


DOCUMENTED = [
    ("order", "variable", "cell:c/é 😀", "order: Order"),
    ("order.total", "method", "src/shop/orders.py", "bound method Order.total(tax: float = ...) -> float"),
    ("Order/total", "method", "src/shop/orders.py", "def total("),
    ("Basket", "class", "cell:3", "class Basket(Order)\n\nMany."),
    ("size", "property", "cell:3", "def size(self)"),
    ("helper", "function", "cell:3", "def helper(n: int) -> float\n\nHelp."),
    ("json.dumps", "function", f"{PACKAGE}json", "def dumps("),
    ("len", "function", f"{PACKAGE}builtins", "def len(obj: Sized, /) -> int"),
    ("json", "module", f"{PACKAGE}json", "<module 'json'>"),
]


@pytest.mark.parametrize(("name", "kind", "file", "info"), DOCUMENTED)
async def test_the_type_of_a_name_is_told(cells: TyCells, name: str, kind: str, file: str, info: str) -> None:
    [found] = await ask(cells, Ask.DOCUMENTATION, name)
    assert (found.kind, found.file, found.source) == (kind, file, Source.TY)
    assert found.info.startswith(info)


DEFINED = [
    ("order", "", None, "order", "cell:c/é 😀", 3),
    ("Order.total", "", None, "Order/total", "src/shop/orders.py", 21),
    ("size", "", None, "Basket/size", "cell:3", 3),
    ("helper", "", None, "helper", "cell:3", 6),
    ("helper", "cell:4", None, "helper", "cell:3", 6),
    ("helper", "cell:4", 2, "helper", "cell:3", 6),
    ("", "cell:4", 1, "other", "cell:4", 1),
    ("", "cell:5", 2, "order", "cell:c/é 😀", 3),
    ("total", "cell:5", 2, "Order/total", "src/shop/orders.py", 21),
]


@pytest.mark.parametrize(("name", "file", "line", "path", "where", "first_line"), DEFINED)
async def test_a_name_is_followed_to_its_definition(
    cells: TyCells, name: str, file: str, line: int | None, path: str, where: str, first_line: int
) -> None:
    [found] = await ask(cells, Ask.DEFINITION, name, file, line)
    assert (found.name_path, found.file, found.first_line) == (path, where, first_line)
    assert path.rpartition("/")[2] in found.body


@pytest.mark.parametrize("what", [Ask.DEFINITION, Ask.DOCUMENTATION, Ask.REFERENCES, Ask.CALLERS])
@pytest.mark.parametrize("name", ["nothing", "order.nothing.at", "", "1 +"])
async def test_an_unknown_name_is_not_found(cells: TyCells, what: Ask, name: str) -> None:
    assert await ask(cells, what, name) == []


async def test_the_callers_of_a_function_are_cells_functions_in_them_and_in_the_project(cells: TyCells) -> None:
    assert [(one.file, one.first_line, one.name_path) for one in await ask(cells, Ask.CALLERS, "helper")] == [
        ("cell:3", 9, ""),
        ("cell:4", 1, "other"),
        ("cell:4", 3, ""),
    ]
    found = await ask(cells, Ask.CALLERS, "Order.total")
    assert {(one.file, one.name_path) for one in found} >= {
        ("cell:c/é 😀", ""),
        ("cell:3", "helper"),
        ("cell:5", ""),
        ("src/shop/uses.py", "bill"),
    }


async def test_uses_are_found_in_cells_and_in_the_project(cells: TyCells) -> None:
    found = await ask(cells, Ask.REFERENCES, "Order")
    places = [(one.file, one.first_line) for one in found]
    assert places[:2] == [("cell:c/é 😀", 3), ("cell:3", 1)]
    assert ("src/shop/uses.py", 5) in places
    assert not any("probe" in file or file.endswith(".ipynb") for file, _ in places)


async def test_what_is_usual_in_notebooks_is_no_mistake(cells: TyCells) -> None:
    found = await ask(cells, Ask.DIAGNOSTICS)
    assert [(one.file, one.first_line, one.kind) for one in found if "numpy" not in one.info] == [
        ("cell:c/é 😀", 4, "error"),
        ("cell:3", 9, "error"),
        ("cell:4", 3, "error"),
    ]
    assert found[-3].info == "Object of type `Order` has no attribute `nope`"
    assert found[-3].body == "order.nope()"
    assert not any("/" in one.info for one in found)


async def test_mistakes_may_be_asked_for_by_cell_line_and_symbol(cells: TyCells) -> None:
    await cells.open([("a", "def f():\n    return one\n\ndef g():\n    return two\n"), ("b", "three")])
    assert [one.first_line for one in await ask(cells, Ask.DIAGNOSTICS, file="cell:a")] == [2, 5]
    assert [one.first_line for one in await ask(cells, Ask.DIAGNOSTICS, "g")] == [5]
    assert [one.name_path for one in await ask(cells, Ask.DIAGNOSTICS, file="cell:a", line=2)] == ["f"]
    await cells.open([("a", "one\ntwo")], names=["one"])
    assert [one.first_line for one in await ask(cells, Ask.DIAGNOSTICS)] == [2]


async def test_cells_may_change_move_and_go(cells: TyCells) -> None:
    changes = [("x = 1", ["x: Literal[1]"]), ("x = 'a'", ['x: Literal["a"]']), ("def (", []), ("", [])]
    for source, told in changes:
        await cells.open([("a", source), ("b", "y = 2")])
        assert [one.info for one in await ask(cells, Ask.DOCUMENTATION, "x")] == told
        assert [one.info for one in await ask(cells, Ask.DOCUMENTATION, "y")] == ["y: Literal[2]"]
    for order in ("ab", "ba"):
        await cells.open([(cell, f"z = {cell!r}") for cell in order])
        assert [one.file for one in await ask(cells, Ask.DEFINITION, "z")] == [f"cell:{cell}" for cell in order]
        [found] = await ask(cells, Ask.DOCUMENTATION, "z")
        assert (found.file, found.info) == (f"cell:{order[-1]}", f'z: Literal["{order[-1]}"]')
    await cells.open([])
    assert await ask(cells, Ask.DEFINITION, "z") == []


async def test_a_file_of_the_project_that_changes_is_read_again(cells: TyCells, tmp_path: Path) -> None:
    await cells.open([("a", "import shop.fresh\nfrom shop.orders import Order")])
    assert await ask(cells, Ask.DIAGNOSTICS)
    root = root_of(tmp_path)
    (root / "src/shop/fresh.py").write_text("")
    (root / "src/shop/orders.py").write_text("class Order:\n    def total(self) -> str: ...\n")
    assert await ask(cells, Ask.DIAGNOSTICS) == []
    [found] = await ask(cells, Ask.DOCUMENTATION, "Order.total")
    assert "-> str" in found.info


async def test_of_a_long_notebook_the_newest_cells_are_told_and_older_names_are_known(cells: TyCells) -> None:
    filler = [(f"f{number}", "'" + "x" * 10_000 + "'") for number in range(MOST_CHARACTERS // 10_000 + 1)]
    await cells.open([("old", "import json\nold = 1"), *filler, ("new", "new = old\nnever")])
    assert [one.info for one in await ask(cells, Ask.DIAGNOSTICS)] == ["Name `never` used when not defined"]
    assert len(await ask(cells, Ask.DEFINITION, "new")) == 1
    assert await ask(cells, Ask.DEFINITION, "old", "cell:old") == []


async def test_nothing_of_the_project_is_run_or_written_and_nothing_listens(tmp_path: Path, ty: Path) -> None:
    root = make(tmp_path)
    fake = root / "evil/bin/python"
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\ntouch "$(dirname $0)/ran.txt"\n')
    fake.chmod(0o755)
    shutil.copy(fake, root / "evil/bin/python3")
    (root / "evil/pyvenv.cfg").write_text(f"home = {fake.parent}\n")
    (root / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\n[tool.ty.environment]\npython = "./evil"\n'
    )
    before = contents(root)
    async with TyCells(root, ty, limit_s=30) as code:
        await code.open([*CELLS, ("z", "import pytest, conftest, sitecustomize")])
        for what in code.asks:
            await ask(code, what, "Order")
        [found] = await ask(code, Ask.DOCUMENTATION, "pytest.raises")
        assert found.file.startswith(PACKAGE)
        assert code.pid is not None
        process = psutil.Process(code.pid)
        assert process.children(recursive=True) == []
        assert process.net_connections("inet") == []
    assert contents(root) == before
    assert not has_run(root)


async def test_it_ends_with_us_and_is_started_again(cells: TyCells) -> None:
    assert cells.pid is None
    await ask(cells, Ask.DOCUMENTATION, "order")
    first = cells.pid
    assert first is not None
    psutil.Process(first).kill()
    assert len(await ask(cells, Ask.DOCUMENTATION, "order")) == 1
    second = cells.pid
    assert second not in (None, first)
    await cells.close()
    assert cells.pid is None
    assert not psutil.pid_exists(second or 0)
    assert len(await ask(cells, Ask.DOCUMENTATION, "order")) == 1


async def test_when_idle_it_ends_and_the_next_question_is_answered(tmp_path: Path, ty: Path) -> None:
    async with TyCells(make(tmp_path), ty, limit_s=30, idle_s=0) as code:
        await code.open(CELLS)
        for _ in range(3):
            assert len(await ask(code, Ask.DOCUMENTATION, "order")) == 1


async def test_an_answer_that_takes_too_long_is_given_up_and_the_next_one_is_given(tmp_path: Path, ty: Path) -> None:
    async with TyCells(make(tmp_path), ty, limit_s=0) as code:
        await code.open(CELLS)
        with pytest.raises(CodeUnavailable, match="did not answer"):
            await ask(code, Ask.DOCUMENTATION, "order")
        code._limit_s = 30
        assert len(await ask(code, Ask.DOCUMENTATION, "order")) == 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (CodeQuestion(ask=Ask.IMPLEMENTATIONS, name_path="x"), "cannot tell 'implementations'"),
        (CodeQuestion(ask=Ask.DEFINITION, name_path="x", file="src/shop/orders.py"), "is no cell"),
        (CodeQuestion(ask=Ask.DEFINITION, name_path="x", file="cell:gone"), "is no cell"),
        (CodeQuestion(ask=Ask.DEFINITION, name_path="x"), "jupyter-llmroute serena install"),
    ],
)
async def test_what_cannot_be_answered_is_refused(tmp_path: Path, question: CodeQuestion, said: str) -> None:
    async with TyCells(tmp_path, None) as code:
        await code.open([("a", "x = 1")])
        with pytest.raises(CodeUnavailable, match=said):
            await code.find(question)


@pytest.mark.parametrize("program", [Path(sys.executable), Path("no such program")])
async def test_a_program_that_is_no_ty_is_said(tmp_path: Path, program: Path) -> None:
    async with TyCells(tmp_path, program) as code:
        await code.open([("a", "x = 1")])
        with pytest.raises(CodeUnavailable):
            await ask(code, Ask.DOCUMENTATION, "x")
        assert code.pid is None
