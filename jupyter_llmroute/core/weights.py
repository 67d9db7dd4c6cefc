"""What the classifier learnt: small numbers in package data, read at the first use.

A small net with one hidden layer looks at the features, a linear model at the phrases, and their sums are added. Each
feature has a row of bytes, one for each *lane*: what it says outright for the four tasks and for the need of code
intelligence, and what it gives to each hidden unit; a phrase has a lane for each task. What a feature says outright for
the tasks is told as evidence and not added: the net knows better. Rows are added as one long integer, of which every
lane has four bytes.
"""

from __future__ import annotations

import json
import sys
import zlib
from array import array
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from importlib.resources import files
from operator import add, mul
from typing import Any, NamedTuple

TASKS = 4
OUTRIGHT = TASKS + 1
"""Lanes of the linear models: the tasks, and the need of code intelligence. Those of the hidden units follow."""

_ZERO = 128
"""Added to each number in a row, so that none is negative."""

_PARTS = 64
"""A feature of structure counts so many times, a word fewer: sums stay whole numbers, in 32 bits."""


_MOST_MET = 50_000
"""Features that are remembered, at about 300 bytes each."""


class Answer(NamedTuple):
    """What the features of a text add up to."""

    tasks: list[float]
    """One sum for each task."""
    symbols: float
    """Above 0 where code intelligence is wanted."""


class Met(dict[str, int]):
    """Rows as integers, by name, of the features that were met; 0 for one that has none.

    Beyond the bytes there is one more lane, with a 1: in a sum it tells how many rows there are in it.
    """

    def __init__(self, places: Mapping[int, int], packed: bytes, width: int) -> None:
        super().__init__()
        self._places, self._packed, self._width = places, packed, width

    def lanes(self, total: int) -> array[int]:
        """Part a sum of rows into its lanes, the last of which is their number."""
        sums = array("I", total.to_bytes(4 * self._width + 4, "little"))
        if sys.byteorder == "big":
            sums.byteswap()
        return sums

    def read(self, name: str) -> bytes:
        """Return the row of a feature; empty where it has none."""
        place = self._places.get(zlib.crc32(name.encode("utf-8", "surrogatepass")))
        return b"" if place is None else self._packed[place : place + self._width]

    def __missing__(self, name: str) -> int:
        if len(self) >= _MOST_MET:
            self.clear()
        row, found = 0, self.read(name)
        if found:
            lanes = bytearray(4 * self._width)
            lanes[::4] = found
            row = int.from_bytes(lanes + b"\1", "little")
        self[name] = row
        return row


class Weights(NamedTuple):
    """A model over features that are known by the checksums of their names."""

    steps: tuple[float, ...]
    """What one unit weighs, by lane, in a sum of which each feature is a part of `_PARTS`."""
    bias: tuple[float, ...]
    """By lane."""
    out: tuple[tuple[float, ...], ...]
    """For each task, what each hidden unit says for it."""
    out_bias: tuple[float, ...]
    temperature: float
    """Divides the sums before the softmax, so that a confidence of 0.7 is right in about seven cases of ten."""
    voice: float
    """The weight of the words together, where there are few."""
    met: Met
    phrases: Met
    phrase_steps: tuple[float, ...]
    phrase_bias: tuple[float, ...]
    spoken: dict[str, list[float]]
    """What those features say outright that can be told."""

    def answer(self, structure: Collection[str], words: Collection[str], phrases: Collection[str]) -> Answer:
        """Add up what the features and the phrases of a text say."""
        share = max(1, round(_PARTS * self.voice * 4 / max(16.0, len(words) / 4) ** 0.5))
        row = self.met.__getitem__
        sums = self.met.lanes(_PARTS * sum(map(row, structure)) + share * sum(map(row, words)))
        zero = _ZERO * sums.pop()
        lanes = [bias + step * (value - zero) for bias, step, value in zip(self.bias, self.steps, sums, strict=True)]
        hidden = [value if value > 0 else 0.0 for value in lanes[OUTRIGHT:]]
        out = (bias + sum(map(mul, hidden, row)) for bias, row in zip(self.out_bias, self.out, strict=True))
        return Answer(list(map(add, out, self._spoken(phrases))), lanes[TASKS])

    def _spoken(self, phrases: Collection[str]) -> Iterator[float]:
        """Return what the phrases say for each task; the more of them are known, the less each."""
        sums = self.phrases.lanes(sum(map(self.phrases.__getitem__, phrases)))
        known = sums.pop()
        share, zero = max(4, known) ** -0.5, _ZERO * known
        told = zip(self.phrase_bias, self.phrase_steps, sums, strict=True)
        return (bias + share * step * (value - zero) for bias, step, value in told)

    def phrase_says(self, phrase: str) -> list[float]:
        """Return what one phrase says for each task; nothing of one that is not known."""
        steps = self.phrase_steps
        return [(value - _ZERO) * step for value, step in zip(self.phrases.read(phrase), steps, strict=False)]

    def says(self, name: str) -> list[float]:
        """Return what one feature says outright for each task."""
        if (told := self.spoken.get(name)) is None:
            row = self.met.read(name)[:TASKS] or bytes([_ZERO] * TASKS)
            told = [(value - _ZERO) * step * _PARTS for value, step in zip(row, self.steps, strict=False)]
            self.spoken[name] = told
        return told


@cache
def weights() -> Weights:
    """Return the weights that come with the package."""
    data = files("jupyter_llmroute.core").joinpath("data")
    about = json.loads(data.joinpath("classifier.json").read_text("utf-8"))
    return unpack(data.joinpath("classifier.bin").read_bytes(), about)


def unpack(packed: bytes, about: Mapping[str, Any]) -> Weights:
    """Read the features, then the phrases; `about` tells the rest."""
    end = about["features"] * (4 + len(about["steps"]))
    return Weights(
        steps=tuple(step / _PARTS for step in about["steps"]),
        bias=tuple(about["bias"]),
        out=tuple(zip(*about["out"], strict=True)),
        out_bias=tuple(about["out_bias"]),
        temperature=about["temperature"],
        voice=about["voice"],
        met=_rows(packed[:end], len(about["steps"])),
        phrases=_rows(packed[end:], TASKS),
        phrase_steps=tuple(about["phrase_steps"]),
        phrase_bias=tuple(about["phrase_bias"]),
        spoken={},
    )


def _rows(packed: bytes, width: int) -> Met:
    """Read checksums, four bytes each and little-endian, then as many rows."""
    count = len(packed) // (4 + width)
    checksums = array("I")
    checksums.frombytes(packed[: 4 * count])
    if sys.byteorder == "big":
        checksums.byteswap()
    places = dict(zip(checksums, range(0, width * count, width), strict=True))
    return Met(places, packed[4 * count :], width)
