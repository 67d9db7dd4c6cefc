"""What a question sends, as a recording is found again by it, and in words how two of them differ.

Model, messages and parameters count; host, time and the order of keys do not. Neither do counts of cells, addresses in
memory and names of temporary files and folders: they are others in every run. Nor does what only some programs that run
a notebook tell: prose above cells, the cell that loads this extension, line ends behind a question. What a cell printed
counts where it is known; nbval has kernels forget it. Cells are chosen by the rules under which the recording was made,
so the settings of another machine change nothing. Secrets are masked before anything is compared or written.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

from jupyter_llmroute.core.cells_source import AttachmentsSource, CellsSource
from jupyter_llmroute.core.context import gather
from jupyter_llmroute.core.item import ContextItem
from jupyter_llmroute.core.pins import Pin, pinned_for
from jupyter_llmroute.core.request import Format, Request
from jupyter_llmroute.core.scrubbing import scrubbed
from jupyter_llmroute.core.sections import ContextSettings
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

OF_NO_RUN = (
    # what is another in every run, what stands for it
    (re.compile(r"\b(In|Out|Err)\s?\[\d+\]"), r"\1[]"),
    (re.compile(r"\b0x[0-9a-fA-F]{6,16}\b"), "0x"),
    (re.compile(r"[^\s\"']*[/\\]ipykernel_\d+[/\\]\d+\.py"), "ipykernel.py"),
    (re.compile(r"[^\s\"'(]*[/\\](?:tmp|Temp|T)[/\\][^\s\"'/\\]+", re.IGNORECASE), "tmp"),
    (re.compile(r"<ipython-input-\d+-[0-9a-f]+>"), "<ipython-input>"),
)

_LOADS = re.compile(r"^\s*%(?:re)?load_ext\s+jupyter_llmroute\b", re.MULTILINE)

COMPARED_CHARS = 400
"""Of a longer question this much is compared where the nearest is looked for."""

SHOWN_CHARS = 60
SHOWN_DIFFERENCES = 6

Parameter = str | int | float | bool
Lines = Annotated[
    str,
    BeforeValidator(lambda told: "".join(map(str, told)) if isinstance(told, list | tuple) else told),
    PlainSerializer(lambda text: lines if len(lines := text.splitlines(keepends=True)) > 1 else text),
]
"""A text that stands in a file line by line, so that people can read it and compare it."""


class Piece(Value):
    """Something that goes along with a question."""

    name: str
    """What the user knows it by."""
    digest: str
    """Of its text."""


class Sent(Value):
    """What a question sends."""

    kind: str = "answer"
    """What was asked for: an answer, or what else of a server's is shown."""
    question: Lines = ""
    parameters: Mapping[str, Parameter] = {}
    """What the question pins, and how the model is to write; what it leaves open is not among them."""
    along: tuple[Piece, ...] = ()
    """Earlier questions and answers, then variables and cells, in the order of the prompt."""
    outputs: tuple[Piece, ...] = ()
    """What these cells printed and returned, one of each; without a digest where that is nothing, or not known."""
    rules: Mapping[str, int] = {}
    """Fields of `ContextSettings` by which the cells were chosen, where they are not the usual ones; not compared."""

    @property
    def key(self) -> str:
        """Equal for what sends the same."""
        compared = [self.kind, self.question, dict(self.parameters), [piece.digest for piece in self.along]]
        return hashlib.sha256(json.dumps(compared, sort_keys=True).encode()).hexdigest()

    def is_like(self, recorded: Sent) -> bool:
        """Whether this is what was recorded, as far as is known here."""
        outputs = zip(self.outputs, recorded.outputs, strict=False)
        return self.key == recorded.key and not any(ours.digest not in ("", theirs.digest) for ours, theirs in outputs)


SentBy = Callable[[Mapping[str, int]], Awaitable[Sent]]
"""What is sent, by the rules of a recording; `functools.partial(sent_of, request)` is one."""


def command(kind: str, **parameters: Parameter | None) -> SentBy:
    """Return what a command sends that asks no model, such as one that shows the servers."""

    async def sent_by(rules: Mapping[str, int]) -> Sent:
        return Sent(kind=kind, parameters=_given(parameters))

    return sent_by


async def sent_of(request: Request, rules: Mapping[str, int] | None = None, *, kind: str = "answer") -> Sent:
    """Return what a request sends.

    Parameters
    ----------
    request
        What is asked.
    rules
        Fields of `ContextSettings` by which cells are chosen; `rules_of` tells those of settings.
    kind
        `"answer"`, or what else is wanted of the request.
    """
    sampling, wanted = request.sampling, request.format
    code = tuple(cell for cell in request.code if not _LOADS.search(cell.source))
    bare = tuple(cell.model_copy(update={"output": ""}) for cell in code)
    items = await gathered(request.model_copy(update={"cells": bare}), rules or {})
    printed = {f"In[{cell.number}]": (f"Out[{cell.number}]", cell.output) for cell in code}
    return Sent(
        kind=kind,
        question=scrubbed(request.question).rstrip(),
        parameters=_given(
            {
                "model": request.model,
                "service": request.service,
                "task": request.task and request.task.value,
                "symbols": ", ".join(request.symbols) or None,
                "files": ", ".join(request.files) or None,
                "code": request.with_code,
                **({} if request.model else pinned(request.pins, request.task)),
                "format": None if wanted is Format.MARKDOWN else wanted.value,
                **sampling.model_dump(exclude_none=True),
            }
        ),
        along=tuple(_pieces(request, items)),
        outputs=tuple(_piece(*printed[item.ref]) for item in items if item.ref in printed),
        rules=rules or {},
    )


def rules_of(settings: ContextSettings) -> dict[str, int]:
    """Return those of the settings by which cells are chosen, where they are not the usual ones."""
    return settings.model_dump(include={"max_cells", "max_cell_chars"}, exclude_defaults=True)


async def gathered(request: Request, rules: Mapping[str, int]) -> tuple[ContextItem, ...]:
    """Return what goes along with a request by these rules."""
    settings = ContextSettings.model_validate(dict(rules))
    return (await gather(request, (AttachmentsSource(), CellsSource(settings)))).items


def pinned(pins: Iterable[Pin], task: Task | None = None) -> dict[str, Parameter]:
    """Return the pins that hold, as parameters: one where it holds for all tasks, otherwise one for each.

    Parameters
    ----------
    pins
        The one that wins first.
    task
        The one that is asked for; `None`: it may be any.

    Examples
    --------
    >>> pinned([Pin(model="phi4", task=Task.CODING), Pin(model="qwen3")], Task.CODING), pinned([Pin(model="qwen3")])
    ({'pin': 'phi4'}, {'pin': 'qwen3'})
    """
    pins = tuple(pins)
    held = {each: pin.model for each in ([task] if task else Task) if (pin := pinned_for(each, pins))}
    models = set(held.values())
    if len(models) == 1 and len(held) == (1 if task else len(Task)):
        return {"pin": models.pop()}
    return {f"pin_for_{each.value}": model for each, model in held.items()}


def _given(parameters: Mapping[str, Parameter | None]) -> dict[str, Parameter]:
    return {
        name: scrubbed(value) if isinstance(value, str) else value
        for name, value in sorted(parameters.items())
        if value is not None
    }


def _pieces(request: Request, items: Iterable[ContextItem]) -> Iterator[Piece]:
    for turn in request.turns:
        yield _piece(f"the question of In[{turn.number}]", turn.question)
        yield _piece(f"the answer to In[{turn.number}]", turn.answer)
    for item in items:
        yield _piece(item.ref, item.text)
        if item.output:
            yield _piece(item.output_ref or item.ref, item.output)


def _piece(name: str, text: str) -> Piece:
    text = scrubbed(text)
    for pattern, replacement in OF_NO_RUN:
        text = pattern.sub(replacement, text)
    text = text.strip()
    return Piece(name=name, digest=hashlib.sha256(text.encode()).hexdigest()[:16] if text else "")


def nearest(sent: Sent, others: Iterable[Sent]) -> Sent | None:
    """Return the one of the same kind that differs least; the one that comes first, of several."""
    same = [other for other in others if other.kind == sent.kind]
    return min(same, key=lambda other: _distance(sent, other), default=None)


def _distance(one: Sent, other: Sent) -> float:
    asked = SequenceMatcher(None, one.question[:COMPARED_CHARS], other.question[:COMPARED_CHARS], autojunk=False)
    names = one.parameters.keys() | other.parameters.keys()
    pinned = sum(one.parameters.get(name) != other.parameters.get(name) for name in names)
    here, there = _digests(one), _digests(other)
    along = ((here - there) + (there - here)).total() / max(1, (here + there).total())
    printed = sum(ours != theirs for ours, theirs in zip(one.outputs, other.outputs, strict=False))
    return 5 * (1 - asked.ratio()) + 0.5 * pinned + along + 0.01 * printed


def _digests(sent: Sent) -> Counter[str]:
    return Counter(piece.digest for piece in sent.along)


def differences(here: Sent, there: Sent) -> list[str]:
    """Return in words how what is asked differs from what was recorded; empty where they are the same."""
    found = [*_of_question(here.question, there.question)]
    for name in sorted(here.parameters.keys() | there.parameters.keys()):
        ours, theirs = here.parameters.get(name), there.parameters.get(name)
        if ours != theirs:
            found.append(f"{name.replace('_', ' ')} is {_told(ours)} here and {_told(theirs)} there")
    found += _of_pieces(here, there)
    more = len(found) - SHOWN_DIFFERENCES
    return found if more <= 1 else [*found[:SHOWN_DIFFERENCES], f"{more} more"]


def _told(value: Parameter | None) -> str:
    return "not set" if value is None else repr(value)


def _of_question(here: str, there: str) -> Iterator[str]:
    if here == there:
        return
    if here.split() == there.split():
        yield "the question has other blanks or line ends"
        return
    start = next((at for at, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), min(len(here), len(there)))
    begin = max(0, start - SHOWN_CHARS // 3)
    yield f"the question says {_around(here, begin)} here and {_around(there, begin)} there"


def _around(text: str, begin: int) -> str:
    shown = text[begin : begin + SHOWN_CHARS]
    return repr(f"{'…' if begin else ''}{shown}{'…' if begin + SHOWN_CHARS < len(text) else ''}")


def _of_pieces(here: Sent, there: Sent) -> Iterator[str]:
    ours, theirs = _unmatched(here, there), _unmatched(there, here)
    # Of the same name, it was changed; whoever is left over was put in or taken out.
    for name in [piece.name for piece in ours if piece.name in {other.name for other in theirs}]:
        yield f"{name} was changed"
        ours = [piece for piece in ours if piece.name != name]
        theirs = [piece for piece in theirs if piece.name != name]
    for one, other in zip_longest(ours, theirs):
        if one and other:
            yield f"{one.name} goes along here and {other.name} there"
        elif one:
            yield f"{one.name} goes along here and not there"
        else:
            yield f"{other.name} went along there and not here"
    if _digests(here) != _digests(there):
        return
    if [piece.digest for piece in here.along] != [piece.digest for piece in there.along]:
        yield "what goes along stands in another order"
        return
    for one, other in zip(here.outputs, there.outputs, strict=False):
        if one.digest not in ("", other.digest):
            yield f"{one.name} was changed"


def _unmatched(one: Sent, other: Sent) -> list[Piece]:
    """Return the pieces that the other one has not, as often as they are."""
    left, missing = _digests(other), []
    for piece in one.along:
        if left[piece.digest]:
            left[piece.digest] -= 1
        else:
            missing.append(piece)
    return missing
