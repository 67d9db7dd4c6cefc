"""What is known of model families, and how a server's name for a model is matched to one of them."""

from __future__ import annotations

import functools
import math
import re
import tomllib
from collections.abc import Mapping
from importlib import resources

from pydantic import Field

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

# A name is compared by its words, never by substrings: "qwen2.5-coder" is not "qwen2.5".
_WORD = re.compile(r"\d+x\d+(?:\.\d+)?b|\d+(?:\.\d+)?[bm](?![a-z])|[a-z]+|\d+(?:\.\d+)*")
_SIZE = re.compile(r"(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([bm])")  # no model has more digits than that
_QUANTISATION = re.compile(
    r"[.\-_:@](?:ud-)?(?:i?q\d\w*|f16|fp16|bf16|f32|fp8|int[48]|awq|gptq|mlx|(?:bnb-)?\d+bit|gguf|\d+-of-\d+)"
    r"(?=$|[.\-_:@])"
)
_NOISE = frozenset({"instruct", "chat", "it", "gguf", "latest", "hf", "meta", "preview", "text", "model", "main"})

BYTES_PER_PARAMETER = 0.6
"""Of a file quantised to about 4.5 bits a weight, for guessing a model's size from its file's."""


MOST_SHRUNK = 3
"""A model that is smaller than its row says by more than this is another one: `deepseek-r1:latest` has 8 billion."""


class ModelInfo(Value):
    """A model as the catalog knows it, or as its name lets one guess.

    `tier` and `specialises_in` are for people who read the catalog or a candidate's `info`; nothing is decided by
    them, as `scores` say the same and more.
    """

    id: str
    family: str
    context_window: int | None = None
    """Tokens that it was trained for."""
    memory_gb: float | None = None
    """What it takes at 4 bits a weight."""
    tier: int = Field(ge=1, le=3)
    """1 best to 3 basic."""
    scores: Mapping[Task, float]
    """0 to 100 for each task."""
    specialises_in: tuple[Task, ...] = ()
    source: str
    """Where the scores come from; `"size"` marks a guess."""
    aliases: tuple[str, ...] = ()


class TaskList(Value):
    """The models that the catalog lists for one task, best first."""

    primary: tuple[str, ...]
    fallback: tuple[str, ...]


class Catalog(Value):
    """The known models."""

    model: tuple[ModelInfo, ...]
    lists: Mapping[Task, TaskList]

    @classmethod
    def load(cls) -> Catalog:
        """Return the catalog that is part of the package."""
        return _packaged()

    def describe(self, served: ServedModel) -> ModelInfo:
        """Return what is known of a served model; one that is not known is placed by its size."""
        info = self.match(served.id)
        return info if info and _has_its_size(info, served) else guess(served)

    def match(self, name: str) -> ModelInfo | None:
        """Return the model that a server's name means, or `None`."""
        return self._by_words.get(_words_and_tuning(name)) or self._by_words.get(words(name))

    @functools.cached_property
    def _by_words(self) -> dict[frozenset[str], ModelInfo]:
        named = [(name, info) for info in self.model for name in (info.id, *info.aliases)]
        plain = {words(name): info for name, info in reversed(named)}
        # Two rows may differ in "instruct" alone; then the one that says so is meant only where the name says so.
        return plain | {_words_and_tuning(name): info for name, info in named}


def words(name: str) -> frozenset[str]:
    """Return the words of a model's name that tell it from others: family, generation, line, size.

    The publisher's prefix, the quantisation and words such as "instruct" do not.

    Examples
    --------
    >>> words("Qwen/Qwen2.5-Coder-32B-Instruct-GGUF") == words("qwen2.5-coder:32b-instruct-q4_K_M")
    True
    >>> words("qwen2.5:32b") == words("qwen2.5-coder:32b")
    False
    """
    return frozenset(_in_order(name)) - _NOISE


def _words_and_tuning(name: str) -> frozenset[str]:
    return frozenset(_in_order(name)) - (_NOISE - {"instruct"})


def _in_order(name: str) -> list[str]:
    name = name.lower().rsplit("/", 1)[-1]
    while (shorter := _QUANTISATION.sub("", name)) != name:
        name = shorter
    return _WORD.findall(name)


def _has_its_size(info: ModelInfo, served: ServedModel) -> bool:
    billions = _told_billions(served)
    return not billions or not info.memory_gb or billions * BYTES_PER_PARAMETER * MOST_SHRUNK >= info.memory_gb


def guess(served: ServedModel) -> ModelInfo:
    """Place an unknown model by its number of parameters, and by the words of its name."""
    billions = _billions(served)
    quality = max(5.0, min(90.0, 40 + 25 * math.log10(billions))) if billions else 30.0
    scores = dict.fromkeys(Task, quality)
    named = words(served.id)
    if any(word in ("coder", "code", "starcoder") for word in named):
        scores[Task.CODING] += 5
        scores[Task.DOCUMENTATION] -= 5
    return ModelInfo(
        id=served.id,
        family=next((word for word in _in_order(served.id) if word.isalpha() and word in named), "unknown"),
        context_window=served.trained_window,
        memory_gb=billions and round(billions * BYTES_PER_PARAMETER, 1),
        tier=3 if quality < 75 else 2,
        scores=scores,
        source="size",
    )


def _told_billions(served: ServedModel) -> float | None:
    """Return how many billions of parameters the server tells, or its file's size lets one guess."""
    return (served.parameters or (served.size_bytes or 0) / BYTES_PER_PARAMETER) / 1e9 or None


def _billions(served: ServedModel) -> float | None:
    if served.parameters:
        return served.parameters / 1e9
    for word in _in_order(served.id):
        if found := _SIZE.fullmatch(word):
            times, number, unit = found.groups()
            return int(times or 1) * float(number) / (1 if unit == "b" else 1000)
    return _told_billions(served)


@functools.cache
def _packaged() -> Catalog:
    text = resources.files("jupyter_llmroute.core").joinpath("data/catalog.toml").read_text(encoding="utf-8")
    return Catalog.model_validate(tomllib.loads(text))
