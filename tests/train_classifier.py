"""Learn the weights of the classifier, and measure it on sources that it has not seen.

    python -m tests.train_classifier [--data DIR] [--write FOLDER] [--no-measure]

Run from the repository's root. Reads the labelled requests of `tests/data/requests`, and with `--data` those of another
folder too: records that may be learnt from but not redistributed. Prints the figures of leave-sources-out
cross-validation; `--write` puts `classifier.bin` and `classifier.json` into a folder, and the figures into the model
card `classifier.md` that lies there. The same data gives the same bytes.
"""

import argparse
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jupyter_llmroute.core.weights import OUTRIGHT, TASKS

from .training.figures import Figures, best_temperature
from .training.model import HIDDEN, VOICE, Data, Needs, learn_needs
from .training.records import FOLDER, Record, bare, load, source
from .training.sparse_logistic import softmax
from .training.written import draw

EACH = 8
"""Texts that are drawn from a pattern, at most."""
UNLABELLED = ("written_words", "written_symbols")
ALONE = ("oasst", "stackoverflow", "clinicalml/realhumaneval", "InfiAgent/InfiAgent", "lm-sys/FastChat")
"""Sources whose requests stand alone: none of them needs a project."""
TEMPERATURE = 2.0
"""Where it is not measured."""
MUTE = 2
"""A feature whose numbers are all this small says nothing."""


def main() -> None:
    """Learn, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--no-measure", action="store_true")
    options = parser.parse_args()
    records = load([FOLDER, *options.data])
    data = gathered(records)
    measured = None if options.no_measure else measure(data)
    needs = learn_needs(symbol_texts(records))
    report_needs(needs)
    if options.write:
        write(options.write, data, measured[0] if measured else TEMPERATURE, needs)
        card = options.write / "classifier.md"
        if measured and card.exists():
            measured[1].put_into(card)


def gathered(records: Sequence[Record], each: int = EACH) -> Data:
    """Return the records with all else that is learnt from."""
    paths = (path for path in sorted(FOLDER.glob("written_*.txt")) if path.stem not in UNLABELLED)
    apart = {bare(record["text"]) for record in (*records, *_lines(FOLDER / "symbols-dev.jsonl"))}
    drawn = (text for path in paths for text in draw(path, each))
    written = [text._asdict() for text in drawn if bare(text.text) not in apart]
    by_category = _lines(FOLDER / "uncommonroute.jsonl")
    print(
        f"{len(records)} records of {len(set(map(source, records)))} sources, {len(written)} written, "
        f"{len(by_category)} by category"
    )
    return Data(records, written, by_category)


def measure(data: Data) -> tuple[float, Figures]:
    """Print how good the answers are where their sources were not learnt from; return the temperature and them."""
    sums = data.held_out_sums()
    temperature = best_temperature(sums, data.labels[: len(data.records)])
    found = Figures(data.records, data.folds[: len(data.records)].tolist(), softmax(sums / temperature))
    found.report()
    print(f"temperature {temperature:.2f}")
    return temperature, found


def symbol_texts(records: Sequence[Record]) -> list[tuple[str, bool, float]]:
    """Return texts with whether each needs code intelligence, and how much it counts."""
    tested = {record["id"].removeprefix("sym-") for record in _lines(FOLDER / "symbols-dev.jsonl")}
    apart = {bare(record["text"]) for record in _lines(FOLDER / "symbols-dev.jsonl")}
    drawn_here = (text for text in draw(FOLDER / "written_symbols.txt", 12) if bare(text.text) not in apart)
    texts = [(text.text, text.label == "yes", 1.0) for text in drawn_here]
    for name in ("en", "eu", "asia"):
        drawn = draw(FOLDER / f"written_{name}.txt", 2)
        texts += [(text.text, False, 0.5) for text in drawn if text.label == "reasoning"]
    return texts + [(r["text"], False, 0.3) for r in records if source(r) in ALONE and r["id"] not in tested]


def report_needs(needs: Needs) -> None:
    """Print how good the answers are on the questions about symbols that are kept apart, and which are wrong."""
    apart = _lines(FOLDER / "symbols-dev.jsonl")
    sums = needs.sums([record["text"] for record in apart])
    needed, taken = np.array([record["needs_symbols"] for record in apart]), sums > 0
    both = (taken & needed).sum()
    print(f"\nsymbols, {len(apart)} apart: recall {both / needed.sum():.3f} precision {both / max(1, taken.sum()):.3f}")
    for record, value in zip(apart, sums, strict=True):
        if (value > 0) != record["needs_symbols"]:
            print(f"  {value:+.2f} {record['needs_symbols']!s:5} {record['text'][:100]!r}")


class Packed(NamedTuple):
    """A table of weights, in bytes."""

    count: int
    steps: list[float]
    """What one unit weighs, by lane."""
    packed: bytes


def pack(names: Sequence[str], table: np.ndarray) -> Packed:
    """Put a row for each name into bytes: checksums first, then rows; names that say nothing are left out."""
    # the few greatest are cut, so that the many small ones are told apart
    steps = np.quantile(np.abs(table), 0.9998, axis=0) / 127
    numbers = np.clip(np.rint(table / steps), -127, 127).astype(int)
    kept: dict[int, np.ndarray] = {}
    for name, row in zip(names, numbers, strict=True):
        if np.abs(row).max() > MUTE:
            kept.setdefault(zlib.crc32(name.encode("utf-8", "surrogatepass")), row)
    checksums = np.array(sorted(kept), dtype="<u4")
    rows = (np.array([kept[int(checksum)] for checksum in checksums]) + 128).astype(np.uint8)
    return Packed(len(kept), [float(f"{step:.6g}") for step in steps], checksums.tobytes() + rows.tobytes())


def write(folder: Path, data: Data, temperature: float, needs: Needs) -> None:
    """Learn from everything and put the weights into two files, as `core/weights.py` reads them."""
    learnt = data.learn(np.arange(len(data.labels)))
    names = sorted({*data.matrix.names, *needs.matrix.names})
    places = {name: row for row, name in enumerate(names)}
    table = np.zeros((len(names), OUTRIGHT + HIDDEN))
    rows = [places[name] for name in data.matrix.names]
    table[rows, :TASKS], table[rows, OUTRIGHT:] = data.evidence(), learnt.net.into
    table[[places[name] for name in needs.matrix.names], TASKS] = needs.weights
    features, phrases = pack(names, table), pack(data.phrases.matrix.names, data.phrases.rarity[:, None] * learnt.said)
    about: dict[str, Any] = {
        "features": features.count,
        "temperature": round(temperature, 3),
        "voice": VOICE,
        "steps": features.steps,
        "bias": _rounded([*[0.0] * TASKS, needs.bias, *learnt.net.bias]),
        "out": [_rounded(row) for row in learnt.net.out],
        "out_bias": _rounded(learnt.net.out_bias),
        "phrase_steps": phrases.steps,
        "phrase_bias": _rounded(learnt.said_bias),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "classifier.bin").write_bytes(features.packed + phrases.packed)
    (folder / "classifier.json").write_text(json.dumps(about) + "\n", "utf-8")
    print(f"{features.count} features, {phrases.count} phrases, {(folder / 'classifier.bin').stat().st_size:,} bytes")


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(float(value), 5) for value in values]


def _lines(path: Path) -> list[Record]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    main()
