"""``authsvc-license preflight``: can these images be pulled with this license?

Exit code 0 says that every image of the license's registry in the input was checked and can be pulled. Whatever was
not checked is named, with its line.
"""

from __future__ import annotations

import os
import sys

from authsvc.installer import host
from authsvc.installer.images import MAX_INPUT, find_images
from authsvc.installer.license_store import ToolError
from authsvc.installer.named_images import NamedImage, merged, typed
from authsvc.spec.reference import Reference

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from typing import Any, Callable

MAX_IMAGES = 2000
"""Most images that the server is asked about in one call."""

STANDARD_INPUT = "standard input"

_FILE_NAME = (".yaml", ".yml", ".json", ".txt")
"""What the names of files end with; images might, but do not."""


def collect(words: list[str], registry: str) -> list[NamedImage]:
    """Return what the command line names: images, files with images, and ``-`` or nothing for standard input.

    Raises:
        Refused: nothing is named, a file cannot be read, or a word is neither a file nor an image.
    """
    found: list[NamedImage] = []
    for word in dict.fromkeys(words or ["-"]):
        if word == "-":
            if not words and sys.stdin.isatty():
                raise ToolError("name some images or files, or pipe a list, a compose file or manifests in", 2)
            found += find_images(_read(sys.stdin.buffer.read), STANDARD_INPUT, registry)
        elif _is_file(word, registry):
            try:
                with open(word, "rb") as file:
                    found += find_images(_read(file.read), word, registry)
            except OSError as error:
                raise ToolError(f"cannot read {word}: {error.strerror}", 2) from error
        else:
            image = typed(word)
            if image.problem:
                raise ToolError(f"{word[:200]!r}: {image.problem}", 2)
            found.append(image)
    return merged(found)


def rows(found: list[NamedImage], registry: str, ask: Callable[[list[str]], dict[str, Any]]) -> dict[str, Any]:
    """Return the server's answer with a row for everything in ``found``, and ``ok`` for the whole.

    The images that were asked about come first, then what could not be, then images of other registries.

    Args:
        found: what was named.
        registry: ``host[:port]`` of the license.
        ask: asks the server about images of the license's registry.

    Raises:
        Refused: too many images.
    """
    verdicts = [why_not_asked(one, registry) for one in found]
    ours = [one.text for one, verdict in zip(found, verdicts) if verdict is None]
    if len(ours) > MAX_IMAGES:
        raise ToolError(f"the input names {len(ours)} images; check at most {MAX_IMAGES} at a time", 2)
    answer = ask(ours)
    answered = {image["image"]: image for image in answer["images"]}
    listed: list[list[dict[str, Any]]] = [[], [], []]
    for one, verdict in zip(found, verdicts):
        if verdict is None:
            # An image that the server leaves out was not checked.
            row, group = answered.get(one.text) or _row(one.text, "the server did not answer for this image"), 0
        elif one.problem is None and not _is_spelling(one.text, registry):
            row, group = {**_row(one.text, verdict), "ok": None}, 2
        else:
            row, group = _row(one.text, verdict), 1
        listed[group].append({**row, "file": one.source, "line": one.line})
    everything = [row for group in listed for row in group]
    good = bool(ours) and not listed[1] and all(map(_is_good, listed[0]))
    return {**answer, "ok": good, "images": everything}


def why_not_asked(image: NamedImage, registry: str) -> str | None:
    """Return why the license's registry is not asked about something that was named, or None when it is."""
    return image.problem or _foreign(image.text, registry)


def _is_good(row: dict[str, Any]) -> bool:
    """Whether an image can be pulled. For images of linked registries that is unknown: their ``ok`` is null."""
    return row.get("ok") is True or (row.get("ok") is None and row.get("may_pull") is True)


def _foreign(image: str, registry: str) -> str | None:
    """Return why the license's registry is not asked about an image, or None when it is."""
    domain = Reference.parse(image).domain
    if domain == registry:
        return None
    if _is_spelling(image, registry):
        return (
            f"docker and podman take {domain} for another registry than {registry} and do not sign in; write {registry}"
        )
    return f"not asked: it comes from {domain}"


def _is_spelling(image: str, registry: str) -> bool:
    """Whether an image means the license's registry and spells it in another way."""
    domain = Reference.parse(image).domain
    return domain != registry and host.normalise(domain) == registry


def _row(image: str, reason: str) -> dict[str, Any]:
    """Return a row as the server makes them, for what it was not asked about; it counts as a failure."""
    nothing = dict.fromkeys(("may_pull", "exists", "digest", "size", "platform"))
    return {"image": image, "ok": False, **nothing, "reason": reason}


def _is_file(word: str, registry: str) -> bool:
    """Whether a word is the name of a file: it looks like one, or there is one and it is not an image of ours."""
    if word.lower().endswith(_FILE_NAME) or word.startswith(("/", "./", "../")):
        return True
    return os.path.isfile(word) and not word.lower().startswith(f"{registry}/")


def _read(read: Callable[[int], bytes]) -> bytes:
    return read(MAX_INPUT + 1)
