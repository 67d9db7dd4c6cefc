"""From the package's tables of models, as people write them, to the rows of the catalog.

The tables are `data/catalog.toml` (the rule, the sources, the lists) and the files that it names (the models); their
heads say how they are written.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from jupyter_llmroute.core.task import Task

ANALYSIS_LESS = 2.0
"""Points by which analysis stays below the mean of coding and reasoning, as in the user's first figures."""

NEARLY_BEST = 2.0
"""Points below its best score within which a model counts as specialising in a task."""

Score = tuple[float, str]
"""A score, and where it comes from."""

Benchmarks = Mapping[str, Mapping[str, Any]]


def read_tables() -> dict[str, Any]:
    """Return the fields of the package's catalog."""
    data = resources.files("jupyter_llmroute.core").joinpath("data")
    head = tomllib.loads(data.joinpath("catalog.toml").read_text(encoding="utf-8"))
    files = (tomllib.loads(data.joinpath(name).read_text(encoding="utf-8")) for name in head["files"])
    rows = [row for file in files for line in file["line"] for row in _rows(line, head["benchmarks"])]
    return {"model": rows, "lists": head["lists"], "sources": head["sources"]}


def to_score(scale: Sequence[Sequence[float]], figure: float) -> float:
    """Return the score that a figure is worth: on the line between the two points of the scale beside it.

    Examples
    --------
    >>> to_score([[0, 20], [50, 70], [100, 100]], 60)
    76.0
    """
    for (low, least), (high, most) in itertools.pairwise(scale):
        if low <= figure <= high:
            return round(least + (most - least) * (figure - low) / (high - low), 1)
    raise ValueError(f"The figure {figure!r} is on no part of the scale {scale!r}. Mend the figure, or its benchmark.")


def _rows(line: Mapping[str, Any], benchmarks: Benchmarks) -> Iterator[dict[str, Any]]:
    for name, size, *cells, why in (row if len(row) == 7 else [*row, ""] for row in line["models"]):
        total, active = size if isinstance(size, list) else (size, None)
        scores = _scores(cells, why, benchmarks)
        best = max(score for score, _ in scores.values()) - NEARLY_BEST
        yield {
            "id": name,
            "family": line["family"],
            "context_window": line["window"],
            "parameters": round(total * 1e9),
            "active_parameters": active and round(active * 1e9),
            "scores": {task: score for task, (score, _) in scores.items()},
            "sources": {task: source for task, (_, source) in scores.items()},
            "specialises_in": line.get("good", {}).get(name, "").split()
            or [task for task, (score, _) in scores.items() if score >= best],
            "aliases": line.get("aka", {}).get(name, ()),
        }


def _scores(cells: Sequence[float | str], why: str, benchmarks: Benchmarks) -> dict[Task, Score]:
    coding, reasoning, analysis, documentation = cells
    scores = {Task.CODING: _score(coding, why, benchmarks), Task.REASONING: _score(reasoning, why, benchmarks)}
    if analysis == "mean":
        mean = (scores[Task.CODING][0] + scores[Task.REASONING][0]) / 2
        scores[Task.ANALYSIS] = max(0.0, round(mean - ANALYSIS_LESS, 1)), "mean"
    else:
        scores[Task.ANALYSIS] = _score(analysis, why, benchmarks)
    return scores | {Task.DOCUMENTATION: _score(documentation, why, benchmarks)}


def _score(cell: float | str, why: str, benchmarks: Benchmarks) -> Score:
    """Return what one cell of a row says; the head of `models.toml` lists what may stand there."""
    match str(cell).split():
        case [number] if not isinstance(cell, str):
            return float(number), f"placed: {why}"
        case [("start" | "measured") as origin, number]:
            return float(number), origin
        case ["start", number, *figure]:
            return float(number), f"start; borne out by {_published(figure, benchmarks)}"
        case [name, number, *_] as figure:
            return to_score(benchmarks[name]["scale"], float(number)), _published(figure, benchmarks)
    raise ValueError(f"A model's score is {cell!r}, which is none. Write a number, or a benchmark and its figure.")


def _published(figure: Sequence[str], benchmarks: Benchmarks) -> str:
    name, number, *source = figure
    benchmark = benchmarks[name]
    return f"{source[0] if source else benchmark['source']}: {benchmark['name']} {number}"
