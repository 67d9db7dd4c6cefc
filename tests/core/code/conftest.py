"""What tests of code intelligence share: a fake Serena that is found and started as the real one is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FAKE = Path(__file__).parents[2] / "code_servers" / "fake_serena.py"
DATA = Path(__file__).parents[2] / "data" / "serena"


@dataclass(frozen=True)
class Fake:
    """One fake Serena."""

    executable: Path
    asked: Path

    def messages(self) -> list[dict[str, Any]]:
        """What it was started with, then what it was told, in order."""
        return [json.loads(line) for line in self.asked.read_text("utf-8").splitlines()]

    def calls(self, tool: str = "") -> list[dict[str, Any]]:
        """The arguments of each call of the tool, or of any."""
        calls = [message["params"] for message in self.messages() if message.get("method") == "tools/call"]
        return [call["arguments"] for call in calls if tool in ("", call["name"])]


@pytest.fixture
def fake_serena(tmp_path: Path) -> Callable[..., Fake]:
    """Make an executable `serena`, with a `ty` beside it that nobody runs."""
    if sys.platform == "win32":
        pytest.skip("a script is no executable there")

    def make(behaviour: str = "", *, version: str = "2.1.0", with_ty: bool = True) -> Fake:
        folder = tmp_path / f"fake {version} {behaviour}"
        folder.mkdir(exist_ok=True)
        asked = folder / "asked.jsonl"
        answers = DATA / f"answers_{version.replace('.', '_')}.json"
        script = folder / "serena"
        words = [str(FAKE), str(answers), behaviour, str(asked)]
        script.write_text(
            f"#!/bin/sh\nexec '{sys.executable}' -I " + " ".join(f"'{word}'" for word in words) + ' "$@"\n', "utf-8"
        )
        for program in (script, *([folder / "ty"] if with_ty else [])):
            program.touch()
            program.chmod(0o755)
        return Fake(script, asked)

    return make
