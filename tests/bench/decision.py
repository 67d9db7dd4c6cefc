"""How long a full decision takes, classifying and selecting, over 16 servers with 200 models each.

`python tests/bench/decision.py` prints median and 99th percentile in milliseconds, for questions in turn: for the
catalog's own models on every server, and for models that are all different and all unknown.
"""

import itertools
import statistics
import time
from collections.abc import Sequence

from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import classify
from jupyter_llmroute.core.context import Context
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.history import History, place_of
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.selector import select
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import Snapshot
from jupyter_llmroute.core.speed import Speed

SERVERS, MODELS, ROUNDS = 16, 200, 2000
QUESTIONS = (
    "why does the merge in the last cell duplicate rows?",
    "write a function that parses ISO dates without dependencies, with tests for leap years",
    "compare gradient boosting and random forests for 20,000 rows of sparse data",
    "document the class Pipeline: what it takes, what it returns, and an example",
    "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\nKeyError: 'id'",
)


def known(server: int) -> list[ServedModel]:
    """The catalog's models under their own names, as many as are wanted."""
    names = [info.id for info in Catalog.load().model]
    ids = [name if i < len(names) else f"{name}-v{i}" for i, name in zip(range(MODELS), itertools.cycle(names))]
    return [ServedModel(id=name, context_window=32768, loaded=i % 7 == 0) for i, name in enumerate(ids)]


def unknown(server: int) -> list[ServedModel]:
    """Models that differ in name and size, on every server others."""
    return [
        ServedModel(
            id=f"lab{server}-net{i}:{1 + i % 70}b",
            context_window=8192 << i % 4,
            loaded=i % 5 == 0,
            parameters=int((1 + i % 70) * 1e9 + 1e6 * server),
        )
        for i in range(MODELS)
    ]


def fleet(models) -> Snapshot:
    endpoints = [
        Endpoint(name=f"s{n}", provider="vllm", base_url=f"http://127.0.0.1:{9000 + n}", models=tuple(models(n)))
        for n in range(SERVERS)
    ]
    settings = Settings()
    return Snapshot(endpoints=tuple(endpoints), catalog=Catalog.load(), routing=settings.task_routing)


def measure(name: str, snapshot: Snapshot) -> None:
    policy = Policy.from_settings(Settings().security)
    learnt = Speed().with_answer(first_token_s=0.3, read_tokens=500, tokens_per_second=40, was_loaded=True)
    # As many as the state file keeps at most.
    speeds = {place_of(e, m.id): learnt for e in snapshot.endpoints for m in e.models[:31]}
    history = History(now=1.0, speeds=speeds, last=next(iter(speeds)))
    contexts = [Context(request=Request(question=question)) for question in QUESTIONS]

    def decide(context: Context) -> None:
        select(classify(context.request, context), context, snapshot, policy, history)

    start = time.perf_counter()
    decide(contexts[0])
    first_ms = 1e3 * (time.perf_counter() - start)
    for context in contexts:
        decide(context)
    times = []
    for context, _ in zip(itertools.cycle(contexts), range(ROUNDS)):
        start = time.perf_counter()
        decide(context)
        times.append(1e3 * (time.perf_counter() - start))
    show(name, times, first_ms)


def show(name: str, times: Sequence[float], first_ms: float) -> None:
    cuts = statistics.quantiles(times, n=100)
    median = statistics.median(times)
    print(f"{name:24} median {median:6.3f} ms   p99 {cuts[98]:6.3f} ms   first after a look {first_ms:6.1f} ms")


if __name__ == "__main__":
    print(f"{SERVERS} servers of {MODELS} models, {ROUNDS} decisions")
    measure("the catalog's models", fleet(known))
    measure("unknown models", fleet(unknown))
