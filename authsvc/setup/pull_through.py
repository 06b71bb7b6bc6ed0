"""What nginx and commands need for linked registries: how much is cached, whose certificates count, which networks."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from authsvc.registries.upstream.tls import upstream_tls
from authsvc.setting_values import DEFAULT_CACHE_SIZE, parse_absolute_path, parse_size
from authsvc.settings import parse_networks

CACHE_SIZE = "AUTHSVC_UPSTREAM_CACHE_SIZE"
CA_FILE = "AUTHSVC_UPSTREAM_CA_FILE"
PRIVATE_NETWORKS = "AUTHSVC_UPSTREAM_PRIVATE_NETWORKS"

_SYSTEM_CERTIFICATES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
)
"""Where Debian, Fedora and Alpine keep the certificates of public authorities, in one file."""


@frozen
class PullThrough:
    """How images of linked registries are fetched.

    Attributes:
        cache_size: MiB.
        ca_file: PEM file of the authorities that nginx trusts; None when there is none, and nothing is fetched.
        own_ca_file: the same, when it was named and is not the system's.
        private_networks: in which registries may be, as in the setting; None for none.
    """

    cache_size: int = DEFAULT_CACHE_SIZE
    ca_file: str | None = None
    own_ca_file: str | None = None
    private_networks: str | None = None


def pull_through_of(environ: Mapping[str, str], *, system: bool = True) -> PullThrough:
    """Return what the environment says.

    Args:
        environ: the environment.
        system: whether nginx runs on this system, whose certificates it trusts when the environment names none.

    Raises:
        SetupRefused: the size is not one, the certificates cannot be read, or something else is not a network.
    """
    size, own, networks = environ.get(CACHE_SIZE), environ.get(CA_FILE), environ.get(PRIVATE_NETWORKS)
    if own is not None:
        upstream_tls(parse_absolute_path(own, CA_FILE))
    return PullThrough(
        DEFAULT_CACHE_SIZE if size is None else parse_size(size, CACHE_SIZE),
        own if own is not None or not system else _system_certificates(),
        own,
        None if networks is None else ",".join(map(str, parse_networks(networks, PRIVATE_NETWORKS))),
    )


def _system_certificates() -> str | None:
    paths = (*_SYSTEM_CERTIFICATES, ssl.get_default_verify_paths().openssl_cafile)
    return next((path for path in paths if Path(path).is_file()), None)
