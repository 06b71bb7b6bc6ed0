"""Records, keys and stores for tests: real values with defaults, never mocks."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.credentials.machine_secret import MachineSecret, derive_license_token
from authsvc.credentials.subject import LicenseSubject, MemberSubject
from authsvc.redaction import Secret
from authsvc.signing.jws import Leaf
from authsvc.signing.root import LEAF_LIFE, create_root, issue_leaf
from authsvc.tenancy.records import App, License, LicenseType, Member, Role, TokenDigest

T = TypeVar("T")

NOW = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
"""The present of every test that needs one."""

SERVICE = "registry.vendor.test:5000"
TOKEN_KEY = bytes(range(32))
"""The license-token key of the test installation."""

MEMBER_ID, LICENSE_ID = "m000000000000001", "c000000000000001"
PASSWORD = Secret("correct horse battery")


def make_app(slug: str = "acme", *, team: str = "acme-team", archived_at: datetime | None = None) -> App:
    """Return an app."""
    return App(slug, team, f"App {slug}", NOW - timedelta(days=9), archived_at)


def make_member(
    role: Role = Role.OWNER,
    *,
    member_id: str = MEMBER_ID,
    email: str = "me@acme.test",
    team: str = "acme-team",
    apps: tuple[str, ...] | None = None,
    password: Secret = PASSWORD,
    epoch: int = 1,
    disabled_at: datetime | None = None,
) -> Member:
    """Return a member whose password hash is one of :func:`check_plainly`."""
    return Member(
        member_id, email, team, role, apps, plain_hash(password), epoch, NOW - timedelta(days=9), disabled_at
    )  # fmt: skip


def make_license(
    license_id: str = LICENSE_ID,
    *,
    app: str = "acme",
    team: str = "acme-team",
    generations: tuple[tuple[int, datetime | None], ...] = ((1, None),),
    **changes: Any,
) -> License:
    """Return a license that is active at :data:`NOW`, with a derived token for each of ``generations``."""
    tokens = tuple(TokenDigest(number, license_token(license_id, number).sha256(), end) for number, end in generations)
    facts: dict[str, Any] = {
        "customer": "Globex",
        "type": LicenseType.PAID,
        "issued_at": NOW - timedelta(days=5),
        "expires_at": NOW + timedelta(days=100),
        "registry": SERVICE,
        "contact": "sales@acme.test",
    }
    return License(id=license_id, app=app, team=team, tokens=tokens, **facts | changes)


def license_token(license_id: str = LICENSE_ID, generation: int = 1) -> MachineSecret:
    """Return the registry token of a license of the test installation."""
    return derive_license_token(TOKEN_KEY, license_id, generation)


def as_member(member: Member, *apps: App) -> MemberSubject:
    """Return ``member`` proven, with those apps looked up."""
    return MemberSubject(member, {app.slug: app for app in apps})


def as_license(license_: License, app: App | None = None) -> LicenseSubject:
    """Return the holder of ``license_`` proven."""
    return LicenseSubject(license_, app or make_app(license_.app, team=license_.team))


def plain_hash(password: Secret) -> Secret:
    """Return what :func:`check_plainly` takes for a hash."""
    return Secret(f"plain:{password.reveal()}")


def check_plainly(password: Secret, password_hash: Secret) -> bool:
    """Compare without Argon2, for tests that are not about its cost."""
    return plain_hash(password) == password_hash


@define
class MemoryStandings:
    """Everything that the token path reads, in memory, in the interface of the store.

    Attributes:
        members: by id.
        apps: by slug.
        licenses: by id.
        calls: what was asked, in order.
        after_first: what happens between the first answer and the second question.
    """

    members: dict[str, Member] = field(factory=dict)
    apps: dict[str, App] = field(factory=dict)
    licenses: dict[str, License] = field(factory=dict)
    calls: list[str] = field(factory=list)
    after_first: Callable[[], None] = field(default=lambda: None)

    @classmethod
    def of(cls, *records: Member | App | License) -> "MemoryStandings":
        """Return a store that holds ``records``."""
        standings = cls()
        for record in records:
            standings.put(record)
        return standings

    def put(self, record: Member | App | License) -> None:
        """Store ``record`` in place of an older one."""
        match record:
            case Member():
                self.members[record.id] = record
            case App():
                self.apps[record.slug] = record
            case License():
                self.licenses[record.id] = record

    async def member_by_email(self, email: str) -> Member | None:
        """Return the member with this address."""
        found = next((member for member in self.members.values() if member.email == email), None)
        return await self._first("member_by_email", found)

    async def member_standing(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member and the apps of ``slugs`` that exist."""
        self.calls.append("member_standing")
        return self.members.get(member_id), {slug: self.apps[slug] for slug in slugs if slug in self.apps}

    async def license(self, license_id: str) -> License | None:
        """Return the license."""
        return await self._first("license", self.licenses.get(license_id))

    async def license_standing(self, license_id: str, slug: str) -> tuple[License | None, App | None]:
        """Return the license and its app."""
        self.calls.append("license_standing")
        return self.licenses.get(license_id), self.apps.get(slug)

    async def _first(self, name: str, answer: T) -> T:
        self.calls.append(name)
        await asyncio.sleep(0)
        self.after_first()
        return answer


@frozen
class Root:
    """A token root with its key.

    Attributes:
        key: the private key.
        certificate: self-signed.
    """

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, now: datetime = NOW, serial: int = 7) -> "Root":
        """Return a new root made at ``now``."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, create_root(key, serial=serial, now=now))

    def leaf(self, now: datetime = NOW, life: timedelta = LEAF_LIFE, serial: int = 11) -> Leaf:
        """Return a new leaf under this root."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue_leaf(self.certificate, self.key, key.public_key(), serial=serial, now=now, life=life)
        return Leaf(key, certificate)
