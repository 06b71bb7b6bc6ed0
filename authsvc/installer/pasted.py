"""Finds the images in a text pasted into a page, in a separate process, which hostile text may kill.

``python3 -m authsvc.installer.pasted REGISTRY`` reads the text from standard input and writes one JSON object:
``images``, each with ``image``, ``line``, and in ``problem`` why it is not asked about; or ``error``. The process gives
itself little memory and time, and a place behind everything else; the caller sets a deadline too.
"""

from __future__ import annotations

import json
import os
import resource
import sys

from authsvc.installer.images import find_images
from authsvc.installer.license_store import ToolError
from authsvc.installer.named_images import NamedImage, merged
from authsvc.installer.preflight import why_not_asked

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from typing import Any

MAX_TEXT = 256 * 1024
"""Longest text, in bytes."""

MAX_NODES = 10_000
"""Most values in it."""

MAX_NAMED = 200
"""Most images that are listed."""

MAX_SHOWN = 512
"""Characters of an image that are shown: more than any image has, with host, tag and digest."""

TOO_LONG = "not asked: no image has so long a name"

CPU_SECONDS = 5
MEMORY = 512 * 1024 * 1024
NICENESS = 10


def named(text: bytes, registry: str) -> dict[str, Any]:
    """Return what is in ``text``."""
    if len(text) > MAX_TEXT:
        return {"error": f"the text is longer than {MAX_TEXT // 1024} KiB; check it in parts"}
    try:
        found = merged(find_images(text, "the text", registry, max_nodes=MAX_NODES))
    except ToolError as error:
        return {"error": str(error)}
    if len(found) > MAX_NAMED:
        return {"error": f"the text names {len(found)} images; check at most {MAX_NAMED} at a time"}
    return {"images": [_row(one, registry) for one in found]}


def _row(image: NamedImage, registry: str) -> dict[str, Any]:
    """Return what is said of an image. One that is shown in part is not asked about: the part may be another image."""
    problem = why_not_asked(image, registry) or (TOO_LONG if len(image.text) > MAX_SHOWN else None)
    return {"image": image.text[:MAX_SHOWN], "line": image.line, "problem": problem}


def main() -> int:
    """Read, look and write."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(NICENESS)
    json.dump(named(sys.stdin.buffer.read(MAX_TEXT + 1), sys.argv[1]), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
