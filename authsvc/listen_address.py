"""The address that ``authsvc up`` binds."""

import ipaddress
import re

from attrs import frozen

from authsvc.errors import SetupRefused
from authsvc.public_url import parse_port

_LISTEN = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^\[\]:\s]+)):(?P<port>[0-9]{1,5})", re.ASCII)


@frozen
class ListenAddress:
    """The address that nginx binds."""

    host: str
    """An IP address, without brackets."""
    port: int

    @property
    def authority(self) -> str:
        """``host:port``, with brackets around an IPv6 address."""
        return join_authority(self.host, self.port)

    @property
    def connect_host(self) -> str:
        """The host at which this machine reaches it: the loopback address if all addresses are bound."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104  compared, not bound


def join_authority(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_listen(text: str) -> ListenAddress:
    """Return the address to bind.

    Raises:
        SetupRefused: not an IP address (or ``localhost``) and a port from 1 to 65535.
    """
    found = _LISTEN.fullmatch(text)
    if found is None:
        raise SetupRefused(
            f"--listen {text[:80]!r} is not an address and a port; write 127.0.0.1:5000, [::1]:5000 or 0.0.0.0:5000"
        )
    host = found["v6"] or found["host"]
    host = "127.0.0.1" if host == "localhost" else host
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise SetupRefused(
            f"--listen {text[:80]!r}: {host[:60]!r} is not an IP address; "
            "the name that clients type belongs in --public-url"
        ) from error
    return ListenAddress(host=str(address), port=parse_port(found["port"], f"--listen {text!r}"))
