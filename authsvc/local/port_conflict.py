"""Who holds a port: read from ``/proc``, so that the answer names a process and not only a number."""

import errno
import ipaddress
import os
import pwd
import re
import socket
import sys
from pathlib import Path

from attrs import frozen

from authsvc.errors import SetupRefused
from authsvc.listen_address import ListenAddress, join_authority

_PROC = Path("/proc")
_LISTENING = "0A"
"""``TCP_LISTEN`` in the kernel's include/net/tcp_states.h."""

_MAX_COMMAND = 80
"""Characters of a command line worth showing."""


@frozen
class PortOwner:
    """One listening socket of this machine."""

    address: ipaddress.IPv4Address | ipaddress.IPv6Address
    port: int
    uid: int
    inode: int


def parse_table(text: str, byteorder: str = sys.byteorder) -> list[PortOwner]:
    """Return the listening sockets in the text of ``/proc/net/tcp`` or ``tcp6`` (proc_net_tcp.rst)."""
    listeners = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 10 or fields[3] != _LISTENING:  # noqa: PLR2004  inode is the tenth field
            continue
        host, _, port = fields[1].partition(":")
        address = _address(host, byteorder)
        listeners.append(PortOwner(address, int(port, 16), uid=int(fields[7]), inode=int(fields[9])))
    return listeners


def refuse_if_taken(listen: ListenAddress, *, also_loopback: bool) -> None:
    """Check that nginx will be able to bind ``listen``.

    Args:
        listen: the wanted address.
        also_loopback: the public URL says ``localhost``, which many clients resolve to ::1 as well as to
            127.0.0.1; another server on the other one would be asked for our images.

    Raises:
        SetupRefused: the address is taken (by whom is said), not this machine's, or not allowed.
    """
    try:
        _try_bind(listen)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupRefused(_taken(listen.authority, _holders(listen, other_family=True))) from error
        raise SetupRefused(_not_bindable(listen, error)) from error
    if also_loopback and ipaddress.ip_address(listen.host).is_loopback:
        other = ListenAddress(host="127.0.0.1" if ":" in listen.host else "::1", port=listen.port)
        found = _holders(other, other_family=False)
        if found:
            raise SetupRefused(f"{_taken(other.authority, found)} (a client may resolve `localhost` to it)")


def _try_bind(listen: ListenAddress) -> None:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As nginx binds: over sockets in TIME_WAIT, and an IPv6 address for IPv6 alone.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        probe.bind((listen.host, listen.port))
        probe.listen(1)


def _not_bindable(listen: ListenAddress, error: OSError) -> str:
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{listen.host} is not an address of this machine; give another one with --listen"
    if error.errno == errno.EACCES:
        return f"port {listen.port} is open to root only; choose one from 1024 on with --listen"
    return f"cannot listen on {listen.authority}: {error.strerror}"


def _taken(authority: str, holders: list[PortOwner]) -> str:
    who = " and ".join(dict.fromkeys(_describe(holder) for holder in holders)) or "another process"
    return f"{authority} is in use by {who}; stop that, or choose another address with --listen"


def _holders(listen: ListenAddress, *, other_family: bool) -> list[PortOwner]:
    """Return who stands in the way; a socket on ``::`` mostly takes the IPv4 addresses of its port too."""
    wanted = ipaddress.ip_address(listen.host)
    found = []
    for listener in _listeners():
        same_family = listener.address.version == wanted.version
        if listener.port == listen.port and (
            listener.address == wanted
            or (listener.address.is_unspecified and (same_family or other_family))
            or (wanted.is_unspecified and same_family)
        ):
            found.append(listener)
    return found


def _listeners() -> list[PortOwner]:
    found = []
    for name in ("tcp", "tcp6"):
        try:
            found += parse_table((_PROC / "net" / name).read_text(encoding="ascii"))
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return found


def _describe(listener: PortOwner) -> str:
    pid = _pid_of(listener.inode)
    if pid is not None:
        return f"pid {pid} ({_command(pid)})"
    try:
        user = pwd.getpwuid(listener.uid).pw_name
    except KeyError:
        user = f"uid {listener.uid}"
    where = join_authority(str(listener.address), listener.port)
    return f"a process of {user} on {where} (`sudo ss -ltnp 'sport = :{listener.port}'` names it)"


def _pid_of(inode: int) -> int | None:
    wanted = f"socket:[{inode}]"
    for folder in _PROC.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            with os.scandir(folder / "fd") as entries:
                if any(os.readlink(entry) == wanted for entry in entries):  # noqa: PTH115  there are thousands
                    return int(folder.name)
        except OSError:
            continue  # ended meanwhile, or another user's
    return None


def _command(pid: int) -> str:
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes() or (_PROC / str(pid) / "comm").read_bytes()
    except OSError:
        return "ended meanwhile"
    text = re.sub(r"[^\x20-\x7e]+", " ", raw.decode("ascii", "replace")).strip()
    return text if len(text) <= _MAX_COMMAND else f"{text[:_MAX_COMMAND]}…"


def _address(text: str, byteorder: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Return the address that the kernel prints as 32-bit words in its own byte order."""
    raw = bytes.fromhex(text)
    if byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return ipaddress.ip_address(raw)
