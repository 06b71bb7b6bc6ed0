"""Random histories of a registry with what must be counted of them, written down while they are made up.

Nothing here reads an event: each is made from the facts that are counted, so a mistake in how authsvc reads events
cannot be repeated in the expected totals.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import define, field

from authsvc.spec.registry_event import RegistryEvent
from tests.support.activity import BLOB, INDEX, MANIFEST, event

ACME = ("license:c000000000000001", "license:c000000000000002")
GLOBEX = ("license:c000000000000003",)
PEOPLE = {"acme": "member:m000000000000001", "globex": "service-account:s000000000000003"}
REPOSITORIES = ("acme/web", "acme/api/v1", "proxy/acme/hub/nginx", "globex/web", "globex/db")
TAGS = 6
CHILD = 900
"""Added to the number of an index: its manifest for one platform."""

Row = tuple[datetime, str, str, str | None, str | None, str, str]
"""Start of the period, app, repository, tag, digest, what was done, subject."""


@define
class Expected:
    """What must be counted.

    Attributes:
        rows: how often, by row; downloads in bytes.
        ends: first and last time of each row.
        days: by day and app: how often each thing was done by everyone together, and ``size``.
        pulls: by app and subject, how often it pulled.
        sizes: by app and subject, bytes of downloads.
        networks: by app and subject.
        pulled: by app and subject, first and last pull.
        events: unique ones that count.
    """

    rows: Counter[Row] = field(factory=Counter)
    ends: dict[Row, tuple[datetime, datetime]] = field(factory=dict)
    days: dict[tuple[datetime, str], Counter[str]] = field(factory=lambda: defaultdict(Counter))
    pulls: Counter[tuple[str, str]] = field(factory=Counter)
    sizes: Counter[tuple[str, str]] = field(factory=Counter)
    networks: dict[tuple[str, str], set[str]] = field(factory=lambda: defaultdict(set))
    pulled: dict[tuple[str, str], list[datetime]] = field(factory=lambda: defaultdict(list))
    events: int = 0

    def add(self, period: timedelta, at: datetime, app: str, what: Sequence[Any], subjects: Iterable[str]) -> None:
        """Add one action of some subjects to the rows."""
        repository, tag, digest, done, amount = what
        start = at - timedelta(seconds=at.timestamp() % period.total_seconds())
        for subject in subjects:
            row = (start, app, repository, tag, digest, done, subject)
            self.rows[row] += amount
            first, last = self.ends.get(row, (at, at))
            self.ends[row] = min(first, at), max(last, at)


def digest_of(number: int) -> str:
    """Return the digest of a numbered manifest."""
    return f"sha256:{number:064x}"


@define
class History:
    """Makes events up.

    Attributes:
        chance: decides.
        now: the end of the history.
        period: of the rows that are expected.
        expected: what must be counted of the events so far.
    """

    chance: random.Random
    now: datetime
    period: timedelta = timedelta(days=1)
    expected: Expected = field(factory=Expected)

    def deliveries(self, count: int, repeated: float = 0.3, displaced: float = 0.2) -> list[RegistryEvent]:
        """Return what the registry sends: unique events, some of them again later, and some in another place."""
        unique = sorted(self.events(round(count * (1 - repeated))), key=lambda one: one.timestamp)
        sent = list(unique)
        while len(sent) < count:
            original = self.chance.randrange(len(unique))
            sent.insert(self.chance.randrange(original, len(sent) + 1), unique[original])
        for _ in range(round(len(sent) * displaced / 2)):
            one, other = self.chance.randrange(len(sent)), self.chance.randrange(len(sent))
            sent[one], sent[other] = sent[other], sent[one]
        return sent

    def events(self, count: int) -> list[RegistryEvent]:
        """Return unique events, perhaps one more."""
        found: list[RegistryEvent] = []
        while len(found) < count:
            found += self._some()
        return found

    def _some(self) -> list[RegistryEvent]:
        """Return one action of a client: one or two events."""
        repository = self.chance.choice(REPOSITORIES)
        app = next(part for part in repository.split("/") if part != "proxy")
        seconds = self.chance.randrange(13 * 86400)
        at = (self.now - timedelta(seconds=seconds)).replace(microsecond=0)
        subject, counted = self._subject(app)
        address, network = self.chance.choice(
            [("198.51.100.7", "198.51.100.7"), ("2001:db8::1:2", "2001:db8::/64"), ("2001:db8::9", "2001:db8::/64")]
        )
        facts = {"timestamp": at, "repository": repository, "subject": subject, "address": address}
        number = self.chance.randrange(TAGS)
        make = self.chance.choices(
            [self._pull, self._by_digest, self._head, self._push, self._delete, self._blob, self._nothing],
            [6, 4, 3, 2, 1, 4, 2],
        )[0]
        return make(facts, app, counted, network, number)

    def _subject(self, app: str) -> tuple[str, tuple[str, ...]]:
        """Return the subject of an event, and whom it counts for."""
        licenses = ACME if app == "acme" else GLOBEX
        everyone = ",".join(sorted(one.removeprefix("license:") for one in ACME + GLOBEX))
        return self.chance.choice(
            [
                *((one, (one,)) for one in licenses),
                (PEOPLE[app], (PEOPLE[app],)),
                (f"license:{everyone}", licenses),
                ("license:c000000000000004", ()),  # of a third app
            ]
        )

    def _count(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], what: Sequence[Any], network: str | None
    ) -> None:
        at, done, amount = facts["timestamp"], what[3], what[4]
        self.expected.events += 1
        self.expected.add(self.period, at, app, what, counted)
        day = at.replace(hour=0, minute=0, second=0)
        self.expected.days[day, app]["size" if done == "download" else done] += amount
        for subject in counted:
            if network is not None:
                self.expected.networks[app, subject].add(network)
            if done == "pull":
                self.expected.pulls[app, subject] += 1
                self.expected.pulled[app, subject].append(at)
            if done == "download":
                self.expected.sizes[app, subject] += amount

    def _pull(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], network: str, number: int
    ) -> list[RegistryEvent]:
        """Return an index by its tag, and the manifest in it by its digest, which is the same pull."""
        child, tag = digest_of(CHILD + number), f"v{number}"
        self._count(facts, app, counted, (facts["repository"], tag, digest_of(number), "pull", 1), network)
        self.expected.events += 1
        for subject in counted:
            self.expected.pulled[app, subject].append(facts["timestamp"])
        return [
            event(media_type=INDEX, tag=tag, digest=digest_of(number), parts=(child,), **facts),
            event(media_type=MANIFEST, tag=None, digest=child, **facts),
        ]

    def _by_digest(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], network: str, number: int
    ) -> list[RegistryEvent]:
        self._count(facts, app, counted, (facts["repository"], None, digest_of(number), "pull", 1), network)
        return [event(media_type=INDEX, tag=None, digest=digest_of(number), **facts)]

    def _head(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], network: str, number: int
    ) -> list[RegistryEvent]:
        self._count(facts, app, counted, (facts["repository"], f"v{number}", digest_of(number), "head", 1), network)
        return [event("pull", "HEAD", tag=f"v{number}", digest=digest_of(number), **facts)]

    def _push(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], network: str, number: int
    ) -> list[RegistryEvent]:
        self._count(facts, app, counted, (facts["repository"], f"v{number}", digest_of(number), "push", 1), network)
        return [event("push", "PUT", tag=f"v{number}", digest=digest_of(number), **facts)]

    def _delete(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], network: str, number: int
    ) -> list[RegistryEvent]:
        self._count(facts, app, counted, (facts["repository"], f"v{number}", None, "delete", 1), network)
        return [event("delete", "DELETE", tag=f"v{number}", digest=None, media_type=None, **facts)]

    def _blob(
        self, facts: dict[str, Any], app: str, counted: tuple[str, ...], network: str, number: int
    ) -> list[RegistryEvent]:
        size = self.chance.randrange(1, 2**40)
        self._count(facts, app, counted, (facts["repository"], None, None, "download", size), network)
        return [event(media_type=BLOB, tag=None, size=size, digest=digest_of(5000 + number), **facts)]

    def _nothing(
        self, facts: dict[str, Any], _app: str, _counted: tuple[str, ...], _network: str, number: int
    ) -> list[RegistryEvent]:
        """Return an event of which nothing is counted."""
        old = self.now - timedelta(days=15)
        return [
            self.chance.choice(
                [
                    event("pull", "HEAD", media_type=BLOB, tag=None, **facts),
                    event("push", "PUT", media_type=BLOB, tag=None, **facts),
                    event("mount", "POST", media_type=BLOB, tag=None, **facts),
                    event(tag=f"v{number}", **{**facts, "subject": "system:authsvc"}),
                    event(tag=f"v{number}", **{**facts, "repository": "nobody/web"}),
                    event(tag=f"v{number}", **{**facts, "timestamp": old}),
                ]
            )
        ]
