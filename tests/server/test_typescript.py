"""The front end's types are those of the server's shapes."""

from __future__ import annotations

from ..typescript_types import FILE, typescript


def test_the_types_match_the_shapes() -> None:
    assert FILE.read_text("utf-8") == typescript(), "run python -m tests.typescript_types"
