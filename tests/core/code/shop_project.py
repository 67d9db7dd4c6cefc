"""A small project with what makes projects hard to read, in a folder with spaces and non-ASCII in its path."""

import os
import sys
from pathlib import Path

RAN = "ran.txt"
"""Made by the project's own code, were it run."""

ORDERS = '''\
"""What is ordered."""

from functools import lru_cache

RATE = 0.2
first, second = 1, 2


class Order:
    """An order of one customer.

    It has lines.
    """

    currency: str = "€"

    def __init__(self, lines):
        self.lines = lines
        self._discount = 0

    def total(self, tax: float = RATE) -> float:
        """Sum up the lines."""
        return sum(self.lines) * (1 + tax) - self.discount

    @property
    def discount(self):
        """What is taken off."""
        return self._discount

    @discount.setter
    def discount(self, value):
        self._discount = value


class Invoice:
    def total(self):
        return 0

    class Line:
        def total(self): return 1


@lru_cache(
    maxsize=3
)
def naïve_grüße(
    name: str,  # who
    *others,
) -> str:
    def inner():
        return name

    return inner()
'''

USES = """\
from .orders import Order


def bill(lines):
    order = Order(lines)
    return order.total()


class Rush(Order):
    def total(self, tax=0.0):
        return super().total(tax) + 1


def unknown(anything):
    return anything.total()
"""

HOSTILE = f"import pathlib\npathlib.Path(__file__).with_name({RAN!r}).write_text('run')\n"

FILES = {
    "pyproject.toml": '[project]\nname = "shop"\nversion = "1"\n',
    "src/shop/__init__.py": "",
    "src/shop/orders.py": ORDERS,
    "src/shop/uses.py": USES,
    "src/shop/broken.py": "class Half:\n    def whole(self):\n        return 1\n\ndef f(:\n    pass\n",
    "tests/test_orders.py": "from shop.orders import Order\n\n\ndef test_total():\n    assert Order([1]).total()\n",
    "setup.py": HOSTILE,
    "conftest.py": HOSTILE,
    "sitecustomize.py": HOSTILE,
    "usercustomize.py": HOSTILE,
    ".env": f"PYTHONSTARTUP={RAN}\n",
    ".venv/pyvenv.cfg": "home = /nowhere\n",
    ".venv/lib/thing.py": "def Order(): ...\n",
    "mine/pyvenv.cfg": "home = /nowhere\n",
    "mine/lib/thing.py": "def Order(): ...\n",
    "node_modules/gyp/gyp.py": "def Order(): ...\n",
    "build/lib/shop/orders.py": "class Order: ...\n",
    "notebooks/one.ipynb": '{"cells": []}',
}


def make(folder: Path) -> Path:
    """Write the project, and return its root."""
    root = root_of(folder)
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "outside.py").write_text("class Order: ...\n")
    if sys.platform != "win32":
        os.symlink(elsewhere, root / "src" / "linked")
        os.symlink(elsewhere / "outside.py", root / "src" / "shop" / "linked.py")
    return root


def root_of(folder: Path) -> Path:
    """Return where `make` puts the project."""
    return folder.resolve() / "größe und mehr 😀" / "the shop"


def has_run(root: Path) -> bool:
    """Whether some of the project's code was run."""
    return any(root.rglob(RAN))


def contents(root: Path) -> dict[str, bytes]:
    """Return all that is in the project, by name."""
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
