"""The front end's types and checks are those of the server's shapes."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..typescript_types import files


@pytest.mark.parametrize("file", files(), ids=lambda file: file.name)
def test_what_is_made_from_the_shapes_is_fresh(file: Path) -> None:
    assert file.read_text("utf-8") == files()[file], "run python -m tests.typescript_types"
