"""Hosts with a network of their own on this machine: a namespace each, on one switch, which this machine is on, too."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Network

from tests.support.ports import PORTS, free_port
from tests.support.stack import GOOD_PATH
from tests.support.waiting import PATIENCE

OURS = 3
"""Last number of the address of this machine on the switch; hosts have those from 1."""


@cache
def _network() -> IPv4Network:
    """Return the network of this process's switch: no other process that tests has it, as it has the port."""
    # 198.18.0.0/15 is for tests of networks (RFC 2544 §C.2.2).
    return list(IPv4Network("198.18.0.0/15").subnets(new_prefix=29))[free_port() - PORTS.start]


def address(number: int) -> str:
    """Return an address on the switch."""
    return str(_network()[number])


def inside(namespace: str, *command: str) -> tuple[str, ...]:
    """Return the command that runs ``command`` on a host."""
    return ("nsenter", f"--net=/run/netns/{namespace}", *command)


@contextmanager
def hosts(count: int) -> Iterator[tuple[str, ...]]:
    """Yield the names of ``count`` namespaces; needs root."""
    assert os.geteuid() == 0, "network namespaces need root"
    assert count < OURS
    switch = f"asv{os.getpid()}"
    names = tuple(f"{switch}h{number}" for number in range(1, count + 1))
    try:
        for name in (switch, *names):
            _must("netns", "add", name)
            _must("-n", name, "link", "set", "lo", "up")
        _must("-n", switch, "link", "add", "br0", "type", "bridge")
        _must("-n", switch, "link", "set", "br0", "up")
        for number, name in enumerate(names, 1):
            _plug(switch, f"p{number}", "eth0", address(number), ("-n", name), ("netns", name))
        _plug(switch, f"p{OURS}", switch, address(OURS), (), ("netns", str(os.getpid())))
        yield names
    finally:
        for name in (switch, *names):
            _ip("netns", "del", name)


def _plug(switch: str, port: str, interface: str, at: str, there: tuple[str, ...], where: tuple[str, str]) -> None:
    """Connect an interface, in the namespace ``where``, with a port of the switch."""
    _must("-n", switch, "link", "add", port, "type", "veth", "peer", "name", interface, *where)
    _must("-n", switch, "link", "set", port, "master", "br0", "up")
    _must(*there, "addr", "add", f"{at}/{_network().prefixlen}", "dev", interface)
    _must(*there, "link", "set", interface, "up")


def _must(*command: str) -> None:
    done = _ip(*command)
    assert done.returncode == 0, (command, done.stderr)


def _ip(*command: str) -> "subprocess.CompletedProcess[str]":
    argv: Sequence[str] = ("ip", *command)
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, "PATH": GOOD_PATH}
    )
