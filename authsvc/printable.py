r"""Makes untrusted text safe to print: license files, servers and clients choose the text of names and messages.

A terminal interprets control characters (C0, C1: ESC and its one-byte forms such as U+009B), and the bidirectional
overrides (U+202A to U+202E, U+2066 to U+2069) show text in a different order. These, and all other characters without a
glyph (``str.isprintable``: zero-width, private and unassigned characters, lone surrogates), are shown as JSON escapes,
such as ``\u202e``. All printed text passes through here, once, where it is printed (tests/test_architecture.py).

Shared with the license holder's tools: uses the standard library only, and runs on Python 3.9.
"""

from __future__ import annotations

import json

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from typing import IO, Any


def printable(text: str) -> str:
    """Return ``text`` as one line that a terminal shows as it is."""
    return text if text.isprintable() else "".join(map(_shown, text))


def printable_lines(text: str) -> str:
    """Return ``text`` with its line breaks, and each line printable."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(value: Any, indent: int | None = 2) -> str:
    """Return ``value`` as JSON with escapes for unprintable characters; every parser gets the same value from it.

    Outside strings JSON is ASCII, and ``json`` writes line breaks there only for the indentation.
    """
    return printable_lines(json.dumps(value, indent=indent, ensure_ascii=False))


def accept_all_characters(*streams: IO[str]) -> None:
    r"""Let text streams write characters that their encoding lacks as escapes, such as ``\u0142``, instead of failing.

    Windows consoles and minimal containers have other encodings than UTF-8; a name in a license must not crash a
    program.
    """
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _shown(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1].replace("\x7f", "\\u007f")
