"""The front end's types, made from the server's shapes; run as a module to write them."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from jupyter_llmroute.server import shapes

FILE = Path(__file__).parents[1] / "labextension" / "src" / "generated.ts"

HEAD = "// Made from jupyter_llmroute/server/shapes.py by `python -m tests.typescript_types`; not to be edited.\n"

LONGEST_LINE = 100
"""As Prettier is told in labextension/package.json."""

PRIMITIVES = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}

TAKEN = {"Question", "ChatQuestion", "Said", "ChangedSettings"}
"""What a client sends: it may leave out what has a default. Of what it gets, everything is there."""


def typescript() -> str:
    """Return the whole file."""
    models = [
        value
        for _, value in inspect.getmembers(shapes, inspect.isclass)
        if issubclass(value, shapes.Shape) and value is not shapes.Shape
    ]
    _, schema = models_json_schema([(model, "serialization") for model in models], ref_template="{model}")
    _, taken = models_json_schema([(model, "validation") for model in models], ref_template="{model}")
    parts = [HEAD]
    for name in sorted(schema["$defs"]):
        parts.append(_declared(name, (taken if name in TAKEN else schema)["$defs"][name]))
    return "\n".join(parts)


def _declared(name: str, schema: dict[str, Any]) -> str:
    lines = _comment(schema.get("description", ""), "")
    if "enum" in schema:
        return "\n".join([*lines, *_fitted(f"export type {name} =", _type(schema), "")]) + "\n"
    required = set(schema.get("required", ()))
    lines.append(f"export interface {name} {{")
    for field, inner in schema.get("properties", {}).items():
        mark = "" if field in required else "?"
        lines += _comment(inner.get("description", ""), "  ")
        lines += _fitted(f"  {field}{mark}:", _type(inner), "  ")
    return "\n".join([*lines, "}"]) + "\n"


def _comment(text: str, indent: str) -> list[str]:
    """Return the first paragraph of a description."""
    first = re.sub(r"\s+", " ", text.partition("\n\n")[0]).strip()
    return [f"{indent}/** {first} */"] if first else []


def _fitted(head: str, kind: str, indent: str) -> list[str]:
    """Return a declaration, broken as Prettier does where it is too long."""
    line = f"{head} {kind};"
    if len(line) <= LONGEST_LINE or " | " not in kind:
        return [line]
    options = kind.split(" | ")
    return [head, *(f"{indent}  | {option}" for option in options[:-1]), f"{indent}  | {options[-1]};"]


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"])
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return " | ".join(map(_literal, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(map(_type, schema["anyOf"]))
    kind = schema.get("type")
    if kind == "array":
        inner = _type(schema["items"])
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if kind == "object":
        return _mapping(schema)
    return PRIMITIVES.get(str(kind), "unknown")


def _mapping(schema: dict[str, Any]) -> str:
    values = schema.get("additionalProperties", True)
    inner = _type(values) if isinstance(values, dict) else "unknown"
    names = schema.get("propertyNames")
    record = f"Record<{_type(names) if names else 'string'}, {inner}>"
    is_by_wish = names and "enum" in names  # such as pins; what is by a type of ours, such as its task, is whole
    return f"Partial<{record}>" if is_by_wish else record


def _literal(value: object) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value).lower()


if __name__ == "__main__":
    FILE.write_text(typescript(), encoding="utf-8")
