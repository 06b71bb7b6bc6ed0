"""Secrets that must turn up nowhere, and the search for them in every form in which they might."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from attrs import Factory, define

FRAGMENT = 16
"""Characters: so much of a secret is already too much, so a cut one is found too."""


def forms_of(secret: str) -> Iterator[bytes]:
    """Return what to look for: three fragments of ``secret``, each as it is, in URLs, and inside any base64."""
    middle = (len(secret) - FRAGMENT) // 2
    for fragment in {secret[:FRAGMENT], secret[middle : middle + FRAGMENT], secret[-FRAGMENT:]}:
        raw = fragment.encode()
        yield from {raw, quote(fragment, safe="").encode(), quote_plus(fragment).encode()}
        for offset in range(3):
            encoded = base64.b64encode(b"\0" * offset + raw)
            # The outer groups mix with what stands around the secret.
            inner = encoded[4 if offset else 0 : len(encoded) - (4 if (offset + len(raw)) % 3 else 0)]
            yield from {inner, inner.replace(b"+", b"-").replace(b"/", b"_")}


@define
class Canaries:
    """The secrets of one run.

    Attributes:
        secrets: by a name for people.
    """

    secrets: dict[str, str] = Factory(dict)

    def add(self, name: str, secret: str) -> str:
        """Look for ``secret`` too; return it."""
        assert len(secret) >= FRAGMENT, name
        self.secrets[name] = secret
        return secret

    def found_in(self, texts: Mapping[str, bytes]) -> set[tuple[str, str]]:
        """Return which secret is in which text."""
        needles = {name: tuple(forms_of(secret)) for name, secret in self.secrets.items()}
        return {
            (name, place)
            for place, text in texts.items()
            for name, forms in needles.items()
            if any(form in text for form in forms)
        }


def read_all(folder: Path, leave_out: Iterable[str]) -> dict[str, bytes]:
    """Return every file below ``folder`` by its relative name, except those in the folders to leave out."""
    left_out = [folder / name for name in leave_out]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(path.is_relative_to(other) for other in left_out)
    }
