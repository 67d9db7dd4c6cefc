"""From a line of a file to the symbol on it."""

import pytest

from jupyter_llmroute.core.code.symbol_at import symbol_at

SOURCE = '''\
"""A module."""
import os

TAX = 0.2
first = second = (
    1
)


@decorated(
    1
)
class Order:
    rate: float = 0.1

    @property
    def note(self):
        return 1

    @note.setter
    def note(self, text):
        def inner():
            local = 1
            return local
        inner()

    async def send(self): return 1

if os.name == "nt":
    def place(): return 1
else:
    def place():
        return 2

try:
    import fast
except ImportError:
    class Fast: pass

with open("x") as file:
    kept = 1

match TAX:
    case 1:
        def matched():
            pass
'''


@pytest.mark.parametrize(
    ("line", "symbol"),
    [
        (1, ""),
        (2, ""),
        (4, "TAX"),
        (6, "first"),
        (10, "Order"),
        (13, "Order"),
        (14, "Order/rate"),
        (15, "Order"),
        (16, "Order/note[0]"),
        (18, "Order/note[0]"),
        (20, "Order/note[1]"),
        (22, "Order/note[1]/inner"),
        (23, "Order/note[1]/inner"),
        (25, "Order/note[1]"),
        (27, "Order/send"),
        (29, ""),
        (30, "place[0]"),
        (33, "place[1]"),
        (38, "Fast"),
        (41, "kept"),
        (46, "matched"),
        (99, ""),
    ],
)
def test_the_innermost_symbol_is_meant(line, symbol):
    assert symbol_at(SOURCE, line) == symbol


@pytest.mark.parametrize("source", ["def f(:", "\x00", b"# coding: no-such\n"])
def test_what_does_not_parse_is_said(source):
    with pytest.raises((SyntaxError, ValueError)):
        symbol_at(source, 1)


def test_bytes_are_read_as_python_reads_them():
    assert symbol_at("# coding: latin-1\ndef été(): pass\n".encode("latin-1"), 2) == "été"
