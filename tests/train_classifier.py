"""Learn the weights of the classifier, and measure it on sources that it has not seen.

    python tests/train_classifier.py [--data DIR] [--write FOLDER] [--no-measure]

Reads the labelled requests of `tests/data/requests`, and with `--data` those of another folder too (records that may be
learnt from but not redistributed). Prints the figures of leave-sources-out cross-validation; `--write` puts
`classifier.bin` and `classifier.json` into a folder. The same data gives the same bytes.
"""

import argparse
import json
import math
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from requests_data import FOLDER, LABELS, Record, folds, load, source
from small_net import Net, train
from sparse_logistic import Matrix, fit, softmax
from written import draw

from jupyter_llmroute.core.features import features
from jupyter_llmroute.core.reading import read
from jupyter_llmroute.core.weights import OUTRIGHT, TASKS

FOLDS = 8
EACH = 8
"""Texts that are drawn from a pattern, at most."""
STRENGTH = 0.1
"""The smaller, the nearer to zero the weights are held."""
VOICE = 1.0
"""Scale of the words: the greater, the more they may say."""
WRITTEN = 0.5
"""Weight of a written request beside one that was found."""
SECOND = 0.3
"""Share of the second label, where a record has one."""
CROWD, CROWDED = 20, 0.3
"""Beyond so many records of one source each counts less."""
EVEN = 0.5
"""0: labels count as they come; 1: all labels together count alike."""
HIDDEN, ROUNDS = 32, 8
"""Units of the net, and how often it sees each text."""
DEV_SYMBOLS = FOLDER / "symbols-dev.jsonl"
ALONE = ("oasst", "stackoverflow", "clinicalml/realhumaneval", "InfiAgent/InfiAgent", "lm-sys/FastChat")
"""Sources whose requests stand alone: none of them needs a project."""


def main() -> None:
    """Learn, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--no-measure", action="store_true")
    options = parser.parse_args()
    records = load([FOLDER, *options.data])
    written = [text for path in sorted(FOLDER.glob("written_*.txt")) if _is_labelled(path) for text in draw(path, EACH)]
    everything = [dict(text=text.text, label=text.label, lang=text.lang) for text in written]
    print(f"{len(records)} records of {len(set(map(source, records)))} sources, {len(written)} written")
    data = Data(records, everything)
    temperature = 1.0
    if not options.no_measure:
        sums = data.held_out_sums()
        temperature = best_temperature(sums, data)
        report(softmax(sums / temperature), data)
        print(f"temperature {temperature:.3f}")
    if options.write:
        write(options.write, data, temperature, symbols(records))


def _is_labelled(path: Path) -> bool:
    return path.stem not in ("written_words", "written_symbols")


def describe(text: str) -> dict[str, float]:
    """Return the features of a text with how much each counts, as the classifier does."""
    found = features(read(text), text)
    share = VOICE * 4 / math.sqrt(max(16.0, len(found.words) / 4))
    return {**dict.fromkeys(found.words, share), **dict.fromkeys(found.structure, 1.0)}


class Learnt(NamedTuple):
    """A linear model and a net, whose sums are averaged."""

    weights: np.ndarray
    """By feature and task."""
    bias: np.ndarray
    net: Net

    def sums(self, matrix: Matrix) -> np.ndarray:
        """Return a sum for each text and task."""
        return (matrix.times(self.weights) + self.bias + self.net.sums(matrix)) / 2


class Data:
    """Records with their features, labels, weights and folds; the written ones after those that were found."""

    def __init__(self, records: Sequence[Record], written: Sequence[Record]) -> None:
        self.records, self.count = records, len(records)
        everything = [*records, *written]
        self.matrix = Matrix([describe(record["text"]) for record in everything])
        self.labels = np.array([LABELS.index(record["label"]) for record in everything])
        self.seconds = np.array([LABELS.index(r["alt"]) if r.get("alt") else -1 for r in everything])
        self.wanted = np.eye(len(LABELS))[self.labels]
        has_second = np.flatnonzero(self.seconds >= 0)
        self.wanted[has_second] *= 1 - SECOND
        self.wanted[has_second, self.seconds[has_second]] += SECOND
        sizes = Counter(map(source, records))
        crowds = [(max(CROWD, sizes[source(record)]) / CROWD) ** -CROWDED for record in records]
        self.weights = np.array(crowds + [WRITTEN] * len(written))
        self.folds = np.array([*folds(records, FOLDS), *[-1] * len(written)])

    def learn(self, rows: np.ndarray) -> "Learnt":
        """Learn from some rows."""
        weights = self.weights[rows]
        mass = weights @ self.wanted[rows]
        weights = weights * (self.wanted[rows] @ (mass.sum() / len(LABELS) / mass) ** EVEN)
        weights /= weights.mean()
        matrix, wanted = self.matrix.rows(rows), self.wanted[rows]
        return Learnt(*fit(matrix, wanted, weights, STRENGTH), train(matrix, wanted, weights, HIDDEN, ROUNDS))

    def held_out_sums(self) -> np.ndarray:
        """Return what each found record scores where its source was not learnt from."""
        sums = np.zeros((self.count, len(LABELS)))
        for fold in range(FOLDS):
            held_out = np.flatnonzero(self.folds == fold)
            sums[held_out] = self.learn(np.flatnonzero(self.folds != fold)).sums(self.matrix.rows(held_out))
        return sums


# -- figures -----------------------------------------------------------------------------------------------------------


def best_temperature(sums: np.ndarray, data: Data) -> float:
    """Return the divisor with which held-out labels are most probable."""
    labels = data.labels[: data.count]

    def loss(temperature: float) -> float:
        return float(-np.log(softmax(sums / temperature)[np.arange(data.count), labels] + 1e-12).mean())

    return min((0.5 + 0.02 * n for n in range(120)), key=loss)


def report(scores: np.ndarray, data: Data) -> None:
    """Print the figures by fold, source, language and length."""
    lengths = ("under 40", "40 to 149", "150 to 799", "800 and more")
    keys: dict[str, Callable[[int], str]] = {
        "fold": lambda i: str(data.folds[i]),
        "language": lambda i: str(data.records[i]["lang"]),
        "length": lambda i: lengths[int(np.searchsorted([40, 150, 800], len(data.records[i]["text"]), "right"))],
        "source": lambda i: source(data.records[i]),
    }
    for title, key in keys.items():
        groups = defaultdict(list)
        for index in range(data.count):
            groups[key(index)].append(index)
        print(f"\nby {title}")
        named = sorted(groups.items(), key=lambda pair: pair[0] if title == "fold" else -len(pair[1]))
        for name, members in named:
            print(f"  {name:45} {figures(scores, data, members)}")
    print("\nrows: truth; columns: " + " ".join(LABELS))
    taken = scores.argmax(axis=1)
    for label, name in enumerate(LABELS):
        print(f"  {name:14}", *(f"{int(((data.labels[: data.count] == label) & (taken == t)).sum()):5}" for t in range(4)))
    print(f"\nall {figures(scores, data, range(data.count))}")


def figures(scores: np.ndarray, data: Data, members: Iterable[int]) -> str:
    """Return accuracy, strict and lenient, macro-F1 and calibration error of some records as a line."""
    rows = np.array(list(members))
    taken, labels, seconds = scores[rows].argmax(axis=1), data.labels[rows], data.seconds[rows]
    right = taken == labels
    lenient = right | (taken == seconds)
    harmonic = [2 * (right & (labels == k)).sum() / max(1, (labels == k).sum() + (taken == k).sum()) for k in range(4)]
    sure = scores[rows].max(axis=1)
    bins = np.minimum((sure * 10).astype(int), 9)
    error = sum(abs(sure[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in set(bins))
    return (
        f"n={len(rows):5} strict {right.mean():.3f} lenient {lenient.mean():.3f} "
        f"macro-F1 {np.mean(harmonic):.3f} calibration error {error:.3f}"
    )


# -- the need of symbols -----------------------------------------------------------------------------------------------


def symbols(records: Sequence[Record]) -> tuple[Matrix, np.ndarray, float]:
    """Learn from written requests and from those that stand alone whether a project must be looked into."""
    dev = [json.loads(line) for line in DEV_SYMBOLS.read_text("utf-8").splitlines()]
    tested = {record["id"].removeprefix("sym-") for record in dev} | {record.get("in_main_set") for record in dev}
    texts = [(text.text, text.label == "yes", 1.0) for text in draw(FOLDER / "written_symbols.txt", 12)]
    for path in ("written_en.txt", "written_eu.txt", "written_asia.txt"):
        texts += [(t.text, False, 0.5) for t in draw(FOLDER / path, 2) if t.label == "reasoning"]
    texts += [(r["text"], False, 0.3) for r in records if source(r) in ALONE and r["id"] not in tested]
    matrix = Matrix([describe(text) for text, _, _ in texts])
    wanted = np.array([[1.0, 0.0] if needed else [0.0, 1.0] for _, needed, _ in texts])
    weights = np.array([weight for _, _, weight in texts])
    learnt, bias = fit(matrix, wanted, weights / weights.mean(), STRENGTH)
    difference, start = learnt[:, 0] - learnt[:, 1], float(bias[0] - bias[1])
    seen = matrix.like([describe(record["text"]) for record in dev]).times(difference[:, None])[:, 0] + start
    needed = np.array([record["needs_symbols"] for record in dev])
    taken = seen > 0
    print(
        f"\nsymbols, {len(dev)} apart: recall {(taken & needed).sum() / needed.sum():.3f} "
        f"precision {(taken & needed).sum() / max(1, taken.sum()):.3f}"
    )
    for record, value in zip(dev, seen, strict=True):
        if (value > 0) != record["needs_symbols"]:
            print(f"  {value:+.2f} {record['needs_symbols']!s:5} {record['text'][:100]!r}")
    return matrix, difference, start


# -- the files ---------------------------------------------------------------------------------------------------------


def write(folder: Path, data: Data, temperature: float, needs: tuple[Matrix, np.ndarray, float]) -> None:
    """Learn from everything and put the weights into two files."""
    learnt = data.learn(np.arange(len(data.labels)))
    matrix, difference, start = needs
    column = {name: row for row, name in enumerate(matrix.names)}
    names = sorted({*data.matrix.names, *matrix.names})
    table = np.zeros((len(names), OUTRIGHT + HIDDEN))
    places = {name: row for row, name in enumerate(names)}
    mine = [places[name] for name in data.matrix.names]
    table[mine, :TASKS], table[mine, OUTRIGHT:] = learnt.weights, learnt.net.into
    table[[places[name] for name in column], TASKS] = difference
    # the few greatest are cut, so that the many small ones are told apart
    steps = np.quantile(np.abs(table), 0.9998, axis=0) / 127
    numbers = np.clip(np.rint(table / steps), -127, 127).astype(int)
    rows: dict[int, np.ndarray] = {}
    for name, row in zip(names, numbers, strict=True):
        if np.abs(row).max() > MUTE:
            rows.setdefault(zlib.crc32(name.encode("utf-8", "surrogatepass")), row)
    checksums = np.array(sorted(rows), dtype="<u4")
    packed = np.array([rows[int(checksum)] for checksum in checksums]) + 128
    about: dict[str, Any] = {
        "features": len(rows),
        "temperature": round(temperature, 3),
        "voice": VOICE,
        "steps": [float(f"{step:.6g}") for step in steps],
        "bias": [round(float(value), 5) for value in (*learnt.bias, start, *learnt.net.bias)],
        "out": [[round(float(value), 5) for value in row] for row in learnt.net.out],
        "out_bias": [round(float(value), 5) for value in learnt.net.out_bias],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classifier.bin").write_bytes(checksums.tobytes() + packed.astype(np.uint8).tobytes())
    (folder / "classifier.json").write_text(json.dumps(about) + "\n", "utf-8")
    print(f"{len(rows)} features, {(folder / 'classifier.bin').stat().st_size:,} bytes")


MUTE = 2
"""A feature whose numbers are all this small says nothing."""


if __name__ == "__main__":
    main()
