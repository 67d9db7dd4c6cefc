"""A look at a server: each path asked once, every answer bounded in time and size."""

import httpx
import pytest

from jupyter_llmroute.core.errors import AuthenticationNeeded, BrokenStream, PolicyRefusal, TimedOut, Unreachable
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.probe import MAX_ANSWER_BYTES, Answer, Probe
from jupyter_llmroute.core.transport import open_client

from ..scripted import CUT, HANG, Reply, Scripted, html, json_reply, nobody, text_reply

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def get(url: str, path: str = "/x", *, timeout_s: float = 5, **more: object) -> Answer:
    async with open_client(Policy(), transport=httpx.AsyncHTTPTransport(verify=False)) as client:
        return await Probe(client, url, timeout_s=timeout_s, **more).get(path)


async def test_an_answer_is_kept_and_asked_for_once():
    with Scripted({"GET /a": json_reply({"n": 1}), "GET /b": json_reply({"n": 2}, 404)}) as server:
        async with open_client(Policy(), transport=httpx.AsyncHTTPTransport(verify=False)) as client:
            probe = Probe(client, server.url + "/", timeout_s=5)
            answers = [await probe.get(path) for path in ("/a", "/b", "/a", "/b")]
    assert [(answer.status, answer.json) for answer in answers] == [(200, {"n": 1}), (404, {"n": 2})] * 2
    assert server.lines == ["GET /a", "GET /b"]


@pytest.mark.parametrize(
    ("reply", "json"),
    [
        (json_reply({"é": 1}), {"é": 1}),
        (json_reply(None), None),
        (html(), None),
        (text_reply(""), None),
        (text_reply("[" * 100_000), None),
        (Reply((b"\xff\xfe\xfa",)), None),
    ],
)
async def test_what_is_not_json_is_none(reply, json):
    with Scripted({"GET /x": reply}) as server:
        assert (await get(server.url)).json == json


async def test_text_of_any_bytes():
    with Scripted({"GET /x": Reply((b"a\xffb",))}) as server:
        assert (await get(server.url)).text == "a\ufffdb"


async def test_a_redirect_is_an_answer_and_not_followed():
    with Scripted({"GET /x": Reply((), 302, headers={"Location": "/y"})}) as server:
        assert (await get(server.url)).status == 302
    assert server.lines == ["GET /x"]


async def test_an_endless_answer_is_cut():
    endless = Reply((*[b"x" * (1 << 20)] * 9, HANG))
    with Scripted({"GET /x": endless}) as server:
        assert MAX_ANSWER_BYTES < len((await get(server.url)).body) <= 9 << 20


FAULTS = {
    "hangs before its headers": (Reply((HANG,)), TimedOut),
    "hangs in its body": (Reply((b"{", HANG)), TimedOut),
    "cut before its headers": (Reply((CUT,)), BrokenStream),
    "cut in its body": (Reply((b"{", CUT)), BrokenStream),
    "packed as it is not": (Reply((b"{}",), headers={"Content-Encoding": "gzip"}), BrokenStream),
    "no HTTP": (Reply((b"SSH-2.0-OpenSSH_9.6\r\n",), is_http=False), BrokenStream),
    "no HTTP, and silent after": (Reply((b"SSH-2.0", HANG), is_http=False), TimedOut),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_fault(name):
    reply, kind = FAULTS[name]
    with Scripted({"GET /x": reply}) as server, pytest.raises(kind, match=server.url):
        await get(server.url, timeout_s=0.1 if kind is TimedOut else 30)


async def test_refused():
    with nobody() as url, pytest.raises(Unreachable, match="refused the connection"):
        await get(url)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "http://[::1", "http://127.0.0.1:port", "ftp://127.0.0.1", "http://", "", "the server"]
)
async def test_what_is_no_address_is_said(url):
    with pytest.raises(Unreachable, match="has an address that does not read"):
        await get(url)


async def test_what_is_only_told_to_a_post_request_is_asked_each_time():
    with Scripted({"POST /x": [json_reply({"n": 1}), json_reply({"n": 2}, 404)]}) as server:
        async with open_client(Policy(), transport=httpx.AsyncHTTPTransport(verify=False)) as client:
            probe = Probe(client, server.url, timeout_s=5, api_key="s3cret")
            answers = [await probe.post_json("/x", {"é": 1}) for _ in range(2)]
    assert [(answer.status, answer.json) for answer in answers] == [(200, {"n": 1}), (404, {"n": 2})]
    assert [asked.json for asked in server.asked] == [{"é": 1}] * 2
    assert server.asked[0].headers["authorization"] == "Bearer s3cret"


async def test_a_post_request_has_the_same_limit():
    with Scripted({"POST /x": Reply((HANG,))}) as server, pytest.raises(TimedOut):
        async with open_client(Policy(), transport=httpx.AsyncHTTPTransport(verify=False)) as client:
            await Probe(client, server.url, timeout_s=0.1).post_json("/x", {})


async def test_the_policy_is_asked():
    with pytest.raises(PolicyRefusal, match="forbids"):
        await get("http://192.0.2.1")


async def test_the_key_goes_along_where_there_is_one():
    with Scripted({}) as server:
        await get(server.url)
        await get(server.url, api_key="s3cret")
    assert [asked.headers.get("authorization") for asked in server.asked] == [None, "Bearer s3cret"]


async def test_a_key_that_no_header_can_carry_is_not_shown():
    with Scripted({}) as server, pytest.raises(AuthenticationNeeded) as caught:
        await get(server.url, api_key="s3cret\n")
    assert "s3cret" not in str(caught.value)
    assert server.asked == []
