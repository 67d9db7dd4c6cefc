"""The one door to the network.

Every connection of the router goes through a client of `open_client`: no proxy from the environment, no redirect
followed, each host judged by the policy on the address that it resolves to, and that very address connected to.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
from collections.abc import Iterator

import httpx

from jupyter_llmroute.core.errors import BrokenStream, PolicyRefusal, TimedOut, Unreachable
from jupyter_llmroute.core.policy import LOCAL_NAME, Address, Policy, check_address, check_name, parse_address

LOOPBACK = ipaddress.IPv4Address("127.0.0.1")

MAX_PORT = 65535

LIMITS = httpx.Limits(max_connections=256, keepalive_expiry=30)
"""Connections of one router, and seconds that an unused one is kept."""


class PolicyTransport(httpx.AsyncBaseTransport):
    """Lets a request through to `inner` when the policy allows its address."""

    def __init__(self, inner: httpx.AsyncBaseTransport, policy: Policy) -> None:
        self._inner = inner
        self._policy = policy

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Judge, pin the address, and pass on.

        Raises
        ------
        PolicyRefusal
            The policy forbids the host or every address of it.
        Unreachable
            The name does not resolve.
        httpx.UnsupportedProtocol
            The address is not one of HTTP.
        """
        host = request.url.host
        if (request.url.port or 0) > MAX_PORT:
            raise Unreachable(f"{str(request.url)!r} has no port that exists: the last one is {MAX_PORT}.")
        if not host or request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{str(request.url)!r} does not begin with http://HOST or https://HOST")
        if not (verdict := check_name(self._policy, host)).allowed:
            raise PolicyRefusal(_refusal(host, verdict.reason))
        address = await self._allowed_address(host)
        # The name stays in the Host header and in TLS; only the connection goes to the judged address, so that
        # a second look-up cannot answer differently.
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=str(address))
        return await self._inner.handle_async_request(request)

    async def _allowed_address(self, host: str) -> Address:
        reason = "it has no address"
        for address in await _resolve(host):
            verdict = check_address(self._policy, address)
            if verdict.allowed:
                return address
            reason = verdict.reason
        raise PolicyRefusal(_refusal(host, reason))

    async def aclose(self) -> None:
        """Close the transport within."""
        await self._inner.aclose()


def _refusal(host: str, reason: str) -> str:
    return (
        f"The policy forbids {host!r}: {reason}. If this server may see your text, "
        f"add it to security.allowed_hosts or security.allowed_cidrs in your own settings file."
    )


async def _resolve(host: str) -> list[Address]:
    if address := parse_address(host):
        return [address]
    if host.lower().rstrip(".") == LOCAL_NAME:
        return [LOOPBACK]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter of a name that has a part of no or too many characters
        raise Unreachable(f"The name {host!r} does not resolve ({error}): check the endpoint's spelling.") from error
    return [address for *_, sockaddr in found if (address := parse_address(str(sockaddr[0])))]


class Network(httpx.AsyncBaseTransport):
    """Plain connections, and TLS ones whose certificates are read when they are first wanted: that takes 0.1 s."""

    def __init__(self) -> None:
        self._plain = httpx.AsyncHTTPTransport(verify=False, limits=LIMITS)
        self._tls: httpx.AsyncHTTPTransport | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request by the connections of its scheme."""
        if request.url.scheme != "https":
            return await self._plain.handle_async_request(request)
        if self._tls is None:
            self._tls = _open_tls()
        return await self._tls.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._plain.aclose()
        if self._tls:
            await self._tls.aclose()


def _open_tls() -> httpx.AsyncHTTPTransport:
    """Open connections that trust the certificates of the system, or those of `SSL_CERT_FILE` or `SSL_CERT_DIR`."""
    try:
        return httpx.AsyncHTTPTransport(limits=LIMITS)
    except OSError as error:
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        raise Unreachable(
            f"The certificates for https cannot be read ({error}): "
            f"mend or unset SSL_CERT_FILE or SSL_CERT_DIR, which name {named!r}."
        ) from error


def open_client(
    policy: Policy, *, connect_s: float = 5.0, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """Open the client that all requests of a router go through; the caller closes it.

    Parameters
    ----------
    policy
        What may be reached.
    connect_s
        Seconds to connect. Reading has no limit here: the executor has one for each phase of an answer.
    transport
        What carries the requests; a test puts `httpx.MockTransport` here. Default: the network.
    """
    return httpx.AsyncClient(
        transport=PolicyTransport(transport or Network(), policy),
        timeout=httpx.Timeout(None, connect=connect_s),
        trust_env=False,
        follow_redirects=False,
    )


@contextlib.contextmanager
def peer_errors(who: str) -> Iterator[None]:
    """Turn the transport's errors into ours; `who` is the server's name in the message.

    Most specific first: httpx's classes are a tree.
    """
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Unreachable(
            f"{who} has an address that does not read ({error}): check the endpoint's spelling."
        ) from error
    except httpx.ConnectTimeout as error:
        raise Unreachable(f"{who} did not take a connection in time: is the machine there?") from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{who} did not answer in time ({type(error).__name__}).") from error
    except httpx.ConnectError as error:
        raise Unreachable(f"{who} refused the connection: is the server running?") from error
    except httpx.RequestError as error:  # a body that does not unpack is one of these, and no TransportError
        raise BrokenStream(f"{who} broke off ({type(error).__name__}: {error}).") from error
