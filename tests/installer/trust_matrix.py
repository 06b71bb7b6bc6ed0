"""Which license files may be used: every combination of a file and of trusted keys, with the answer of the contract.

The answer is told by facts of how the file was made, not by looking at it.
"""

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import product

from attrs import frozen
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.installer import keys
from authsvc.installer.license_store import InstalledLicense, ToolError
from authsvc.installer.verification import Verifier
from authsvc.license_file import parse
from authsvc.signing import license_keys
from tests.support.license_files import FACTS, make_file

A, B, C = "a.test", "b.test:5000", "c.test"
"""Registries: two whose vendors have keys here, and a third."""

SIGNERS = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("a", "b", "unbound", "stranger")}
BOUND = {"a": frozenset({A}), "b": frozenset({B}), "unbound": frozenset[str]()}
"""The registries that each key's file names; a stranger's key is never here."""

LIAR = "liar"
"""A key file of the stranger that calls its key by the name of A's, for A's registry; it must count for nothing."""

OTHER_ID, OTHER_TOKEN = "c000000000000009", "asv_lic_c000000000000009_" + "B" * 49

TRUSTED = ((), ("a",), ("unbound",), ("a", "b"), ("a", "b", "unbound"), (LIAR,), ("a", LIAR))


@frozen
class File:
    """A license file.

    Attributes:
        signer: whose key made the signature.
        claimed: whose ``kid`` the signature names.
        registry: that stands in the readable part.
        edited: the field of the readable part that was changed after signing, or None.
        copied: what it shares with a genuine license of A on this machine: ``id``, ``token`` or None.
    """

    signer: str
    claimed: str
    registry: str
    edited: str | None
    copied: str | None


def files() -> Iterator[File]:
    """Yield every file; of those with a wrong signature one that was edited besides says nothing more."""
    for parts in product(SIGNERS, SIGNERS, (A, B, C), (None, "registry", "customer"), (None, "id", "token")):
        file = File(*parts)
        if file.edited is None or file.signer == file.claimed:
            yield file


def expected(file: File, trusted: tuple[str, ...]) -> str:
    """Return ``checked``, ``not checked`` or ``refused``."""
    trusted = tuple(name for name in trusted if name != LIAR)
    bound = any(file.registry in BOUND[name] for name in trusted)
    if file.claimed in trusted or bound:
        genuine = file.claimed in trusted and file.signer == file.claimed and file.edited is None
        fits = file.registry in BOUND[file.claimed] if genuine and BOUND[file.claimed] else not bound
        return "checked" if genuine and fits else "refused"
    return "refused" if file.copied and "a" in trusted else "not checked"


def outcome(file: File, trusted: tuple[str, ...]) -> str:
    """Return what the tools do with the file."""
    license_ = _read("file", _text(file))
    try:
        Verifier(_keys(trusted), lambda: [_read("genuine", _genuine())]).check(license_)
    except ToolError:
        return "refused"
    return "not checked" if license_.key is None else "checked"


def disagreements() -> Iterator[tuple[File, tuple[str, ...]]]:
    """Yield each combination in which the tools do not do what the contract says."""
    for file, trusted in product(files(), TRUSTED):
        if expected(file, trusted) != outcome(file, trusted):
            yield file, trusted


def _keys(names: tuple[str, ...]) -> keys.TrustedKeys:
    made = keys.TrustedKeys()
    for name in names:
        body = license_keys.jwk_set([SIGNERS["stranger" if name == LIAR else name].public_key()])
        for registry in {A} if name == LIAR else BOUND[name]:
            body["registry"] = registry
        if name == LIAR:
            body["keys"][0]["kid"] = _kid("a")
        with suppress(ValueError):
            made.add(json.dumps(body), name)
    return made


def _kid(name: str) -> str:
    return license_keys.key_id(SIGNERS[name].public_key())


def _read(path: str, text: str) -> InstalledLicense:
    return InstalledLicense(path, text, parse(text)["license"])


@cache
def _genuine() -> str:
    return make_file(key=SIGNERS["a"], kid=_kid("a"), registry=A)


@cache
def _text(file: File) -> str:
    signed = {"registry": C if file.edited == "registry" and file.registry != C else file.registry}
    if file.edited == "registry" and file.registry == C:
        signed = {"registry": A}
    own = {
        None: {"id": OTHER_ID, "registry_token": OTHER_TOKEN},
        "id": {"id": FACTS["id"], "registry_token": OTHER_TOKEN},
        "token": {"id": OTHER_ID, "registry_token": FACTS["registry_token"]},
    }[file.copied]
    text = make_file(key=SIGNERS[file.signer], kid=_kid(file.claimed), **signed, **own)
    if file.edited == "customer":
        return text.replace('"Globex"', '"Initech"', 1)
    return text.replace(f'"registry": "{signed["registry"]}"', f'"registry": "{file.registry}"', 1)


def payload(signature: str) -> object:
    """Return what a compact JWS says."""
    text = signature.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
