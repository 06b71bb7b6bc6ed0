"""What is counted of an event, and for whom."""

from datetime import timedelta
from typing import Any

import pytest

from authsvc.activity.attribution import (
    MAX_SECTIONS,
    ActivityEvent,
    NotCounted,
    attributed,
    needed_apps,
    needed_licenses,
)
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import CLOCK_SLACK, HOURS_KEPT, ActivityKind
from authsvc.spec.registry_event import RegistryEvent
from tests.support.activity import BLOB, INDEX, LICENSE, MEMBER, OTHER_LICENSE, digest, event
from tests.support.builders import NOW

APP_OF = {"c000000000000001": "acme", "c000000000000002": "acme", "c000000000000003": "globex"}
ONE, TWO, FOREIGN = APP_OF


def read(one: RegistryEvent) -> ActivityEvent | NotCounted:
    """Return what is counted of an event, of two apps."""
    return attributed(one, {"acme", "globex"}, APP_OF, NOW)


def counted(one: RegistryEvent) -> ActivityEvent:
    """Return what is counted of an event that counts."""
    found = read(one)
    assert isinstance(found, ActivityEvent)
    return found


@pytest.mark.parametrize(
    ("action", "method", "facts", "kind"),
    [
        ("pull", "GET", {}, ActivityKind.PULL),
        ("pull", "GET", {"media_type": INDEX, "tag": None}, ActivityKind.PULL),
        ("pull", "GET", {"media_type": "application/vnd.new+json"}, ActivityKind.PULL),  # only manifests have tags
        ("pull", "HEAD", {}, ActivityKind.HEAD),
        ("push", "PUT", {}, ActivityKind.PUSH),
        ("delete", "DELETE", {"media_type": None, "tag": None}, ActivityKind.DELETE),
        ("pull", "GET", {"media_type": BLOB, "tag": None}, ActivityKind.DOWNLOAD),
        ("pull", "HEAD", {"media_type": BLOB, "tag": None}, None),
        ("push", "PUT", {"media_type": BLOB, "tag": None}, None),
        ("mount", "POST", {"media_type": BLOB, "tag": None}, None),
    ],
)
def test_what_is_counted(action: str, method: str, facts: dict[str, Any], kind: ActivityKind | None) -> None:
    """The table of the module."""
    found = read(event(action, method, **facts))
    assert found is NotCounted.NOTHING if kind is None else (isinstance(found, ActivityEvent) and found.kind is kind)


@pytest.mark.parametrize(
    ("subject", "repository", "accounts"),
    [
        (LICENSE, "acme/web", (LICENSE,)),
        (LICENSE, "proxy/acme/hub/nginx", (LICENSE,)),
        (LICENSE, "globex/web", ()),
        (f"license:{ONE},{TWO},{FOREIGN}", "acme/web", (LICENSE, OTHER_LICENSE)),
        (f"license:{ONE},{TWO},{FOREIGN}", "globex/web", (f"license:{FOREIGN}",)),
        (f"license:{ONE},{ONE}", "acme/web", (LICENSE,)),
        ("license:c000000000000009", "acme/web", ()),
        (MEMBER, "acme/web", (MEMBER,)),
        ("service-account:s000000000000001", "globex/web", ("service-account:s000000000000001",)),
        (None, "acme/web", ()),
        ("robot:c000000000000001", "acme/web", ()),
        ("member:*", "acme/web", ()),
        ("license:", "acme/web", ()),
    ],
)
def test_for_whom(subject: str | None, repository: str, accounts: tuple[str, ...]) -> None:
    """Licenses for their own app; whoever cannot be told apart for the app alone."""
    assert accounts == counted(event(subject=subject, repository=repository)).accounts


@pytest.mark.parametrize(
    "repository", ["nobody/web", "acme", "proxy/acme/hub", "registry.test/acme/web", "proxy/x/y/z"]
)
def test_what_belongs_to_no_app_is_not_counted(repository: str) -> None:
    """Nothing is made up for a name that only looks like an app's."""
    assert read(event(repository=repository)) is NotCounted.NO_APP


def test_what_authsvc_does_is_nobodys_activity() -> None:
    """It changes images all the same."""
    own = {"subject": "system:authsvc"}
    assert read(event(**own)) is NotCounted.NOTHING
    deleted = counted(event("delete", "DELETE", **own))
    assert (None, (), ImageName("acme/worker", "1.0")) == (deleted.kind, deleted.accounts, deleted.changed)
    assert counted(event("push", "PUT", **own)).kind is None


@pytest.mark.parametrize(
    ("age", "at"),
    [
        (timedelta(), NOW),
        (HOURS_KEPT, NOW - HOURS_KEPT),
        (HOURS_KEPT + timedelta(microseconds=1), None),
        (-CLOCK_SLACK, NOW + CLOCK_SLACK),
        (-CLOCK_SLACK - timedelta(microseconds=1), NOW),
        (timedelta(days=-4000), NOW),
    ],
)
def test_when(age: timedelta, at: object) -> None:
    """Within bounds by the registry's clock; far in the future as of now; too old not at all."""
    found = read(event(timestamp=NOW - age))
    assert found is NotCounted.TOO_OLD if at is None else (isinstance(found, ActivityEvent) and found.at == at)


def test_what_is_taken_over() -> None:
    """Bytes are a repository's; the network is a /64 of IPv6; the parts of an index are bounded."""
    blob = counted(event(media_type=BLOB, tag=None, size=7, address="2001:db8::1:2:3"))
    assert (ImageName("acme/worker"), 7, "2001:db8::/64") == (blob.image, blob.size, blob.network)
    index = counted(event(media_type=INDEX, parts=tuple(map(digest, range(MAX_SECTIONS + 1))), address=None))
    assert (MAX_SECTIONS, None, 0) == (len(index.parts), index.network, index.size)
    assert counted(event(subject=f"license:{ONE},{TWO}")).by == f"license:{ONE},{TWO}"
    assert counted(event(subject=None)).by is None


def test_what_must_be_known() -> None:
    """Apps by the repositories, licenses by the subjects; what can be neither is not looked up."""
    events = [
        event(subject=f"license:{ONE},{FOREIGN},x", repository="proxy/globex/hub/nginx"),
        event(subject=None, repository="host:5000/acme/web"),
        event(subject=MEMBER),
    ]
    assert needed_apps(events) == {"acme", "globex"}
    assert needed_licenses(events) == {ONE, FOREIGN}
