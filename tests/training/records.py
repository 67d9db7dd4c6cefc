"""The labelled requests that the classifier learns from, and how their sources are held apart."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "data" / "requests"
LABELS = ("coding", "reasoning", "analysis", "documentation")
Record = dict[str, Any]

KIN = {
    "stackoverflow": ("stack-eval", "infibench"),
    "oasst": ("octopack", "oasst", "open-assistant"),
    "twardoch": ("twardoch/",),
    "hackods": ("ods",),
    "microsoft": ("microsoft/", "microsoftdocs/", "microsoftlearn/", "microsoftlearning/"),
}
"""Repositories that hold the same people's requests are one source."""


def load(folders: Iterable[Path]) -> list[Record]:
    """Read all records; of several with one id the first."""
    excluded = {json.loads(line)["id"] for line in (FOLDER / "excluded.jsonl").read_text("utf-8").splitlines()}
    found: dict[str, Record] = {}
    for folder in folders:
        for path in sorted(folder.glob("requests-*.jsonl")):
            for line in path.read_text("utf-8").splitlines():
                record = json.loads(line)
                if record["id"] not in excluded:
                    found.setdefault(record["id"], record)
    return [found[key] for key in sorted(found)]


def bare(text: str) -> str:
    """Return the words of a text alone: equal for two that say the same, which must not be learnt from and measured."""
    return " ".join(re.findall(r"\w+", text.lower()))


def source(record: Record) -> str:
    """Return the source that a record is held out with."""
    repository = record["source"].split("@")[0].split(":")[0]
    lowered = repository.lower()
    return next((name for name, parts in KIN.items() if any(part in lowered for part in parts)), repository)


def folds(records: Sequence[Record], count: int) -> list[int]:
    """Give each record a fold; a source lies in one, and the folds are about as large as one another."""
    sizes, where = [0] * count, {}
    for name, size in sorted(Counter(map(source, records)).items(), key=lambda pair: (-pair[1], pair[0])):
        where[name] = min(range(count), key=sizes.__getitem__)
        sizes[where[name]] += size
    return [where[source(record)] for record in records]
