"""Probes whether a child is ready: one request and one answer, over a plain socket.

A probe raises ``NotReady`` with the reason; the caller decides whether to try again.
"""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from pathlib import Path

from attrs import frozen

from authsvc.listen_address import ListenAddress
from authsvc.metrics.catalogue import RECORDED, REGISTRY_NOTIFICATIONS
from authsvc.processes.supervisor import Loading, NotReady
from authsvc.public_url import PublicUrl

_TIMEOUT = 2.0
"""Seconds for one request and its answer."""

_QUIET = 0.25
"""Seconds without an event after which the registry has none left: it sends one right after the other."""

_QUIET_ANSWERS = 10
"""The same as a multiple of the time of one answer of authsvc: on a busy machine or disk an event also takes longer."""

_ARRIVED_WITHIN = 15.0
"""Seconds in which the last ones must arrive."""


_INSIDE = "authsvc"
"""The ``Host`` header of requests to the inside socket."""

_Opening = Coroutine[None, None, tuple[asyncio.StreamReader, asyncio.StreamWriter]]


@frozen
class Answer:
    """The parts of an HTTP response that a probe needs."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""


async def redis_answers(socket: Path) -> None:
    """Ask redis for a PONG: while it loads its data it gives another answer.

    Raises:
        Loading: redis is loading its data.
        NotReady: no PONG.
    """
    line = (await _exchange(asyncio.open_unix_connection(str(socket)), b"PING\r\n", until=b"\r\n")).strip()
    if line.startswith(b"-LOADING"):
        raise Loading("it is loading its data")
    if line != b"+PONG":
        raise NotReady(f"PING is answered with {line[:80].decode('ascii', 'replace')!r}")


async def registry_challenges(socket: Path, public_url: PublicUrl) -> None:
    """Ask the registry for its token challenge.

    Raises:
        NotReady: no 401 that names our realm.
    """
    answer = await _get(asyncio.open_unix_connection(str(socket)), "/v2/", public_url.authority)
    _expect_challenge(answer, public_url)


async def serve_is_ready(socket: Path) -> None:
    """Ask authsvc's inside socket whether it can issue tokens.

    Raises:
        NotReady: ``/readyz`` is not 200.
    """
    answer = await _get(asyncio.open_unix_connection(str(socket)), "/readyz", _INSIDE)
    if answer.status != 200:  # noqa: PLR2004  HTTP
        raise NotReady(f"/readyz answers {answer.status}")


async def events_have_arrived(socket: Path) -> None:
    """Wait, some seconds at most, until authsvc, asked at its inside socket, gets no more events of the registry.

    The registry loses undelivered events when it ends. Their number is only available at its debug listener, which
    would also show the bearer to every user of the machine.
    """
    with suppress(TimeoutError, NotReady):
        async with asyncio.timeout(_ARRIVED_WITHIN):
            before, clock = None, asyncio.get_running_loop().time
            began = clock()
            while before != (recorded := await _recorded_notifications(socket)):
                before = recorded
                await asyncio.sleep(max(_QUIET, _QUIET_ANSWERS * (clock() - began)))
                began = clock()


async def push_would_work(listen: ListenAddress, public_url: PublicUrl) -> None:
    """Make the first two requests of every docker client through nginx: for the challenge, then to the token endpoint.

    Raises:
        NotReady: one of the two is not answered as a client needs it.
    """
    host, port, name = listen.connect_host, listen.port, public_url.authority
    _expect_challenge(await _get(asyncio.open_connection(host, port), "/v2/", name), public_url)
    answer = await _get(asyncio.open_connection(host, port), f"/auth/token?service={name}", name)
    kind = answer.headers.get("content-type", "")
    if answer.status != 401 or not kind.startswith("application/json"):  # noqa: PLR2004  HTTP
        raise NotReady(f"/auth/token answers {answer.status} ({kind}) instead of 401 in JSON")


def parse_answer(raw: bytes) -> Answer:
    """Return status and headers of an HTTP/1.x response.

    Raises:
        NotReady: it is not one.
    """
    head = raw.partition(b"\r\n\r\n")[0].decode("latin-1")
    first, *lines = head.split("\r\n")
    version, _, rest = first.partition(" ")
    status = rest[:3]
    if not version.startswith("HTTP/1.") or not (status.isascii() and status.isdecimal()):
        raise NotReady(f"the answer {first[:60]!r} is not HTTP")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Answer(status=int(status), headers=headers)


def _expect_challenge(answer: Answer, public_url: PublicUrl) -> None:
    challenge = answer.headers.get("www-authenticate", "")
    if answer.status != 401 or f'realm="{public_url.realm}"' not in challenge:  # noqa: PLR2004  HTTP
        raise NotReady(f"/v2/ answers {answer.status} with {challenge[:80]!r} instead of 401 with our realm")


async def _recorded_notifications(socket: Path) -> bytes:
    """Return the line of the metrics with the number of recorded notifications."""
    opening = asyncio.open_unix_connection(str(socket))
    text = await _exchange(opening, _request("/metrics", _INSIDE), until=None)
    series = f'{REGISTRY_NOTIFICATIONS.name}{{answer="{RECORDED}"}} '.encode()
    return next((line for line in text.splitlines() if line.startswith(series)), b"")


async def _get(opening: _Opening, path: str, host: str) -> Answer:
    return parse_answer(await _exchange(opening, _request(path, host), until=b"\r\n\r\n"))


def _request(path: str, host: str) -> bytes:
    lines = (f"GET {path} HTTP/1.1", f"Host: {host}", "User-Agent: authsvc-up", "Connection: close", "", "")
    return "\r\n".join(lines).encode("ascii")


async def _exchange(opening: _Opening, question: bytes, *, until: bytes | None) -> bytes:
    """Send ``question`` and return the answer up to ``until``, or until the end of the connection."""
    try:
        async with asyncio.timeout(_TIMEOUT):
            reader, writer = await opening
            try:
                writer.write(question)
                await writer.drain()
                return await (reader.read() if until is None else reader.readuntil(until))
            finally:
                writer.close()
    except TimeoutError as error:
        raise NotReady(f"no answer within {_TIMEOUT:g} s") from error
    except asyncio.IncompleteReadError as error:
        raise NotReady("it closes the connection without an answer") from error
    except (OSError, asyncio.LimitOverrunError) as error:
        raise NotReady(str(error)) from error
