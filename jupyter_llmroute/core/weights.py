"""What the classifier learnt: small numbers in package data, read at the first use.

A linear model and a small net with one hidden layer look at the same features, and their sums are averaged. Each
feature has a row of bytes, one for each *lane*: what it says for the four tasks and for the need of code intelligence,
and what it gives to each hidden unit. Rows are added as one long integer, of which every lane has four bytes.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Collection, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

TASKS = 4
OUTRIGHT = TASKS + 1
"""Lanes of the linear model: the tasks, and the need of code intelligence. Those of the hidden units follow."""

_ZERO = 128
"""Added to each number in a row, so that none is negative."""


class Answer(NamedTuple):
    """What the features of a text add up to."""

    tasks: list[float]
    """One sum for each task."""
    symbols: float
    """Above 0 where code intelligence is wanted."""


class Weights(NamedTuple):
    """A model over features that are known by the checksums of their names."""

    rows: Mapping[int, int]
    """Where the row of a feature begins, by its checksum."""
    packed: bytes
    steps: tuple[float, ...]
    """What one unit weighs, by lane."""
    bias: tuple[float, ...]
    """By lane."""
    out: tuple[tuple[float, ...], ...]
    """What each hidden unit says for each task."""
    out_bias: tuple[float, ...]
    temperature: float
    """Divides the sums before the softmax, so that a confidence of 0.7 is right in about seven cases of ten."""
    voice: float
    """The weight of the words together, where there are few."""

    def answer(self, structure: Collection[str], words: Collection[str]) -> Answer:
        """Add up what the features of a text say."""
        share = self.voice * 4 / max(16.0, len(words) / 4) ** 0.5
        lanes = [
            bias + step * (shape + share * word)
            for bias, step, shape, word in zip(self.bias, self.steps, self.add(structure), self.add(words), strict=True)
        ]
        tasks = [one + other for one, other in zip(lanes, self.out_bias, strict=False)]
        for value, row in zip(lanes[OUTRIGHT:], self.out, strict=True):
            if value > 0:
                for task, weight in enumerate(row):
                    tasks[task] += value * weight
        return Answer([value / 2 for value in tasks], lanes[TASKS])

    def add(self, names: Collection[str]) -> list[int]:
        """Add up the rows of features, by lane."""
        rows, packed, crc32, width = self.rows, self.packed, zlib.crc32, len(self.steps)
        lanes, total, count = bytearray(4 * width), 0, 0
        from_bytes = int.from_bytes
        for name in names:
            start = rows.get(crc32(name.encode("utf-8", "surrogatepass")))
            if start is not None:
                lanes[::4] = packed[start : start + width]
                total += from_bytes(lanes, "little")
                count += 1
        sums = array("I", total.to_bytes(4 * width, "little"))
        if sys.byteorder == "big":
            sums.byteswap()
        return [value - count * _ZERO for value in sums]

    def says(self, name: str) -> list[float]:
        """Return what one feature says for each task, by the linear model."""
        start = self.rows.get(zlib.crc32(name.encode("utf-8", "surrogatepass")))
        if start is None:
            return [0.0] * TASKS
        row = self.packed[start : start + TASKS]
        return [(value - _ZERO) * step for value, step in zip(row, self.steps, strict=False)]


@cache
def weights() -> Weights:
    """Return the weights that come with the package."""
    data = files("jupyter_llmroute.core").joinpath("data")
    return unpack(data.joinpath("classifier.bin").read_bytes(), json.loads(data.joinpath("classifier.json").read_text()))


def unpack(packed: bytes, about: Mapping[str, Any]) -> Weights:
    """Read checksums, four bytes each and little-endian, then rows; `about` tells the rest."""
    count, width = about["features"], len(about["steps"])
    checksums = array("I")
    checksums.frombytes(packed[: 4 * count])
    if sys.byteorder == "big":
        checksums.byteswap()
    return Weights(
        rows=dict(zip(checksums, range(0, width * count, width), strict=True)),
        packed=packed[4 * count :],
        steps=tuple(about["steps"]),
        bias=tuple(about["bias"]),
        out=tuple(map(tuple, about["out"])),
        out_bias=tuple(about["out_bias"]),
        temperature=about["temperature"],
        voice=about["voice"],
    )
