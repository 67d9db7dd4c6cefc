"""`SyntaxEditor`: symbols changed by `ast` and jedi, for where Serena is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from jupyter_llmroute.core.edits import rename
from jupyter_llmroute.core.edits.edit import Side
from jupyter_llmroute.core.edits.place import place
from jupyter_llmroute.core.edits.splice import deleted, inserted, replaced
from jupyter_llmroute.core.edits.symbol import Symbol, find_symbol
from jupyter_llmroute.core.edits.text_file import decoded, read_bytes, write_whole
from jupyter_llmroute.core.errors import EditRefused


class SyntaxEditor:
    """An `Editor` that knows only this process."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def replace_body(self, file: str, name_path: str, body: str) -> None:
        """Put `body` in the place of a definition."""
        await self._change(file, name_path, lambda text, symbol: replaced(text, symbol, body))

    async def insert_after(self, file: str, name_path: str, body: str) -> None:
        """Put `body` below a definition."""
        await self._change(file, name_path, lambda text, symbol: inserted(text, symbol, Side.AFTER, body))

    async def insert_before(self, file: str, name_path: str, body: str) -> None:
        """Put `body` above a definition."""
        await self._change(file, name_path, lambda text, symbol: inserted(text, symbol, Side.BEFORE, body))

    async def rename(self, file: str, name_path: str, new_name: str) -> None:
        """Give a symbol another name, wherever jedi finds it used."""
        for name, text in (await asyncio.to_thread(rename.preview, self._root, file, name_path, new_name)).items():
            self._write(name, text)

    async def safe_delete(self, file: str, name_path: str) -> None:
        """Take a definition away, where jedi finds no use of it."""
        if uses := await asyncio.to_thread(rename.references, self._root, file, name_path):
            raise EditRefused(
                f"{name_path!r} of {file!r} is used in {', '.join(uses[:5])}: it was not deleted. Change these uses."
            )
        await self._change(file, name_path, deleted)

    async def _change(self, file: str, name_path: str, change: Callable[[str, Symbol], str]) -> None:
        text = self._source(file)
        self._write(file, change(text, find_symbol(text, name_path, file)))

    def _source(self, file: str) -> str:
        raw = read_bytes(place(self._root, file), file)
        if raw is None:
            raise EditRefused(f"{file!r} is not there: nothing was changed. Look whether it was moved.")
        return decoded(file, raw).text

    def _write(self, file: str, text: str) -> None:
        path = place(self._root, file)
        raw = read_bytes(path, file)
        if raw is not None:
            write_whole(path, decoded(file, raw).encoded(text))
