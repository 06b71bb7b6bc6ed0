"""Normalises the name of a registry, as clients spell it, to the form in license files."""

from __future__ import annotations

import re

HTTPS_PORT = ":443"

MAX_REGISTRY = 259
"""Longest ``host:port``, in characters: 253 of a DNS name (RFC 1035 §2.3.4), and a port."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_REGISTRY = re.compile(
    rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]{{2,39}}\])(?::(?P<port>[1-9][0-9]{{0,4}}))?", re.ASCII | re.IGNORECASE
)


def normalise(server: str) -> str:
    """Return ``host[:port]`` in lower case for any form that clients send.

    docker and podman send ``host:port``, crane ``host/repository`` first, nerdctl all of ``https://host:443``,
    ``http://host:443`` and ``host``, Docker Hub is ``https://index.docker.io/v1/`` (protocol notes C1). A port of 443
    is the default of https, and so says nothing; but a name without a dot keeps it, because clients take that alone for
    a repository of docker.io. A port of 80 says that there is no TLS, and stays.
    """
    return split(server)[0]


def is_registry(text: str) -> bool:
    """Whether ``text`` is ``host[:port]`` as docker's grammar of image names has it (distribution ``regexp.go``).

    So there is no scheme, no user name, no path and nothing like ``..`` in it: it is part of addresses and of paths.
    """
    found = _REGISTRY.fullmatch(text) if len(text) <= MAX_REGISTRY else None
    return found is not None and int(found["port"] or 1) < 1 << 16


def split(server: str) -> tuple[str, str]:
    """Return ``host[:port]`` in the form of :func:`normalise`, and the path after it without slashes around it."""
    text = server.strip()
    _, scheme, rest = text.partition("://")
    authority, _, path = (rest if scheme else text).partition("/")
    authority = authority.lower()
    name = authority.removesuffix(HTTPS_PORT)
    if "." in name or "]" in name or name == "localhost":
        authority = name
    return authority, path.strip("/")


def split_port(authority: str) -> tuple[str, str]:
    """Return host and port of ``host[:port]``; an IPv6 address keeps its brackets, and a missing port is empty."""
    name, colon, port = authority.rpartition(":")
    return (name, port) if colon and not authority.endswith("]") else (authority, "")


def is_loopback(host: str) -> bool:
    """Whether docker uses plain http for ``host[:port]`` without configuration: this machine itself."""
    name = split_port(host)[0]
    return name in {"localhost", "[::1]"} or (name.startswith("127.") and name.replace(".", "").isdigit())
