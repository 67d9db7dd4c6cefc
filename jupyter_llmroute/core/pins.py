"""Models that are pinned to tasks: a pin wins over every score, and never over policy, window or health.

Pins come with a question, from the session or from the notebook's own metadata. The latter may have been written by
anybody: they are read as a stranger's words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from pydantic import Field

from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

ANY = "any"
"""In place of a task: all of them."""

AUTO = "auto"
"""In place of a model: nobody is pinned, whatever is said elsewhere."""

MOST_CHARS = 300
"""No name of a model on a server is longer."""

MOST_REMARKS = 3
"""Mistakes that are told one by one."""


class Origin(StrEnum):
    """Who pins; in this order one wins over the next."""

    SESSION = "in this session"
    NOTEBOOK = "in this notebook"


class Pin(Value):
    """One model that is wanted for one task, or for all."""

    model: str = Field(min_length=1, max_length=MOST_CHARS)
    """As the user writes it: a model, or a model and its server, `model@service`; or `AUTO`."""
    task: Task | None = None
    """`None`: every task."""
    origin: Origin = Origin.SESSION

    def __str__(self) -> str:
        return f"pinned for {self.task or 'all tasks'} {self.origin}"


class Pins(NamedTuple):
    """What was read."""

    pins: tuple[Pin, ...] = ()
    """The one that wins first."""
    remarks: tuple[str, ...] = ()
    """What was passed over, and why: a sentence each."""


def read(data: object, origin: Origin = Origin.NOTEBOOK) -> Pins:
    """Return the pins that a mapping from tasks, or "any", to models says; nothing in it is believed.

    Examples
    --------
    >>> [f"{pin.model}: {pin}" for pin in read({"any": "phi4", "coding": "qwen3:8b@ollama"}).pins]
    ['qwen3:8b@ollama: pinned for coding in this notebook', 'phi4: pinned for all tasks in this notebook']
    >>> read({"poetry": "m"}).remarks
    ("A pin in this notebook is passed over: 'poetry' is no task.",)
    """
    if data is None:
        return Pins()
    if not isinstance(data, Mapping):
        return Pins(remarks=(f"The pins {origin} are passed over: they are no mapping from tasks to models.",))
    found = {name: data[name] for name in (*Task, ANY) if data.get(name) is not None}
    pins = tuple(
        Pin(model=model.strip(), task=None if name == ANY else Task(name), origin=origin)
        for name, model in found.items()
        if is_name(model)
    )
    return Pins(pins, tuple(_passed_over(data, found, origin)))


def is_name(model: object) -> bool:
    """Whether this may name a model: a line of some characters, all of which can be seen."""
    return isinstance(model, str) and 0 < len(model.strip()) and len(model) <= MOST_CHARS and model.isprintable()


def pinned_for(task: Task, pins: Iterable[Pin]) -> Pin | None:
    """Return the pin that holds for a task; `None` where nobody is pinned.

    Parameters
    ----------
    task
        What the question asks for.
    pins
        The one that wins first.
    """
    pin = next((pin for pin in pins if pin.task in (None, task)), None)
    return None if pin is None or pin.model.lower() == AUTO else pin


def divided(model: str, services: Iterable[str]) -> tuple[str, str | None]:
    """Return the model and the server that a pin names; `None` where it names no server.

    Names of models hold `@` too, and so do those of servers: it is divided where a server's name is behind, the last
    of such places first.

    Examples
    --------
    >>> divided("m@q4_k_m@LM Studio", ["lm studio"]), divided("m@q4_k_m", ["lm studio"])
    (('m@q4_k_m', 'lm studio'), ('m@q4_k_m', None))
    >>> divided("m@q8_0@ann@desk", ["ann@desk"])
    ('m@q8_0', 'ann@desk')
    """
    known = {each.lower(): each for each in services}
    for at in (at for at in reversed(range(len(model))) if model[at] == "@"):
        name, service = model[:at].strip(), known.get(model[at + 1 :].strip().lower())
        if name and service is not None:
            return name, service
    return model, None


def _passed_over(data: Mapping[object, object], found: Mapping[str, object], origin: Origin) -> Iterator[str]:
    strange = [name for name in islice(data, len(found) + MOST_REMARKS + 1) if name not in found and data[name]]
    wrong = [f"{str(name)[:40]!r} is no task" for name in strange]
    wrong += [f"what is said for {name} is no name of a model" for name, model in found.items() if not is_name(model)]
    for each in wrong[:MOST_REMARKS]:
        yield f"A pin {origin} is passed over: {each}."
    if len(wrong) > MOST_REMARKS:
        yield f"More pins {origin} are passed over."
