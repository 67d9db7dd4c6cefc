"""Which names may be looked up and which addresses connected to, as a table."""

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.policy import (
    Policy,
    check_address,
    check_model,
    check_name,
    embedded,
    odd_address,
    parse_address,
)
from jupyter_llmroute.core.sections import SecuritySettings

DEFAULT = Policy.from_settings(SecuritySettings())
OPEN = Policy.from_settings(SecuritySettings(allow_external=True))
ALL = Policy.from_settings(SecuritySettings(allowed_cidrs=("0.0.0.0/0", "::/0")))
TRANSLATED = Policy.from_settings(
    SecuritySettings(allowed_cidrs=("10.0.0.0/8", "64:ff9b::/96", "2002::/16", "2001::/32", "fd00::/8"))
)
LAB = Policy.from_settings(
    SecuritySettings(
        allowed_hosts=("GPU.lab.", "192.0.2.7", "2001:db8::/32", "198.51.100.9/24"), allowed_cidrs=("fd00::/8",)
    )
)

NEVER = "never a model server"
LISTED = "in security.allowed_cidrs"
UNLISTED = "in none of security.allowed_cidrs"

ADDRESSES = [
    (DEFAULT, "127.0.0.1", True, "this machine"),
    (DEFAULT, "127.255.255.254", True, "this machine"),
    (DEFAULT, "::1", True, "this machine"),
    (DEFAULT, "::ffff:127.0.0.1", True, "this machine"),
    (DEFAULT, "::1%lo", True, "this machine"),
    (DEFAULT, "192.168.1.4", True, LISTED),
    (DEFAULT, "10.0.0.1", True, LISTED),
    (DEFAULT, "172.16.0.1", True, LISTED),
    (DEFAULT, "172.31.255.255", True, LISTED),
    (DEFAULT, "::ffff:10.0.0.1", True, LISTED),
    (DEFAULT, "172.32.0.1", False, UNLISTED),
    (DEFAULT, "192.169.0.1", False, UNLISTED),
    (DEFAULT, "100.64.0.1", False, UNLISTED),
    (DEFAULT, "8.8.8.8", False, UNLISTED),
    (DEFAULT, "::ffff:8.8.8.8", False, UNLISTED),
    (DEFAULT, "2606:4700::1111", False, UNLISTED),
    (DEFAULT, "fd00::1", False, UNLISTED),
    (DEFAULT, "64:ff9b::a00:1", False, UNLISTED),
    (DEFAULT, "::ffff:10.0.0.1%eth0", True, LISTED),
    (DEFAULT, "168.63.129.17", False, UNLISTED),
    # An address that leads to an IPv4 one is judged by that one too.
    (TRANSLATED, "64:ff9b::a00:1", True, LISTED),
    (TRANSLATED, "64:ff9b::808:808", False, "leads to 8.8.8.8"),
    (TRANSLATED, "2002:a00:1::1", True, LISTED),
    (TRANSLATED, "2002:808:808::1", False, "leads to 8.8.8.8"),
    (TRANSLATED, "2001:0:a00:1::f5ff:fffe", True, LISTED),
    (TRANSLATED, "2001:0:a00:1::f7f7:f7f7", False, "leads to 8.8.8.8"),
    (TRANSLATED, "2001:0:808:808::f5ff:fffe", False, "leads to 8.8.8.8"),
    (TRANSLATED, "fd00::5efe:a00:1", True, LISTED),
    (TRANSLATED, "fd00::5efe:808:808", False, "leads to 8.8.8.8"),
    (TRANSLATED, "fd00::200:5efe:808:808", False, "leads to 8.8.8.8"),
    (ALL, "8.8.8.8", True, LISTED),
    (ALL, "64:ff9b::808:808", True, LISTED),
    (DEFAULT, "255.255.255.255", False, UNLISTED),
    (LAB, "192.0.2.7", True, LISTED),
    (LAB, "192.0.2.8", False, UNLISTED),
    (LAB, "198.51.100.200", True, LISTED),
    (LAB, "2001:db8::7", True, LISTED),
    (LAB, "fd12::1", True, LISTED),
    (LAB, "fd12::1%eth0", True, LISTED),
    (LAB, "10.0.0.1", False, UNLISTED),
    (OPEN, "8.8.8.8", True, "security.allow_external is on"),
    (OPEN, "2606:4700::1111", True, "security.allow_external is on"),
    *[
        (policy, address, False, NEVER)
        for policy in (DEFAULT, OPEN, ALL)
        for address in (
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "::ffff:a9fe:a9fe",
            "169.254.0.1",
            "fe80::1",
            "fe80::1%eth0",
            "224.0.0.1",
            "ff02::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "fd00:ec2::254%eth0",
            "fd00:ec2::23",
            "fd20:ce::254",
            "168.63.129.16",
            "169.254.170.2",
            "192.0.0.192",
            "0.0.0.1",
            "::ffff:0.255.0.0",
            "::2",
            # To this machine, to metadata or nowhere, by a tunnel or a translator.
            "::127.0.0.1",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::6464:64c8",
            "64:ff9b:1::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
            "2001:0:a9fe:a9fe::",
            "2001:0:a00:1::5601:5601",
            "2606:4700::5efe:a9fe:a9fe",
        )
    ],
]


@pytest.mark.parametrize(
    ("policy", "address", "allowed", "reason"),
    ADDRESSES,
    ids=[f"{address}-{'open' if policy is OPEN else 'lists'}" for policy, address, *_ in ADDRESSES],
)
def test_address(policy: Policy, address: str, allowed: bool, reason: str):
    verdict = check_address(policy, parse_address(address))
    assert (verdict.allowed, reason in verdict.reason) == (allowed, True), verdict
    assert check_name(policy, address) == check_name(policy, f"[{address}]") == verdict


NAMES = [
    (DEFAULT, "localhost", True),
    (DEFAULT, "LocalHost.", True),
    (DEFAULT, "host.docker.internal", True),
    (DEFAULT, "localhost.evil.example", False),
    (DEFAULT, "evil-localhost", False),
    (DEFAULT, "x.localhost", False),
    (DEFAULT, "gpu.lab", False),
    (DEFAULT, "", False),
    (LAB, "gpu.lab", True),
    (LAB, "GPU.LAB.", True),
    (LAB, "gpu.lab.evil.example", False),
    (LAB, "host.docker.internal", False),
    (LAB, "localhost", True),
    (OPEN, "example.org", True),
    # Spellings of addresses that only a resolver reads: names, so on no list.
    *[
        (DEFAULT, odd, False)
        for odd in ("2130706433", "127.1", "0177.0.0.1", "0x7f.0.0.1", "0x7f000001", "127.0.0.1.", "０.0.0.0", "0")
    ],
    (OPEN, "127.1", True),
    (OPEN, "134744072", True),
    (OPEN, "2852039166", False),
    (OPEN, "0xa9fea9fe", False),
    (OPEN, "169.254.43518", False),
    (OPEN, "0251.0376.0251.0376", False),
    (OPEN, "0", False),
]


@pytest.mark.parametrize(("policy", "name", "allowed"), NAMES, ids=[repr(name) for _, name, _ in NAMES])
def test_name(policy: Policy, name: str, allowed: bool):
    verdict = check_name(policy, name)
    assert verdict.allowed is allowed
    assert verdict.reason


@pytest.mark.parametrize(
    ("policy", "remote", "allowed"),
    [(DEFAULT, None, True), (DEFAULT, "a cloud tag", False), (OPEN, "a cloud tag", True)],
)
def test_a_model_that_runs_elsewhere(policy: Policy, remote: str | None, allowed: bool):
    verdict = check_model(policy, ServedModel(id="m", remote=remote))
    assert verdict.allowed is allowed
    assert allowed or remote in verdict.reason


@given(st.ip_addresses())
@settings(deadline=None)
def test_an_address_is_judged_the_same_in_ipv6_clothes(address):
    if address.version == 4:
        assert check_name(DEFAULT, f"::ffff:{address}") == check_name(DEFAULT, str(address))


@given(st.ip_addresses(v=4))
@settings(deadline=None)
def test_by_default_nothing_public_is_allowed(address):
    if check_address(DEFAULT, address).allowed:
        assert address.is_private
    if address.is_global:
        assert not check_address(DEFAULT, address).allowed


@given(st.ip_addresses(), st.sampled_from([DEFAULT, LAB]))
@settings(deadline=None)
def test_opening_never_closes(address, policy: Policy):
    if check_address(policy, address).allowed:
        assert check_address(policy.model_copy(update={"allow_external": True}), address).allowed


def test_address_is_none_for_a_name():
    assert parse_address("gpu.lab") is None
    assert parse_address("[::1]") == ip_address("::1")


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("127.0.1", "127.0.0.1"),
        ("10.1.257", "10.1.1.1"),
        ("0177.0.0.0x1", "127.0.0.1"),
        ("010.0.0.1", "8.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("0", "0.0.0.0"),
        ("0x", "0.0.0.0"),
        ("127.0.0.1", None),
        ("::1", None),
        ("089.0.0.1", None),
        ("256.0.0.1.1", None),
        ("256.1", None),
        ("4294967296", None),
        ("1" * 5000, None),
        ("1..2", None),
        ("", None),
        ("-1", None),
        ("1_0", None),
        ("٣", None),
        ("gpu.lab", None),
        ("0xgg", None),
    ],
)
def test_old_spellings_of_an_address(host: str, address: str | None):
    assert odd_address(host) == (IPv4Address(address) if address else None)


def test_an_odd_spelling_is_said_to_be_one():
    assert "'127.1' is an odd spelling of 127.0.0.1: write it as '127.0.0.1'" in check_name(DEFAULT, "127.1").reason
    assert NEVER in check_name(DEFAULT, "2852039166").reason


@given(st.ip_addresses(), st.sampled_from([DEFAULT, LAB, OPEN, ALL, TRANSLATED]))
def test_what_is_never_a_server_is_opened_by_no_clothes(address, policy: Policy):
    dressed = [address] if address.version == 6 else [IPv6Address(f"{prefix}{address}") for prefix in CLOTHES]
    for each in dressed:
        if any(not check_address(OPEN, inner).allowed for inner in (embedded(each) or (address,))):
            assert not check_address(policy, each).allowed


CLOTHES = ("::", "::ffff:", "::ffff:0:", "64:ff9b::", "64:ff9b:1::", "fd00::5efe:")


@given(st.ip_addresses(v=4))
def test_an_address_is_the_same_in_all_old_spellings(address):
    number = int(address)
    first, rest = number >> 24, number & 0xFFFFFF
    spellings = (str(number), hex(number), f"0{number:o}", f"{first}.{rest}", f"0x{first:x}.0{rest:o}")
    assert {odd_address(each) for each in spellings} == {address}


def test_an_open_policy_says_so():
    assert DEFAULT.remarks == ALL.remarks == ()
    assert "security.allow_external is on" in OPEN.remarks[0]


def test_a_zone_opens_nothing():
    lab = Policy.from_settings(SecuritySettings(allowed_cidrs=("fd00::/8",)))
    assert check_address(lab, ip_address("fd12::1%eth0")).allowed
    assert not check_address(lab, ip_address("fd00:ec2::254%eth0")).allowed
    assert parse_address("fd12::1%eth0") == ip_address("fd12::1")
