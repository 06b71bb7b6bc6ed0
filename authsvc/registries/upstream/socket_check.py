"""The last check before a connection to an external registry: on the address that the socket will connect to."""

import socket
from collections.abc import Callable
from typing import Any

from authsvc.upstreams.addresses import AddressRules, parse_literal

AddressInfo = tuple[int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[Any, ...]]


def checked_socket(rules: AddressRules) -> Callable[[AddressInfo], socket.socket]:
    """Return a function that makes sockets, except for addresses that ``rules`` refuse."""

    def make(info: AddressInfo) -> socket.socket:
        family, kind, protocol, _, address = info
        parsed = parse_literal(str(address[0]))
        if parsed is None or rules.refusal(parsed) is not None:
            raise PermissionError("this address may not be connected to")
        return socket.socket(family, kind, protocol)

    return make
