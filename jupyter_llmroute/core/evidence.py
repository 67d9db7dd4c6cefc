"""Why a request was taken for what it was taken for, in words."""

from __future__ import annotations

from jupyter_llmroute.core.features import Features, Finding
from jupyter_llmroute.core.weights import Weights

TOLD = 4
"""Findings that are told, at most."""

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


def evidence(found: Features, task: int, weights: Weights) -> tuple[str, ...]:
    """Tell the findings that speak most for a task, the strongest first."""
    spoken: dict[str, float] = {}
    for finding in found.findings:
        words = _told(finding)
        spoken[words] = spoken.get(words, 0.0) + _speaks(finding.name, task, weights)
    strongest = sorted((pair for pair in spoken.items() if pair[1] > 0.1), key=lambda pair: -pair[1])
    return tuple(words for words, _ in strongest[:TOLD]) or ("nothing that tells; a guess by the words",)


def _speaks(name: str, task: int, weights: Weights) -> float:
    """Return how much more a feature says for a task than for the others."""
    four = weights.says(name)
    return four[task] - sum(four) / len(four)


def _told(finding: Finding) -> str:
    # a lone surrogate can be read but not written
    words = _TEMPLATES[finding.kind].format(finding.words).encode("utf-8", "replace").decode()
    return words if len(words) <= _LENGTH else f"{words[: _LENGTH - 2]}…{words[-1]}"
