"""Looking for secrets in all that a process holds: its memory, its environment and its open files."""

import base64
import os
from collections.abc import Mapping
from pathlib import Path

from authsvc.keys.file_names import LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY
from authsvc.keys.service_key_files import load_license_signing_key, load_license_token_key, load_sealing_keys
from tests.support.processes import PROC

CHUNK = 16 * 1024 * 1024
SERVICE_KEY_FILES = (LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY)


def shapes_of_keys(directory: Path) -> dict[str, list[bytes]]:
    """Return how each key of the key service may look in memory, by the name of its file.

    Each as bytes, in hexadecimal and in base64, as it stands in its file and in a JWK; every DER form has the bytes.
    The private key also as the number that OpenSSL computes with (words with the lowest first), as Python keeps an
    integer (30 bits in each word), and by either line of its file that has a part of it, for what was freed may have
    been overwritten. The key of an HMAC also as the blocks that are made of it (RFC 2104).

    Not found is what cannot be turned back into the key, such as the state of a SHA-256 after such a block.
    """
    signing = load_license_signing_key(directory).private_numbers().private_value
    words = [(signing >> shift & 2**30 - 1).to_bytes(4, "little") for shift in range(0, 256, 30)]
    lines = (directory / LICENSE_SIGNING_KEY).read_bytes().splitlines()[1:3]
    token, sealing = load_license_token_key(directory), load_sealing_keys(directory)[0]
    return {
        LICENSE_SIGNING_KEY: [
            *_shapes(signing.to_bytes(32, "big")),
            *(signing.to_bytes(32, "little"), b"".join(words)),
            *lines,
        ],
        LICENSE_TOKEN_KEY: [*_shapes(token), *(bytes(byte ^ pad for byte in token) for pad in (0x36, 0x5C))],
        SEALING_KEY: _shapes(sealing),
    }


def _shapes(key: bytes) -> list[bytes]:
    in_base64 = [encode(key).rstrip(b"=") for encode in (base64.b64encode, base64.urlsafe_b64encode)]
    return [key, key.hex().encode(), key.hex().upper().encode(), *(text[:-1] for text in in_base64)]


def found_in_memory(pid: int, shapes: Mapping[str, list[bytes]]) -> set[str]:
    """Return the names of those that are somewhere in the readable memory of a process, its environment included."""
    found = set[str]()
    longest = max(len(shape) for several in shapes.values() for shape in several)
    memory = os.open(PROC / str(pid) / "mem", os.O_RDONLY)
    try:
        for start, end in _regions(pid):
            before = b""
            for position in range(start, end, CHUNK):
                try:
                    chunk = before + os.pread(memory, min(CHUNK, end - position), position)
                except OSError:  # a region of the kernel's, such as vvar, or one that is gone
                    break
                found |= {name for name, several in shapes.items() if any(shape in chunk for shape in several)}
                before = chunk[-longest:]
    finally:
        os.close(memory)
    return found


def open_files(pid: int) -> set[str]:
    """Return what the descriptors of a process stand for."""
    names = set[str]()
    for link in (PROC / str(pid) / "fd").iterdir():
        try:
            names.add(str(link.readlink()))
        except FileNotFoundError:
            continue
    return names


def _regions(pid: int) -> list[tuple[int, int]]:
    regions = []
    for line in (PROC / str(pid) / "maps").read_text().splitlines():
        bounds, rights = line.split()[:2]
        if "r" in rights:
            start, end = (int(part, 16) for part in bounds.split("-"))
            regions.append((start, end))
    return regions
