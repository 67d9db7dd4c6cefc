"""What machine this is, and where the machine around it is.

A container or a WSL distribution has a machine around it, whose servers `127.0.0.1` does not reach. It is read off
files and variables; no name is looked up, and nothing is connected to. What each kind of machine can reach is from
Microsoft's WSL documentation, docs.docker.com and Podman's manual pages, as cited at each rule.
"""

from __future__ import annotations

import ipaddress
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from enum import StrEnum
from ipaddress import IPv4Network
from pathlib import Path

from jupyter_llmroute.core.values import Value

MAX_FILE_BYTES = 1 << 20
"""No file is read further: a list of blocked advertisers in /etc/hosts can be long."""

WSLINFO_S = 1.0
"""Seconds that `wslinfo` may take."""


class Wsl(StrEnum):
    """How a WSL distribution is joined to Windows, in the words of `wslinfo --networking-mode`."""

    NAT = "nat"
    MIRRORED = "mirrored"
    VIRTIOPROXY = "virtioproxy"
    NONE = "none"
    UNKNOWN = "unknown"
    """Not told, or one of those that newer versions tell: `wsl1`, `bridged`."""


class Container(StrEnum):
    """What runs the container that this process is in."""

    DOCKER = "docker"
    PODMAN = "podman"
    KUBERNETES = "kubernetes"
    OTHER = "other"


class Host(Value):
    """A name of the machine around that may be looked up: no question leaves this machine for it."""

    name: str
    address: str | None = None
    """What /etc/hosts says; `None` where Docker Desktop answers."""


class Environment(Value):
    """The machine, as `detect` found it."""

    platform: str
    """`linux`, `darwin` or `windows`."""
    release: str
    architecture: str
    """`x86_64`, `arm64`; others as the machine tells them."""
    wsl: Wsl | None = None
    container: Container | None = None
    gateway: str | None = None
    """IPv4 address of the default gateway."""
    bridged: bool = False
    """Whether the gateway is a container's own, not the one of a network shared with the machine around."""
    hosts: tuple[Host, ...] = ()
    caller: str | None = None
    """The coding tool that calls us, else the parent process."""


ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}

CALLERS = {
    "QWEN_CLI_VERSION": "qwen-cli",
    "OPENCODE_SESSION": "opencode",
    "AIDER_SESSION": "aider",
    "CODEX_SESSION": "codex",
    "GEMINI_CLI_SESSION": "gemini-cli",
    "CONTINUE_SESSION": "continue",
    "CLINE_SESSION": "cline",
    "ROO_CODE_SESSION": "roo-code",
    "CURSOR_SESSION": "cursor",
    "OPENWEBUI_SESSION": "openwebui",
    "JAN_SESSION": "jan",
    "AGNO_SESSION": "agno",
    "LLM_AGENT": "llm-agent",
    "MCP_CLIENT": "mcp-client",
}
"""Variable that a tool sets → its name; the first that is set, and not empty, counts. The value is not read."""

CONTAINER_FILES = {"run/.containerenv": Container.PODMAN, ".dockerenv": Container.DOCKER}
"""Podman's is written at each start, so it goes before Docker's, which an imported image may bring along."""

CONTAINER_WORDS = {"libpod": Container.PODMAN, "docker": Container.DOCKER, "lxc": Container.OTHER}
"""In /proc/1/cgroup, where it is version 1."""

HOST_NAMES = ("host.docker.internal", "host.containers.internal", "model-runner.docker.internal")
"""Names of the machine around a container: Docker's, Podman's, Docker Model Runner's."""

DOCKER_RESOLVER = "127.0.0.11"
"""In networks of one's own (docs.docker.com, "DNS services"). It passes on what it does not know."""

DOCKER_DESKTOP = (IPv4Network("192.168.65.0/24"),)
"""Docker Desktop's own network (docs.docker.com, Settings, "Docker subnet"); its resolver answers `*.docker.internal`.
"""

WSL_NAT = (IPv4Network("172.16.0.0/12"),)

BRIDGES = (IPv4Network("172.16.0.0/12"), IPv4Network("10.88.0.0/16"), IPv4Network("10.0.2.2/32"))
"""Where the gateway is the machine around: Docker's address pools; Podman's network (podman-network(1)); slirp4netns's
host. The rest of 10.0.2.0/24 is not: there it would be some other machine."""

_DEFAULT_ROUTE = re.compile(
    r"^(\S+)[ \t]+0{8}[ \t]+([0-9A-F]{8})[ \t]+([0-9A-F]{4})[ \t]+\d+[ \t]+\d+[ \t]+(\d{1,10})[ \t]+0{8}\b", re.M | re.A
)
_INTERFACE = re.compile(r"^(\S+)[ \t]+[0-9A-F]{8}[ \t]", re.M)
_UP_TO_A_GATEWAY = 0x0003  # RTF_UP and RTF_GATEWAY of linux/route.h
_OWN_INTERFACE = re.compile(r"eth\d+|tap0")  # a bridge's end; slirp4netns. pasta copies the machine's own name
_BRIDGE = re.compile(r"docker\d+|br-.+|podman\d+|cni.*|virbr\d+")  # only the machine that runs containers has one
_NAMESERVER = re.compile(r"^[ \t]*nameserver[ \t]+(\S+)", re.M)
_PASSED_ON_TO = re.compile(r"^# ExtServers: \[(.*)\]", re.M)


def default_gateway(route_table: str) -> str | None:
    """Return the default gateway's IPv4 address; of several, the one of the lowest metric.

    Parameters
    ----------
    route_table
        The text of /proc/net/route, whose addresses are hexadecimal in the machine's byte order.

    Examples
    --------
    >>> default_gateway("eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0")
    '172.17.0.1'
    """
    route = _default_route(route_table)
    return route and route[1]


def is_bridged(route_table: str) -> bool:
    """Tell a container's own network from one that it shares with the machine around, as by `--network host`."""
    route = _default_route(route_table)
    shared = any(map(_BRIDGE.fullmatch, _INTERFACE.findall(route_table)))
    return bool(route and _OWN_INTERFACE.fullmatch(route[0]) and not shared)


def is_wsl(osrelease: str, env: Mapping[str, str]) -> bool:
    """Whether this is WSL: by its kernel (microsoft/WSL), or by the variable that it sets."""
    return "microsoft" in osrelease.lower() or bool(env.get("WSL_DISTRO_NAME"))


def networking_mode(wslinfo: str | None, route_table: str) -> Wsl:
    """Return the networking mode of a WSL distribution.

    Parameters
    ----------
    wslinfo
        What `wslinfo --networking-mode` printed; `None`: there is no such program. Then the mode is inferred, and
        only NAT: its network is in 172.16.0.0/12, and a mirrored one has a `loopback0` too.
    """
    if wslinfo is not None:
        told = wslinfo.strip().lower()
        return Wsl(told) if told in set(Wsl) else Wsl.UNKNOWN
    interfaces = set(_INTERFACE.findall(route_table))
    is_nat = _is_in(default_gateway(route_table), WSL_NAT) and "eth0" in interfaces and "loopback0" not in interfaces
    return Wsl.NAT if is_nat else Wsl.UNKNOWN


def container_of(files: Collection[str], cgroup: str, env: Mapping[str, str]) -> Container | None:
    """Return what runs this container, by common practice: no rule says how to tell.

    Parameters
    ----------
    files
        Those of `CONTAINER_FILES` that there are.
    cgroup
        The text of /proc/1/cgroup.
    env
        `KUBERNETES_SERVICE_HOST`, which every pod has, and systemd's `container` are looked at.
    """
    if env.get("KUBERNETES_SERVICE_HOST") or "kubepods" in cgroup:
        return Container.KUBERNETES
    kinds = [kind for file, kind in CONTAINER_FILES.items() if file in files]
    kinds += [kind for word, kind in CONTAINER_WORDS.items() if word in cgroup]
    if told := env.get("container"):
        kinds.append(Container(told) if told in set(Container) else Container.OTHER)
    return kinds[0] if kinds else None


def hosts_around(hosts: str, resolv_conf: str) -> tuple[Host, ...]:
    """Return the names of the machine around that may be looked up without a question leaving this machine.

    Those in /etc/hosts may: Docker writes there what `--add-host` says, Podman always writes its own. Docker's names
    may also be asked of Docker Desktop's resolver. Docker Engine has no answer to them and would pass the question on
    to whoever /etc/resolv.conf names, so there they are left out.

    Parameters
    ----------
    hosts
        The text of /etc/hosts.
    resolv_conf
        The text of /etc/resolv.conf.
    """
    addresses: dict[str, str] = {}
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in {name.lower() for name in names}.intersection(HOST_NAMES):
            if _is_address(address):
                addresses.setdefault(name, address)
    asked = [name for name in HOST_NAMES if name.endswith(".docker.internal")] if _asks_desktop(resolv_conf) else []
    found = [Host(name=name, address=addresses.get(name)) for name in HOST_NAMES if name in addresses or name in asked]
    return tuple(host for host in found if not (host.address and ipaddress.ip_address(host.address).is_loopback))


def caller_of(env: Mapping[str, str], parent: str = "") -> str | None:
    """Return the name of the tool that calls us: by its variable, else the parent process's name.

    Examples
    --------
    >>> caller_of({"AIDER_SESSION": "1"}, "bash"), caller_of({}, "jupyter-lab"), caller_of({})
    ('aider', 'jupyter-lab', None)
    """
    named = (name for marker, name in CALLERS.items() if env.get(marker))
    return next(named, None) or "".join(filter(str.isprintable, parent)).strip() or None


def caller() -> str | None:
    """Return the name of the tool that calls this process; no program is started for it."""
    return caller_of(os.environ, _read(Path("/proc") / str(os.getppid()) / "comm"))


def detect(
    root: Path = Path("/"), env: Mapping[str, str] | None = None, machine: platform.uname_result | None = None
) -> Environment:
    """Look at this machine; a file that is missing or odd says nothing.

    Under WSL it starts `wslinfo` and may wait a second for it: in async code, call it in a thread.

    Parameters
    ----------
    root
        The folder that /proc, /etc and /run are in.
    env
        Variables; `None`: those of this process.
    machine
        As `platform.uname` tells it; `None`: it is asked.
    """
    env = os.environ if env is None else env
    machine = machine or platform.uname()
    system, architecture = machine.system.lower(), machine.machine.lower()
    told = Environment(
        platform=system,
        release=machine.release,
        architecture=ARCHITECTURES.get(architecture, architecture),
        caller=caller_of(env, _read(root / "proc" / str(os.getppid()) / "comm")),
    )
    if system != "linux":
        return told
    files = {file for file in CONTAINER_FILES if os.path.exists(root / file)}
    container = container_of(files, _read(root / "proc/1/cgroup"), env)
    routes = _read(root / "proc/net/route")
    in_wsl = is_wsl(_read(root / "proc/sys/kernel/osrelease"), env)
    mode = Wsl.UNKNOWN if container else networking_mode(_wslinfo(env), routes) if in_wsl else None
    around = {
        "wsl": mode if in_wsl else None,  # of a container there, the gateway does not tell how WSL is joined
        "container": container,
        "gateway": default_gateway(routes),
        "bridged": is_bridged(routes),
        "hosts": hosts_around(_read(root / "etc/hosts"), _read(root / "etc/resolv.conf")),
    }
    return told.model_copy(update=around)


def neighbours(environment: Environment) -> tuple[str, ...]:
    """Return the hosts besides 127.0.0.1 where servers of the machine around may be, in the order to try them.

    ==============================  ================================================================================
    WSL, NAT                        the gateway, which is Windows (Microsoft, "Accessing network applications with
                                    WSL")
    WSL, mirrored                   none: 127.0.0.1 is Windows, and the gateway the router of its network (there)
    WSL, other and unknown modes    none: what the gateway is, is not documented
    Docker, Podman, others          names in /etc/hosts, and Docker's where Docker Desktop answers
                                    (docs.docker.com, "Networking on Docker Desktop"; `--add-host`, `docker run`)
    Docker, Podman                  then the gateway of their own bridge or of slirp4netns, which is the machine
                                    around (docs.docker.com, "Bridge network driver"; podman-run(1), `--network`)
    Kubernetes                      none: what is around a pod is a node, and not its user's
    macOS, Windows, Linux           none: also of Windows, where WSL's servers answer at localhost (Microsoft, there)
    ==============================  ================================================================================

    An address counts once, under its first name.

    Examples
    --------
    >>> here = Environment(platform="linux", release="6.6.87-microsoft-standard-WSL2", architecture="x86_64")
    >>> neighbours(here.model_copy(update={"wsl": Wsl.NAT, "gateway": "172.28.0.1"}))
    ('172.28.0.1',)
    """
    gateway = environment.gateway
    if environment.container is None:
        return (gateway,) if gateway and environment.wsl is Wsl.NAT else ()
    if environment.container is Container.KUBERNETES:
        return ()
    by_address: dict[str, str] = {}
    for host in environment.hosts:
        by_address.setdefault(host.address or host.name, host.name)
    known = environment.container in (Container.DOCKER, Container.PODMAN)
    if gateway and known and environment.bridged and _is_in(gateway, BRIDGES):
        by_address.setdefault(gateway, gateway)
    return tuple(by_address.values())


def _default_route(route_table: str) -> tuple[str, str] | None:
    """Return interface and gateway."""
    routes = [
        (int(metric), interface, str(ipaddress.IPv4Address(int(gateway, 16).to_bytes(4, sys.byteorder))))
        for interface, gateway, flags, metric in _DEFAULT_ROUTE.findall(route_table)
        if int(flags, 16) & _UP_TO_A_GATEWAY == _UP_TO_A_GATEWAY and int(gateway, 16)
    ]
    return min(routes)[1:] if routes else None


def _asks_desktop(resolv_conf: str) -> bool:
    """Whether all who may be asked are Docker Desktop: also those that Docker's resolver passes questions on to."""
    asked = _NAMESERVER.findall(resolv_conf)
    if DOCKER_RESOLVER in asked:
        told = _PASSED_ON_TO.search(resolv_conf)  # since moby/moby#47041; before it, whom it asks is not said
        passed_on_to = [re.sub(r"^host\((.*)\)$", r"\1", server) for server in told[1].split()] if told else [""]
        asked = [server for server in asked if server != DOCKER_RESOLVER] + passed_on_to
    return bool(asked) and all(_is_in(server, DOCKER_DESKTOP) for server in asked)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(address: str | None, networks: Collection[IPv4Network]) -> bool:
    return bool(address and _is_address(address)) and any(
        ipaddress.ip_address(address or "") in network for network in networks
    )


def _wslinfo(env: Mapping[str, str]) -> str | None:
    """Return what `wslinfo` prints; nothing when it fails, and `None` when there is none."""
    path = shutil.which("wslinfo", path=env.get("PATH", ""))
    if path is None:
        return None
    command = [path, "--networking-mode"]
    try:
        ran = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=WSLINFO_S)
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return ran.stdout.decode(errors="replace") if ran.returncode == 0 else ""


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""
