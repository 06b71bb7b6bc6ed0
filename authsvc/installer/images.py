"""Finding images in what people have: a list, a compose file, rendered manifests, Helm values, a kustomization.

Each image comes with its line. What is or may be an image and cannot be asked about is named with the reason, so that
nothing is left out silently.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, replace

from authsvc.installer.held import Refused
from authsvc.spec.reference import Reference

MAX_INPUT = 5 * 1024 * 1024
"""Longest input, in bytes; the YAML reader takes about ten seconds for it."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE = re.compile(r"\r\n|\r|\n")
_IPV6_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\](?::[0-9]+)?/", re.ASCII)
_YAML_BEGINS = set("{}[]\"'&*!|>%@`,?-")
"""Characters that begin no image, and begin something else than a plain text in YAML."""


@dataclass(frozen=True)
class Named:
    """Something in the input that is an image, or may be one.

    Attributes:
        text: as the tools that read the input would ask for it.
        source: name of the file; None for what was typed on the command line.
        line: where it stands, counted from 1; None on the command line.
        problem: why it cannot be asked about; None when it can.
        looked_at: False for an image of the license's registry that stands where no image is expected.
    """

    text: str
    source: str | None = None
    line: int | None = None
    problem: str | None = None
    looked_at: bool = True


def typed(text: str) -> Named:
    """Return an image that was typed on the command line."""
    return Named(text, problem=problem_of(text))


def find_images(data: bytes, source: str, registry: str) -> list[Named]:
    """Return what is named in a file, in its order.

    Args:
        data: the content.
        source: name of the file, for messages.
        registry: ``host[:port]`` of the license; its images are recognised in any text.

    Raises:
        Refused: nothing is named, it is too long, or it is not text.
    """
    text = _decode(data, source)
    found = _list(text, source)
    if found is None:
        # The YAML reader is loaded only when there is something to read.
        from authsvc.installer.manifests import find_in_manifests

        found = find_in_manifests(text, source, registry)
    if not found:
        raise Refused(
            f"no image was found in {source}; name some, or give a list of images, a compose file or manifests", 2
        )
    return found


def problem_of(text: str) -> str | None:
    """Return why ``text`` is not an image that can be asked about, or None when it is one."""
    if "{{" in text:
        return "it is a template; check the finished text, as from `helm template`"
    if "$" in text:
        return "it has a variable in it; check the finished text, as from `docker compose config`"
    if text != text.strip():
        hint = " (end the block with `|-` or `>-`)" if text.endswith("\n") else ""
        return f"it begins or ends with white space, which docker and Kubernetes refuse{hint}"
    try:
        Reference.parse(text)
    except ValueError as error:
        return f"it is not an image: {error}"
    return None


def merged(found: list[Named]) -> list[Named]:
    """Return each image once, where it stands first, and no mention of an image that is asked about anyway."""
    asked = {str(Reference.parse(one.text)) for one in found if one.problem is None}
    first: dict[tuple[str, str | None, int | None], Named] = {}
    for one in found:
        if not one.looked_at and problem_of(one.text) is None and str(Reference.parse(one.text)) in asked:
            continue
        # Two lines with the same fault are two things to correct.
        key = (one.text, one.source, one.line) if one.problem else (one.text, None, None)
        first.setdefault(key, one)
    return list(first.values())


def _decode(data: bytes, source: str) -> str:
    if len(data) > MAX_INPUT:
        raise Refused(f"{source} is longer than {MAX_INPUT} bytes; check it in parts", 2)
    mark, encoding = next(((mark, name) for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise Refused(f"{source}, line {line}: this is not UTF-8 text; save the file as UTF-8", 2) from error


def _list(text: str, source: str) -> list[Named] | None:
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
