"""`Proposal`: what would become of a project's files, to be looked at. Nothing is written."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path

from pydantic import Field

from jupyter_llmroute.core.edits.edit import Edit, RenameSymbol
from jupyter_llmroute.core.values import Value


class FileChange(Value):
    """What a file is and what it would be."""

    file: str
    """Relative to the project's root, with `/`."""
    before: str | None
    r"""Its text, lines ending with `\n`; `None` where it is not there yet."""
    after: str | None
    """Its text then; `None` where it is not there any more, which only taking a change back can bring about."""
    digest: str | None
    """Of its bytes, as it was read; `None` where it is not there."""
    raw_after: bytes | None = Field(repr=False)
    """Its bytes then: encoding, line ends and byte order mark are kept."""
    written: bool = True
    """Whether it is written whole, and not by an editor's steps."""
    notes: tuple[str, ...] = ()
    """What who looks at it should know, as sentences."""

    @property
    def diff(self) -> str:
        """What changes, as a unified diff."""
        lines = unified_diff(
            _lines(self.before or ""),
            _lines(self.after or ""),
            "/dev/null" if self.before is None else f"a/{self.file}",
            "/dev/null" if self.after is None else f"b/{self.file}",
        )
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


class Refusal(Value):
    """An edit that would not be made."""

    edit: Edit
    reason: str
    """As a sentence that says what to do now."""


class Proposal(Value):
    """What would become of the files."""

    root: Path
    changes: tuple[FileChange, ...] = ()
    """By name; a file is among them once."""
    steps: tuple[Edit, ...] = ()
    """What an editor is to do, in order, name paths being exact and bodies as they will stand in the file."""
    unseen: tuple[RenameSymbol, ...] = ()
    """Those of `steps` whose files nobody could tell beforehand: an editor finds them."""
    refused: tuple[Refusal, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to apply."""
        return not self.changes and not self.steps

    @property
    def diff(self) -> str:
        """All that would change, as one unified diff."""
        return "".join(change.diff for change in self.changes)


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
