"""The front end's types, and its checks of what it gets, made from the server's shapes; run to write them."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from jupyter_llmroute import __version__
from jupyter_llmroute.server import shapes

LABEXTENSION = Path(__file__).parents[1] / "labextension"
TYPES = LABEXTENSION / "src" / "generated.ts"
CHECKS = LABEXTENSION / "src" / "generated_checks.ts"
ANSWERS = LABEXTENSION / "tests" / "answers.json"

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


GOT = (shapes.Services, shapes.NextUp, shapes.Doctor)
"""What the front end gets: it believes none of it before it was checked."""

CHECKED = {"string": "text", "integer": "amount", "number": "amount", "boolean": "flag"}


def files() -> dict[Path, str]:
    """Return what is made, by where it is."""
    return {TYPES: typescript(), CHECKS: checks(), ANSWERS: answers()}


def typescript() -> str:
    """Return the types."""
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


def checks() -> str:
    """Return the checks: for each shape that is got, and for those in it, one of every field."""
    _, schema = models_json_schema([(model, "serialization") for model in GOT], ref_template="{model}")
    shown = schema["$defs"]
    names = list(dict.fromkeys(name for model in GOT for name in _inner_first(model.__name__, shown)))
    declared = [_check_of(name, shown) for name in names]
    used = sorted(set(re.findall(r"\b(amount|fields|flag|list|oneOf|orNull|text)\b(?!:)", "\n".join(declared))))
    models = ",\n".join(f"  {name}" for name in sorted(name for name in names if "enum" not in shown[name]))
    return "\n".join(
        [
            HEAD,
            f"import {{ {', '.join(used)} }} from './check.js';",
            f"import type {{\n{models}\n}} from './generated.js';",
            "",
            "/** Of the package that this page is of. */",
            f"export const VERSION = '{__version__}';",
            "",
            *declared,
        ]
    )


def answers() -> str:
    """Return answers of the server: among those of one shape, each field is null and each of its choices once."""
    _, schema = models_json_schema([(model, "serialization") for model in GOT], ref_template="{model}")
    made = {
        model.__name__: [
            model.model_validate(one).model_dump(mode="json") for one in _examples({"$ref": model.__name__}, schema)
        ]
        for model in GOT
    }
    return json.dumps(made, indent=2) + "\n"


def _inner_first(name: str, shown: dict[str, Any]) -> Iterator[str]:
    for inner in re.findall(r"'\$ref': '(\w+)'", str(shown[name])):
        yield from _inner_first(inner, shown)
    yield name


def _check_of(name: str, shown: dict[str, Any]) -> str:
    schema = shown[name]
    if "enum" in schema:
        return f"const is{name} = {_check(schema, name, shown)};\n"
    of = {field: _check(inner, f"{name}['{field}']", shown) for field, inner in schema["properties"].items()}
    fields = ",\n".join(f"  {field}: {check}" for field, check in of.items())
    share = "export " if name in {model.__name__ for model in GOT} else ""
    return f"{share}const is{name} = fields<{name}>({{\n{fields}\n}});\n"


def _check(schema: dict[str, Any], kind: str, shown: dict[str, Any]) -> str:
    """Return the check of a value; `kind` is its type."""
    match schema:
        case {"$ref": str(name)}:
            return f"is{name}"
        case {"enum": options}:
            return f"oneOf({', '.join(map(_literal, options))})"
        case {"anyOf": [inner, {"type": "null"}]}:
            return f"orNull({_check(inner, kind, shown)})"
        case {"type": "array", "items": inner}:
            return f"list({_check(inner, kind, shown)})"
        case {"type": "object", "additionalProperties": inner, "propertyNames": {"$ref": str(names)}}:
            one = _check(inner, kind, shown)
            each = ",\n".join(f"    {key}: {one}" for key in shown[names]["enum"])
            return f"fields<{kind}>({{\n{each}\n  }})"
        case {"type": str(name)} if name in CHECKED:
            return CHECKED[name]
    raise ValueError(f"{kind} is {schema!r}, of which no check can be made yet: write its case here.")


def _examples(schema: dict[str, Any], whole: dict[str, Any]) -> list[Any]:
    """Return values of a schema, so many that each choice in it is taken by one."""
    match schema:
        case {"$ref": str(name)}:
            return _examples(whole["$defs"][name], whole)
        case {"enum": options}:
            return list(options)
        case {"anyOf": options}:
            return [one for option in reversed(options) for one in _examples(option, whole)]
        case {"properties": fields}:
            return _rows({field: _examples(inner, whole) for field, inner in fields.items()})
        case {"type": "array", "items": inner}:
            return [[], _examples(inner, whole)]
        case {"type": "object", "additionalProperties": inner, "propertyNames": {"$ref": str(names)}}:
            return _rows({key: _examples(inner, whole) for key in whole["$defs"][names]["enum"]})
        case {"format": "date-time"}:
            return ["2026-01-02T03:04:05Z"]
    return {"string": ["", "word"], "integer": [0, 8192], "number": [0.5, 1], "boolean": [True, False], "null": [None]}[
        schema["type"]
    ]


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    longest = max(map(len, columns.values()))
    return [{name: values[at % len(values)] for name, values in columns.items()} for at in range(longest)]


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
    for file, text in files().items():
        file.write_text(text, encoding="utf-8")
