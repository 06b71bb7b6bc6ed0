"""Whose request it is, when it came through proxies that we trust."""

import ipaddress
import re
from collections.abc import Sequence

from aiohttp import web
from attrs import frozen

from authsvc.credentials.origin import Origin
from authsvc.settings import Network
from authsvc.throttle import is_private, network

CLIENT_ADDRESS = web.RequestKey("client_address", str)
"""The address that the log names."""

ORIGIN = web.RequestKey("origin", Origin)
"""What the throttle counts."""

_IN_BRACKETS_OR_WITH_PORT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


@frozen
class Clients:
    """How clients are told apart.

    Attributes:
        trusted: networks of our proxies.
        private: whether a private address may be a client's own; otherwise it may be that of a proxy which nobody
            named, and stand for everybody.
    """

    trusted: Sequence[Network] = ()
    private: bool = True

    def note(self, request: web.Request) -> None:
        """Note on a request where it comes from."""
        address = client_address(request.remote, request.headers.getall("X-Forwarded-For", []), self.trusted)
        request[CLIENT_ADDRESS] = address
        counted = network(address)
        request[ORIGIN] = Origin(counted, request.method, own=self.private or not is_private(counted))


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the nearest address that is not one of our proxies.

    Args:
        peer: who has connected; None or empty on a unix socket, which only our own proxy can open.
        forwarded: the values of ``X-Forwarded-For``, each a list, nearest last.
        trusted: networks of our proxies. What an address outside them claims about others is not believed.
    """
    hops = [_bare(hop.strip()) for value in forwarded for hop in value.split(",") if hop.strip()]
    current = peer or ""
    while hops and (not current or _is_in(current, trusted)):
        current = hops.pop()
    return current or "unknown"


def _bare(hop: str) -> str:
    """Return the address without the port that some balancers append, and without the brackets before one."""
    form = _IN_BRACKETS_OR_WITH_PORT.fullmatch(hop)
    return hop if form is None else form[1] or form[2]


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return any((mapped or address) in network for network in networks)
