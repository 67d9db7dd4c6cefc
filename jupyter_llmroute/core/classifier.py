"""What kind of work a question asks for, read from its words and its shape.

The prose is parted from what was pasted; the sentences that ask are found; their verbs and objects, question words
and the shape of the whole are *findings*, each of which speaks for some tasks (`cues.WEIGHTS`). The sums become
probabilities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from jupyter_llmroute.core import cues
from jupyter_llmroute.core.reading import Reading, read
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.task import Task
from jupyter_llmroute.core.values import Value

if TYPE_CHECKING:
    from jupyter_llmroute.core.context import Context

_TASKS = (Task.CODING, Task.REASONING, Task.ANALYSIS, Task.DOCUMENTATION)


class Classification(Value):
    """What a question asks for, how sure that is, and what it was seen by."""

    task: Task
    confidence: float = Field(ge=0, le=1)
    """Probability of `task`."""
    scores: Mapping[Task, float]
    """Probability of each task; they sum to 1."""
    evidence: tuple[str, ...]
    """What was found, in a few words each, the strongest first."""
    needs_symbols: bool
    """Whether an answer needs code intelligence on the project: where a thing is defined, who uses it."""


def classify(request: Request, context: Context) -> Classification:
    """Tell the task of a request; the one that the user names wins.

    Parameters
    ----------
    request
        What was asked.
    context
        What was gathered for it. Not looked at yet: the words of the question decide.
    """
    found = classify_text(request.question)
    if request.task is None:
        return found
    return Classification(
        task=request.task,
        confidence=1.0,
        scores={task: float(task is request.task) for task in _TASKS},
        evidence=("named by the user",),
        needs_symbols=found.needs_symbols,
    )


def classify_text(text: str) -> Classification:
    """Tell the task of a text by its words and shape alone.

    The same text always gives the same result. Of a very long text the ends are read.

    Examples
    --------
    >>> classify_text("Add a docstring to this function").task
    <Task.DOCUMENTATION: 'documentation'>
    """
    reading = read(text)
    findings = [*_shape(reading), *_sentences(reading)]
    sums = list(cues.PRIOR)
    for finding in findings:
        for index, weight in enumerate(cues.WEIGHTS.get(finding.name, ())):
            sums[index] += weight * finding.share
    probabilities = _softmax(sums)
    best = max(range(len(_TASKS)), key=probabilities.__getitem__)
    return Classification(
        task=_TASKS[best],
        confidence=probabilities[best],
        scores=dict(zip(_TASKS, probabilities, strict=True)),
        evidence=_evidence(findings, best),
        needs_symbols=_needs_symbols(findings),
    )


# -- findings ----------------------------------------------------------------------------------------------------------


class Finding(NamedTuple):
    """Something seen in a text."""

    name: str
    """Key into `cues.WEIGHTS`."""
    words: str
    """What is told of it: the user's words, or what the shape is called."""
    share: float
    """How much of its weight counts, 0–1: less in a sentence that does not ask."""


class Word(NamedTuple):
    """A word of a sentence and what it may mean, by the names of `cues`."""

    text: str
    plain: str
    """In lower case and without accents."""
    acts: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    points: str = ""
    """The finding that it is where it names a file, the project or a thing in code."""


class Head(NamedTuple):
    """A verb that orders or a phrase that asks, within a sentence."""

    start: int
    stop: int
    name: str
    words: str
    strong: bool
    """Whether it is asked for itself, rather than told as a purpose: "… to make it faster"."""


def _shape(reading: Reading) -> Iterator[Finding]:
    kinds = [kind for kind in ("traceback", "log", "diff", "code") if reading.pasted.get(kind)]
    if not kinds:
        return
    kind = kinds[0]
    bare = sum(map(len, reading.prose)) < 12 or (kind == "traceback" and reading.pasted[kind] >= 2 * len(reading.prose))
    if bare:
        yield Finding(f"bare {kind}", cues.TEMPLATES[kind], 1.0)
    else:
        yield Finding(kind, f"pasted {kind}", 1.0)


def _sentences(reading: Reading) -> Iterator[Finding]:
    sentences = _split(reading.prose)
    heads = [list(_heads(sentence)) for sentence in sentences]
    asking = [i for i, found in enumerate(heads) if any(h.strong for h in found) or sentences[i][-1].text == "?"]
    titled = len(reading.prose) > 3 and bool(_TITLE.match(reading.prose[0]))
    main = set(asking[:2]) if titled else {*asking[:1], *asking[-1:]}
    aside = 0.12 if titled else 0.25
    pasted = bool(reading.pasted.get("code") or reading.pasted.get("traceback"))
    if titled:
        yield Finding("titled", "a document of instructions", 1.0)
        yield from _title(sentences[0] if sentences else [])
    if sentences and not asking:
        yield Finding("statement", "no question, no order", 1.0)
    for i, sentence in enumerate(sentences):
        yield from _pairs(sentence, heads[i], 1.0 if i in main else aside, pasted)
    yield from _anywhere(sentences)


def _title(sentence: list[Word]) -> Iterator[Finding]:
    for word in reversed(sentence):
        if word.things:
            yield Finding(f"title+{word.things[0]}", cues.TEMPLATES["title"].format(word.text), 1.0)
            return


def _anywhere(sentences: list[list[Word]]) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    files: set[str] = set()
    for word in (word for sentence in sentences for word in sentence):
        if word.points:
            seen.setdefault(word.points, word.text)
        if word.points == "names a file":
            files.add(word.plain)
            continue
        for name in (*word.things, *word.marks):
            seen.setdefault(f"any {name}", word.text)
    yield from (Finding(name, cues.TEMPLATES["word"].format(text), 1.0) for name, text in seen.items())
    if len(files) > 1:
        yield Finding("names files", "names several files", 1.0)


def _pairs(sentence: list[Word], heads: list[Head], share: float, pasted: bool) -> Iterator[Finding]:
    """Each verb or question with its object; in Japanese and Korean the last verb rules, elsewhere the first."""
    here = pasted or any(_is_here(word) for word in sentence)
    if any("\u3040" <= w.text[0] <= "\u30ff" or "\uac00" <= w.text[0] <= "\ud7a3" for w in sentence):
        heads = heads[::-1]
        heads = heads[:1] if heads and heads[0].name in cues.PHRASES else heads
    for head in heads[:3]:
        end = min((other.start for other in heads if other.start > head.start), default=len(sentence))
        thing, words = _object(sentence, head.stop, end)
        keys = (f"{head.name}+{thing}@", f"{head.name}+{thing}", f"{head.name}@", head.name)
        key = next((key for key in keys if key in cues.WEIGHTS and (here or not key.endswith("@"))), head.name)
        part = share if head.strong else 0.6 * share
        kind = "question" if head.name in cues.PHRASES else "pair" if words else "verb"
        told = f"{head.words} … {words}" if words else head.words
        yield Finding(key, cues.TEMPLATES[kind].format(told), part)
        if head.name not in ("light", "want"):
            share *= 0.5


_CONTAINERS = frozenset("file files page pages".split())


def _object(sentence: list[Word], start: int, end: int) -> tuple[str, str]:
    """Find the first thing named after a verb, of a compound its last part; where it stands before the verb, that."""
    for index in range(start, min(end, start + 14)):
        if sentence[index].things:
            while index + 1 < end and sentence[index + 1].things and sentence[index + 1].plain not in _CONTAINERS:
                index += 1
            return sentence[index].things[0], sentence[index].text
    for word in sentence[:start]:
        if word.things and _is_script(word.text):
            return word.things[0], word.text
    return "", ""


_HERE = {"here", "project"}


def _is_here(word: Word) -> bool:
    """Whether a word points at something that lies before the asker: "this", a file, a name of theirs."""
    return bool(word.points or _HERE.intersection(word.marks))


# -- verbs that order, phrases that ask --------------------------------------------------------------------------------


def _heads(sentence: list[Word]) -> Iterator[Head]:
    index, first, asked, found = 0, True, False, False
    while index < len(sentence):
        word = sentence[index]
        name, length = _ask(sentence, index, first)
        strong = True
        if name:
            asked = asked or name not in ("want", "getting")
            first = name == "want"
        elif word.asks:
            name, first, asked = word.asks[0], False, True
        elif word.acts and _orders(sentence, index, first, asked):
            name = word.acts[0]
            strong = not found or sentence[index - 1].plain != "to"
            first = False
        else:
            first = word.text[0] in ",;:–—" or (
                first and ("polite" in word.marks or word.plain in cues.LEADS or bool(word.points))
            )
        if name:
            words = " ".join(w.text for w in sentence[index : index + length])
            yield Head(index, index + length, name, words, strong)
            found = found or name not in ("want", "light")
        index += length


def _orders(sentence: list[Word], index: int, first: bool, asked: bool) -> bool:
    """Whether a verb is an order where it stands: "please fix", "can you fix", "and fix"."""
    word, before = sentence[index], sentence[index - 1].plain if index else ""
    if asked:
        return before in cues.AFTER_QUESTION
    return (
        first
        or before in cues.LEADS
        or _is_script(word.text)
        or (before in cues.PRONOUNS and index > 1 and sentence[index - 2].plain in cues.MODALS)
        or (sentence[0].plain in cues.VERB_LAST and index >= len(sentence) - 2)
    )


def _ask(sentence: list[Word], index: int, first: bool) -> tuple[str, int]:
    """Find the longest phrase that asks and begins here, and its length in words."""
    phrases, starts = _phrases()
    if sentence[index].plain in starts:
        for length in (4, 3, 2, 1):
            found = phrases.get(" ".join(word.plain for word in sentence[index : index + length]))
            if found and (length > 1 or first):
                return found, min(length, len(sentence) - index)
    return "", 1


# -- words -------------------------------------------------------------------------------------------------------------

_WORD = re.compile(
    r"`[^`\n]{1,80}`|[@#][\w./:-]{2,80}|[\u0e00-\uffff]+"
    r"|[^\W\d_\u0e00-\uffff]+(?:['’.+#/_-]?[^\W_\u0e00-\uffff]+)*(?:\+\+|#)?|[?,;:–—]"
)
_SENTENCE = re.compile(r"(?<=[.!?:])\s+|(?<=[。！？])")
_BULLET = re.compile(r"\s{0,40}(?:[-*+•>#]{1,6}|\d{1,3}[.)])\s")
_TITLE = re.compile(r"#{1,3} \w")
_SENTENCES, _SENTENCE_LENGTH = 12, 600
_ACCENTS = {
    ord(accented): plain
    for plain, group in zip(
        "aceilnosuyzg'", "áàâãäåą çćč éèêëęě íìîïı ł ñń óòôõöő śšş úùûüű ý źżž ğ ’".split(), strict=True
    )
    for accented in group
}


def _split(prose: tuple[str, ...]) -> list[list[Word]]:
    """Cut the prose into sentences of words; of many sentences the first and the last are kept."""
    raw = [part for line in prose for part in _SENTENCE.split(line) if part.strip()]
    if len(raw) > _SENTENCES:
        raw = raw[: _SENTENCES - 4] + raw[-4:]
    starts = ((part, _BULLET.match(part)) for part in raw)
    tokens = (_WORD.findall(part, start.end() if start else 0, _SENTENCE_LENGTH) for part, start in starts)
    return [words for part in tokens if (words := [word for token in part for word in _words(token)])]


@lru_cache(maxsize=8192)
def _words(token: str) -> tuple[Word, ...]:
    """Read a token as words: one, or the cues that lie in a run of a script without spaces."""
    if _is_script(token):
        pattern, names = _script()
        return tuple(names[cue] for cue in pattern.findall(token))
    plain = token.lower().translate(_ACCENTS)
    acts, things, marks = _meaning(plain)
    points = _points(token, plain)
    is_word = not points and token.replace("-", "").replace("'", "").isalpha()
    return (Word(token, plain, acts if is_word else (), things, marks, points=points),)


_NAME = re.compile(r"[a-z][A-Z]|\w_\w|\w\.(?:py|ipynb|[jt]sx?|go|rs|java|cs|cpp|jl|sql)$")
_PROJECT = frozenset("codebase workspace project repo repository usages solution".split())


def _points(token: str, plain: str) -> str:
    if token[0] in "@#" and len(token) > 2:
        return "names the project" if plain[1:] in _PROJECT else "names a file"
    return "names code" if _NAME.search(token) else ""


def _is_script(text: str) -> bool:
    return ord(text[0]) >= 0x0E00


_Meaning = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
_LONGEST = 16
_DOCS = (".md", ".mdx", ".mdc", ".rst")
_TOLD = ("s", "ed", "ing")
_NOTHING: _Meaning = ((), (), ())


def _meaning(word: str) -> _Meaning:
    """Look up what a word may be: as an act, a thing and a mark, each by the longest entry that fits."""
    if word[0] in "@#`" or "/" in word:
        word = word.strip("@#`").rpartition("/")[2].rpartition(":")[2]
    if word.endswith(_DOCS):
        word = ".md"
    whole, beginnings = _lexicon()
    acts, things, marks = whole.get(word, _NOTHING)
    thing_length = len(word) if things else 0
    # "adds", "added", "adding" tell what something does; an order is the bare verb
    told = word.isascii() and word.endswith(_TOLD)
    for length in range(min(len(word), _LONGEST), 1, -1):
        if found := beginnings.get(word[:length]):
            # "changelog" is a thing, though it begins like "change"
            if not acts and not told and thing_length < length + 2:
                acts = found[0]
            if not things and found[1]:
                things, thing_length = found[1], length
            marks = marks or found[2]
    return acts, things, marks


@cache
def _lexicon() -> tuple[dict[str, _Meaning], dict[str, _Meaning]]:
    """Meanings of whole words, and of beginnings."""
    whole: dict[str, _Meaning] = {}
    beginnings: dict[str, _Meaning] = {}
    for column, table in enumerate((cues.ACTS, cues.THINGS, cues.MARKS)):
        for name, entry in ((name, entry) for name, entries in table.items() for entry in entries.split()):
            target = beginnings if entry.endswith("*") else whole
            meaning = list(target.get(entry.rstrip("*"), _NOTHING))
            meaning[column] = (*meaning[column], name)
            target[entry.rstrip("*")] = (meaning[0], meaning[1], meaning[2])
    return whole, beginnings


@cache
def _phrases() -> tuple[dict[str, str], frozenset[str]]:
    """Names by phrase, and the words that phrases begin with."""
    phrases = {" ".join(phrase.split()): name for name, row in cues.PHRASES.items() for phrase in row.split("|")}
    return phrases, frozenset(phrase.split()[0] for phrase in phrases)


@cache
def _script() -> tuple[re.Pattern[str], dict[str, Word]]:
    """Build a pattern of all cues, the longest first, and each cue's word."""
    words: dict[str, Word] = {}
    for row, entries in cues.SCRIPT.items():
        field, _, name = row.partition(":")
        acts, things, marks, asks = ((name,) if field == each else () for each in ("acts", "things", "marks", "asks"))
        words.update((cue, Word(cue, cue, acts, things, marks, asks)) for cue in entries.split())
    return re.compile("|".join(map(re.escape, sorted(words, key=len, reverse=True)))), words


# -- results -----------------------------------------------------------------------------------------------------------


def _softmax(sums: list[float]) -> list[float]:
    top = max(sums)
    raised = [math.exp((value - top) / cues.TEMPERATURE) for value in sums]
    return [value / sum(raised) for value in raised]


def _evidence(findings: list[Finding], best: int) -> tuple[str, ...]:
    """Tell the findings that speak most for the winner, four at most."""
    speaking = [(cues.WEIGHTS[f.name][best] * f.share, f.words) for f in findings if f.name in cues.WEIGHTS]
    strongest = sorted((pair for pair in speaking if pair[0] > 0.2), key=lambda pair: -pair[0])
    told = [_short(words) for words in dict.fromkeys(words for _, words in strongest)]
    return tuple(told[:4]) or ("nothing that tells; a guess",)


def _short(words: str, limit: int = 60) -> str:
    # a lone surrogate can be read but not written
    words = words.encode("utf-8", "replace").decode()
    return words if len(words) <= limit else f"{words[: limit - 2]}…{words[-1]}"


def _needs_symbols(findings: list[Finding]) -> bool:
    """Whether the findings point into a project; each kind counts once, and only where it is asked."""
    names = {f.name for f in findings if f.share > 0.5}
    return sum(cues.SYMBOLS.get(name, 0.0) for name in names) >= cues.SYMBOLS_NEEDED
