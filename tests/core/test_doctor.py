"""The checklist of a closed network, check by check: facts in, what is found out."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from jupyter_llmroute.core.doctor import CHECKS, Authority, Facts, FileFacts, Report, Status, examine
from jupyter_llmroute.core.doctor_facts import gather
from jupyter_llmroute.core.endpoint import Endpoint, ServedModel
from jupyter_llmroute.core.local_network import (
    Listener,
    default_routes,
    ipv6_addresses,
    listeners,
    nameservers,
)
from jupyter_llmroute.core.policy import Policy
from jupyter_llmroute.core.sections import SecuritySettings
from jupyter_llmroute.core.settings import Settings

PASS, WARN, FAIL = Status


def policy(**security: Any) -> Policy:
    return Policy.from_settings(SecuritySettings(**security))


def server(url: str, *models: ServedModel, key: str | None = None, **more: Any) -> Endpoint:
    return Endpoint(
        name="desk", provider="ollama", base_url=url, models=models, api_key=SecretStr(key) if key else None, **more
    )


HERE, GPU = "http://127.0.0.1:11434", "http://10.0.0.5:8000"
MODEL, BARE = ServedModel(id="qwen3:8b", digest="500a1f"), ServedModel(id="m")
CLOUD = ServedModel(id="kimi-k2:cloud", remote="cloud tag 'kimi-k2:cloud'")
OWN = FileFacts(what="settings file", path="/s", is_private=False)
READ, WRITTEN = (OWN.model_copy(update=u) for u in ({"others_may_read": True}, {"others_may_write": "everybody"}))
STATE = FileFacts(what="state", path="/st", others_may_read=True)


def listening(address: str) -> Listener:
    return Listener.model_validate({"address": address, "port": 11434})


ROWS: list[tuple[str, dict[str, Any], Status, str]] = [
    ("outside addresses", {}, PASS, "is false"),
    ("outside addresses", {"is_air_gapped": True}, PASS, "air-gapped"),
    ("outside addresses", {"policy": policy(allow_external=True)}, FAIL, "is true"),
    ("allowed networks", {}, PASS, "10.0.0.0/8"),
    ("allowed networks", {"policy": policy(allowed_cidrs=("0.0.0.0/0",))}, FAIL, "0.0.0.0/0 allows every address"),
    ("allowed networks", {"policy": policy(allowed_cidrs=("::/0",))}, FAIL, "every address"),
    ("allowed networks", {"policy": policy(allowed_cidrs=("8.0.0.0/7",))}, WARN, "8.0.0.0/7"),
    ("allowed networks", {"policy": policy(allowed_cidrs=("8.8.8.0/24",))}, WARN, "8.8.8.0/24"),
    ("allowed networks", {"policy": policy(allowed_cidrs=("fd00::/8",))}, WARN, "fd00::/8"),
    ("allowed networks", {"policy": policy(allowed_cidrs=("fd12:3456:789a::/48",))}, PASS, "fd12"),
    ("cloud metadata", {}, PASS, "refused"),
    ("cloud metadata", {"policy": policy(allow_external=True, allowed_cidrs=("0.0.0.0/0", "::/0"))}, PASS, "refused"),
    ("name resolution", {"nameservers": ()}, PASS, "no name server"),
    ("name resolution", {"nameservers": None, "platform": "win32"}, WARN, "win32"),
    ("name resolution", {"nameservers": ("10.0.0.2",)}, WARN, "was not tried"),
    ("name resolution", {"nameservers": ("127.0.0.53",)}, WARN, "was not tried"),
    ("name resolution", {"nameservers": ("10.0.0.2", "8.8.8.8")}, WARN, "asked of 8.8.8.8"),
    ("name resolution", {"nameservers": ("8.8.8.8",), "is_air_gapped": True}, FAIL, "asked of 8.8.8.8"),
    ("name resolution", {"nameservers": ("8.8.8.8",), "policy": policy(allow_external=True)}, WARN, "of 8.8.8.8"),
    ("egress", {"default_routes": ()}, PASS, "no default route"),
    ("egress", {"default_routes": ("eth0",)}, WARN, "by eth0"),
    ("egress", {"default_routes": None}, WARN, "not told"),
    ("proxies", {}, PASS, "no variable"),
    ("proxies", {"proxies": ("HTTP_PROXY names p.lab",)}, WARN, "HTTP_PROXY names p.lab"),
    ("proxies", {"proxies": ("HTTP_PROXY names p.lab",), "is_air_gapped": True}, FAIL, "p.lab"),
    ("IPv6", {}, PASS, "off"),
    ("IPv6", {"ipv6": None}, WARN, "not told"),
    ("IPv6", {"ipv6": ("fe80::1 on eth0",)}, WARN, "without use: fe80::1 on eth0"),
    ("IPv6", {"ipv6": ("fd00::1 on eth0",), "endpoints": (server("http://[fd00::2]:1"),)}, PASS, "used"),
    ("IPv6", {"ipv6": ("fd00::1 on eth0",), "policy": policy(allowed_cidrs=("fd00::/16",))}, PASS, "used"),
    ("certificates", {}, PASS, "no server is reached by https"),
    ("certificates", {"endpoints": (server("https://10.0.0.5"),)}, WARN, "system"),
    ("certificates", {"authority": Authority(path="/ca.pem", certificates=1)}, PASS, "1 certificates of '/ca.pem'"),
    ("certificates", {"authority": Authority(path="/ca.pem", error="gone")}, FAIL, "'/ca.pem': gone"),
    ("encryption", {"endpoints": (server(HERE, key="k"),)}, PASS, "nothing"),
    ("encryption", {"endpoints": (server("https://10.0.0.5", key="k"),)}, PASS, "nothing"),
    ("encryption", {"endpoints": (server(GPU),)}, WARN, "text goes unencrypted to desk"),
    ("encryption", {"endpoints": (server(GPU, key="k"),)}, FAIL, "keys go unencrypted to desk"),
    ("permissions", {}, PASS, "no file yet"),
    ("permissions", {"files": (OWN, READ)}, PASS, "settings file"),
    ("permissions", {"files": (STATE,)}, WARN, "state '/st'"),
    ("permissions", {"files": (WRITTEN,)}, FAIL, "settings file '/s' (everybody)"),
    ("keys", {}, PASS, "no file holds a key"),
    ("keys", {"keys_in": ("/s",), "files": (OWN,)}, PASS, "the user's alone"),
    ("keys", {"keys_in": ("/s",), "files": (READ,)}, FAIL, "'/s'"),
    ("open servers", {"endpoints": (server(HERE),), "listeners": (listening("127.0.0.1"),)}, PASS, "1 servers"),
    ("open servers", {"endpoints": (server(HERE),), "listeners": (listening("0.0.0.0"),)}, FAIL, "0.0.0.0:11434"),
    ("open servers", {"endpoints": (server(HERE),), "listeners": (listening("::"),)}, FAIL, "desk on :::11434"),
    ("open servers", {"endpoints": (server(HERE),), "listeners": (listening("::ffff:127.0.0.1"),)}, PASS, ""),
    ("open servers", {"endpoints": (server(HERE),), "listeners": (listening("192.168.1.2"),)}, FAIL, "192.168.1.2"),
    ("open servers", {"endpoints": (server(HERE, key="k"),), "listeners": (listening("0.0.0.0"),)}, PASS, ""),
    ("open servers", {"endpoints": (server(GPU),)}, WARN, "without a key: desk"),
    ("open servers", {"listeners": None}, WARN, "not told"),
    ("model checksums", {}, PASS, "no model"),
    ("model checksums", {"endpoints": (server(HERE, MODEL),)}, WARN, "of 1 models no checksum"),
    ("model checksums", {"endpoints": (server(HERE, MODEL),), "unlocked": ()}, PASS, "1 models"),
    ("model checksums", {"endpoints": (server(HERE, BARE),), "unlocked": (), "untold": ("m on desk",)}, WARN, "m on"),
    ("model checksums", {"endpoints": (server(HERE, MODEL),), "changed": ("m on desk",)}, FAIL, "m on desk"),
    ("model checksums", {"endpoints": (server(HERE, MODEL),), "unlocked": ("qwen3:8b",)}, WARN, "not recorded: qwen3"),
    ("models elsewhere", {"endpoints": (server(HERE, MODEL),)}, PASS, "no model"),
    ("models elsewhere", {"endpoints": (server(HERE, CLOUD),)}, WARN, "refused, for they run elsewhere: kimi-k2:cloud"),
    (
        "models elsewhere",
        {"endpoints": (server(HERE, CLOUD),), "policy": policy(allow_external=True)},
        FAIL,
        "may be asked",
    ),
    ("models elsewhere", {"endpoints": (server(HERE, MODEL, models_are_local=True),)}, WARN, "your word for desk"),
    ("audit log", {}, WARN, "nothing is written down"),
    ("audit log", {"audit": "kept: all"}, PASS, "kept: all"),
    ("audit log", {"audit": "kept: all", "answers_in_audit": True}, WARN, "plain text"),
    ("audit log", {"audit": "kept: all", "audit_error": "It is held: see who has it."}, FAIL, "It is held"),
    (
        "code intelligence",
        {"programs": (("serena", "/bin/serena"), ("ty", "/bin/ty"))},
        PASS,
        "serena at '/bin/serena'",
    ),
    ("code intelligence", {"programs": (("serena", ""), ("ty", "/bin/ty"))}, WARN, "not found: serena; ty at"),
    ("versions", {"versions": (("Python", "3.11.7"),)}, PASS, "Python 3.11.7"),
    ("versions", {"versions": (("httpx", ""),)}, WARN, "missing: httpx"),
]


@pytest.mark.parametrize(("check", "facts", "status", "evidence"), ROWS, ids=[f"{r[0]}-{r[2]}-{r[3]}" for r in ROWS])
def test_each_check_says_what_it_found(check: str, facts: dict[str, Any], status: Status, evidence: str) -> None:
    report = examine(Facts(**({"policy": policy()} | facts)))
    found = next(finding for finding in report.findings if finding.check == check)
    assert (found.status, evidence in found.evidence) == (status, True), found
    assert bool(found.remedy) is (status is not PASS)


def test_every_check_has_rows_for_a_pass_and_for_what_is_no_pass() -> None:
    told = {(check, status is PASS) for check, _, status, _ in ROWS}
    never_fails = {("cloud metadata", False)}
    assert told == {(name, is_pass) for name, _ in CHECKS for is_pass in (True, False)} - never_fails


def test_the_worst_counts() -> None:
    best = Facts(policy=policy(), unlocked=(), audit="kept")
    assert examine(best).status is PASS
    assert examine(best.model_copy(update={"audit": None})).status is WARN
    assert examine(best.model_copy(update={"policy": policy(allow_external=True), "audit": None})).status is FAIL
    assert Report(findings=()).status is PASS


def test_many_things_are_counted() -> None:
    servers = tuple(server(f"http://10.0.0.{n}:1").model_copy(update={"name": f"s{n}"}) for n in range(9))
    found = {finding.check: finding.evidence for finding in examine(Facts(policy=policy(), endpoints=servers)).findings}
    assert found["encryption"].endswith("s0, s1, s2, s3, s4, s5 and 3 more")


ROUTE = (
    "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
    "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
    "eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    "down0\t00000000\t010011AC\t0002\t0\t0\t0\t00000000\t0\t0\t0\n"
    "vpn0\t00000000\t00000000\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
    "odd\n"
)
ZERO, FE80 = "0" * 32, "fe80000000000000" + "0" * 16
ROUTE6 = (
    f"{ZERO} 00 {ZERO} 00 fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth1\n"
    f"{ZERO} 00 {ZERO} 00 {ZERO} ffffffff 00000001 00000000 00200200       lo\n"
    f"{FE80} 40 {ZERO} 00 {ZERO} 00000100 00000001 00000000 00000001     eth1\n"
)
TCP = (
    "  sl  local_address rem_address   st tx_queue\n"
    "   0: 0100007F:2CAA 00000000:0000 0A 00000000:00000000\n"
    "   1: 00000000:1F90 00000000:0000 0A 00000000:00000000\n"
    "   2: 0100007F:1F90 0100007F:D2F0 01 00000000:00000000\n"
    "   3: odd\n"
)
TCP6 = (
    "  sl  local_address\n"
    "   0: 00000000000000000000000001000000:2CAA 00000000000000000000000000000000:0000 0A\n"
    "   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 0A\n"
    "   2: 00000000000000000000000000000000:0051 00000000000000000000000000000000:0000 0A\n"
)


def test_the_machines_own_files_are_read() -> None:
    assert default_routes(ROUTE, ROUTE6) == ("eth0", "vpn0", "eth1 (IPv6)")
    assert default_routes("", "") == ()
    assert [(str(one.address), one.port, one.is_open) for one in listeners(TCP) + listeners(TCP6)] == [
        ("127.0.0.1", 11434, False),
        ("0.0.0.0", 8080, True),
        ("::1", 11434, False),
        ("::ffff:7f00:1", 80, False),
        ("::", 81, True),
    ]
    assert ipv6_addresses(f"{ZERO[:-1]}1 01 80 10 80       lo\n{FE80[:-1]}9 02 40 20 80     eth0\nodd") == (
        "fe80::9 on eth0",
    )
    assert nameservers("# nameserver 1.1.1.1\nnameserver 10.0.0.2\n nameserver fd00::1 \nnameserver 10.0.0.2") == (
        "10.0.0.2",
        "fd00::1",
    )


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_facts_come_from_files_variables_and_settings(tmp_path: Path) -> None:
    root = write(
        tmp_path / "root",
        {
            "etc/resolv.conf": "nameserver 127.0.0.53",
            "run/systemd/resolve/resolv.conf": "nameserver 8.8.8.8",
            "proc/net/dev": "lo eth0",
            "proc/net/route": ROUTE,
            "proc/net/tcp": TCP,
        },
    )
    own = write(tmp_path / "own", {"llmroute.yaml": "services: {ollama: {endpoint: 'http://10.0.0.9:1', api_key: k}}"})
    environ = {"HTTPS_PROXY": "http://ann:hunter2@p.lab:3128", "http_proxy": "odd:[", "NO_PROXY": "*", "PATH": ""}
    facts = gather(Settings.loaded(own=[own]), environ=environ, root=root, platform="linux")
    assert facts.nameservers == ("8.8.8.8",)
    assert facts.default_routes == ("eth0", "vpn0")
    assert facts.ipv6 == ()
    assert [one.port for one in facts.listeners or ()] == [11434, 8080]
    assert sorted(facts.proxies) == ["HTTPS_PROXY names p.lab", "http_proxy names a proxy"]
    assert "hunter2" not in facts.model_dump_json()
    assert facts.keys_in == (str(own / "llmroute.yaml"),)
    assert dict(facts.programs) == {"serena": "", "ty": ""}
    assert dict(facts.versions)["pydantic"]


def test_what_a_system_does_not_tell_is_not_made_up(tmp_path: Path) -> None:
    facts = gather(Settings.loaded(), environ={}, root=tmp_path, platform="linux")
    assert (facts.nameservers, facts.default_routes, facts.ipv6, facts.listeners) == (None,) * 4


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such permissions on Windows")
def test_permissions_are_those_of_the_files(tmp_path: Path) -> None:
    own = write(tmp_path / "own", {"llmroute.yaml": "services: {ollama: {endpoint: 'http://10.0.0.9:1', api_key: k}}"})
    log = tmp_path / "audit.jsonl"
    log.touch(mode=0o600)
    (own / "llmroute.yaml").chmod(0o644)
    own.chmod(0o777)
    os.chmod(log, 0o640)
    report = examine(gather(Settings.loaded(own=[own]), environ={}, root=tmp_path, audit_files=[log]))
    found = {finding.check: finding for finding in report.findings}
    assert found["keys"].status is FAIL
    assert found["permissions"].status is FAIL
    assert "folder of the settings" in found["permissions"].evidence
    own.chmod(0o755)
    report = examine(gather(Settings.loaded(own=[own]), environ={}, root=tmp_path, audit_files=[log]))
    assert "audit log" in next(f.evidence for f in report.findings if f.check == "permissions")


@pytest.mark.parametrize(("text", "told"), [("no certificate", "PEM"), (None, "No such file")])
def test_an_authority_that_does_not_read_is_told(tmp_path: Path, text: str | None, told: str) -> None:
    path = tmp_path / "ca.pem"
    if text:
        path.write_text(text)
    facts = gather(Settings.loaded(), environ={"SSL_CERT_FILE": str(path)}, root=tmp_path)
    assert facts.authority.path == str(path)
    assert facts.authority.error
    assert next(f for f in examine(facts).findings if f.check == "certificates").status is FAIL
