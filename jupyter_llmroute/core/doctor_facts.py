"""What the doctor judges, gathered: files of this machine, variables, settings, and the servers as they were seen.

Nothing is sent and nothing is looked up here. The servers were asked before, through the one door, for what loads no
model and wakes no generation.
"""

from __future__ import annotations

import os
import shutil
import ssl
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jupyter_llmroute.core.audit.record import Kept
from jupyter_llmroute.core.doctor import Authority, Facts, FileFacts
from jupyter_llmroute.core.embedded.rendezvous import state_folder
from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.local_network import Listener, default_routes, ipv6_addresses, listeners, nameservers
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.provenance import Layer, Source
from jupyter_llmroute.core.sections import SecuritySettings
from jupyter_llmroute.core.settings import Loaded, Settings
from jupyter_llmroute.core.settings_file import other_writers

MAX_FILE_BYTES = 1 << 20

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "SOCKS_PROXY", "PIP_PROXY")

DISTRIBUTIONS = ("jupyter-llmroute", "httpx", "httpcore", "h11", "pydantic", "PyYAML", "jupyter-server", "ipython")
OPTIONAL = ("xllamacpp", "jupyterlab")

PROGRAMS = ("serena", "ty")

STUB = "127.0.0.53"
"""systemd-resolved's own (systemd-resolved.service(8)): whom it asks stands in the second file."""

RESOLV_CONF, UPSTREAM = "etc/resolv.conf", "run/systemd/resolve/resolv.conf"


class Checksums(NamedTuple):
    """Models by what is known of their checksums; see `Facts`."""

    unlocked: tuple[str, ...] | None
    changed: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()
    error: str = ""


NO_CHECKSUMS = Checksums(None)


def gather(
    loaded: Loaded,
    endpoints: Iterable[Endpoint] = (),
    *,
    environ: Mapping[str, str] = os.environ,
    root: Path = Path("/"),
    platform: str = sys.platform,
    programs: Mapping[str, str | None] | None = None,
    audit_files: Iterable[Path] = (),
    audit_error: str = "",
    checksums: Checksums = NO_CHECKSUMS,
) -> Facts:
    """Return what is known, without sending anything.

    Parameters
    ----------
    loaded
        The settings and where they come from.
    endpoints
        The servers as last seen.
    environ, root, platform
        The variables, the root of the file system, and the name of the system.
    programs
        Serena and the language server by name, with their paths; `None` looks in `PATH`.
    audit_files
        Those of the audit log, where there is one.
    audit_error
        Why it cannot be written, and what to do.
    checksums
        What is known of those of the models.
    """
    settings = loaded.settings
    security = settings.security
    found = (
        {name: shutil.which(name, path=environ.get("PATH", "")) for name in PROGRAMS} if programs is None else programs
    )
    return Facts(
        policy=Policy.from_settings(settings.security, settings.discovery.hosts),
        is_air_gapped=settings.environment == "air-gapped",
        platform=platform,
        nameservers=_nameservers(root),
        default_routes=_of_proc(root, ("route", "ipv6_route"), default_routes),
        ipv6=_of_proc(root, ("if_inet6",), ipv6_addresses),
        listeners=_listeners(root, platform),
        proxies=tuple(_proxies(environ)),
        files=tuple(_files(loaded.layers, audit_files)),
        keys_in=tuple(_keys(loaded.layers)),
        authority=_authority(security.ca_file, environ),
        endpoints=tuple(endpoints),
        unlocked=checksums.unlocked,
        changed=checksums.changed,
        untold=checksums.untold,
        checksums_error=checksums.error,
        audit=_audit(security),
        answers_in_audit=Kept.of_responses(security.log_responses) is Kept.TEXT,
        audit_error=audit_error,
        programs=tuple((name, path or "") for name, path in found.items()),
        versions=tuple(_versions(settings)),
    )


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def _nameservers(root: Path) -> tuple[str, ...] | None:
    if (text := _text(root / RESOLV_CONF)) is None:
        return None
    asked = nameservers(text)
    passed_on = nameservers(_text(root / UPSTREAM) or "") if STUB in asked else ()
    return tuple(server for server in asked if server != STUB or not passed_on) + passed_on


def _of_proc(root: Path, names: tuple[str, ...], read: Any) -> tuple[str, ...] | None:
    """Return what is read of files of /proc/net; one that is missing while others are there says nothing."""
    if _text(root / "proc/net/dev") is None:
        return None
    found: tuple[str, ...] = read(*(_text(root / "proc/net" / name) or "" for name in names))
    return found


def _listeners(root: Path, platform: str) -> tuple[Listener, ...] | None:
    if (tcp := _text(root / "proc/net/tcp")) is not None:
        return listeners(tcp) + listeners(_text(root / "proc/net/tcp6") or "")
    if platform.startswith("linux"):
        return None
    try:
        # It comes with ipykernel; of all processes it may want an administrator.
        rows = import_module("psutil").net_connections("tcp")
    except Exception:
        return None
    found = [(row.laddr.ip, row.laddr.port) for row in rows if row.status == "LISTEN"]
    return tuple(Listener.model_validate({"address": ip.partition("%")[0], "port": port}) for ip, port in found)


def _proxies(environ: Mapping[str, str]) -> Iterator[str]:
    """Yield each variable that names a proxy, with its host alone: before that may stand a password."""
    for name, value in environ.items():
        if name.upper() in PROXIES and value:
            try:
                parts = urlsplit(value if "://" in value else f"//{value}")
                yield f"{name} names {parts.hostname or 'a proxy'}"
            except ValueError:
                yield f"{name} names a proxy"


def _files(layers: Iterable[Layer], audit_files: Iterable[Path]) -> Iterator[FileFacts]:
    state = state_folder()
    named = [
        *(("settings file", path, False) for path in _settings_files(layers)),
        *(("folder of the settings", path.parent, False) for path in _settings_files(layers)),
        ("state folder", state, True),
        *(("state", path, True) for path in sorted(state.glob("*.state")) + sorted(state.glob("*.json"))),
        *(("audit log", path, True) for path in audit_files),
    ]
    for what, path, is_private in named:
        try:
            mode = path.stat().st_mode
            # Where a folder has the sticky bit, others can make files, and not replace the user's.
            writers = "" if path.is_dir() and mode & stat.S_ISVTX else other_writers(path)
        except OSError:
            continue
        may_read = sys.platform != "win32" and bool(mode & (stat.S_IRGRP | stat.S_IROTH))
        yield FileFacts(
            what=what, path=str(path), others_may_read=may_read, others_may_write=writers, is_private=is_private
        )


def _settings_files(layers: Iterable[Layer]) -> list[Path]:
    return [Path(layer.places[()]) for layer in layers if layer.source is Source.FILE and () in layer.places]


def _keys(layers: Iterable[Layer]) -> Iterator[str]:
    for layer in layers:
        if layer.source is Source.FILE and () in layer.places and _holds_key(layer.data):
            yield layer.places[()]


def _holds_key(data: Any) -> bool:
    if isinstance(data, Mapping):
        return any((name == "api_key" and bool(value)) or _holds_key(value) for name, value in data.items())
    return isinstance(data, list | tuple) and any(map(_holds_key, data))


def _authority(ca_file: Path | None, environ: Mapping[str, str]) -> Authority:
    path = str(ca_file or environ.get("SSL_CERT_FILE", ""))
    if not path:
        return Authority(path="")
    try:
        trusted = ssl.create_default_context(cafile=path)
    except OSError as error:
        return Authority(path=path, error=str(error) or "it does not read")
    count = len(trusted.get_ca_certs())
    return Authority(path=path, certificates=count, error="" if count else "it holds no certificate of an authority")


def _audit(security: SecuritySettings) -> str | None:
    if not security.audit_enabled:
        return None
    kept = {Kept.NOTHING: "not at all", Kept.HASH: "as hashes", Kept.TEXT: "word for word"}
    return f"kept: decisions, refusals, and questions {kept[Kept.of_queries(security.log_queries)]}"


def _versions(settings: Settings) -> Iterator[tuple[str, str]]:
    yield "Python", sys.version.split()[0]
    for name in DISTRIBUTIONS:
        yield name, _version(name)
    for name in OPTIONAL:
        if found := _version(name):
            yield name, found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
