"""Reads text files in UTF-8 with or without a byte-order mark, and in the UTF-16 of Windows PowerShell."""

from __future__ import annotations

_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
"""Byte-order marks with their encodings; copied from ``codecs``, whose import would delay each pull."""


def decoded(data: bytes) -> str:
    """Return the text of a file without its byte-order mark.

    Windows PowerShell 5 writes UTF-16 when output is redirected with ``>``.

    Raises:
        UnicodeDecodeError: it is neither UTF-8 nor UTF-16 with a byte-order mark.
    """
    mark, encoding = next(((mark, name) for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), (b"", "utf-8"))
    return data[len(mark) :].decode(encoding)
