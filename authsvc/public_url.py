"""The public URL: the address that clients type."""

import ipaddress
import re

from attrs import frozen

from authsvc.errors import SetupRefused

_MAX_PORT = 65535
_MAX_HOST_LENGTH = 253

_DEFAULT_PORTS = {"http": 80, "https": 443}

# RFC 1123 §2.1 host names; docker's reference grammar accepts the same ones.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_PUBLIC_URL = re.compile(
    rf"(?P<scheme>https?)://(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>{_LABEL}(?:\.{_LABEL})*))(?::(?P<port>[0-9]{{1,5}}))?/?",
    re.ASCII | re.IGNORECASE,
)


_ADDRESS = re.compile(r"\[.*\]|[0-9.]+", re.ASCII)
_LOOPBACK = re.compile(r"127(?:\.[0-9]{1,3}){3}", re.ASCII)


@frozen
class PublicUrl:
    """The URL that clients type, and the only source of realm and service (design §1)."""

    scheme: str
    """``http`` or ``https``."""
    authority: str
    """The registry's name in every image reference, spelled as :func:`parse_public_url` decides."""

    @property
    def text(self) -> str:
        """The URL without a trailing slash."""
        return f"{self.scheme}://{self.authority}"

    @property
    def realm(self) -> str:
        """The URL to which the registry sends clients for a token."""
        return f"{self.text}/auth/token"

    @property
    def host(self) -> str:
        """The host without its port; an IPv6 address keeps its brackets."""
        return re.sub(r":[0-9]+\Z", "", self.authority)

    @property
    def origin(self) -> str:
        """The URL as a browser sends it in the header ``Origin``: without the scheme's default port (RFC 6454 §6.2)."""
        port = f":{_DEFAULT_PORTS[self.scheme]}"
        return f"{self.scheme}://{self.authority.removesuffix(port)}"

    @property
    def takes_secure_cookies(self) -> bool:
        """Whether browsers keep ``Secure`` cookies of this URL: over TLS, and from localhost."""
        is_loopback = self.is_localhost or self.host == "[::1]" or _LOOPBACK.fullmatch(self.host) is not None
        return self.scheme == "https" or is_loopback

    @property
    def passkey_host(self) -> str | None:
        """The host name that browsers make passkeys for (WebAuthn's RP ID); None if they make none.

        They make them over TLS for names, never for addresses, and over plain http only for ``localhost``.
        """
        is_name = _ADDRESS.fullmatch(self.host) is None
        return self.host if (self.scheme == "https" and is_name) or self.is_localhost else None

    @property
    def is_localhost(self) -> bool:
        """Whether the host is a name that clients may resolve to 127.0.0.1 or ::1."""
        return self.host == "localhost"


def parse_public_url(text: str, source: str = "--public-url") -> PublicUrl:
    """Return the URL that clients type, in the one spelling that realm, service, licenses and clients share.

    docker and podman store a login under the name that an image begins with, so every other spelling would be a
    separate registry. The host is in lower case. ``:443`` is left out for https; any other port stays, also ``:80``:
    without it, clients would try https first. A name without a dot keeps or gets its port, because docker takes
    ``name/app`` for a repository of docker.io.

    Args:
        text: as given.
        source: where it was given, for the message.

    Raises:
        SetupRefused: it has more than scheme, host and port, or another form.
    """
    shown = f"{source} {text[:120]!r}"
    found = _PUBLIC_URL.fullmatch(text)
    if found is None or len(found["host"] or "") > _MAX_HOST_LENGTH:
        raise SetupRefused(
            f"{shown} is not a registry address: http:// or https://, a host name, perhaps a port, "
            f"and nothing after it, such as https://registry.example.com{_ascii_form(text)}"
        )
    if found["v6"] is None:
        host = found["host"].lower()
    else:
        try:
            host = f"[{ipaddress.IPv6Address(found['v6'])}]"
        except ValueError as error:
            raise SetupRefused(f"{shown}: {found['v6'][:60]!r} is not an IPv6 address") from error
    scheme = found["scheme"].lower()
    port = _DEFAULT_PORTS[scheme] if found["port"] is None else parse_port(found["port"], shown)
    if port == _DEFAULT_PORTS["https"] and scheme == "http":
        raise SetupRefused(f"{shown}: port 443 is the one of https; write https://, or choose another port")
    is_bare = found["v6"] is None and "." not in host and host != "localhost"
    is_implied = port == _DEFAULT_PORTS["https"] or found["port"] is None
    return PublicUrl(scheme=scheme, authority=host if is_implied and not is_bare else f"{host}:{port}")


def _ascii_form(text: str) -> str:
    """Return a hint, for the end of a sentence, on how to write a host name that is not ASCII; empty for other URLs."""
    try:
        host = text.partition("://")[2].rstrip("/")
        return "" if host.isascii() else f"; write the host name in its ASCII form, {host.encode('idna').decode()}"
    except UnicodeError:
        return ""


def parse_port(text: str, shown: str) -> int:
    """Return the port.

    Args:
        text: decimal digits.
        shown: what was given, for the message.

    Raises:
        SetupRefused: it is not from 1 to 65535.
    """
    port = int(text)
    if not 0 < port <= _MAX_PORT:
        raise SetupRefused(f"{shown}: the port must be a number from 1 to {_MAX_PORT}")
    return port
