"""What the user thinks of answers, counted for each model and task: it moves the choice a little, and visibly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

MOST_POINTS = 4.0
"""No number of thumbs moves a score by more: as much as the first place of the catalog's list is worth."""

HALF_WAY = 2
"""So many thumbs one way are worth half of that."""

KEPT = 200
"""Pairs of model and task: the newest are kept."""

MOST_COUNTED = 1_000_000

Count = Annotated[int, Field(ge=0, le=MOST_COUNTED)]


class Thumb(StrEnum):
    """The user's word on an answer."""

    UP = "up"
    DOWN = "down"


class Tally(Value):
    """The thumbs of one model for one task."""

    up: Count = 0
    down: Count = 0

    def __str__(self) -> str:
        """Say it in words, such as "liked 3 times and disliked once"."""
        told = ((self.up, "liked"), (self.down, "disliked"))
        return " and ".join(f"{word} {_times(number)}" for number, word in told if number)

    @property
    def points(self) -> float:
        """What it adds to the score.

        Examples
        --------
        >>> Tally(up=2).points, round(Tally(up=3, down=20).points, 2), Tally(up=MOST_COUNTED).points <= MOST_POINTS
        (2.0, -3.58, True)
        """
        more = self.up - self.down
        return MOST_POINTS * more / (abs(more) + HALF_WAY)

    def counted(self, thumb: Thumb, by: int) -> Tally:
        """Return the tally with one thumb more, or less."""
        number = min(MOST_COUNTED, max(0, getattr(self, thumb) + by))
        return self.model_copy(update={thumb.value: number})


class Feedback(Value):
    """All thumbs, by `about`; the newest last."""

    tallies: Mapping[str, Tally] = {}

    def rated(self, model: str, task: Task, thumb: Thumb | None, before: Thumb | None = None) -> Feedback:
        """Return the feedback with one thumb more, or with one taken back.

        Parameters
        ----------
        model
            The catalog's name for it: it is the same on all servers.
        task
            What the question was taken for.
        thumb
            The user's word; `None`: none any more.
        before
            Their earlier word on the same answer, which it takes the place of.
        """
        key, tallies = about(model, task), dict(self.tallies)
        tally = tallies.pop(key, Tally())
        tally = tally.counted(before, -1) if before else tally
        tally = tally.counted(thumb, +1) if thumb else tally
        said = [(key, tally)] if tally != Tally() else []
        return Feedback(tallies=dict([*tallies.items(), *said][-KEPT:]))

    def of(self, model: str, task: Task) -> Tally:
        """Return the thumbs of a model for a task."""
        return self.tallies.get(about(model, task), Tally())

    def for_task(self, task: Task) -> dict[str, Tally]:
        """Return the thumbs for a task, by the catalog's name of the model; without those that weigh nothing."""
        told = ((key.partition(" "), tally) for key, tally in self.tallies.items())
        return {model: tally for (name, _, model), tally in told if name == task and tally.up != tally.down}

    def among(self, models: Iterable[str]) -> Feedback:
        """Return what concerns these models, by the catalog's names."""
        known = {about(model, task) for model in models for task in Task}
        return Feedback(tallies={key: tally for key, tally in self.tallies.items() if key in known})


def about(model: str, task: Task) -> str:
    """Return what the thumbs of a model for a task are kept by."""
    return f"{task} {model}"


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
