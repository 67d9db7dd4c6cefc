"""How long it takes to tell the task of a question.

`python tests/bench/classify.py` prints the first call, which reads the package data, then median and 99th percentile in
milliseconds by length of the question, over the requests of `tests/data/requests`. Each is asked once, as in life: what
was met before helps, what is new must be looked up.
"""

import itertools
import json
import statistics
import time
from pathlib import Path

from jupyter_llmroute.core.classifier import classify_text

LENGTHS = (0, 40, 150, 800, 3000, 10_000)
REQUESTS = Path(__file__).parents[1] / "data" / "requests"


def timed(text: str) -> float:
    """Return the milliseconds that a text takes."""
    start = time.perf_counter()
    classify_text(text)
    return 1000 * (time.perf_counter() - start)


def line(title: str, took: list[float]) -> str:
    """Return a row of the table."""
    worst = statistics.quantiles(took, n=100)[98] if len(took) > 1 else took[0]
    return f"{title:>16} {len(took):6} {statistics.median(took):8.3f} {worst:8.3f}"


def main() -> None:
    """Print the table."""
    print(f"first call: {timed('hello'):.1f} ms")
    texts = [
        json.loads(row)["text"]
        for path in sorted(REQUESTS.glob("requests-*.jsonl"))
        for row in path.read_text("utf-8").splitlines()
    ]
    took = [(len(text), timed(text)) for text in texts]
    print(f"{'characters':>16} {'n':>6} {'median':>8} {'p99':>8}")
    for low, high in itertools.pairwise(LENGTHS):
        print(line(f"{low} to {high - 1}", [ms for length, ms in took if low <= length < high]))
    print(line("all", [ms for _, ms in took]))
    print(line("4,000, of prose", [timed(("Why does this fail? " * 200)[n : n + 4000]) for n in range(100)]))
    print(line("100 kB", [timed("x = compute(1)\n" * 7000) for _ in range(20)]))


if __name__ == "__main__":
    main()
