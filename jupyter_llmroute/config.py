"""The settings of one kernel session: `%llm_config` shows them with who said each, sets some, and takes them back."""

from __future__ import annotations

import difflib
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from inspect import isclass
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from jupyter_llmroute.assignments import ROUTE, joined, read, value_of
from jupyter_llmroute.core.catalog import Catalog
from jupyter_llmroute.core.discovery import places
from jupyter_llmroute.core.environment import caller
from jupyter_llmroute.core.errors import SettingsError
from jupyter_llmroute.core.provenance import DEFAULT, Key, Layer, Origin, Source, at, merged, nested, origin, without
from jupyter_llmroute.core.providers import load_providers
from jupyter_llmroute.core.secrets import MASK, is_secret_name, masked
from jupyter_llmroute.core.service_settings import Services
from jupyter_llmroute.core.settings import Loaded, Settings
from jupyter_llmroute.options import named_options, option_value
from jupyter_llmroute.setting_types import annotation_of, is_list
from jupyter_llmroute.table import Table

OVERVIEW = ("setting", "value", "from")
DETAILS = ("setting", "value", "before", "from", "default", "what it means")

HOW = "%llm_config KEY explains one, KEY=VALUE sets it for this session, --reset KEY takes that back."

KEEP_A_KEY_OUT = (
    "A key that is set in a cell stays in the notebook and in IPython's history; in your own settings file or in a "
    "variable LLMROUTE_… it does not."
)

NEAREST = 3
"""Names that are offered for one that is not known."""


class Setting(NamedTuple):
    """One value that can be set."""

    key: Key
    value: Any
    means: str

    @property
    def name(self) -> str:
        """What the user calls it."""
        return ".".join(self.key)


class SessionConfig:
    """What one kernel session is set to.

    Parameters
    ----------
    traitlets
        Gives what IPython's configuration says, and where it does.
    parser
        Of `%%route`, whose options have a section of their own.
    """

    def __init__(self, traitlets: Callable[[], tuple[Mapping[str, Any], str]], parser: ArgumentParser) -> None:
        self._traitlets = traitlets
        self._parser = parser
        self._session: dict[str, Any] = {}
        self._loaded: Loaded | None = None

    @property
    def loaded(self) -> Loaded:
        """The settings that hold, and where they come from; read when they are first needed.

        Raises
        ------
        SettingsError
            They do not read.
        """
        if self._loaded is None:
            self._loaded = self._load(self._session)
        return self._loaded

    def forget(self) -> None:
        """Have everything read anew; what this session set stays."""
        self._loaded = None

    def route_options(self) -> dict[str, Any]:
        """Return the options of `%%route` that are set, by the names that its parser gives them.

        Raises
        ------
        SettingsError
            One is no option, or its value is none.
        """
        return self._options_of(self.loaded)

    def take(self, words: Sequence[str], *, reset: bool = False) -> Table | None:
        """Do what a line of `%llm_config` says.

        Parameters
        ----------
        words
            Keys to show or to take back, and `KEY=VALUE` to set; the latter may be in several words, in brackets.
        reset
            Whether to take back what this session set: of the keys, or everything.

        Returns
        -------
        Table or None
            What the words name, after it was done; `None` where they name nothing.

        Raises
        ------
        SettingsError
            A key or a value is none; everything stays as it was.
        """
        given = [read(word) for word in joined(words)]
        for key, text in given:
            self._check(key, is_set=text is not None)
        sets = [(key, text) for key, text in given if text is not None]
        if reset and sets:
            name = ".".join(sets[0][0])
            raise SettingsError(
                f"--reset takes back what was set: write {name!r} without a value, or leave --reset out."
            )
        if not reset and not sets:
            return self._details([key for key, _ in given]) if given else None
        new = merged((self._session, *(at(key, value_of(key, text)) for key, text in sets)))
        for key, _ in given if reset else ():
            new = without(new, key)
        return self._change({} if reset and not given else new, [key for key, _ in given])

    def table(self, pins: Iterable[str] = ()) -> Table:
        """Return every setting with its value and who said so, those first that somebody did say.

        Parameters
        ----------
        pins
            What is pinned besides, a line each.
        """
        rows = [(one.name, _shown(one), str(self._origin(one.key))) for one in self._settings(self.loaded)]
        rows.sort(key=lambda row: row[2] == str(DEFAULT))
        return Table(columns=OVERVIEW, rows=tuple(rows), notes=(*pins, HOW), nothing="There are no settings.")

    def _change(self, session: dict[str, Any], keys: Sequence[Key]) -> Table:
        before, loaded = self.loaded if self._loaded else None, self._load(session)
        self._options_of(loaded)
        _refuse_what_no_router_takes(loaded.settings)
        changed = keys or [one.key for one in self._settings(loaded) if _holds(self._session, one.key)]
        idle = [".".join(key) for key in keys if session == self._session and not _holds(session, key)]
        self._session, self._loaded = session, loaded
        return self._details(changed, before, [f"{name} was not set in this session." for name in idle])

    def _load(self, session: dict[str, Any]) -> Loaded:
        from jupyter_llmroute.own_folders import own_folders

        said, place = self._traitlets()
        layers = (
            Layer(source=Source.TRAITLETS, data=nested(said), places={(): place}),
            Layer(source=Source.SESSION, data=session, places={(): "(%llm_config)"}),
        )
        return Settings.loaded(project=Path.cwd(), own=own_folders(), layers=[layer for layer in layers if layer.data])

    def _options_of(self, loaded: Loaded) -> dict[str, Any]:
        actions = named_options(self._parser)
        found = {}
        who = caller()
        for name, value in loaded.settings.options_for(who).items():
            of_caller = name in loaded.settings.callers.get(who or "", {})
            where = origin(loaded.layers, ("callers", who or "", name) if of_caller else (ROUTE, name))
            if name not in actions:
                raise self._unknown((ROUTE, name), f" ({where})")
            try:
                found[actions[name].dest] = option_value(self._parser, name, value)
            except SettingsError as error:
                raise SettingsError(f"{error} It comes from {where}.") from None
        return found

    def _settings(self, loaded: Loaded) -> Iterator[Setting]:
        """Yield every value, of sections in their order."""
        yield from _values(loaded.settings)
        options = loaded.settings.options_for(caller())
        for name, action in named_options(self._parser).items():
            value = options.get(name)
            default = action.default if value is None else value
            yield Setting((ROUTE, name), None if default == "" else default, (action.help or "").replace("%%", "%"))

    def _details(self, keys: Sequence[Key], before: Loaded | None = None, notes: Iterable[str] = ()) -> Table:
        """Return what there is to say of some settings, and what they were."""
        defaults = {one.key: one for one in self._settings(Loaded(Settings.model_construct(), ()))}
        old = {one.key: one for one in self._settings(before)} if before else {}
        now = list(self._settings(self.loaded))
        rows = []
        for key in dict.fromkeys(keys):
            named = [one for one in now if one.key[: len(key)] == key] or [_unset(key)]
            for one in named:
                was = _shown(old[one.key]) if one.key in old else ""
                default, who = defaults.get(one.key) or _unset(one.key), self._origin(one.key)
                told = "" if was == _shown(one) else was
                said = f"{who}: {one.name}" if who.source is Source.FILE else str(who)
                means = one.means or default.means
                rows.append((one.name, _shown(one), told, said, _shown(default), means))
        warned = (KEEP_A_KEY_OUT,) if any(self._is_key_of_session(tuple(row[0].split("."))) for row in rows) else ()
        return Table(
            columns=DETAILS, rows=tuple(rows), notes=(*notes, *warned), nothing="This session has set nothing."
        )

    def _origin(self, key: Key) -> Origin:
        return origin(self.loaded.layers, key)

    def _is_key_of_session(self, key: Key) -> bool:
        return is_secret_name(key[-1]) and self._origin(key).source is Source.SESSION

    def _check(self, key: Key, *, is_set: bool) -> None:
        """Raise where `key` names nothing, or something that is set as a whole alone."""
        whole = next((key[:end] for end in range(1, len(key)) if is_list(annotation_of(key[:end]))), None)
        if whole is None:
            options = named_options(self._parser)
            is_there = (
                key[1:2] == () or (key[1] in options and len(key) == 2) if key[0] == ROUTE else annotation_of(key)
            )
        else:
            is_there = any(one.key[: len(key)] == key for one in self._settings(self.loaded))
        if not is_there:
            raise self._unknown(key)
        if whole and is_set:
            name = ".".join(whole)
            raise SettingsError(f"{name!r} is a list, and set as a whole: write {name}=[…].")

    def _unknown(self, key: Key, where: str = "") -> SettingsError:
        name = ".".join(key)
        known = [".".join(one) for one in self._known()]
        near = [other for other in known if other.rpartition(".")[2] == key[-1]]
        near += difflib.get_close_matches(name, known, n=NEAREST, cutoff=0.7)
        lasts = {other.rpartition(".")[2]: other for other in known}
        near += [lasts[last] for last in difflib.get_close_matches(key[-1], lasts, n=NEAREST)]
        offered = ", ".join(map(repr, list(dict.fromkeys(near))[:NEAREST]))
        nearest = f" The nearest: {offered}." if offered else ""
        return SettingsError(f"There is no setting {name!r}{where}.{nearest} %llm_config shows all.")

    def _known(self) -> Iterable[Key]:
        defaults = Loaded(Settings.model_construct(), ())
        keys = [one.key for one in self._settings(defaults)]
        return dict.fromkeys((*keys, *(key[:end] for key in keys for end in range(1, len(key)))))


# -- what there is to set ----------------------------------------------------------------------------------------------


def _values(section: BaseModel, key: Key = ()) -> Iterator[Setting]:
    """Yield every value of a section and of the sections in it."""
    if isinstance(section, Services):
        for name, service in section.by_name.items():
            yield from _values(service, (*key, name))
    for name, field in type(section).model_fields.items():
        if (*key, name) != (ROUTE,):
            yield from _of_field((*key, name), getattr(section, name), field)


def _of_field(key: Key, value: Any, field: FieldInfo) -> Iterator[Setting]:
    inner: Iterable[tuple[str, Any]] = ()
    if isinstance(value, BaseModel):
        inner = [("", value)]
    elif isinstance(value, Mapping) and all(isinstance(each, BaseModel) for each in value.values()):
        inner = [(str(name), each) for name, each in value.items()]
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        inner = [(str(number), each) for number, each in enumerate(value)]
    if not inner:
        yield Setting(key, value, field.description or "")
    for name, each in inner:
        yield from _values(each, (*key, name) if name else key)


def _unset(key: Key) -> Setting:
    """Return a setting of a server that nobody named, as it would be."""
    parent = annotation_of(key[:-1])
    field = parent.model_fields.get(key[-1]) if isclass(parent) and issubclass(parent, BaseModel) else None
    return Setting(
        key, field.get_default(call_default_factory=True) if field else None, (field and field.description) or ""
    )


def _refuse_what_no_router_takes(settings: Settings) -> None:
    """Raise now what the next question would: a dialect that is none, a bad entry of the catalog."""
    Catalog.load().extended(settings.models.catalog)
    places(settings, load_providers(), ())


def _shown(one: Setting) -> str:
    """Return a value as a user would write it, without secrets."""
    if one.value is None or one.value == "":
        return "unset"
    if isinstance(one.value, SecretStr) or is_secret_name(one.key[-1]):
        return MASK
    return _written(one.value)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        inner = (f"{name}: {MASK if is_secret_name(str(name)) else _written(each)}" for name, each in value.items())
        return f"{{{', '.join(inner)}}}"
    if isinstance(value, list | tuple):
        return ", ".join(map(_written, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else masked(str(value))


def _holds(data: Mapping[str, Any], key: Key) -> bool:
    return origin((Layer(source=Source.SESSION, data=dict(data)),), key) != DEFAULT
