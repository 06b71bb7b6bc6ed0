"""Attributes an event of the registry to accounts, and determines what is counted.

=========================================  ==================================================================
event                                      counted
=========================================  ==================================================================
GET of a manifest                          a pull
HEAD of a manifest                         a head: clients ask so whether a tag has changed
PUT of a manifest                          a push
DELETE                                     a delete
GET of a blob                              a download: its whole size as downloads
anything else: HEAD and upload of a blob,  nothing
mount
=========================================  ==================================================================

A license's activity counts only for its own app. With several licenses in one subject, each one for the repository's
app counts, and the app once. Other accounts count for the app of the repository. Requests of authsvc itself are not
counted as activity, but they change images.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum

from attrs import frozen

from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import CLOCK_SLACK, HOURS_KEPT, ActivityKind
from authsvc.client import UNKNOWN, network_of
from authsvc.credentials.machine_secret import is_id
from authsvc.policy import locate
from authsvc.spec.registry_event import CacheUse, EventAction, RegistryEvent
from authsvc.tenancy.subjects import LICENSE, SYSTEM, join_licenses, split_subject

MAX_SECTIONS = 100
"""Most manifests of an index that are stored as parts of it."""

MANIFESTS = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
"""Media types of manifests and indexes; an event with another type is about a blob."""

_SUBJECTS = ("member", "service-account", "license")


class NotCounted(StrEnum):
    """Why an event is not counted."""

    NO_APP = "no_app"
    """Its repository belongs to no app."""

    NOTHING = "nothing"
    """It does not count as activity."""

    TOO_OLD = "too_old"
    """It is older than :data:`HOURS_KEPT`."""


@frozen
class ActivityEvent:
    """What is counted of one event.

    Attributes:
        id: of the registry's event.
        timestamp: as the registry gave it.
        at: time for which it counts: the same, unless that is in the future.
        app: slug.
        kind: what is counted; None for requests of authsvc itself, which only change images.
        action: what was done.
        image: the repository, with tag and digest if the event has them; for a download only the repository.
        accounts: subjects that it counts for, each of one record; empty when the token had no usable subject.
        size: bytes of a download.
        network: of the client, as :func:`authsvc.client.network_of` names it; None if it is not known.
        parts: digests of the manifests of an index.
        cache: of an image of a linked registry.
    """

    id: str
    timestamp: datetime
    at: datetime
    app: str
    kind: ActivityKind | None
    action: EventAction
    image: ImageName
    accounts: tuple[str, ...] = ()
    size: int = 0
    network: str | None = None
    parts: tuple[str, ...] = ()
    cache: CacheUse | None = None

    @property
    def changed(self) -> ImageName | None:
        """What the index of images must read again: a tag, or all tags of a deleted digest; None for nothing.

        A push without a tag changes no tag: usually it is a platform of an index whose tag is pushed next.
        """
        match self.action, self.image:
            case (EventAction.PUSH | EventAction.DELETE, ImageName(repository, str() as tag)):
                return ImageName(repository, tag)
            case (EventAction.DELETE, image):
                return image
            case _:
                return None

    @property
    def by(self) -> str | None:
        """The accounts as one subject, or None."""
        if len(self.accounts) > 1:
            return join_licenses(subject.removeprefix(LICENSE) for subject in self.accounts)
        return next(iter(self.accounts), None)


def needed_apps(events: Iterable[RegistryEvent]) -> set[str]:
    """Return the slugs of the apps whose existence :func:`attributed` must know."""
    located = (locate(event.repository) for event in events)
    return {location.app for location in located if location is not None}


def needed_licenses(events: Iterable[RegistryEvent]) -> set[str]:
    """Return the ids of the licenses whose apps :func:`attributed` must know."""
    subjects = {event.subject for event in events if event.subject is not None}
    named = {one.removeprefix(LICENSE) for subject in subjects for one in split_subject(subject) if _is_license(one)}
    return {license_id for license_id in named if is_id(license_id)}


def attributed(
    event: RegistryEvent, apps: Collection[str], app_of: Mapping[str, str], now: datetime
) -> ActivityEvent | NotCounted:
    """Return what is counted for ``event``.

    Args:
        event: as the registry sent it.
        apps: slugs that exist.
        app_of: the slug of each license's app, by the license's id.
        now: the time of the request.
    """
    location = locate(event.repository)
    if location is None or location.app not in apps:
        return NotCounted.NO_APP
    own = event.subject == SYSTEM
    kind = _kind(event)
    if kind is None or (own and event.action not in {EventAction.PUSH, EventAction.DELETE}):
        return NotCounted.NOTHING
    if event.timestamp < now - HOURS_KEPT:
        return NotCounted.TOO_OLD
    whole = kind is not ActivityKind.DOWNLOAD
    return ActivityEvent(
        id=event.id,
        timestamp=event.timestamp,
        at=event.timestamp if event.timestamp <= now + CLOCK_SLACK else now,
        app=location.app,
        kind=None if own else kind,
        action=event.action,
        image=ImageName(event.repository, event.tag, event.digest) if whole else ImageName(event.repository),
        accounts=() if own else _accounts(event.subject, location.app, app_of),
        size=0 if whole else event.size or 0,
        network=_network(event.address),
        parts=event.parts[:MAX_SECTIONS] if whole else (),
        cache=event.cache,
    )


def _kind(event: RegistryEvent) -> ActivityKind | None:
    manifest = event.tag is not None or event.media_type in MANIFESTS
    match event.action, event.method:
        case (EventAction.DELETE, _):  # its media type is empty in 3.x
            return ActivityKind.DELETE
        case (EventAction.PUSH, _) if manifest:
            return ActivityKind.PUSH
        case (EventAction.PULL, "GET"):
            return ActivityKind.PULL if manifest else ActivityKind.DOWNLOAD
        case (EventAction.PULL, "HEAD") if manifest:
            return ActivityKind.HEAD
        case _:
            return None


def _accounts(subject: str | None, app: str, app_of: Mapping[str, str]) -> tuple[str, ...]:
    found = []
    for one in split_subject(subject or ""):
        kind, _, record_id = one.partition(":")
        if kind not in _SUBJECTS or not is_id(record_id):
            continue
        if not _is_license(one) or app_of.get(record_id) == app:
            found.append(one)
    return tuple(sorted(set(found)))


def _is_license(subject: str) -> bool:
    return subject.startswith(LICENSE)


def _network(address: str | None) -> str | None:
    found = network_of(address)
    return None if found == UNKNOWN else found
