"""The one router of a Jupyter server: made when it is first needed, and anew when its settings change.

Nothing of the core is imported before the first request, and then in a thread: the server goes on serving meanwhile.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.settings import Loaded

MAY_SET = ("limits", "context", "classifier", "task_routing", "models.excluded")
"""What may be changed over HTTP: nothing that opens the network, names a server, a file or a program, or is a key."""


LONGEST_NAME = 200
"""Characters of a setting's name with dots."""


class Exchange:
    """The router that all handlers share.

    Parameters
    ----------
    folder
        Where the server's notebooks lie; its settings file is read as one that came with a project.
    own
        The user's own configuration folders.
    arguments
        Settings that win over files and variables, as dictionaries.
    """

    def __init__(
        self, folder: Path | None = None, own: Sequence[Path] = (), arguments: Mapping[str, Any] | None = None
    ) -> None:
        self._folder = folder
        self._own = tuple(own)
        self._arguments = dict(arguments or {})
        self._session: dict[str, Any] = {}
        self._made: _Made | None = None
        self._making: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        atexit.register(self._let_go)

    @contextlib.asynccontextmanager
    async def router(self) -> AsyncIterator[Router]:
        """Give the router; one whose settings have changed is closed when the last of its users is done.

        Raises
        ------
        SettingsError
            The settings do not read.
        """
        made = await self._current()
        made.users += 1
        try:
            yield made.router
        finally:
            made.users -= 1
            if made.is_old and not made.users:
                await made.router.__aexit__(None, None, None)

    async def loaded(self) -> Loaded:
        """Return the settings that hold, and where they come from."""
        return (await self._current()).loaded

    def hidden(self, text: str) -> str:
        """Return a text without secrets: what looks like one, and the keys of the settings, however these look."""
        from jupyter_llmroute.core.secrets import MASK, masked

        for key in self._made.keys if self._made else ():
            text = text.replace(key, MASK)
        return masked(text)

    async def change(self, values: Mapping[str, Any]) -> None:
        """Set what holds for as long as this server runs.

        Parameters
        ----------
        values
            By names with dots; `None` takes a change back.

        Raises
        ------
        PolicyRefusal
            One of them is not to be set over HTTP; nothing is changed.
        SettingsError
            A name or a value is none; nothing is changed.
        """
        from jupyter_llmroute.core.errors import PolicyRefusal, SettingsError

        if refused := [name for name in values if not may_set(name)]:
            raise PolicyRefusal(
                f"{refused[0]!r} is not to be set over HTTP: write it in your settings file, and start Jupyter anew. "
                f"What may be set: {', '.join(MAY_SET)}."
            )
        if any(len(name) > LONGEST_NAME for name in values) or not _can_be_told(values):
            raise SettingsError("A name is too long to be one of a setting, or a number is none.")
        async with self._one_at_a_time:
            await self._change(values)

    async def _change(self, values: Mapping[str, Any]) -> None:
        from jupyter_llmroute.core.errors import SettingsError
        from jupyter_llmroute.core.provenance import at, merged, without

        session = self._session
        for name, value in values.items():
            key = tuple(name.split("."))
            session = without(session, key) if value is None else merged((session, at(key, value)))
        made = await asyncio.to_thread(_make, self._folder, self._own, self._arguments, session)
        if unknown := [name for name in values if not _is_known(made.loaded, name)]:
            await made.router.__aexit__(None, None, None)
            raise SettingsError(f"There is no setting {unknown[0]!r}.")
        old, self._made, self._session = self._made, made, session
        if old:
            old.is_old = True
            if not old.users:
                await old.router.__aexit__(None, None, None)

    async def aclose(self) -> None:
        """Close the router, if there is one."""
        made, self._made = self._made, None
        atexit.unregister(self._let_go)
        if made:
            await made.router.__aexit__(None, None, None)

    async def _current(self) -> _Made:
        while (made := self._made) is None:
            if self._making is None or self._making.done():
                self._making = asyncio.create_task(self._make_first())
            await asyncio.shield(self._making)
        return made

    async def _make_first(self) -> None:
        async with self._one_at_a_time:
            if self._made is None:
                self._made = await asyncio.to_thread(_make, self._folder, self._own, self._arguments, self._session)

    def _let_go(self) -> None:
        if self._made:
            self._made.router.embedded.close()


class _Made:
    """A router with its settings, and how many use it."""

    def __init__(self, loaded: Loaded, router: Router) -> None:
        self.loaded = loaded
        self.router = router
        services = (*loaded.settings.services.by_name.values(), *loaded.settings.services.custom_endpoints)
        self.keys = tuple(key for each in services if each.api_key and (key := each.api_key.get_secret_value()))
        self.users = 0
        self.is_old = False


def may_set(name: str) -> bool:
    """Whether a setting may be changed over HTTP.

    Examples
    --------
    >>> may_set("limits.attempts"), may_set("security.allow_external"), may_set("limits")
    (True, False, False)
    """
    return any(name == allowed if "." in allowed else name.startswith(f"{allowed}.") for allowed in MAY_SET)


def _can_be_told(values: Mapping[str, Any]) -> bool:
    """Whether values are what JSON can hold: its readers here take endless numbers too."""
    try:
        json.dumps(values, allow_nan=False)
    except ValueError:
        return False
    return True


def _make(folder: Path | None, own: Sequence[Path], arguments: Mapping[str, Any], session: Mapping[str, Any]) -> _Made:
    from jupyter_llmroute.core.audit.journal import Journal
    from jupyter_llmroute.core.file_digests import digests
    from jupyter_llmroute.core.provenance import Layer, Source
    from jupyter_llmroute.core.router import Router
    from jupyter_llmroute.core.settings import Settings
    from jupyter_llmroute.core.state import StateFile

    layers = [
        Layer(source=source, data=dict(data))
        for source, data in ((Source.ARGUMENT, arguments), (Source.SESSION, session))
        if data
    ]
    loaded = Settings.loaded(project=folder, own=own, layers=layers)
    journal = Journal.of(loaded.settings.security, digests=digests(loaded.settings.embedded))
    return _Made(loaded, Router(loaded.settings, state=StateFile.of_user(), journal=journal))


def _is_known(loaded: Loaded, name: str) -> bool:
    """Whether a name with dots leads to a setting: sections that take any name hide a misspelt one."""
    data: Any = loaded.settings.model_dump(mode="json")
    for part in name.split("."):
        if not isinstance(data, dict) or part not in data:
            return False
        data = data[part]
    return True
