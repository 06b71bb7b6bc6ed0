"""Everything but the web on a real Redis: the use cases of management, and the token path that must obey them."""

import base64
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from random import Random
from typing import Any, TypeVar

from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric import ec
from typing_extensions import override

from authsvc.audit.entry import Entry
from authsvc.cli.console import everything
from authsvc.client import Client
from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.facts import CredentialFactsReader
from authsvc.credentials.machine_secret import MachineSecret, derive_license_token
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.credentials.verifier import PasswordVerifier
from authsvc.errors import AccountDenied, ConfirmationNeeded, CredentialsRefused, Throttled
from authsvc.issuance import Issuance, Issued, Lifetimes
from authsvc.keys.seal_context import SealContext
from authsvc.keys.sealing import NONCE_BYTES, SEALING_KEY_BYTES, seal, unseal
from authsvc.logs import make_logger
from authsvc.manage.actor import Actor
from authsvc.manage.customers import Customers
from authsvc.manage.license_by_link import LicenseByLink
from authsvc.manage.license_links import LicenseLinks
from authsvc.manage.licenses import Licenses
from authsvc.manage.links import Links
from authsvc.manage.members import Members
from authsvc.manage.operation import Operation
from authsvc.manage.service_accounts import ServiceAccounts
from authsvc.manage.teams import Teams
from authsvc.manage.tokens import SignIns, TokenLine, Tokens
from authsvc.manage.upstreams import Upstreams
from authsvc.manage.webhooks import Webhooks
from authsvc.redaction import Secret
from authsvc.signing.license_keys import jwk, key_id, sign_license
from authsvc.spec.token_request import RefreshGrant, TokenRequest, UserPassword, from_query
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.facts import RedisCredentialFacts
from authsvc.store.records import Records
from authsvc.store.throttle import RedisThrottle
from authsvc.store.usage import RedisUsage
from authsvc.tenancy.machine_records import ServiceAccount
from authsvc.tenancy.records import App, License, Member
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW, SERVICE, TOKEN_KEY, Root
from tests.support.receivers_in_memory import ReceiversInMemory
from tests.support.upstreams_in_memory import UpstreamsInMemory

T = TypeVar("T")

TEAM, APP, OTHER_APP = "acme-team", "acme", "annex"
OPERATOR = Actor.operator()
EVERYTHING = f"repository:{APP}/x:pull,push,delete"

REFUSED, DENIED = "refused", "denied"
"""Outcomes of :meth:`Installation.gets`: nobody was recognised, however often; somebody was, and may not come in."""


@frozen
class KeysInMemory:
    """Signs license files with a key of its own, and derives registry tokens under the test installation's."""

    signing: ec.EllipticCurvePrivateKey = field(factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    token: bytes = TOKEN_KEY
    sealing: list[bytes] = field(factory=lambda: [secrets.token_bytes(SEALING_KEY_BYTES)])

    async def sign_license(self, payload: bytes) -> str:
        """Return the signature."""
        return sign_license(self.signing, key_id(self.signing.public_key()), payload)

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Return the registry token."""
        return derive_license_token(self.token, license_id, generation)

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return the one public key."""
        return [jwk(self.signing.public_key())]

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return the secret sealed."""
        return seal(self.sealing[0], secret, context, secrets.token_bytes(NONCE_BYTES))

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``."""
        return unseal(self.sealing, sealed, context)


class InsistentMembers(Members):
    """Members for tests that are not about the last owner: the operator insists on every change."""

    @override
    async def disable(
        self, member: str, operation: Operation, confirmed: str | None = None, *, force: bool = True
    ) -> Member:
        return await super().disable(member, operation, confirmed, force=force and operation.actor.is_operator)

    @override
    async def set_role(
        self, member: str, role: str, apps: Sequence[str] | None, operation: Operation, *, force: bool = True
    ) -> Member:
        return await super().set_role(member, role, apps, operation, force=force and operation.actor.is_operator)

    @override
    async def remove(
        self, member: str, operation: Operation, confirmed: str | None = None, *, force: bool = True
    ) -> Member:
        return await super().remove(member, operation, confirmed, force=force and operation.actor.is_operator)


@define(slots=False)
class Installation:
    """One vendor's installation, with a clock that stands until a test moves it.

    Attributes:
        connection: to the Redis that holds everything.
        verifier: of passwords.
        cache: of passwords that were right.
        now: the present.
        told: the entries that were logged, in order.
        random: every id and secret comes from it.
    """

    connection: Connection
    verifier: PasswordVerifier
    cache: PasswordCache = field(factory=lambda: PasswordCache(b"k" * 32))
    now: datetime = NOW
    told: list[Entry] = field(factory=list)
    random: Random = field(factory=lambda: Random(7))
    _serial: Any = field(factory=lambda: itertools.count(1))

    def __attrs_post_init__(self) -> None:
        """Put the use cases and the token path together, as wiring/ does."""
        codec = Codec()
        self.records = Records(self.connection, codec, self.told.append)
        self.stores = make_stores(self.records)
        self.facts_reader = RedisCredentialFacts(self.connection, codec)
        self.usage = RedisUsage(self.connection, make_logger("error"))
        self.teams = Teams(self.stores)
        self.members: Members = InsistentMembers(self.stores, self.verifier)
        self.links = Links(self.stores, self.verifier)
        self.tokens = Tokens(self.stores)
        self.service_accounts = ServiceAccounts(self.stores)
        self.customers = Customers(self.stores)
        self.keys = KeysInMemory()
        self.checks = UpstreamsInMemory()
        self.upstreams = Upstreams(self.stores, self.keys, self.checks)
        self.receivers = ReceiversInMemory()
        self.webhooks = Webhooks(self.stores, self.keys, self.receivers)
        self.licenses = Licenses(self.stores, self.keys, SERVICE)
        self.license_links = LicenseLinks(self.stores)
        self.license_by_link = LicenseByLink(self.stores, self.licenses)
        self.sign_ins = SignIns(self.stores.sign_ins, self.random.randbytes)
        self.leaf = Root.make().leaf(life=timedelta(days=4000))
        self.issuance = self.issues(self.facts_reader)

    def issues(
        self, facts_reader: CredentialFactsReader, *, keeps: bool = True, passwords: ThrottledPasswords | None = None
    ) -> Issuance:
        """Return a token path that reads ``facts_reader``."""
        throttle = RedisThrottle(self.connection)
        passwords = passwords or ThrottledPasswords(self.verifier, self.cache, throttle, b"g" * 32)
        return Issuance(
            Authenticator(facts_reader, passwords, throttle, on_use=self.usage.record),
            self.leaf,
            service=SERVICE,
            lifetimes=Lifetimes(),
            new_token_id=lambda: "t" * 32,
            sign_ins=self.sign_ins if keeps else None,
        )

    def operation(self, actor: Actor = OPERATOR) -> Operation:
        """Begin one act at the present."""
        return Operation(actor, self.now, f"op-{next(self._serial)}", self.random.randbytes)

    async def listed(self, app: str, **wanted: str) -> list[License]:
        """Return every license that a list shows to the operator, page by page."""
        listed = self.licenses.list
        return await everything(lambda after: listed(OPERATOR, self.now, app=app, after=after, limit=7, **wanted))

    async def all_members(self, actor: Actor, team: str) -> list[Member]:
        """Return all members of a team."""
        return await everything(lambda after: self.members.list(actor, team, after=after))

    async def all_apps(self, actor: Actor, team: str, *, archived: bool = False) -> list[App]:
        """Return all apps of a team."""
        return await everything(lambda after: self.teams.apps(actor, team, archived=archived, after=after))

    async def all_service_accounts(self, actor: Actor, team: str) -> list[tuple[ServiceAccount, datetime | None]]:
        """Return all service accounts of a team that are not revoked, with their last use."""
        return await everything(lambda after: self.service_accounts.list(actor, team, after=after))

    async def all_tokens(self, actor: Actor, email: str, now: datetime) -> list[TokenLine]:
        """Return everything that a member can sign in with beside the password."""
        return await everything(lambda after: self.tokens.list(actor, email, now, after=after))

    def registry_token(self, license_: License) -> str:
        """Return the newest registry token of a license."""
        return derive_license_token(TOKEN_KEY, license_.id, license_.tokens[0].generation).text.reveal()

    def pass_time(self, **span: float) -> None:
        """Let the clock run on."""
        self.now += timedelta(**span)

    async def ask(
        self,
        password: Secret | str,
        username: str = "whoever",
        scope: str = EVERYTHING,
        *,
        offline: bool = False,
        refresh: bool = False,
        issuance: Issuance | None = None,
    ) -> Issued:
        """Ask for a token as docker does: with Basic credentials, or with a refresh token in the form."""
        secret = password if isinstance(password, Secret) else Secret(password)
        parameters = [("service", SERVICE), ("scope", scope), ("client_id", "docker")]
        if offline:
            parameters.append(("offline_token", "true"))
        basic = base64.b64encode(f"{username}:{secret.reveal()}".encode()).decode()
        request = from_query(parameters, f"Basic {basic}")
        presented = RefreshGrant(secret) if refresh else UserPassword(username, secret)
        asked = TokenRequest(request.service, request.scopes, presented, request.client_id, request.offline)
        return await (issuance or self.issuance).issue(asked, Client(), self.now)

    async def gets(
        self,
        password: Secret | str,
        username: str = "whoever",
        scope: str = EVERYTHING,
        *,
        issuance: Issuance | None = None,
    ) -> str:
        """Return the actions that these credentials get, sorted and joined by commas, or how they are turned away."""
        try:
            issued = await self.ask(password, username, scope, issuance=issuance)
        except (CredentialsRefused, Throttled):
            return REFUSED
        except AccountDenied:
            return DENIED
        return ",".join(action for access in issued.claims.access for action in access.actions)

    async def why(self, password: Secret | str, username: str = "whoever") -> str:
        """Return the sentence by which these credentials are turned away."""
        try:
            issued = await self.ask(password, username)
        except (CredentialsRefused, AccountDenied) as error:
            return str(error)
        return f"they are not: {issued.claims.access}"

    async def everything_stored(self) -> str:
        """Return all keys and values of the store as one text."""
        redis = self.connection.redis
        found: list[str] = []
        for key in await redis.keys("*"):
            read: dict[str | bytes, Callable[[Any], Any]] = {
                b"string": redis.get,
                b"set": redis.smembers,
                b"zset": lambda name: redis.zrange(name, 0, -1, withscores=True),
                b"stream": redis.xrange,
                b"hash": redis.hgetall,
            }
            found.append(f"{key!r}: {await read[await redis.type(key)](key)!r}")
        return "\n".join(sorted(found))


async def confirmed(change: Callable[..., Awaitable[T]], *arguments: Any, **more: Any) -> T:
    """Make a change, and confirm what it would end if it asks."""
    try:
        return await change(*arguments, **more)
    except ConfirmationNeeded as needed:
        return await change(*arguments, **more, confirmed=needed.mark)


@asynccontextmanager
async def installed(connection: Connection) -> AsyncIterator[Installation]:
    """Yield an installation with one team and two apps on an empty Redis."""
    with ThreadPoolExecutor(1) as executor:
        made = Installation(connection, PasswordVerifier(executor, 1))
        await made.teams.create(TEAM, None, made.operation())
        for app in (APP, OTHER_APP):
            await made.teams.create_app(app, TEAM, None, made.operation())
        yield made
