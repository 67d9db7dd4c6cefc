"""Which names may be looked up and which addresses connected to, as a table."""

from ipaddress import ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_llmroute.core.endpoint import ServedModel
from jupyter_llmroute.core.policy import Policy, check_address, check_model, check_name, parse_address
from jupyter_llmroute.core.settings import SecuritySettings

DEFAULT = Policy.from_settings(SecuritySettings())
OPEN = Policy.from_settings(SecuritySettings(allow_external=True))
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
    (DEFAULT, "::127.0.0.1", False, UNLISTED),
    (DEFAULT, "64:ff9b::7f00:1", False, UNLISTED),
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
        for policy in (DEFAULT, OPEN)
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
