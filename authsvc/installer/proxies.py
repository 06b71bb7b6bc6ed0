"""Selects the HTTP proxy of a request to the registry, if any.

The environment is read as docker reads it (golang.org/x/net/http/httpproxy): ``HTTPS_PROXY`` and ``NO_PROXY``, upper
case first; ``localhost`` and loopback addresses never use a proxy. Unlike docker, plain http never uses one either:
the proxy would read the registry token.
"""

from __future__ import annotations

import ipaddress
import urllib.request

from authsvc.installer import host

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping

HTTPS_PORT = "443"


def proxy_for(scheme: str, authority: str, environ: Mapping[str, str]) -> str | None:
    """Return the URL of the proxy for ``scheme://authority``, or None to connect directly."""
    if scheme != "https" or _is_exempt(authority, environ):
        return None
    named = environ.get("HTTPS_PROXY") or environ.get("https_proxy")
    # Windows and macOS have settings of their own, with their own exceptions; on Linux this reads the environment.
    if not named and not urllib.request.proxy_bypass(authority):
        named = urllib.request.getproxies().get("https")
    return named if not named or "://" in named else f"http://{named}"


def _is_exempt(authority: str, environ: Mapping[str, str]) -> bool:
    """Whether ``NO_PROXY`` names the host, or it is this machine."""
    name, port = host.split_port(authority)
    name = name.strip("[]").lower()
    address = _address(name)
    if name == "localhost" or (address is not None and address.is_loopback):
        return True
    entries = (environ.get("NO_PROXY") or environ.get("no_proxy") or "").split(",")
    return any(_matches(entry.strip().lower(), name, port or HTTPS_PORT, address) for entry in entries)


def _matches(entry: str, name: str, port: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    """Whether one entry of ``NO_PROXY`` covers the host.

    ``*``, a network, an address, a domain with its subdomains, or ``.domain`` for the subdomains alone; the last three
    may have a port.
    """
    if entry == "*":
        return True
    if "/" in entry:
        try:
            return address is not None and address in ipaddress.ip_interface(entry).network
        except ValueError:
            return False
    given, entry_port = (entry, "") if _address(entry) is not None else host.split_port(entry)
    if not given or (entry_port and entry_port != port):
        return False
    listed = _address(given.strip("[]"))
    if listed is not None or address is not None:
        return listed == address
    domain = given[1:] if given.startswith("*.") else given
    return name.endswith(domain) if domain.startswith(".") else name == domain or name.endswith(f".{domain}")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped
