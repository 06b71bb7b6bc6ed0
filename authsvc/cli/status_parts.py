"""Renders the health of the server as a line for each part, and tells whether it is good.

A part has failed if customers or the vendor's people notice it, or soon will; a warning can wait until the morning.
"""

import enum
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen

from authsvc.counts import counted

MIB = 1024 * 1024

CERTIFICATE_WARNING = timedelta(days=14)
"""A certificate that expires sooner is a warning."""

ROOT_WARNING = timedelta(days=90)
"""The same of the token root: it takes three steps to replace it."""

CLOCK_WARNING, CLOCK_FAILED = 2.0, 60.0
"""Seconds between two clocks. Beyond a minute, the registry refuses new tokens."""

CRAWL_WARNING = timedelta(days=1)

AUDIT_WARNING = 0.8
"""Share of the audit's budget."""


class State(enum.Enum):
    """The state of a part."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@frozen
class PartState:
    """One line.

    Attributes:
        name: of the part.
        state: its state.
        detail: further information, and what to do if there is a problem.
    """

    name: str
    state: State
    detail: str


def parts_of(health: Mapping[str, Any], now: datetime) -> list[PartState]:
    """Return the parts that a server reports; a server of an older version reports fewer.

    Args:
        health: the answer of ``/readyz`` inside.
        now: the current time.
    """
    failed = {
        name: part["error"] for name, part in health.items() if isinstance(part, Mapping) and {*part} == {"error"}
    }
    health = {name: part for name, part in health.items() if name not in failed}
    return [
        *_server(health),
        *_redis(health),
        *_disk("disk of redis", health.get("store_disk"), "the audit has stopped; make room"),
        *_answering("registry", health.get("registry")),
        *_disk("disk of images", health.get("registry_disk"), "pushes will fail; make room"),
        *_answering("nginx", health.get("nginx")),
        *_answering("key service", health.get("keys")),
        *_certificates(health, now),
        *_clocks(health),
        *_audit(health),
        *_queues(health, now),
        *_addresses(health),
        *(PartState(name.replace("_", " "), State.FAILED, f"cannot be asked: {why}") for name, why in failed.items()),
    ]


def _server(health: Mapping[str, Any]) -> Iterator[PartState]:
    workers = health.get("workers") or {}
    serving, wanted = workers.get("serving", 0), workers.get("wanted", 0)
    words = (
        f"{serving} of {counted(wanted, 'worker')} {'serves' if wanted == 1 else 'serve'}"
        if wanted
        else "a worker answers"
    )
    if health.get("status") != "ready":
        yield PartState("server", State.FAILED, f"no tokens can be issued; {words}")
    elif serving < wanted:
        yield PartState("server", State.FAILED, f"{words}; the log says why (worker.*, leaf.*)")
    else:
        yield PartState("server", State.OK, words)
    lost = (health.get("log") or {}).get("lost", 0)
    if lost:
        yield PartState("log", State.OK, f"{counted(lost, 'line')} lost since the start; the next line said why")


def _redis(health: Mapping[str, Any]) -> Iterator[PartState]:
    if health.get("store") != "up":
        yield PartState("redis", State.FAILED, f"does not answer{_because(health.get('store_refuses'))}")
        return
    files, memory = health.get("store_files") or {}, health.get("store_memory") or {}
    facts, state = [], State.OK
    if health.get("store_refuses"):
        state, facts = State.FAILED, [f"refuses changes: {health['store_refuses']}"]
    if files.get("append_only_file", "ok") != "ok":
        state, facts = State.FAILED, [*facts, "its last write to the append-only file failed"]
    if memory.get("room") == "full":
        state, facts = State.FAILED, [*facts, "its memory is nearly full, and activity has stopped; raise maxmemory"]
    if state is State.OK and "err" in {files.get("rewrite"), files.get("snapshot")}:
        state, facts = State.WARNING, ["its last rewrite or snapshot failed; the log of redis says why"]
    facts.append(_memory(memory))
    if files.get("append_only_file_bytes"):
        facts.append(f"append-only file {_size(files['append_only_file_bytes'])}")
    yield PartState("redis", state, "; ".join(fact for fact in facts if fact))


def _memory(memory: Mapping[str, Any]) -> str:
    if "used_bytes" not in memory:
        return "up"
    limit = f" of {_size(memory['limit_bytes'])}" if memory.get("limit_bytes") else ""
    return f"{_size(memory['used_bytes'])}{limit} in use"


def _disk(name: str, disk: Mapping[str, Any] | None, when_full: str) -> Iterator[PartState]:
    if disk is None:
        return
    if "free_bytes" not in disk:
        error = disk.get("error")
        state = State.WARNING if error else State.OK
        yield PartState(name, state, f"cannot be examined: {error}" if error else "not seen from here")
        return
    words = f"{_size(disk['free_bytes'])} of {_size(disk['size_bytes'])} free ({disk['folder']})"
    if disk["room"] == "full":
        yield PartState(name, State.FAILED, f"only {words}: {when_full}")
    elif disk["room"] == "low":
        yield PartState(name, State.WARNING, f"only {words}; make room")
    else:
        yield PartState(name, State.OK, words)


def _answering(name: str, state: str | None) -> Iterator[PartState]:
    if state == "down":
        yield PartState(name, State.FAILED, "does not answer, or not as it should; its log says more")
    elif state is not None:
        yield PartState(name, State.OK, state)


def _certificates(health: Mapping[str, Any], now: datetime) -> Iterator[PartState]:
    leaf = health.get("leaf") or {}
    name = "signing certificate"
    if leaf.get("status") == "down":
        yield PartState(name, State.FAILED, "none is valid, so no token can be signed; the log says why (leaf.*)")
    elif health.get("leaf_renewal") == "by a person" and leaf.get("not_after"):
        is_soon = _left(leaf["not_after"], now) < CERTIFICATE_WARNING
        words = f"ends {_when(leaf['not_after'], now)}; make the next one with `authsvc keys issue`"
        yield PartState(name, State.WARNING if is_soon else State.OK, words)
    elif leaf.get("status") == "ending":
        words = f"ends {_when(leaf['not_after'], now)}, and was not renewed in time; the log says why (leaf.*)"
        yield PartState(name, State.WARNING, words)
    elif leaf.get("not_after"):
        yield PartState(name, State.OK, f"ends {_when(leaf['not_after'], now)}, and is renewed before")
    root = (health.get("token_root") or {}).get("not_after")
    if root is not None:
        state = State.WARNING if _left(root, now) < ROOT_WARNING else State.OK
        words = f"ends {_when(root, now)}"
        yield PartState(
            "token root", state, words if state is State.OK else f"{words}; see `authsvc keys rotate --root`"
        )
    yield from _tls(health.get("tls_certificate") or {}, now)


def _tls(certificate: Mapping[str, Any], now: datetime) -> Iterator[PartState]:
    status, detail = certificate.get("status", "not configured"), certificate.get("detail")
    if status == "not configured":
        return
    ends = f"ends {_when(certificate['not_after'], now)}" if certificate.get("not_after") else ""
    words = "; ".join(part for part in (detail, ends) if part) or "not known"
    states = {"ok": State.OK, "ends soon": State.WARNING, "unknown": State.WARNING}
    yield PartState("TLS certificate", states.get(status, State.FAILED), words)


def _clocks(health: Mapping[str, Any]) -> Iterator[PartState]:
    clocks = health.get("clocks")
    if clocks is None:
        return
    known = {
        part: clocks[key]
        for part, key in (("redis", "redis_ahead_seconds"), ("the registry", "registry_ahead_seconds"))
        if clocks.get(key) is not None
    }
    furthest = max(map(abs, known.values()), default=0)
    state = State.FAILED if furthest > CLOCK_FAILED else State.WARNING if furthest > CLOCK_WARNING else State.OK
    words = ", ".join(f"{part} {_apart(seconds)}" for part, seconds in known.items()) or "no other clock answers"
    yield PartState("clock", state, words if state is State.OK else f"{words}; set the clocks by NTP")


def _apart(seconds: float) -> str:
    if abs(seconds) <= CLOCK_WARNING:
        return "agrees"
    return f"is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}"


def _audit(health: Mapping[str, Any]) -> Iterator[PartState]:
    audit = health.get("audit")
    if audit is None:
        return
    used, budget, lost = audit["used_bytes"], audit["budget_bytes"], audit["lost"]
    words, state = [f"{_size(used)} of {_size(budget)} used", f"{audit['waiting']:,} waiting"], State.OK
    if budget and used > AUDIT_WARNING * budget:
        state, words = State.WARNING, [*words, "set AUTHSVC_AUDIT_EXPORT_DIR, or raise AUTHSVC_AUDIT_BUDGET"]
    if lost:
        words.append(f"{counted(lost, 'decision')} lost since the start")
    yield PartState("audit", state, ", ".join(words))


def _queues(health: Mapping[str, Any], now: datetime) -> Iterator[PartState]:
    """Return the queues: events of the registry, the index of images, webhooks, linked registries."""
    events, images = health.get("events"), health.get("images")
    if events is not None:
        last = events.get("last_at")
        yield PartState("registry events", State.OK, f"last {_when(last, now)}" if last else "none since the start")
    if images is not None and health.get("registry") != "not watched":
        yield _index(images, now)
    webhooks = health.get("webhooks")
    if webhooks is not None:
        dropped = webhooks["dropped"]
        words = f"{webhooks['waiting']:,} waiting" + (f", {dropped:,} dropped since the start" if dropped else "")
        yield PartState("webhooks", State.OK, words)
    failing = (health.get("upstreams") or {}).get("failing")
    if failing is not None:
        say = "failed at the last request: `authsvc upstream list` says which"
        words = f"{counted(failing, 'registry', 'registries')} {say}" if failing else "none failed at the last request"
        yield PartState("linked registries", State.WARNING if failing else State.OK, words)


def _index(images: Mapping[str, Any], now: datetime) -> PartState:
    crawled, waiting, unread = images.get("crawled_at"), images["waiting"], images["unread"]
    words = [f"registry read {_when(crawled, now)}" if crawled else "registry not read yet", f"{waiting:,} waiting"]
    is_late = crawled is not None and -_left(crawled, now) > CRAWL_WARNING
    if unread:
        words.append(f"{unread:,} could not be read (images.* in the log)")
    return PartState("image index", State.WARNING if is_late or unread else State.OK, ", ".join(words))


def _addresses(health: Mapping[str, Any]) -> Iterator[PartState]:
    addresses = health.get("client_addresses")
    if addresses is not None:
        yield PartState("client addresses", State.OK if addresses == "clear" else State.WARNING, addresses)


def _because(words: str | None) -> str:
    return f": {words}" if words else "; its log says more"


def _left(instant: str, now: datetime) -> timedelta:
    return datetime.fromisoformat(instant) - now


def _when(instant: str, now: datetime) -> str:
    """Return how far in the future or the past a time is."""
    left = _left(instant, now)
    seconds = abs(left.total_seconds())
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            words = counted(int(seconds // size), name)
            break
    else:
        words = counted(int(seconds), "second")
    return f"in {words}" if left > timedelta() else f"{words} ago"


def _size(size: float) -> str:
    """Return bytes in KiB below 1 MiB, in GiB from 10 GiB on, and otherwise in MiB."""
    if size < MIB:
        return f"{size / 1024:,.0f} KiB"
    return f"{size / MIB / 1024:,.0f} GiB" if size >= 10 * 1024 * MIB else f"{size / MIB:,.0f} MiB"
