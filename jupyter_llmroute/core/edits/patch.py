"""Unified diffs as models write them: read leniently, applied to what stands there and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from jupyter_llmroute.core.edits.edit import Hunk, PatchFile
from jupyter_llmroute.core.errors import EditRefused

MOST_HUNKS = 200

NOWHERE = "/dev/null"

_HEADER = re.compile(r"@@(?:[^\d@]*(?P<line>\d+)(?:,\d+)?)?[^@]*(?:@@|$)")
_NAME = re.compile(r"(?:---|\+\+\+)[ \t]+(?P<name>\"[^\"]*\"|[^\t]*)")
_CHATTER = ("diff ", "index ", "new file mode", "old mode", "new mode", "similarity index", "deleted file mode")
_SEARCH = re.compile(r"<{5,9} ?(?:SEARCH|ORIGINAL|HEAD)?[ \t]*")
_MIDDLE = re.compile(r"={5,9}[ \t]*")
_REPLACE = re.compile(r">{5,9} ?(?:REPLACE|UPDATED)?.*")


def is_diff(text: str) -> bool:
    """Whether a text is a unified diff by its look."""
    return re.search(r"^(?:diff --git |--- [^\n]+\n\+\+\+ |@@ )", text, re.MULTILINE) is not None


def is_search(text: str) -> bool:
    """Whether a text is made of blocks of "search" and "replace"."""
    lines = text.split("\n")
    return any(map(_SEARCH.fullmatch, lines)) and any(map(_MIDDLE.fullmatch, lines))


def read_diff(text: str, file: str = "") -> tuple[list[PatchFile], list[str]]:
    """Return the changes of a unified diff, one for each file, and what is wrong with it.

    Parameters
    ----------
    text
        Its numbers of lines are only hints: models count badly.
    file
        That is meant where the diff names none.
    """
    patches: list[PatchFile] = []
    problems: list[str] = []
    for names, lines in _by_file(text.split("\n")):
        if names and names[-1] == NOWHERE:
            problems.append(f"The diff deletes {names[0]!r}: files are not deleted. Do it yourself.")
            continue
        name = names[-1] if names else file
        hunks = tuple(_hunks(lines))
        if not name:
            problems.append("A diff names no file: it was left out.")
        elif not hunks or len(hunks) > MOST_HUNKS:
            problems.append(f"The diff of {name!r} has {len(hunks)} changes: it was left out.")
        else:
            patches.append(PatchFile(file=name, hunks=hunks))
    return patches, problems


def read_search(text: str, file: str) -> PatchFile:
    """Return the change that blocks of "search" and "replace" make."""
    hunks: list[Hunk] = []
    old: list[str] = []
    new: list[str] | None = None
    inside = False
    for line in text.split("\n"):
        if _SEARCH.fullmatch(line):
            inside, old, new = True, [], None
        elif inside and new is None and _MIDDLE.fullmatch(line):
            new = []
        elif inside and new is not None and _REPLACE.fullmatch(line):
            hunks.append(Hunk(old=tuple(old), new=tuple(new)))
            inside = False
        elif inside:
            (old if new is None else new).append(line)
    return PatchFile(file=file, hunks=tuple(hunks[:MOST_HUNKS]))


def patched(text: str, patch: PatchFile) -> str:
    r"""Return a text with a patch applied; lines end with `\n`, and of a file that is not there the text is empty.

    Raises
    ------
    EditRefused
        Its old lines are not there, or at more than one place.
    """
    lines = text.split("\n")
    shift = 0
    for hunk in patch.hunks:
        old, new = hunk.old, hunk.new
        if not text and not old:
            return "\n".join(new) + "\n"
        start = _stands_at(lines, hunk, old, shift, patch.file)
        kept = _as_in_file(lines[start : start + len(old)], old, new)
        lines[start : start + len(old)] = kept
        shift += len(new) - len(old)
    return "\n".join(lines)


def _stands_at(lines: list[str], hunk: Hunk, old: tuple[str, ...], shift: int, file: str) -> int:
    said = hunk.line - 1 + shift if hunk.line else None
    if not any(line.strip() for line in old):
        raise _refused(file, "says of no line that stands there where its new lines go")
    places = _places(lines, old)
    if not places:
        raise _refused(file, f"begins with {_first(old)[:80]!r}, and its old lines do not stand there")
    if len(places) > 1 and said not in places:
        raise _refused(file, f"begins with {_first(old)[:80]!r}, and its old lines stand at {len(places)} places")
    return said if said in places and said is not None else places[0]


def _places(lines: list[str], old: tuple[str, ...]) -> list[int]:
    """Return where lines stand; blanks at their ends do not count."""
    bare, wanted = [line.rstrip() for line in lines], [line.rstrip() for line in old]
    first = [number for number, line in enumerate(bare) if line == wanted[0]]
    return [number for number in first if bare[number : number + len(wanted)] == wanted]


def _as_in_file(there: Sequence[str], old: tuple[str, ...], new: tuple[str, ...]) -> list[str]:
    """Return the new lines, those that stay being as the file has them, blanks at their ends included."""
    same = {line.rstrip(): own for line, own in zip(old, there, strict=True)}
    stays = set(old) & set(new)
    return [same.get(line.rstrip(), line) if line in stays else line for line in new]


def _by_file(lines: Sequence[str]) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the names that stand over each part of a diff, and the lines below them."""
    names: list[str] = []
    body: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        is_old_name = line.startswith("--- ") and following.startswith("+++ ")
        if is_old_name or line.startswith("diff --git "):
            if body:
                yield names, body
            names, body = [], []
        if is_old_name or (line.startswith("+++ ") and names and not body):
            names.append(_file_name(line))
        elif not line.startswith(_CHATTER):
            body.append(line)
    if body:
        yield names, body


def _file_name(line: str) -> str:
    found = _NAME.match(line)
    name = found["name"].strip().strip('"') if found else ""
    return name if name == NOWHERE else re.sub(r"^[ab]/", "", name)


def _hunks(lines: Sequence[str]) -> Iterator[Hunk]:
    at: int | None = None
    old: list[str] = []
    new: list[str] = []
    inside = False
    for line in [*lines, "@@"]:
        if line.startswith("@@"):
            old, new = _trimmed(old, new)
            if old != new:
                yield Hunk(line=at, old=tuple(old), new=tuple(new))
            header = _HEADER.match(line)
            at = int(header["line"]) if header and header["line"] else None
            old, new, inside = [], [], True
        elif inside or line[:1] in ("+", "-", " "):
            inside = True
            mark, rest = (line[0], line[1:]) if line[:1] in ("+", "-", " ") else (" ", line)
            if line.startswith("\\"):  # no line end at the end of the file
                continue
            if mark != "+":
                old.append(rest)
            if mark != "-":
                new.append(rest)


def _trimmed(old: list[str], new: list[str]) -> tuple[list[str], list[str]]:
    """Take empty lines from the end that both have: they are the answer's, not the file's."""
    while old and new and not old[-1].strip() and not new[-1].strip():
        old, new = old[:-1], new[:-1]
    return old, new


def _first(lines: Sequence[str]) -> str:
    return next((line.strip() for line in lines if line.strip()), "")


def _refused(file: str, why: str) -> EditRefused:
    return EditRefused(
        f"A change of {file!r} {why}: nothing was changed. Ask for the whole file or definition instead."
    )
