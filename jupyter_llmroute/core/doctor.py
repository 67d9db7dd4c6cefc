"""The checklist of a closed network: each item a small function from facts to what was found.

Nothing is done here: `doctor_facts` gathers, without sending anything off the lists; `examine` judges. Where the
settings say `environment: air-gapped`, what is otherwise a warning of a way out is a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from jupyter_llmroute.core.endpoint import Endpoint
from jupyter_llmroute.core.local_network import Listener
from jupyter_llmroute.core.policy import METADATA, Network, Policy, check_address, check_name, parse_address
from jupyter_llmroute.core.values import Value

NAMED = 6
"""Things of one kind that are named; of more, their number is told."""

WIDE = {4: 8, 6: 32}
"""Networks of a shorter prefix are wider than any organisation's own."""

METADATA_SPELLINGS = ("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "::ffff:169.254.169.254")


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"


class FileFacts(Value):
    """A file or a folder of ours, and who may do what with it."""

    what: str
    """Such as `settings file`."""
    path: str
    others_may_read: bool = False
    others_may_write: str = ""
    """Who may, in words; empty where nobody else may."""
    is_private: bool = True
    """Whether nobody but the user has any business in it."""


class Authority(Value):
    """The certificates that https servers are judged by."""

    path: str
    """Empty: the system's."""
    certificates: int = 0
    error: str = ""


class Facts(Value):
    """What is known of the machine, the settings and the servers."""

    policy: Policy
    is_air_gapped: bool = False
    platform: str = "linux"
    nameservers: tuple[str, ...] | None = ()
    """`None`: this system does not tell."""
    default_routes: tuple[str, ...] | None = ()
    ipv6: tuple[str, ...] | None = ()
    listeners: tuple[Listener, ...] | None = ()
    proxies: tuple[str, ...] = ()
    """Variables that name one, each with the host alone."""
    files: tuple[FileFacts, ...] = ()
    keys_in: tuple[str, ...] = ()
    """Files in which a key stands."""
    authority: Authority = Authority(path="")
    endpoints: tuple[Endpoint, ...] = ()
    unlocked: tuple[str, ...] | None = None
    """Models whose checksum is not recorded; `None`: none are recorded anywhere."""
    changed: tuple[str, ...] = ()
    """Models that are others than the recorded ones."""
    untold: tuple[str, ...] = ()
    """Models of which neither a file nor a digest can be seen."""
    checksums_error: str = ""
    """Why the recorded checksums, or a model's file, do not read."""
    audit: str | None = None
    """What the audit log is told to keep, in words; `None`: there is none."""
    answers_in_audit: bool = False
    audit_error: str = ""
    """Why it cannot be written, and what to do."""
    programs: tuple[tuple[str, str], ...] = ()
    """Serena and the language server, each with its path; empty where it was not found."""
    versions: tuple[tuple[str, str], ...] = ()


class Finding(Value):
    """What one check found."""

    check: str
    status: Status
    evidence: str
    remedy: str = ""
    """What to do now; empty where nothing is to be done."""


class Report(Value):
    """What all checks found, in the order of the checklist."""

    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The worst of all."""
        found = {finding.status for finding in self.findings}
        return next((status for status in (Status.FAIL, Status.WARN) if status in found), Status.PASS)


class Said(NamedTuple):
    """A check's answer."""

    status: Status
    evidence: str
    remedy: str = ""


PASS, WARN, FAIL = Status


def external(facts: Facts) -> Said:
    """Whether the router may reach what is on no list."""
    if facts.policy.allow_external:
        return Said(FAIL, "security.allow_external is true", "set it to false, and name servers in allowed_hosts")
    closed = "; the environment is air-gapped" if facts.is_air_gapped else ""
    return Said(PASS, f"security.allow_external is false{closed}")


def networks(facts: Facts) -> Said:
    """Whether the lists hold only what is the organisation's own."""
    listed = facts.policy.allowed_networks
    everything = [str(network) for network in listed if network.prefixlen == 0]
    wide = [str(network) for network in listed if _is_wide(network)]
    remedy = "name the servers' own networks in security.allowed_cidrs, as narrow as they are"
    if everything:
        return Said(FAIL, f"{_named(everything)} allows every address", remedy)
    if wide:
        return Said(WARN, f"wider than a private network: {_named(wide)}", remedy)
    return Said(PASS, f"allowed: {_named(map(str, listed)) or 'this machine alone'}")


def _is_wide(network: Network) -> bool:
    return network.prefixlen < WIDE[network.version] or not (network.is_private or network.is_loopback)


def metadata(facts: Facts) -> Said:
    """Whether a cloud's credentials are out of reach, however their address is spelt."""
    addresses = [address for address in METADATA if check_address(facts.policy, address).allowed]
    spellings = [spelt for spelt in METADATA_SPELLINGS if check_name(facts.policy, spelt).allowed]
    if open_ := [*map(str, addresses), *spellings]:
        return Said(FAIL, f"not refused: {_named(open_)}", "report this: no setting should open them")
    return Said(PASS, f"{len(METADATA)} addresses refused, and {len(METADATA_SPELLINGS)} other spellings")


def dns(facts: Facts) -> Said:
    """Whether names outside can be resolved. No name is looked up: a question to a resolver may leave the network."""
    if facts.nameservers is None:
        return Said(WARN, f"whom {facts.platform} asks for names is not told", "see your system's network settings")
    if not facts.nameservers:
        return Said(PASS, "no name server is configured")
    strangers = [server for server in facts.nameservers if not _is_near(facts.policy, server)]
    if strangers:
        status = FAIL if facts.is_air_gapped else WARN
        return Said(status, f"names are asked of {_named(strangers)}", "name a resolver of your own network")
    return Said(
        WARN,
        f"names are asked of {_named(facts.nameservers)}; whether it answers for outside names was not tried",
        "see that `getent hosts example.org` fails, on a day when the question may be asked",
    )


def _is_near(policy: Policy, server: str) -> bool:
    address = parse_address(server)
    closed = policy.model_copy(update={"allow_external": False})
    return bool(address and check_address(closed, address).allowed)


def egress(facts: Facts) -> Said:
    """Whether packets to any address have a way out, as far as this machine knows."""
    if facts.default_routes is None:
        return Said(WARN, f"the routes of {facts.platform} are not told", "see your system's routing table")
    if not facts.default_routes:
        return Said(PASS, "there is no default route")
    return Said(
        WARN,
        f"default route by {_named(facts.default_routes)}; what a firewall stops cannot be told from here",
        "block what leaves, or take the default route away",
    )


def proxies(facts: Facts) -> Said:
    """Whether variables name a proxy: the router ignores them, other programs of this kernel do not."""
    if facts.proxies:
        return Said(
            FAIL if facts.is_air_gapped else WARN,
            f"{_named(facts.proxies)}; the router uses none of them",
            "unset them: pip and other libraries in this kernel would send by them",
        )
    return Said(PASS, "no variable names one")


def ipv6(facts: Facts) -> Said:
    """Whether IPv6 is on and nobody needs it."""
    if facts.ipv6 is None:
        return Said(WARN, f"the addresses of {facts.platform} are not told", "switch IPv6 off where it is not used")
    if not facts.ipv6:
        return Said(PASS, "it is off")
    hosts = [parse_address(endpoint.host) for endpoint in facts.endpoints]
    if any(host and host.version == 6 for host in hosts) or any(n.version == 6 for n in facts.policy.allowed_networks):
        return Said(PASS, "it is on, and used")
    return Said(WARN, f"it is on without use: {_named(facts.ipv6)}", "switch it off, or have the firewall block it")


def authority(facts: Facts) -> Said:
    """Whether https servers are judged by an authority that can be read."""
    told = facts.authority
    if told.error:
        return Said(FAIL, f"{told.path!r}: {told.error}", "name a file of certificates in PEM in security.ca_file")
    if told.path:
        return Said(PASS, f"{told.certificates} certificates of {told.path!r}")
    if any(endpoint.base_url.startswith("https:") for endpoint in facts.endpoints):
        return Said(WARN, "the system's authorities are believed", "name your own one's file in security.ca_file")
    return Said(PASS, "no server is reached by https")


def encryption(facts: Facts) -> Said:
    """Whether text and keys go to other machines in the clear."""
    plain = [e for e in facts.endpoints if e.base_url.startswith("http:") and not e.is_here]
    keyed = [endpoint.name for endpoint in plain if endpoint.api_key]
    if keyed:
        return Said(FAIL, f"keys go unencrypted to {_named(keyed)}", "serve them by https")
    if plain:
        return Said(WARN, f"text goes unencrypted to {_named(e.name for e in plain)}", "serve them by https")
    return Said(PASS, "nothing goes to another machine in the clear")


def permissions(facts: Facts) -> Said:
    """Whether settings, state and audit log are the user's alone."""
    written = [f"{file.what} {file.path!r} ({file.others_may_write})" for file in facts.files if file.others_may_write]
    if written:
        return Said(FAIL, f"others may write: {_named(written)}", "chmod go-w them")
    read = [f"{file.what} {file.path!r}" for file in facts.files if file.is_private and file.others_may_read]
    if read:
        return Said(WARN, f"others may read: {_named(read)}", "chmod go-rwx them")
    return Said(PASS, f"nobody else writes: {_named(file.what for file in facts.files) or 'there is no file yet'}")


def keys(facts: Facts) -> Said:
    """Whether keys lie where others can read them."""
    readable = {file.path for file in facts.files if file.others_may_read}
    exposed = [path for path in facts.keys_in if path in readable]
    if exposed:
        return Said(FAIL, f"others may read the keys in {_named(map(repr, exposed))}", "chmod 600, and renew the keys")
    if facts.keys_in:
        return Said(PASS, f"the keys in {_named(map(repr, facts.keys_in))} are the user's alone")
    return Said(PASS, "no file holds a key")


def servers(facts: Facts) -> Said:
    """Whether other machines can use this one's servers without a key."""
    if facts.listeners is None:
        return Said(WARN, f"who listens on {facts.platform} is not told", "see that servers listen on 127.0.0.1 alone")
    open_ports = {one.port: one.address for one in facts.listeners if one.is_open}
    here = [(endpoint, _port(endpoint)) for endpoint in facts.endpoints if endpoint.is_here and endpoint.base_url]
    exposed = [f"{e.name} on {open_ports[port]}:{port}" for e, port in here if port in open_ports and not e.api_key]
    if exposed:
        return Said(
            FAIL, f"anybody in the network may use {_named(exposed)}", "have it listen on 127.0.0.1, or set a key"
        )
    unkeyed = [e.name for e in facts.endpoints if not e.is_here and not e.api_key]
    if unkeyed:
        return Said(WARN, f"on other machines, without a key: {_named(unkeyed)}", "have them want one, and set api_key")
    return Said(PASS, f"{len(here)} servers on this machine, none open to others without a key")


def _port(endpoint: Endpoint) -> int:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(endpoint.base_url)
        return parts.port or {"https": 443}.get(parts.scheme, 80)
    except ValueError:
        return 0


def checksums(facts: Facts) -> Said:
    """Whether a changed model would be noticed."""
    if facts.checksums_error:
        return Said(FAIL, facts.checksums_error, "see that nobody changed it, then jupyter-llmroute models lock")
    models = [(endpoint.name, model) for endpoint in facts.endpoints for model in endpoint.models]
    if not models:
        return Said(PASS, "no model is served")
    if facts.changed:
        return Said(FAIL, f"another than the recorded one: {_named(facts.changed)}", "jupyter-llmroute models verify")
    if facts.unlocked is None:
        return Said(WARN, f"of {len(models)} models no checksum is recorded", "jupyter-llmroute models lock")
    if facts.unlocked:
        return Said(WARN, f"not recorded: {_named(facts.unlocked)}", "jupyter-llmroute models lock")
    if facts.untold:
        return Said(WARN, f"their servers tell no digest: {_named(facts.untold)}", "verify their files on the server")
    return Said(PASS, f"{len(models)} models, each with its recorded checksum")


def clouds(facts: Facts) -> Said:
    """Whether models that seem local run elsewhere."""
    remote = [f"{m.id} on {e.name} ({m.remote})" for e in facts.endpoints for m in e.models if m.remote]
    vouched = [endpoint.name for endpoint in facts.endpoints if endpoint.models_are_local]
    if remote and facts.policy.allow_external:
        return Said(FAIL, f"may be asked, and run elsewhere: {_named(remote)}", "set security.allow_external to false")
    if remote:
        return Said(WARN, f"refused, for they run elsewhere: {_named(remote)}", "remove them from the server")
    if vouched:
        return Said(
            WARN, f"models_are_local is your word for {_named(vouched)}", "see where these gateways pass text on"
        )
    return Said(PASS, "no model bears a sign that it runs elsewhere")


def audit(facts: Facts) -> Said:
    """Whether decisions and refusals are, and can be, written down, without the texts."""
    if facts.audit is None:
        return Said(WARN, "nothing is written down", "set security.audit_enabled to true")
    if facts.audit_error:
        return Said(FAIL, *facts.audit_error.removesuffix(".").rsplit(": ", 1))
    if facts.answers_in_audit:
        return Said(WARN, f"{facts.audit}: answers are kept as plain text", "set security.log_responses to false")
    return Said(PASS, facts.audit)


def programs(facts: Facts) -> Said:
    """Whether code intelligence is there."""
    missing = [name for name, path in facts.programs if not path]
    there = "; ".join(f"{name} at {path!r}" for name, path in facts.programs if path)
    if missing:
        told = f"not found: {_named(missing)}" + (f"; {there}" if there else "")
        return Said(WARN, told, "install them beforehand: questions about code go without them")
    return Said(PASS, there or "not asked for")


def versions(facts: Facts) -> Said:
    """Tell what is installed, to be compared with what was approved."""
    missing = [name for name, version in facts.versions if not version]
    told = ", ".join(f"{name} {version}" for name, version in facts.versions if version)
    return Said(WARN, f"{told}; missing: {_named(missing)}", "install it") if missing else Said(PASS, told)


Check = Callable[[Facts], Said]

CHECKS: tuple[tuple[str, Check], ...] = (
    ("outside addresses", external),
    ("allowed networks", networks),
    ("cloud metadata", metadata),
    ("name resolution", dns),
    ("egress", egress),
    ("proxies", proxies),
    ("IPv6", ipv6),
    ("certificates", authority),
    ("encryption", encryption),
    ("permissions", permissions),
    ("keys", keys),
    ("open servers", servers),
    ("model checksums", checksums),
    ("models elsewhere", clouds),
    ("audit log", audit),
    ("code intelligence", programs),
    ("versions", versions),
)
"""The checklist, in its order."""


def examine(facts: Facts) -> Report:
    """Return what every check finds."""
    said = ((name, check(facts)) for name, check in CHECKS)
    return Report(
        findings=tuple(
            Finding(check=name, status=one.status, evidence=one.evidence, remedy=one.remedy) for name, one in said
        )
    )


def _named(things: Iterable[str]) -> str:
    """Return the first of them, and how many more there are."""
    every = tuple(things)
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more
