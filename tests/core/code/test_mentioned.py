"""What of a project a question may mean, read from the question, the cells' imports and a traceback."""

import pytest

from jupyter_llmroute.core.code.mentioned import MOST_NAMES, FailedAt, Imported, failed_at, imported, named, used
from jupyter_llmroute.core.request import CellRef


def cells(*sources: str) -> list[CellRef]:
    return [CellRef(number=number, source=source) for number, source in enumerate(sources, start=1)]


@pytest.mark.parametrize(
    ("sources", "expected"),
    [
        (["import shop"], {"shop": Imported("shop", "")}),
        (["import shop.orders"], {"shop": Imported("shop", "")}),
        (["import shop.orders as so, os"], {"so": Imported("shop.orders", "")}),
        (
            ["from shop.orders import Order, load as read"],
            {"Order": ("shop.orders", "Order"), "read": ("shop.orders", "load")},
        ),
        (["%matplotlib inline\nfrom shop import Order\n!ls"], {"Order": Imported("shop", "Order")}),
        (["def f():\n    from shop import x"], {"x": Imported("shop", "x")}),
        (["from shopping import Order\nimport numpy as np\nfrom . import shop"], {}),
        (["from shop import a", "from shop.b import a"], {"a": Imported("shop.b", "a")}),
        (["from shop import (", "x = 'import shop'"], {}),
        (["%%bash\nimport shop"], {}),
    ],
)
def test_what_cells_import_from_the_project(sources: list[str], expected: dict[str, Imported]):
    assert imported(cells(*sources), {"shop"}) == expected


def test_prose_imports_nothing():
    assert imported([CellRef(number=1, source="import shop", kind="markdown")], {"shop"}) == {}


@pytest.mark.parametrize(
    ("question", "known", "expected"),
    [
        ("who calls Order.total?", (), ("Order.total",)),
        ("what does the PriceList do, and load_all()?", (), ("PriceList", "load_all")),
        ("rename `checkout` to `pay`", (), ("checkout", "pay")),
        ("what is an order?", (), ()),
        ("what is an order?", ("order",), ("order",)),
        ("see https://a.example/Order.total or mail me@shop.org", (), ()),
        ("", (), ()),
    ],
)
def test_names_of_a_question(question: str, known: tuple[str, ...], expected: tuple[str, ...]):
    assert named(question, known) == expected


def test_names_are_bounded():
    assert len(named(" ".join(f"name_{n}()" for n in range(99)), ())) == MOST_NAMES


def test_names_that_cells_use():
    assert used(["o = Order(1)", "print(x)"], {"Order", "load"}) == ("Order",)


@pytest.mark.parametrize(
    ("traceback", "expected"),
    [
        ('  File "/a/b.py", line 3, in f\n    x\n  File "/c.py", line 9, in g\n    y', [("/c.py", 9), ("/a/b.py", 3)]),
        ("File /a b/c.py:11, in f(x)\n---> 11 1/0", [("/a b/c.py", 11)]),
        ("", []),
        ("ValueError: File 'x', line 3", []),
    ],
)
def test_lines_of_a_traceback_the_innermost_first(traceback: str, expected: list[tuple[str, int]]):
    assert list(failed_at(traceback)) == [FailedAt(*each) for each in expected]
