"""What may be reached, decided on the address that a name resolves to.

Written once and asked twice: by the selector, to give the reason; by the transport, so that nothing slips past.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.settings import SecuritySettings
from jupyter_llmroute.core.values import Value

Address = IPv4Address | IPv6Address

LOCAL_NAME = "localhost"
"""Means 127.0.0.1 here, without a look-up: most local servers listen on IPv4 only."""

METADATA = frozenset(map(ipaddress.ip_address, ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")))
"""Where clouds hand a machine its credentials: no setting opens these."""


class Verdict(Value):
    """A decision and its reason."""

    allowed: bool
    reason: str


class Policy(Value):
    """The rules of one router."""

    allow_external: bool = False
    allowed_names: frozenset[str] = frozenset()
    """Names that may be looked up, in lower case."""
    allowed_networks: tuple[IPv4Network | IPv6Network, ...] = ()

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
            allow_external=security.allow_external, allowed_names=frozenset(names), allowed_networks=tuple(networks)
        )


def parse_address(host: str) -> Address | None:
    """Return the address that `host` spells, IPv4 in IPv6 unwrapped; `None` when it is a name."""
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def check_name(policy: Policy, host: str) -> Verdict:
    """Decide whether a host may be looked up at all; an address is judged at once."""
    if address := parse_address(host):
        return check_address(policy, address)
    name = host.lower().rstrip(".")
    if name == LOCAL_NAME:
        return Verdict(allowed=True, reason="this machine")
    if name in policy.allowed_names:
        return Verdict(allowed=True, reason="named in security.allowed_hosts")
    if policy.allow_external:
        return Verdict(allowed=True, reason="security.allow_external is on")
    return Verdict(allowed=False, reason=f"the name {host!r} is not in security.allowed_hosts")


def check_address(policy: Policy, address: Address) -> Verdict:
    """Decide whether a resolved address may be connected to."""
    if address.is_loopback:
        return Verdict(allowed=True, reason="this machine")
    if address in METADATA or address.is_unspecified or address.is_link_local or address.is_multicast:
        kinds = "unspecified, link-local, multicast or a cloud's metadata"
        return Verdict(allowed=False, reason=f"{address} is never a model server ({kinds})")
    if any(address.version == network.version and address in network for network in policy.allowed_networks):
        return Verdict(allowed=True, reason="in security.allowed_cidrs")
    if policy.allow_external:
        return Verdict(allowed=True, reason="security.allow_external is on")
    return Verdict(allowed=False, reason=f"{address} is in none of security.allowed_cidrs")


def check_model(policy: Policy, model: ServedModel) -> Verdict:
    """Decide whether a model may be asked: a local server can pass text on to somebody else's."""
    if model.remote and not policy.allow_external:
        return Verdict(allowed=False, reason=f"runs elsewhere ({model.remote})")
    return Verdict(allowed=True, reason="runs on its server")
