"""`propose`: what edits would make of a project's files, one after another, each checked. Nothing is written.

The same edits and the same files give the same proposal.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from jupyter_llmroute.core.edits import rename
from jupyter_llmroute.core.edits.edit import (
    DeleteSymbol,
    Edit,
    InsertSymbol,
    PatchFile,
    RenameSymbol,
    ReplaceSymbol,
    WriteFile,
    told,
)
from jupyter_llmroute.core.edits.patch import patched
from jupyter_llmroute.core.edits.place import MOST_BYTES, name_of, place
from jupyter_llmroute.core.edits.proposal import FileChange, Proposal, Refusal
from jupyter_llmroute.core.edits.splice import deleted, elided, fitted, inserted, new_definition, replaced
from jupyter_llmroute.core.edits.symbol import Symbol, find_symbol, parse, symbols
from jupyter_llmroute.core.edits.text_file import PYTHON, TextFile, decoded, digest, read_bytes, with_plain_ends
from jupyter_llmroute.core.edits.tree import python_files
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused, LLMRouteError

Preview = Callable[[str, str, str], Awaitable[Mapping[str, str]]]
"""File, exact name path, new name: what each file would be, by its name; raises `CodeUnavailable`, `EditRefused`."""

_Previews = Mapping[RenameSymbol, Mapping[str, str] | LLMRouteError]

MOST_NAMED = 8
"""Files that a note names."""


async def propose(edits: Sequence[Edit], root: Path, *, preview: Preview | None = None) -> Proposal:
    """Return what edits would make of a project's files.

    Parameters
    ----------
    edits
        As they were read from an answer; each that cannot be made is refused for itself, with its reason.
    root
        The project's.
    preview
        Tells what a rename would change; `None` for jedi in this process.

    Returns
    -------
    Proposal
        Renames come first, then the others in their order.
    """
    home = await asyncio.to_thread(root.resolve)
    previews = {edit: await _previewed(edit, home, preview) for edit in edits if isinstance(edit, RenameSymbol)}
    return await asyncio.to_thread(_propose, tuple(edits), home, previews)


async def _previewed(edit: RenameSymbol, home: Path, preview: Preview | None) -> Mapping[str, str] | LLMRouteError:
    try:
        name, exact = await asyncio.to_thread(_renamed, edit, home)
        if preview is not None:
            return await preview(name, exact, edit.new_name)
        return await asyncio.to_thread(rename.preview, home, name, exact, edit.new_name)
    except (CodeUnavailable, EditRefused) as error:
        return error


def _renamed(edit: RenameSymbol, home: Path) -> tuple[str, str]:
    """Return the file and the exact name path of what is to be renamed; raise `EditRefused` where it cannot be."""
    path = place(home, edit.file)
    name = name_of(home, path)
    file = _File(name, read_bytes(path, name))
    _must_be_python(file, name, edit)
    symbol = find_symbol(file.text, edit.symbol, name)
    rename.check_new_name(file.text, symbol, edit.new_name, name)
    return name, f"/{symbol.name_path}"


def _propose(edits: tuple[Edit, ...], home: Path, previews: _Previews) -> Proposal:
    draft = _Draft(home, previews)
    ordered = sorted(edits, key=lambda edit: not isinstance(edit, RenameSymbol))
    for edit in ordered:
        try:
            draft.add(edit)
        except EditRefused as error:
            draft.refused.append(Refusal(edit=edit, reason=str(error)))
    return draft.proposal()


class _File:
    """A file as it is, and as the edits so far would make it."""

    def __init__(self, name: str, raw: bytes | None) -> None:
        self.raw = raw
        self.source = decoded(name, raw) if raw is not None else TextFile(name, "")
        self.before = self.source.text if raw is not None else None
        self.text = self.source.text
        self.notes: list[str] = []
        self.written = False
        """Whether lines or all of it are written, not symbols alone."""


class _Draft:
    def __init__(self, home: Path, previews: _Previews) -> None:
        self._home = home
        self._previews = previews
        self._files: dict[str, _File] = {}
        self._steps: list[Edit] = []
        self._unseen: list[RenameSymbol] = []
        self._renamed: set[str] = set()
        self._by_symbol: set[str] = set()
        self.refused: list[Refusal] = []

    def add(self, edit: Edit) -> None:
        """Take one edit in; raise `EditRefused` and stay as it was where that cannot be."""
        path = place(self._home, edit.file)
        name = name_of(self._home, path)
        if self._unseen:
            raise _refused(name, "may be changed by a rename that cannot be shown beforehand", "Apply that one first")
        known = name in self._files
        file = self._files.setdefault(name, self._read(path, name))
        try:
            match edit:
                case RenameSymbol():
                    self._rename(file, name, edit)
                case WriteFile():
                    self._write(file, name, edit)
                case PatchFile():
                    self._change(file, name, patched(file.text, edit), [])
                    file.written = True
                case _:
                    self._change_symbol(file, name, edit)
        except EditRefused:
            if not known:
                del self._files[name]
            raise

    def proposal(self) -> Proposal:
        # What is written whole holds what symbols of it became too.
        by_symbol = self._by_symbol | self._renamed
        mixed = any(file.written and name in by_symbol for name, file in self._files.items())
        changes = tuple(
            FileChange(
                file=name,
                before=file.before,
                after=file.text,
                digest=None if file.raw is None else digest(file.raw),
                raw_after=file.source.encoded(file.text),
                written=file.written or mixed,
                notes=tuple(dict.fromkeys(file.notes)),
            )
            for name, file in sorted(self._files.items())
            if file.text != file.before
        )
        return Proposal(
            root=self._home,
            changes=changes,
            steps=() if mixed else tuple(self._steps),
            unseen=tuple(self._unseen),
            refused=tuple(self.refused),
        )

    def _read(self, path: Path, name: str) -> _File:
        return _File(name, read_bytes(path, name))

    def _change(self, file: _File, name: str, text: str, notes: Sequence[str]) -> None:
        _check(file, name, text)
        file.text = text
        file.notes += notes

    def _change_symbol(self, file: _File, name: str, edit: ReplaceSymbol | InsertSymbol | DeleteSymbol) -> None:
        _must_be_python(file, name, edit)
        symbol = find_symbol(file.text, edit.symbol, name)
        text, body, notes = _with_symbol_changed(file.text, symbol, edit, name)
        if isinstance(edit, DeleteSymbol):
            self._refuse_used(file, name, symbol, text)
        self._change(file, name, text, notes)
        self._by_symbol.add(name)
        exact = {"file": name, "symbol": f"/{symbol.name_path}"} | ({} if body is None else {"body": body})
        self._steps.append(edit.model_copy(update=exact))

    def _refuse_used(self, file: _File, name: str, symbol: Symbol, without: str) -> None:
        try:
            uses = [] if file.raw is None else list(rename.references(self._home, name, f"/{symbol.name_path}"))
        except CodeUnavailable as error:
            raise _refused(name, f"may use {symbol.name_path!r} elsewhere ({error})", "Delete it yourself") from error
        drafted = {other: each.text for other, each in self._files.items() if each.text != each.before}
        uses = [use for use in uses if _says({**drafted, name: without}, use.rpartition(":")[0], symbol.name)]
        if uses:
            raise _refused(name, f"holds {symbol.name_path!r}, which is used ({_some(uses)})", "Change the uses first")

    def _write(self, file: _File, name: str, edit: WriteFile) -> None:
        if line := elided(edit.text, file.text):
            raise _refused(name, f"is to become a text that leaves code out ({line[:80]!r})", "Ask for all of it")
        if (parts := _excerpt(file, name, edit.text)) is not None:
            return self._write_parts(file, name, parts)
        gone = _gone(file.text, edit.text) if name.endswith(PYTHON) else []
        notes = [f"Of {name} go away: {_some(gone)}."] if gone else []
        text = edit.text if not file.text or file.text.endswith("\n") else edit.text.rstrip("\n")
        self._change(file, name, text, notes)
        file.written = True

    def _write_parts(self, file: _File, name: str, parts: Sequence[tuple[str, str]]) -> None:
        text, notes, steps = file.text, list(file.notes), len(self._steps)
        try:
            for symbol, body in parts:
                self._change_symbol(file, name, ReplaceSymbol(file=name, symbol=symbol, body=body))
        except EditRefused:
            file.text, file.notes = text, notes
            del self._steps[steps:]
            raise

    def _rename(self, file: _File, name: str, edit: RenameSymbol) -> None:
        found = self._previews[edit]
        if isinstance(found, EditRefused):
            raise found
        symbol = find_symbol(file.text, edit.symbol, name)
        step = edit.model_copy(update={"file": name, "symbol": f"/{symbol.name_path}"})
        if isinstance(found, LLMRouteError):
            if self._steps:
                raise _refused(name, f"is changed by another rename ({found})", "Apply that one first") from found
            self._unseen.append(step)
            self._steps.append(step)
            self._renamed.add(name)
            return
        changed = {other: with_plain_ends(text) for other, text in found.items()}
        self._take_renamed(changed, symbol, step)
        others = rename.said_elsewhere(self._home, python_files(self._home), symbol.name, changed)
        if others:
            word = f"The word {symbol.name!r} stays as it is in {_some(list(others))}: look whether it means the same."
            file.notes.append(word)
        self._steps.append(step)

    def _take_renamed(self, changed: Mapping[str, str], symbol: Symbol, step: RenameSymbol) -> None:
        if twice := sorted(self._renamed & changed.keys()):
            raise _refused(twice[0], "is changed by another rename already", "Apply that one first")
        files = {}
        for name, text in changed.items():
            path = place(self._home, name)
            files[name] = self._files.get(name) or self._read(path, name)
            if not rename.is_renamed_alone(files[name].text, text, symbol.name, step.new_name):
                raise _refused(name, "would change in more than the name", "Rename it yourself")
            _check(files[name], name, text)
        for name, file in files.items():
            file.text = changed[name]
        self._files |= files
        self._renamed |= files.keys()


def _with_symbol_changed(
    text: str, symbol: Symbol, edit: ReplaceSymbol | InsertSymbol | DeleteSymbol, name: str
) -> tuple[str, str | None, tuple[str, ...]]:
    """Return the new text, the body as it stands in it, and what to say of it."""
    match edit:
        case ReplaceSymbol():
            new = fitted(text, symbol, edit.body, name)
            return replaced(text, symbol, new.body), new.body, new.notes
        case InsertSymbol():
            body = new_definition(edit.body, symbol, name)
            return inserted(text, symbol, edit.side, body), body, _defined_twice(text, symbol, body)
        case DeleteSymbol():
            return deleted(text, symbol), None, ()


def _defined_twice(text: str, symbol: Symbol, body: str) -> tuple[str, ...]:
    beside = {other.name for other in symbols(text) if other.parent == symbol.parent}
    new = {
        found.name
        for found in symbols("\n".join(line.removeprefix(symbol.indent) for line in body.split("\n")))
        if found.top_level
    }
    return tuple(f"{name!r} is defined beside {symbol.name_path} already." for name in sorted(beside & new))


def _check(file: _File, name: str, text: str) -> None:
    """Refuse a text that the file must not become."""
    if text == file.text:
        raise _refused(name, "would stay as it is", "It has what the answer asks for")
    if len(text) > MOST_BYTES:
        raise _refused(name, f"would become larger than {MOST_BYTES >> 20} MiB", "Ask for less")
    if name.endswith(PYTHON):
        try:
            parse(text)
        except SyntaxError as error:
            where = f"line {error.lineno}: " if error.lineno else ""
            raise _refused(name, f"would not parse ({where}{error.msg})", "Ask again") from error
    file.source.encoded(text)


def _must_be_python(file: _File, name: str, edit: Edit) -> None:
    if not name.endswith(PYTHON):
        raise _refused(name, f"is not Python, and the answer wants to {told(edit)}", "Ask for all of its text")
    if file.before is None and not file.text:
        raise _refused(name, "is not there", "Have the file named that holds the symbol")


def _says(drafted: Mapping[str, str], name: str, word: str) -> bool:
    """Whether a file may use a word yet: what was changed before may have left none of it."""
    return name not in drafted or re.search(rf"(?<!\w){re.escape(word)}(?!\w)", drafted[name]) is not None


def _excerpt(file: _File, name: str, text: str) -> list[tuple[str, str]] | None:
    """Return the definitions of a text that holds only some of a file's, each with the name path of the old one.

    Small models write one changed function and name the file: that is not all of its text.
    """
    if file.before is None or not name.endswith(PYTHON):
        return None
    try:
        old, new, body = symbols(file.text), symbols(text), parse(text).body
    except SyntaxError:
        return None
    old_top = {symbol.name: symbol for symbol in old if symbol.top_level and symbol.kind != "variable"}
    new_top = [symbol for symbol in new if symbol.top_level and symbol.kind != "variable"]
    is_all = len(new_top) == len(body) and bool(new_top)
    if not is_all or any(symbol.name not in old_top for symbol in new_top):
        return None
    if not _gone(file.text, text) or len({symbol.name for symbol in new_top}) < len(new_top):
        return None
    pairs = [(old_top[symbol.name].name_path, text[symbol.start : symbol.end]) for symbol in new_top]
    changed = [(f"/{path}", body) for path, body in pairs if body not in file.text]
    return changed or [(f"/{path}", body) for path, body in pairs]


def _gone(old: str, new: str) -> list[str]:
    """Return the names that a text defines at its top level and another does not."""
    try:
        before = {symbol.name: None for symbol in symbols(old) if symbol.top_level}
        after = {symbol.name for symbol in symbols(new) if symbol.top_level}
    except SyntaxError:
        return []
    return [name for name in before if name not in after]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _refused(name: str, why: str, then: str) -> EditRefused:
    return EditRefused(f"{name!r} {why}: nothing was changed. {then}.")
