"""A small project in all the ways in which a file's bytes can be odd, and editors that do harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

SHOP = '''\
"""A shop."""


class Order:
    """What somebody buys."""

    def __init__(self, prices):
        self.prices = prices

    def total(self):
        return sum(self.prices)

    @property
    def count(self):
        return len(self.prices)


def cheapest(order):
    return min(order.prices)
'''
USES = """\
from shop import Order


def pay(prices):
    order = Order(prices)
    return order.total()
"""
NOTEBOOK = '{"cells": [{"cell_type": "code", "source": ["Order([1]).total()\\n"]}], "nbformat": 4}\n'

NEW_TOTAL = "def total(self):\n    return round(sum(self.prices), 2)"


def make_shop(root: Path) -> Path:
    """Write the project and return its root."""
    root.mkdir(parents=True)
    (root / "shop.py").write_bytes(SHOP.encode())
    (root / "uses.py").write_bytes(USES.encode())
    (root / "tour.ipynb").write_bytes(NOTEBOOK.encode())
    (root / "crlf.py").write_bytes(b"def f():\r\n    return 1\r\n")
    (root / "latin.py").write_bytes("# -*- coding: latin-1 -*-\ndef f():\n    return 'café'\n".encode("latin-1"))
    (root / "emoji.py").write_bytes("def tgt():\n    return '😀', tgt\n".encode())
    (root / "mixed.py").write_bytes(b"def f():\r\n    return 1\n\n\ndef g():\r\n    return 2\n")
    (root / "bom.py").write_bytes(b"\xef\xbb\xbfdef f():\n    return 1\n")
    (root / "broken.py").write_bytes(b"def f(:\n    return 1\n")
    (root / "pyproject.toml").write_bytes(b"[project]\nname = 'shop'\n")
    (root / "data.bin").write_bytes(bytes(range(256)))
    return root


def all_bytes(root: Path) -> dict[str, tuple[bytes | str, int]]:
    """Return everything below a folder: bytes and permissions, and where links lead."""
    found: dict[str, tuple[bytes | str, int]] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = (os.readlink(path), 0)
        else:
            found[name] = (path.read_bytes() if path.is_file() else "folder", path.stat().st_mode & 0o777)
    return found


class Doing:
    """An editor that does to the files whatever it was made with, whichever change it is asked for."""

    def __init__(self, deed: Callable[[], object]) -> None:
        self._deed = deed

    async def replace_body(self, file: str, name_path: str, body: str) -> None:
        self._deed()

    async def insert_after(self, file: str, name_path: str, body: str) -> None:
        self._deed()

    async def insert_before(self, file: str, name_path: str, body: str) -> None:
        self._deed()

    async def rename(self, file: str, name_path: str, new_name: str) -> None:
        self._deed()

    async def safe_delete(self, file: str, name_path: str) -> None:
        self._deed()


def swap(path: Path, old: str, new: str, encoding: str = "utf-8", newline: str = "\n") -> None:
    """Write a file as an editor does that knows one encoding and one line end."""
    raw = path.read_bytes()
    text = raw.decode("utf-8") if encoding == "utf-8" else raw.decode(encoding)
    text = text.replace("\r\n", "\n").replace(old, new).replace("\n", newline)
    path.write_bytes(text.encode("utf-8"))
