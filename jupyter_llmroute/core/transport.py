"""The one door to the network.

Every connection of the router goes through a client of `open_client`: no proxy from the environment, no redirect
followed, each host judged by the policy on the address that it resolves to, and that very address connected to. Were a
redirect followed, each hop would be a request of its own, and judged likewise.

What a server can make us hold is bounded. Its head: 100 KiB, h11's own bound. Its body: as it comes, never packed, for
a packed one has no bound that its size tells; and `MOST_BYTES` in all. Who reads a body keeps less: a probe 8 MiB, one
event or line of a stream 16 MiB, an answer four million characters.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx

from jupyter_llmroute.core.errors import BrokenStream, PolicyRefusal, TimedOut, Unreachable
from jupyter_llmroute.core.own_key import without_key
from jupyter_llmroute.core.policy import (
    LOCAL_NAME,
    Address,
    Policy,
    Verdict,
    check_address,
    check_name,
    odd_address,
    parse_address,
)
from jupyter_llmroute.core.secrets import MASK

LOOPBACK = ipaddress.IPv4Address("127.0.0.1")

MAX_PORT = 65535

LIMITS = httpx.Limits(max_connections=256, keepalive_expiry=30)
"""Connections of one router without TLS, or to one name with it, and seconds that an unused one is kept."""

MOST_BYTES = 1 << 30
"""An answer of more than 1 GiB is none, and is cut off: the longest that is read, of four million characters, each in
an event of its own, is about as large."""

Refused = Callable[[str, str], None]
"""Is told of every host that the policy refused, and why."""

_USER = re.compile(r"(//|^/|/(?=[^/@]*:))[^/?#\s'\"]*@")
"""A name, a password or a key in an address, of a misspelt one too."""


class PolicyTransport(httpx.AsyncBaseTransport):
    """Lets a request through to `inner` when the policy allows its address."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, policy: Policy, on_refusal: Refused = lambda host, reason: None
    ) -> None:
        self._inner = inner
        self._policy = policy
        self._on_refusal = on_refusal

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Judge, pin the address, and pass on; the answer is bounded.

        Raises
        ------
        PolicyRefusal
            The policy forbids the host or every address of it.
        Unreachable
            The name does not resolve, or the address holds a name or a password.
        httpx.UnsupportedProtocol
            The address is not one of HTTP.
        httpx.DecodingError
            The answer is packed.
        """
        host, shown = request.url.host, without_user(str(request.url))
        if (request.url.port or 0) > MAX_PORT:
            raise Unreachable(f"{shown!r} has no port that exists: the last one is {MAX_PORT}.")
        if not host or request.url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol(f"{shown!r} does not begin with http://HOST or https://HOST")
        if request.url.userinfo:
            raise Unreachable(f"{shown!r} holds a name or a password: take it out, and set api_key instead.")
        if not (verdict := check_name(self._policy, host)).allowed:
            raise self._refusal(host, verdict)
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        address = await self._allowed_address(host, port)
        # The name stays in the Host header and in TLS; only the connection goes to the judged address, so that
        # a second look-up cannot answer differently.
        request.extensions = {**request.extensions, "sni_hostname": host.rstrip(".")}
        request.url = request.url.copy_with(host=str(address))
        request.headers["accept-encoding"] = "identity"
        return await _bounded(await self._inner.handle_async_request(request), key_sent(request))

    async def _allowed_address(self, host: str, port: int) -> Address:
        verdict = Verdict(allowed=False, reason="it has no address")
        for address in await _resolve(host):
            verdict = check_address(self._policy, address, port)
            if verdict.allowed:
                return address
        raise self._refusal(host, verdict)

    def _refusal(self, host: str, verdict: Verdict) -> PolicyRefusal:
        self._on_refusal(host, verdict.reason)
        return PolicyRefusal(f"The policy forbids {host!r}: {verdict.reason}. {verdict.remedy}".rstrip())

    async def aclose(self) -> None:
        """Close the transport within."""
        await self._inner.aclose()


def key_sent(request: httpx.Request) -> str | None:
    """Return the key that goes along with a request, if one does."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" and key else None


async def _bounded(response: httpx.Response, key: str | None) -> httpx.Response:
    """Return the answer with a body that ends; refuse it where it is packed though it was asked not to be."""
    packed = response.headers.get("content-encoding", "identity").strip().lower()
    if packed not in ("", "identity"):
        await response.aclose()
        told = without_key(packed, key and key.lower())[:40]
        raise httpx.DecodingError(f"its answer is packed as {told!r}, and it was asked not to pack it")
    if isinstance(response.stream, httpx.AsyncByteStream):
        response.stream = _Bounded(response.stream)
    return response


class _Bounded(httpx.AsyncByteStream):
    """A body of at most `MOST_BYTES`."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MOST_BYTES
        async for piece in self._inner:
            left -= len(piece)
            if left < 0:
                raise httpx.ReadError(f"its answer has more than {MOST_BYTES >> 30} GiB, and is cut off")
            yield piece

    async def aclose(self) -> None:
        await self._inner.aclose()


def without_user(url: str) -> str:
    """Return an address that can be shown: without the name and the password that it may hold.

    Examples
    --------
    >>> without_user("http://ann:s3cret@gpu.lab:8000/v1")
    'http://[masked]@gpu.lab:8000/v1'
    """
    return _USER.sub(rf"\1{MASK}@", url)


async def _resolve(host: str) -> list[Address]:
    if address := parse_address(host):
        return [address]
    if host.lower().rstrip(".") == LOCAL_NAME:
        return [LOOPBACK]
    if odd := odd_address(host):  # not the resolver: some would ask a name server for it
        return [odd]
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # the latter of a name that has a part of no or too many characters
        raise Unreachable(f"The name {host!r} does not resolve ({error}): check the endpoint's spelling.") from error
    return [address for *_, sockaddr in found if (address := parse_address(str(sockaddr[0])))]


class Network(httpx.AsyncBaseTransport):
    """Plain connections, and TLS ones whose certificates are read when they are first wanted: that takes 0.1 s.

    A connection by TLS is used again for the name alone that its certificate was verified for: another name of the same
    address makes its own.

    Parameters
    ----------
    ca_file
        Certificates, in PEM, of the authorities that vouch for servers; nobody else is believed then. `None`: those of
        the system, or of `SSL_CERT_FILE` or `SSL_CERT_DIR`.
    """

    def __init__(self, ca_file: Path | None = None) -> None:
        self._ca_file = ca_file
        self._plain = httpx.AsyncHTTPTransport(verify=False, limits=LIMITS)
        self._trusted: ssl.SSLContext | None = None
        self._tls: dict[str, httpx.AsyncHTTPTransport] = {}
        """Connections by the name that certificates are verified for."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request by the connections of its scheme."""
        if request.url.scheme != "https":
            return await self._plain.handle_async_request(request)
        return await self._of_name(str(request.extensions["sni_hostname"])).handle_async_request(request)

    def _of_name(self, name: str) -> httpx.AsyncHTTPTransport:
        if self._trusted is None:
            self._trusted = _trusted(self._ca_file)
        if name not in self._tls:
            self._tls[name] = httpx.AsyncHTTPTransport(verify=self._trusted, limits=LIMITS)
        return self._tls[name]

    async def aclose(self) -> None:
        """Close all connections."""
        await self._plain.aclose()
        for connections in self._tls.values():
            await connections.aclose()


def _trusted(ca_file: Path | None) -> ssl.SSLContext:
    """Return what certificates are verified by."""
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context()
    except OSError as error:
        if ca_file:
            raise Unreachable(
                f"The certificates of security.ca_file cannot be read ({error}): mend {str(ca_file)!r}, "
                f"which has to hold certificates in PEM."
            ) from error
        named = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        raise Unreachable(
            f"The certificates for https cannot be read ({error}): "
            f"mend or unset SSL_CERT_FILE or SSL_CERT_DIR, which name {named!r}."
        ) from error


def open_client(
    policy: Policy,
    *,
    connect_s: float = 5.0,
    transport: httpx.AsyncBaseTransport | None = None,
    ca_file: Path | None = None,
    on_refusal: Refused = lambda host, reason: None,
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
    ca_file
        Certificates of the authorities that vouch for https servers; see `Network`.
    on_refusal
        What is told of every refused host, such as the audit log.
    """
    return httpx.AsyncClient(
        transport=PolicyTransport(transport or Network(ca_file), policy, on_refusal),
        timeout=httpx.Timeout(None, connect=connect_s),
        trust_env=False,
        follow_redirects=False,
    )


async def read_at_most(response: httpx.Response, limit_bytes: int) -> bytes:
    """Return the first bytes of a body, so many at most; in however small pieces it comes, each is copied once."""
    body = bytearray()
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) >= limit_bytes:
            break
    return bytes(body[:limit_bytes])


@contextlib.contextmanager
def peer_errors(who: str, *, key: str | None = None) -> Iterator[None]:
    """Turn the transport's errors into ours; `who` is the server's name in the message, which must not hold its key.

    Most specific first: httpx's classes are a tree.
    """
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise Unreachable(
            f"{without_user(who)} has an address that does not read ({without_user(str(error))}): "
            f"check the endpoint's spelling."
        ) from error
    except httpx.ConnectTimeout as error:
        raise Unreachable(f"{who} did not take a connection in time: is the machine there?") from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{who} did not answer in time ({type(error).__name__}).") from error
    except httpx.ConnectError as error:
        if isinstance(_root(error), ssl.SSLCertVerificationError):
            raise Unreachable(
                f"{who} has a certificate that is not trusted ({_root(error)}): name the file of the authority that "
                f"signed it in security.ca_file."
            ) from error
        raise Unreachable(f"{who} refused the connection: is the server running?") from error
    except httpx.RequestError as error:  # a packed body is one of these, and no TransportError
        # A connection that is gone has no words of its own.
        why = ": ".join(filter(None, (type(error).__name__, without_key(str(error), key))))
        raise BrokenStream(f"{who} broke off ({why}).") from error


def _root(error: BaseException) -> BaseException:
    """Return what an error came of at first."""
    while below := error.__cause__ or error.__context__:
        error = below
    return error
