"""Whose request it is: what a trusted proxy says, in every form in which proxies say it."""

import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from authsvc.client import Client, network_of
from authsvc.web.client import ClientReader, client_address

TRUSTED = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "10.0.0.0/8", "fd00::/8")))
ADDRESSES = st.ip_addresses().map(str).filter(lambda text: not trusted(text))


def trusted(text: str) -> bool:
    """Whether an address is one of our proxies'."""
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in trusted_network for trusted_network in TRUSTED)


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["6.6.6.6"], "203.0.113.7"),
        ("127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6, 203.0.113.7, 10.1.2.3"], "203.0.113.7"),
        ("127.0.0.1", ["6.6.6.6", "203.0.113.7", "10.1.2.3"], "203.0.113.7"),
        ("::ffff:127.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("fd00::1", ["2001:db8::7"], "2001:db8::7"),
        ("127.0.0.1", ["203.0.113.7,, ,"], "203.0.113.7"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["10.1.2.3"], "10.1.2.3"),
        (None, ["203.0.113.7"], "unknown"),
        ("", ["203.0.113.7"], "203.0.113.7"),
        ("", [], "unknown"),
        ("", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        (None, [], "unknown"),
    ],
)
def test_the_nearest_stranger_is_the_client(peer: str | None, forwarded: list[str], expected: str) -> None:
    """What somebody outside our proxies says of others is not believed, however it is written."""
    assert expected == client_address(peer, forwarded, TRUSTED)


@given(peer=ADDRESSES, claims=st.lists(st.text()))
def test_nobody_chooses_an_address(peer: str, claims: list[str]) -> None:
    """Who connects from outside is who connects."""
    assert peer == client_address(peer, claims, TRUSTED)


@given(client=ADDRESSES, claims=st.lists(st.text().filter(lambda text: "," not in text)))
def test_nobody_chooses_an_address_through_a_proxy(client: str, claims: list[str]) -> None:
    """Our proxy appends the client to what that claims of itself."""
    assert client == client_address("10.0.0.1", [*claims, client], TRUSTED)


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [
        (["192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7:50123"], "192.0.2.7"),
        (["2001:db8::7"], "2001:db8::/64"),
        (["[2001:db8::7]"], "2001:db8::/64"),
        (["[2001:db8::7]:443"], "2001:db8::/64"),
        (["::ffff:192.0.2.7"], "192.0.2.7"),
        (["198.51.100.1, 192.0.2.7:1, 10.0.0.9:2"], "192.0.2.7"),
        (["198.51.100.1", "192.0.2.7"], "192.0.2.7"),
        (["192.0.2.7:notaport"], "unknown"),
    ],
)
def test_clients_behind_a_proxy_are_told_apart(forwarded: list[str], counted: str) -> None:
    """Some balancers append the client's port; without it all clients would share one bucket of the throttle."""
    assert counted == network_of(client_address("127.0.0.1", forwarded, TRUSTED))


def test_a_stranger_claims_nothing() -> None:
    """What an address that is no proxy of ours says of others is not believed."""
    assert client_address("192.0.2.7", ["198.51.100.1"], TRUSTED) == "192.0.2.7"


@pytest.mark.parametrize(
    ("forwarded", "private", "expected"),
    [
        ("203.0.113.7", False, Client("203.0.113.7", "203.0.113.7", "POST", "docker/29")),
        ("203.0.113.7", True, Client("203.0.113.7", "203.0.113.7", "POST", "docker/29")),
        ("172.17.0.1", True, Client("172.17.0.1", "172.17.0.1", "POST", "docker/29")),
        ("172.17.0.1", False, Client("172.17.0.1", "172.17.0.1", "POST", "docker/29", owns_address=False)),
        ("fd12::9", False, Client("fd12::9", "fd12::/64", "POST", "docker/29", owns_address=False)),
        ("", False, Client("unknown", "unknown", "POST", "docker/29", owns_address=False)),
    ],
)
def test_whose_network_it_is(forwarded: str, private: bool, expected: Client) -> None:
    """A private address may be that of a proxy which nobody named, unless the operator says that clients have some."""
    headers = {"X-Forwarded-For": forwarded, "User-Agent": "docker/29"}
    request = make_mocked_request("POST", "/auth/token", headers=headers).clone(remote="")  # on a unix socket
    client = ClientReader((), private).read(request)

    assert expected == client


@pytest.mark.parametrize("software", ["docker/27", "x" * 1000], ids=["remembered", "too long"])
def test_every_part_of_a_client_counts(software: str) -> None:
    """Clients that differ in any part are never taken for each other, whether they are remembered or not."""
    reader = ClientReader(TRUSTED)
    seen = set()
    for _ in range(2):
        for method in ("GET", "POST"):
            for address in ("203.0.113.7", "203.0.113.8"):
                for name in (software, f"{software}.1"):
                    headers = {"X-Forwarded-For": address, "User-Agent": name}
                    request = make_mocked_request(method, "/", headers=headers).clone(remote="")
                    client = reader.read(request)
                    assert (address, method, name) == (client.address, client.method, client.user_agent)
                    seen.add(client)
    assert 8 == len(seen)
