"""Images: small ones made of nothing, as bytes for a registry client and as an OCI layout for skopeo."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

from attrs import field, frozen

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def digest_of(content: bytes) -> str:
    """Return the digest of a blob."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    """Return how a manifest names a blob."""
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def manifest_of(config: bytes, *layers: bytes) -> bytes:
    """Return a manifest that names these blobs, whether a registry has them or not."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(CONFIG, config),
            "layers": [descriptor(LAYER, layer) for layer in layers],
        }
    ).encode()


def index_of(manifest: bytes) -> bytes:
    """Return an index that names one manifest."""
    platform = {"architecture": "amd64", "os": "linux"}
    entry = {**descriptor(MANIFEST, manifest), "platform": platform}
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()


@frozen
class Image:
    """An image of one layer with one file.

    Attributes:
        content: of the file; different contents make images without a blob in common.
    """

    content: bytes
    layer: bytes = field(init=False)
    config: bytes = field(init=False)
    manifest: bytes = field(init=False)

    @layer.default
    def _layer(self) -> bytes:
        return gzip.compress(self._tar(), mtime=0)

    @config.default
    def _config(self) -> bytes:
        rootfs = {"type": "layers", "diff_ids": [digest_of(self._tar())]}
        return json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": rootfs}).encode()

    @manifest.default
    def _manifest(self) -> bytes:
        return manifest_of(self.config, self.layer)

    def _tar(self) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            entry = tarfile.TarInfo("content")
            entry.size = len(self.content)
            archive.addfile(entry, io.BytesIO(self.content))
        return packed.getvalue()

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)

    @property
    def digests(self) -> frozenset[str]:
        """Every digest of this image."""
        return frozenset({self.digest, digest_of(self.config), digest_of(self.layer)})

    def write_layout(self, folder: Path) -> Path:
        """Write an OCI layout and return its folder."""
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True)
        for blob in (self.layer, self.config, self.manifest):
            (blobs / digest_of(blob).removeprefix("sha256:")).write_bytes(blob)
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
        entry = {"schemaVersion": 2, "manifests": [descriptor(MANIFEST, self.manifest)]}
        (folder / "index.json").write_text(json.dumps(entry))
        return folder
