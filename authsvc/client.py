"""The client of a request: its address, its network, and the name of its software as it states it.

The middleware makes one value for each request (:mod:`authsvc.web.client`); throttle, audit and log read it.
"""

import ipaddress
from functools import lru_cache

from attrs import evolve, frozen

IPV6_NETWORK = 64
"""Length of the IPv6 prefix that one customer of an access provider controls (RFC 6177)."""

IPV4_BLOCK, IPV6_BLOCK = 24, 64
"""Prefix lengths by which the audit groups failures before identity (design #14)."""

UNKNOWN = "unknown"
"""Stands for the network and the block of an address that cannot be parsed."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen
class Client:
    """The sender of a request.

    Attributes:
        address: as text, seen through trusted proxies; :data:`UNKNOWN` if nothing names it.
        network: what the throttle counts (:func:`network_of`).
        method: ``GET`` or ``POST``.
        user_agent: the header in which the client names itself; not verified.
        client_id: the name that it gives in a token request (RFC 6749 §2.2); not verified.
        owns_address: whether the address is the client's own. A private address may be that of a proxy that is not
            configured; it then stands for every client behind that proxy, and is never remembered as a network of an
            account.
    """

    address: str = UNKNOWN
    network: str = UNKNOWN
    method: str = "GET"
    user_agent: str = ""
    client_id: str | None = None
    owns_address: bool = True

    @property
    def block(self) -> str:
        """The /24 or /64 that the address lies in."""
        return block_of(self.address)

    def named(self, client_id: str | None) -> "Client":
        """Return the client with the name that its token request gives."""
        return self if client_id is None else evolve(self, client_id=client_id)


def parse_address(text: str) -> Address | None:
    """Return the address in ``text``, as IPv4 if it is one mapped into IPv6 (RFC 4291 §2.5.5.2), or None."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@lru_cache(4096)
def network_of(address: str | None) -> str:
    """Return the network of an address: itself for IPv4, its /64 for IPv6, and :data:`UNKNOWN` for anything else."""
    parsed = parse_address(address or "")
    if isinstance(parsed, ipaddress.IPv6Address):
        return _prefix(parsed, IPV6_NETWORK)
    return UNKNOWN if parsed is None else str(parsed)


@lru_cache(4096)
def block_of(address: str) -> str:
    """Return the /24 or /64 that an address lies in, :data:`UNKNOWN` if it cannot be read."""
    parsed = parse_address(address)
    if parsed is None:
        return UNKNOWN
    return _prefix(parsed, IPV4_BLOCK if isinstance(parsed, ipaddress.IPv4Address) else IPV6_BLOCK)


_PRIVATE = (
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("169.254.0.0/16", "198.18.0.0/15", "fc00::/7", "fe80::/10", "::1/128"),
)
"""Networks in which load balancers and bridges have their addresses (RFC 1918, 6598, 1122, 3927, 2544, 4193, 4291)."""


@lru_cache(4096)
def is_private(network: str) -> bool:
    """Whether a network, as :func:`network_of` names it, may be that of one of our proxies and not a client's own."""
    if network == UNKNOWN:
        return True
    asked = ipaddress.ip_network(network)
    privates = map(ipaddress.ip_network, _PRIVATE)
    return any(private.version == asked.version and private.overlaps(asked) for private in privates)


def _prefix(address: Address, length: int) -> str:
    return str(ipaddress.ip_network((address, length), strict=False))
