"""Parsers of the values of settings: each takes a text and the setting's name, and raises SetupRefused."""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from authsvc.errors import SetupRefused

NOBODY = "none"
"""Stands in place of an empty list of networks."""

DEFAULT_CACHE_SIZE, DEFAULT_UPLOAD_SIZE = 10 * 1024, 20 * 1024
MIN_SIZE, MAX_SIZE = 100, 1000000 * 1024
"""MiB."""

DEFAULT_CONNECTIONS = 1000

MAX_PORT = 65535

MAX_SOCKET_PATH, LONGEST_SUFFIX = 107, 10
"""Bytes that fit into ``sun_path`` before the final NUL, and additional bytes in the name of a draft of the socket."""


def seconds(least: int, most: int) -> Callable[[str, str], timedelta]:
    """Return a parser of whole seconds."""

    def parse(text: str, name: str) -> timedelta:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise SetupRefused(f"{name} must be a number of seconds from {least} to {most}, not {text[:40]!r}")
        return timedelta(seconds=int(text))

    return parse


def decimal_seconds(least: float, most: float) -> Callable[[str, str], float]:
    """Return a parser of seconds with up to three decimals."""

    def parse(text: str, name: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(?:\.[0-9]{1,3})?", text, re.ASCII) or not least <= float(text) <= most:
            raise SetupRefused(f"{name} must be a number of seconds from {least} to {most}, not {text[:40]!r}")
        return float(text)

    return parse


def number(least: int, most: int, of: str = "") -> Callable[[str, str], int]:
    """Return a parser of whole numbers; ``of`` names what is counted."""

    def parse(text: str, name: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII) or not least <= int(text) <= most:
            raise SetupRefused(f"{name} must be a number{of} from {least} to {most}, not {text[:40]!r}")
        return int(text)

    return parse


parse_connections = number(10, 100000)
"""Parses how many connections an address may have."""


def parse_absolute_path(text: str, name: str) -> Path:
    """Return the path."""
    if not text.startswith("/") or "\0" in text:
        raise SetupRefused(f"{name} must be an absolute path, not {text[:200]!r}")
    return Path(text)


def parse_socket_path(text: str, name: str) -> Path:
    """Return the path of a unix socket."""
    path = parse_absolute_path(text, name)
    if len(text.encode()) > MAX_SOCKET_PATH - LONGEST_SUFFIX:
        raise SetupRefused(f"{name} must have at most {MAX_SOCKET_PATH - LONGEST_SUFFIX} bytes, as a socket's name")
    return path


def parse_absolute_paths(text: str, name: str) -> tuple[Path, ...]:
    """Return paths that are joined by colons."""
    # A colon may also be part of a name.
    return tuple(parse_absolute_path(part, name) for part in re.split(r":(?=/)", text) if part)


def one_of(*words: str) -> Callable[[str, str], str]:
    """Return a parser that accepts one of ``words``."""

    def parse(text: str, name: str) -> str:
        if text not in words:
            raise SetupRefused(f"{name} must be one of {', '.join(words)}, not {text[:40]!r}")
        return text

    return parse


def parse_size(text: str, name: str) -> int:
    """Return the MiB in the value of the setting ``name``: ``500m`` or ``10g``.

    Raises:
        SetupRefused: it is not a size, or it is too small for one layer.
    """
    form = re.fullmatch(r"([0-9]{1,7})([mg])", text.lower(), re.ASCII)
    size = 0 if form is None else int(form[1]) * (1024 if form[2] == "g" else 1)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise SetupRefused(f"{name} must be a size from 100m to 1000000g such as 10g, not {text[:40]!r}")
    return size


def parse_host_and_port(text: str, name: str) -> tuple[str, int]:
    """Return host and port; an IPv6 address has brackets in the text, and none in the host."""
    form = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})", text, re.ASCII)
    if form is None or not 0 < int(form[3]) <= MAX_PORT:
        raise SetupRefused(f"{name} must be a host and a port such as nginx:5000 or [::1]:443, not {text[:80]!r}")
    return form[1] or form[2], int(form[3])


def parse_on_or_off(text: str, name: str) -> bool:
    """Return whether it is ``on``."""
    return one_of("on", "off")(text, name) == "on"
