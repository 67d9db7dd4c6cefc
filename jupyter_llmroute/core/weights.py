"""What the classifier learnt: a few thousand numbers in package data, read at the first use."""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

Scores = tuple[float, float, float, float]
"""For coding, reasoning, analysis, documentation."""

COLUMNS = 5
"""Of a feature: four tasks, and the need of code intelligence."""


class Weights(NamedTuple):
    """A linear model over features that are known by the checksums of their names."""

    rows: Mapping[int, int]
    """Where the numbers of a feature begin, by its checksum."""
    numbers: array[int]
    step: float
    """What one unit of a number weighs."""
    bias: tuple[float, ...]
    temperature: float
    """Divides the sums before the softmax, so that a confidence of 0.7 is right in about seven cases of ten."""
    voice: float
    """The weight of the words together, where there are few."""
    symbols_needed: float
    """The sum from which code intelligence is wanted."""

    def of(self, name: str) -> array[int] | None:
        """Return the numbers of a feature, unscaled; `None` where it says nothing."""
        start = self.rows.get(zlib.crc32(name.encode("utf-8", "surrogatepass")))
        return None if start is None else self.numbers[start : start + COLUMNS]

    def sums(self, names: Iterable[str]) -> list[float]:
        """Add up what features say."""
        rows, numbers, crc32 = self.rows, self.numbers, zlib.crc32
        a = b = c = d = e = 0
        for name in names:
            start = rows.get(crc32(name.encode("utf-8", "surrogatepass")))
            if start is not None:
                a += numbers[start]
                b += numbers[start + 1]
                c += numbers[start + 2]
                d += numbers[start + 3]
                e += numbers[start + 4]
        return [self.step * each for each in (a, b, c, d, e)]

    def share(self, words: int) -> float:
        """Return how much each of so many words counts."""
        return float(self.voice * 4 / max(16.0, words / 4) ** 0.5)


@cache
def weights() -> Weights:
    """Return the weights that come with the package."""
    data = files("jupyter_llmroute.core").joinpath("data")
    return unpack(data.joinpath("classifier.bin").read_bytes(), json.loads(data.joinpath("classifier.json").read_text()))


def unpack(packed: bytes, about: Mapping[str, Any]) -> Weights:
    """Read checksums, then numbers, both little-endian; `about` tells the rest."""
    count = about["features"]
    checksums, numbers = array("I"), array("h")
    checksums.frombytes(packed[: 4 * count])
    numbers.frombytes(packed[4 * count :])
    if sys.byteorder == "big":
        checksums.byteswap()
        numbers.byteswap()
    return Weights(
        rows=dict(zip(checksums, range(0, COLUMNS * count, COLUMNS), strict=True)),
        numbers=numbers,
        step=about["step"],
        bias=tuple(about["bias"]),
        temperature=about["temperature"],
        voice=about["voice"],
        symbols_needed=about["symbols_needed"],
    )
