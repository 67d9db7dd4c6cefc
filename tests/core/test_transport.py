"""The door: what reaches the inner transport is an address that the policy allowed, and nothing else does."""

import socket
from collections.abc import Callable

import httpx
import pytest

from jupyter_llmroute.core.errors import BrokenStream, PolicyRefusal, TimedOut, Unreachable
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.sections import SecuritySettings
from jupyter_llmroute.core.transport import Network, open_client, peer_errors

DEFAULT = Policy.from_settings(SecuritySettings())
OPEN = Policy.from_settings(SecuritySettings(allow_external=True))
NAMED = Policy.from_settings(SecuritySettings(allowed_hosts=("gpu.lab",)))

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Inner:
    """What stands for the network: remembers each request that got through."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response] = lambda request: httpx.Response(200)):
        self.seen: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._answer)
        self._give = answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        return self._give(request)

    @property
    def hosts(self) -> list[str]:
        return [request.url.host for request in self.seen]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What names resolve to: the resolver's answers, in order; a name that is not here does not exist."""
    table: dict[str, list[str]] = {}

    def getaddrinfo(host: str, port: object, *args: object, **more: object) -> list[tuple[object, ...]]:
        if not table.get(host):
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        addresses = table[host].pop(0).split()
        return [(socket.AF_INET6 if ":" in a else socket.AF_INET, 1, 6, "", (a, 0)) for a in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return table


async def get(url: str, policy: Policy = DEFAULT, inner: Inner | None = None) -> httpx.Response:
    async with open_client(policy, transport=(inner or Inner()).transport) as client:
        return await client.get(url)


@pytest.mark.parametrize(
    ("url", "connected"),
    [
        ("http://127.0.0.1:11434/api/tags", "127.0.0.1"),
        ("http://10.0.0.5:8000/v1/models", "10.0.0.5"),
        ("http://[::1]:8080/health", "::1"),
        ("http://[::ffff:127.0.0.1]:8080/", "127.0.0.1"),
        ("http://localhost:11434/", "127.0.0.1"),
        ("http://LOCALHOST.:11434/", "127.0.0.1"),
    ],
)
async def test_allowed_address_is_the_one_connected_to(url: str, connected: str):
    inner = Inner()
    await get(url, inner=inner)
    [request] = inner.seen
    asked = httpx.URL(url)
    assert request.url.host == connected
    assert (request.url.port, request.url.path) == (asked.port, asked.path)
    assert request.headers["host"] == asked.netloc.decode(), "the server still hears the name it was asked by"


MAY_BE_LISTED = {"8.8.8.8", "[::ffff:8.8.8.8]", "[2606:4700::1111]", "example.org", "localhost.example.org"}


@pytest.mark.parametrize(
    "host",
    [
        "8.8.8.8",
        "0.0.0.0",
        "169.254.169.254",
        "[::ffff:169.254.169.254]",
        "[::ffff:8.8.8.8]",
        "[fe80::1]",
        "[2606:4700::1111]",
        "[::]",
        "example.org",
        "localhost.example.org",
        "2130706433",
        "127.1",
        "0x7f000001",
        "2852039166",
    ],
)
async def test_refused_host_is_neither_looked_up_nor_reached(host: str, zone: dict[str, list[str]]):
    zone[host] = ["127.0.0.1"]  # would be allowed, had anybody asked
    inner = Inner()
    with pytest.raises(PolicyRefusal, match="forbids") as refused:
        await get(f"http://{host}:80/", inner=inner)
    assert inner.seen == []
    assert zone[host], "not looked up"
    # What no setting opens, and what is only spelt oddly, is not to be added to a list.
    assert ("add it to security.allowed_" in str(refused.value)) is (host in MAY_BE_LISTED)


@pytest.mark.parametrize(
    "url", ["http://0177.0.0.1/", "http://127.0.0.256/", "http://[::1/", "localhost:80", "ftp://10.0.0.1/"]
)
async def test_what_is_no_address_is_said_to_be_none(url: str):
    inner = Inner()
    with pytest.raises(Unreachable, match="lab has an address that does not read"), peer_errors("lab"):
        await get(url, OPEN, inner)
    assert inner.seen == []


@pytest.mark.parametrize(
    ("host", "connected"),
    [
        ("2130706433", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("2852039166", None),
        ("0xa9fea9fe", None),
        ("169.254.43518", None),
        ("0", None),
    ],
)
async def test_odd_spellings_are_judged_by_what_the_real_resolver_makes_of_them(host: str, connected: str | None):
    inner = Inner()
    if connected:
        await get(f"http://{host}/", OPEN, inner)
        assert inner.hosts == [connected]
    else:
        with pytest.raises((PolicyRefusal, Unreachable)):
            await get(f"http://{host}/", OPEN, inner)
        assert inner.seen == []


@pytest.mark.parametrize(
    ("answer", "connected"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("8.8.8.8 10.1.2.3", "10.1.2.3"),
        ("fd00::1 10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "127.0.0.1"),
    ],
)
async def test_name_goes_to_its_first_allowed_address(zone: dict[str, list[str]], answer: str, connected: str):
    zone["gpu.lab"] = [answer, "8.8.8.8"]  # a second look-up would answer differently
    inner = Inner()
    await get("http://gpu.lab:8000/", NAMED, inner)
    assert inner.hosts == [connected]
    assert inner.seen[0].headers["host"] == "gpu.lab:8000"
    assert inner.seen[0].extensions["sni_hostname"] == "gpu.lab"
    assert zone["gpu.lab"] == ["8.8.8.8"], "one look-up"


@pytest.mark.parametrize("answer", ["8.8.8.8", "169.254.169.254", "0.0.0.0", "fe80::1%eth0", "::ffff:8.8.8.8"])
async def test_allowed_name_with_a_forbidden_address(zone: dict[str, list[str]], answer: str):
    zone["gpu.lab"] = [answer]
    inner = Inner()
    with pytest.raises(PolicyRefusal, match=r"'gpu\.lab'"):
        await get("http://gpu.lab/", NAMED, inner)
    assert inner.seen == []


@pytest.mark.parametrize(
    ("url", "is_allowed"),
    [
        ("http://10.0.0.5:11434", True),
        ("http://10.0.0.5:22", False),
        ("http://10.0.0.5", False),
        ("https://10.0.0.5", True),
        ("http://gpu.lab:11434", True),
        ("http://gpu.lab:8080", False),
        ("http://127.0.0.1:54321", True),
        ("http://localhost:54321", True),
    ],
)
async def test_other_machines_have_the_allowed_ports_alone(zone: dict[str, list[str]], url: str, is_allowed: bool):
    zone["gpu.lab"] = ["10.0.0.9"]
    inner = Inner()
    policy = Policy.from_settings(SecuritySettings(allowed_hosts=("gpu.lab",), allowed_ports=(11434, 443)))
    if is_allowed:
        await get(url, policy, inner)
    else:
        with pytest.raises(PolicyRefusal, match="allowed_ports"):
            await get(url, policy, inner)
    assert len(inner.seen) == is_allowed


async def test_unknown_name(zone: dict[str, list[str]]):
    with pytest.raises(Unreachable, match=r"'gpu\.lab' does not resolve"):
        await get("http://gpu.lab/", NAMED)


@pytest.mark.parametrize("host", ["x" * 64, f"gpu.{'x' * 64}.lab", "gpu..lab"])
async def test_a_name_that_cannot_be_one(host: str):
    with pytest.raises(Unreachable, match="does not resolve"):
        await get(f"http://{host}/", Policy.from_settings(SecuritySettings(allowed_hosts=(host,))))


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_certificates_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path, content: str | None):
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with open_client(DEFAULT, transport=Network()) as client:
        with pytest.raises(Unreachable, match="mend or unset SSL_CERT_FILE") as caught:
            await client.get("https://127.0.0.1:1/")
    assert repr(str(path)) in str(caught.value)


async def test_every_request_is_judged_anew(zone: dict[str, list[str]]):
    zone["gpu.lab"] = ["10.0.0.1", "8.8.8.8"]
    inner = Inner()
    async with open_client(NAMED, transport=inner.transport) as client:
        await client.get("http://gpu.lab/")
        with pytest.raises(PolicyRefusal):
            await client.get("http://gpu.lab/")
    assert inner.hosts == ["10.0.0.1"]


@pytest.mark.parametrize("target", ["http://8.8.8.8/", "http://127.0.0.1:2/", "/elsewhere", "//example.org/"])
async def test_redirects_are_not_followed(target: str):
    inner = Inner(lambda request: httpx.Response(302, headers={"location": target}))
    assert (await get("http://127.0.0.1/", inner=inner)).status_code == 302
    assert len(inner.seen) == 1


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"])
async def test_proxies_of_the_environment_are_ignored(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    inner = Inner()
    for scheme in ("http", "https"):
        await get(f"{scheme}://10.0.0.1/", inner=inner)
    assert inner.hosts == ["10.0.0.1", "10.0.0.1"]


@pytest.mark.parametrize(
    ("target", "hosts"),
    [
        ("http://8.8.8.8/", ["127.0.0.1"]),
        ("http://169.254.169.254/latest/meta-data/", ["127.0.0.1"]),
        ("http://2852039166/", ["127.0.0.1"]),
        ("//example.org/", ["127.0.0.1"]),
        ("https://[64:ff9b::a9fe:a9fe]/", ["127.0.0.1"]),
        ("http://10.0.0.5/", ["127.0.0.1", "10.0.0.5"]),
    ],
)
async def test_were_a_redirect_followed_each_hop_would_be_judged(target: str, hosts: list[str]):
    inner = Inner(
        lambda request: (
            httpx.Response(307, headers={"location": target})
            if request.url.host == "127.0.0.1"
            else httpx.Response(200)
        )
    )
    async with open_client(DEFAULT, transport=inner.transport) as client:
        if len(hosts) == 1:
            with pytest.raises(PolicyRefusal):
                await client.post("http://localhost/", follow_redirects=True)
        else:
            await client.post("http://localhost/", follow_redirects=True)
    assert inner.hosts == hosts


async def test_who_is_refused_is_told_with_the_reason():
    told: list[tuple[str, str]] = []
    async with open_client(
        DEFAULT, transport=Inner().transport, on_refusal=lambda host, reason: told.append((host, reason))
    ) as client:
        await client.get("http://10.0.0.1/")
        with pytest.raises(PolicyRefusal):
            await client.get("http://8.8.8.8/")
    assert told == [("8.8.8.8", "8.8.8.8 is in none of security.allowed_cidrs")]


@pytest.mark.parametrize(
    "url",
    [
        "http://ann:hunter2@10.0.0.1/",
        "http://hunter2@10.0.0.1/",
        "http://ann:hunter2@gpu.lab:99999/",
        "http:////ann:hunter2@10.0.0.1/",
        "ftp://ann:hunter2@10.0.0.1/",
        "http://ann:hunter2@10.0.0.1:port/",
    ],
)
async def test_a_password_in_an_address_is_neither_sent_nor_shown(url: str):
    inner = Inner()
    with pytest.raises(Unreachable) as caught, peer_errors(url):
        await get(url, OPEN, inner)
    assert "hunter2" not in str(caught.value)
    assert inner.seen == []


async def test_nobody_is_asked_to_pack_an_answer():
    inner = Inner()
    async with open_client(DEFAULT, transport=inner.transport) as client:
        await client.get("http://127.0.0.1/", headers={"Accept-Encoding": "gzip, br"})
    assert inner.seen[0].headers["accept-encoding"] == "identity"


async def test_closing_the_client_closes_what_is_within():
    class Closing(httpx.MockTransport):
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    inner = Closing(lambda request: httpx.Response(200))
    async with open_client(DEFAULT, transport=inner):
        assert not inner.closed
    assert inner.closed


@pytest.mark.parametrize(
    ("raised", "ours", "told"),
    [
        (httpx.ConnectTimeout("x"), Unreachable, "lab did not take a connection in time"),
        (httpx.ReadTimeout("x"), TimedOut, r"lab did not answer in time \(ReadTimeout\)"),
        (httpx.PoolTimeout("x"), TimedOut, "PoolTimeout"),
        (httpx.ConnectError("x"), Unreachable, "lab refused the connection"),
        (httpx.ReadError("x"), BrokenStream, r"lab broke off \(ReadError: x\)"),
        (httpx.ReadError(""), BrokenStream, r"lab broke off \(ReadError\)"),
        (httpx.RemoteProtocolError("cut"), BrokenStream, "cut"),
        (httpx.DecodingError("not gzip"), BrokenStream, "not gzip"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_errors_of_the_transport_become_ours(raised: Exception, ours: type[Exception], told: str):
    with pytest.raises(ours, match=told) as caught, peer_errors("lab"):
        raise raised
    assert caught.value.__cause__ is raised


async def test_other_errors_pass():
    with pytest.raises(KeyError), peer_errors("lab"):
        raise KeyError("mine")
