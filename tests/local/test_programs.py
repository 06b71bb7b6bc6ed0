"""What the programs of a stack are given."""

import socket
from collections.abc import Callable

import pytest

from authsvc.local import programs
from authsvc.local.programs import Binaries
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.process import Program
from authsvc.setup.layout import Layout
from tests.local.test_own_probes import PROXIES

Making = Callable[[Layout, Binaries, dict[str, str]], Program]

BINARIES = Binaries(redis="/redis", registry="/registry", nginx="/nginx")


@pytest.mark.parametrize("make", [programs.redis, programs.registry, programs.nginx])
def test_nothing_of_our_environment_configures_them(
    layout: Layout, make: Callable[[Layout, Binaries, dict[str, str]], Program]
) -> None:
    """A proxy would get the registry's events with their bearer, and REGISTRY_AUTH would switch authentication off."""
    ours = {"PATH": "/bin", "REGISTRY_AUTH": "none", "NGINX": "5", "NO_PROXY": "*", **PROXIES}
    given = make(layout, BINARIES, ours).environment
    assert given["PATH"] == "/bin"
    assert not {name for name in given if "proxy" in name.lower()} | ({"REGISTRY_AUTH", "NGINX"} & given.keys())


def test_serve_gets_what_is_for_it(layout: Layout) -> None:
    """Its settings and those of its interpreter, and none of the operator's own secrets."""
    passed = {"AUTHSVC_LOG_LEVEL": "debug", "PYTHONPATH": "/p", "LC_CTYPE": "C", "SSL_CERT_FILE": "/ca", "HOME": "/h"}
    own = {"AWS_SECRET_ACCESS_KEY": "x", "GITHUB_TOKEN": "x", "SSH_AUTH_SOCK": "/s", **PROXIES}
    edge, inside = socket.socketpair()
    with edge, inside:
        given = programs.serve(layout, {**passed, **own}, ListeningSockets(edge, inside), 1).environment
    assert given.items() >= passed.items()
    assert not own.keys() & given.keys()
