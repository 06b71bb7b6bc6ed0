"""The parts of a registry's configuration that authsvc depends on.

A registry cannot be asked for most of it: it refuses a token for a wrong issuer and for an unknown root with the same
words. Variables ``REGISTRY_…`` override the file and are not visible here.
"""

from pathlib import Path
from typing import Any

import yaml
from attrs import field, frozen
from cryptography import x509

from authsvc.errors import SetupRefused
from authsvc.redaction import Secret
from authsvc.signing.root import fingerprint


@frozen
class RegistryEndpoint:
    """Where a registry sends its events.

    Attributes:
        url: of the receiver.
        authorization: the header that it shows there; empty for none.
    """

    url: str
    authorization: Secret = field(repr=False)


@frozen
class RegistryConfig:
    """A registry's configuration.

    Attributes:
        path: where it was read.
        issuer: of the tokens that are accepted; empty when none is named.
        bundle: path of the certificates that are trusted.
        roots: their fingerprints; None when the file cannot be read here.
        http_secret: signs the state of uploads; None when none is named.
        deletes: whether deletion is enabled.
        endpoints: where its events go.
    """

    path: Path
    issuer: str
    bundle: str
    roots: tuple[str, ...] | None
    http_secret: Secret | None = field(repr=False)
    deletes: bool
    endpoints: tuple[RegistryEndpoint, ...]


def read_registry_config(path: Path) -> RegistryConfig:
    """Return the parsed file.

    Raises:
        SetupRefused: it cannot be read, or is not a registry's configuration.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SetupRefused(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise SetupRefused(f"{path} is not YAML, so it is not a registry's configuration") from error
    if not isinstance(document, dict) or "storage" not in document:
        raise SetupRefused(f"{path} has no section `storage`, so it is not a registry's configuration")
    token = _section(document, "auth", "token")
    bundle, http_secret = str(token.get("rootcertbundle", "")), _section(document, "http").get("secret")
    return RegistryConfig(
        path=path,
        issuer=str(token.get("issuer", "")),
        bundle=bundle,
        roots=_fingerprints(bundle),
        http_secret=None if http_secret is None else Secret(str(http_secret)),
        deletes=_section(document, "storage", "delete").get("enabled") is True,
        endpoints=tuple(_endpoints(_section(document, "notifications").get("endpoints"))),
    )


def _section(document: dict[str, Any], *names: str) -> dict[str, Any]:
    found: Any = document
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _endpoints(listed: Any) -> list[RegistryEndpoint]:
    found = []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and not one.get("disabled"):
            shown = _section(one, "headers").get("Authorization")
            header = shown[0] if isinstance(shown, list) and shown else ""
            found.append(RegistryEndpoint(str(one.get("url", "")), Secret(str(header))))
    return found


def _fingerprints(bundle: str) -> tuple[str, ...] | None:
    try:
        return tuple(map(fingerprint, x509.load_pem_x509_certificates(Path(bundle).read_bytes())))
    except (OSError, ValueError):
        return None
