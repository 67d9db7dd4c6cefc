"""Prose as sentences of words, each with what it may mean by the lexicon."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from jupyter_llmroute.core.cues import NOTHING, Meaning, Names, cues


class Word(NamedTuple):
    """A word of a sentence and what it may mean, by the names of the lexicon."""

    text: str
    plain: str
    """In lower case and without accents."""
    acts: Names = ()
    things: Names = ()
    marks: Names = ()
    asks: Names = ()
    points: str = ""
    """What it names, where that is a file, the project or a thing in code."""
    is_script: bool = False
    """Whether it is of a script that puts no spaces between words."""
    phrase: int = 0
    """Words of the longest phrase that may begin with it."""
    is_pause: bool = False
    """Whether it is no word but a comma or the like, after which a verb may order."""
    keeps_first: bool = False
    """Whether a verb after it may order as though it began the sentence: "please", "then"."""
    meant: Names = ()
    """All that it may mean but an act, as features name it."""


class Sentence(NamedTuple):
    """A sentence of prose."""

    words: tuple[Word, ...]
    runs: tuple[str, ...] = ()
    """Runs of letters without spaces, whole: not all of them is known to the lexicon."""


_SCRIPT = "\u0e00"
_TOKEN = re.compile(
    r"[^\W\d_\u0e00-\uffff]+(?:['’.+#/_-]?[^\W_\u0e00-\uffff]+)*(?:\+\+|#)?|[?,;:–—]|[\u0e00-\uffff]+"
    r"|`[^`\n]{1,80}`|[@#][\w./:-]{2,80}|/[a-z]\w{1,15}(?![\w/.])"
)
_PAUSES = ",;:–—"
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|(?<=[。！？])")
_BULLET = re.compile(r"\s{0,40}(?:[-*+•>#]{1,6}|\d{1,3}[.)])\s")
_SENTENCES, _LAST, _SENTENCE_LENGTH = 6, 2, 300
_ACCENTS = {
    ord(accented): plain
    for plain, group in zip(
        "aceilnosuyzg'", "áàâãäåą çćč éèêëęě íìîïı ł ñń óòôõöő śšş úùûüű ý źżž ğ ’".split(), strict=True
    )
    for accented in group
}


def sentences(prose: Iterable[str]) -> list[Sentence]:
    """Cut prose into sentences of words; of many sentences the first and the last are kept."""
    raw = [part for line in prose for part in _SENTENCE.split(line) if part.strip()]
    if len(raw) > _SENTENCES:
        raw = raw[: _SENTENCES - _LAST] + raw[-_LAST:]
    starts = ((part, _BULLET.match(part)) for part in raw)
    tokens = (_TOKEN.findall(part, start.end() if start else 0, _SENTENCE_LENGTH) for part, start in starts)
    return [sentence for part in tokens if (sentence := _sentence(part)).words or sentence.runs]


def _sentence(tokens: list[str]) -> Sentence:
    words = [word for read in map(_MET.__getitem__, tokens) for word in read]
    return Sentence(tuple(words), tuple([token for token in tokens if token[0] >= _SCRIPT]))


class _Met(dict[str, tuple[Word, ...]]):
    """Tokens that were met, read as words: one, or the cues that lie in a run of a script without spaces."""

    def __missing__(self, token: str) -> tuple[Word, ...]:
        if len(self) >= _MOST_MET:
            self.clear()
        self[token] = words = _words(token)
        return words


_MOST_MET = 8192
_MET = _Met()


def _words(token: str) -> tuple[Word, ...]:
    known = cues()
    if token[0] >= _SCRIPT:
        return tuple(_word(cue, cue, *known.script[cue], "") for cue in known.script_pattern.findall(token))
    plain = token.lower().translate(_ACCENTS)
    acts, things, marks = _meaning(plain)
    if plain.endswith("'s") and plain not in known.contracted:
        acts, things, marks = _meaning(plain[:-2])
        marks = (*marks, "owner")
    points = _points(token, plain)
    is_word = not points and token.replace("-", "").replace("'", "").isalpha()
    return (_word(token, plain, acts if is_word else (), things, marks, (), points),)


def _word(text: str, plain: str, acts: Names, things: Names, marks: Names, asks: Names, points: str) -> Word:
    meant = ("?",) if text == "?" else (*(f"<{thing}>" for thing in things), *marks, *((points,) if points else ()))
    known = cues()
    return Word(
        text,
        plain,
        acts,
        things,
        marks,
        asks,
        points,
        is_script=text[0] >= _SCRIPT,
        phrase=known.phrase_starts.get(plain, 0),
        is_pause=text[0] in _PAUSES,
        keeps_first="polite" in marks or plain in known.leads or bool(points),
        meant=meant,
    )


_NAME = re.compile(
    r"[a-z][A-Z]|\w_\w|\w\.(?:py|ipynb|[jt]sx?|go|rs|java|cs|cpp|jl|sql|ya?ml|json|toml|html|css|sh)$|^`"
)
_PROJECT = frozenset("codebase workspace project repo repository usages solution".split())


def _points(token: str, plain: str) -> str:
    if token[0] == "/":
        return "a command"
    if token[0] in "@#" and len(token) > 2:
        return "the project" if plain[1:] in _PROJECT else "a file"
    return "code" if _NAME.search(token) else ""


_LONGEST = 16
_DOCS = (".md", ".mdx", ".mdc", ".rst")
_TOLD = ("s", "ed", "ing")
_ELIDED = re.compile(r"^(?:l|d|qu|un|all|dell|nell|sull)'(?=\w)")


def _meaning(word: str) -> Meaning:
    """Look up what a word may be: as an act, a thing and a mark, each by the longest entry that fits."""
    if word[0] in "@#`/" or "/" in word:
        word = word.strip("@#`/").rpartition("/")[2].rpartition(":")[2]
    known = cues()
    if word.endswith(_DOCS) and word not in known.whole:
        word = ".md"
    word = _ELIDED.sub("", word)
    found = _entries(word)
    if found == NOTHING and "-" in word and not word.endswith("-"):
        # "SQL-Abfrage", "cold-start problem": of a compound the last part says what it is
        return ((), *_entries(word.rpartition("-")[2])[1:])
    return found


def _entries(word: str) -> Meaning:
    known = cues()
    acts, things, marks = known.whole.get(word, NOTHING)
    thing_length = len(word) if things else 0
    # "adds", "added", "adding" tell what something does; an order is the bare verb
    told = word.isascii() and word.endswith(_TOLD)
    for length in range(min(len(word), _LONGEST), 1, -1):
        if found := known.beginnings.get(word[:length]):
            # "changelog" is a thing, though it begins like "change"
            if not acts and not told and thing_length < length + 2:
                acts = found[0]
            if not things and found[1]:
                things, thing_length = found[1], length
            marks = marks or found[2]
    return acts, things, marks
