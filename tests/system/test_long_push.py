"""A push that really takes longer than its token lives, leeway included, by a real engine on a slow line."""

import os
import re
import time

import pytest

from tests.support.docker_engine import DockerEngine
from tests.support.slow_pipe import SlowPipe
from tests.support.stack import run, running_stack
from tests.support.tenants import make_member, make_team

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

LIFE, LEEWAY = 60, 60
"""Seconds that the token lives, and that the registry believes it longer."""

RATE = 60_000
"""Bytes a second."""

SIZE = RATE * 135
"""Bytes of the layer: random, so that packing makes it no smaller."""


def test_a_push_longer_than_its_token(engine: DockerEngine) -> None:
    """The engine's token is dead before the layer is through; the push succeeds, and the image is whole."""
    with running_stack(PUSH_TOKEN_LIFE=str(LIFE)) as stack, SlowPipe(stack.port, RATE) as pipe:
        owner = make_member(stack, make_team(stack, "app"), "developer")
        # The slow line has a port of its own, and to an engine the port is a part of the registry's name.
        image = f"localhost:{pipe.port}/app/worker:1"
        engine.make_image(image, os.urandom(SIZE))
        login = ("login", f"localhost:{pipe.port}", "-u", owner.username, "--password-stdin")
        engine.docker(*login, stdin=owner.password, check=True)
        began = time.monotonic()
        pushed = run("docker", "push", image, environ=engine.environ, cwd=engine.folder, seconds=300)
        took = time.monotonic() - began
        assert pushed.code == 0, pushed
        assert re.search(r"1: digest: sha256:[0-9a-f]{64}", pushed.out)
        assert took > LIFE + LEEWAY, "otherwise this proves nothing"
        issued = [e for e in stack.events("serve.log") if e["event"] == "token.issued" and e["granted"]]
        assert len(issued) >= 2, "the engine fetched a new token on its way"
        engine.docker("rmi", image, check=True)
        direct = image.replace(f"localhost:{pipe.port}", stack.name)
        engine.docker("login", stack.name, "-u", owner.username, "--password-stdin", stdin=owner.password, check=True)
        assert "Downloaded newer image" in engine.docker("pull", direct, check=True).out
