"""What the programs of a stack are given."""

from collections.abc import Callable

import pytest

from authsvc.local import programs
from authsvc.local.programs import Binaries
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
