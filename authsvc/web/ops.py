"""Health: ``/livez`` for the container's own check, ``/readyz`` for balancers and operators, and the public keys."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from authsvc.errors import SignerUnavailable, StoreRefused, StoreUnavailable

ASK_AGAIN = 1.0
"""Seconds for which an answer is reused at the edge listener."""


class StoreProbe(Protocol):
    """The store, for checks of its health."""

    async def ping(self) -> None:
        """Return when it answers reads."""
        ...

    async def refusal(self) -> str | None:
        """Return its own words if it refuses writes."""
        ...

    async def files(self) -> Mapping[str, Any] | None:
        """Return the state of its files, if it reports it."""
        ...


class LeafStatus(Protocol):
    """Whether tokens can be signed."""

    @property
    def not_after(self) -> datetime | None:
        """The end of the signing certificate."""
        ...

    def ready(self, now: datetime) -> bool:
        """Whether it is valid."""
        ...

    def ending(self, now: datetime) -> bool:
        """Whether it should have been replaced by now."""
        ...


async def livez(_: web.Request) -> web.Response:
    """Answer while the process is up, whatever else is not."""
    return web.json_response({"status": "ok"})


def license_keys(keys: Callable[[], dict[str, Any]]) -> web.RouteDef:
    """Return the route of ``/auth/license-keys.json``: the key file that verifies license files (RFC 7517)."""

    async def handler(_: web.Request) -> web.Response:
        published = keys()
        if not published["keys"]:  # with an empty set, no license file could be verified
            raise SignerUnavailable("this process does not know the license keys yet; try again in a few seconds")
        return web.json_response(published, content_type="application/jwk-set+json")

    return web.get("/auth/license-keys.json", handler)


Part = Callable[[], Awaitable[Any]]
"""Returns the state of a part for ``/readyz``. An exception is shown as ``{"error": …}`` instead."""

PART_DEADLINE = 3.0
"""Seconds after which a part, or the store, counts as not answering: longer than their own deadlines by default."""


class Readiness:
    """``/readyz``: a store that can be read and the leaf are required; the rest is only shown."""

    def __init__(
        self,
        store: StoreProbe,
        leaf: LeafStatus,
        parts: Mapping[str, Part],
        clock: Callable[[], datetime],
        on_fault: Callable[[Exception], None],
    ) -> None:
        """Check all of them for each request.

        Args:
            store: Redis.
            leaf: the signing certificate.
            parts: that are only shown, by their name in the answer.
            clock: the wall clock.
            on_fault: is called with exceptions of parts.
        """
        self._on_fault = on_fault
        self._store = store
        self._leaf = leaf
        self._parts = parts
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/readyz", self.readyz)]

    async def is_ready(self) -> bool:
        """Return whether tokens can be issued."""
        try:
            await self._store.ping()
        except StoreUnavailable:
            return False
        return self._leaf.ready(self._clock())

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 when tokens can be issued, 503 when not, and say why."""
        store, *shown = await asyncio.gather(self._store_facts(), *map(self._ask, self._parts.values()))
        now = self._clock()
        leaf = self._leaf.ready(now)
        ready = leaf and store["store"] == "up"
        body = {
            "status": "ready" if ready else "not ready",
            **store,
            "leaf": {
                "status": ("ending" if self._leaf.ending(now) else "up") if leaf else "down",
                "not_after": self._leaf.not_after.isoformat() if self._leaf.not_after else None,
            },
            **dict(zip(self._parts, shown, strict=True)),
        }
        return web.json_response(body, status=HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE)

    async def _store_facts(self) -> dict[str, Any]:
        try:
            async with asyncio.timeout(PART_DEADLINE):
                await self._store.ping()
                refusal = await self._store.refusal()
                return {"store": "up", "store_refuses": refusal, "store_files": await self._store.files()}
        except (StoreUnavailable, TimeoutError) as error:
            refusal = error.detail if isinstance(error, StoreRefused) else None
            return {"store": "down", "store_refuses": refusal, "store_files": None}

    async def _ask(self, part: Part) -> Any:
        try:
            async with asyncio.timeout(PART_DEADLINE):
                return await part()
        except TimeoutError:
            return {"error": f"no answer within {PART_DEADLINE:.0f} s"}
        except Exception as error:  # noqa: BLE001  one part that fails must not hide how the others are
            self._on_fault(error)
            return {"error": "an error of authsvc; the log has the trace"}


class EdgeReadiness:
    """``/readyz`` for load balancers: whether to send requests here, without the reasons, which are not public."""

    def __init__(self, is_ready: Callable[[], Coroutine[Any, Any, bool]], clock: Callable[[], float]) -> None:
        """Call ``is_ready`` at most once a second, however many requests come; ``clock`` is in seconds."""
        self._is_ready = is_ready
        self._clock = clock
        self._asked = -ASK_AGAIN
        self._answer: asyncio.Task[bool] | None = None

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 ``ready`` or 503 ``not ready``."""
        now = self._clock()
        answer = self._answer
        if answer is None or (answer.done() and now >= self._asked + ASK_AGAIN):
            self._answer = answer = asyncio.create_task(self._is_ready())
            self._asked = now
        if await asyncio.shield(answer):
            return web.Response(text="ready\n")
        return web.Response(text="not ready\n", status=HTTPStatus.SERVICE_UNAVAILABLE)
