"""URLs of a Redis primary behind sentinels, parsed as text: the settings check them, and the store uses them."""

import re
from urllib.parse import parse_qsl, unquote

from attrs import frozen

SCHEMES = ("redis+sentinel://", "rediss+sentinel://")
"""Of the addresses of sentinels: without and with TLS."""

FORMS = (
    "redis://HOST:PORT, rediss://HOST:PORT or unix:///path/redis.sock, or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE "
    "(rediss+sentinel:// with TLS)"
)
"""What an address of Redis looks like, for error messages."""

DEFAULT_PORT = 26379
MAX_PORT = 65535

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?"
_URL = re.compile(
    r"redis(?P<tls>s?)\+sentinel://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?"
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)/(?P<service>[\w.-]+)(?:\?(?P<options>[^#]+))?",
    re.ASCII,
)
_CA = "ssl_ca_certs"
_OPTIONS = frozenset({"sentinel_username", "sentinel_password", _CA})


@frozen
class SentinelUrl:
    """The addresses of the sentinels, their name for the primary, and our credentials.

    Attributes:
        sentinels: hosts and ports.
        service: their name for the primary.
        user: of Redis; None for its default user.
        password: of that user; None for none.
        sentinel_user: of the sentinels; None for their default user.
        sentinel_password: of that user; None when they ask for none.
        tls: whether the sentinels and Redis are spoken to over TLS.
        ca_file: certificates of their authorities, besides those of the system.
    """

    sentinels: tuple[tuple[str, int], ...]
    service: str
    user: str | None
    password: str | None
    sentinel_user: str | None = None
    sentinel_password: str | None = None
    tls: bool = False
    ca_file: str | None = None


def is_sentinel_url(text: str) -> bool:
    """Whether an address of Redis is one of sentinels."""
    return text.startswith(SCHEMES)


def parse_sentinel_url(text: str) -> SentinelUrl:
    """Return the parts of ``redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE?OPTION=VALUE``.

    Raises:
        ValueError: it has another form.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("not the address of sentinels")
    sentinels = []
    for place in found["hosts"].split(","):
        host, port = place, ""
        if not place.endswith("]") and ":" in place:
            host, _, port = place.rpartition(":")
        if int(port or DEFAULT_PORT) > MAX_PORT:
            raise ValueError("a port is at most 65535")
        sentinels.append((host.strip("[]"), int(port or DEFAULT_PORT)))
    user, password = (unquote(found[name] or "") or None for name in ("user", "password"))
    options = _options(found["options"] or "")
    if _CA in options and not found["tls"]:
        raise ValueError("certificates are for TLS only")
    return SentinelUrl(
        tuple(sentinels),
        found["service"],
        user,
        password,
        sentinel_user=options.get("sentinel_username"),
        sentinel_password=options.get("sentinel_password"),
        tls=bool(found["tls"]),
        ca_file=options.get(_CA),
    )


def _options(text: str) -> dict[str, str]:
    """Return what follows the question mark.

    Raises:
        ValueError: it has an option that does not exist, an empty one, or one twice.
    """
    # A plus sign means a space in forms only, and passwords in base64 have it.
    pairs = parse_qsl(text.replace("+", "%2B"), keep_blank_values=True, strict_parsing=True) if text else []
    options = dict(pairs)
    if not _OPTIONS.issuperset(options) or len(options) < len(pairs) or not all(options.values()):
        raise ValueError("not an option of this address")
    return options
