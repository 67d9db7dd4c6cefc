"""What is known of model families, and how a server's name for a model is matched to one of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from jupyter_llmroute.core import naming
from jupyter_llmroute.core.catalog_tables import read_tables
from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.naming import identity, same_model, words
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

__all__ = [
    "Catalog",
    "ModelInfo",
    "Source",
    "TaskList",
    "guess",
    "identity",
    "memory_bytes",
    "same_model",
    "words",
]

CACHE_SHARE = 0.1
"""What the cache of a conversation and the buffers add to the weights, as a share of these: enough for some 8,000
tokens; long windows take more."""

TIERS = ((32.0, 1), (7.5, 2))
"""From so many GB at 4 bits on, the tier; what is smaller has the third: two graphics cards, one, or a laptop."""

MOST_SHRUNK = 3
"""A file that is smaller than its row says by more than this holds another model, as in `deepseek-r1:latest`."""

MOST_APART = 1.5
"""A told number of parameters that differs from the row's by more than this belongs to another model."""

MOST_KEPT = 8192
"""Descriptions kept for the next decision."""

INSTRUCT = "instruct"
"""The word that tells two rows apart that are otherwise the same; of all other rows it says nothing."""

GUESSED, YOURS = "size", "your settings"
"""Sources of scores that no row of the package gives: guessed from the size, and set by the user."""


class Source(Value):
    """Where figures were published."""

    title: str
    address: str | None = None
    """`None` for what is no publication: an opinion, the user's first figures, a rule."""
    figures: str
    """Which of its figures are used."""


class ModelInfo(Value):
    """A model as the catalog knows it, or as its name lets one guess.

    `tier` and `specialises_in` are for people who read the catalog or a candidate's `info`; nothing is decided by
    them, as `scores` say the same and more.
    """

    id: str
    family: str = Field(min_length=1)
    context_window: int | None = Field(None, gt=0)
    """Tokens that it was trained for."""
    parameters: int | None = Field(None, gt=0)
    """All of them, the experts of a mixture too: this is what must fit into memory."""
    active_parameters: int | None = Field(None, gt=0)
    """Of a mixture of experts, those that one token passes through: this is what takes time; `None` for all."""
    scores: Mapping[Task, float]
    """0 to 100 for each task."""
    sources: Mapping[Task, str]
    """Where each score comes from: a key of the catalog's `sources`, and after a colon the figure or the reason.

    `"size"` marks a guess, `"your settings"` what the user set.
    """
    specialises_in: tuple[Task, ...] = ()
    aliases: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """`"size"` where every score is guessed from the size, else `"catalog"`."""
        return GUESSED if set(self.sources.values()) == {GUESSED} else "catalog"

    @property
    def memory_gb(self) -> float | None:
        """What it takes at 4 bits a weight, its cache included; `None` where the size is not known."""
        need = _need(self.parameters, naming.DEFAULT_BITS)
        return round(need / 1e9, 1) if need else None

    @property
    def tier(self) -> int:
        """1 best to 3 basic, by what it takes at 4 bits a weight."""
        return next((tier for least, tier in TIERS if (self.memory_gb or 0) >= least), 3)


class TaskList(Value):
    """The models that the catalog lists for one task, best first."""

    primary: tuple[str, ...]
    fallback: tuple[str, ...]


class Catalog(Value):
    """The known models."""

    model: tuple[ModelInfo, ...]
    lists: Mapping[Task, TaskList]
    sources: Mapping[str, Source] = {}
    """What the keys in a model's `sources` stand for."""

    @classmethod
    def load(cls) -> Catalog:
        """Return the catalog that is part of the package."""
        return _packaged()

    def extended(self, entries: Sequence[Mapping[str, Any]]) -> Catalog:
        """Return the catalog with the user's own models, and with what they say of known ones.

        Parameters
        ----------
        entries
            Fields of `ModelInfo`; `id` is needed. Of a known model only what is given replaces what is known; a new
            one is placed by its size where nothing is given. `parameters` may be written as in names: `"7b"`.

        Raises
        ------
        SettingsError
            When an entry does not read; it says which, and which field.

        Examples
        --------
        >>> mine = Catalog.load().extended([{"id": "phi-4", "scores": {"coding": 90}}])
        >>> mine.match("phi4:14b").scores[Task.CODING]
        90.0
        """
        rows = {info.id: info for info in self.model}
        added: dict[str, ModelInfo] = {}
        for number, entry in enumerate(entries, 1):
            info = _amended(self, rows | added, entry, number)
            (rows if info.id in rows else added)[info.id] = info
        return Catalog(model=(*added.values(), *rows.values()), lists=self.lists, sources=self.sources)

    def describe(self, served: ServedModel) -> ModelInfo:
        """Return what is known of a served model; one that is not known is placed by its size."""
        key = (served.id, served.parameters, served.size_bytes, served.trained_window)
        if (found := self._described.get(key)) is None:
            if len(self._described) >= MOST_KEPT:
                self._described.clear()
            found = self._described[key] = self._describe(served)
        return found

    def match(self, name: str) -> ModelInfo | None:
        """Return the model that a server's name means, or `None`.

        A row of the very same words is meant before one that differs in a date or a window.
        """
        known, tuned = self._by_words, _tuned(name)
        for found in (tuned, naming.without_edition(naming.without_window(tuned))):
            telling = found - {INSTRUCT}
            if info := known.get(found) or known.get(telling) or known.get(naming.without_active(telling)):
                return info
        if (told := naming.size(name)) is None:
            return None
        line = self._lines.get(naming.without_size(telling), ())
        # "phi4:14b" means the row "phi-4", whose id tells no size, but "qwen3:9b" not the row "qwen3-8b".
        return _nearest((info for info in line if naming.size(info.id) is None), told.total, 1 + naming.ALIKE)

    def _describe(self, served: ServedModel) -> ModelInfo:
        info = self.match(served.id)
        if info and _has_its_size(info, served):
            return info
        return self._of_its_size(served) or self._changed(served) or guess(served)

    def _of_its_size(self, served: ServedModel) -> ModelInfo | None:
        """Return the model of the named line that has the size which the server tells and the name does not."""
        if not served.parameters or naming.size(served.id):
            return None
        line = self._lines.get(naming.without_size(words(served.id)), ())
        return _nearest(line, served.parameters, 1 + naming.ALIKE)

    def _changed(self, served: ServedModel) -> ModelInfo | None:
        """Return a known model that somebody changed and whose name says how, such as "abliterated"."""
        telling = words(served.id)
        changes = telling & CHANGES
        info = self._by_words.get(telling - changes) if changes else None
        if info is None or not _has_its_size(info, served):
            return None
        because = f"placed: as {info.id} less {CHANGE_COST:.0f}, for its name says {' '.join(sorted(changes))}"
        scores = {task: max(0.0, score - CHANGE_COST) for task, score in info.scores.items()}
        return info.model_copy(
            update={"id": served.id, "aliases": (), "scores": scores, "sources": dict.fromkeys(Task, because)}
        )

    @functools.cached_property
    def _described(self) -> dict[tuple[str, int | None, int | None, int | None], ModelInfo]:
        return {}

    @functools.cached_property
    def _by_words(self) -> dict[frozenset[str], ModelInfo]:
        # From the last row to the first, so that of two rows the first is meant; the user's own come first.
        named = [(name, info) for info in reversed(self.model) for name in (*reversed(info.aliases), info.id)]
        short = {naming.without_active(words(name)): info for name, info in named}
        plain = {words(name): info for name, info in named}
        # Two rows may differ in "instruct" alone; then the one that says so is meant only where the name says so.
        return short | plain | {_tuned(name): info for name, info in named}

    @functools.cached_property
    def _lines(self) -> dict[frozenset[str], tuple[ModelInfo, ...]]:
        lines: dict[frozenset[str], dict[str, ModelInfo]] = {}
        for info in self.model:
            for name in (info.id, *info.aliases):
                lines.setdefault(naming.without_size(words(name)), {})[info.id] = info
        return {line: tuple(rows.values()) for line, rows in lines.items()}


def guess(served: ServedModel) -> ModelInfo:
    """Place an unknown model by its number of parameters, and by the words of its name."""
    size = naming.size(served.id)
    told = served.parameters or (served.size_bytes or 0) * 8 / naming.DEFAULT_BITS or None
    total = served.parameters or (size and size.total) or told
    active = size.active if size and total == size.total else None
    # Of a mixture the geometric mean of all and active parameters is about the dense model that does as well.
    billions = math.sqrt(total * (active or total)) / 1e9 if total else None
    quality = max(5.0, min(90.0, 40 + 25 * math.log10(billions))) if billions else 30.0
    scores = dict.fromkeys(Task, quality)
    telling = words(served.id)
    for word, gains in WORD_GAINS.items():
        if word in telling:
            scores = {task: scores[task] + gain for task, gain in zip(Task, gains, strict=True)}
    in_order = naming.in_order(served.id)
    return ModelInfo(
        id=served.id,
        family=next((word for word in in_order if word.isalpha() and word in telling), "unknown"),
        context_window=served.trained_window,
        parameters=int(total) if total else None,
        active_parameters=int(active) if active else None,
        scores={task: max(0.0, min(100.0, score)) for task, score in scores.items()},
        sources=dict.fromkeys(Task, GUESSED),
    )


WORD_GAINS: Mapping[str, tuple[float, float, float, float]] = {
    # coding, reasoning, analysis, documentation
    "coder": (5, 0, 0, -5),
    "code": (5, 0, 0, -5),
    "starcoder": (5, 0, 0, -5),
    "sql": (3, -5, -5, -10),
    "math": (-5, 5, 0, -10),
    "reasoning": (3, 6, 4, 0),
    "reasoner": (3, 6, 4, 0),
    "thinking": (3, 6, 4, 0),
    "distill": (2, 4, 2, 0),
    "vision": (-2, -2, -2, 0),
    "vl": (-2, -2, -2, 0),
    "base": (-15, -15, -15, -20),  # not tuned to answer
    "roleplay": (-10, -10, -10, -5),
    "draft": (-20, -20, -20, -20),
    "guard": (-40, -40, -40, -40),  # judges texts
    "reward": (-40, -40, -40, -40),
    "embed": (-40, -40, -40, -40),
    "embedding": (-40, -40, -40, -40),
    "reranker": (-40, -40, -40, -40),
}
"""Points that the words of an unknown model's name are worth; an opinion, checked by no figure."""

CHANGES = frozenset("abliterated uncensored heretic josiefied lorablated unaligned finetune finetuned lora".split())
"""Words that say that somebody changed a model, mostly to refuse less."""

CHANGE_COST = 3.0
"""Points that such a change costs; an opinion, checked by no figure."""


def memory_bytes(info: ModelInfo, served: ServedModel) -> int | None:
    """Return how many bytes of memory a served model takes, its cache included; `None` where nothing tells its size.

    Parameters
    ----------
    info
        What the catalog says of it, for its number of parameters.
    served
        What the server says: the size of the file where told, else the quantisation, else that in its name. Where
        nobody tells it, 4 bits a weight are counted.
    """
    if served.size_bytes:
        return round(served.size_bytes * (1 + CACHE_SHARE))
    packed = served.quantisation or naming.quantisation(served.id)
    return _need(
        served.parameters or info.parameters, (packed and naming.bits_per_weight(packed)) or naming.DEFAULT_BITS
    )


def _need(parameters: int | None, bits: float) -> int | None:
    return round(parameters * bits / 8 * (1 + CACHE_SHARE)) if parameters else None


def _tuned(name: str) -> frozenset[str]:
    found = words(name)
    return found | {INSTRUCT} if INSTRUCT in naming.in_order(name) else found


def _nearest(rows: Iterable[ModelInfo], parameters: float, most_apart: float) -> ModelInfo | None:
    """Return the row whose number of parameters is nearest, `None` where all are further apart than that."""
    near = [(_apart(info.parameters, parameters), info) for info in rows if info.parameters]
    apart, info = min(near, key=lambda pair: pair[0], default=(math.inf, None))
    return info if apart <= most_apart else None


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other)


def _has_its_size(info: ModelInfo, served: ServedModel) -> bool:
    if not info.parameters:
        return True
    if served.parameters:
        return _apart(info.parameters, served.parameters) <= MOST_APART
    need = _need(info.parameters, naming.DEFAULT_BITS)
    return not (served.size_bytes and need) or served.size_bytes * MOST_SHRUNK >= need


def _amended(catalog: Catalog, rows: Mapping[str, ModelInfo], entry: Mapping[str, Any], number: int) -> ModelInfo:
    """Return the row that a user's entry makes of a known one, or of what a new one's name lets one guess."""
    name = entry.get("id")
    where = f"The catalog's entry {name!r}" if isinstance(name, str) and name else f"Entry {number} for the catalog"
    if not isinstance(name, str) or not name:
        raise SettingsError(f"{where} has no name: {dict(entry)!r}. Give it an id, such as 'my-model-7b'.")
    given = {**entry, "parameters": _parameters(entry.get("parameters"))} if "parameters" in entry else dict(entry)
    known = rows.get(name) or catalog.match(name)
    base = rows.get(known.id, known) if known else _guess_of(name, given)
    scores = given.get("scores", {})
    told = scores if isinstance(scores, Mapping) else {}
    fields = {
        **base.model_dump(),
        **given,
        "id": base.id,
        "scores": {**base.scores, **told} if isinstance(scores, Mapping) else scores,
        "sources": {**base.sources, **{task: YOURS for task in Task if task in told}},
    }
    try:
        amended = ModelInfo.model_validate(fields)
        _check_scores(amended)
    except (ValidationError, ValueError) as error:
        raise SettingsError(f"{where} does not read: {_explain(error)}. Mend or remove that field.") from None
    return amended


def _guess_of(name: str, given: Mapping[str, Any]) -> ModelInfo:
    parameters = given.get("parameters")
    return guess(ServedModel(id=name, parameters=parameters if isinstance(parameters, int) else None))


def _parameters(told: object) -> object:
    size = naming.size(told) if isinstance(told, str) else None
    return int(size.total) if size else int(told) if isinstance(told, float) and told.is_integer() else told


def _check_scores(info: ModelInfo) -> None:
    for task, score in info.scores.items():
        if not 0 <= score <= 100:
            raise ValueError(f"scores.{task} is {score!r}, and must be from 0 to 100")


def _explain(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    return "; ".join(
        f"{'.'.join(map(str, found['loc']))} is {found['input']!r}: {found['msg']}" for found in error.errors()
    )


@functools.cache
def _packaged() -> Catalog:
    return Catalog.model_validate(read_tables())
