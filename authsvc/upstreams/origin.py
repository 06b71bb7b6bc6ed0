"""The origin of an external registry: scheme, host and port, in one spelling (RFC 6454).

A credential belongs to one origin. So all spellings of a host must have the same canonical form, and anything that is
not clearly a host name or an IP address is refused instead of being left to a resolver: some resolve ``0x7f.1`` and
``2130706433`` to 127.0.0.1.
"""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

import idna
from attrs import frozen

from authsvc.errors import InputRefused

DEFAULT_PORTS = {"https": 443, "http": 80}

MAX_HOST_LENGTH = 253
"""Longest host name in characters (RFC 1035 §2.3.4, without the final dot)."""

MAX_PORT = 65535

_MAX_SHOWN = 120

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_PLAIN = re.compile(r"[!-~\u0080-\U0010ffff]+")


@frozen
class Origin:
    """The origin of a registry.

    Attributes:
        scheme: ``https``, or ``http`` inside a network that the operator has allowed.
        host: lower-case ASCII name, or an IP address without brackets in its canonical form.
        port: from 1 to 65535.
    """

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as in a URL, without the scheme's default port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def text(self) -> str:
        """The URL without a trailing slash; :func:`parse_origin` returns this origin for it."""
        return f"{self.scheme}://{self.authority}"


def parse_origin(text: str, *, plain_http: bool, field: str = "url") -> Origin:
    """Return the origin of the URL of a registry, as entered by a user.

    Args:
        text: such as ``https://quay.io``.
        plain_http: whether ``http://`` may be used at all.
        field: the argument that it was given as.

    Raises:
        InputRefused: it has more than scheme, host and port, or is not an address at all.
    """
    if "@" in text:  # never repeated: it may hold a password
        raise _refused("the address has a name or a password in it; give them as username and secret", field)
    shown = repr(text[:_MAX_SHOWN])
    if not _PLAIN.fullmatch(text) or len(text) > 2 * MAX_HOST_LENGTH:
        raise _refused(f"{shown} is not the address of a registry; write https:// and a host name", field)
    if "://" not in text:
        raise _refused(f"{shown} has no scheme; write https://{text[:_MAX_SHOWN]}", field)
    parts = _split(text, shown, field)
    scheme = parts.scheme
    if scheme not in DEFAULT_PORTS:
        raise _refused(f"{shown} begins with {scheme[:20]}://; a registry is reached by https://", field)
    if scheme == "http" and not plain_http:
        raise _refused(
            f"{shown} is without TLS, which is accepted only inside private networks that the server's operator has "
            "named in AUTHSVC_UPSTREAM_PRIVATE_NETWORKS; write https://",
            field,
        )
    host_text, port = _host_and_port(parts.netloc, scheme, shown, field)
    origin = Origin(scheme, parse_host(host_text, shown, field), port)
    if text[len(scheme) + len("://") + len(parts.netloc) :] not in {"", "/"}:
        raise _refused(
            f"{shown} has something behind the host; give only {origin.text}, and write the path in front of the "
            "repository's name",
            field,
        )
    return origin


def same_origin(one: Origin, other: Origin) -> bool:
    """Whether a credential for ``one`` may be sent to ``other``."""
    return one == other


def parse_host(text: str, shown: str, field: str = "url") -> str:
    """Return a host in its canonical form: lower-case ASCII, or an IP address without brackets.

    Args:
        text: a name, perhaps with characters outside ASCII, or an IP address; IPv6 in brackets.
        shown: what was given, for the message.
        field: the argument that it was given as.

    Raises:
        InputRefused: it is neither.
    """
    if text.startswith("["):
        return _ipv6(text, shown, field)
    host = _ascii(text, shown, field)
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError as error:
            raise _refused(f"{shown}: {host[:60]!r} is not an IPv4 address of four decimal numbers", field) from error
    if len(host) > MAX_HOST_LENGTH or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refused(f"{shown}: {text[:60]!r} is not a host name such as registry.example.com", field)
    return host


def _split(text: str, shown: str, field: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError as error:
        raise _refused(f"{shown} is not the address of a registry; write https:// and a host name", field) from error


def _host_and_port(netloc: str, scheme: str, shown: str, field: str) -> tuple[str, int]:
    host, colon, port = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        return netloc, DEFAULT_PORTS[scheme]
    if host.startswith("[") and not host.endswith("]"):
        raise _refused(f"{shown}: {netloc[:60]!r} is not an IPv6 address in brackets", field)
    if not (_PORT.fullmatch(port) and 0 < int(port) <= MAX_PORT):
        raise _refused(f"{shown}: the port must be a number from 1 to {MAX_PORT}", field)
    return host, int(port)


def _ipv6(text: str, shown: str, field: str) -> str:
    try:
        address = ipaddress.IPv6Address(text[1:-1] if text.endswith("]") else text)
    except ValueError as error:
        raise _refused(f"{shown}: {text[:60]!r} is not an IPv6 address in brackets", field) from error
    if address.scope_id is not None:
        raise _refused(f"{shown}: an address with a zone exists on one machine only", field)
    return str(address)


def _ascii(text: str, shown: str, field: str) -> str:
    """Return a host name in ASCII; a full-width dot or letter becomes the plain one (UTS #46)."""
    if text.isascii():
        return text.lower()
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError) as error:
        raise _refused(f"{shown}: {text[:60]!r} is not a host name such as registry.example.com", field) from error


def _refused(sentence: str, field: str) -> InputRefused:
    return InputRefused(sentence, code="url_invalid", field=field)
