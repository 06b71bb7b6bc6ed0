"""Delivers an event to a receiver over HTTP, whose answer is not trusted.

Receivers may be in the same networks as external registries: the name is resolved once, its addresses are checked, and
the connection is made to exactly one of them. Redirects are not followed, and bodies of answers are not read.
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
    """The result of one attempt.

    Attributes:
        attempt: as it is listed.
        gone: whether the receiver wants no more events (status 410).
        retry_after: the wait that the receiver requested, or None.
    """

    attempt: DeliveryAttempt
    gone: bool = False
    retry_after: timedelta | None = None


@frozen(eq=False, repr=False)
class WebhookClient:
    """Sends events.

    Attributes:
        session: HTTP client that checks addresses; a separate one, so that no pull waits for a delivery.
        clock: the current time.
        monotonic: seconds of a clock that never goes back.
    """

    session: UpstreamSession = field(repr=False)
    clock: Callable[[], datetime] = field(repr=False)
    monotonic: Callable[[], float] = field(repr=False)

    async def send(self, webhook: Webhook, event_id: str, body: bytes, secrets: Sequence[Secret]) -> DeliveryReply:
        """Make one attempt and return its result.

        Args:
            webhook: the receiver.
            event_id: of the event.
            body: of the request.
            secrets: to sign with; there is one signature for each.

        Raises:
            Overloaded: too many requests are in progress; nothing was sent.
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
    """Return why an answer with this status is a failure; None if it is a success."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"the receiver answered {status}, and no redirect is followed; give the address that it leads to"
    return f"the receiver answered {status}"


def _reason(error: UpstreamUnavailable) -> str:
    """Return why there was no answer, without details that only the operator may see."""
    return ADDRESS_REFUSED if error.code == "upstream_address_refused" else str(error)


def _retry_after(headers: Mapping[str, str]) -> timedelta | None:
    text = headers.get("Retry-After", "")
    return timedelta(seconds=int(text)) if _SECONDS.fullmatch(text) else None
