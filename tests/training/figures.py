"""How good held-out answers are, in lines of text."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from .records import LABELS, Record, source

BOUNDS = (40, 150, 800)
LENGTHS = ("under 40", "40 to 149", "150 to 799", "800 and more")


class Figures:
    """Probabilities of held-out records beside what is right."""

    def __init__(self, records: Sequence[Record], folds: Sequence[int], scores: np.ndarray) -> None:
        self.records, self.scores = records, scores
        self.labels = np.array([LABELS.index(record["label"]) for record in records])
        self.seconds = np.array([LABELS.index(r["alt"]) if r.get("alt") else -1 for r in records])
        self._keys: dict[str, Callable[[int], str]] = {
            "fold": lambda i: str(folds[i]),
            "language": lambda i: str(records[i]["lang"]),
            "length": lambda i: LENGTHS[int(np.searchsorted(BOUNDS, len(records[i]["text"]), "right"))],
            "source": lambda i: source(records[i]),
        }

    def report(self) -> None:
        """Print the figures by fold, language, length and source, what was taken for what, and all."""
        for title, key in self._keys.items():
            groups = defaultdict(list)
            for index in range(len(self.records)):
                groups[key(index)].append(index)
            print(f"\nby {title}")
            by_size = sorted(groups.items(), key=lambda pair: pair[0] if title == "fold" else -len(pair[1]))
            for name, members in by_size:
                print(f"  {name:40} {self.line(members)}")
        print("\nrows: truth; columns: " + " ".join(LABELS))
        taken = self.scores.argmax(axis=1)
        for label, name in enumerate(LABELS):
            counts = np.bincount(taken[self.labels == label], minlength=len(LABELS))
            print(f"  {name:14}", *(f"{count:5}" for count in counts))
        print(f"\nall {self.line(range(len(self.records)))}")

    def line(self, members: Iterable[int]) -> str:
        """Return accuracy, strict and lenient, macro-F1 and calibration error of some records."""
        rows = np.array(list(members))
        taken, labels = self.scores[rows].argmax(axis=1), self.labels[rows]
        right = taken == labels
        lenient = right | (taken == self.seconds[rows])
        harmonic = [
            2 * (right & (labels == label)).sum() / max(1, (labels == label).sum() + (taken == label).sum())
            for label in range(len(LABELS))
        ]
        return (
            f"n={len(rows):5} strict {right.mean():.3f} lenient {lenient.mean():.3f} macro-F1 {np.mean(harmonic):.3f} "
            f"calibration error {calibration_error(self.scores[rows].max(axis=1), right):.3f}"
        )


def calibration_error(confidences: np.ndarray, right: np.ndarray) -> float:
    """Return by how much confidence and accuracy differ, on average over ten bins of confidence."""
    bins = np.minimum((confidences * 10).astype(int), 9)
    present = [bins == each for each in np.unique(bins)]
    return float(sum(abs(confidences[each].mean() - right[each].mean()) * each.mean() for each in present))


def best_temperature(sums: np.ndarray, labels: np.ndarray) -> float:
    """Return the divisor with which the labels are most probable."""

    def loss(temperature: float) -> float:
        scaled = sums / temperature
        spread = np.log(np.exp(scaled - scaled.max(axis=1, keepdims=True)).sum(axis=1)) + scaled.max(axis=1)
        return float((spread - scaled[np.arange(len(labels)), labels]).mean())

    return min((0.5 + 0.02 * step for step in range(120)), key=loss)
