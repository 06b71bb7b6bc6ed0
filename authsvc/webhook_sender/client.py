"""One delivery of an event to a receiver over HTTP, whose answer is not trusted.

It goes where external registries may be and nowhere else: the name is resolved once, its addresses are checked, and
the connection goes to exactly one of them. No redirect is followed, and no body of an answer is read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus

from attrs import field, frozen

from authsvc.errors import UpstreamUnavailable
from authsvc.redaction import Secret
from authsvc.registries.upstream.session import Requester, UpstreamSession
from authsvc.webhooks.delivery import MAX_REASON, DeliveryAttempt
from authsvc.webhooks.signature import signed_headers
from authsvc.webhooks.webhook import Webhook

ADDRESS_REFUSED = (
    "the address of the receiver may not be used: it must be public, or in a private network that the operator has "
    "excepted, and not that of this installation"
)

_SECONDS = re.compile(r"[0-9]{1,6}", re.ASCII)


@frozen
class DeliveryReply:
    """What came of one attempt.

    Attributes:
        attempt: as it is listed.
        gone: whether the receiver wants no more events, which 410 says.
        retry_after: what the receiver asked to wait, or None.
    """

    attempt: DeliveryAttempt
    gone: bool = False
    retry_after: timedelta | None = None


@frozen
class WebhookClient:
    """Sends events.

    Attributes:
        session: where receivers may be; one of its own, so that no pull waits for a delivery.
        clock: the present.
        monotonic: seconds of a clock that never goes back.
    """

    session: UpstreamSession = field(repr=False)
    clock: Callable[[], datetime] = field(repr=False)
    monotonic: Callable[[], float] = field(repr=False)

    async def send(self, webhook: Webhook, event_id: str, body: bytes, secrets: Sequence[Secret]) -> DeliveryReply:
        """Return what came of one attempt.

        Args:
            webhook: where to.
            event_id: of the event.
            body: what is sent.
            secrets: sign it, each with a signature of its own.

        Raises:
            Overloaded: too much is under way at this moment; nothing was sent.
        """
        began = self.monotonic()
        signed = signed_headers(secrets, event_id, int(self.clock().timestamp()), body)
        try:
            reply = await self.session.request(
                Requester(webhook.team, webhook.id),
                webhook.origin,
                "POST",
                webhook.path,
                headers={"Content-Type": "application/json", **signed},
                body=body,
                longest=None,
            )
        except UpstreamUnavailable as error:
            return DeliveryReply(self._attempt(began, None, _reason(error)))
        gone = reply.status == HTTPStatus.GONE
        return DeliveryReply(
            self._attempt(began, reply.status, refusal_of(reply.status)), gone, _retry_after(reply.headers)
        )

    def _attempt(self, began: float, status: int | None, reason: str | None) -> DeliveryAttempt:
        milliseconds = round(1000 * (self.monotonic() - began))
        return DeliveryAttempt(self.clock(), status, None if reason is None else reason[:MAX_REASON], milliseconds)


def refusal_of(status: int) -> str | None:
    """Return why an answer of this status is no success; None when it is one."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"the receiver answered {status}, and no redirect is followed; give the address that it leads to"
    return f"the receiver answered {status}"


def _reason(error: UpstreamUnavailable) -> str:
    """Return why there was no answer, without what only the operator should know."""
    return ADDRESS_REFUSED if error.code == "upstream_address_refused" else str(error)


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if _SECONDS.fullmatch(text) else None
