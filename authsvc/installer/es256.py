"""Verifies ES256 signatures (ECDSA with P-256 and SHA-256, RFC 7518 §3.4) in pure Python.

License files are checked wherever they are read, and on every pull by the credential helper: a library may be missing,
or take longer to import than the check itself. Only public values are used, so constant time does not matter. The steps
are those of FIPS 186-5 §6.4.2; points are Jacobian, ``(X, Y, Z)`` for ``(X / Z², Y / Z³)``, with ``Z = 0`` for the
point at infinity.
"""

from __future__ import annotations

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from hashlib import sha256

    Point = tuple[int, int, int]

else:
    # The fallback of hashlib. hashlib itself loads OpenSSL first, which takes longer than the whole check.
    try:
        from _sha2 import sha256  # from Python 3.12 on
    except ImportError:
        try:
            from _sha256 import sha256
        except ImportError:
            from hashlib import sha256

COORDINATE_BYTES = 32
"""Length of a P-256 coordinate, and of ``r`` and ``s``."""

POINT_BYTES = 1 + 2 * COORDINATE_BYTES
"""Length of an uncompressed point: 04 || x || y (SEC 1 §2.3.3)."""

UNCOMPRESSED = 4
"""First byte of such a point."""

# The curve y² = x³ - 3x + b over the field of P elements, and its base point, of order N (SP 800-186 §3.2.1.3).
_P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
_BASE_X = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
_BASE_Y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
_INFINITY = (1, 1, 0)


def verify(point: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the key at ``point`` (04 || x || y) made the 64-byte ``signature`` (``r || s``) of ``data``."""
    if len(signature) != 2 * COORDINATE_BYTES or not is_public_key(point):
        return False
    r, s = _two_numbers(signature)
    if not (0 < r < _N and 0 < s < _N):
        return False
    number = int.from_bytes(digest(data), "big")
    inverse = pow(s, -1, _N)
    x, _, z = _sum_of_multiples(number * inverse % _N, r * inverse % _N, (*_two_numbers(point[1:]), 1))
    return z != 0 and x * pow(z, -2, _P) % _P % _N == r


def digest(data: bytes) -> bytes:
    """Return the SHA-256 of ``data``."""
    return sha256(data).digest()


def is_public_key(point: bytes) -> bool:
    """Whether ``point`` is an uncompressed point of the curve; P-256 has no subgroups to check for."""
    if len(point) != POINT_BYTES or point[0] != UNCOMPRESSED:
        return False
    x, y = _two_numbers(point[1:])
    return x < _P and y < _P and (y * y - (x * x - 3) * x - _B) % _P == 0


def _two_numbers(data: bytes) -> tuple[int, int]:
    return int.from_bytes(data[:COORDINATE_BYTES], "big"), int.from_bytes(data[COORDINATE_BYTES:], "big")


def _sum_of_multiples(first: int, second: int, point: Point) -> Point:
    """Return ``first`` times the base point plus ``second`` times ``point``, bit by bit for both at once (Shamir)."""
    base = (_BASE_X, _BASE_Y, 1)
    addends = (_INFINITY, base, point, _add(base, point))
    total = _INFINITY
    for bit in range(max(first.bit_length(), second.bit_length()) - 1, -1, -1):
        total = _double(total)
        chosen = (first >> bit & 1) + 2 * (second >> bit & 1)
        if chosen:
            total = _add(total, addends[chosen])
    return total


def _double(point: Point) -> Point:
    """Return twice ``point`` (EFD "dbl-2001-b", for a = -3)."""
    x, y, z = point
    delta, gamma = z * z % _P, y * y % _P
    beta, alpha = x * gamma % _P, 3 * (x - delta) * (x + delta) % _P
    x3 = (alpha * alpha - 8 * beta) % _P
    return x3, (alpha * (4 * beta - x3) - 8 * gamma * gamma) % _P, 2 * y * z % _P


def _add(left: Point, right: Point) -> Point:
    """Return the sum of two points (EFD "add-1998-cmo-2"), equal, opposite and infinite ones included."""
    (x1, y1, z1), (x2, y2, z2) = left, right
    if z1 == 0:
        return right
    if z2 == 0:
        return left
    square1, square2 = z1 * z1 % _P, z2 * z2 % _P
    u1, s1 = x1 * square2 % _P, y1 * square2 * z2 % _P
    h, r = (x2 * square1 - u1) % _P, (y2 * square1 * z1 - s1) % _P
    if h == 0:
        return _INFINITY if r else _double(left)
    square, cube = h * h % _P, h * h * h % _P
    x3 = (r * r - cube - 2 * u1 * square) % _P
    return x3, (r * (u1 * square - x3) - s1 * cube) % _P, h * z1 * z2 % _P
