"""What the machine's own files say of its network: who resolves names, where packets go, who listens.

Texts in, values out; nothing is looked up and nothing is sent. A file says what is configured, not what a firewall
does.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from jupyter_llmroute.core.values import Value

_NAMESERVER = re.compile(r"^[ \t]*nameserver[ \t]+(\S+)", re.MULTILINE)
_LISTENS = "0A"
"""TCP_LISTEN of linux/include/net/tcp_states.h."""
_UP, _GATEWAY = 0x0001, 0x0002
"""RTF_UP and RTF_GATEWAY of linux/route.h."""


class Listener(Value):
    """A port on which something of this machine takes connections."""

    address: IPv4Address | IPv6Address
    port: int

    @property
    def is_open(self) -> bool:
        """Whether other machines can connect to it, as far as the socket goes."""
        plain = self.address.ipv4_mapped if isinstance(self.address, IPv6Address) else None
        return not (plain or self.address).is_loopback


def nameservers(resolv_conf: str) -> tuple[str, ...]:
    r"""Return whom a resolv.conf(5) names.

    Examples
    --------
    >>> nameservers("search lab\nnameserver 10.0.0.2\n# nameserver 8.8.8.8")
    ('10.0.0.2',)
    """
    return tuple(dict.fromkeys(_NAMESERVER.findall(resolv_conf)))


def default_routes(route: str, ipv6_route: str) -> tuple[str, ...]:
    r"""Return the interfaces by which packets to any address leave, of /proc/net/route and /proc/net/ipv6_route.

    Examples
    --------
    >>> default_routes("Iface Destination Gateway Flags\neth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0", "")
    ('eth0',)
    """
    found = []
    for line in route.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[1] == fields[7] == "0" * 8 and _is_set(fields[3], _UP):
            found.append(fields[0])
    for line in ipv6_route.splitlines():
        fields = line.split()
        is_default = len(fields) > 9 and fields[0] == "0" * 32 and fields[1] == "00"
        if is_default and _is_set(fields[8], _UP) and _is_set(fields[8], _GATEWAY):
            found.append(f"{fields[9]} (IPv6)")
    return tuple(dict.fromkeys(found))


def _is_set(flags: str, bit: int) -> bool:
    try:
        return bool(int(flags, 16) & bit)
    except ValueError:
        return False


def ipv6_addresses(if_inet6: str) -> tuple[str, ...]:
    """Return the addresses of /proc/net/if_inet6 with their interfaces, without this machine's own `::1`.

    Examples
    --------
    >>> ipv6_addresses("fe800000000000000000000000000001 02 40 20 80 eth0")
    ('fe80::1 on eth0',)
    """
    rows = (line.split() for line in if_inet6.splitlines())
    return tuple(
        f"{address} on {fields[-1]}"
        for fields in rows
        if len(fields) == 6 and (address := _address(fields[0], word="big")) and not address.is_loopback
    )


def listeners(tcp: str) -> tuple[Listener, ...]:
    r"""Return who listens, of the text of /proc/net/tcp or /proc/net/tcp6, as a little-endian machine writes it.

    Examples
    --------
    >>> [(str(one.address), one.port, one.is_open) for one in listeners("sl\n 0: 00000000:2CAA 00000000:0000 0A 0")]
    [('0.0.0.0', 11434, True)]
    """
    return tuple(dict.fromkeys(_listeners(tcp)))


def _listeners(tcp: str) -> Iterator[Listener]:
    for line in tcp.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 3 and fields[3] == _LISTENS:
            address, _, port = fields[1].partition(":")
            if found := _address(address, word="little"):
                yield Listener(address=found, port=int(port, 16))


def _address(digits: str, *, word: str) -> IPv4Address | IPv6Address | None:
    """Return the address that hexadecimal digits spell, in words of four bytes."""
    try:
        raw = bytes.fromhex(digits)
        order = "<" if word == "little" else ">"
        return ipaddress.ip_address(struct.pack(f">{len(raw) // 4}I", *struct.unpack(f"{order}{len(raw) // 4}I", raw)))
    except (ValueError, struct.error):
        return None
