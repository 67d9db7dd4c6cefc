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
_SIZE = re.compile(r"(?:(\d+)x)?(\d+(?:\.\d+)?)([bm])")
_QUANTISATION = re.compile(
    r"[.\-_:](?:ud-)?(?:i?q\d\w*|f16|fp16|bf16|f32|fp8|int[48]|awq|gptq|mlx|\d+bit|gguf)(?=$|[.\-_:])"
)
_NOISE = frozenset({"instruct", "chat", "it", "gguf", "latest", "hf", "meta", "preview", "text", "model", "main"})

BYTES_PER_PARAMETER = 0.6
"""Of a file quantised to about 4.5 bits a weight, for guessing a model's size from its file's."""


class ModelInfo(Value):
    """A model as the catalog knows it, or as its name lets one guess."""

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
        return self.match(served.id) or guess(served)

    def match(self, name: str) -> ModelInfo | None:
        """Return the model that a server's name means, or `None`."""
        return self._by_words.get(words(name))

    @functools.cached_property
    def _by_words(self) -> dict[frozenset[str], ModelInfo]:
        index: dict[frozenset[str], ModelInfo] = {}
        for info in self.model:
            for name in (info.id, *info.aliases):
                index.setdefault(words(name), info)
        return index


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
    name = name.lower().rsplit("/", 1)[-1]
    while (shorter := _QUANTISATION.sub("", name)) != name:
        name = shorter
    return frozenset(_WORD.findall(name)) - _NOISE


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
        family=next((word for word in sorted(named) if word.isalpha()), "unknown"),
        context_window=served.trained_window,
        memory_gb=billions and round(billions * BYTES_PER_PARAMETER, 1),
        tier=3 if quality < 75 else 2,
        scores=scores,
        source="size",
    )


def _billions(served: ServedModel) -> float | None:
    if served.parameters:
        return served.parameters / 1e9
    for word in words(served.id):
        if found := _SIZE.fullmatch(word):
            times, number, unit = found.groups()
            return int(times or 1) * float(number) / (1 if unit == "b" else 1000)
    return served.size_bytes and served.size_bytes / BYTES_PER_PARAMETER / 1e9


@functools.cache
def _packaged() -> Catalog:
    text = resources.files("jupyter_llmroute.core").joinpath("data/catalog.toml").read_text(encoding="utf-8")
    return Catalog.model_validate(tomllib.loads(text))
