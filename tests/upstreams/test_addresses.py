"""Attack 35: an upstream whose address leads into a network of ours, in every spelling; and what stays allowed.

CVE-2026-44430 (6to4, NAT64 and site-local forgotten), CVE-2026-33480 (IPv4-mapped forgotten), Quay CVE-2026-32591.
"""

import ipaddress
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.upstreams.addresses import SERVICE_PORTS, AddressRules, parse_literal

STRICT = AddressRules()

OFFICE = AddressRules((ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00:1::/32")))

EVERYTHING = AddressRules((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
"""An operator who excepts too much."""

NUMBERS = [
    *("0x7f.1", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "127.0.1", "0", "0x0", "017700000001", "1.2.3"),
    *("127.0.0.1.", "localhost.", "registry.example.com.", "127.0.0.256", "127.0.0.01", "①②⑦.⓪.⓪.①", "0x", "a.0x7f"),
]
"""Hosts that some resolver takes for an address, or that are spelled in a second way."""

NO_HOSTS = [
    "",
    ".",
    "a..b",
    "-a.example.com",
    "a b.example",
    "a\n.example",
    "a/b",
    "a@b",
    "a:b",
    "a%2f",
    "é.fr",
    "A.fr",
]

PRIVATE = [
    *("127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
    *("169.254.1.1", "198.18.0.1", "198.19.255.255", "::1", "fc00::1", "fdff::1"),
]
"""What the operator may except."""

NEVER = [
    *("0.0.0.0", "0.1.2.3", "::", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.0.1"),
    *("192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "ff02::1", "2001:db8::1", "3fff::1"),
    *("fe80::1", "fec0::1", "100::1", "5f00::1", "4000::1", "2001:2::1", "2001:10::1"),
    # IPv4 in other forms: mapped, compatible, NAT64 (local prefix), 6to4, Teredo
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.1.0.1", "::ffff:1.1.1.1", "::127.0.0.1", "::1.1.1.1"),
    *("64:ff9b:1::7f00:1", "2002:7f00:1::1", "2002:101:101::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
    # metadata services
    *("169.254.169.254", "169.254.170.2", "169.254.170.23", "100.100.100.200", "168.63.129.16", "192.0.0.192"),
    *("fd00:ec2::254", "fd20:ce::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
]

PUBLIC = ["1.1.1.1", "52.1.2.3", "172.15.255.255", "172.32.0.1", "100.128.0.1", "198.20.0.1", "2606:4700::1111"]


@pytest.mark.parametrize("host", [*NUMBERS, *NO_HOSTS])
@pytest.mark.parametrize("rules", [STRICT, EVERYTHING], ids=["strict", "everything"])
def test_only_plain_spellings_are_hosts(host: str, rules: AddressRules) -> None:
    """A host is a name or an address in its one form, whatever the operator excepts."""
    with pytest.raises(InputRefused) as refused:
        rules.check_host(host, 443)
    assert (refused.value.code, refused.value.field) == ("upstream_address_refused", "url")


@pytest.mark.parametrize("address", [*PRIVATE, *NEVER])
def test_addresses_that_lead_to_us_are_refused(address: str) -> None:
    """As a literal and as what a name resolves to; also when the name has a public address besides."""
    parsed = ipaddress.ip_address(address)
    with pytest.raises(InputRefused):
        STRICT.check_host(address, 443)
    with pytest.raises(InputRefused) as refused:
        STRICT.check_addresses("registry.example.com", [ipaddress.ip_address("1.1.1.1"), parsed])
    assert address not in str(refused.value)
    assert STRICT.refusal(parsed) is not None
    assert not STRICT.is_exception(parsed)


@pytest.mark.parametrize("address", NEVER)
def test_no_exception_covers_these(address: str) -> None:
    """Metadata, multicast, reserved, and IPv4 inside IPv6."""
    assert EVERYTHING.refusal(ipaddress.ip_address(address)) is not None


@pytest.mark.parametrize("address", PRIVATE)
def test_the_operator_can_except_private_networks(address: str) -> None:
    """Each, and then plain http is allowed there."""
    parsed = ipaddress.ip_address(address)
    assert EVERYTHING.check_host(address, 5000) == parsed
    assert EVERYTHING.is_exception(parsed)


def test_an_exception_ends_where_it_ends() -> None:
    """The networks beside it stay refused, and so does its form in IPv6."""
    allowed = ["10.1.0.1", "10.1.255.255", "fd00:1::5"]
    refused = ["10.0.255.255", "10.2.0.0", "fd00:2::5", "::ffff:10.1.0.1", "64:ff9b::a01:1", "127.0.0.1"]
    assert [OFFICE.refusal(ipaddress.ip_address(one)) for one in allowed] == [None] * 3
    assert [one for one in refused if OFFICE.refusal(ipaddress.ip_address(one)) is None] == []


def test_a_translated_address_needs_both_exceptions() -> None:
    """NAT64 (RFC 6052) is excepted for public addresses; for a private one inside, its network too."""
    rules = AddressRules((ipaddress.ip_network("64:ff9b::/96"),))
    assert rules.refusal(ipaddress.ip_address("64:ff9b::101:101")) is None
    assert rules.refusal(ipaddress.ip_address("64:ff9b::7f00:1")) == "a loopback address"


@pytest.mark.parametrize("address", ["2606:4700:0:1::5efe:7f00:1", "2606:4700:0:1:200:5efe:a00:1"])
def test_a_tunnel_into_a_private_network_is_refused(address: str) -> None:
    """ISATAP (RFC 5214) hides an IPv4 address in the last 32 bits of a public one."""
    assert STRICT.refusal(ipaddress.ip_address(address)) is not None


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_pass(address: str) -> None:
    """They are no exception: plain http is refused there even if somebody excepts everything."""
    parsed = ipaddress.ip_address(address)
    assert STRICT.check_host(address, 443) == parsed
    STRICT.check_addresses("registry.example.com", [parsed])
    assert not EVERYTHING.is_exception(parsed)


@pytest.mark.parametrize("host", ["registry.example.com", "r", "xn--nxasmq6b.example", "a_b.example.com", "4.example"])
def test_names_are_left_to_the_resolver(host: str) -> None:
    """A name is no address yet."""
    assert STRICT.check_host(host, 443) is None


@pytest.mark.parametrize("port", [0, -1, 22, 25, 79, 442, 444, 1023, 6379, 5432, 11211, 2375, 65536])
def test_ports_of_other_services_are_refused(port: int) -> None:
    """Our server is no port scanner, and no client of databases, whatever is excepted."""
    with pytest.raises(InputRefused):
        EVERYTHING.check_host("registry.example.com", port)


@pytest.mark.parametrize("port", [80, 443, 1024, 5000, 5443, 8081, 8443, 65535])
def test_ports_of_registries_pass(port: int) -> None:
    """The usual ones, and any that no well-known service has."""
    assert port not in SERVICE_PORTS
    assert STRICT.check_host("registry.example.com", port) is None


def test_no_link_leads_in_circles() -> None:
    """This installation is not an upstream of itself; another port of the same host may be."""
    rules = AddressRules(own=frozenset({("registry.vendor.com", 443)}))
    with pytest.raises(InputRefused):
        rules.check_host("registry.vendor.com", 443)
    assert rules.check_host("registry.vendor.com", 5443) is None


@pytest.mark.parametrize("text", ["fe80::1%eth0", "[::1%lo]", "1.1.1.1/32", "[1.1.1.1", "", "0x7f.1", "①.0.0.0"])
def test_only_plain_literals_are_addresses(text: str) -> None:
    """No zone, no prefix, no other digits."""
    assert parse_literal(text) is None


@given(st.integers(0, 2**32 - 1))
def test_what_passes_is_global_by_another_judge_too(number: int) -> None:
    """Whatever passes is global for the standard library, which is less strict."""
    address = ipaddress.IPv4Address(number)
    if STRICT.refusal(address) is None:
        assert address.is_global


@given(st.integers(0, 2**128 - 1) | st.integers(0x20 << 120, (0x40 << 120) - 1))
def test_what_passes_is_global_in_ipv6(number: int) -> None:
    """The same, mostly with addresses of the range that is given out."""
    address = ipaddress.IPv6Address(number)
    if STRICT.refusal(address) is None:
        assert address.is_global
        assert address.ipv4_mapped is None


@given(st.from_regex(r"[0-9a-fx.]{1,20}", fullmatch=True))
def test_what_the_system_takes_for_a_number_is_no_name(host: str) -> None:
    """Whatever the C library reads as an IPv4 address (``127.1``) is in its one form or refused."""
    try:
        meant = ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return
    try:
        assert AddressRules((ipaddress.ip_network("0.0.0.0/0"),)).check_host(host, 443) == meant
        assert host == str(meant)
    except InputRefused:
        pass
