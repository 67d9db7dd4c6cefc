"""How good held-out answers are: lines of text, and the table of the model card."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from jupyter_llmroute.core.classifier import TASKS, Classification
from jupyter_llmroute.evaluation import Judged, Labelled, figures

from .records import Record, source

BOUNDS = (40, 150, 800)
LENGTHS = ("under 40 characters", "40 to 149", "150 to 799", "800 and more")
LEAST = 20
"""Records that a group of the card has at least."""
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

Group = tuple[str, str, list[Judged]]
"""A kind of group, the group's name, what was judged in it."""


class Figures:
    """Probabilities of held-out records beside what is right."""

    def __init__(self, records: Sequence[Record], folds: Sequence[int], scores: np.ndarray) -> None:
        self.judged = [Judged(Labelled(**record), _answer(row)) for record, row in zip(records, scores, strict=True)]
        self._names = [
            {
                "fold": f"fold {fold}",
                "language": str(record["lang"]),
                "length": LENGTHS[int(np.searchsorted(BOUNDS, len(record["text"]), "right"))],
                "source": source(record),
            }
            for record, fold in zip(records, folds, strict=True)
        ]

    def report(self) -> None:
        """Print the figures by fold, language, length and source, what was taken for what, and all."""
        for kind, name, members in self._groups():
            print(f"{kind:9} {name:40} {figures(members)}")
        print("\nrows: truth; columns: " + " ".join(TASKS))
        for task in TASKS:
            answers = [each.found.task for each in self.judged if each.record.label is task]
            print(f"  {task:14}", *(f"{answers.count(other):5}" for other in TASKS))
        print(f"\nall {figures(self.judged)}")

    def _groups(self) -> Iterator[Group]:
        for kind in ("fold", "language", "length", "source"):
            groups = defaultdict(list)
            for each, names in zip(self.judged, self._names, strict=True):
                groups[names[kind]].append(each)
            by_size = sorted(groups.items(), key=lambda pair: (kind != "fold" and -len(pair[1]), pair[0]))
            yield from ((kind, name, members) for name, members in by_size)

    def put_into(self, card: Path) -> None:
        """Write the table of the figures between the marks of a model card."""
        text = card.read_text("utf-8")
        before, after = text.partition(BEGIN)[0], text.partition(END)[2]
        card.write_text(f"{before}{BEGIN}\n{self._table()}\n{END}{after}", "utf-8")

    def _table(self) -> str:
        lines = ["| | n | strict | lenient | macro-F1 | calibration error |", "| --- | --- | --- | --- | --- | --- |"]
        lines.append(_row("**all**", self.judged))
        lines += [_row(name, members) for _, name, members in self._groups() if len(members) >= LEAST]
        return "\n".join(lines)


def _row(name: str, members: Sequence[Judged]) -> str:
    count, *shares = figures(members)
    return " | ".join((f"| {name}", str(count), *(f"{share:.3f}" for share in shares))) + " |"


def _answer(row: Iterable[float]) -> Classification:
    scores = dict(zip(TASKS, map(float, row), strict=True))
    task = max(TASKS, key=scores.__getitem__)
    confidence = min(1.0, scores[task])
    return Classification(task=task, confidence=confidence, scores=scores, evidence=("held out",), needs_symbols=False)


def best_temperature(sums: np.ndarray, labels: np.ndarray) -> float:
    """Return the divisor with which the labels are most probable."""

    def loss(temperature: float) -> float:
        scaled = sums / temperature
        spread = np.log(np.exp(scaled - scaled.max(axis=1, keepdims=True)).sum(axis=1)) + scaled.max(axis=1)
        return float((spread - scaled[np.arange(len(labels)), labels]).mean())

    return min((0.5 + 0.02 * step for step in range(120)), key=loss)
