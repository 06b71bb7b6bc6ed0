"""Files for other tools: docker's ``config.json``, a Kubernetes pull secret, containerd's ``hosts.toml``."""

from __future__ import annotations

import base64
import json
import re

from authsvc.installer import host
from authsvc.installer.credential_helper import USERNAME
from authsvc.installer.license_selection import joined
from authsvc.installer.license_store import InstalledLicense, ToolError

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_NAMESPACE = re.compile(rf"(?=.{{1,63}}\Z){_LABEL}", re.ASCII)
_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*", re.ASCII)


def docker_config(licenses: Sequence[InstalledLicense]) -> str:
    """Return a ``config.json`` with the licenses as logins; ``DOCKER_AUTH_CONFIG`` has the same format."""
    auths = {registry: {"auth": _basic(secret)} for registry, secret in _secrets(licenses).items()}
    return json.dumps({"auths": auths}, indent=2)


def pull_secret(licenses: Sequence[InstalledLicense], namespace: str | None, name: str | None) -> str:
    """Return a Secret of type ``kubernetes.io/dockerconfigjson`` as YAML, ready for ``kubectl apply -f -``.

    Args:
        licenses: at least one; for one registry or several, and at most 8 for each.
        namespace: of the pods; None for that of kubectl's context.
        name: of the secret; None to derive it from the first app's name.

    Raises:
        Refused: a name that Kubernetes would refuse.
    """
    name = name or f"{licenses[0].says['app']}-license"
    if not _SUBDOMAIN.fullmatch(name):
        raise ToolError(f"{name[:80]!r} is not a name for a secret: use a-z, 0-9, '-' and '.'", 2)
    if namespace is not None and not _NAMESPACE.fullmatch(namespace):
        raise ToolError(f"{namespace[:80]!r} is not a name of a namespace: use up to 63 of a-z, 0-9 and '-'", 2)
    auths = {
        registry: {"username": USERNAME, "password": secret, "auth": _basic(secret)}
        for registry, secret in _secrets(licenses).items()
    }
    config = json.dumps({"auths": auths}, separators=(",", ":"))
    patch = json.dumps({"imagePullSecrets": [{"name": name}]}, separators=(",", ":"))
    where = f" --namespace {namespace}" if namespace else ""
    lines = [
        *(
            f"# The license {one.says['id']} for {one.registry}; it ends at {one.says['expires_at']}."
            for one in licenses
        ),
        "# Let every pod of a service account use it:",
        f"#   kubectl patch serviceaccount default{where} -p '{patch}'",
        "apiVersion: v1",
        "kind: Secret",
        "metadata:",
        # Quoted: an unquoted name like 123 or true would not be a text.
        f'  name: "{name}"',
        *([f'  namespace: "{namespace}"'] if namespace else []),
        "type: kubernetes.io/dockerconfigjson",
        "data:",
        f'  ".dockerconfigjson": "{_encoded(config)}"',
    ]
    return "\n".join(lines)


def provider_config(licenses: list[InstalledLicense], program: str, seconds: int) -> str:
    """Return a kubelet ``CredentialProviderConfig``; JSON is YAML, and kubelet reads both.

    Args:
        licenses: for whose images kubelet should call the program.
        program: file name of this program in kubelet's folder of providers.
        seconds: until the first of the licenses ends.
    """
    images = sorted({pattern for license_ in licenses for pattern in image_patterns(license_)})
    provider = {
        "name": program,
        "matchImages": images,
        "defaultCacheDuration": f"{seconds}s",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "args": ["kubelet-provider"],
        "env": [{"name": "AUTHSVC_LICENSE", "value": ":".join(license_.path for license_ in licenses)}],
    }
    config = {"apiVersion": "kubelet.config.k8s.io/v1", "kind": "CredentialProviderConfig", "providers": [provider]}
    return json.dumps(config, indent=2)


def image_patterns(license_: InstalledLicense) -> list[str]:
    """Return kubelet's patterns for images: registry and path prefix of the app, native and pulled through."""
    app = license_.says["app"]
    return [f"{license_.registry}/{app}", f"{license_.registry}/proxy/{app}"]


def hosts_toml(registry: str, *, plain_http: bool, ca_file: str | None) -> str:
    """Return containerd's ``hosts.toml`` of the registry, with its URL, and without permission to push."""
    server = f"{'http' if plain_http or host.is_loopback(registry) else 'https'}://{registry}"
    lines = [f"server = {_toml(server)}", "", f"[host.{_toml(server)}]", '  capabilities = ["pull", "resolve"]']
    if ca_file is not None:
        lines.append(f"  ca = {_toml(ca_file)}")
    return "\n".join(lines)


def provider_response(licenses: Sequence[InstalledLicense], seconds: int) -> dict[str, Any]:
    """Return the answer to kubelet: the credentials of one image, to be kept for ``seconds``.

    Kept per image: two apps of one registry have two licenses, so one registry may have two answers.
    """
    login = {"username": USERNAME, "password": joined(licenses)}
    return {
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "kind": "CredentialProviderResponse",
        "cacheKeyType": "Image",
        "cacheDuration": f"{seconds}s",
        "auth": dict.fromkeys((pattern for one in licenses for pattern in image_patterns(one)), login),
    }


def _secrets(licenses: Sequence[InstalledLicense]) -> dict[str, str]:
    """Return the password for each registry."""
    registries = dict.fromkeys(license_.registry for license_ in licenses)
    return {registry: joined(one for one in licenses if one.registry == registry) for registry in registries}


def _basic(secret: str) -> str:
    return _encoded(f"{USERNAME}:{secret}")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def _toml(text: str) -> str:
    """Return a TOML basic string: of printable characters, JSON's form of it is one too."""
    return json.dumps(text)
