"""What the readiness of a worker says of its key service."""

import asyncio
import socket
from pathlib import Path

import pytest

from authsvc.keys.client import KeyServiceClient
from authsvc.wiring import health
from authsvc.wiring.health import keys_state
from tests.support.key_service import key_service, make_keys


async def test_one_that_is_busy_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe whose turn does not come in time sees that those before it are answered."""
    monkeypatch.setattr(health, "KEYS_PROBE", 0.3)
    async with key_service(make_keys(tmp_path / "keys"), rate=20, burst=1) as channel:
        client = KeyServiceClient.on_socket(channel)
        before = [asyncio.create_task(client.license_keys()) for _ in range(10)]
        await asyncio.sleep(0)
        assert await keys_state(client) == "up"
        assert not before[-1].done(), "the probe did not wait for all before it"
        await asyncio.gather(*before)


async def test_one_that_does_not_answer_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it count as up because it answered once."""
    monkeypatch.setattr(health, "KEYS_PROBE", 0.1)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        far.send(b'{"number": 1, "result": {"keys": []}}')
        client = KeyServiceClient.on_socket(near)
        assert await keys_state(client) == "up"
        assert await keys_state(client) == "down"
