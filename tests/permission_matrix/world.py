"""The table's world on a real Redis: two vendors, and every actor with the records behind it.

It is built once through the use cases, by the operator, and copied into a second database, from which it is restored
in one step after a call that changed something.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, field, frozen

from authsvc.client import Client
from authsvc.credentials.machine_secret import MachineSecret
from authsvc.images.index import IndexChange
from authsvc.images.manifest import parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.keys.secrets_dir import create_missing
from authsvc.keys.service_keys import LocalKeys
from authsvc.manage.activity import Activity
from authsvc.manage.actor import Actor
from authsvc.manage.audit import Audit
from authsvc.manage.customers import Customers
from authsvc.manage.image_deletions import ImageDeletions
from authsvc.manage.image_users import ImageUsers
from authsvc.manage.images import Images
from authsvc.manage.keys import Keys
from authsvc.manage.license_by_link import LicenseByLink, OpenedPage
from authsvc.manage.license_links import LicenseLinks
from authsvc.manage.license_preview import LicensePreview
from authsvc.manage.licenses import Licenses
from authsvc.manage.links import Links
from authsvc.manage.members import Members
from authsvc.manage.operation import Operation
from authsvc.manage.passkeys import Passkeys
from authsvc.manage.repositories import Repositories
from authsvc.manage.service_accounts import ServiceAccounts
from authsvc.manage.sessions import Sessions
from authsvc.manage.teams import Teams
from authsvc.manage.tokens import SignIns, Tokens
from authsvc.manage.upstreams import Upstreams
from authsvc.manage.webhooks import Webhooks
from authsvc.redaction import Secret
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.keys import PREFIX
from authsvc.store.records import Records
from authsvc.store.workers import RedisWorkerRegistry
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member
from authsvc.tenancy.terms import LicenseTerms
from authsvc.tenancy.versioned import Versioned
from authsvc.upstreams.terms import LinkTerms
from authsvc.webhooks.terms import WebhookTerms
from authsvc.wiring.images import NoRegistry
from authsvc.wiring.keys import Files
from authsvc.wiring.on_demand import DirectHasher
from authsvc.wiring.stores import make_stores
from tests.permission_matrix.oracle import NOWHERE, Oracle
from tests.support.builders import SERVICE, made_passkey
from tests.support.indexed_registry import IndexedRegistry
from tests.support.installation import confirmed
from tests.support.oci import MANIFEST, Image
from tests.support.receivers_in_memory import ReceiversInMemory
from tests.support.upstreams_in_memory import UpstreamsInMemory

PASSWORD = Secret("seven tiny violins hum")
OPERATOR = Actor.operator()
RECEIVER = "https://hooks.example.com/in"
AUDIT_BUDGET = 64 * 1024 * 1024

_RESTORE = """
redis.call('SELECT', ARGV[2])
redis.call('FLUSHDB')
redis.call('SELECT', ARGV[1])
for _, key in ipairs(redis.call('KEYS', '*')) do redis.call('COPY', key, key, 'DB', ARGV[2]) end
"""
"""Makes one database the copy of another."""

LIVE, COPY = 0, 1


@frozen
class Things:
    """What lies in one place, as an actor names it.

    Attributes:
        team: slug.
        app: slug.
        email: of a member, who has a personal token and a sign-in.
        member_id: of that member.
        token: id of the personal token.
        account: name of a service account.
        account_id: of that account.
        license: id.
        customer: id.
        image: an image of the app.
        upstream: id of a link of the app to an external registry.
        webhook: id of a webhook of the team.
        link: id of a link to the page of the license.
        records: what was looked up before: the app and the license; None where there is nothing.
    """

    team: str
    app: str
    email: str
    member_id: str
    token: str
    account: str
    account_id: str
    license: str
    customer: str
    image: str
    upstream: str
    webhook: str
    link: str
    records: tuple[Versioned[App], License] | None = None


@frozen
class Someone:
    """An actor and what belongs to it.

    Attributes:
        actor: made of the records.
        member: behind it, or None.
        token: id of a personal token of the member, or empty.
        account: its record, when it is a service account.
        bearer: the secret of the token or of the account, or None.
        session: id of a session of the portal, or empty.
        passkey: id of a passkey, or empty.
    """

    actor: Actor
    member: Member | None = None
    token: str = ""
    account: ServiceAccount | None = None
    bearer: Secret | None = None
    session: str = ""
    passkey: str = ""


@define(slots=False)
class World:
    """Everything that a call needs.

    Attributes:
        oracle: the table.
        connection: to Redis, whose commands are counted.
        folder: for the secrets directory.
        now: the present.
        commands: how many commands Redis got.
    """

    oracle: Oracle
    url: Secret
    folder: Path
    now: datetime = field(factory=lambda: datetime.now(UTC).replace(microsecond=0))
    commands: int = 0
    places: dict[str, Things] = field(factory=dict)
    actors: dict[str, Someone] = field(factory=dict)
    digest: bytes = b""
    _random: Random = field(factory=lambda: Random(11))
    _serial: Any = field(factory=lambda: itertools.count(1))

    def __attrs_post_init__(self) -> None:
        """Put the use cases together, as wiring/ does."""
        self.connection = Connection(self.url, self._count, deadline=60)
        self.stores = make_stores(Records(self.connection, Codec()))
        create_missing(self.folder, self.now)
        keys = LocalKeys(self.folder)
        self.teams, hasher = Teams(self.stores), DirectHasher()
        self.members, self.links = Members(self.stores, hasher), Links(self.stores, hasher)
        self.tokens, self.service_accounts = Tokens(self.stores), ServiceAccounts(self.stores)
        self.sessions, self.passkeys = Sessions(self.stores), Passkeys(self.stores)
        self.sign_ins = SignIns(self.stores.sign_ins, self._random.randbytes)
        self.customers = Customers(self.stores)
        self.upstreams = Upstreams(self.stores, keys, UpstreamsInMemory())
        self.webhooks = Webhooks(self.stores, keys, ReceiversInMemory())
        self.licenses = Licenses(self.stores, keys, SERVICE)
        self.license_links = LicenseLinks(self.stores)
        self.license_by_link = LicenseByLink(self.stores, self.licenses)
        self.license_preview = LicensePreview(self.stores)
        self.repositories = Repositories(self.stores)
        self.images = Images(self.stores, NoRegistry(), SERVICE)
        self.image_deletions = ImageDeletions(self.stores, IndexedRegistry(), SERVICE)
        self.audit = Audit(RedisAudit(self.connection, AUDIT_BUDGET), self.stores)
        self.activity = Activity(self.stores, self.audit.stream)
        self.image_users = ImageUsers(self.stores)
        registry = RedisWorkerRegistry(self.connection, Codec())
        self.keys = Keys(
            Files(self.folder, keys, keys), registry, _registry_is_down, timedelta(minutes=5), lambda: self.now
        )

    def _count(self, _seconds: float, _answered: bool) -> None:
        self.commands += 1

    def operation(self, actor: Actor = OPERATOR) -> Operation:
        """Begin one change."""
        return Operation(actor, self.now, f"op-{next(self._serial)}", self._random.randbytes)

    async def of_page(self, use: Callable[[OpenedPage], Awaitable[Any]]) -> Any:
        """Return what a use case gives to who has opened the page of a license."""
        return await use(await self.license_by_link.open(self.page, self.now))

    def terms(self, customer: str = "Initech") -> LicenseTerms:
        """Return what a new license says."""
        return LicenseTerms(customer, self.now + timedelta(days=30))

    async def build(self) -> None:
        """Make the vendors, what they have, and the actors; keep a copy."""
        await self.connection.redis.flushall()
        for team in dict.fromkeys(place["team"] for place in self.oracle.places.values() if place):
            await self.teams.create(team, None, self.operation())
            await self.members.add(f"boss@{team}.test", team, "owner", (), PASSWORD, self.operation())
            await self.links.invite(f"invited@{team}.test", team, "viewer", (), self.operation())
        for name, place in self.oracle.places.items():
            self.places[name] = await self._place(name, place) if place else _nothing()
        invitation = ("new@acme-team.test", "acme-team", "viewer", ())
        self.link = await self.links.invite(*invitation, self.operation())
        for name, facts in self.oracle.actors.items():
            self.actors[name] = await self._actor(name, facts)
        await self._copy(LIVE, COPY)
        self.digest = await self.content()

    async def restore(self) -> None:
        """Make everything as it was built."""
        await self._copy(COPY, LIVE)

    async def forget_throttle(self) -> None:
        """Forget which secrets were wrong."""
        counters = [key async for key in self.connection.redis.scan_iter(match=f"{PREFIX}throttle:*", count=1000)]
        if counters:
            await self.connection.redis.delete(*counters)

    async def _copy(self, source: int, target: int) -> None:
        await self.connection.redis.eval(_RESTORE, 0, str(source), str(target))

    async def writes(self) -> int:
        """Return how often anything was written so far."""
        facts: dict[str, int] = await self.connection.redis.info("persistence")
        return facts["rdb_changes_since_last_save"]

    async def content(self) -> bytes:
        """Return a digest of everything that is stored."""
        return bytes(await self.connection.redis.execute_command("DEBUG", "DIGEST"))  # type: ignore[no-untyped-call]

    async def _place(self, name: str, place: Mapping[str, str]) -> Things:
        team, app, email = place["team"], place["app"], f"mate-{name}@{place['team']}.test"
        await self.teams.create_app(app, team, None, self.operation())
        mate = await self.members.add(email, team, "developer", (), PASSWORD, self.operation())
        token, _ = await self.tokens.create("laptop", email, None, None, self.operation())
        await self.sign_ins.keep(mate, "docker", self.now)
        account = f"robot-{name}"
        create = (account, team, [f"{app}/**:pull"], None, None)
        robot, _ = await self.service_accounts.create(*create, self.operation())
        license_, _ = await self.licenses.create(app, self.terms(f"Customer of {app}"), self.operation())
        opened = await self.licenses.open_app(OPERATOR, app)
        await self.licenses.create_in(opened, self.terms("Renewed"), self.operation(), "renewed")
        await self._index_image(f"{app}/api", app)
        things = (email, mate.id, token.id, account, robot.id, license_.id, license_.customer_id or "", f"{app}/api:v1")
        terms = LinkTerms.parse("quay", None, "org+robot", Secret("a key"), ["org/**"])
        link = await self.upstreams.link(app, "quay", terms, self.operation())
        hook, _ = await self.webhooks.add(WebhookTerms.parse(RECEIVER, None), self.operation(), team=team)
        page, self.page = await self.license_links.create(license_.id, self.operation())
        return Things(team, app, *things, link.id, hook.id, page.id, (opened, license_))

    async def _index_image(self, repository: str, app: str) -> None:
        """Put an image into the index, as a crawl of the registry does."""
        index, image = RedisImageIndex(self.connection, Codec()), Image(app.encode())
        manifest = parse_manifest(image.manifest, MANIFEST)
        assert manifest is not None
        await index.save(app, [of_manifest(image.digest, manifest, None)])
        await index.apply(repository, app, [IndexChange("v1", None, image.digest)], self.now)

    async def _actor(self, name: str, facts: Mapping[str, Any]) -> Someone:
        match facts["kind"]:
            case "operator":
                return Someone(OPERATOR)
            case "member":
                return await self._member(name, facts)
            case _:
                return await self._service_account(name, facts)

    async def _member(self, name: str, facts: Mapping[str, Any]) -> Someone:
        team, state = facts.get("team", "acme-team"), facts.get("state")
        email = f"{name}@{team}.test"
        add = (email, team, facts["role"], facts.get("apps", ()), PASSWORD)
        member = await self.members.add(*add, self.operation())
        api = facts.get("api", "none")
        expires = (self.now + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ") if state == "token expired" else None
        create = ("tool", email, expires, None if api == "none" else api)
        token, secret = await self.tokens.create(*create, self.operation())
        if state == "token revoked":
            await self.tokens.revoke(token.id, self.operation())
        operation = self.operation(Actor.of_member(member))
        begun = MachineSecret.parse((await self.sessions.begin(member.epoch, Client(), operation)).reveal())
        session = "" if begun is None else begun.id
        passkey = (await self.passkeys.register("key", made_passkey(), self.operation(Actor.of_member(member)))).id
        if state in {"disabled", "removed"}:
            change = self.members.disable if state == "disabled" else self.members.remove
            await change(email, self.operation())
        member = await self._current(member)
        if "api" not in facts:
            return Someone(Actor.of_member(member), member, token.id, session=session, passkey=passkey)
        stored: Versioned[PersonalToken] | None = await self.stores.personal_tokens.get(token.id)
        record = token if stored is None else stored.record
        at = self.now + timedelta(hours=1) if state == "token expired" else self.now
        return Someone(Actor.of_personal_token(record, member, at), member, token.id, bearer=secret)

    async def _service_account(self, name: str, facts: Mapping[str, Any]) -> Someone:
        team, state, creator = facts.get("team", "acme-team"), facts.get("state"), facts.get("creator")
        maker, boss = OPERATOR, f"maker-{name}@{team}.test"
        if creator is not None:
            # An owner makes it, and is something less only afterwards.
            maker = Actor.of_member(await self.members.add(boss, team, "owner", (), PASSWORD, self.operation()))
        api = None if facts["api"] == "none" else facts["api"]
        expires = (self.now + timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ") if state == "expired" else None
        app = next(p["app"] for p in self.oracle.places.values() if p.get("team") == team)
        create = (f"bot-{name}", team, [f"{app}/**:pull,delete"], api, expires)
        account, secret = await self.service_accounts.create(*create, self.operation(maker))
        if state in {"disabled", "revoked"}:
            change = self.service_accounts.disable if state == "disabled" else self.service_accounts.revoke
            await change(account.name, team, self.operation())
        if creator is not None:
            await self.members.set_role(boss, creator["role"], creator.get("apps", ()), self.operation())
        if creator is not None and "state" in creator:
            end = self.members.disable if creator["state"] == "disabled" else self.members.remove
            await confirmed(end, boss, self.operation())
        found = await self.stores.service_accounts.by_name(team, account.name)
        behind = None if account.creator is None else await self.stores.members.get(account.creator)
        record = account if found is None else found.record
        at = self.now + timedelta(hours=1) if state == "expired" else self.now
        actor = Actor.of_service_account(record, None if behind is None else behind.record, at)
        return Someone(actor, account=record, bearer=secret)

    async def _current(self, member: Member) -> Member:
        stored = await self.stores.members.get(member.id)
        return member if stored is None else stored.record


def _nothing() -> Things:
    gone = f"{0:015}9"
    image = f"{NOWHERE}/api:v1"
    person = (f"nobody@{NOWHERE}.test", gone, gone, "robot-nowhere", gone)
    return Things(f"{NOWHERE}-team", NOWHERE, *person, gone, gone, image, gone, gone, gone)


async def _registry_is_down() -> bool | None:
    return None
