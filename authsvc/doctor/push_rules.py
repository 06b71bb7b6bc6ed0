"""Rules that derive findings when a push does not work, or would not work for some clients."""

from collections.abc import Iterator
from http import HTTPStatus

from authsvc.doctor.http_question import HttpReply, Reply
from authsvc.doctor.outside_replies import PushReplies, outcome, status_of
from authsvc.doctor.outside_rules import bearer_challenge, other_origin, registry_code, registry_message
from authsvc.doctor.push_checks import LOCATION

_LOST_STATE, _UNKNOWN_UPLOAD = "BLOB_UPLOAD_INVALID", "BLOB_UPLOAD_UNKNOWN"

Codes = Iterator[tuple[str, dict[str, object]]]


def diagnose_push(replies: PushReplies) -> Codes:
    """Yield the findings, each with its facts."""
    token, accepted, began, sent = replies.token, replies.accepted, replies.began, replies.sent
    if token is not None and status_of(token) != HTTPStatus.OK:
        yield "credentials-refused", {"message": registry_message(token) or outcome(token)}
    elif accepted is not None and status_of(accepted) != HTTPStatus.OK:
        yield "token-rejected", {**_claimed(replies), "error": _challenge_error(accepted)}
    elif began is not None and status_of(began) != HTTPStatus.ACCEPTED:
        yield "push-refused", {"got": outcome(began), "message": registry_message(began)}
    elif isinstance(began, HttpReply):
        yield from _location(replies, began)
        yield from diagnose_upload(replies.continued)
    if isinstance(sent, HttpReply) and sent.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        yield "body-limit", {"size": replies.size, "status": sent.status, "reason": sent.reason}
    elif sent is not None and status_of(sent) != HTTPStatus.ACCEPTED and not list(diagnose_upload((sent,))):
        yield "push-interrupted", {"size": replies.size, "seconds": f"{replies.seconds:g}", "got": outcome(sent)}


def may_push(replies: PushReplies) -> bool:
    """Whether the token that was given out holds the right to push."""
    access = replies.claims.get("access")
    return isinstance(access, list) and any(isinstance(a, dict) and "push" in a.get("actions", ()) for a in access)


def diagnose_upload(continued: tuple[Reply, ...]) -> Codes:
    """Yield the finding of a replica that does not know an upload which another one began."""
    found = [registry_code(reply) for reply in continued]
    for code, error in (("upload-state", _LOST_STATE), ("storage-not-shared", _UNKNOWN_UPLOAD)):
        if error in found:
            yield code, {"error": error}
            return


def _location(replies: PushReplies, began: HttpReply) -> Codes:
    location = began.header(LOCATION)
    if "://" not in location:
        return
    scheme_differs, host_differs = other_origin(location, replies.url)
    if host_differs:
        yield "location-host", {"location": location}
    if scheme_differs:
        yield "location-scheme", {"location": location}


def _claimed(replies: PushReplies) -> dict[str, object]:
    return {"audience": replies.claims.get("aud", "nothing"), "issuer": replies.claims.get("iss", "nothing")}


def _challenge_error(reply: Reply) -> str:
    challenge = bearer_challenge(reply)
    return "no reason" if challenge is None else challenge.parameters.get("error", "no reason")
