"""The README's tables, made from the code. Run this file to write them; test_readme.py checks that they are current."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

README = Path(__file__).parents[1] / "README.md"


def magic_options() -> str:
    """Return the options of `%%route` as a Markdown table."""
    from jupyter_llmroute.magics import RouteMagics

    rows = [
        (", ".join(f"`{flag}`" for flag in action.option_strings), (action.help or "").replace("%%", "%"))
        for action in RouteMagics.route.parser._actions
        if action.option_strings and action.dest != "help"
    ]
    return table(("option", "what it does"), rows)


def settings() -> str:
    """Return the settings as a Markdown table."""
    from jupyter_llmroute.core import sections
    from jupyter_llmroute.core.service_settings import CustomEndpoint, ServiceSettings
    from jupyter_llmroute.core.settings import Settings

    parts: tuple[tuple[str, type[BaseModel]], ...] = (
        ("", Settings),
        ("services.NAME.", ServiceSettings),
        ("services.custom_endpoints[].", CustomEndpoint),
        ("task_routing.TASK.", sections.TaskRouting),
        ("serena.", sections.SerenaSettings),
        ("classifier.", sections.ClassifierSettings),
        ("embedded.", sections.EmbeddedSettings),
        ("context.", sections.ContextSettings),
        ("limits.", sections.Limits),
        ("discovery.", sections.DiscoverySettings),
        ("models.", sections.ModelSettings),
        ("security.", sections.SecuritySettings),
        ("cassette.", sections.CassetteSettings),
    )
    seen: set[tuple[str, str]] = set()
    rows = []
    for prefix, part in parts:
        for name, field in part.model_fields.items():
            # A section has its own rows; a custom endpoint has all that a known service has.
            if field.description and (name, field.description) not in seen:
                seen.add((name, field.description))
                rows.append((f"`{prefix}{name}`", shown(field.default), field.description))
    return table(("setting", "default", "what it means"), rows)


def shown(default: Any) -> str:
    """Return a default as a user would write it."""
    if default is None or default is PydanticUndefined:
        return "unset"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, tuple):
        return ", ".join(f"`{item}`" for item in default) or "none"
    return f"`{default}`"


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


TABLES = {"magic options": magic_options, "settings": settings}


def with_tables(text: str) -> str:
    """Return the README's text with current tables between their marks."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: made by tests/readme_tables.py -->", f"<!-- {name}: end -->"
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        made = f"{begin}\n{make()}\n{end}".replace("\\", r"\\")
        text, count = pattern.subn(made, text)
        if count != 1:
            raise SystemExit(f"README.md must hold the marks of {name!r} once, and holds them {count} times")
    return text


if __name__ == "__main__":
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")
