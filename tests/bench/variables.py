"""What describing variables costs: a frame of 10 GB, a wide one, a hundred variables, and one that hangs.

Run: python tests/bench/variables.py  (with numpy, pandas and polars installed)
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from jupyter_llmroute.variables import Limits, describe_all

ROUNDS = 15


def tall() -> pd.DataFrame:
    """10 GB of zeros, which the system allocates page by page when they are read."""
    return pd.DataFrame(np.zeros((250_000_000, 5)), columns=list("abcde"), copy=False)


def square() -> pd.DataFrame:
    """10 GB in a thousand columns: the rows of a column lie 8 kB apart."""
    return pd.DataFrame(np.zeros((1_250_000, 1_000)), copy=False)


def wide() -> pd.DataFrame:
    """A hundred thousand columns."""
    return pd.DataFrame(np.zeros((20, 100_000)), columns=[f"column {n}" for n in range(100_000)])


def objects() -> pd.DataFrame:
    """Forty columns of texts and other objects, a hundred thousand rows."""
    return pd.DataFrame({f"c{n}": ["abc", None, 5, [1]] * 25_000 for n in range(40)})


def hundred() -> dict[str, Any]:
    """A session's variables of all kinds."""
    frame = pd.DataFrame({"a": range(1000), "b": ["x", "y"] * 500})
    kinds = (
        frame,
        frame["a"],
        frame.to_numpy(dtype=object),
        {"a": [1, {"b": 2}]},
        "text " * 100,
        5,
        tall_text,
        pl.from_pandas(frame[["a"]]),
        threading.Lock(),
        [1, 2, 3],
    )
    return {f"v{n}": kinds[n % len(kinds)] for n in range(100)}


def tall_text() -> str:
    """Return nothing much; its source is described."""
    return ""


class Hanging(pd.DataFrame):
    """Never says its shape."""

    @property
    def shape(self) -> Any:
        threading.Event().wait()


def timed(variables: dict[str, Any], *, values: bool, rounds: int = ROUNDS) -> str:
    """Return median and longest milliseconds of describing them, and how many were given up."""
    took, given_up = [], 0
    for _ in range(rounds):
        started = time.perf_counter()
        found = describe_all(variables, values=values, limits=Limits())
        took.append((time.perf_counter() - started) * 1e3)
        given_up = max(given_up, sum("because" in item.text for item in found))
    return f"{statistics.median(took):8.1f} {max(took):8.1f} {given_up:9}"


def main() -> None:
    """Print a line for each case."""
    cases: dict[str, Callable[[], dict[str, Any]]] = {
        "10 GB, 5 columns": lambda: {"df": tall()},
        "10 GB, 1,000 columns": lambda: {"df": square()},
        "100,000 columns": lambda: {"df": wide()},
        "objects, 40 columns": lambda: {"df": objects()},
        "polars, 40 columns": lambda: {"df": pl.DataFrame({f"c{n}": np.zeros(1_000_000) for n in range(40)})},
        "array of 10 GB": lambda: {"a": np.zeros((1250, 1000, 1000))},
        "100 variables": hundred,
        "one hangs, nine do not": lambda: {"bad": Hanging({"a": [1]})} | dict(list(hundred().items())[:9]),
    }
    print(f"{'ms':24} {'values':>6} {'median':>8} {'longest':>8} {'given up':>9}")
    for name, make in cases.items():
        variables = make()
        for values in (False, True):
            print(f"{name:24} {'yes' if values else 'no':>6} {timed(variables, values=values)}")
        del variables


if __name__ == "__main__":
    main()
