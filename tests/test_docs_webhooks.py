"""docs/webhooks.md says what is sent: the types of events, the limits, and a check of signatures that works."""

import re
import time

import pytest

from authsvc.redaction import Secret
from authsvc.store.webhook_deliveries import MAX_WAITING, MAX_WAITING_BYTES
from authsvc.store.webhook_outbox import MAX_EVENTS_OF_TEAM
from authsvc.webhooks.delivery import MAX_LISTED
from authsvc.webhooks.event import MAX_BODY, EventType
from authsvc.webhooks.schedule import GIVE_UP_AFTER, MAX_ATTEMPTS, WAITS
from authsvc.webhooks.signature import new_secret, signed_headers
from authsvc.webhooks.watched_events import ENDING_DAYS, FAILING_FOR
from authsvc.webhooks.webhook import MAX_WEBHOOKS_OF_TEAM
from tests.test_docs import codes, fences, page, rows, section

SECRET, BODY = new_secret(bytes(range(32))), '{"type":"webhook.test","customer":"Müller"}'.encode()


def is_genuine(secret: Secret, headers: dict[str, str], body: bytes = BODY) -> bool:
    """Check a request as the page says."""
    (example,) = fences(page("webhooks.md"), "python")
    names: dict[str, object] = {}
    exec(compile(example, "docs/webhooks.md", "exec"), names)  # noqa: S102  our own page
    check = names["is_genuine"]
    assert callable(check)
    return bool(check(secret.reveal(), headers, body))


def sent(seconds: float = 0, secret: Secret = SECRET) -> dict[str, str]:
    """Return the headers of a request of so many seconds ago."""
    return dict(signed_headers([secret], "evt_1", int(time.time() - seconds), BODY))


def test_the_example_accepts_what_is_sent() -> None:
    """Also while a receiver knows two secrets and a request has two signatures."""
    assert is_genuine(SECRET, sent())
    other = sent(secret=new_secret(bytes(32)))["webhook-signature"]
    both = sent()
    both["webhook-signature"] = f"{other} {both['webhook-signature']}"
    assert is_genuine(SECRET, both)


@pytest.mark.parametrize(
    ("headers", "secret", "body"),
    [
        (sent(), SECRET, BODY + b" "),
        (sent(), new_secret(bytes(32)), BODY),
        ({**sent(), "webhook-id": "evt_2"}, SECRET, BODY),
        ({**sent(), "webhook-timestamp": str(int(time.time()) + 1000)}, SECRET, BODY),
        (sent(3600), SECRET, BODY),
        ({**sent(), "webhook-signature": "v1,"}, SECRET, BODY),
    ],
)
def test_the_example_refuses_anything_else(headers: dict[str, str], secret: Secret, body: bytes) -> None:
    """Another body, secret, id or time, or a request that is an hour old."""
    assert not is_genuine(secret, headers, body)


def test_every_type_is_documented() -> None:
    """In the order of the code."""
    table = rows(page("webhooks.md"), "## Types of events")
    assert [codes(row[0])[0] for row in table] == [one.value for one in EventType]


def test_the_limits_are_those_of_the_code() -> None:
    """Waits, attempts and numbers."""
    text = section(page("webhooks.md"), "## Delivery")
    assert f"up to {MAX_WEBHOOKS_OF_TEAM} webhooks" in text
    assert f"newest {MAX_LISTED} events" in text
    assert f"up to {MAX_EVENTS_OF_TEAM:,} events that are not shared out yet" in text
    assert f"up to {MAX_WAITING} events, or {MAX_WAITING_BYTES // 1024**2} MiB, that wait" in text
    words = re.search(r"after (\d+) seconds, (\d+), (\d+) and (\d+) minutes, ([\d, and]+) hours", text)
    assert words is not None
    hours = [int(one) * 3600 for one in re.findall(r"\d+", words[5])]
    minutes = [int(words[place]) * 60 for place in (2, 3, 4)]
    assert [int(words[1]), *minutes, *hours] == [wait.total_seconds() for wait in WAITS]
    types = section(page("webhooks.md"), "## Types of events")
    assert f"ends in {ENDING_DAYS[0]}, {ENDING_DAYS[1]} or {ENDING_DAYS[2]} days" in types
    assert f"for {FAILING_FOR.total_seconds() / 60:.0f} minutes" in types
    assert (MAX_ATTEMPTS, GIVE_UP_AFTER.days) == (10, 5)
    assert ("tenth attempt" in text, "five days" in text) == (True, True)
    assert f"at most {MAX_BODY // 1024} KiB" in page("webhooks.md")
