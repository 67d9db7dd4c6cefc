"""The lexicon that requests are read with, from `data/cues.toml`: read at the first use, once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

Names = tuple[str, ...]
Meaning = tuple[Names, Names, Names]
"""What a word may be: the names of acts, of things and of marks."""

NOTHING: Meaning = ((), (), ())


class Cue(NamedTuple):
    """What a cue within a run of letters without spaces means."""

    acts: Names
    things: Names
    marks: Names
    asks: Names


class Cues(NamedTuple):
    """The lexicon, ready to look things up."""

    whole: Mapping[str, Meaning]
    beginnings: Mapping[str, Meaning]
    phrases: Mapping[str, str]
    """What a run of words asks."""
    acts: frozenset[str]
    """The names of what verbs do: a phrase may do the same."""
    phrase_starts: Mapping[str, int]
    """Words of the longest phrase that begins with a word."""
    script: Mapping[str, Cue]
    script_pattern: re.Pattern[str]
    pasted: re.Pattern[str]
    """The groups' names are the kinds of pasted lines."""
    leads: frozenset[str]
    pronouns: frozenset[str]
    modals: frozenset[str]
    after_question: frozenset[str]
    verb_last: frozenset[str]
    contracted: frozenset[str]
    """Words that end in "'s" without owning anything."""
    continuing: frozenset[str]
    """Words that a question begins with where it goes on from the one before."""
    continuing_script: tuple[str, ...]
    """The same in scripts without spaces."""
    pointing: frozenset[str]
    """Words that may mean the cell before."""


@cache
def cues() -> Cues:
    """Return the lexicon."""
    tables = tomllib.loads(files("jupyter_llmroute.core").joinpath("data/cues.toml").read_text("utf-8"))
    whole, beginnings = _meanings(tables)
    phrases = {" ".join(part.split()): name for name, row in tables["phrases"].items() for part in row.split("|")}
    script = _script(tables["script"])
    kinds = (f"(?P<{kind}>{row})" for kind, row in tables["pasted"].items())
    return Cues(
        whole=whole,
        beginnings=beginnings,
        phrases=phrases,
        acts=frozenset(tables["acts"]),
        phrase_starts=_longest(phrases),
        script=script,
        script_pattern=re.compile("|".join(map(re.escape, sorted(script, key=len, reverse=True)))),
        pasted=re.compile(rf"\s*(?:{'|'.join(kinds)})", re.VERBOSE),
        continuing=frozenset(tables["continuation"]["starts"].split()),
        continuing_script=tuple(tables["continuation"]["script"].split()),
        pointing=frozenset(tables["continuation"]["points"].split()),
        **{name: frozenset(row.split()) for name, row in tables["verbs"].items()},
    )


def _longest(phrases: Mapping[str, str]) -> dict[str, int]:
    longest: dict[str, int] = {}
    for words in map(str.split, phrases):
        longest[words[0]] = max(len(words), longest.get(words[0], 0))
    return longest


def _meanings(tables: Mapping[str, Mapping[str, str]]) -> tuple[dict[str, Meaning], dict[str, Meaning]]:
    """Return the meanings of whole words, and of beginnings."""
    whole: dict[str, Meaning] = {}
    beginnings: dict[str, Meaning] = {}
    for column, table in enumerate(("acts", "things", "marks")):
        for name, entry in ((name, entry) for name, row in tables[table].items() for entry in row.split()):
            target = beginnings if entry.endswith("*") else whole
            meaning = list(target.get(entry.rstrip("*"), NOTHING))
            if name not in meaning[column]:
                meaning[column] = (*meaning[column], name)
            target[entry.rstrip("*")] = (meaning[0], meaning[1], meaning[2])
    return whole, beginnings


def _script(rows: Mapping[str, str]) -> dict[str, Cue]:
    found: dict[str, Cue] = {}
    for row, entries in rows.items():
        field, _, name = row.partition(":")
        cue = Cue(*((name,) if field == each else () for each in Cue._fields))
        found.update((entry, cue) for entry in entries.split())
    return found
