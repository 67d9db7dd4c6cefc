"""What the arbiter adds where two tasks are close, and how long it takes.

`python tests/bench/arbiter.py` asks the built-in server's demonstration model about the requests of
`tests/data/requests/requests-dev.jsonl` that are close. The weights in the package have learnt from these very records,
so that few are close and the classifier is right more often than on what it has not seen: `--scores FILE` takes
probabilities that were worked out with each record's source held out, JSON lines of `id` and `scores`, and reads the
close ones of all records. `--model NAME` asks a model of that name, in memory on a server that your settings allow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jupyter_llmroute.core.arbiter import WORTH, answer, closest, question, settled
from jupyter_llmroute.core.classifier import TASKS, Classification, classify_text
from jupyter_llmroute.core.embedded import EmbeddedBackend, fetch_demo, find_models
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.route import Candidate
from jupyter_llmroute.core.router import Router
from jupyter_llmroute.core.settings import Settings

REQUESTS = Path(__file__).parents[1] / "data" / "requests"
LIMIT_S = Settings().classifier.arbiter_limit_s


class Case(NamedTuple):
    """A close request, what is right, and what was found without the arbiter."""

    text: str
    right: tuple[str, ...]
    """The label, and perhaps a second one that can be defended."""
    found: Classification


class Asked(NamedTuple):
    """A case with the arbiter's word."""

    case: Case
    share: float | None
    took_s: float

    def after(self, worth: float, limit_s: float = math.inf) -> Classification:
        """Return what is found with it, where it may take so long."""
        if self.share is None or self.took_s > limit_s:
            return self.case.found
        return settled(self.case.found, closest(self.case.found), self.share, worth, "it")


def cases(scores: Path | None) -> Iterator[Case]:
    """Yield the close requests."""
    held_out = {row["id"]: row["scores"] for row in lines(scores)} if scores else None
    for path in sorted(REQUESTS.glob("requests-*.jsonl" if scores else "requests-dev.jsonl")):
        for record in lines(path):
            if held_out is None:
                found = classify_text(record["text"])
            elif record["id"] in held_out:
                found = classification({task: held_out[record["id"]][task] for task in TASKS})
            else:
                continue
            if found.rival:
                yield Case(record["text"], (record["label"], record.get("alt") or record["label"]), found)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the values of JSON lines."""
    return map(json.loads, path.read_text("utf-8").splitlines())


def classification(scores: dict[Any, float]) -> Classification:
    """Return probabilities as a classification."""
    best = max(TASKS, key=scores.__getitem__)
    return Classification(
        task=best, confidence=scores[best], scores=scores, evidence=("held out",), needs_symbols=False
    )


async def ask_all(wanted: str | None, close: Sequence[Case]) -> list[Asked]:
    """Ask the arbiter about every case, one after another and without a limit."""
    settings = Settings.load() if wanted else Settings(embedded={"model_path": fetch_demo()})
    with EmbeddedBackend(settings.embedded) as backend:
        if not wanted:
            await backend.ensure(find_models(settings.embedded)[0])
        async with Router(settings) as router:
            route = (
                await router.decide(Request(question="?", model=wanted, service=None if wanted else "embedded"))
            ).route
            candidate = next(one for one in route.candidates if one.model.loaded)
            print(f"asked: {candidate.model.id} on {candidate.endpoint.name}")
            await ask(router, candidate, close[0])  # whoever is asked first has not read the instructions yet
            return [await ask(router, candidate, case) for case in close]


async def ask(router: Router, candidate: Candidate, case: Case) -> Asked:
    """Ask about one case."""
    began = time.perf_counter()
    chat = question(case.text, closest(case.found))
    share = await answer(candidate, chat, router.providers[candidate.endpoint.provider], router._client)
    return Asked(case, share, time.perf_counter() - began)


def right(tasks: Sequence[str], asked: Sequence[Asked]) -> str:
    """Return how many tasks are right: strictly, and with the second label."""
    pairs = [*zip(tasks, asked, strict=True)]
    strict = sum(task == one.case.right[0] for task, one in pairs) / len(pairs)
    lenient = sum(task in one.case.right for task, one in pairs) / len(pairs)
    return f"{strict:.3f} strict, {lenient:.3f} lenient"


def report(asked: Sequence[Asked], worth: float) -> None:
    """Print the figures."""
    told = [one for one in asked if one.share is not None]
    of_two = [one for one in told if one.case.right[0] in closest(one.case.found)]
    alone = [closest(one.case.found)[one.share is not None and one.share < 0.5] for one in of_two]
    print(f"close: {len(asked)}; it named one of the two tasks of {len(told)}; one of them is right of {len(of_two)}")
    print(f"  without it              {right([one.case.found.task for one in asked], asked)}")
    print(f"  with it, worth {worth:.2f}     {right([one.after(worth).task for one in asked], asked)}")
    print(f"  the same, within {LIMIT_S:g} s {right([one.after(worth, LIMIT_S).task for one in asked], asked)}")
    if of_two:
        share = sum(task == one.case.right[0] for task, one in zip(alone, of_two, strict=True)) / len(of_two)
        error = math.sqrt(share * (1 - share) / len(of_two))
        before = sum(one.case.found.task == one.case.right[0] for one in of_two) / len(of_two)
        print(f"where one of the two is right: the classifier alone {before:.3f}")
        print(f"  its word alone {share:.3f} +- {error:.3f}: its worth, as classifier.arbiter_worth takes it")
    took = sorted(one.took_s * 1000 for one in asked)
    p99 = took[min(len(took) - 1, int(0.99 * len(took)))]
    late = sum(ms > LIMIT_S * 1000 for ms in took)
    print(f"milliseconds: median {statistics.median(took):.0f}, p99 {p99:.0f}; over the limit {late} of {len(took)}")


def main() -> None:
    """Ask, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scores", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--worth", type=float, default=WORTH)
    parser.add_argument("--most", type=int, help="cases to ask about, at most")
    options = parser.parse_args()
    close = [*cases(options.scores)][: options.most]
    if not options.scores:
        print("the weights have learnt from these records: what is new to them is close more often (--scores)")
    report(asyncio.run(ask_all(options.model, close)), options.worth)


if __name__ == "__main__":
    main()
