"""The models that a session pins, and those that its notebook pins."""

from __future__ import annotations

from collections.abc import Iterable

from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.pins import MOST_CHARS, Origin, Pin, Pins, is_name
from jupyter_llmroute.core.task import Task

NO_PINS = Pins()


class SessionPins:
    """What was pinned since the kernel began; it wins over what the notebook's metadata says."""

    def __init__(self) -> None:
        self._models: dict[Task | None, str] = {}

    def put(self, task: Task | None, model: str) -> None:
        """Pin a model to a task, or to all.

        Raises
        ------
        UserError
            It cannot be a model's name.
        """
        if not is_name(model):
            raise UserError(
                f"{model[:40]!r} is no name of a model: write it as %llm_models shows it, in one line of at most "
                f"{MOST_CHARS} characters."
            )
        self._models[task] = model.strip()

    def clear(self, task: Task | None = None, *, of_all: bool = False) -> int:
        """Take the pin of a task back, or with `of_all` every one; return how many there were."""
        gone = [*self._models] if of_all else [task for _ in self._models.keys() & {task}]
        for each in gone:
            del self._models[each]
        return len(gone)

    def held(self, notebook: Pins = NO_PINS) -> Pins:
        """Return the pins that hold, the one that wins first: this session's, then the notebook's."""
        own = (Pin(model=model, task=task, origin=Origin.SESSION) for task, model in self._models.items())
        return Pins((*sorted(own, key=lambda pin: pin.task is None), *notebook.pins), notebook.remarks)


def told(pins: Iterable[Pin]) -> tuple[str, ...]:
    """Return a line for each pin: the model, and who pinned it to what."""
    return tuple(f"{pin.model}: {pin}" for pin in pins)
