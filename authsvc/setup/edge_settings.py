"""Settings of nginx: the largest upload, connections per address, and trusted proxies."""

from collections.abc import Mapping

from attrs import frozen

from authsvc.public_url import PublicUrl
from authsvc.setting_values import (
    DEFAULT_CONNECTIONS,
    DEFAULT_UPLOAD_SIZE,
    parse_connections,
    parse_size,
)
from authsvc.settings import parse_proxies

UPLOAD_SIZE = "AUTHSVC_UPLOAD_SIZE"
CONNECTIONS = "AUTHSVC_CONNECTIONS_PER_ADDRESS"
TRUSTED_PROXIES = "AUTHSVC_TRUSTED_PROXIES"


@frozen
class EdgeSettings:
    """The settings of nginx.

    Attributes:
        upload_size: MiB that one request may upload to the registry.
        connections: that one address may have at once.
        trusted_proxies: networks of the proxies in front of nginx; serve itself only sees and trusts nginx.
    """

    upload_size: int = DEFAULT_UPLOAD_SIZE
    connections: int = DEFAULT_CONNECTIONS
    trusted_proxies: tuple[str, ...] = ()

    def private_clients(self, public_url: PublicUrl) -> str:
        """Return ``on`` if a private address is that of a client, because there can be no unknown proxy in front."""
        return "on" if self.trusted_proxies or public_url.is_localhost else "off"


def edge_settings_of(environ: Mapping[str, str]) -> EdgeSettings:
    """Return the settings in the environment.

    Raises:
        SetupRefused: a value is not acceptable.
    """
    size, connections, proxies = (environ.get(name) for name in (UPLOAD_SIZE, CONNECTIONS, TRUSTED_PROXIES))
    return EdgeSettings(
        DEFAULT_UPLOAD_SIZE if size is None else parse_size(size, UPLOAD_SIZE),
        DEFAULT_CONNECTIONS if connections is None else parse_connections(connections, CONNECTIONS),
        () if proxies is None else tuple(map(str, parse_proxies(proxies, TRUSTED_PROXIES))),
    )
