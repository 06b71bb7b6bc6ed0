"""Simulates a push over a slow line, with a pause; it is aborted before it becomes a layer."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from urllib.parse import urlencode, urlsplit

from attrs import evolve, frozen

from authsvc.doctor.http_question import HttpReply, Reply, ServerAddress, ask
from authsvc.doctor.outside_checks import CHUNKED
from authsvc.doctor.outside_replies import MIB, PushReplies, status_of
from authsvc.public_url import PublicUrl
from authsvc.redaction import Secret

PIECE = 64 * 1024

TIMES = 4
"""How often the registry is asked about an upload, each time on a new connection."""

PATIENCE = 30.0
"""Seconds for the answer to a push, besides those in which it is sent."""

LOCATION = "location"


@frozen
class PushRequest:
    """The settings of a push.

    Attributes:
        username: of the account.
        password: its password, token or license file.
        repository: that it may push to.
        size: MiB that are sent.
        seconds: in which they are sent; half of them is one pause.
    """

    username: str
    password: Secret
    repository: str
    size: int
    seconds: float


async def ask_push(server: ServerAddress, url: PublicUrl, realm_path: str, push: PushRequest) -> PushReplies:
    """Get a token and push, as docker does, as far as the answers allow it.

    Args:
        server: where to connect.
        url: the address as clients type it.
        realm_path: where tokens are given out.
        push: what is pushed.
    """
    account = base64.b64encode(f"{push.username}:{push.password.reveal()}".encode()).decode()
    query = urlencode({"service": url.authority, "scope": f"repository:{push.repository}:pull,push,delete"})
    reply = await ask(server, "GET", f"{realm_path}?{query}", {"Authorization": f"Basic {account}"})
    found = PushReplies(url, token=reply, size=push.size, seconds=push.seconds)
    token = _token(reply)
    if token is None:
        return found
    found = evolve(found, claims=_claims(token), accepted=await ask(server, "GET", "/v2/", bearer(token)))
    if status_of(found.accepted) != 200:  # noqa: PLR2004  HTTP
        return found
    began = await begin_upload(server, push.repository, token)
    found = evolve(found, began=began)
    if status_of(began) != 202:  # noqa: PLR2004  HTTP
        return found
    place = location_of(began)
    continued = await ask_about_upload(place, token, *[server] * TIMES)
    sent = await ask(
        server,
        "PATCH",
        place,
        {**bearer(token), **CHUNKED, "Content-Type": "application/octet-stream"},
        body=_slowly(push.size * MIB, push.seconds),
        deadline=push.seconds + PATIENCE,
    )
    await give_up(server, location_of(sent) if status_of(sent) == 202 else place, token)  # noqa: PLR2004  HTTP
    return evolve(found, continued=continued, sent=sent)


async def begin_upload(server: ServerAddress, repository: str, token: Secret) -> Reply:
    """Return the answer to the beginning of an upload."""
    return await ask(server, "POST", f"/v2/{repository}/blobs/uploads/", bearer(token), body=b"")


async def ask_about_upload(place: str, token: Secret, *servers: ServerAddress) -> tuple[Reply, ...]:
    """Return what each server says of an upload that was begun."""
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(ask(server, "GET", place, bearer(token))) for server in servers]
    return tuple(question.result() for question in asked)


async def give_up(server: ServerAddress, place: str, token: Secret) -> None:
    """Delete an upload; without the right to do so, the registry deletes it later (``uploadpurging``).

    To end it with a digest that does not match removes nothing: registry 2.8 then fails with "already closed".
    """
    await ask(server, "DELETE", place, bearer(token))


def location_of(reply: Reply) -> str:
    """Return path and query at which an upload continues; always on the host of the request."""
    parts = urlsplit(reply.header(LOCATION) if isinstance(reply, HttpReply) else "")
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def bearer(token: Secret) -> dict[str, str]:
    """Return the header that shows a token."""
    return {"Authorization": f"Bearer {token.reveal()}"}


def _token(reply: Reply) -> Secret | None:
    if not isinstance(reply, HttpReply) or reply.status != 200:  # noqa: PLR2004  HTTP
        return None
    try:
        return Secret(str(json.loads(reply.body)["token"]))
    except (ValueError, KeyError, TypeError):
        return None


def _claims(token: Secret) -> dict[str, object]:
    """Return what a token says, unverified."""
    try:
        payload = token.reveal().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, IndexError):
        return {}
    return claims if isinstance(claims, dict) else {}


async def _slowly(size: int, seconds: float) -> AsyncIterator[bytes]:
    """Yield a chunked body of ``size`` bytes, steadily, with a pause of half the time in the middle."""
    count = max(1, size // PIECE)
    piece = f"{PIECE:x}\r\n".encode() + bytes(PIECE) + b"\r\n"
    for number in range(count):
        await asyncio.sleep(seconds / 2 if number == count // 2 else seconds / 2 / count)
        yield piece
    yield b"0\r\n\r\n"
