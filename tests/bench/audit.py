"""What the audit log costs: a record, a question, a decision of many models, and a look through it all.

Run: python tests/bench/audit.py [FOLDER]  (a folder on the disk that is to be measured)
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_llmroute.core.audit.basis import Packer
from jupyter_llmroute.core.audit.log import AuditLog
from jupyter_llmroute.core.audit.record import Origin, Security
from jupyter_llmroute.core.audit.verify import verify
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.classifier import classify_text
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.history import History
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.route import Route
from jupyter_llmroute.core.selector import Decision, Wish, replay
from jupyter_llmroute.core.settings import Settings
from jupyter_llmroute.core.snapshot import Snapshot

RECORDS = 300
RECORD = Security(event="measured", detail="a remark of some sixty characters, as servers' errors have")


def timed(count: int, act: Callable[[], object]) -> str:
    seen = []
    for _ in range(count):
        start = time.perf_counter()
        act()
        seen.append(1e3 * (time.perf_counter() - start))
    seen.sort()
    return f"median {statistics.median(seen):7.2f} ms, 95 % {seen[int(0.95 * count)]:7.2f} ms"


def write_some(path: Path, is_forced: bool) -> None:
    log = AuditLog(path, Origin.here(), is_forced=is_forced)
    for _ in range(RECORDS):
        log.append([RECORD])


def decision(models: int) -> Decision:
    names = [each.id for each in Catalog.load().model]
    served = tuple(
        ServedModel(id=f"{names[number % len(names)]}-v{number}", context_window=32768, loaded=True)
        for number in range(models)
    )
    settings = Settings()
    taken = Decision(
        classification=classify_text("fix this"),
        wish=Wish(needed_tokens=10, prompt_tokens=500),
        snapshot=Snapshot(
            endpoints=(Endpoint(name="desk", provider="ollama", base_url="http://127.0.0.1:11434", models=served),),
            catalog=Catalog.load(),
            routing=settings.task_routing,
        ),
        policy=Policy.from_settings(settings.security),
        history=History(),
        route=Route(candidates=(), rejections=()),
    )
    return taken.model_copy(update={"route": replay(taken)})


def measure_record(path: Path, *, is_forced: bool) -> None:
    log = AuditLog(path, Origin.here(), is_forced=is_forced)
    print(f"one record, {'with' if is_forced else 'without'} fsync: {timed(RECORDS, lambda: log.append([RECORD]))}")
    start = time.perf_counter()
    writers = [multiprocessing.Process(target=write_some, args=(path, is_forced)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    took_ms = 1e3 * (time.perf_counter() - start)
    print(f"  three processes at once: {took_ms / (3 * RECORDS):.2f} ms a record, their start included")


def measure_verify(path: Path) -> None:
    log = AuditLog(path, Origin.here(), is_forced=False)
    for _ in range(20):
        log.append([RECORD] * 1000)
    start = time.perf_counter()
    report = verify(path)
    took_s = time.perf_counter() - start
    assert report.is_whole
    print(f"verifying {report.records:,} records: {took_s:.2f} s, {report.records / took_s:,.0f} a second")


def measure_decision(path: Path, models: int) -> None:
    taken, packer = decision(models), Packer()
    first = timed(1, lambda: packer.taken_apart(taken))
    again = timed(50, lambda: (packer.taken_apart(taken), packer.route_digest(taken)))
    print(f"a decision of {models:,} models: {first} the first time; {again} with the same servers")
    pieces, parts = packer.taken_apart(taken)
    AuditLog(path, Origin.here(), is_forced=False).append([RECORD], parts)
    own, shared = sum(map(len, pieces.values())), path.stat().st_size
    print(f"  in the file {own / 1e3:.1f} kB, and once for all {shared / 1e3:.0f} kB")


def measure(folder: Path) -> None:
    for is_forced in (True, False):
        measure_record(folder / f"forced-{is_forced}" / "audit.jsonl", is_forced=is_forced)
    measure_verify(folder / "verified" / "audit.jsonl")
    for models in (10, 2000):
        measure_decision(folder / f"of-{models}" / "audit.jsonl", models)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as scratch:
        measure(Path(scratch))
