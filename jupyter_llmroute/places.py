"""The notebook as it was saved last: what stands above a cell, which prose belongs to it, which models are pinned."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_llmroute.core.cell_ranges import parse, spans
from jupyter_llmroute.core.pins import Pins, read
from jupyter_llmroute.core.request import CellRef

MOST_NOTEBOOK_BYTES = 8 << 20
"""A larger notebook file is not read."""

METADATA = "llmroute"
"""The key in the notebook's metadata that is ours."""

UNKNOWN_ORDER = "--cells above: the order of this notebook is not known, so all cells that were run came along."
"""Said where neither server nor editor tell which file it is, or it was not saved since the cell was made."""


class Place(NamedTuple):
    """A cell of the notebook file."""

    id: str
    kind: str
    source: str


def notebook_path(shell: Any) -> Path | None:
    """Return the file of the notebook that a shell runs, where server or editor tell it."""
    told = os.environ.get("JPY_SESSION_NAME") or shell.user_ns.get("__vsc_ipynb_file__")
    path = Path(str(told)) if told else None
    return path if path and path.suffix == ".ipynb" and path.is_file() else None


class Notebook(NamedTuple):
    """What a notebook file says."""

    places: tuple[Place, ...] = ()
    """Its cells, in their order."""
    pins: Pins = Pins()
    """The models that its metadata pins."""


def order(path: Path | None) -> tuple[Place, ...]:
    """Return the cells of a notebook as it was saved last, in their order; none where the file does not read."""
    return saved(path).places


def saved(path: Path | None) -> Notebook:
    """Return a notebook as it was saved last; an empty one where the file does not read."""
    try:
        stat = path.stat() if path else None
        if path is None or stat is None or stat.st_size > MOST_NOTEBOOK_BYTES:
            return Notebook()
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return Notebook()


@lru_cache(maxsize=1)
def _read(path: Path, *version: int) -> Notebook:
    """Read a notebook once for each time that it was saved."""
    found = json.loads(path.read_bytes())
    return Notebook(tuple(_places(found.get("cells", []))), _pins(found.get("metadata")))


def _pins(metadata: Any) -> Pins:
    """Return the pins of a notebook's metadata, which anybody may have written."""
    ours = metadata.get(METADATA) if isinstance(metadata, dict) else None
    return read(ours.get("pins") if isinstance(ours, dict) else None)


def _places(cells: Iterable[Any]) -> Iterator[Place]:
    for cell in cells:
        source = cell.get("source", "")
        text = "".join(source) if isinstance(source, list) else str(source)
        yield Place(str(cell.get("id", "")), str(cell.get("cell_type", "")), text)


def with_prose(cells: Sequence[CellRef], places: Iterable[Place], asking: CellRef) -> tuple[CellRef, ...]:
    """Put the Markdown that stands right above each cell before it.

    Parameters
    ----------
    cells
        Cells that were run.
    places
        The notebook's own order, in which cells of both kinds are known by their ids.
    asking
        The cell that asks: what stands above it comes last.
    """
    above: dict[str, list[Place]] = {}
    prose: list[Place] = []
    for place in places:
        if place.kind == "markdown":
            prose.append(place)
        else:
            above[place.id], prose = prose, []
    found = (
        ref
        for cell in (*cells, asking)
        for ref in (*(_prose(place, cell) for place in above.get(cell.id, ()) if cell.id), cell)
    )
    return tuple(ref for ref in found if ref is not asking)


def _prose(place: Place, cell: CellRef) -> CellRef:
    return cell.model_copy(
        update={"kind": "markdown", "id": place.id, "source": place.source, "output": "", "error": ""}
    )


class Chosen(NamedTuple):
    """The cells that a user wants to go along."""

    numbers: frozenset[int]
    remarks: tuple[str, ...] = ()


def chosen(text: str, cells: Sequence[CellRef], places: Sequence[Place], asking: CellRef) -> Chosen:
    """Return which cells are meant by what stands behind `--cells`.

    Raises
    ------
    UserError
        The text does not read, or names a cell that there is not.
    """
    choice = parse(text, [cell.number for cell in cells])
    match choice.which:
        case "numbers":
            return Chosen(frozenset(choice.numbers))
        case "none":
            return Chosen(frozenset())
        case "all":
            return Chosen(frozenset(cell.number for cell in (*cells, asking)))
        case "above":
            return _above(cells, [place.id for place in places], asking)


def _above(cells: Sequence[CellRef], places: Sequence[str], asking: CellRef) -> Chosen:
    if asking.id not in places:
        numbers = frozenset(cell.number for cell in cells)
        return Chosen(numbers, (UNKNOWN_ORDER,) if numbers else ())
    above = set(places[: places.index(asking.id)])
    unknown = [cell.number for cell in cells if cell.id not in places]
    remark = f"--cells above: In[{spans(unknown)}] came along too: their place in the notebook is not known."
    numbers = frozenset(cell.number for cell in cells if cell.id in above or cell.id not in places) | {asking.number}
    return Chosen(numbers, (remark,) if unknown else ())
