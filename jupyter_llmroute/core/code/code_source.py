"""`CodeSource`: what a question needs of its project's code, from Serena if it is ready, else from jedi."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from jupyter_llmroute.core.classifier import Classification
from jupyter_llmroute.core.code.closing import Closing
from jupyter_llmroute.core.code.consultation import NOT_INSTALLED, Consultation
from jupyter_llmroute.core.code.project import find_root
from jupyter_llmroute.core.code.project_code import ProjectCode
from jupyter_llmroute.core.context import Context, Gathered
from jupyter_llmroute.core.errors import UserError
from jupyter_llmroute.core.request import Request
from jupyter_llmroute.core.sections import SerenaSettings, TaskRouting
from jupyter_llmroute.core.task import Task


class CodeSource(Closing):
    """Gathers code for questions; an async context manager that ends what was started.

    Parameters
    ----------
    settings
        How code intelligence is used.
    routing
        For which tasks it is wanted whatever the question is.
    """

    def __init__(self, settings: SerenaSettings, routing: Mapping[Task, TaskRouting]) -> None:
        self._settings = settings
        self._routing = routing
        self._projects: dict[Path, ProjectCode] = {}
        self._has_told_install = False

    async def close(self) -> None:
        """End every program that was started."""
        projects, self._projects = self._projects, {}
        await asyncio.gather(*(project.close() for project in projects.values()))

    def project(self, request: Request) -> ProjectCode | None:
        """Return who knows the code of the project that a request belongs to; `None` where there is no project.

        Raises
        ------
        SettingsError
            `serena.workspace` is no folder.
        """
        workspace = self._settings.workspace
        if not request.folder and not workspace:
            return None
        root = find_root(Path(request.folder or "."), Path(workspace) if workspace else None)
        if root is None:
            return None
        if root not in self._projects:
            self._projects[root] = ProjectCode(root, self._settings)
        return self._projects[root]

    async def gather(self, context: Context, what: Classification, *, is_preview: bool = False) -> Gathered:
        """Return what a question needs of the code; nothing where it needs none.

        Parameters
        ----------
        context
            The question with its cells.
        what
            What it was taken for.
        is_preview
            Whether it is only looked at: then all is said that can be said, also what questions are told once.

        Raises
        ------
        UserError
            A file that the user names is not in the project, or there is no project.
        """
        request = context.request
        is_asked_for = bool(request.with_code or request.symbols or request.files)
        if request.with_code is False:
            return Gathered()
        project = self.project(request)
        if project is None:
            if is_asked_for:
                raise UserError(
                    f"--serena, --symbol, --file: {request.folder or 'this session'!r} belongs to no project: put a "
                    "pyproject.toml or .git into its root, or set serena.workspace."
                )
            return Gathered()
        is_wanted = is_asked_for or what.needs_symbols or self._routing[what.task].require_serena
        consultation = Consultation(
            project,
            context,
            what.task,
            is_wanted=is_wanted,
            budget_s=self._settings.budget_s,
            tells_install=is_preview or not self._has_told_install,
        )
        began, is_late = time.monotonic(), False
        try:
            async with asyncio.timeout(self._settings.budget_s):
                await consultation.run()
        except TimeoutError:
            is_late = True
        gathered = consultation.gathered(time.monotonic() - began, is_late=is_late)
        if not is_preview and NOT_INSTALLED in gathered.remarks:
            self._has_told_install = True
        return gathered
