"""The request ids of an audit entry about several requests: packed into bytes, one after the other."""

ID_BYTES = 8
"""Length of a packed request id in bytes."""


def packed(request_id: str) -> bytes:
    """Return a request id as bytes; empty for one that we did not make."""
    try:
        raw = bytes.fromhex(request_id)
    except ValueError:
        return b""
    return raw if len(raw) == ID_BYTES else b""


def has_id(ids: bytes, request_id: str) -> bool:
    """Whether ``request_id`` is among the packed ``ids``."""
    searched = packed(request_id)
    index = ids.find(searched) if searched else -1
    while index >= 0 and index % ID_BYTES:
        index = ids.find(searched, index + 1)
    return index >= 0


def unpacked(ids: bytes) -> list[str]:
    """Return packed request ids, in their order."""
    return [ids[index : index + ID_BYTES].hex() for index in range(0, len(ids), ID_BYTES)]
