"""`ProjectCode`: everybody who knows the code of one project, and of the notebook that belongs to it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from jupyter_llmroute.core.code.finding import CodeIntelligence
from jupyter_llmroute.core.code.installation import find_ty
from jupyter_llmroute.core.code.serena import Serena
from jupyter_llmroute.core.code.static_code import StaticCode
from jupyter_llmroute.core.code.ty_cells import TyCells
from jupyter_llmroute.core.sections import SerenaSettings


class ProjectCode:
    """Those who know one project; each is started when it is first asked.

    Parameters
    ----------
    root
        As `project.find_root` gave it.
    settings
        Where Serena is, and how long it stays.
    """

    def __init__(self, root: Path, settings: SerenaSettings) -> None:
        self.root = root
        self.static = StaticCode(root)
        self._executable = Path(settings.executable) if settings.executable else None
        self._idle_s = settings.idle_s
        self.serena = Serena(root, executable=self._executable, idle_s=self._idle_s) if settings.enabled else None
        self._cells: TyCells | None = None

    @property
    def cells(self) -> TyCells:
        """Who is asked about the notebook's own cells; `ty` is looked for until it is there."""
        if self._cells is None:
            ty = find_ty(self._executable)
            cells = TyCells(self.root, ty, idle_s=self._idle_s)
            if ty is None:
                return cells
            self._cells = cells
        return self._cells

    def of_files(self, ends_at: float) -> Sequence[CodeIntelligence]:
        """Return who is asked about the project's files, the best first.

        Parameters
        ----------
        ends_at
            When who can tells what was found by then, in seconds since the epoch.
        """
        static = self.static.until(ends_at)
        return [self.serena, static] if self.serena else [static]

    async def close(self) -> None:
        """End every program."""
        serena = [self.serena.close()] if self.serena else []
        cells = [self._cells.close()] if self._cells else []
        await asyncio.gather(self.static.close(), *cells, *serena)
