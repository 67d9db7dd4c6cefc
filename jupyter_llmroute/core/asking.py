"""What the sentences of a request ask for: verbs that order, phrases that ask, and their objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jupyter_llmroute.core.cues import cues
from jupyter_llmroute.core.words import Sentence, Word

Words = tuple[Word, ...]


class Head(NamedTuple):
    """A verb that orders or a phrase that asks, within a sentence."""

    start: int
    stop: int
    name: str
    """Of an act, or of a phrase."""
    words: str
    is_question: bool
    strong: bool
    """Whether it is asked for itself, rather than told as a purpose: "… to make it faster"."""


class Object(NamedTuple):
    """What a verb or a question is about."""

    name: str = ""
    """Of a thing; empty where nothing known is named."""
    words: str = ""


def heads(sentence: Sentence) -> list[Head]:
    """Return what a sentence asks, in its order; in Japanese and Korean the last verb rules, so it comes first."""
    found = list(_heads(sentence.words))
    if any("\u3040" <= run[-1] <= "\u30ff" or "\uac00" <= run[-1] <= "\ud7a3" for run in sentence.runs):
        found.reverse()
        return found[:1] if found and found[0].is_question else found
    return found


_ASIDES = frozenset(("role", "hold"))
"""Phrases that say how to answer, and ask nothing themselves: "act as an editor", "don't edit anything yet"."""

_TELLING = frozenset(("want", "getting", "symptom", "puzzled"))
"""Phrases that tell, so that a verb after them may still order."""

_PURPOSELESS = frozenset(("want", "light", *_ASIDES))
"""What asks for nothing that a purpose could be told of."""


def _heads(sentence: Words) -> Iterator[Head]:
    known = cues()
    index, first, asked, found = 0, True, False, False
    while index < len(sentence):
        word, length, strong, is_question = sentence[index], 1, True, False
        name = ""
        if word.phrase:
            name, length = _phrase(sentence, index, first)
        if name in _ASIDES:
            strong = first = False
        elif name in known.acts:
            first = False
        elif name:
            is_question, asked, first = True, asked or name not in _TELLING, name == "want"
        elif word.asks:
            name, is_question, asked, first = word.asks[0], True, True, False
        elif word.acts and _orders(sentence, index, first, asked):
            name, first = word.acts[0], False
            strong = not found or sentence[index - 1].plain != "to"
        else:
            first = word.is_pause or (first and word.keeps_first)
        if name:
            words = " ".join([w.text for w in sentence[index : index + length]])
            yield Head(index, index + length, name, words, is_question, strong)
            found = found or name not in _PURPOSELESS
        index += length


def _orders(sentence: Words, index: int, first: bool, asked: bool) -> bool:
    """Whether a verb is an order where it stands: "please fix", "can you fix", "and fix"."""
    known = cues()
    word, before = sentence[index], sentence[index - 1].plain if index else ""
    if asked:
        return before in known.after_question
    return (
        first
        or before in known.leads
        or word.is_script
        or (before in known.pronouns and index > 1 and sentence[index - 2].plain in known.modals)
        or (sentence[0].plain in known.verb_last and index >= len(sentence) - 2)
    )


def _phrase(sentence: Words, index: int, first: bool) -> tuple[str, int]:
    """Find the longest phrase that asks and begins here, and its length in words."""
    known = cues()
    for length in range(min(sentence[index].phrase, len(sentence) - index), 0, -1):
        found = known.phrases.get(" ".join([word.plain for word in sentence[index : index + length]]))
        if found and (length > 1 or first):
            return found, length
    return "", 1


_CONTAINERS = frozenset("file files page pages".split())


def object_of(sentence: Words, head: Head, end: int) -> Object:
    """Find the first thing named after a verb, of a compound its last part; where it stands before the verb, that."""
    for index in range(head.stop, min(end, head.stop + 14)):
        if sentence[index].things:
            while index + 1 < end and _continues(sentence[index + 1]):
                index += 1
            return Object(sentence[index].things[0], sentence[index].text)
    before = (word for word in sentence[: head.start] if word.things and word.is_script)
    return next((Object(word.things[0], word.text) for word in before), Object())


def _continues(word: Word) -> bool:
    return bool(word.things) and word.plain not in _CONTAINERS
