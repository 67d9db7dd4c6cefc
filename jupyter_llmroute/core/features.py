"""What a request shows, by name: its shape, what its sentences ask, and its words.

The names are what the model has weights for. A feature of structure speaks for itself; those of the words, of which
there are many, share one voice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from jupyter_llmroute.core.asking import Head, Object, heads, object_of
from jupyter_llmroute.core.cues import Names
from jupyter_llmroute.core.reading import Reading
from jupyter_llmroute.core.words import Sentence, sentences


class Finding(NamedTuple):
    """A feature that can be told to a person."""

    name: str
    kind: str
    """How it is told: a template of the evidence."""
    words: str = ""


class Features(NamedTuple):
    """All that a request shows."""

    structure: Set[str]
    words: Set[str]
    findings: Sequence[Finding]
    """Those of `structure` that can be told."""


class Asked(NamedTuple):
    """A sentence with what it asks."""

    sentence: Sentence
    heads: list[Head]

    @property
    def asks(self) -> bool:
        """Whether it orders, or ends as a question does."""
        words = self.sentence.words
        return any(head.strong for head in self.heads) or (bool(words) and words[-1].text == "?")


def features(reading: Reading, text: str) -> Features:
    """Name all that a request shows.

    Parameters
    ----------
    reading
        The text, parted.
    text
        The whole text, for its length and its end.
    """
    found = [Asked(sentence, heads(sentence)) for sentence in sentences(reading.prose)]
    asking = [asked for asked in found if asked.asks]
    first, last = (asking or found)[:1], asking[-1:] if len(asking) > 1 else []
    scene = _Scene(reading, found)
    findings = [
        *scene.findings(),
        *(finding for asked in first for finding in scene.asked(asked, "first")),
        *(finding for asked in last for finding in scene.asked(asked, "last")),
    ]
    structure = {
        *scene.names(text),
        *[finding.name for finding in findings],
        *[f"any {head.name}" for asked in found for head in asked.heads],
    }
    for asked in first:
        scene.around(structure, asked, "first")
    for asked in last:
        scene.around(structure, asked, "last")
    if last and first[0].heads and last[0].heads:
        structure.add(f"{first[0].heads[0].name}, then {last[0].heads[0].name}")
    if not asking:
        structure.add("no question, no order")
    words: set[str] = set()
    _openings(words, first, "first")
    _openings(words, last, "last")
    _spoken(words, found, "", 50, 20)
    _spoken(words, first, "first ", 24, 0)
    _spoken(words, last, "last ", 24, 0)
    return Features(structure, words, findings)


# -- the scene: what goes along with what is asked ---------------------------------------------------------------------

_LONG = 400
"""Characters, above which the first sentence may be a headline."""

_PASTED = ("traceback", "log", "diff", "code")


class _Scene:
    """What lies around the sentences: pasted pieces, and things of the project or of programming at large."""

    def __init__(self, reading: Reading, found: list[Asked]) -> None:
        self._reading, self._found = reading, found
        self._words = [word for asked in found for word in asked.sentence.words]
        self._marks = {mark for word in self._words for mark in word.marks}
        self._points = {word.points for word in self._words if word.points}
        self.pasted = next((kind for kind in _PASTED if reading.pasted.get(kind)), "nothing")
        lines = reading.pasted.get(self.pasted, 0)
        prose = sum(map(len, reading.prose))
        self._is_bare = lines > 0 and (prose < 12 or (self.pasted == "traceback" and lines >= 2 * len(reading.prose)))
        own = bool(self._points - {"a command"}) or "project" in self._marks
        whose = "own" if own else "here" if "here" in self._marks else ""
        self._about = f"{whose} {'tongue' if 'tongue' in self._marks else ''}".strip() or "nothing"

    def findings(self) -> Iterator[Finding]:
        if self._is_bare:
            yield Finding(f"bare {self.pasted}", f"bare {self.pasted}")
        elif self.pasted != "nothing":
            yield Finding(f"with {self.pasted}", "pasted", self.pasted)
        told = set()
        for word in self._words:
            for name in (*word.things, *word.marks, *((f"names {word.points}",) if word.points else ())):
                if name not in told:
                    told.add(name)
                    yield Finding(f"word {name}", "word", word.text)

    def names(self, text: str) -> Iterator[str]:
        """Name the shape of the whole."""
        yield f"about {self._about}"
        yield f"about {self._about} with {self.pasted}"
        yield f"length {min(10, len(text).bit_length())}"
        yield f"words {min(7, len(self._words).bit_length())}"
        yield f"sentences {min(5, len(self._found))}"
        if self._found and len(text) > _LONG:
            opening = [head.name for head in self._found[0].heads] or ["nothing asked"]
            yield from (f"opens with {name}" for name in opening[:2])
        yield "ends with ?" if text.rstrip()[-1:] in ("?", "？") else "ends without ?"
        yield from (f"{kind} in lines {min(4, lines.bit_length())}" for kind, lines in self._reading.pasted.items())
        if self._found and len(self._reading.prose) > 3 and self._reading.prose[0].lstrip().startswith("#"):
            yield "titled"
            for word in self._found[0].sentence.words:
                yield from (f"title {name}" for name in (*word.acts, *word.meant))

    def asked(self, asked: Asked, role: str) -> Iterator[Finding]:
        """Tell what a sentence asks."""
        words = asked.sentence.words
        here = self.pasted in ("code", "traceback") or any(word.points or "here" in word.marks for word in words)
        for head in asked.heads[:3]:
            end = min((other.start for other in asked.heads if other.start > head.start), default=len(words))
            thing = object_of(words, head, end)
            yield from _told(head, thing, here, role)

    def around(self, names: set[str], asked: Asked, role: str) -> None:
        """Name the order of what a sentence speaks of, and each with what goes along."""
        about, pasted = f"about {self._about}", f"with {self.pasted}"
        for head in asked.heads[:3]:
            names.update((f"{head.name} {about}", f"{head.name} {pasted}"))
        if asked.heads:
            names.add(f"{role} {asked.heads[0].name}")
        sequence = _sequence(asked)[:14]
        for place, here in enumerate(sequence):
            later = [name for group in sequence[place + 1 : place + 6] for name in group]
            for name in here:
                names.add(f"has {name}")
                names.update([f"{name} > {other}" for other in later])
        for name in sequence[0] if sequence else ():
            names.update((f"begins {name}", f"begins {name} {about}", f"begins {name} {pasted}"))


def _told(head: Head, thing: Object, here: bool, role: str) -> Iterator[Finding]:
    kind = "question" if head.is_question else "pair" if thing.words else "verb"
    words = f"{head.words} … {thing.words}" if thing.words else head.words
    names = [head.name, f"{head.name} + {thing.name}"] if thing.name else [head.name]
    for name in (*names, *(f"{name} here" for name in names if here)):
        yield Finding(name, kind, words)
        yield Finding(f"{role} {name}", kind, words)


def _sequence(asked: Asked) -> list[Names]:
    """Return what a sentence speaks of, in its order: each word by the names of what it may mean."""
    words, orders = asked.sentence.words, {head.start: head for head in asked.heads}
    sequence: list[Names] = []
    index = 0
    while index < len(words):
        word, head = words[index], orders.get(index)
        index += 1
        if head is None:
            names = (*[f"({act})" for act in word.acts], *word.meant) if word.acts else word.meant
        elif head.is_question:
            names, index = (head.name,), head.stop
        else:
            names, index = (head.name, *word.meant), head.stop
        if names:
            sequence.append(names)
    return sequence


# -- words -------------------------------------------------------------------------------------------------------------


def _openings(names: set[str], asked: list[Asked], role: str) -> None:
    for each in asked:
        opening = f"{role} ^"
        for word in each.sentence.words[:4]:
            opening = f"{opening} {word.plain}"
            names.add(opening)


def _spoken(names: set[str], found: list[Asked], role: str, at_head: int, at_tail: int) -> None:
    """Name how words begin, of all sentences alone; in scripts without spaces runs of letters."""
    if not role:
        plain = [word.plain for asked in found for word in asked.sentence.words if not word.is_script]
        if len(plain) > at_head + at_tail:
            plain = plain[:at_head] + plain[-at_tail:]
        names.update([f"p {word[:5]}" for word in plain if len(word) > 5])
    letters = "|".join([run for asked in found for run in asked.sentence.runs])
    if not letters:
        return
    if len(letters) > 2 * (at_head + at_tail):
        letters = letters[: 2 * at_head] + (letters[-2 * at_tail :] if at_tail else "")
    for length in (1, 2, 3):
        runs = [letters[start : start + length] for start in range(len(letters) - length + 1)]
        names.update([f"{role}c {run}" for run in runs if "|" not in run])
