"""Asks jedi, in a process of its own; run as a script, and importing nothing of this package.

Why not in the kernel: to look into a compiled module jedi imports it, and for that it exchanges `sys.path` under
everybody's feet; it cannot be interrupted; and it holds the interpreter's lock for seconds. Here it can be ended.

The process is started without `site`, so nothing is run because it lies in a folder: no `sitecustomize`, no `.pth`
file, no editable install's finder. Modules can be imported from the folders named on the command line alone, which are
those of the interpreter's own packages; the project is read, and nothing of it is on `sys.path`.

A line in is a JSON-RPC request, a line out is its answer.
"""

from __future__ import annotations

import _thread
import io
import json
import os
import pickle
import re
import signal
import sys
import threading
import time
import tokenize
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

Place = tuple[str, int, int]
"""A file, a line counted from 1, a column counted from 0."""

MOST_DOCUMENTATION = 4_000
MOST_FOUND = 20


class Reader:
    """jedi, set up for a project that is only read."""

    def __init__(self, cache: str) -> None:
        import jedi  # type: ignore[import-untyped]
        import parso.cache
        from jedi.api.environment import InterpreterEnvironment  # type: ignore[import-untyped]

        jedi.settings.cache_directory = Path(cache)
        _keep_whole(parso.cache)
        jedi.settings.auto_import_modules = []  # such as `gi`, which would be imported
        self._jedi = jedi
        self._environment = InterpreterEnvironment()

    def script(self, asked: dict[str, Any], path: str, code: str) -> Any:
        """Return jedi's view of one text."""
        root = asked["root"]
        project = self._jedi.Project(
            root, sys_path=asked["sys_path"], smart_sys_path=False, load_unsafe_extensions=False
        )
        return self._jedi.Script(code, path=os.path.join(root, path), project=project, environment=self._environment)


def _keep_whole(cache: Any) -> None:
    """Have parso's files written as a whole or not at all, and broken ones overlooked: it does neither.

    Its own way leaves half a file where a process ends at the wrong moment, and fails on it for ever after.
    """
    load = cache._load_from_file_system

    def load_whole(*args: Any, **options: Any) -> Any:
        return _quietly(lambda: load(*args, **options), None)

    def save_whole(grammar: str, path: Any, item: Any, cache_path: Any = None) -> None:
        name = cache._get_hashed_path(grammar, path, cache_path=cache_path)
        part = f"{name}.{os.getpid()}"
        try:
            with open(part, "wb") as file:
                pickle.dump(item, file, pickle.HIGHEST_PROTOCOL)
            os.replace(part, name)
        except BaseException:
            with suppress(OSError):
                os.remove(part)
            raise

    cache._load_from_file_system = load_whole
    cache._save_to_file_system = lambda *args, **options: _quietly(lambda: save_whole(*args, **options), None)


def definitions(reader: Reader, asked: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Say where the name at a place of a text comes from, imports followed; `None` where that takes too long."""
    try:
        with _interrupted_after(_left(asked)):
            return _definitions(reader, asked)
    except KeyboardInterrupt:
        return None


def _definitions(reader: Reader, asked: dict[str, Any]) -> list[dict[str, Any]]:
    script = reader.script(asked, asked["file"], asked["code"])
    place = asked["line"], asked["column"]
    found = script.goto(*place, follow_imports=True, follow_builtin_imports=True)
    # A variable says little of itself; what it holds does.
    if asked["inferred"] or not found:
        found = script.infer(*place) or found
    return [_told(name) for name in found[:MOST_FOUND]]


def _left(asked: dict[str, Any]) -> float:
    """Return the seconds that an answer may take: so many from now, or until a moment, whatever the start took."""
    ends_at = asked["ends_at"]
    return float(asked["limit_s"] if ends_at is None else max(0.0, ends_at - time.time()))


def _told(name: Any) -> dict[str, Any]:
    return {
        "name": name.name,
        "full_name": name.full_name or name.name,
        "kind": name.type,
        "module": name.module_name,
        "path": str(name.module_path) if name.module_path else "",
        "line": name.line or 0,
        "last_line": _quietly(lambda: name.get_definition_end_position()[0], 0),
        "signature": "\n".join(_quietly(lambda: [each.to_string() for each in name.get_signatures()], [])[:3]),
        "documentation": _quietly(lambda: name.docstring(raw=True), "")[:MOST_DOCUMENTATION],
    }


def _quietly(ask: Callable[[], Any], otherwise: Any) -> Any:
    """Ask jedi, which fails in many ways where code is unusual."""
    try:
        return ask()
    except Exception:
        return otherwise


def references(reader: Reader, asked: dict[str, Any]) -> dict[str, Any]:
    """Follow each place where a name stands to its definition, and return those that lead to the one asked about.

    Returned are `uses`; `through`, which lead to a method that the asked one overrides; `family`, all places that must
    have one name with it, because methods override one another; the number of places `unresolved` that lead nowhere,
    and `unchecked` that there was no time for; and whether some of the family lies `outside` the project.
    """
    # Several where a property has a setter, or a function is defined in either branch.
    targets: set[Place] = {(asked["file"], line, column) for line, column in asked["places"]}
    end = time.monotonic() + _left(asked)
    leads: dict[Place, set[Place]] = {}
    definitions = set(targets)
    unresolved = unchecked = 0
    for place, is_definition, lead in _leads(reader, asked, end):
        if lead is None:
            unchecked += 1
        elif not lead and place not in targets:
            unresolved += 1
        else:
            leads[place] = lead
            if is_definition:
                definitions.add(place)
    # From the name in a method's definition jedi leads to the method that it overrides.
    bases = set().union(*(leads.get(target, ()) for target in targets)) - targets
    family = _family(targets, definitions, leads)
    uses = [place for place, lead in leads.items() if lead & targets and place not in definitions]
    through = [place for place, lead in leads.items() if lead & bases and place not in definitions.union(uses)]
    return {
        "uses": sorted(uses),
        "through": sorted(through),
        "family": sorted(family.union(place for place, lead in leads.items() if lead & family)),
        "unresolved": unresolved,
        "unchecked": unchecked,
        "outside": any(file not in asked["files"] for file, _, _ in family),
    }


def _family(targets: set[Place], definitions: set[Place], leads: dict[Place, set[Place]]) -> set[Place]:
    """Return the definitions that override one another, from one of them on."""
    family, before = set(targets), 0
    while len(family) != before:
        before = len(family)
        for place in definitions & leads.keys():
            if place in family:
                family |= leads[place]
            elif leads[place] & family:
                family.add(place)
    return family


def _leads(reader: Reader, asked: dict[str, Any], end: float) -> Iterator[tuple[Place, bool, set[Place] | None]]:
    """Go through the places of a name: whether it is defined there, and where it leads; `None` once time is up."""
    root, name = asked["root"], asked["name"]
    for file in asked["files"]:
        path, script = os.path.join(root, file), None
        if time.monotonic() > end:
            yield from (((file, 0, 0), False, None) for _ in range(_count(path, name)))
            continue
        text, places = _places(path, name)
        for line, column, is_definition in places:
            if time.monotonic() > end:
                yield (file, line, column), is_definition, None
                continue
            try:
                # One place that takes for ever leaves half of the time to the others.
                with _interrupted_after((end - time.monotonic()) / 2):
                    script = script or reader.script(asked, file, text)
                    lead = _lead(script, root, line, column)
            except KeyboardInterrupt:
                script = lead = None  # it may have been left half way
            yield (file, line, column), is_definition, lead


@contextmanager
def _interrupted_after(limit_s: float) -> Iterator[None]:
    """Raise KeyboardInterrupt where something takes longer: jedi may follow a name for minutes."""
    lock, is_over = threading.Lock(), False

    def interrupt() -> None:
        with lock:
            if not is_over:
                _thread.interrupt_main()

    timer = threading.Timer(limit_s, interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
        with lock:
            is_over = True
    finally:
        timer.cancel()


def _places(path: str, name: str) -> tuple[str, list[tuple[int, int, bool]]]:
    """Return a file's text, and where in it a name stands as a name: not in strings and comments."""
    places: list[tuple[int, int, bool]] = []
    text = before = ""
    try:
        with open(path, "rb") as file:
            data = file.read()
        if name.isascii() and name.encode() not in data:
            return text, places
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and token.string == name:
                places.append((*token.start, before in ("def", "class")))
            before = token.string
    except (OSError, SyntaxError, ValueError, LookupError, tokenize.TokenError):
        pass  # what came before the mistake is taken
    return text, places


def _count(path: str, name: str) -> int:
    """Return how often a name stands in a file, strings and comments included."""
    try:
        with open(path, "rb") as file:
            return len(re.findall(rb"\b%b\b" % re.escape(name.encode()), file.read()))
    except OSError:
        return 0


def _lead(script: Any, root: str, line: int, column: int) -> set[Place]:
    found = _quietly(lambda: script.goto(line, column, follow_imports=True, follow_builtin_imports=False), [])
    return {(_file(root, name.module_path), name.line, name.column) for name in found if name.module_path and name.line}


def _file(root: str, path: Path) -> str:
    """Return a path from the root, and as it is where it lies outside."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return str(path)


ANSWERS: dict[str, Callable[[Reader, dict[str, Any]], Any]] = {"definitions": definitions, "references": references}


def serve(lines: Iterable[bytes], write: Callable[[bytes], Any], reader: Reader) -> None:
    """Answer until there is nothing more to read."""
    for line in lines:
        message = json.loads(line)
        if "id" not in message:
            continue
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            reply["result"] = ANSWERS[message["method"]](reader, message["params"])
        except Exception as error:
            reply["error"] = {"code": -32000, "message": f"{type(error).__name__}: {error}"}
        write(json.dumps(reply).encode() + b"\n")


def main(folders: list[str], cache: str, idle_s: float) -> None:
    """Answer on the pipes that stdin and stdout are; end where nothing is asked for long."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the one who started it ignores them
    # What an imported module prints goes elsewhere.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.path += folders
    reader = Reader(cache)
    serve(_until_idle(sys.stdin.buffer, idle_s), answers.write, reader)


def _until_idle(lines: Iterable[bytes], idle_s: float) -> Iterator[bytes]:
    """Go through lines until none comes for long; the first is sure to come."""
    reading = iter(lines)
    line = next(reading, b"")
    while line:
        yield line
        timer = threading.Timer(idle_s, os._exit, (0,))
        timer.daemon = True
        timer.start()
        line = next(reading, b"")
        timer.cancel()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
