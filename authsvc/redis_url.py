"""URLs of a Redis primary behind sentinels, parsed as text: the settings check them, and the store uses them."""

import re
from urllib.parse import unquote

from attrs import frozen

SCHEME = "redis+sentinel://"

DEFAULT_PORT = 26379
MAX_PORT = 65535

_HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?"
_URL = re.compile(
    rf"redis\+sentinel://(?:(?P<user>[^:@/]*):(?P<password>[^@/]*)@)?(?P<hosts>{_HOST}(?:,{_HOST})*)/(?P<service>[\w.-]+)",
    re.ASCII,
)


@frozen
class SentinelUrl:
    """The addresses of the sentinels, their name for the primary, and our credentials."""

    sentinels: tuple[tuple[str, int], ...]
    service: str
    user: str | None
    password: str | None


def parse_sentinel_url(text: str) -> SentinelUrl:
    """Return the parts of ``redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE``.

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
    return SentinelUrl(tuple(sentinels), found["service"], user, password)
