"""Requests of our own, written as patterns: `data/requests/written_*.txt` drawn out into texts.

A line is a pattern: `[a|b|]` stands for one of its parts, `<name>` for one of the words of `written_words.txt`. `== x`
begins the patterns of a label, `@@ xx` those of a language.
"""

import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1] / "data" / "requests"
Tree = list["str | list[Tree]"]
"""Text, and lists of alternatives."""

BEFORE = (
    "I have a question. |Hi, |Hello! |hey |ok, |Ok so |great. now |thanks! |I'm working on a <lib> project. "
    "|I use <lib>. |Context: this is a small <lib> app. |We have <mod> in <file>. |I am new here. "
    "|Quick question: |One more thing: |also, |good. |next: |In <file>: |For <mod>: |perfect, |hmm, |alright, |Yes. "
).split("|")
AFTER = (
    " Thanks!| thanks| Please keep it short.| Answer in one paragraph.| Be concise.| No rush.| Let me know."
    "| Don't change anything else.| This is for a course.| I use <lib>.| It is part of <mod>."
).split("|")


class Pattern(NamedTuple):
    """A line of a file."""

    label: str
    lang: str
    text: str


class Written(NamedTuple):
    """A text with its label."""

    label: str
    lang: str
    text: str


def patterns(path: Path) -> Iterator[Pattern]:
    """Read the patterns of a file."""
    label, lang = "", "en"
    for line in path.read_text("utf-8").splitlines():
        if line.startswith("@@ "):
            lang = line[3:].strip()
        elif line.startswith("== "):
            label = line[3:].strip()
        elif line and label:
            yield Pattern(label, lang, line)


def draw(path: Path, each: int, seed: int = 0) -> list[Written]:
    """Draw up to `each` texts from every pattern of a file, more from those that say more; the same for a seed."""
    rng, words, found = random.Random(f"{seed} {path.name}"), _words(), {}
    for pattern in patterns(path):
        tree, _ = _parse(pattern.text, 0, top=True)
        count = min(each, int(1.3 * _size(tree) ** 0.5) + 2 * ("<" in pattern.text))
        for _ in range(max(1, count)):
            text = _fill(_expand(tree, rng), words, rng).replace("\\n", "\n").strip()
            text = _worn(text, pattern.lang, words, rng)
            found.setdefault(text, Written(pattern.label, pattern.lang, text))
    return list(found.values())


def _worn(text: str, lang: str, words: dict[str, list[str]], rng: random.Random) -> str:
    """Write a text as people do: with a greeting, in small letters, without its full stop."""
    if "\n" not in text:
        chance = rng.random() if lang == "en" else 1.0
        if chance < 0.15:
            text = _fill(rng.choice(BEFORE), words, rng) + text
        elif chance < 0.24:
            text = text.rstrip(".") + "." * (text[-1:] not in "?!.") + _fill(rng.choice(AFTER), words, rng)
        text = re.sub(" {2,}", " ", text)
    if rng.random() < 0.35:
        text = text[:1].upper() + text[1:]
    if rng.random() < 0.12:
        text = text.lower()
    return text.rstrip("?.") if rng.random() < 0.2 else text


def _words() -> dict[str, list[str]]:
    lines = (line for line in (FOLDER / "written_words.txt").read_text("utf-8").splitlines() if line[:1] != "#")
    return {name: row.strip().split("|") for name, _, row in (line.partition(":") for line in lines)}


def _parse(text: str, start: int, top: bool = False) -> tuple[Tree, int]:
    """Read a sequence, or within brackets its alternatives, from `start` on; return where it ends too."""
    alternatives: list[Tree] = [[]]
    while start < len(text):
        mark = text[start]
        if mark == "[":
            inner, start = _parse(text, start + 1)
            alternatives[-1].append(inner)
            continue
        start += 1
        if mark == "]" and not top:
            return alternatives, start
        if mark == "|" and not top:
            alternatives.append([])
        else:
            alternatives[-1].append(mark)
    return alternatives, start


def _expand(tree: Tree, rng: random.Random) -> str:
    return "".join(part if isinstance(part, str) else _expand(part, rng) for part in rng.choice(tree))


def _size(tree: Tree) -> int:
    total = 0
    for sequence in tree:
        product = 1
        for part in sequence:
            product *= 1 if isinstance(part, str) else _size(part)
        total += product
    return total


def _fill(text: str, words: dict[str, list[str]], rng: random.Random) -> str:
    # twice, as a word may hold a slot
    for _ in range(2):
        text = re.sub(r"<([a-z]+)>", lambda slot: rng.choice(words.get(slot[1], [slot[0]])), text)
    return text
