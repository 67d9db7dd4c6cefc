"""What a question gets of its project's code: when it is looked into, what is meant, who answers, what is said."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jupyter_llmroute.core.cells_source import CellsSource
from jupyter_llmroute.core.classifier import classify
from jupyter_llmroute.core.code.code_source import CodeSource
from jupyter_llmroute.core.code.jedi_process import JediProcess
from jupyter_llmroute.core.context import Gathered, gather
from jupyter_llmroute.core.errors import SettingsError, UserError
from jupyter_llmroute.core.request import CellRef, Request
from jupyter_llmroute.core.sections import ContextSettings, SerenaSettings
from jupyter_llmroute.core.settings import Settings

pytestmark = pytest.mark.anyio

ORDERS = '''\
class Order:
    """What somebody buys."""

    def __init__(self, prices, count):
        self.prices, self.count = prices, count

    def total(self):
        """The sum of all prices."""
        return sum(self.prices) / self.count


def load(path):
    return Order([1, 2], 0)
'''
CART = """\
from shop.orders import Order, load


def checkout(path):
    order: Order = load(path)
    return order.total()
"""
IMPORTS = CellRef(number=1, source="from shop import Order\nfrom shop.cart import checkout")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMROUTE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    root = tmp_path / "mon café"
    (root / "src" / "shop").mkdir(parents=True)
    (root / "notebooks").mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    for name, text in {"__init__": "from shop.orders import Order\n", "orders": ORDERS, "cart": CART}.items():
        (root / "src" / "shop" / f"{name}.py").write_text(text)
    return root


@pytest.fixture
async def source() -> AsyncIterator[CodeSource]:
    """One without Serena: what it adds is tested with the real one."""
    async with CodeSource(SerenaSettings(enabled=False, budget_s=60), Settings().task_routing) as source:
        yield source


async def gathered(source: CodeSource, project: Path, question: str, *cells: CellRef, **more: object) -> Gathered:
    request = Request.model_validate(
        {"question": question, "folder": str(project / "notebooks"), "cells": cells, "with_code": True, **more}
    )
    context = await gather(request, [CellsSource(ContextSettings())])
    return await source.gather(context, classify(request, context))


async def refs(source: CodeSource, project: Path, question: str, *cells: CellRef, **more: object) -> list[str]:
    return [item.ref for item in (await gathered(source, project, question, *cells, **more)).items]


DEFINITION = "Order.total in src/shop/orders.py"
USES = "where `Order.total` is used"


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("what does Order.total return?", [DEFINITION, "type and documentation of `Order.total`"]),
        ("who calls Order.total?", [DEFINITION, USES]),
        ("rewrite `load` as a class", ["load in src/shop/orders.py"]),
        ("what is an Order?", ["Order in src/shop/orders.py"]),
        ("what is Nobody.knows?", []),
        ("hello", []),
    ],
)
async def test_what_a_question_names_is_looked_up(
    source: CodeSource, project: Path, question: str, expected: list[str]
):
    assert await refs(source, project, question, IMPORTS) == expected


async def test_unasked_only_a_symbol_of_the_project_is_a_reason_to_look(source: CodeSource, project: Path):
    unasked = {"with_code": None}
    source._settings = source._settings.model_copy(update={"enabled": True, "executable": str(project / "none")})
    assert await refs(source, project, "plot df and its load", IMPORTS, **unasked) == []
    assert await refs(source, project, "plot df of load()", IMPORTS, **unasked) == ["load in src/shop/orders.py"]
    assert await refs(source, project, "plot df of read_csv()", IMPORTS, **unasked) == []
    assert await refs(source, project, "plot what checkout() gives", IMPORTS, **unasked) == [
        "checkout in src/shop/cart.py"
    ]


async def test_where_the_user_wants_none_none_is_looked_into(source: CodeSource, project: Path):
    assert await gathered(source, project, "who calls Order.total?", IMPORTS, with_code=False) == Gathered()


async def test_a_question_without_names_means_what_the_cells_it_needs_use(source: CodeSource, project: Path):
    uses = CellRef(number=2, source="bill = checkout('a')")
    assert await refs(source, project, "is that right?", IMPORTS, uses) == ["checkout in src/shop/cart.py"]


async def test_an_error_means_the_lines_that_failed(source: CodeSource, project: Path):
    file = project / "src" / "shop" / "orders.py"
    failed = CellRef(number=2, source="checkout('a')", error=f'  File "{file}", line 9, in total\n    return\nError: x')
    for more in ({"failed_cell": 2}, {}):
        found = await refs(source, project, "why does it fail?", IMPORTS, failed, **more)
        assert found[0] == DEFINITION
    assert DEFINITION not in await refs(source, project, "what is checkout()?", IMPORTS, failed)


async def test_symbols_and_files_that_the_user_names_come_first(source: CodeSource, project: Path):
    named = {"symbols": ["load"], "files": ["src/shop/cart.py", "src/shop/orders.py:8"]}
    found = await refs(source, project, "rewrite checkout() as a class", IMPORTS, **named)
    assert found == [
        "load in src/shop/orders.py",
        "what src/shop/cart.py defines",
        DEFINITION,
        "checkout in src/shop/cart.py",
    ]


async def test_a_file_may_be_named_as_the_notebook_sees_it(source: CodeSource, project: Path):
    found = await refs(source, project, "what is in there?", files=["../src/shop/cart.py"])
    assert found == ["what src/shop/cart.py defines"]


async def test_a_file_that_does_not_parse_is_told_as_such(source: CodeSource, project: Path):
    (project / "src" / "shop" / "bad.py").write_text("def broken(:\n    pass\n")
    found = await gathered(source, project, "explain this", files=["src/shop/bad.py"])
    assert "invalid syntax" in found.items[-1].output


@pytest.mark.parametrize("line", ["0", "99999"])
async def test_a_line_that_the_file_has_not_is_refused(source: CodeSource, project: Path, line: str):
    with pytest.raises(UserError, match="lines"):
        await gathered(source, project, "what is in it?", files=[f"src/shop/cart.py:{line}"])


async def test_a_symbol_that_is_not_there_is_said(source: CodeSource, project: Path):
    found = await gathered(source, project, "what is it?", symbols=["Order.nothing"])
    assert found.items == ()
    assert "--symbol Order.nothing: the project has no such symbol" in " ".join(found.remarks)


async def test_outside_of_a_project_code_is_asked_for_in_vain_or_not_at_all(source: CodeSource, tmp_path: Path):
    alone = tmp_path / "alone"
    (alone / "notebooks").mkdir(parents=True)
    with pytest.raises(UserError, match="belongs to no project"):
        await gathered(source, alone, "who calls Order.total?")
    assert await gathered(source, alone, "who calls Order.total?", with_code=None) == Gathered()


async def test_the_workspace_that_is_set_is_the_project(project: Path, tmp_path: Path):
    settings = SerenaSettings(enabled=False, workspace=str(project))
    async with CodeSource(settings, Settings().task_routing) as source:
        assert await refs(source, tmp_path, "what is Order.total?") == [DEFINITION]
    async with CodeSource(SerenaSettings(workspace=str(project / "none")), Settings().task_routing) as source:
        with pytest.raises(SettingsError, match="workspace"):
            await gathered(source, tmp_path, "what is Order.total?")


async def test_how_to_install_serena_is_said_once_and_whenever_one_looks(project: Path):
    def request(question: str) -> Request:
        return Request(question=question, folder=str(project), with_code=True)

    async with CodeSource(SerenaSettings(executable=None), Settings().task_routing) as source:

        async def said(question: str, *, is_preview: bool = False) -> bool:
            context = await gather(request(question), [])
            found = await source.gather(context, classify(request(question), context), is_preview=is_preview)
            assert found.items
            assert found.remarks[0].startswith("Code of mon café: ast 1"), "who answered is said every time"
            return any("it is not installed" in remark for remark in found.remarks)

        assert await said("what is Order.total?", is_preview=True)
        assert [await said(f"what is {name}?") for name in ("Order.total", "`load`", "Order.total")] == [
            True,
            False,
            False,
        ]
        assert await said("what is Order.total?", is_preview=True)


async def test_without_serena_the_rest_looks_where_a_question_needs_it(source: CodeSource, project: Path):
    found = await gathered(source, project, "who calls Order.total?", IMPORTS, with_code=None)
    assert [item.ref for item in found.items] == [DEFINITION, USES]
    assert not any("Serena" in remark for remark in found.remarks)


async def test_what_answers_is_said_and_what_would_answer_better(project: Path, source: CodeSource):
    [said] = (await gathered(source, project, "what is Order.total?")).remarks
    assert said.startswith("Code of mon café: ast 1, in ")
    async with CodeSource(SerenaSettings(), Settings().task_routing) as with_serena:
        remarks = (await gathered(with_serena, project, "what is Order.total?")).remarks
    assert remarks[1:] == (
        "jedi, not Serena: it is not installed; `jupyter-llmroute serena install` brings it.",
    ) or remarks[1].startswith("jedi, not Serena: it is asleep")


async def test_a_variable_of_the_notebook_is_no_symbol_of_the_project(source: CodeSource, project: Path):
    (project / "src" / "shop" / "rates.py").write_text("rate = 3\n")
    own = CellRef(number=2, source="rate = 5")
    assert await refs(source, project, "what is `rate`?", IMPORTS) == ["rate in src/shop/rates.py"]
    assert await refs(source, project, "what is `rate`?", IMPORTS, own) == []


async def test_a_module_may_stand_before_a_symbol(source: CodeSource, project: Path):
    found = await gathered(source, project, "what is it?", symbols=["shop.orders.Order.total"])
    assert [item.ref for item in found.items][:1] == [DEFINITION]
    assert "no such symbol" not in " ".join(found.remarks)


async def test_cells_that_are_needed_are_a_reason_to_look_for_coding_alone(source: CodeSource, project: Path):
    unasked = {"with_code": None}
    source._settings = source._settings.model_copy(update={"enabled": True, "executable": str(project / "none")})
    uses = CellRef(number=2, source="bill = checkout('a')")
    assert await refs(source, project, "write a loop around the last cell", IMPORTS, uses, **unasked) == [
        "checkout in src/shop/cart.py"
    ]


async def test_where_nothing_is_named_that_is_said(source: CodeSource, project: Path):
    [said] = (await gathered(source, project, "hello")).remarks
    assert said == "Code of mon café: the question names nothing of it; --symbol or --file does."


async def test_library_frames_are_not_the_projects(source: CodeSource, project: Path):
    library = project / ".venv" / "lib" / "site-packages" / "lib.py"
    library.parent.mkdir(parents=True)
    library.write_text("def f():\n    pass\n" * 20)
    frames = [f'  File "{project}/src/shop/orders.py", line 9, in total\n    x']
    frames += [f'  File "{library}", line {line}, in f\n    y' for line in range(1, 9)]
    failed = CellRef(number=2, source="checkout('a')", error="\n".join(frames))
    assert (await refs(source, project, "why does it fail?", IMPORTS, failed, failed_cell=2))[0] == DEFINITION


async def test_the_same_question_has_the_same_bytes(project: Path, source: CodeSource):
    asked = ("who calls Order.total, load and checkout?", IMPORTS)
    first, second = [await gathered(source, project, *asked) for _ in range(2)]
    assert first.items == second.items


async def test_why_nobody_could_tell_uses_is_said(source: CodeSource, project: Path):
    code = source.project(Request(question="", folder=str(project)))
    assert code
    code.static.jedi._process = JediProcess(sys_path=[str(project)])
    found = await gathered(source, project, "who calls Order.total?", IMPORTS)
    assert [item.ref for item in found.items] == [DEFINITION]
    assert "Code intelligence: jedi is not installed" in found.remarks[-1]


async def test_who_takes_too_long_is_not_waited_for(project: Path):
    settings = SerenaSettings(enabled=False, budget_s=0.000_1)
    async with CodeSource(settings, Settings().task_routing) as source:
        found = await gathered(source, project, "who calls Order.total?", IMPORTS)
    assert found.items == ()
    assert "the time was over" in " ".join(found.remarks)
