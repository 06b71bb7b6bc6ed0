"""Rules that derive findings from the answers of the parts of an installation."""

import hmac
from collections.abc import Iterator
from http import HTTPStatus

from authsvc.doctor.finding import Diagnosis, Finding, SkippedCheck
from authsvc.doctor.http_question import HttpReply, NoReply, NoReplyReason
from authsvc.doctor.inside_catalogue import INSIDE_KINDS
from authsvc.doctor.inside_replies import InsideReplies, OwnFacts, RegistryReplies
from authsvc.doctor.outside_replies import outcome, status_of
from authsvc.doctor.outside_rules import MOST_SKEW, bearer_challenge, clock_skew, skew_facts
from authsvc.doctor.push_rules import diagnose_upload
from authsvc.doctor.registry_config import RegistryConfig

REDIS, WORKERS, REGISTRY, CONFIG, WEBHOOK = "redis", "workers", "registry", "registry configuration", "webhook"

Codes = Iterator[tuple[str, dict[str, object]]]


def diagnose_inside(replies: InsideReplies) -> Diagnosis:
    """Return the problems, the most basic ones first."""
    groups = {
        REDIS: _redis(replies),
        WORKERS: _workers(replies),
        REGISTRY: _registry(replies),
        CONFIG: _config(replies),
        WEBHOOK: _webhook(replies),
    }
    found = {name: _findings(replies.own, codes) for name, codes in groups.items()}
    skipped = tuple(_skipped(replies))
    left_out = {one.check for one in skipped}
    passed = tuple(name for name, findings in found.items() if not findings and name not in left_out)
    return Diagnosis(tuple(finding for findings in found.values() for finding in findings), skipped, passed)


def _findings(own: OwnFacts, codes: Codes) -> tuple[Finding, ...]:
    url = own.url
    known = {"url": url.text, "realm": url.realm, "service": url.authority, "issuer": own.issuer, "root": own.root}
    return tuple(Finding.of(code, INSIDE_KINDS, {**known, **facts}) for code, facts in codes)


def _skipped(replies: InsideReplies) -> Iterator[SkippedCheck]:
    for problem in replies.redis or ():
        if problem.is_unknown:
            yield SkippedCheck("redis settings", problem.sentence)
    if replies.redis is None or not replies.worker_roots:
        yield SkippedCheck(WORKERS, "no running worker is known")
    if replies.registry is None:
        yield SkippedCheck(REGISTRY, "its address is not set (AUTHSVC_REGISTRY_URL)")
    if replies.config is None:
        why = "it cannot be read here; --registry-config names it"
        yield SkippedCheck(CONFIG, why)
        yield SkippedCheck(WEBHOOK, why)
    elif replies.own.http_secret is None:
        yield SkippedCheck(CONFIG, "registry-http.secret cannot be read here")
    if isinstance(replies.notified, NoReply) and replies.notified.reason is NoReplyReason.UNKNOWN_NAME:
        yield SkippedCheck(WEBHOOK, f"the name in {replies.receiver} is known to the registry alone")


def _redis(replies: InsideReplies) -> Codes:
    if replies.redis is None:
        yield "redis-unreachable", {}
    for problem in replies.redis or ():
        if not problem.is_unknown:
            yield f"redis-{problem.code}", {"detail": problem.sentence}


def _workers(replies: InsideReplies) -> Codes:
    for root in sorted(set(replies.worker_roots) - set(replies.own.roots)):
        yield "worker-root", {"found": root}
        return


def _registry(replies: InsideReplies) -> Codes:
    registry = replies.registry
    if registry is None:
        return
    challenge, facts = registry.challenge, {"address": registry.address}
    if isinstance(challenge, NoReply):
        yield "registry-unreachable", {**facts, "detail": challenge.detail}
    elif challenge.status != HTTPStatus.UNAUTHORIZED:
        yield "registry-auth-disabled", {**facts, "got": outcome(challenge)}
    else:
        yield from _trust(replies, registry, challenge)
        yield from _storage(registry)


def _trust(replies: InsideReplies, registry: RegistryReplies, challenge: HttpReply) -> Codes:
    own, found = replies.own, list(_challenge(replies.own, challenge))
    skew = clock_skew(challenge, registry.challenged_at)
    if skew is not None and abs(skew) > MOST_SKEW:
        found.append(("registry-clock", skew_facts(skew)))
    yield from found
    codes = {code for code, _ in found}
    accepted = registry.accepted
    if accepted is None or status_of(accepted) == HTTPStatus.OK or codes & {"registry-service", "registry-clock"}:
        return
    causes = list(_causes(own, replies.config))
    yield from causes or [("registry-rejects-tokens", {"got": outcome(accepted)})]


def _challenge(own: OwnFacts, challenge: HttpReply) -> Codes:
    asked = bearer_challenge(challenge)
    realm = "" if asked is None else asked.parameters["realm"]
    if realm != own.url.realm:
        yield "registry-realm", {"found": realm or "no address"}
    service = "" if asked is None else asked.parameters.get("service", "")
    if asked is not None and service != own.url.authority:
        yield "registry-service", {"found": service}


def _causes(own: OwnFacts, config: RegistryConfig | None) -> Codes:
    """Find in its configuration why a registry refuses tokens."""
    if config is None:
        return
    if config.issuer != own.issuer:
        yield "registry-issuer", {"found": config.issuer}
    if config.roots is not None and own.root not in config.roots:
        yield "registry-root", {"bundle": config.bundle}


def _storage(registry: RegistryReplies) -> Codes:
    began, facts = registry.began, dict[str, object](address=registry.address)
    is_read_only = status_of(began) == HTTPStatus.METHOD_NOT_ALLOWED
    if is_read_only and began is not None:
        yield "registry-read-only", {"got": outcome(began)}
    elif status_of(registry.deleted) == HTTPStatus.METHOD_NOT_ALLOWED:
        yield "registry-delete-disabled", {}
    if status_of(registry.catalog) == HTTPStatus.OK:
        yield "registry-old", {}
    for code, upload in diagnose_upload(registry.continued):
        if code == "upload-state":
            seen = "an upload that one replica of the registry began is not accepted by another"
            yield "http-secret-differs", {"seen": seen, **upload}
        else:
            yield "registry-storage-differs", facts


def _config(replies: InsideReplies) -> Codes:
    config, own = replies.config, replies.own
    if config is None or own.http_secret is None:
        return
    if any(
        code == "upload-state" for code, _ in diagnose_upload(replies.registry.continued if replies.registry else ())
    ):
        return
    if config.http_secret is None:
        yield "http-secret-differs", {"seen": f"{config.path} sets no http.secret, so every replica makes up its own"}
    elif not hmac.compare_digest(config.http_secret.reveal().encode(), own.http_secret.reveal().encode()):
        yield "http-secret-differs", {"seen": f"http.secret in {config.path} is not the one in registry-http.secret"}


def _webhook(replies: InsideReplies) -> Codes:
    if replies.config is None:
        return
    notified, facts = replies.notified, dict[str, object](receiver=replies.receiver)
    if not replies.config.endpoints:
        yield "webhook-missing", {}
    elif status_of(notified) == HTTPStatus.UNAUTHORIZED:
        yield "webhook-wrong-bearer", facts
    elif isinstance(notified, NoReply) and notified.reason is NoReplyReason.UNKNOWN_NAME:
        return
    elif notified is not None and status_of(notified) not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
        yield "webhook-wrong-url", {**facts, "got": outcome(notified)}
