"""Compresses the texts of audit entries that wait for repeats: thousands of them wait for an hour or a day."""

import zlib

_USUAL = (
    b'{"at":"2026-01-01T12:00:00.000000+00:00","event":"token.issued","actor":"license:","id":"","granted":'
    b'["repository:/:pull"],"credential":{"kind":"license","id":"","state":"active","ends_at":'
    b'"2027-01-01T00:00:00+00:00","app":"","customer":"","type":"paid","repositories":["*"]},"address":"",'
    b'"client_id":"docker","user_agent":"docker/ go/go1. git-commit/ kernel/-amd64 os/linux arch/amd64 UpstreamClient"}'
)
"""What nearly all of these texts have in common; each is compressed to a third or less by referring to it."""

_LEVEL, _WINDOW, _MEMORY = 3, -12, 4
"""Parameters of zlib: a window of 4 KiB without header and checksum, and little memory while it works."""


def pack(text: str) -> bytes:
    """Return a text in a form that takes less memory."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW, _MEMORY, zdict=_USUAL)
    return packer.compress(text.encode()) + packer.flush()


def unpack(packed: bytes) -> str:
    """Return the text that :func:`pack` was given."""
    return zlib.decompressobj(_WINDOW, zdict=_USUAL).decompress(packed).decode()
