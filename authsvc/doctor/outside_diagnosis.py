"""Diagnoses an installation from outside, with only its address and optionally an account that may push."""

from collections.abc import Callable
from datetime import datetime

from authsvc.doctor.certificate_check import TrustedAuthorities, certificate_of
from authsvc.doctor.certificate_rules import diagnose_certificate
from authsvc.doctor.finding import Diagnosis, SkippedCheck
from authsvc.doctor.http_question import ServerAddress
from authsvc.doctor.outside_checks import SILENCE, ask_outside
from authsvc.doctor.outside_replies import OutsideReplies, status_of
from authsvc.doctor.outside_rules import diagnose_outside, is_of_authsvc, outside_findings
from authsvc.doctor.push_checks import PushRequest, ask_push
from authsvc.doctor.push_rules import diagnose_push, may_push
from authsvc.public_url import PublicUrl
from authsvc.tls.certificate import SeenCertificate

PUSH, CERTIFICATE = "push", "certificate"


async def examine_outside(
    url: PublicUrl,
    authorities: TrustedAuthorities,
    clock: Callable[[], datetime],
    push: PushRequest | None = None,
    silence: float = SILENCE,
) -> Diagnosis:
    """Return the problems that clients would have.

    It takes at most a minute, and with a push its seconds and another minute and a half besides.

    Args:
        url: the address as clients type it.
        authorities: the certificate authorities that this machine trusts.
        clock: the wall clock.
        push: what is pushed; None for nothing.
        silence: seconds after which a proxy is considered one that buffers bodies.

    Raises:
        SetupRefused: the file of authorities cannot be read.
    """
    certificate = None
    server = ServerAddress.of(url, authorities.context() if url.scheme == "https" else None)
    if url.scheme == "https":
        certificate = await certificate_of(server, authorities)
        if certificate is not None and certificate.error:
            # Other problems are reported in the same run; no secrets are sent over such a connection.
            server = ServerAddress.of(url, authorities.context(verified=False))
    replies = await ask_outside(server, url, clock, silence)
    found = _certificate(url, certificate, clock()).joined(diagnose_outside(replies))
    return found.joined(await _push(server, replies, certificate, push))


def _certificate(url: PublicUrl, seen: SeenCertificate | None, now: datetime) -> Diagnosis:
    if seen is None:
        return Diagnosis()
    findings = outside_findings(url, diagnose_certificate(seen, now))
    return Diagnosis(findings, (), () if findings else (CERTIFICATE,))


async def _push(
    server: ServerAddress, replies: OutsideReplies, certificate: SeenCertificate | None, push: PushRequest | None
) -> Diagnosis:
    if push is None:
        why = "no account that may push was given; --username, --password-stdin and --repository name one"
        return _skipped(why)
    if not replies.url.takes_secure_cookies:
        return _skipped("the password is not sent over plain http, except to this machine")
    if certificate is not None and certificate.error:
        return _skipped("the password is not sent over a connection that cannot be trusted")
    if not is_of_authsvc(replies.token_get) or status_of(replies.challenge) != 401:  # noqa: PLR2004  HTTP
        return _skipped("the password is sent to authsvc alone, and something else answers")
    pushed = await ask_push(server, replies.url, replies.realm_path, push)
    findings = outside_findings(replies.url, diagnose_push(pushed))
    if not findings and not may_push(pushed):
        return _skipped(f"the account may not push to {push.repository}")
    return Diagnosis(findings, (), () if findings else (PUSH,))


def _skipped(why: str) -> Diagnosis:
    return Diagnosis(skipped=(SkippedCheck(PUSH, why),))
