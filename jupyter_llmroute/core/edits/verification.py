"""`Verification`: what an editor did to files, against what was shown of it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from pathlib import Path

from jupyter_llmroute.core.edits.edit import RenameSymbol
from jupyter_llmroute.core.edits.place import place
from jupyter_llmroute.core.edits.proposal import FileChange, Proposal
from jupyter_llmroute.core.edits.rename import is_renamed_alone
from jupyter_llmroute.core.edits.symbol import parse
from jupyter_llmroute.core.edits.text_file import PYTHON, decoded, digest, with_plain_ends
from jupyter_llmroute.core.edits.tree import Tree
from jupyter_llmroute.core.errors import EditRefused


class NotAsShown(EditRefused):
    """An editor's rename reached other places than were shown; it was taken back."""

    def __init__(self, message: str, instead: Proposal) -> None:
        super().__init__(message)
        self.instead = instead
        """What the editor would do, to be looked at and applied instead."""


class Verification:
    """What an editor did, against what was shown."""

    def __init__(
        self,
        proposal: Proposal,
        tree: Tree,
        shown: Mapping[str, FileChange],
        written: Collection[str],
        references: frozenset[str],
    ) -> None:
        self._proposal = proposal
        self._tree = tree
        self._shown = {name: change for name, change in shown.items() if name not in written}
        self._references = references
        self._renames = [step for step in proposal.steps if isinstance(step, RenameSymbol)]
        self._others: dict[str, FileChange] = {}
        """Files that a rename changed otherwise than was shown, in nothing but the name."""

    def run(self, changed: Mapping[Path, bytes | None]) -> dict[Path, bytes | None]:
        """Return what each changed file is to hold: what was shown, in the file's own encoding and line ends.

        Raises
        ------
        EditRefused
            Something is not as it was shown.
        """
        if lost := self._tree.lost_links():
            raise _wrong(str(lost[0]), "is no more the link that it was")
        final: dict[Path, bytes | None] = {}
        for path, raw in sorted(changed.items()):
            final[path] = self._checked(path, raw)
        # Of others the bytes alone were changed, and are put back.
        names = {self._tree.names[path] for path, raw in final.items() if raw != self._tree.files[path].raw}
        if not names and self._proposal.steps:
            raise EditRefused(
                "The editor said that it was done, and changed nothing. Try again, or change it yourself."
            )
        if missing := sorted(self._shown.keys() - names) or sorted(self._references - names):
            raise _wrong(missing[0], "was to be changed and was not: the change is not complete")
        for rename in self._proposal.unseen:
            if rename.file not in names:
                raise _wrong(rename.file, "holds what was to be renamed, and was not changed")
        if self._others:
            raise self._not_as_shown()
        return final

    def _checked(self, path: Path, raw: bytes | None) -> bytes:
        name = self._tree.names[path]
        old = self._tree.files.get(path)
        if raw is None:
            raise _wrong(name, "was removed")
        if old is None:
            raise _wrong(name, "was made, and nobody had asked for it")
        if not path.is_relative_to(self._tree.home):
            raise _wrong(name, "lies outside the project and was changed through a link")
        if path.suffix == ".ipynb":
            raise _wrong(name, "is a notebook, and its file was changed as if it were Python")
        shown = self._shown.get(name)
        if not name.endswith(PYTHON):
            raise _wrong(name, "is not Python and was changed")
        return self._python(name, old.raw, raw, shown)

    def _python(self, name: str, old: bytes, raw: bytes, shown: FileChange | None) -> bytes:
        source = decoded(name, old)
        texts = _readings(raw, source.encoding)
        if shown and shown.raw_after is not None and any(_is_same(text, shown.after) for text in texts):
            return shown.raw_after
        if shown is None and source.text in texts:
            return old
        if shown is None and not self._renames:
            raise _wrong(name, "was changed, and was not among the files that were shown")
        if not any(map(_parses, texts)) and _parses(source.text):
            raise _wrong(name, "does not parse any more")
        if self._renames:
            for text in texts:
                if self._is_renamed(source.text, text):
                    place(self._tree.home, name)
                    fixed = source.encoded(text)
                    if not self._proposal.unseen:
                        self._others[name] = change_of(name, old, fixed)
                    return fixed
            raise _wrong(name, "was changed in more than the name")
        raise _wrong(name, "became something else than was shown")

    def _is_renamed(self, old: str, new: str) -> bool:
        if len(self._proposal.steps) != 1:
            return False
        step = self._renames[0]
        return is_renamed_alone(old, new, step.symbol.rsplit("/", 1)[-1].split("[")[0], step.new_name)

    def _not_as_shown(self) -> NotAsShown:
        changes = {change.file: change for change in self._proposal.changes} | self._others
        instead = Proposal(
            root=self._proposal.root,
            changes=tuple(change.model_copy(update={"written": True}) for _, change in sorted(changes.items())),
        )
        return NotAsShown(
            f"The rename reaches {', '.join(map(repr, sorted(self._others)))} otherwise than was shown: all was taken "
            f"back. Look at what it would change, and apply that.",
            instead,
        )


def _readings(raw: bytes, encoding: str) -> list[str]:
    """Return what bytes may say: in the file's own encoding, or in UTF-8, which editors write whatever it declares."""
    texts = []
    for each in dict.fromkeys(("utf-8", encoding)):
        with contextlib.suppress(UnicodeDecodeError):
            texts.append(with_plain_ends(raw.decode(each)).removeprefix("\ufeff"))
    return texts


def _is_same(text: str, shown: str | None) -> bool:
    """Whether a text is the one that was shown; editors leave other empty lines around a definition."""
    if shown is None:
        return False
    if text == shown:
        return True
    full, wanted = ([line.rstrip() for line in each.split("\n") if line.strip()] for each in (text, shown))
    return full == wanted and _parses(text) and _parses(shown)


def _parses(text: str) -> bool:
    try:
        parse(text)
    except SyntaxError:
        return False
    return True


def change_of(name: str, old: bytes | None, new: bytes | None) -> FileChange:
    """Return the change of a file from some bytes to others."""
    return FileChange(
        file=name,
        before=None if old is None else decoded(name, old).text,
        after=None if new is None else decoded(name, new).text,
        digest=digest_of(old),
        raw_after=new,
    )


def digest_of(raw: bytes | None) -> str | None:
    """Return the digest of bytes; `None` for a file that is not there."""
    return None if raw is None else digest(raw)


def _wrong(name: str, what: str) -> EditRefused:
    return EditRefused(f"{name!r} {what}: all was taken back. Apply it without this editor, or make it yourself.")
