"""`Applied`: what became of files."""

from __future__ import annotations

from pathlib import Path

from jupyter_llmroute.core.edits.proposal import FileChange
from jupyter_llmroute.core.values import Value


class Applied(Value):
    """Changes that were made, or taken back."""

    root: Path
    changes: tuple[FileChange, ...]
    """What each file was and what it is now, by name."""
    number: int
    """Of the change among those of the project, counted from 1."""
    at: float
    """Seconds since the epoch."""
    what: tuple[str, ...] = ()
    """What was done, one phrase for each edit."""
    taken_back: bool = False
    """Whether it is an earlier change that was undone."""
    notes: tuple[str, ...] = ()
    """Sentences, such as that line ends were put right."""

    @property
    def diff(self) -> str:
        """What was changed, as one unified diff."""
        return "".join(change.diff for change in self.changes)
