"""Rules that derive findings from the answers of an installation to an unknown client."""

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from authsvc.doctor.finding import Diagnosis, Finding, SkippedCheck
from authsvc.doctor.http_question import HttpReply, NoReply, NoReplyReason, Reply
from authsvc.doctor.outside_catalogue import OUTSIDE_KINDS
from authsvc.doctor.outside_replies import OutsideReplies, outcome, status_of
from authsvc.public_url import PublicUrl
from authsvc.upstreams.challenge import BEARER, Challenge, parse_challenges

MOST_SKEW = timedelta(seconds=30)
"""Half of the tolerance of the registry: a clock that is wrong by that much will drift further."""

_ISSUES_FOR = re.compile(r"issues tokens for (\S+) only")

Codes = Iterator[tuple[str, dict[str, object]]]


def diagnose_outside(replies: OutsideReplies) -> Diagnosis:
    """Return the problems, the most basic ones first."""
    url, challenge = replies.url, replies.challenge
    if isinstance(challenge, NoReply):
        return Diagnosis(outside_findings(url, _no_reply(challenge)))
    elsewhere = outside_findings(url, _other_server(challenge))
    if elsewhere:
        return Diagnosis(elsewhere)
    groups = {
        "challenge": _challenge(url, challenge),
        "clock": _clock(challenge, replies.challenged_at),
        "token endpoint": _token_endpoint(replies),
        "header limits": _header_limits(replies),
        "uploads": _uploads(replies),
    }
    found = {name: outside_findings(url, codes) for name, codes in groups.items()}
    skipped = () if replies.sized_upload is not None else (SkippedCheck("uploads", "/v2/ does not ask for a token"),)
    passed = tuple(name for name, findings in found.items() if not findings and name not in {s.check for s in skipped})
    return Diagnosis(tuple(finding for findings in found.values() for finding in findings), skipped, passed)


def bearer_challenge(reply: Reply) -> Challenge | None:
    """Return the Bearer challenge of an answer that names a realm; None when it has none."""
    if not isinstance(reply, HttpReply):
        return None
    found = parse_challenges(reply.header("www-authenticate"))
    return next((one for one in found if one.scheme == BEARER and one.parameters.get("realm")), None)


def registry_code(reply: Reply) -> str:
    """Return the code of the first error in a registry's answer; empty when there is none."""
    return _first_error(reply).get("code", "")


def registry_message(reply: Reply) -> str:
    """Return the sentence of the first error in a registry's answer; empty when there is none."""
    return _first_error(reply).get("message", "")


def is_of_authsvc(reply: Reply | None) -> bool:
    """Whether authsvc itself answered: it names the request in every error, and nothing in front of it does."""
    return isinstance(reply, HttpReply) and "(request " in registry_message(reply)


def other_origin(found: str, url: PublicUrl) -> tuple[bool, bool]:
    """Return whether an absolute address has another scheme, and another host or port, than ``url``."""
    parts = urlsplit(found)
    same_host = parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
    return parts.scheme != url.scheme, same_host != urlsplit(url.origin).netloc


def outside_findings(url: PublicUrl, codes: Codes) -> tuple[Finding, ...]:
    """Return the findings of some codes with their facts, and with what is known of the address."""
    port = urlsplit(url.text).port or {"http": 80, "https": 443}[url.scheme]
    known = {"url": url.text, "scheme": url.scheme, "service": url.authority, "realm": url.realm, "port": port}
    return tuple(Finding.of(code, OUTSIDE_KINDS, {**known, "host": url.host, **facts}) for code, facts in codes)


def _no_reply(reply: NoReply) -> Codes:
    other_scheme = reply.reason in {NoReplyReason.TLS, NoReplyReason.NOT_HTTP, NoReplyReason.CLOSED}
    yield ("scheme-mismatch" if other_scheme else "unreachable"), {"detail": reply.detail}


def _other_server(reply: HttpReply) -> Codes:
    """Find nginx's answer to plain http on a TLS port."""
    if reply.status == HTTPStatus.BAD_REQUEST and b"HTTPS" in reply.body:
        yield "scheme-mismatch", {"detail": "the port speaks TLS"}


def _challenge(url: PublicUrl, reply: HttpReply) -> Codes:
    if reply.status == HTTPStatus.OK and "registry" in reply.header("docker-distribution-api-version"):
        yield "auth-disabled", {}
    elif _is_redirect(reply):
        yield "redirected", {"status": reply.status, "location": reply.header("location")}
    elif reply.status != HTTPStatus.UNAUTHORIZED:
        yield "not-a-registry", {"status": reply.status, "reason": reply.reason}
    else:
        yield from _realm(url, reply)


def _realm(url: PublicUrl, reply: HttpReply) -> Codes:
    challenge = bearer_challenge(reply)
    if challenge is None:
        yield "challenge-unusable", {"challenge": reply.header("www-authenticate")}
        return
    realm, service = challenge.parameters["realm"], challenge.parameters.get("service", "")
    scheme_differs, host_differs = other_origin(realm, url)
    if host_differs:
        yield "realm-host", {"found": realm}
    if scheme_differs:
        yield "realm-scheme", {"found": realm}
    if service != url.authority:
        yield "service-wrong", {"found": service}


def clock_skew(reply: HttpReply, asked_at: datetime) -> timedelta | None:
    """Return how far ahead of this machine the clock of a server is; None when it does not say."""
    try:
        return parsedate_to_datetime(reply.header("date")) - asked_at
    except (ValueError, TypeError):
        return None


def skew_facts(skew: timedelta) -> dict[str, object]:
    """Return how far and in which direction a clock is off, for a sentence."""
    direction = "ahead of" if skew > timedelta() else "behind"
    return {"seconds": round(abs(skew.total_seconds())), "direction": direction}


def _clock(reply: HttpReply, asked_at: datetime) -> Codes:
    skew = clock_skew(reply, asked_at)
    if skew is not None and abs(skew) > MOST_SKEW:
        yield "clock-off", skew_facts(skew)


def _token_endpoint(replies: OutsideReplies) -> Codes:
    get, post = replies.token_get, replies.token_post
    path: dict[str, object] = {"path": replies.realm_path}
    redirected = [(m, r) for m, r in (("GET", get), ("POST", post)) if _is_redirect(r) and isinstance(r, HttpReply)]
    for method, reply in redirected[:1]:
        yield "token-redirected", {**path, "method": method, "location": reply.header("location")}
    if isinstance(get, HttpReply) and not _is_redirect(get):
        yield from _token_get(get, path, replies.url)
    elif isinstance(get, NoReply):
        yield "token-endpoint-missing", {**path, "got": get.detail}
    is_answered = is_of_authsvc(get) and get is not None
    if is_answered and post is not None and not is_of_authsvc(post) and not _is_redirect(post):
        yield "token-post-refused", {**path, "got": outcome(post)}


def _token_get(reply: HttpReply, path: dict[str, object], url: PublicUrl) -> Codes:
    facts = {**path, "got": outcome(reply), "message": registry_message(reply)}
    if reply.status in {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}:
        yield "token-unavailable", facts
    elif not is_of_authsvc(reply):
        yield "token-endpoint-missing", facts
    else:
        other = _ISSUES_FOR.search(registry_message(reply))
        if other is not None and other[1] != url.authority:
            yield "public-url-wrong", {"found": other[1]}
        if "(request " not in reply.reason:
            yield "reason-phrase-lost", facts


def _header_limits(replies: OutsideReplies) -> Codes:
    login, token = replies.license_login, replies.long_token
    if is_of_authsvc(replies.token_get) and login is not None and not is_of_authsvc(login):
        yield "header-limit", {"size": replies.license_header, "got": outcome(login)}
    if token is not None and status_of(token) != HTTPStatus.UNAUTHORIZED:
        yield "token-header-limit", {"size": replies.token_header, "got": outcome(token)}


def _uploads(replies: OutsideReplies) -> Codes:
    sized, chunked = replies.sized_upload, replies.chunked_upload
    if status_of(sized) == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and isinstance(sized, HttpReply):
        yield "body-limit", {"size": replies.upload_size, "status": sized.status, "reason": sized.reason}
    elif isinstance(sized, NoReply) and sized.reason is NoReplyReason.SILENT:
        yield "request-buffering", {}
        return
    is_old = isinstance(replies.challenge, HttpReply) and replies.challenge.version == "HTTP/1.0"
    if is_old or (isinstance(chunked, NoReply) and chunked.reason is NoReplyReason.SILENT):
        yield "proxy-http-1.0", {}


def _is_redirect(reply: Reply | None) -> bool:
    return HTTPStatus.MULTIPLE_CHOICES <= status_of(reply) < HTTPStatus.BAD_REQUEST


def _first_error(reply: Reply) -> dict[str, str]:
    if not isinstance(reply, HttpReply):
        return {}
    try:
        (first, *_) = json.loads(reply.body)["errors"]
        return {name: str(first.get(name, "")) for name in ("code", "message")}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
