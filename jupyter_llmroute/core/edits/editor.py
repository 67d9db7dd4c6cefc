"""Who changes files: Serena, or `ast` and jedi where it is not there."""

from __future__ import annotations

from typing import Protocol


class Editor(Protocol):
    """Somebody who changes symbols of a project's files, on disk.

    Each method returns when it is done and raises where it is not; afterwards it writes nothing more. None of it is
    believed: `guard.apply` looks at what became of the files.

    Parameters are everywhere the same: `file` is relative to the project's root, with `/`; `name_path` is exact and
    begins with `/`, as `/Order/total`, or `/Order/total[1]` for the second of that name.
    """

    async def replace_body(self, file: str, name_path: str, body: str) -> None:
        """Put `body` in the place of a definition with its decorators.

        The first line of `body` is not indented, the others are as they will stand in the file; no line end at its end.
        """

    async def insert_after(self, file: str, name_path: str, body: str) -> None:
        """Put `body` below a definition; all its lines are indented as they will stand in the file."""

    async def insert_before(self, file: str, name_path: str, body: str) -> None:
        """Put `body` above a definition; all its lines are indented as they will stand in the file."""

    async def rename(self, file: str, name_path: str, new_name: str) -> None:
        """Give a symbol another name, wherever it is used."""

    async def safe_delete(self, file: str, name_path: str) -> None:
        """Take a definition away; raise where it is used."""
