"""Looking for secrets in all that a process holds: its memory, its environment and its open files."""

import os
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from authsvc.keys.secrets_dir import (
    LICENSE_SIGNING_KEY,
    LICENSE_TOKEN_KEY,
    SEALING_KEY,
    load_license_signing_key,
    load_license_token_key,
    load_sealing_keys,
)
from tests.support.processes import PROC

CHUNK = 16 * 1024 * 1024
SERVICE_KEY_FILES = (LICENSE_SIGNING_KEY, LICENSE_TOKEN_KEY, SEALING_KEY)


def shapes_of_keys(directory: Path) -> dict[str, list[bytes]]:
    """Return how each key of the key service may look in memory, by the name of its file.

    As its file's text, as bytes, and for the private key also as the number that OpenSSL computes with (words with the
    lowest first) and in DER.
    """
    signing = load_license_signing_key(directory)
    number = signing.private_numbers().private_value
    pem = (directory / LICENSE_SIGNING_KEY).read_bytes().splitlines()
    der = signing.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    token, sealing = load_license_token_key(directory), load_sealing_keys(directory)[0]
    return {
        LICENSE_SIGNING_KEY: [pem[1], number.to_bytes(32, "big"), number.to_bytes(32, "little"), der],
        LICENSE_TOKEN_KEY: [token, token.hex().encode()],
        SEALING_KEY: [sealing, sealing.hex().encode()],
    }


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
