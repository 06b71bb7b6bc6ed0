"""Checks that a port is free, and names the process that holds it."""

import errno
import ipaddress
import pwd
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from authsvc.errors import SetupRefused
from authsvc.listen_address import ListenAddress, join_authority

if TYPE_CHECKING:
    import psutil

_PROC = Path("/proc")
_LISTENING = "0A"
"""``TCP_LISTEN`` in the kernel's include/net/tcp_states.h."""

_MAX_COMMAND = 80
"""Most characters of a command line that are shown."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@frozen
class PortOwner:
    """One listening socket of this machine.

    Attributes:
        address: that it listens on.
        port: its port.
        pid: of a process that has it open; None when only root can see that.
    """

    address: Address
    port: int
    pid: int | None


def refuse_if_taken(listen: ListenAddress, *, also_loopback: bool) -> None:
    """Check that nginx will be able to bind ``listen``.

    Args:
        listen: the wanted address.
        also_loopback: the public URL says ``localhost``, which many clients resolve to ::1 as well as to
            127.0.0.1; another server on the other address would get requests for our images.

    Raises:
        SetupRefused: the address is in use (the message says by which process), not this machine's, or not allowed.
    """
    try:
        _try_bind(listen)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupRefused(_taken(listen.authority, _holders(listen, other_family=True))) from error
        raise SetupRefused(_not_bindable(listen, error)) from error
    if also_loopback and ipaddress.ip_address(listen.host).is_loopback:
        other = ListenAddress(host="127.0.0.1" if ":" in listen.host else "::1", port=listen.port)
        try:
            _try_bind(other)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                taken = _taken(other.authority, _holders(other, other_family=False))
                raise SetupRefused(f"{taken} (a client may resolve `localhost` to it)") from error


def _try_bind(listen: ListenAddress) -> None:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As nginx binds: despite sockets in TIME_WAIT, and an IPv6 address only for IPv6.
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
    """Return the conflicting sockets; one on ``::`` usually also occupies the IPv4 addresses of its port."""
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
    import psutil  # noqa: PLC0415  only a conflict needs it

    return [
        PortOwner(ipaddress.ip_address(found.laddr.ip), found.laddr.port, found.pid)
        for found in psutil.net_connections("tcp")
        if found.laddr and found.status == psutil.CONN_LISTEN
    ]


def _describe(listener: PortOwner) -> str:
    if listener.pid is not None:
        return _process(listener, listener.pid)
    where = join_authority(str(listener.address), listener.port)
    return f"a process of {_user(listener)} on {where} (`sudo ss -ltnp 'sport = :{listener.port}'` names it)"


def _process(listener: PortOwner, pid: int) -> str:
    """Return the id and the command of the first process that opened the socket; its children may have inherited it."""
    import psutil  # noqa: PLC0415

    try:
        process = psutil.Process(pid)
        while (parent := process.parent()) is not None and _has_open(parent, listener):
            process = parent
        text = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return f"pid {pid} (ended meanwhile)"
    text = re.sub(r"[^\x20-\x7e]+", " ", text).strip()
    return f"pid {process.pid} ({text if len(text) <= _MAX_COMMAND else f'{text[:_MAX_COMMAND]}…'})"


def _has_open(process: "psutil.Process", listener: PortOwner) -> bool:
    import psutil  # noqa: PLC0415

    try:
        found = process.net_connections("tcp")
    except psutil.AccessDenied:
        return False
    return any(
        one.status == psutil.CONN_LISTEN
        and (ipaddress.ip_address(one.laddr.ip), one.laddr.port) == (listener.address, listener.port)
        for one in found
    )


def _user(listener: PortOwner) -> str:
    """Return the owner of a socket, which any user may read and psutil does not report."""
    owners: dict[tuple[Address, int], int] = {}
    for name in ("tcp", "tcp6"):
        try:
            owners |= parse_owners((_PROC / "net" / name).read_text(encoding="ascii"))
        except FileNotFoundError:
            continue  # a kernel without IPv6
    uid = owners.get((listener.address, listener.port))
    if uid is None:
        return "another user"
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def parse_owners(text: str, byteorder: str = sys.byteorder) -> dict[tuple[Address, int], int]:
    """Return the user ids of the listening sockets in ``/proc/net/tcp`` or ``tcp6`` (proc_net_tcp.rst)."""
    owners = {}
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[3] == _LISTENING:  # noqa: PLR2004  the user id is the eighth field
            host, _, port = fields[1].partition(":")
            owners[_address(host, byteorder), int(port, 16)] = int(fields[7])
    return owners


def _address(text: str, byteorder: str) -> Address:
    """Return the address that the kernel prints as 32-bit words in its own byte order."""
    raw = bytes.fromhex(text)
    if byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return ipaddress.ip_address(raw)
