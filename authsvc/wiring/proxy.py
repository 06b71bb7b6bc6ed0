"""Pull-through of linked registries in a worker."""

from authsvc.keys.trusted_roots import TrustedRoots
from authsvc.logs import Logger
from authsvc.settings import Settings
from authsvc.web.proxy.endpoint import ProxyEndpoint, TokenRules
from authsvc.wiring import clock


def proxy_endpoint(settings: Settings, logger: Logger) -> ProxyEndpoint:
    """Return what answers ``/v2/proxy/…``."""
    url = settings.public_url
    rules = TokenRules(url.realm, url.authority, TrustedRoots(settings.secrets_dir).current, clock)
    return ProxyEndpoint(rules, logger)
