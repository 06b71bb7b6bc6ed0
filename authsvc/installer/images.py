"""Finding images in what people have: a list, a compose file, rendered manifests.

There is no YAML reader in the standard library, and none is needed: an image is the text behind a key ``image``, in
every style in which YAML and JSON write one.
"""

from __future__ import annotations

import re

from authsvc.installer.held import Refused
from authsvc.spec.reference import Reference

MAX_INPUT = 8 * 1024 * 1024
"""Longest input, in characters."""

MAX_IMAGES = 2000
"""Most images in one call."""

_IMAGE = re.compile(
    r"""(?:^|[\s{,\[])           # a key begins a line or follows what may stand before one
    (?P<mark>["']?)image(?P=mark)[ \t]*:[ \t]*
    (?P<quote>["']?)
    (?P<value>\$\{[^}\n]*\}|[^\s"'\#,{}\[\]&*!|>][^\s"',}\]]*(?:\$\{[^}\n]*\}[^\s"',}\]]*)*)
    (?P=quote)""",
    re.VERBOSE | re.MULTILINE | re.ASCII,
)
_NOTHING = {"null", "~"}


def find_images(text: str) -> list[str]:
    """Return the images named in ``text``, each once, in the order in which they come.

    Raises:
        Refused: there are none, something is no image, or there are too many.
    """
    if len(text) > MAX_INPUT:
        raise Refused(f"the input is longer than {MAX_INPUT} characters", 2)
    lines = [line for line in text.lstrip("\ufeff").splitlines() if not line.lstrip().startswith("#")]
    found = [match["value"] for match in _IMAGE.finditer("\n".join(lines))]
    if not found:
        found = [line.strip() for line in lines if line.strip()]
        if any(len(line.split()) > 1 or line.endswith(":") for line in found):
            raise Refused("no `image:` was found in the input, and it is no list of images, one a line", 2)
    images = list(dict.fromkeys(value for value in found if value not in _NOTHING))
    if not images:
        raise Refused("no image was found; name some, or pipe a list, a compose file or manifests in", 2)
    if len(images) > MAX_IMAGES:
        raise Refused(f"the input names {len(images)} images; check at most {MAX_IMAGES} at a time", 2)
    return images


def parse_image(text: str) -> Reference:
    """Return the image that ``text`` means to docker.

    Raises:
        Refused: it is none.
    """
    if "$" in text or "{{" in text:
        raise Refused(
            f"{text[:200]!r} still has variables in it; pipe the finished text in, as from `docker compose config` or "
            "`helm template`",
            2,
        )
    try:
        return Reference.parse(text)
    except ValueError as error:
        raise Refused(f"{text[:200]!r} is no image: {error}", 2) from error
