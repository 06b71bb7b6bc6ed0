"""Denials of management in the recorder: bounded however many different things one account asks for."""

from authsvc.audit.aggregator import MAX_STARTS
from authsvc.audit.management_denial import ManagementDenial
from authsvc.audit.sentences import sentences, summary
from authsvc.client import Client
from authsvc.credentials.subject import ServiceAccountSubject
from authsvc.errors import PermissionDenied
from tests.audit.test_recorder import Store, make_recorder
from tests.support.builders import NOW, as_member, make_member, make_service_account
from tests.support.decisions import request_id

CLIENT = Client("203.0.113.7", user_agent="curl/8")


def denial(number: int, reason: str = "you may not") -> ManagementDenial:
    """Return a denial of a service account."""
    subject = ServiceAccountSubject(make_service_account())
    return ManagementDenial(request_id(NOW, number), NOW, CLIENT, subject, "delete an image", PermissionDenied(reason))


async def test_one_account_fills_nothing() -> None:
    """Beyond so many different sentences, its denials are one entry, and each is counted."""
    store = Store()
    recorder = make_recorder(store)
    for number in range(3 * MAX_STARTS):
        recorder.record_denied(denial(number, f"no grant for acme/x{number}"))
    await recorder.flush(everything=True)

    assert MAX_STARTS + 1 == len(store.entries)
    assert 3 * MAX_STARTS == sum(entry["count"] for entry in store.entries)
    assert {"acme-team"} == {entry.team for batch in store.batches.values() for entry in batch}
    (various,) = [entry for entry in store.entries if entry.get("examples")]
    assert {"delete an image"} == {one["asked"] for one in various["examples"]}
    assert sentences(various)[0].endswith("the account is known, but may not do that.")


async def test_a_secret_typed_into_the_wrong_place() -> None:
    """A sentence that repeats it is recorded without it."""
    store = Store()
    recorder = make_recorder(store)
    recorder.record_denied(denial(1, "no grant for asv_pat_0123456789abcdef_secret"))
    await recorder.flush(everything=True)

    assert "no grant for <redacted>" == store.entries[0]["reason"]


async def test_in_words() -> None:
    """What was asked for, what the client was told, and who it was."""
    store = Store()
    recorder = make_recorder(store)
    error = PermissionDenied("me@acme.test is a viewer and may not create a license; owners and developers may")
    subject = as_member(make_member())
    recorder.record_denied(ManagementDenial(request_id(), NOW, CLIENT, subject, "create a license", error))
    await recorder.flush(everything=True)
    (entry,) = store.entries

    assert [
        "2026-08-01 12:00:00 UTC: Nothing was done: the account is known, but may not do that.",
        f"The client was told: {error}",
        "Asked for: create a license.",
    ] == sentences(entry)[:3]
    assert str(error) == summary(entry)


async def test_a_fault_fails_no_request() -> None:
    """What cannot be recorded is counted as lost."""
    recorder = make_recorder(Store())
    recorder.record_denied(ManagementDenial("1", NOW, CLIENT, None, "x", PermissionDenied("x")))  # type: ignore[arg-type]

    assert {"fault": 1} == recorder.losses
