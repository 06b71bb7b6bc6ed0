"""Finds a registry, and its images, in other texts: arguments, annotations, files in a ConfigMap."""

from __future__ import annotations

import re

from authsvc.installer import host

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterator

_SLASH = r"(?:/|\\+/|%2F)"
"""JSON inside of a text writes ``\\/``, and addresses write ``%2F``."""

_TAIL = r"[^\s\"'`,;<>|=&]*"
"""Everything up to a separator, so that what is put in by a template or a shell stays a part of the text."""

_CLOSING = ".!?)]}\\"
"""What ends a sentence or closes a bracket around an image."""


class Mention:
    """An occurrence in a text.

    Attributes:
        text: the image, its beginning, or the registry.
        position: where, in characters.
        alone: whether it is the registry without a path.
    """

    def __init__(self, text: str, position: int, *, alone: bool) -> None:
        """Take what was found."""
        self.text = text
        self.position = position
        self.alone = alone


class Mentions:
    """Looks for one registry, in any case and with the port that https implies."""

    def __init__(self, registry: str) -> None:
        """Look for ``registry``, the ``host[:port]`` of a license."""
        name, port = host.split_port(registry)
        spelled = re.escape(name) + (f":{port}" if port else "(?::443)?")
        # Behind another path it is a part of a mirror's image, and behind a letter it is another host.
        begins = r"(?<![\w.\-])(?<![\w.\-]/)"
        self._whole = re.compile(rf"{spelled}{_SLASH}*", re.ASCII | re.IGNORECASE)
        self._image = re.compile(
            rf"{begins}(?P<scheme>[\w.\-]*://)?(?P<image>{spelled}{_SLASH}{_TAIL})", re.ASCII | re.IGNORECASE
        )
        # A value in a text: registry=HOST, "registry": "HOST", --registry HOST; but not a key such as "HOST": {}.
        self._value = re.compile(
            rf"(?:[=:]\s*|(?<!\S)--?[\w\-]+\s+)\\*[\"']?(?P<host>{spelled})(?=\\*[\"'\s,;)\]}}&]|\Z)(?!\\*[\"']?\s*:)",
            re.ASCII | re.IGNORECASE,
        )

    def find(self, text: str, *, is_key: bool) -> Iterator[Mention]:
        """Yield what is mentioned in ``text``, but for addresses of web pages; a key may be the registry itself."""
        if self._whole.fullmatch(text.strip()):
            if not is_key:
                yield Mention(text.strip(), 0, alone=True)
            return
        for found in self._image.finditer(text):
            if (found["scheme"] or "").lower() in {"http://", "https://"}:
                continue
            image = found["image"].rstrip(_CLOSING)
            if image.endswith(":") and text[found.end() : found.end() + 1].isspace():
                image = image[:-1]  # as in "IMAGE: a sentence"
            yield Mention(image, found.start("image"), alone=self._whole.fullmatch(image) is not None)
        for found in self._value.finditer(text):
            yield Mention(found["host"], found.start("host"), alone=True)
