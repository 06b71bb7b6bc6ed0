"""Makes the client value of a request: its address from the connection and the headers of trusted proxies."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from aiohttp import web
from attrs import Factory, field, frozen

from authsvc.client import UNKNOWN, Client, is_private, network_of, parse_address
from authsvc.settings import Network

CLIENT = web.RequestKey("client", Client)
"""The sender of a request, for every handler."""

MAX_REMEMBERED, MAX_REMEMBERED_TEXT = 2048, 256
"""Most clients that are remembered, and the most characters of their headers: a client sends several requests."""

_IN_BRACKETS_OR_WITH_PORT = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([0-9.]+))(?::[0-9]{1,5})?", re.ASCII)


@frozen
class ClientReader:
    """Makes the client value of each request.

    Attributes:
        trusted: networks of our proxies.
        private: whether a private address may be a client's own; otherwise it may be that of a proxy that is not
            configured, and stand for all clients behind it.
    """

    trusted: Sequence[Network] = ()
    private: bool = True

    _remembered: Callable[..., Client] = field(
        init=False,
        eq=False,
        repr=False,
        default=Factory(lambda self: lru_cache(MAX_REMEMBERED)(self._client), takes_self=True),
    )

    def read(self, request: web.Request) -> Client:
        """Return the client of ``request``; a name in its form is not known yet."""
        headers = request.headers
        forwarded, software = tuple(headers.getall("X-Forwarded-For", ())), headers.get("User-Agent", "")
        is_short = len(software) + sum(map(len, forwarded)) <= MAX_REMEMBERED_TEXT
        client = self._remembered if is_short else self._client
        return client(request.remote, forwarded, request.method, software)

    def _client(self, peer: str | None, forwarded: tuple[str, ...], method: str, software: str) -> Client:
        address = client_address(peer, forwarded, self.trusted)
        network = network_of(address)
        return Client(address, network, method, software, owns_address=self.private or not is_private(network))


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Return the nearest address that is not one of our proxies.

    Args:
        peer: address of the connection; empty on a unix socket, which only our own proxy can open. None when it is
            unknown, because the client disconnected too early; then the headers are ignored.
        forwarded: the values of ``X-Forwarded-For``, each a list, nearest last.
        trusted: networks of our proxies. Headers of other addresses are not trusted.
    """
    if peer is None:
        return UNKNOWN
    hops = [_bare(hop.strip()) for value in forwarded for hop in value.split(",") if hop.strip()]
    current = peer
    while hops and (not current or _is_in(current, trusted)):
        current = hops.pop()
    return current or UNKNOWN


def _bare(hop: str) -> str:
    """Return the address without the port that some load balancers append, and without brackets."""
    form = _IN_BRACKETS_OR_WITH_PORT.fullmatch(hop)
    return hop if form is None else form[1] or form[2]


def _is_in(text: str, networks: Sequence[Network]) -> bool:
    address = parse_address(text)
    return address is not None and any(address in network for network in networks)
