"""What an address counts as, and what a client is called."""

import pytest

from authsvc.client import Client, is_private, network_of


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        *(
            (text, True)
            for text in ("127.0.0.1", "10.1.2.3", "172.17.0.1", "192.168.0.9", "100.64.0.1", "198.18.213.5")
        ),
        *((text, True) for text in ("::1", "fd00::1", "fe80::1", "169.254.1.1", "", "not an address")),
        *((text, False) for text in ("203.0.113.7", "172.32.0.1", "100.128.0.1", "2001:db8::7", "8.8.8.8")),
    ],
)
def test_what_may_be_a_proxy_of_ours(address: str, expected: bool) -> None:
    """Balancers and bridges have private addresses; whoever comes from the Internet has none."""
    assert is_private(network_of(address)) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", "unknown"),
        (None, "unknown"),
        ("not an address", "unknown"),
    ],
)
def test_whom_an_address_stands_for(address: str | None, expected: str) -> None:
    """Hopping inside one /64 hides nobody, and a mapped address is the IPv4 one."""
    assert expected == network_of(address)


@pytest.mark.parametrize(
    ("address", "block"),
    [
        ("203.0.113.7", "203.0.113.0/24"),
        ("::ffff:203.0.113.7", "203.0.113.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("", "unknown"),
    ],
)
def test_blocks(address: str, block: str) -> None:
    """An address counts as its /24 or /64, an IPv4 address inside IPv6 as itself, everything else as one."""
    assert block == Client(address).block


def test_the_name_that_a_token_request_gives() -> None:
    """It joins what the middleware knows; a request without one changes nothing."""
    client = Client("192.0.2.7", "192.0.2.7", "POST", "docker/29")

    assert Client("192.0.2.7", "192.0.2.7", "POST", "docker/29", "buildkit") == client.named("buildkit")
    assert client is client.named(None)
