"""A stock registry as somebody else runs it: htpasswd and TLS of an authority of its own."""

import base64
import http.client
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.ports import free_port
from tests.support.real_registry import INSTALLED, serving
from tests.support.upstream_tls import LOCAL_HOSTS, UpstreamAuthority
from tests.support.waiting import PATIENCE

USERS = {"alice": "wonder-land-7", "bob": "builder-cat-9"}
"""Who may pull and push, with their passwords."""

_HTPASSWD = """alice:$2b$04$xudiNjIOO8fZWO0FbTw0k.pNlxCZeBZaTk.B7h2kTV9jV.MyHvVGy
bob:$2b$04$DidVJbntgTHKcxhyVcJJlO0kuMR.Dlo1QNjdqHcnFFD.yxT/8nm1C
"""
"""Their bcrypt hashes, of the least cost."""

_CONFIGURATION = """version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: "{folder}/storage"}}}}
http:
  addr: "{address}:{port}"
  secret: stub
  tls: {{certificate: "{certificate}", key: "{key}"}}
auth: {{htpasswd: {{realm: elsewhere, path: "{folder}/htpasswd"}}}}
"""


@frozen
class UpstreamRegistry:
    """A running one.

    Attributes:
        port: on 127.0.0.1.
        authority: vouches for it.
    """

    port: int
    authority: UpstreamAuthority

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://localhost:{self.port}"

    def ask(self, method: str, path: str, *, body: bytes = b"", content_type: str | None = None) -> tuple[int, str]:
        """Ask as alice; return status and ``Location``."""
        context = ssl.create_default_context(cafile=str(self.authority.file))
        connection = http.client.HTTPSConnection("localhost", self.port, context=context, timeout=PATIENCE)
        basic = base64.b64encode(f"alice:{USERS['alice']}".encode()).decode()
        headers = {"Authorization": f"Basic {basic}"} | ({"Content-Type": content_type} if content_type else {})
        try:
            connection.request(method, path, body=body or None, headers=headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.headers.get("Location", "")
        finally:
            connection.close()

    def push(self, repository: str, tag: str, image: Image) -> str:
        """Push an image, and return its digest."""
        for blob in (image.config, image.layer):
            self.push_blob(repository, blob)
        return self.push_manifest(repository, tag, MANIFEST, image.manifest)

    def push_blob(self, repository: str, blob: bytes) -> None:
        """Push a part of something."""
        status, place = self.ask("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, status
        path = place.removeprefix(self.url)
        status, _ = self.ask("PUT", f"{path}{'&' if '?' in path else '?'}digest={digest_of(blob)}", body=blob)
        assert status == 201, status

    def push_manifest(self, repository: str, tag: str, media_type: str, content: bytes) -> str:
        """Push a manifest whose parts are there, and return its digest."""
        status, _ = self.ask("PUT", f"/v2/{repository}/manifests/{tag}", body=content, content_type=media_type)
        assert status == 201, status
        return digest_of(content)

    def answers(self) -> bool:
        """Whether it answers at all."""
        try:
            return self.ask("GET", "/v2/")[0] == 200
        except OSError:
            return False


@contextmanager
def upstream_registry(
    authority: UpstreamAuthority | None = None, binary: Path = INSTALLED, *, address: str = "127.0.0.1", name: str = ""
) -> Iterator[UpstreamRegistry]:
    """Run one with a folder of its own.

    Args:
        authority: vouches for it; by default a new one.
        binary: to run.
        address: where it listens.
        name: under which it is known besides those of this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="asvup-"))
    vouches = authority or UpstreamAuthority.make(folder / "ca")
    files = vouches.issue(*LOCAL_HOSTS, *([name] if name else []))
    port = free_port()
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "registry.yml").write_text(
        _CONFIGURATION.format(folder=folder, address=address, port=port, certificate=files.certificate, key=files.key)
    )
    registry = UpstreamRegistry(port, vouches)
    with serving(binary, folder, registry.answers):
        yield registry
