"""The configuration of the containers in compose.yaml: the templates of ``authsvc up`` with other addresses.

Rule 1: names and paths here are those of compose.yaml, and nowhere else in the program.
Rule 2: a service gets a folder, which is a volume that only it and ``init`` mount: nginx has no access to the
registry's secret, only ``init`` and authsvc have access to the token root, and only the key service has access to its
keys.
Rule 3: only files are created: every folder is a volume, made by the image with its owner and mode.
"""

import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from attrs import evolve, field, frozen

from authsvc.errors import SetupRefused
from authsvc.issuance import ISSUER
from authsvc.keys.file_names import (
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    NEXT_ROOT_KEY,
    NGINX_SECRET,
    REDIS_SECRET,
    REGISTRY_EVENTS_SECRET,
    REGISTRY_HTTP_SECRET,
    RETIRED_LICENSE_KEYS,
    SEALING_KEY,
    TOKEN_ROOT_CERTIFICATE,
    TOKEN_ROOT_KEY,
)
from authsvc.keys.files import read
from authsvc.keys.secrets_dir import (
    create_missing,
    load_event_bearers,
    load_nginx_secrets,
    load_roots,
    redis_secret,
    registry_http_secret,
)
from authsvc.public_url import PublicUrl
from authsvc.setup import render
from authsvc.setup.config_digest import DIGEST_FILES, with_digests
from authsvc.setup.data_dir import check_volume, mark_volume
from authsvc.setup.edge_settings import EdgeSettings, edge_settings_of
from authsvc.setup.key_handover import hand_over, leave_link, missing_service_keys
from authsvc.setup.layout import differs, write_file
from authsvc.setup.pull_through import PullThrough, pull_through_of
from authsvc.setup.start_check import check_secrets, check_settings
from authsvc.spec.registry_event import NOTIFICATION_PATH

KNOWN_PROFILES = frozenset({"registry3", "s3", "gc", "keys", "metrics", "sentinel", "acme"})

SENTINELS = {"sentinel-1": 21, "sentinel-2": 22, "sentinel-3": 23}
"""Services, each with the last number of its address, as are these."""
_PRIMARY, _REPLICA = 11, 12
SENTINEL_SERVICE = "authsvc"
_NETWORK = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!$)|$)){3}", re.ASCII)

KEY_ADMIN_SOCKET = "key-admin/key-service.sock"
"""Path under the folder of the volumes at which `init` reaches the key service to hand over its keys."""

_KEYS = "/var/lib/authsvc/keys"
"""The folder of the keys in the container of the key service."""

_REGISTRY_PORT = _NGINX_PORT = 5000
_INSIDE_PORT = 8081
_REDIS_PORT = 6379


@frozen
class ComposeOptions:
    """The options of ``authsvc init --compose``.

    Attributes:
        root: the folder whose subfolders are the volumes.
        public_url: that clients type.
        tls: whether nginx speaks TLS itself.
        profiles: the profiles of compose.yaml that are in use.
        s3: location of the blobs with the profile ``s3``.
        store_network: the first three numbers of redis' and the sentinels' addresses.
    """

    root: Path
    public_url: PublicUrl
    tls: bool
    profiles: frozenset[str]
    s3: render.S3Values | None
    store_network: str


def parse_options(
    root: Path,
    public_url: PublicUrl,
    tls: str,
    profiles: str,
    s3: tuple[str, str, str, str] | None,
    store_network: str,
) -> ComposeOptions:
    """Parse the variables that compose.yaml passes on, in which an unset variable is an empty text.

    Args:
        root: the folder whose subfolders are the volumes.
        public_url: that clients type.
        tls: ``on``, ``off``, or empty to go by the URL's scheme.
        profiles: a comma-separated list, as in COMPOSE_PROFILES.
        s3: bucket, region, endpoint (empty for Amazon's) and folder (empty for the whole bucket).
        store_network: three numbers with dots between them.

    Raises:
        SetupRefused: a profile is unknown, two of them exclude each other, or S3 has no bucket or region.
    """
    names = frozenset(name.strip() for name in profiles.split(",") if name.strip())
    unknown = sorted(names - KNOWN_PROFILES)
    if unknown:
        raise SetupRefused(f"there is no profile {unknown[0][:40]!r}; known are: {', '.join(sorted(KNOWN_PROFILES))}")
    if {"registry3", "s3"} <= names:
        raise SetupRefused("the profiles registry3 and s3 exclude each other: each brings the registry that serves")
    values = None
    if "s3" in names:
        bucket, region, endpoint, folder = s3 or ("", "", "", "")
        if not bucket or not region:
            raise SetupRefused("the profile s3 needs AUTHSVC_S3_BUCKET and AUTHSVC_S3_REGION")
        values = render.S3Values(bucket, region, endpoint or None, "/" + folder.strip("/"))
    if tls == "on" and public_url.scheme == "http":
        raise SetupRefused("AUTHSVC_TLS=on needs an AUTHSVC_PUBLIC_URL that begins with https://")
    with_tls = public_url.scheme == "https" and tls != "off"
    if not _NETWORK.fullmatch(store_network):
        raise SetupRefused(f"AUTHSVC_STORE_NETWORK {store_network[:40]!r} must be three numbers such as 198.18.214")
    return ComposeOptions(
        root=root, public_url=public_url, tls=with_tls, profiles=names, s3=values, store_network=store_network
    )


def check_compose(options: ComposeOptions, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Check everything for which serve would refuse to start, and write nothing.

    Args:
        options: of the configuration to render.
        environ: the environment, for the settings of authsvc.

    Returns:
        The names of the files that :func:`init_compose` would write.

    Raises:
        SecretsRefused: a secret is unusable.
        SetupRefused: a setting is unusable, or a volume is missing or cannot be written.
    """
    check_volumes(options.root)
    directory = options.root / "secrets"
    settings = check_settings(environ, authsvc_values(options, _NO_SECRET, edge_settings_of(environ)).settings())
    absent = check_secrets(directory, settings)
    if not (directory / REDIS_SECRET).exists():
        absent = (*absent, REDIS_SECRET)
    files = with_digests(_files(options, environ, _no_secrets() if absent else _secrets(directory)), environ)
    moved = missing_service_keys(options.root / KEY_ADMIN_SOCKET, directory)
    return absent + moved + tuple(name for name, text in files.items() if differs(options.root / "config" / name, text))


def init_compose(options: ComposeOptions, environ: Mapping[str, str], now: datetime) -> tuple[str, ...]:
    """Create missing secrets and render the configuration of every service; a second call changes nothing.

    Args:
        options: of the configuration to render.
        environ: the environment, for the settings of authsvc.
        now: the time of creation, aware.

    Returns:
        The names of the files that are new or have changed.

    Raises:
        SecretsRefused: as :func:`check_compose`; nothing is written then.
        SetupRefused: as :func:`check_compose`.
    """
    check_compose(options, environ)
    directory = options.root / "secrets"
    new_redis = () if (directory / REDIS_SECRET).exists() else (REDIS_SECRET,)
    created = create_missing(directory, now, service_keys=False) + new_redis
    created += hand_over(options.root / KEY_ADMIN_SOCKET, directory)
    files = with_digests(_files(options, environ, _secrets(directory)), environ)
    changed = tuple(name for name, text in files.items() if write_file(options.root / "config" / name, text))
    for folder in VOLUMES:
        mark_volume(options.root / folder)
    leave_link(directory, _KEYS)  # after the marker: in a volume without one, a link is not ours
    return created + changed


def renew_token_root(root: Path) -> tuple[str, ...]:
    """Write only the registry's copy of the token root's certificate.

    Returns:
        The name of the file if it has changed.

    Raises:
        SecretsRefused: the certificate is unusable.
        SetupRefused: a volume is missing or cannot be written.
    """
    check_volumes(root)
    name = f"registry/{TOKEN_ROOT_CERTIFICATE}"
    return (name,) if write_file(root / "config" / name, _roots(root / "secrets")) else ()


@frozen
class _Secrets:
    http: str = field(repr=False)
    bearer: str = field(repr=False)
    nginx: str = field(repr=False)
    roots: str
    redis: bytes = field(repr=False)


_NO_SECRET = b"0" * 64
"""Placeholder for a secret that is not created yet, to check whether the configuration can be rendered."""


def _no_secrets() -> _Secrets:
    none = _NO_SECRET.decode()
    return _Secrets(none, none, none, "", _NO_SECRET)


def _secrets(directory: Path) -> _Secrets:
    bearer, nginx = load_event_bearers(directory)[0], load_nginx_secrets(directory)[0]
    return _Secrets(registry_http_secret(directory), bearer, nginx, _roots(directory), redis_secret(directory))


def _roots(directory: Path) -> str:
    load_roots(directory)
    return read(directory / TOKEN_ROOT_CERTIFICATE).decode("ascii")


def _files(options: ComposeOptions, environ: Mapping[str, str], secrets: _Secrets) -> dict[str, str]:
    edge_settings = edge_settings_of(environ)
    return {
        **_registry(options, secrets),
        **_redis(options, secrets.redis),
        "nginx/nginx.conf": render.render(
            nginx_values(options, secrets.nginx, pull_through_of(environ, system=False), edge_settings)
        ),
        **{f"nginx/{name}": render.copy_script(name) for name in ("nginx.sh", "metrics.conf", "acme.sh")},
        "nginx/host": f"{options.public_url.host}\n",
        "authsvc/authsvc.toml": render.render(authsvc_values(options, secrets.redis, edge_settings)),
    }


VOLUMES = {
    "secrets": frozenset(
        {
            *(TOKEN_ROOT_KEY, TOKEN_ROOT_CERTIFICATE, NEXT_ROOT_KEY, LICENSE_SIGNING_KEY, RETIRED_LICENSE_KEYS),
            *(LICENSE_TOKEN_KEY, SEALING_KEY, REGISTRY_HTTP_SECRET, REGISTRY_EVENTS_SECRET),
            *(NGINX_SECRET, REDIS_SECRET),
        }
    ),
    "config/registry": frozenset({TOKEN_ROOT_CERTIFICATE, "config.yml", "read-only.yml", "registry.sh", "serves"}),
    "config/redis": frozenset({"redis.conf", "redis.sh", "replica.conf", *(f"{name}.conf" for name in SENTINELS)}),
    "config/nginx": frozenset({"nginx.conf", "nginx.sh", "metrics.conf", "acme.sh", "host"}),
    "config/authsvc": frozenset({"authsvc.toml"}),
}
"""The volumes that ``init`` writes to, with the names of all files that it has ever written, but DIGEST_FILES."""


def check_volumes(root: Path) -> None:
    """Refuse volumes that are missing, cannot be written, or contain files that are not ours.

    Raises:
        SetupRefused: one is; nothing was written.
    """
    for volume, names in VOLUMES.items():
        folder = root / volume
        if not folder.is_dir():
            raise SetupRefused(f"there is no volume at {folder}; compose.yaml names the ones that `init` needs")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise SetupRefused(
                f"the volume at {folder} belongs to uid {folder.stat().st_uid} and init runs as uid {os.geteuid()}, "
                "so it cannot be written; see docs/deploy.md, Restore"
            )
        check_volume(folder, names | DIGEST_FILES)


def _serving(options: ComposeOptions) -> str:
    if "registry3" in options.profiles:
        return "registry3"
    return "registry-s3" if "s3" in options.profiles else "registry"


def _registry(options: ComposeOptions, secrets: _Secrets) -> dict[str, str]:
    """Return the registry's folder: a writable and a read-only configuration, and the addresses that serve them."""
    values = render.RegistryValues(
        network="tcp",
        address=f":{_REGISTRY_PORT}",
        storage_dir="/var/lib/registry",
        realm=options.public_url.realm,
        service=options.public_url.authority,
        issuer=ISSUER,
        # registry3 has its folder elsewhere, and says so with REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE.
        root_certificate=f"/etc/docker/registry/{TOKEN_ROOT_CERTIFICATE}",
        http_secret=secrets.http,
        s3=options.s3 if "s3" in options.profiles else None,
        events=render.EventsValues(f"http://authsvc:{_INSIDE_PORT}{NOTIFICATION_PATH}", secrets.bearer),
    )
    return {
        f"registry/{TOKEN_ROOT_CERTIFICATE}": secrets.roots,
        "registry/config.yml": render.render(values),
        "registry/read-only.yml": render.render(evolve(values, read_only=True)),
        "registry/registry.sh": render.copy_script("registry.sh"),
        "registry/serves": f"{_serving(options)}\n",
    }


def _redis(options: ComposeOptions, secret: bytes) -> dict[str, str]:
    """Return redis' folder: the primary's and a replica's configuration, and every sentinel's."""

    def address(last: int) -> str:
        return f"{options.store_network}.{last}"

    users = render.RedisUsers(
        **{name: hashlib.sha256(_password(secret, name).encode()).hexdigest() for name in _USERS},
        replica_password=_password(secret, "replica"),
    )
    primary = render.RedisValues(
        directory="/data",
        bind="*",
        port=_REDIS_PORT,
        users=users,
        announce=address(_PRIMARY) if "sentinel" in options.profiles else None,
    )
    files = {"redis/redis.conf": render.render(primary), "redis/redis.sh": render.copy_script("redis.sh")}
    if "sentinel" not in options.profiles:
        return files
    replica = evolve(primary, announce=address(_REPLICA), primary=address(_PRIMARY))
    sentinels = {
        f"redis/{name}.conf": render.render(
            render.SentinelValues(
                service=SENTINEL_SERVICE,
                primary=address(_PRIMARY),
                port=_REDIS_PORT,
                directory="/data",
                password=_password(secret, "sentinel"),
            )
        )
        for name in SENTINELS
    }
    return {**files, "redis/replica.conf": render.render(replica), **sentinels}


_USERS = ("authsvc", "replica", "sentinel")


def _password(secret: bytes, user: str) -> str:
    """Derive a redis user's password, so that only one file has to be kept."""
    return hmac.digest(secret, b"redis user " + user.encode(), "sha256").hex()


def nginx_values(
    options: ComposeOptions, secret: str, pull_through: PullThrough, edge_settings: EdgeSettings
) -> render.NginxValues:
    """Return the values for nginx's configuration."""
    return render.NginxValues(
        listen=f"0.0.0.0:{_NGINX_PORT}",  # a container's own addresses
        public_scheme=options.public_url.scheme,
        public_authority=options.public_url.authority,
        registry_upstream=f"{_serving(options)}:{_REGISTRY_PORT}",
        edge_upstream="authsvc:8080",
        pid_file="/tmp/nginx.pid",  # noqa: S108  of a container, whose only writable place this is
        temp_dir="/tmp",  # noqa: S108  same
        secret=secret,
        resolver="127.0.0.11",
        certificate="/certificates/fullchain.pem" if options.tls else None,
        certificate_key="/certificates/privkey.pem" if options.tls else None,
        cache_dir="/var/cache/authsvc/linked",
        cache_size=pull_through.cache_size,
        ca_file=pull_through.ca_file or "/etc/ssl/certs/ca-certificates.crt",  # of nginx's image
        upload_size=edge_settings.upload_size,
        connections=edge_settings.connections,
        trusted_proxies=edge_settings.trusted_proxies,
    )


def authsvc_values(options: ComposeOptions, secret: bytes, edge_settings: EdgeSettings) -> render.AuthsvcValues:
    """Return the values of authsvc.toml."""
    user = f"authsvc:{_password(secret, 'authsvc')}"
    redis_url = f"redis://{user}@redis:{_REDIS_PORT}/0"
    if "sentinel" in options.profiles:
        sentinels = ",".join(f"{options.store_network}.{last}" for last in SENTINELS.values())
        redis_url = f"redis+sentinel://{user}@{sentinels}/{SENTINEL_SERVICE}"
    return render.AuthsvcValues(
        public_url=options.public_url.text,
        redis_url=redis_url,
        redis_disk="/var/lib/redis/primary:/var/lib/redis/replica",  # either may be the current primary
        registry_url=f"http://{_serving(options)}:{_REGISTRY_PORT}",
        registry_disk=None if "s3" in options.profiles else "/var/lib/registry",
        nginx_url=f"http://nginx:{_NGINX_PORT}",
        secrets_dir="/var/lib/authsvc/secrets",
        private_clients=edge_settings.private_clients(options.public_url),
        tls_endpoint=f"nginx:{_NGINX_PORT}" if options.tls else None,
        control_socket="/tmp/authsvc.sock",  # noqa: S108  of the container, whose only writable place this is
        key_socket="/var/lib/authsvc/key-socket/key-service.sock",
    )
