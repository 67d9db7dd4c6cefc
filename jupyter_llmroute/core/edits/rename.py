"""A rename seen before it happens: jedi says what would become of each file, and writes nothing."""

from __future__ import annotations

import keyword
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_llmroute.core.edits.place import FOREIGN, name_of
from jupyter_llmroute.core.edits.symbol import Symbol, find_symbol, symbols
from jupyter_llmroute.core.edits.text_file import decoded, with_plain_ends
from jupyter_llmroute.core.errors import CodeUnavailable, EditRefused

if TYPE_CHECKING:
    import jedi  # type: ignore[import-untyped]

NOTEBOOK = ".ipynb"
MOST_NOTEBOOKS, MOST_NOTEBOOK_BYTES = 500, 4 << 20
"""Notebooks that are looked through for a name, and the size of each."""


def check_new_name(text: str, symbol: Symbol, new_name: str, file: str) -> None:
    """Refuse a name that is none, or is taken beside the symbol.

    Raises
    ------
    EditRefused
        It is.
    """
    if not new_name.isidentifier() or keyword.iskeyword(new_name):
        raise _refused(symbol, file, f"{new_name[:100]!r} is no name in Python", "Give another one")
    if symbol.name.startswith("__") and symbol.name.endswith("__"):
        raise _refused(symbol, file, "Python itself calls it by its name", "Leave it as it is")
    beside = {other.name for other in symbols(text) if other.parent == symbol.parent}
    if new_name in beside:
        raise _refused(symbol, file, f"{new_name!r} is there already", "Give another name")


def is_renamed_alone(old_text: str, new_text: str, old: str, new: str) -> bool:
    """Whether a text differs from another in nothing but that some of the words `old` are `new`.

    Examples
    --------
    >>> is_renamed_alone("a + ab", "b + ab", "a", "b"), is_renamed_alone("a + ab", "b + bb", "a", "b")
    (True, False)
    """
    word = re.compile(rf"(?<!\w){re.escape(old)}(?!\w)")
    either = re.compile(rf"(?<!\w)(?:{re.escape(old)}|{re.escape(new)})(?!\w)")
    at = end = 0
    for found in word.finditer(old_text):
        between = old_text[end : found.start()]
        here = either.match(new_text, at + len(between))
        if not new_text.startswith(between, at) or here is None:
            return False
        at, end = here.end(), found.end()
    return new_text[at:] == old_text[end:]


def preview(root: Path, file: str, name_path: str, new_name: str) -> dict[str, str]:
    r"""Return what each file would be after a rename, by its name; lines end with `\n`. Nothing is written.

    Raises
    ------
    EditRefused
        The symbol cannot be renamed so.
    CodeUnavailable
        jedi cannot tell.
    """
    home = root.resolve()
    text = _text(home / file, file)
    symbol = find_symbol(text, name_path, file)
    check_new_name(text, symbol, new_name, file)
    changed = _changed_by_jedi(home, home / file, text, symbol, new_name)
    if file not in changed:
        raise CodeUnavailable(f"jedi finds no use of {symbol.name_path!r} in {file!r}, not even its definition.")
    return changed


def _changed_by_jedi(home: Path, path: Path, text: str, symbol: Symbol, new_name: str) -> dict[str, str]:
    line = text.count("\n", 0, symbol.name_at) + 1
    column = symbol.name_at - (text.rfind("\n", 0, symbol.name_at) + 1)
    try:
        refactoring = _script(home, path, text).rename(line, column, new_name=new_name)
        files = {place: change.get_new_code() for place, change in refactoring.get_changed_files().items()}
    except Exception as error:  # jedi raises whatever its reading of foreign code runs into
        raise CodeUnavailable(f"jedi cannot rename {symbol.name_path!r} ({type(error).__name__}: {error}).") from error
    return dict(sorted(_checked(home, files, symbol.name, new_name).items()))


def _checked(home: Path, files: Mapping[Path | None, str], old: str, new: str) -> dict[str, str]:
    checked = {}
    for place, code in files.items():
        path = (place or home).resolve()
        if not path.is_relative_to(home):
            raise CodeUnavailable(f"{old!r} is used in {str(path)!r} too, which is not in the project.")
        name = name_of(home, path)
        text, changed = _text(path, name), with_plain_ends(code).removeprefix("\ufeff")
        if not is_renamed_alone(text, changed, old, new):
            raise CodeUnavailable(f"jedi would change more of {name!r} than the name.")
        if text != changed:
            checked[name] = changed
    return checked


def references(root: Path, file: str, name_path: str) -> tuple[str, ...]:
    """Return where else a symbol is used, as `shop.py:12`, as far as jedi finds it.

    Raises
    ------
    CodeUnavailable
        jedi cannot tell.
    """
    home = root.resolve()
    text = _text(home / file, file)
    symbol = find_symbol(text, name_path, file)
    line = text.count("\n", 0, symbol.name_at) + 1
    column = symbol.name_at - (text.rfind("\n", 0, symbol.name_at) + 1)
    try:
        found = _script(home, home / file, text).get_references(line, column, scope="project", include_builtins=False)
    except Exception as error:  # as above
        raise CodeUnavailable(f"jedi cannot look for uses of {symbol.name_path!r} ({error}).") from error
    uses = []
    for name in found:
        path = Path(name.module_path or home).resolve()
        is_own = path == home / file and symbol.first_line <= name.line <= symbol.last_line
        if not is_own and path.is_relative_to(home):
            uses.append(f"{name_of(home, path)}:{name.line}")
    return tuple(sorted(set(uses)))


def said_elsewhere(home: Path, names: Mapping[str, Path], word: str, changed: Mapping[str, str]) -> tuple[str, ...]:
    """Return the places, as `shop.py:12`, at which a word stays: in files that are not changed, and in those that are.

    Parameters
    ----------
    home
        The project's root.
    names
        Its Python files, by name; its notebooks are looked through too.
    word
        An identifier.
    changed
        What becomes of the files that are changed, by name.
    """
    pattern = re.compile(rf"(?<!\w){re.escape(word)}(?!\w)")
    places = []
    for name, path in sorted({**names, **_notebooks(home)}.items()):
        try:
            text = changed[name] if name in changed else path.read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if name.endswith(NOTEBOOK):
            places += [name] if pattern.search(text) else []
        else:
            lines = enumerate(text.split("\n"), start=1)
            places += [f"{name}:{number}" for number, line in lines if pattern.search(line)]
    return tuple(places)


def _notebooks(home: Path) -> dict[str, Path]:
    """Return the notebooks of a project, by name, as far as they are few and small."""
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(home):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in FOREIGN)
        for file in files:
            path = Path(folder, file)
            if file.endswith(NOTEBOOK) and not path.is_symlink() and path.stat().st_size <= MOST_NOTEBOOK_BYTES:
                found[name_of(home, path)] = path
        if len(found) > MOST_NOTEBOOKS:
            break
    return found


def _script(home: Path, path: Path, text: str) -> jedi.Script:
    import jedi
    from jedi.api.environment import InterpreterEnvironment  # type: ignore[import-untyped]

    # Nothing of the project is run: no interpreter of its own is started, and no compiled module of it is loaded.
    project = jedi.Project(home, load_unsafe_extensions=False)
    return jedi.Script(text, path=path, project=project, environment=InterpreterEnvironment())


def _text(path: Path, name: str) -> str:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise EditRefused(
            f"{name!r} cannot be read ({error.strerror}): nothing was changed. Look whether it is there."
        ) from error
    return decoded(os.fspath(name), raw).text


def _refused(symbol: Symbol, file: str, why: str, then: str) -> EditRefused:
    return EditRefused(f"{symbol.name_path!r} of {file!r} cannot be renamed, {why}: nothing was changed. {then}.")
