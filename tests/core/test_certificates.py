"""https to a real server: its certificate is verified, by the authority of one's own where there is one."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from jupyter_llmroute.core.errors import Unreachable
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.transport import open_client, peer_errors

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two authorities, and three servers' certificates that the first one signed."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl: no certificates can be made")
    folder = tmp_path_factory.mktemp("tls")
    new_key = ["-newkey", "rsa:2048", "-nodes"]
    extensions = ["-addext", "keyUsage=critical,keyCertSign"]
    for name in ("ca", "other"):
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
        openssl("req", "-x509", *new_key, *files, "-days", "2", *extensions, folder=folder)
    openssl("req", *new_key, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=desk", folder=folder)
    signed_by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    for name, names in (
        ("server", "DNS:localhost,IP:127.0.0.1"),
        ("named", "DNS:localhost"),
        ("elsewhere", "DNS:gpu.lab"),
    ):
        (folder / "names").write_text(f"subjectAltName={names}\n")
        files = ["-in", "server.csr", "-extfile", "names", "-out", f"{name}.pem"]
        openssl("x509", "-req", *signed_by, *files, folder=folder)
    return folder


@asynccontextmanager
async def https(folder: Path, certificate: str = "server.pem") -> AsyncIterator[int]:
    """Serve by https, and give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / certificate, folder / "server.key")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def ask(port: int, host: str, ca_file: Path | None) -> httpx.Response:
    with peer_errors("desk"):
        async with open_client(Policy(), ca_file=ca_file) as client:
            return await client.get(f"https://{host}:{port}/")


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.0.0.1"])
async def test_the_authority_of_ones_own_is_believed(made: Path, host: str) -> None:
    async with https(made) as port:
        assert (await ask(port, host, made / "ca.pem")).text == "ok"


@pytest.mark.parametrize("ca_file", [None, "other.pem"])
async def test_who_bears_no_trusted_certificate_is_refused_with_the_remedy(made: Path, ca_file: str | None) -> None:
    async with https(made) as port:
        with pytest.raises(Unreachable, match=r"desk has a certificate that is not trusted .* security\.ca_file"):
            await ask(port, "localhost", made / ca_file if ca_file else None)


async def test_a_certificate_of_another_name_is_refused(made: Path) -> None:
    async with https(made, "elsewhere.pem") as port:
        for host in ("localhost", "127.0.0.1"):
            with pytest.raises(Unreachable, match="not trusted"):
                await ask(port, host, made / "ca.pem")


async def test_a_connection_that_is_kept_serves_no_other_name_of_its_address(made: Path) -> None:
    key = {"authorization": "Bearer of-this-name"}
    async with https(made, "named.pem") as port, open_client(Policy(), ca_file=made / "ca.pem") as client:
        for _ in range(2):
            with peer_errors("desk"):
                assert (await client.get(f"https://localhost:{port}/", headers=key)).text == "ok"
            with pytest.raises(Unreachable, match="not trusted"), peer_errors("desk"):
                await client.get(f"https://127.0.0.1:{port}/", headers=key)


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_authority_that_does_not_read_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(Unreachable, match=r"certificates of security\.ca_file cannot be read") as caught:
        await ask(1, "127.0.0.1", path)
    assert repr(str(path)) in str(caught.value)
