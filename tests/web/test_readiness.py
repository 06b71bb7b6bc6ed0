"""``/readyz`` inside: a part that fails or hangs is shown as that, and hides no other."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from attrs import define

from authsvc.web import ops
from authsvc.web.ops import Part, Readiness

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@define
class Store:
    """A store that answers, or hangs."""

    hangs: bool = False

    async def ping(self) -> None:
        """Answer."""
        if self.hangs:
            await asyncio.Event().wait()

    async def refusal(self) -> str | None:
        """Refuse nothing."""
        return None

    async def files(self) -> Mapping[str, Any] | None:
        """Say nothing."""
        return None


class Leaf:
    """A certificate that lives."""

    not_after = NOW

    def ready(self, now: datetime) -> bool:
        """It is."""
        return now == NOW

    def ending(self, now: datetime) -> bool:
        """It is not."""
        return now != NOW


async def answer(store: Store, parts: Mapping[str, Part], faults: list[Exception]) -> tuple[int, dict[str, Any]]:
    """Return status and body of one answer."""
    readiness = Readiness(store, Leaf(), parts, lambda: NOW, faults.append)
    given = await readiness.readyz(make_mocked_request("GET", "/readyz"))
    return given.status, json.loads(given.text or "")


async def well() -> str:
    """Return the state of a part that is well."""
    return "up"


async def hang() -> str:
    """Return nothing, ever."""
    await asyncio.Event().wait()
    return "never"


async def fail() -> str:
    """Raise what no part should."""
    raise LookupError("a mistake")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a part as long as a test may."""
    monkeypatch.setattr(ops, "PART_DEADLINE", 0.2)


async def test_a_part_hides_no_other() -> None:
    """One hangs, one raises, and the rest is shown; what was raised reaches the log."""
    faults: list[Exception] = []
    status, body = await answer(Store(), {"registry": well, "nginx": hang, "keys": fail}, faults)

    assert (200, "ready", "up") == (status, body["status"], body["registry"])
    assert "no answer within" in body["nginx"]["error"]
    assert body["keys"] == {"error": "an error of authsvc; the log has the trace"}
    assert [type(fault) for fault in faults] == [LookupError]


async def test_a_store_that_hangs_is_down() -> None:
    """However long a command to it may take: who asks gets an answer about everything."""
    status, body = await answer(Store(hangs=True), {"registry": well}, [])
    assert (503, "not ready", "down", "up") == (status, body["status"], body["store"], body["registry"])
