"""Sends an installation, of which only the address is known, the requests of docker, podman, containerd and crane."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from urllib.parse import urlencode, urlsplit

from attrs import evolve

from authsvc.doctor.http_question import ServerAddress, ask
from authsvc.doctor.outside_replies import MIB, OutsideReplies, status_of
from authsvc.doctor.outside_rules import bearer_challenge
from authsvc.public_url import PublicUrl

REPOSITORY = "authsvc/doctor"
"""The requested repository: ``authsvc`` is a reserved name, so no app can have it."""

LONGEST_LICENSE_FILE = 8 * 1024
"""Bytes; as the password of Basic credentials they take a third more."""

LONGEST_TOKEN = 6 * 1024
"""Bytes of a token for sixteen repositories, and some."""

UPLOAD_SIZE = 100 * MIB
"""Bytes that an upload announces, of which few are sent."""

SENT = 288 * 1024
"""Bytes of it that are sent: the registry reads a quarter of a MiB before it refuses a chunked body (Go's net/http)."""

SILENCE = 5.0
"""Seconds in which a refusal that does not depend on the body must arrive; a proxy that takes longer buffers the
body."""

SIZED = {"Content-Length": str(UPLOAD_SIZE)}

CHUNKED = {"Transfer-Encoding": "chunked"}

FORM = {"Content-Type": "application/x-www-form-urlencoded"}

NOBODY = "authsvc-doctor"
"""A user name and a password that cannot belong to any account, so that the throttle does not count them."""


async def ask_outside(
    server: ServerAddress, url: PublicUrl, clock: Callable[[], datetime], silence: float = SILENCE
) -> OutsideReplies:
    """Send all requests that need no account.

    Args:
        server: where to connect.
        url: the address as clients type it.
        clock: the wall clock.
        silence: seconds after which a proxy is considered one that buffers bodies.
    """
    asked_at = clock()
    replies = OutsideReplies(url, await ask(server, "GET", "/v2/"), asked_at)
    if not status_of(replies.challenge):
        return replies
    challenge = bearer_challenge(replies.challenge)
    path = url.realm.removeprefix(url.text)
    if challenge is not None:
        path = urlsplit(challenge.parameters["realm"]).path or path
    license_login, token = f"{NOBODY}:{'x' * LONGEST_LICENSE_FILE}", "x" * LONGEST_TOKEN
    license_header = f"Basic {base64.b64encode(license_login.encode()).decode()}"
    service = urlencode({"service": url.authority})
    form = urlencode({"grant_type": "password", "username": NOBODY, "password": NOBODY, "service": url.authority})
    uploads = f"/v2/{REPOSITORY}/blobs/uploads/"
    async with asyncio.TaskGroup() as group:
        questions = tuple(
            group.create_task(question)
            for question in (
                ask(server, "GET", f"{path}?{service}"),
                ask(server, "POST", path, FORM, body=form.encode()),
                ask(server, "GET", f"{path}?{service}", {"Authorization": license_header}),
                ask(server, "GET", "/v2/", {"Authorization": f"Bearer {token}"}),
                ask(server, "POST", uploads, SIZED, body=_unfinished(chunked=False), silence=silence),
                ask(server, "POST", uploads, CHUNKED, body=_unfinished(chunked=True), silence=silence),
            )
        )
    get, post, login, long_token, sized_upload, chunked_upload = (question.result() for question in questions)
    replies = evolve(
        replies,
        realm_path=path,
        token_get=get,
        token_post=post,
        license_login=login,
        license_header=len(license_header),
    )
    if challenge is None:
        return replies
    return evolve(
        replies,
        long_token=long_token,
        token_header=len(token),
        sized_upload=sized_upload,
        chunked_upload=chunked_upload,
        upload_size=UPLOAD_SIZE // MIB,
    )


async def _unfinished(*, chunked: bool) -> AsyncIterator[bytes]:
    """Yield the beginning of a body that never ends."""
    part = b"x" * SENT
    yield f"{SENT:x}\r\n".encode() + part + b"\r\n" if chunked else part
