"""Events of webhooks: their types, and one event as it is sent.

The body is that of Standard Webhooks 1.0: ``type``, ``timestamp`` (of what happened, not of the delivery) and ``data``.
The id of an event is derived from what happened, so an event that is detected twice, after a crash or by two replicas,
has one id, and the receiver can ignore the second delivery.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum

from attrs import frozen

from authsvc.bounded_json import bounded_json
from authsvc.tenancy.dates import render_instant

MAX_BODY = 16 * 1024
"""Most bytes of a body; Standard Webhooks recommends less than 20 kB."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_ENVELOPE = 256
"""Bytes of a body without its data."""

_ID_DIGITS = 32


class EventType(StrEnum):
    """The types of events."""

    FIRST_PULL = "license.first_pull"
    ENDING = "license.ending"
    DENIED = "license.denied"
    NEW_NETWORK = "license.new_network"
    PUSHED = "image.pushed"
    CREDENTIAL_FAILING = "upstream.credential_failing"
    TEST = "webhook.test"


SELECTABLE = tuple(one for one in EventType if one is not EventType.TEST)
"""The types that a webhook can select; test events are always sent."""


@frozen
class WebhookEvent:
    """One event.

    Attributes:
        id: the header ``webhook-id``, the same for every webhook and in every attempt (:func:`event_id`).
        type: of the event.
        at: when it happened, aware.
        team: slug of the team that it is for.
        app: slug of the app that it is about; None if it is about none.
        data: to be sent, as JSON values. It contains no secrets and no full addresses of clients.
    """

    id: str
    type: EventType
    at: datetime
    team: str
    app: str | None
    data: Mapping[str, object]

    def body(self) -> bytes:
        """Return the body of the request, the same bytes every time.

        Data that is too long is cut, which its member ``cut`` says.
        """
        data = bounded_json(_ENCODER, self.data, MAX_BODY - _ENVELOPE)
        kind, at = _ENCODER.encode(self.type.value), _ENCODER.encode(render_instant(self.at))
        return f'{{"type":{kind},"timestamp":{at},"data":{data}}}'.encode("ascii")


def event_id(event: EventType, *parts: str) -> str:
    """Return the id of an event: equal for equal parts, and without the dot that separates what is signed.

    Args:
        event: the type.
        parts: identify it among all events of its type, such as the id of the license and the day.
    """
    text = json.dumps([event.value, *parts])
    return f"evt_{hashlib.sha256(text.encode('ascii')).hexdigest()[:_ID_DIGITS]}"
