"""Records, keys and stores for tests: real values with defaults, never mocks."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, cast

from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.client import Client
from authsvc.credentials.facts import C, Credential, CredentialFacts
from authsvc.credentials.machine_secret import (
    PERSONAL_KIND,
    REFRESH_KIND,
    SERVICE_KIND,
    MachineSecret,
    derive_license_token,
    new_id,
)
from authsvc.credentials.proof import Proof
from authsvc.credentials.subject import LicenseSubject, MemberSubject, Subject
from authsvc.errors import StoreUnavailable
from authsvc.redaction import Secret
from authsvc.signing.jws import Leaf
from authsvc.signing.root import LEAF_LIFE, create_root, issue_leaf
from authsvc.tenancy.machine_records import Grant, PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.passkey import NewCredential
from authsvc.tenancy.records import App, License, LicenseType, Member, Role, TokenDigest
from authsvc.throttle import TATs
from tests.support.memory_throttle import MemoryThrottle

T = TypeVar("T")

NOW = datetime(2026, 8, 1, 12, 0, 0, tzinfo=UTC)
"""The present of every test that needs one."""

SERVICE = "registry.vendor.test:5000"
TOKEN_KEY = bytes(range(32))
"""The license-token key of the test installation."""

MEMBER_ID, LICENSE_ID, MACHINE_ID = "m000000000000001", "c000000000000001", "s000000000000001"
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
    removed_at: datetime | None = None,
) -> Member:
    """Return a member whose password hash is one of :func:`check_plainly`."""
    made = NOW - timedelta(days=9)
    password_hash = plain_hash(password)
    return Member(member_id, email, team, role, apps, password_hash, epoch, made, disabled_at, removed_at)


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


def machine_secret(kind: str, secret_id: str = MACHINE_ID, seed: int = 1) -> MachineSecret:
    """Return a machine secret that is the same every time."""
    return MachineSecret.build(kind, secret_id, bytes([seed]) * 32)


def make_personal_token(**changes: Any) -> PersonalToken:
    """Return a member's token, of ``machine_secret("pat")``."""
    facts: dict[str, Any] = {"id": MACHINE_ID, "name": "ci", "member": MEMBER_ID, "created_at": NOW - timedelta(days=3)}
    return PersonalToken(**{"sha256": machine_secret(PERSONAL_KIND).sha256()} | facts | changes)


def made_passkey() -> NewCredential:
    """Return what an authenticator has made, each time another one; nothing can be signed with it."""
    return NewCredential(new_id(secrets.token_bytes(10)), "AAAA", "registry.example.com", 0, synced=False)


def make_refresh_token(**changes: Any) -> RefreshToken:
    """Return what a client kept of a sign-in at epoch 1, of ``machine_secret("ref")``."""
    facts: dict[str, Any] = {"id": MACHINE_ID, "member": MEMBER_ID, "epoch": 1, "created_at": NOW - timedelta(days=3)}
    return RefreshToken(**{"sha256": machine_secret(REFRESH_KIND).sha256()} | facts | changes)


def make_service_account(*grants: Grant, **changes: Any) -> ServiceAccount:
    """Return a machine's account that the operator made, of ``machine_secret("sa")``."""
    facts: dict[str, Any] = {
        "id": MACHINE_ID,
        "name": "deployer",
        "team": "acme-team",
        "grants": grants,
        "tokens": (TokenDigest(1, machine_secret(SERVICE_KIND).sha256()),),
        "created_at": NOW - timedelta(days=3),
    }
    return ServiceAccount(**facts | changes)


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
class MemoryFacts:
    """Everything that the token path reads, in memory, in the interface of the store.

    Attributes:
        members: by id.
        apps: by slug.
        credentials: by kind and id.
        used_at: when each credential was last used, by id.
        calls: what was asked, in order.
        after_first: what happens between the first answer and the second question.
        away: whether it does not answer.
        recent: the licenses with their apps that it had when it was asked last, by id.
        throttle: what is counted.
    """

    members: dict[str, Member] = field(factory=dict)
    apps: dict[str, App] = field(factory=dict)
    credentials: dict[tuple[type, str], Credential] = field(factory=dict)
    used_at: dict[str, datetime] = field(factory=dict)
    calls: list[str] = field(factory=list)
    after_first: Callable[[], None] = field(default=lambda: None)
    away: bool = False
    recent: dict[str, tuple[License, App]] = field(factory=dict)
    throttle: MemoryThrottle = field(factory=MemoryThrottle)

    @classmethod
    def of(cls, *records: Member | App | Credential) -> "MemoryFacts":
        """Return a store that holds ``records``."""
        facts_reader = cls()
        for record in records:
            facts_reader.put(record)
        return facts_reader

    def put(self, record: Member | App | Credential) -> None:
        """Store ``record`` in place of an older one."""
        match record:
            case Member():
                self.members[record.id] = record
            case App():
                self.apps[record.slug] = record
            case _:
                self.credentials[type(record), record.id] = record

    async def member_by_email(self, email: str, network: str) -> tuple[Member | None, TATs]:
        """Return the member with this address, and what the throttle counts."""
        found = await self._first(next((m for m in self.members.values() if m.email == email), None))
        return found, await self.throttle.look(email, network)

    async def member_facts(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the member and the apps of ``slugs`` that exist."""
        self._ask("second")
        return self.members.get(member_id), self._some(slugs)

    async def credential(self, kind: type[C], credential_id: str) -> C | None:
        """Return the credential."""
        return await self._first(cast("C | None", self.credentials.get((kind, credential_id))))

    async def licenses(
        self, license_ids: Collection[str], slugs: Collection[str]
    ) -> tuple[Mapping[str, License], Mapping[str, App]]:
        """Return the licenses and apps that exist."""
        self._ask("licenses")
        found = {one: self.credentials.get((License, one)) for one in license_ids}
        apps = self._some(slugs)
        for record in found.values():
            self._saw(record, slugs)
        if len(self.calls) == 1:
            self.after_first()
        return {one: cast("License", record) for one, record in found.items() if record is not None}, apps

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the credential, the member behind it and the apps of ``slugs`` that exist."""
        self._ask("second")
        found = cast("C | None", self.credentials.get((kind, credential_id)))
        member = None if member_id is None else self.members.get(member_id)
        answer = CredentialFacts(found, member, self._some(slugs), self.used_at.get(credential_id))
        self._saw(found, slugs)
        if len(self.calls) == 1:
            self.after_first()
        return answer

    def recall(self, license_id: str) -> tuple[License, App] | None:
        """Return what it had of a license when it was asked last."""
        return self.recent.get(license_id)

    def _saw(self, record: Credential | None, slugs: Collection[str]) -> None:
        if isinstance(record, License) and (record.app in slugs or record.id in self.recent):
            self.recent[record.id] = (record, self.apps[record.app])

    def _ask(self, which: str) -> None:
        self.calls.append(which)
        if self.away:
            raise StoreUnavailable("the service's database does not answer; try again in a few seconds")

    def _some(self, slugs: Collection[str]) -> Mapping[str, App]:
        return {slug: self.apps[slug] for slug in slugs if slug in self.apps}

    async def _first(self, answer: T) -> T:
        self._ask("first")
        await asyncio.sleep(0)
        self.after_first()
        return answer


@frozen
class Knows:
    """An authenticator that knows one subject, whatever is presented.

    Attributes:
        subject: who it is.
        asked: the namespaces that were asked for.
    """

    subject: Subject
    asked: list[Collection[str]] = field(factory=list)

    async def authenticate(self, proof: Proof, namespaces: Collection[str], client: Client, now: datetime) -> Subject:
        """Return the subject."""
        del proof, client, now
        self.asked.append(namespaces)
        return self.subject


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
