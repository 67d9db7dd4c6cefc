"""The notebook's JSON has one shape: what `view.py` writes is what the JupyterLab extension reads."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from jupyter_llmroute.card import figures
from jupyter_llmroute.facts import AnswerFacts, Considered, FailedAttempt, TaskFacts
from jupyter_llmroute.response import State

LAB = Path(__file__).parents[1] / "labextension"
FACTS = (LAB / "src" / "facts.ts").read_text("utf-8")
WORDS = json.loads((LAB / "tests" / "words.json").read_text("utf-8"))

BODY = r"function {}\(.*?\n}}\n"
ENTRY = r"entries\(it\.{}, one => .*?\n    }}\)\)"
INTERFACE = r"export interface {} {{\n.*?\n}}\n"

READ: tuple[tuple[type[BaseModel], str, str], ...] = (
    (AnswerFacts, BODY.format("readFacts"), r"\bit\.(\w+)"),
    (TaskFacts, BODY.format("task"), r"\bit\.(\w+)"),
    (Considered, ENTRY.format("considered"), r"\bone\.(\w+)"),
    (FailedAttempt, ENTRY.format("attempts"), r"\bone\.(\w+)"),
)
"""A model, the part of `facts.ts` that reads it, and how a field is read there."""

DECLARED: tuple[tuple[type[BaseModel], str], ...] = (
    (AnswerFacts, "IFacts"),
    (TaskFacts, "ITask"),
    (Considered, "IConsidered"),
    (FailedAttempt, "IAttempt"),
)
"""A model, and the interface of what was read."""

NOT_KEPT = {"version"}
"""Read, and kept as `READABLE`, which no model has."""

READABLE = "readable"


def part(source: str, pattern: str) -> str:
    """Return the one part of a text that looks like this."""
    (found,) = re.findall(pattern, source, re.DOTALL)
    return str(found)


def camel(name: str) -> str:
    """Return a name as TypeScript writes it: `cardLines` of `card_lines`."""
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def differences(source: str) -> set[str]:
    """Return the names that stand on one side only."""
    found = set(re.findall(r"'(\w+)'", part(source, r"export const STATES = \[.*?\]"))) ^ {
        state.value for state in State
    }
    for model, where, field in READ:
        found |= set(re.findall(field, part(source, where))) ^ set(model.model_fields)
    for model, interface in DECLARED:
        declared = set(re.findall(r"^  (\w+)\??:", part(source, INTERFACE.format(interface)), re.MULTILINE))
        found |= (declared - {READABLE}) ^ {camel(name) for name in model.model_fields.keys() - NOT_KEPT}
    return found


def test_both_sides_have_the_same_names() -> None:
    assert differences(FACTS) == set()


@pytest.mark.parametrize(
    ("written", "instead", "named"),
    [
        ("count(it.card_lines)", "count(it.card_rows)", {"card_lines", "card_rows"}),
        ("    error: text(it.error),\n", "", {"error"}),
        ("texts(it.evidence)", "[]", {"evidence"}),
        ("verdict: text(one.verdict)", "verdict: text(one.points)", {"verdict", "points"}),
        ("text(one.error)", "text(one.error ?? one.reason)", {"reason"}),
        ("'routing',", "'routing', 'thinking',", {"thinking"}),
        ("  'failed'\n", "", {"failed"}),
        ("  promptTokensExact: boolean;\n", "", {"promptTokensExact"}),
        ("waiting: text(it.waiting)", "waiting: text(it.waits)", {"waiting", "waits"}),
        ("  contextWindow: number | null;\n", "", {"contextWindow"}),
        ("  verdict: string;\n", "  verdict: string;\n  score: number;\n", {"score"}),
    ],
)
def test_a_difference_is_found(written: str, instead: str, named: set[str]) -> None:
    assert FACTS.count(written) == 1
    assert differences(FACTS.replace(written, instead)) - differences(FACTS) == named


@pytest.mark.parametrize("case", WORDS, ids=lambda case: case["figures"] or "nothing")
def test_both_sides_say_the_same(case: dict[str, Any]) -> None:
    facts = AnswerFacts(**{"state": "complete", "card_lines": 0, **case["facts"]})
    assert " · ".join(figures(facts)) == case["figures"]
