"""Whose request it is: what a trusted proxy says, in every form in which proxies say it."""

import ipaddress

import pytest

from authsvc.throttle import network
from authsvc.web.address import client_address

TRUSTED = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("10.0.0.0/8"))


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
    assert counted == network(client_address("127.0.0.1", forwarded, TRUSTED))


def test_a_stranger_claims_nothing() -> None:
    """What an address that is no proxy of ours says of others is not believed."""
    assert client_address("192.0.2.7", ["198.51.100.1"], TRUSTED) == "192.0.2.7"
