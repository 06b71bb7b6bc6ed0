"""What pulls of linked images are compared with: a registry over TLS that serves files, and plain nginx before it."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from attrs import frozen

from authsvc.local.programs import find_binaries
from tests.support.oci import MANIFEST, digest_of
from tests.support.ports import free_port
from tests.support.stack import GOOD_PATH
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE, until

REPOSITORY = "org/image"

PLAIN, PLAIN_STREAMING, PLAIN_CACHE = "plain nginx", "plain nginx, no file", "plain nginx, proxy_cache"

_FRAME = """{user}daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/client-body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
{inside}
}}
"""

_UPSTREAM = """
    sendfile on;
    server {{
        listen 127.0.0.1:{port} ssl backlog=1024;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        root {folder};
        location / {{ return 404; }}
        location = /v2/ {{ return 200 '{{}}'; }}
        location ~ ^/v2/org/image/blobs/sha256:[0-9a-f]+$ {{ try_files /blob =404; }}
        location ~ ^/v2/org/image/small/blobs/sha256:[0-9a-f]+$ {{ try_files /small =404; }}
        location ~ ^/v2/org/image/manifests/(sha256:[0-9a-f]+)$ {{
            default_type {manifest};
            try_files /$1 =404;
        }}
    }}
"""

_PLAIN = """{cache}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass https://127.0.0.1:{upstream};
            proxy_http_version 1.1;
            proxy_set_header Host localhost;
            proxy_set_header Connection close;
            proxy_ssl_verify on;
            proxy_ssl_trusted_certificate {authority};
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            {more}
        }}
    }}
"""

_CACHE = "    proxy_cache_path {folder}/cache levels=1:2 use_temp_path=off keys_zone=plain:4m max_size=64g;"

_KINDS = {
    PLAIN: ("", ""),
    PLAIN_STREAMING: ("", "proxy_max_temp_file_size 0;"),
    PLAIN_CACHE: (_CACHE, "proxy_cache plain; proxy_cache_key $uri; proxy_cache_valid 200 1d; sendfile on;"),
}
"""Everything that is not said here is as nginx ships it. The first one writes what a client does not take at once to a
file, as nginx does unless it is told not to; the second one waits for the client instead."""


@frozen
class Nginx:
    """A running one.

    Attributes:
        port: on 127.0.0.1.
        process: its master.
        folder: of its files.
    """

    port: int
    process: int
    folder: Path


@frozen
class FileRegistry:
    """A registry of one repository, whose blobs are one file under any digest.

    Attributes:
        nginx: serves it.
        size: of each blob in bytes.
        authority: vouches for it.
    """

    nginx: Nginx
    size: int
    authority: UpstreamAuthority

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.nginx.port}"

    def put_manifest(self, content: bytes) -> str:
        """Have a manifest, and return its digest."""
        digest = digest_of(content)
        (self.nginx.folder / digest).write_bytes(content)
        return digest


@contextmanager
def file_registry(folder: Path, size: int, small: int) -> Iterator[FileRegistry]:
    """Run one whose blobs have ``size`` bytes, and ``small`` ones below ``org/image/small``."""
    folder.mkdir()
    authority = UpstreamAuthority.make(folder / "ca")
    files = authority.issue()
    (folder / "blob").write_bytes(os.urandom(size))
    (folder / "small").write_bytes(os.urandom(small))
    port = free_port()
    values = {"certificate": files.certificate, "key": files.key, "manifest": MANIFEST, "folder": folder}
    with _running(folder, port, _UPSTREAM.format(port=port, **values)) as nginx:
        yield FileRegistry(nginx, size, authority)


@contextmanager
def plain_nginxes(
    folder: Path, registry: FileRegistry, kinds: Sequence[str] = tuple(_KINDS)
) -> Iterator[dict[str, Nginx]]:
    """Run plain nginx of several kinds before ``registry``."""
    with ExitStack() as running:
        found = {}
        for number, kind in enumerate(kinds):
            own, port = folder / f"plain-{number}", free_port()
            own.mkdir()
            cache, more = _KINDS[kind]
            inside = _PLAIN.format(
                cache=cache.format(folder=own),
                port=port,
                upstream=registry.nginx.port,
                authority=registry.authority.file,
                more=more,
            )
            found[kind] = running.enter_context(_running(own, port, inside))
        yield found


@contextmanager
def _running(folder: Path, port: int, inside: str) -> Iterator[Nginx]:
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_FRAME.format(user=user, folder=folder, inside=inside))
    command = [str(find_binaries(GOOD_PATH).nginx), "-e", "stderr", "-p", f"{folder}/", "-c", f"{folder}/nginx.conf"]
    process = subprocess.Popen(command)
    try:
        until((folder / "nginx.pid").exists, "nginx runs")
        yield Nginx(port, process.pid, folder)
    finally:
        process.terminate()
        process.wait(PATIENCE)
