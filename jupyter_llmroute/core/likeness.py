"""Which models a user means by the name that they write."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from jupyter_llmroute.core.naming import words

Names = tuple[str, str]
"""A model's id on its server, and the catalog's name for it."""


class Likeness(IntEnum):
    """How well the name that a user writes fits a model; the lower, the better."""

    SAME_NAME = 0
    SAME_WORDS = 1
    """As the catalog reads names: publisher, quantisation and such as "instruct" aside."""
    SOME_WORDS = 2
    """All that the user wrote, and more."""
    NONE = 3


def likeness(asked: str, model_id: str, known_as: str) -> Likeness:
    """Compare what a user wrote with a model's id, and with the catalog's name for that model."""
    if asked.lower() == model_id.lower():
        return Likeness.SAME_NAME
    wanted = words(asked)
    if wanted and wanted in (words(model_id), words(known_as)):
        return Likeness.SAME_WORDS
    return Likeness.SOME_WORDS if wanted and wanted <= words(model_id) else Likeness.NONE


def meant(asked: str, models: Iterable[Names]) -> frozenset[Names]:
    """Return the models that a user who writes `asked` means: those whose names are most like it, and no other.

    Examples
    --------
    >>> coder, plain = ("qwen2.5-coder:7b", "qwen2.5-coder-7b"), ("qwen2.5:7b", "qwen2.5-7b")
    >>> meant("qwen2.5:7b", [coder, plain]) == {plain}, meant("qwen2.5", [coder, plain]) == {coder, plain}
    (True, True)
    """
    found = {names: likeness(asked, *names) for names in models}
    best = min(found.values(), default=Likeness.NONE)
    return frozenset(names for names, like in found.items() if like is best and best is not Likeness.NONE)
