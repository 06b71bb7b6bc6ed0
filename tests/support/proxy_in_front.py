"""A real nginx in front of an installation, as an operator's own proxy is: good, but for what a test changes."""

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from authsvc.local.programs import find_binaries
from tests.support.http_client import ask
from tests.support.stack import GOOD_PATH, short_folder
from tests.support.upstream_tls import CertificateFiles
from tests.support.waiting import until

_GOOD = """\
{user}
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream registry {{ {registries} }}
    server {{
        listen 127.0.0.1:{port}{tls};
        large_client_header_buffers 4 16k;
        client_max_body_size 0;
        client_body_timeout 900s;
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_buffering off;
        proxy_read_timeout 900s;
        proxy_send_timeout 900s;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        location / {{ proxy_pass http://127.0.0.1:{behind}; }}
        location /auth/ {{ proxy_pass http://127.0.0.1:{behind}; }}
        location /v2/ {{ proxy_pass http://registry; }}
    }}
}}
"""


@contextmanager
def proxy_in_front(
    port: int,
    behind: int,
    certificate: CertificateFiles | None,
    changes: Mapping[str, str],
    registries: tuple[str, ...] = (),
) -> Iterator[None]:
    """Run nginx on ``port`` while the context lasts.

    Args:
        port: a free one, of the public URL.
        behind: of the installation's own nginx.
        certificate: with its key; None for plain http.
        changes: texts of the configuration, and what they are replaced by.
        registries: sockets of registries that answer ``/v2/`` in turns; none for the installation's own.
    """
    with short_folder() as folder:
        tls = "" if certificate is None else " ssl"
        servers = [f"server unix:{path} max_fails=0;" for path in registries] or [f"server 127.0.0.1:{behind};"]
        user = "user root;" if os.geteuid() == 0 else ""
        text = _GOOD.format(
            folder=folder, port=port, behind=behind, tls=tls, registries=" ".join(servers), user=user
        )  # fmt: skip
        if certificate is not None:
            files = f"ssl_certificate {certificate.certificate}; ssl_certificate_key {certificate.key};"
            text = text.replace(" ssl;", f" ssl;\n        {files}", 1)
        for old, new in changes.items():
            assert old in text, old
            text = text.replace(old, new)
        (folder / "nginx.conf").write_text(text)
        nginx = find_binaries(GOOD_PATH).nginx
        command = [nginx, "-e", "stderr", "-p", f"{folder}/", "-c", str(folder / "nginx.conf")]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log)
        try:
            until(lambda: _answers(process, port, folder), "nginx listens")
            yield
        finally:
            process.terminate()
            process.wait()


def _answers(process: "subprocess.Popen[bytes]", port: int, folder: Path) -> bool:
    assert process.poll() is None, (folder / "log").read_text(errors="replace")
    try:
        ask(port, "GET", "/")
    except ConnectionRefusedError:
        return False
    except OSError:  # it speaks TLS
        return True
    return True
