"""Rules for hosts, ports and addresses of upstream registries: none may lead into our networks (SSRF).

The rules are applied when a link is saved and again to every address that is connected to, because the owner of a name
decides what it resolves to (DNS rebinding). Only addresses that are routed on the public Internet pass. The operator
may allow private networks (``AUTHSVC_UPSTREAM_PRIVATE_NETWORKS``); such an exception never covers the metadata services
of clouds, or an IPv4 address that is embedded in an IPv6 address.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from attrs import frozen

from authsvc.errors import InputRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOST_LENGTH = 253

HTTP, HTTPS, FIRST_UNPRIVILEGED, LAST_PORT = 80, 443, 1024, 65535

SERVICE_PORTS = frozenset(
    (
        *(1433, 1521, 1719, 1720, 1723, 2049, 2375, 2379, 2380, 3306, 3389, 3659, 4045, 4190, 5060, 5061, 5432, 5672),
        *(5984, 6000, 6379, 6443, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 8125, 9042, 9092, 9200, 9300),
        *(10080, 10250, 11211, 16379, 26379, 27017),
    )
)
"""Ports of other services, such as databases; those that browsers refuse too (Fetch standard, "port blocking")."""

_LOCAL = (
    ("127.0.0.0/8", "a loopback address"),
    ("::1/128", "a loopback address"),
    ("10.0.0.0/8", "a private address"),
    ("172.16.0.0/12", "a private address"),
    ("192.168.0.0/16", "a private address"),
    ("198.18.0.0/15", "a private address"),
    ("fc00::/7", "a private address"),
    ("100.64.0.0/10", "an address behind a provider's NAT"),
    ("169.254.0.0/16", "a link-local address"),
    ("64:ff9b::/96", "a translated IPv4 address"),
)
"""What an exception may cover (RFC 1122, 1918, 2544, 3927, 4193, 4291, 6052, 6598)."""

_NEVER = (
    # Metadata services of Azure, Amazon, Alibaba, Google, Oracle: they give access to the machine's identity.
    *((one, "the address of a cloud's metadata service") for one in ("168.63.129.16/32", "169.254.169.254/32")),
    *((one, "the address of a cloud's metadata service") for one in ("169.254.170.2/32", "169.254.170.23/32")),
    *((one, "the address of a cloud's metadata service") for one in ("100.100.100.200/32", "fd00:ec2::/32")),
    *((one, "the address of a cloud's metadata service") for one in ("fd20:ce::254/128", "192.0.0.192/32")),
    *((one, "an unspecified address") for one in ("0.0.0.0/8", "::/128")),
    *((one, "a multicast address") for one in ("224.0.0.0/4", "ff00::/8")),
    *((one, "a reserved address") for one in ("240.0.0.0/4", "192.0.0.0/24", "192.88.99.0/24", "2001::/23")),
    *((one, "an address of documentation") for one in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")),
    *((one, "an address of documentation") for one in ("2001:db8::/32", "3fff::/20")),
    *((one, "an IPv4 address in another form") for one in ("::ffff:0:0/96", "64:ff9b:1::/48", "2002::/16")),
)
"""Networks that are refused even if the operator allows them (IANA's registries of special-purpose addresses)."""

_GLOBAL_IPV6 = "2000::/3"
"""The allocated part of IPv6 (RFC 4291 §2.4)."""

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_ISATAP = re.compile(r"0[02]005efe", re.ASCII)


@frozen
class AddressRules:
    """The rules of this installation.

    Attributes:
        exceptions: private networks that an upstream may be in.
        own: hosts and ports of this installation itself; a link to them would be a loop.
        services: hosts and ports of internal services, refused by name and by address: they trust every client that can
            reach them, and may be in an allowed network.
    """

    exceptions: tuple[Network, ...] = ()
    own: frozenset[tuple[str, int]] = frozenset()
    services: frozenset[tuple[str, int]] = frozenset()

    def refusal(self, address: Address) -> str | None:
        """Return the kind of a refused address, such as ``a private address``; None if it is allowed."""
        inner = _embedded(address)
        if inner is not None and (found := self.refusal(inner)):
            return found
        local = _kind(address, _LOCAL)
        if found := _kind(address, _NEVER):
            return found
        if local is not None:
            return None if _within(address, self.exceptions) else local
        if isinstance(address, ipaddress.IPv6Address) and not _within(address, _networks((_GLOBAL_IPV6,))):
            return "a reserved address"
        return None

    def is_exception(self, address: Address) -> bool:
        """Whether it is a private address that the operator has allowed: plain http is allowed only there."""
        return self.refusal(address) is None and _kind(address, _LOCAL) is not None

    def check_host(self, host: str, port: int) -> Address | None:
        """Check the spelling of a host and the port; return the address when the host is one.

        Args:
            host: a name in lower case and ASCII, or an address; IPv6 with or without brackets.
            port: number.

        Raises:
            InputRefused: it is a disguised number (``0x7f.1``, ``2130706433``), not a host, refused as an address,
                or the port is that of another service.
        """
        if not _is_port(port):
            raise _refused(f"port {port} is not one of a registry: 443, 80, or one from 1024 that no other service has")
        if (host, port) in self.own | self.services:
            raise refused_as_own()
        address = parse_literal(host)
        if address is not None:
            if (found := self.refusal(address)) is not None:
                raise _refused(refusal_sentence(host, found))
            return address
        if len(host) > MAX_HOST_LENGTH or not _NAME.fullmatch(host) or _NUMBER.fullmatch(host.rpartition(".")[2]):
            raise _refused(
                f"{host[:80]!r} is not a host: a name such as registry.example.com, or an IP address in its usual form"
            )
        return None

    def check_addresses(self, host: str, addresses: Iterable[Address]) -> None:
        """Check all addresses of a name: one refused address refuses the name.

        Raises:
            InputRefused: one is refused. The error does not contain it, so that internal names cannot be resolved this
                way.
        """
        for address in addresses:
            if (found := self.refusal(address)) is not None:
                raise _refused(refusal_sentence(host, found))


def parse_literal(host: str) -> Address | None:
    """Return the address if ``host`` is one in its usual form; None for everything else, including one with a zone."""
    text = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if "%" in text or not text.isascii():
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def refusal_sentence(host: str, kind: str) -> str:
    """Return why ``host``, which is or resolves to ``kind``, is not allowed for upstreams."""
    return (
        f"{host[:MAX_HOST_LENGTH]} is or leads to {kind}; it must be a public address, or one in a private "
        "network that the operator of this installation has excepted"
    )


def refused_as_own() -> InputRefused:
    """Return the error about an address of this installation."""
    return _refused("this is the address of this installation itself")


def _refused(sentence: str) -> InputRefused:
    return InputRefused(sentence, code="upstream_address_refused", field="url")


def _is_port(port: int) -> bool:
    return port in {HTTP, HTTPS} or (FIRST_UNPRIVILEGED <= port <= LAST_PORT and port not in SERVICE_PORTS)


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that packets to an IPv6 address may be sent to; None when there is none."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address.is_loopback or address.is_unspecified:
        return None
    last = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    is_translated = _within(address, _networks(("64:ff9b::/96", "::/96")))
    is_isatap = _ISATAP.fullmatch(f"{(int(address) >> 32) & 0xFFFFFFFF:08x}") is not None
    return last if is_translated or is_isatap else None


@lru_cache(1024)
def _kind(address: Address, table: tuple[tuple[str, str], ...]) -> str | None:
    return next((words for network, words in table if _within(address, _networks((network,)))), None)


def _within(address: Address, networks: Iterable[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


@lru_cache(256)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(_parsed(texts))


def _parsed(texts: Iterable[str]) -> Iterator[Network]:
    return (ipaddress.ip_network(text) for text in texts)
