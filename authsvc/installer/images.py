"""Finds images in files: a list, a compose file, rendered manifests, Helm values, a kustomization.

Each image comes with its line. An image, or possible image, that cannot be checked is listed with the reason, so that
nothing is left out silently.
"""

from __future__ import annotations

import re
from dataclasses import replace

from authsvc.installer.file_text import decoded
from authsvc.installer.license_store import ToolError
from authsvc.installer.named_images import NamedImage, typed

MAX_INPUT = 5 * 1024 * 1024
"""Longest input, in bytes; the YAML reader takes about ten seconds for it."""

_LINE = re.compile(r"\r\n|\r|\n")
_IPV6_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]+)?/", re.ASCII)
_YAML_BEGINS = set("{}[]\"'&*!|>%@`,?-")
"""First characters of YAML that is not a plain scalar; no image begins with one of them."""


def find_images(data: bytes, source: str, registry: str, max_nodes: int | None = None) -> list[NamedImage]:
    """Return the images in a file, in its order.

    Args:
        data: the content.
        source: name of the file, for messages.
        registry: ``host[:port]`` of the license; its images are recognised in any text.
        max_nodes: most values of YAML that are read; None for the limit of the tools.

    Raises:
        Refused: it names no image, is too long, or is not text.
    """
    text = _decode(data, source)
    found = _list(text, source)
    if found is None:
        # The YAML reader is loaded only when there is something to read.
        from authsvc.installer.manifests import find_in_manifests

        found = find_in_manifests(text, source, registry, max_nodes)
    if not found:
        raise ToolError(
            f"no image was found in {source}; name some, or give a list of images, a compose file or manifests", 2
        )
    return found


def _decode(data: bytes, source: str) -> str:
    if len(data) > MAX_INPUT:
        raise ToolError(f"{source} is longer than {MAX_INPUT} bytes; check it in parts", 2)
    try:
        return decoded(data)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ToolError(f"{source}, line {line}: this is not UTF-8 text; save the file as UTF-8", 2) from error


def _list(text: str, source: str) -> list[NamedImage] | None:
    """Return the images of a plain list, or None when ``text`` is YAML: it has a key, a dash, a quote or a bracket.

    The images are separated by line breaks or blanks; ``#`` begins a comment.
    """
    found = []
    for number, line in enumerate(_LINE.split(text), 1):
        for word in line.split():
            if word.startswith("#"):
                break
            if word.endswith(":") or (word[0] in _YAML_BEGINS and not _IPV6_HOST.match(word)):
                return None
            found.append(replace(typed(word), source=source, line=number))
    return found
