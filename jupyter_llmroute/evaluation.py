"""How good the task classifier is on labelled requests: `jupyter-llmroute classify --evaluate FILE`."""

from __future__ import annotations

import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from jupyter_llmroute.core.classifier import Classification, classify_text
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Answered

BINS = 10
"""Of confidence, equally wide."""

TASKS = tuple(Task)


class Labelled(Answered):
    """A request and what a person said of it; a line of a JSONL file."""

    id: str | int | float | None = None
    text: str
    label: Task | None = None
    alt: Task | None = None
    """A second label that can be defended."""
    needs_symbols: bool | None = None
    source: str | None = None
    lang: str | None = None


class Judged(NamedTuple):
    """A labelled request and what the classifier says."""

    record: Labelled
    found: Classification
    took_ms: float = 0.0

    @property
    def is_right(self) -> bool:
        """Whether the answer is the label."""
        return self.found.task is self.record.label

    @property
    def is_defensible(self) -> bool:
        """Whether the answer is the label or the second one."""
        return self.found.task in (self.record.label, self.record.alt)


class OfTask(NamedTuple):
    """How well one task is told: shares from 0 to 1."""

    recall: float
    precision: float
    f1: float


class Figures(NamedTuple):
    """What is true of many judgements."""

    requests: int
    strict: float
    """Share whose label is the answer."""
    lenient: float
    """Share whose label, or second label, is the answer."""
    macro_f1: float
    calibration_error: float
    """By how much confidence and accuracy differ, on average over ten bins of confidence (Naeini et al. 2015)."""

    def __str__(self) -> str:
        return (
            f"n={self.requests:5} strict {self.strict:.3f} lenient {self.lenient:.3f} macro-F1 {self.macro_f1:.3f} "
            f"calibration error {self.calibration_error:.3f}"
        )


def read(path: Path) -> list[Labelled]:
    """Read labelled requests, one JSON object a line.

    Raises
    ------
    UserError
        The file, or a line of it, does not read; the message names it.
    """
    found = []
    try:
        # A lone surrogate within a text, or a file that Windows has marked, must not stop the others.
        with path.open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    found.append(_labelled(line, f"Line {number} of {str(path)!r}"))
    except OSError as error:
        raise UserError(f"{str(path)!r} does not read: {error}. Name a file of JSON lines in UTF-8.") from None
    if not any(record.label or record.needs_symbols is not None for record in found):
        raise UserError(f"{str(path)!r} has no line with a 'label' or 'needs_symbols', so there is nothing to compare.")
    return found


def _labelled(line: str, where: str) -> Labelled:
    try:
        return Labelled.model_validate(json.loads(line))
    except (ValidationError, ValueError, RecursionError) as error:
        problem = _problem(error) if isinstance(error, ValidationError) else f"{line[:40]!r}: {error}"
        raise UserError(
            f'{where} does not read: {problem}. A line is {{"text": …, "label": {" | ".join(TASKS)}}}, with "alt", '
            '"needs_symbols", "lang", "source" where known.'
        ) from None


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))!r}: {first['msg']}"


def judge(records: Iterable[Labelled]) -> list[Judged]:
    """Classify each request, once and in order."""
    classify_text("")  # reads the package data
    return [_timed(record) for record in records]


def _timed(record: Labelled) -> Judged:
    start = time.perf_counter()
    found = classify_text(record.text)
    return Judged(record, found, 1000 * (time.perf_counter() - start))


def figures(judged: Sequence[Judged]) -> Figures:
    """Return what is true of judgements whose records have labels; there must be one."""
    return Figures(
        requests=len(judged),
        strict=share(each.is_right for each in judged),
        lenient=share(each.is_defensible for each in judged),
        macro_f1=statistics.fmean(of_task(judged, task).f1 for task in TASKS),
        calibration_error=calibration_error(judged),
    )


def of_task(judged: Sequence[Judged], task: Task) -> OfTask:
    """Return how well a task is told; 0 where it never occurs."""
    right = sum(each.is_right and each.found.task is task for each in judged)
    labelled = sum(each.record.label is task for each in judged)
    taken = sum(each.found.task is task for each in judged)
    return OfTask(right / max(1, labelled), right / max(1, taken), 2 * right / max(1, labelled + taken))


def calibration_error(judged: Sequence[Judged]) -> float:
    """Return by how much confidence and accuracy differ."""
    return math.fsum(
        abs(statistics.fmean(each.found.confidence for each in members) - share(each.is_right for each in members))
        * (len(members) / len(judged))
        for members in bins(judged).values()
    )


def bins(judged: Iterable[Judged]) -> dict[int, list[Judged]]:
    """Sort judgements by confidence, into those of `BINS` bins that are not empty."""
    sorted_in: dict[int, list[Judged]] = defaultdict(list)
    for each in judged:
        sorted_in[min(BINS - 1, int(BINS * each.found.confidence))].append(each)
    return dict(sorted(sorted_in.items()))


def share(true: Iterable[bool]) -> float:
    """Return the share of what is true; there must be something."""
    return statistics.fmean(map(float, true))


def interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share that was found among `count` (Wilson 1927)."""
    z = 1.96
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)
