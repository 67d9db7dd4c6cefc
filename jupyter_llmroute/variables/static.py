"""Looking at objects without asking them: what the interpreter itself keeps of types and instances.

An attribute that is looked up in the usual way may run a property, `__getattr__`, or a metaclass's own code, and
`isinstance` may ask an object for its `__class__`. Nothing here does: types are told by `type()` and the interpreter's
own descriptors, attributes are read from the instance's dictionary and slots.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any

_MRO = type.__dict__["__mro__"]
_MODULE = type.__dict__["__module__"]
_QUALNAME = type.__dict__["__qualname__"]
_DICT = type.__dict__["__dict__"]

MISSING = object()
"""What an attribute is that is not there."""


def line_of(cls: type) -> tuple[type, ...]:
    """Return a class and those it inherits from, nearest first."""
    found: tuple[type, ...] = _MRO.__get__(cls)
    return found


def own(cls: type) -> dict[str, Any]:
    """Return the attributes that stand in the class itself."""
    return dict(_DICT.__get__(cls))


def names_of(cls: type) -> tuple[str, str]:
    """Return module and qualified name of a class; `"?"` for what is no text."""
    try:
        module, name = _MODULE.__get__(cls), _QUALNAME.__get__(cls)
    except AttributeError:
        return "?", "?"
    return module if type(module) is str else "?", name if type(name) is str else "?"


def full_name(cls: type) -> str:
    """Return the name of a type with the shortest package that has it, as people import it."""
    module, name = names_of(cls)
    if module in ("builtins", "__main__"):
        return name
    parts = module.split(".")
    packages = (".".join(parts[:size]) for size in range(1, len(parts)))
    return f"{next((package for package in packages if _loaded(package).get(name) is cls), module)}.{name}"


def _loaded(module: str) -> dict[str, Any]:
    """Return what a module holds that was imported before; empty for those that load their parts when asked."""
    found = sys.modules.get(module)
    return vars(found) if type(found) is ModuleType else {}


def is_a(value: object, *classes: type) -> bool:
    """Say whether the type of a value is one of these or inherits from it, whatever the value claims."""
    return any(base is cls for base in line_of(type(value)) for cls in classes)


def class_attribute(cls: type, name: str) -> Any:
    """Return what a class or the nearest of its bases holds under a name, and `MISSING` where none does."""
    return next((held[name] for held in map(_DICT.__get__, line_of(cls)) if name in held), MISSING)


def attributes(value: object) -> dict[str, Any]:
    """Return what an instance holds itself, in its dictionary and its slots."""
    return dict(_slots(value)) | _dictionary(value)


def attribute(value: object, name: str) -> Any:
    """Return what an instance holds itself under a name, and `MISSING` where it holds nothing."""
    return attributes(value).get(name, MISSING)


def _dictionary(value: object) -> dict[str, Any]:
    door = class_attribute(type(value), "__dict__")
    if type(door) not in (GetSetDescriptorType, MemberDescriptorType):
        return {}
    held = door.__get__(value)
    if not is_a(held, dict):
        return {}
    return {key: item for key, item in dict.items(held) if type(key) is str}


def _slots(value: object) -> Iterator[tuple[str, Any]]:
    for cls in line_of(type(value)):
        for name, door in _DICT.__get__(cls).items():
            if type(door) is MemberDescriptorType and not name.startswith("__"):
                try:
                    yield name, door.__get__(value)
                except AttributeError:  # a slot that is empty
                    continue


def docstring(cls: type) -> str:
    """Return the first line of a class's own docstring; empty where it has none."""
    return first_line(own(cls).get("__doc__"))


def first_line(text: object) -> str:
    """Return the first line of a text that holds something; empty for what is no text."""
    if type(text) is not str:
        return ""
    return next((line.strip() for line in text[:2000].splitlines() if line.strip()), "")


def is_genuine(cls: type) -> bool:
    """Say whether a class is the one that its module has loaded under its name."""
    module, name = names_of(cls)
    return _loaded(module).get(name) is cls
