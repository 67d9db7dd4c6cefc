"""Why a request was taken for what it was taken for, in words."""

from __future__ import annotations

from collections.abc import Collection

from jupyter_llmroute.core.features import Features
from jupyter_llmroute.core.weights import Weights

TOLD_WORDS = 2

TOLD = 4
"""Findings that are told, at most."""

LEAST = 0.1
"""What a finding must say for the task beyond what it says for all, to be told."""

OWN_CORRECTIONS = "by your own corrections"
"""Told where the answer would be another without them."""

_LENGTH = 60
_TEMPLATES = {
    "pair": 'asks to: "{}"',
    "verb": 'asks to: "{}"',
    "question": 'question: "{}"',
    "word": 'word: "{}"',
    "pasted": "pasted {}",
    "bare traceback": "a bare traceback",
    "bare log": "a bare log",
    "bare diff": "a bare diff",
    "bare code": "code and nothing else",
}


def evidence(found: Features, task: int, weights: Weights, phrases: Collection[str]) -> tuple[str, ...]:
    """Tell the findings that speak most for a task, the strongest first; where none does, the words that do."""
    spoken: dict[tuple[str, str], float] = {}
    for name, kind, words in found.findings:
        four = weights.says(name)
        told = (kind, words)
        spoken[told] = spoken.get(told, 0.0) + four[task] - sum(four) / len(four)
    strongest = sorted((pair for pair in spoken.items() if pair[1] > LEAST), key=lambda pair: -pair[1])
    told_words = dict.fromkeys(_told(kind, words) for (kind, words), _ in strongest[:TOLD])
    return tuple(told_words) or _loudest(phrases, task, weights) or ("nothing that tells; a guess",)


def _loudest(phrases: Collection[str], task: int, weights: Weights) -> tuple[str, ...]:
    """Tell the words and pairs that say most for a task."""
    said = {phrase: four[task] - sum(four) / len(four) for phrase in phrases if (four := weights.phrase_says(phrase))}
    loudest = sorted((phrase for phrase in said if said[phrase] > 0), key=lambda phrase: (-said[phrase], phrase))
    return tuple(_told("word", phrase) for phrase in loudest[:TOLD_WORDS])


def _told(kind: str, words: str) -> str:
    # a lone surrogate can be read but not written
    told = _TEMPLATES[kind].format(words).encode("utf-8", "replace").decode()
    return told if len(told) <= _LENGTH else f"{told[: _LENGTH - 2]}…{told[-1]}"
