"""What may be reached, decided on the address that a name resolves to.

Written once and asked twice: by the selector, to give the reason; by the transport, so that nothing slips past. An
address is judged by every address that it leads to: an IPv6 one may hold an IPv4 one, and then goes there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.sections import SecuritySettings
from jupyter_llmroute.core.settings_file import EXTERNAL
from jupyter_llmroute.core.values import Value

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LOCAL_NAME = "localhost"
"""Means 127.0.0.1 here, without a look-up: most local servers listen on IPv4 only."""

METADATA = frozenset(
    map(
        ipaddress.ip_address,
        (
            "169.254.169.254",  # of nearly all clouds
            "169.254.170.2",  # Amazon ECS, its tasks' credentials
            "fd00:ec2::254",  # Amazon EC2 over IPv6
            "fd00:ec2::23",  # Amazon EKS, its pods' identities
            "fd20:ce::254",  # Google over IPv6
            "168.63.129.16",  # Azure's host agent
            "100.100.100.200",  # Alibaba
            "192.0.0.192",  # Oracle, the classic one
            "fd00:42::42",  # Scaleway over IPv6
        ),
    )
)
"""Where clouds hand a machine its credentials: no setting opens these."""

IN_YOUR_FILE = "If this server may see your text, add it to {} in your own settings file."

NOT_CONNECTABLE = IPv4Network("0.0.0.0/8")
"""RFC 1122, 3.2.1.3: "this network", of which 0.0.0.0 leads to this machine on some systems and nowhere on others."""

# Where an IPv6 address holds an IPv4 one: its network, and by how many bits the IPv4 address stands from the end.
_EMBEDDED = (
    (IPv6Network("::/96"), 0),  # IPv4-compatible, RFC 4291, 2.5.5.1
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated, RFC 2765
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64, RFC 6052
    (IPv6Network("64:ff9b:1::/48"), 0),  # NAT64 of one's own, RFC 8215: its usual length is 96
    (IPv6Network("2002::/16"), 80),  # 6to4, RFC 3056
    (IPv6Network("2001::/32"), 64),  # Teredo, RFC 4380: the server
)
_TEREDO = IPv6Network("2001::/32")
_ISATAP = 0x00005EFE
"""RFC 5214, 6.1: the third quarter of such an address, but for the universal bit."""

_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+", re.ASCII)


class Verdict(Value):
    """A decision and its reason."""

    allowed: bool
    reason: str
    remedy: str = ""
    """What the user can do where that is right; empty where nothing can be done."""


class Policy(Value):
    """The rules of one router."""

    allow_external: bool = False
    allowed_names: frozenset[str] = frozenset()
    """Names that may be looked up, in lower case."""
    allowed_networks: tuple[Network, ...] = ()
    allowed_ports: frozenset[int] | None = None
    """Of other machines; `None`: all."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """What has to be said with every answer under these rules; empty where nothing may leave."""
        return (EXTERNAL + ".",) if self.allow_external else ()

    @classmethod
    def from_settings(cls, security: SecuritySettings, scanned: Iterable[str] = ()) -> Policy:
        """Read the lists of names and networks; an entry of `allowed_hosts` may be either.

        Parameters
        ----------
        security
            The user's.
        scanned
            Hosts on which the user wants servers to be looked for (`discovery.hosts`): their names may be looked up;
            what they resolve to is judged like any address.
        """
        names: set[str] = set()
        networks = []
        names |= {host.lower().rstrip(".") for host in scanned if parse_address(host) is None}
        for entry in (*security.allowed_hosts, *security.allowed_cidrs):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                names.add(entry.lower().rstrip("."))
        return cls(
            allow_external=security.allow_external,
            allowed_names=frozenset(names),
            allowed_networks=tuple(networks),
            allowed_ports=None if security.allowed_ports is None else frozenset(security.allowed_ports),
        )


def parse_address(host: str) -> Address | None:
    """Return the address that `host` spells, without zone, IPv4 in IPv6 unwrapped; `None` when it is a name."""
    try:
        return _plain(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def odd_address(host: str) -> IPv4Address | None:
    """Return the IPv4 address that `host` spells as old programs do; `None` for a usual address and for a name.

    The rules are those of C libraries and browsers (inet_aton; WHATWG URL, 4.5.3): one to four numbers, decimal, octal
    or hexadecimal, of which the last one fills what is left.

    Examples
    --------
    >>> [str(odd_address(host)) for host in ("2130706433", "127.1", "0177.0.0.1", "0x7f.1", "gpu.lab", "127.0.0.1")]
    ['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1', 'None', 'None']
    """
    parts = host.removesuffix(".").split(".")
    if len(host) > 64 or len(parts) > 4 or parse_address(host) or not all(map(_NUMBER.fullmatch, parts)):
        return None
    try:
        *first, last = map(_number, parts)
    except ValueError:  # an eight in an octal number
        return None
    if any(number > 0xFF for number in first) or last >= 256 ** (4 - len(first)):
        return None
    return IPv4Address(sum(number << 8 * (3 - place) for place, number in enumerate(first)) + last)


def _number(text: str) -> int:
    if text[:2] in ("0x", "0X"):
        return int(text[2:] or "0", 16)
    return int(text, 8 if text.startswith("0") else 10)


def _plain(address: Address) -> Address:
    """Return the address without its zone, and an IPv4 one that is only written as IPv6 as what it is."""
    if isinstance(address, IPv4Address):
        return address
    return address.ipv4_mapped or IPv6Address(int(address))


def embedded(address: Address) -> tuple[IPv4Address, ...]:
    """Return the IPv4 addresses that an IPv6 one leads to through a tunnel or a translator.

    Examples
    --------
    >>> [str(found) for found in embedded(ipaddress.ip_address("64:ff9b::a9fe:a9fe"))]
    ['169.254.169.254']
    """
    if isinstance(address, IPv4Address) or int(address) in (0, 1):
        return ()
    number = int(address)
    found = [(number >> shift) & 0xFFFF_FFFF for network, shift in _EMBEDDED if address in network]
    if address in _TEREDO:
        found.append(~number & 0xFFFF_FFFF)  # the client, its bits turned over
    if (number >> 32) & 0xFDFF_FFFF == _ISATAP:
        found.append(number & 0xFFFF_FFFF)
    return tuple(map(IPv4Address, found))


def check_name(policy: Policy, host: str, port: int | None = None) -> Verdict:
    """Decide whether a host may be looked up at all; an address is judged at once, with its port if that is known."""
    if address := parse_address(host):
        return check_address(policy, address, port)
    name = host.lower().rstrip(".")
    if name == LOCAL_NAME:
        return Verdict(allowed=True, reason="this machine")
    if name in policy.allowed_names:
        return Verdict(allowed=True, reason="named in security.allowed_hosts")
    if odd := odd_address(host):
        verdict = check_address(policy, odd)
        if policy.allow_external or not verdict.allowed:
            return verdict
        return Verdict(allowed=False, reason=f"{host!r} is an odd spelling of {odd}: write it as {str(odd)!r}")
    if policy.allow_external:
        return Verdict(allowed=True, reason="security.allow_external is on")
    remedy = IN_YOUR_FILE.format("security.allowed_hosts")
    return Verdict(allowed=False, reason=f"the name {host!r} is not in security.allowed_hosts", remedy=remedy)


def check_address(policy: Policy, address: Address, port: int | None = None) -> Verdict:
    """Decide whether a resolved address may be connected to, at a port if that is known."""
    address = _plain(address)
    if address.is_loopback:
        return Verdict(allowed=True, reason="this machine")
    if is_never(address):
        kinds = "unspecified, link-local, multicast or a cloud's metadata"
        return Verdict(allowed=False, reason=f"{address} is never a model server ({kinds})")
    for inner in embedded(address):
        if is_never(inner) or inner.is_loopback:
            return Verdict(allowed=False, reason=f"{address} is never a model server (it leads to {inner})")
    reason = _why_listed(policy, address)
    for inner in embedded(address) if reason else ():
        if not _why_listed(policy, inner):
            return Verdict(
                allowed=False, reason=f"{address} leads to {inner}, which is in none of security.allowed_cidrs"
            )
    if not reason:
        remedy = IN_YOUR_FILE.format("security.allowed_hosts or security.allowed_cidrs")
        return Verdict(allowed=False, reason=f"{address} is in none of security.allowed_cidrs", remedy=remedy)
    if port is not None and policy.allowed_ports is not None and port not in policy.allowed_ports:
        remedy = IN_YOUR_FILE.format("security.allowed_ports")
        return Verdict(
            allowed=False, reason=f"the port {port} of {address} is not in security.allowed_ports", remedy=remedy
        )
    return Verdict(allowed=True, reason=reason)


def is_never(address: Address) -> bool:
    """Whether no setting opens an address: one that no server can have, or where clouds keep credentials."""
    return (
        address in METADATA
        or address.is_unspecified
        or address.is_link_local
        or address.is_multicast
        or address in NOT_CONNECTABLE
    )


def _why_listed(policy: Policy, address: Address) -> str:
    """Return why an address that may have a server is allowed; empty where it is not."""
    if any(address.version == network.version and address in network for network in policy.allowed_networks):
        return "in security.allowed_cidrs"
    return "security.allow_external is on" if policy.allow_external else ""


def check_model(policy: Policy, model: ServedModel) -> Verdict:
    """Decide whether a model may be asked: a local server can pass text on to somebody else's."""
    if model.remote and not policy.allow_external:
        return Verdict(allowed=False, reason=f"runs elsewhere ({model.remote})")
    return Verdict(allowed=True, reason="runs on its server")
