"""Prepares an installation: creates secrets once, renders the configuration every time."""

import os
import pwd
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from attrs import evolve, field, frozen

from authsvc.issuance import ISSUER
from authsvc.keys.file_names import NGINX_SECRET, REGISTRY_EVENTS_SECRET, REGISTRY_HTTP_SECRET, TOKEN_ROOT_CERTIFICATE
from authsvc.keys.secrets_dir import create_missing, load_event_bearers, load_nginx_secrets, registry_http_secret
from authsvc.listen_address import ListenAddress, join_authority
from authsvc.public_url import PublicUrl
from authsvc.setting_values import NOBODY
from authsvc.setup import render
from authsvc.setup.edge_settings import EdgeSettings
from authsvc.setup.layout import Layout, differs, write_file
from authsvc.setup.pull_through import PullThrough
from authsvc.setup.start_check import check_secrets, check_settings
from authsvc.spec.registry_event import NOTIFICATION_PATH

ANY_EDGE, ANY_INSIDE = "127.0.0.1:8080", "127.0.0.1:8081"
"""Addresses of authsvc for nginx and the registry when ``init`` is run alone; ``up`` renders those that it bound."""


@frozen
class Site:
    """The values that differ between two installations on one machine."""

    listen: ListenAddress
    public_url: PublicUrl
    edge: str
    """``unix:PATH`` or ``host:port`` of authsvc's edge listener, where nginx finds it."""
    inside: str
    """``host:port`` of authsvc's inside listener, where the registry sends its events."""
    pull_through: PullThrough = field(factory=PullThrough)
    """Of linked registries."""
    edge_settings: EdgeSettings = field(factory=EdgeSettings)
    """Of nginx."""


@frozen
class Configuration:
    """The files that ``init`` renders."""

    registry: Path
    read_only_registry: Path
    """For as long as garbage is collected."""
    redis: Path
    nginx: Path
    authsvc: Path


def configuration_of(layout: Layout) -> Configuration:
    """Return the paths of the rendered files of a data directory."""
    return Configuration(
        registry=layout.config / "registry.yml",
        read_only_registry=layout.config / "registry-read-only.yml",
        redis=layout.config / "redis.conf",
        nginx=layout.config / "nginx.conf",
        authsvc=layout.config / "authsvc.toml",
    )


def check(layout: Layout, site: Site, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Check everything that serve would refuse, and write nothing.

    Args:
        layout: a data directory that need not exist yet.
        site: addresses.
        environ: the environment, for the settings of authsvc.

    Returns:
        The names of the files that :func:`init` would write.

    Raises:
        SecretsRefused: a secret is unusable.
        SetupRefused: a setting is unusable, or a path or address cannot be written into a configuration file.
    """
    settings = check_settings(environ, rendered_settings(layout, site))
    absent = check_secrets(layout.secrets, settings)
    texts = _texts(layout, site, _secrets(layout.secrets, absent))
    return absent + tuple(path.name for path, text in texts.items() if differs(path, text))


def init(layout: Layout, site: Site, now: datetime) -> tuple[str, ...]:
    """Create missing secrets and render the configuration; a second call changes nothing.

    Args:
        layout: a prepared data directory that :func:`check` has accepted.
        site: addresses.
        now: the time of making, aware.

    Returns:
        The names of the files that are new or have changed.

    Raises:
        SecretsRefused: a secret is unusable.
        SetupRefused: a path or address cannot be written into a configuration file.
    """
    created = create_missing(layout.secrets, now)
    texts = _texts(layout, site, _secrets(layout.secrets))
    changed = tuple(path.name for path, text in texts.items() if write_file(path, text))
    return created + changed


def rendered_settings(layout: Layout, site: Site) -> dict[str, str]:
    """Return the values of authsvc.toml."""
    return _authsvc(layout, site).settings()


_NO_SECRET = "0" * 64
"""Placeholder for a secret that is not created yet, to check whether the configuration can be rendered."""


@frozen
class _ServerSecrets:
    """The secrets in a configuration."""

    http: str = field(repr=False)
    bearer: str = field(repr=False)
    nginx: str = field(repr=False)


def _secrets(directory: Path, absent: Collection[str] = ()) -> _ServerSecrets:
    return _ServerSecrets(
        _NO_SECRET if REGISTRY_HTTP_SECRET in absent else registry_http_secret(directory),
        _NO_SECRET if REGISTRY_EVENTS_SECRET in absent else load_event_bearers(directory)[0],
        _NO_SECRET if NGINX_SECRET in absent else load_nginx_secrets(directory)[0],
    )


def _texts(layout: Layout, site: Site, secrets: _ServerSecrets) -> dict[Path, str]:
    files = configuration_of(layout)
    registry = _registry(layout, site, secrets)
    return {
        files.registry: render.render(registry),
        files.read_only_registry: render.render(evolve(registry, read_only=True)),
        files.redis: render.render(
            render.RedisValues(directory=str(layout.redis), unix_socket=str(layout.redis_socket))
        ),
        files.nginx: render.render(_nginx(layout, site, secrets)),
        files.authsvc: render.render(_authsvc(layout, site)),
    }


def _registry(layout: Layout, site: Site, secrets: _ServerSecrets) -> render.RegistryValues:
    return render.RegistryValues(
        network="unix",
        address=str(layout.registry_socket),
        storage_dir=str(layout.registry),
        realm=site.public_url.realm,
        service=site.public_url.authority,
        issuer=ISSUER,
        root_certificate=str(layout.secrets / TOKEN_ROOT_CERTIFICATE),
        http_secret=secrets.http,
        events=render.EventsValues(f"http://{site.inside}{NOTIFICATION_PATH}", secrets.bearer),
    )


def _nginx(layout: Layout, site: Site, secrets: _ServerSecrets) -> render.NginxValues:
    return render.NginxValues(
        listen=site.listen.authority,
        public_scheme=site.public_url.scheme,
        public_authority=site.public_url.authority,
        registry_upstream=f"unix:{layout.registry_socket}",
        edge_upstream=site.edge,
        pid_file=str(layout.run / "nginx-master.pid"),
        temp_dir=str(layout.nginx),
        log_file=str(layout.nginx_log),
        secret=secrets.nginx,
        # Only root can choose it, and must: nginx's default user has no access to the data directory.
        user=pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() == 0 else None,
        trusted_proxies=site.edge_settings.trusted_proxies,
        cache_dir=str(layout.nginx / "linked"),
        cache_size=site.pull_through.cache_size,
        ca_file=site.pull_through.ca_file,
        upload_size=site.edge_settings.upload_size,
        connections=site.edge_settings.connections,
    )


def _authsvc(layout: Layout, site: Site) -> render.AuthsvcValues:
    return render.AuthsvcValues(
        public_url=site.public_url.text,
        redis_url=_unix_url(layout.redis_socket),
        redis_disk=str(layout.redis),
        registry_url=_unix_url(layout.registry_socket),
        registry_disk=str(layout.registry),
        nginx_url=f"http://{join_authority(site.listen.connect_host, site.listen.port)}",
        secrets_dir=str(layout.secrets),
        private_clients=site.edge_settings.private_clients(site.public_url),
        control_socket=str(layout.control_socket),
        # nginx connects to the socket; forwarding headers from a TCP port of this machine are not trusted.
        trusted_proxies=NOBODY if site.edge.startswith("unix:") else None,
        upstream_private_networks=site.pull_through.private_networks,
        upstream_ca_file=site.pull_through.own_ca_file,
    )


def _unix_url(path: Path) -> str:
    """Return the path as a URL; a space or question mark in it must not end the URL (RFC 3986 §2.1)."""
    return f"unix://{quote(str(path))}"
