"""An installation in which every page of the portal has something to show, in texts that a test chooses."""

import string
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from attrs import define, evolve, field

from authsvc.audit.recorder import AuditRecorder
from authsvc.client import Client
from authsvc.credentials.relying_party import RelyingParty
from authsvc.errors import InputRefused
from authsvc.images.evidence import Evidence
from authsvc.images.index import IndexChange
from authsvc.images.manifest import Platform, parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.manage.actor import Actor
from authsvc.manage.passkeys import Passkeys
from authsvc.manage.sessions import Sessions
from authsvc.redaction import Secret
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.webhook_deliveries import DueWebhook, NewDelivery, RedisWebhookDeliveries
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.records import License, Member
from authsvc.tenancy.terms import LicenseTerms
from authsvc.upstreams.probe import ProbeStep
from authsvc.upstreams.terms import LinkTerms
from authsvc.webhooks.delivery import Delivery, DeliveryAttempt, DeliveryState
from authsvc.webhooks.terms import WebhookTerms
from tests.support.activity import INDEX, blob, event, push
from tests.support.builders import PASSWORD, as_license
from tests.support.decisions import asked, denied, refused, request_id
from tests.support.installation import APP, TEAM, Installation, confirmed
from tests.support.oci import MANIFEST, Image
from tests.support.portal_server import PUBLIC_URL
from tests.support.software_authenticator import SoftwareAuthenticator
from tests.webhook_sender.world import an_event

T = TypeVar("T")

PLAIN = "plain"

OWNER = "owner@acme.test"

NAMED_APP = "zoo"
"""An app whose name is the text."""

ARCHIVED_APP = "attic"

LOCAL_PART = frozenset(string.ascii_lowercase + string.digits + "!#$%&'*+/=?^_`{|}~-")
"""What may stand before the @ of an e-mail address."""


@define
class PortalContent:
    """What was made.

    Attributes:
        house: where.
        text: as each name and note, where it is accepted; else :data:`PLAIN`.
        recorder: writes decisions to the audit.
        accepted: how many texts were accepted.
        names: what stands in the addresses of pages, by the names of routes.
    """

    house: Installation
    recorder: AuditRecorder
    text: str = PLAIN
    accepted: int = 0
    names: dict[str, str] = field(factory=lambda: {"app": NAMED_APP, "archived_app": ARCHIVED_APP})

    async def fill(self) -> None:
        """Make everything, in an installation with the people of tests/web/api."""
        house = self.house
        house.now = datetime.now(UTC).replace(microsecond=0)  # entries are found by the time in a request's id
        await self._said(lambda text: house.teams.set(TEAM, text, house.operation()))
        await self._said(lambda text: house.teams.create_app(NAMED_APP, TEAM, text, house.operation()))
        await house.teams.create_app(ARCHIVED_APP, TEAM, None, house.operation())
        await confirmed(house.teams.archive_app, ARCHIVED_APP, house.operation())
        license_, owner = await self._licenses(), await self._people()
        await self._images()
        await self._activity(license_, owner)
        await self._decisions(license_)
        await self._linked()
        await self._webhooks()

    async def _said(self, make: Callable[[str], Awaitable[T]]) -> T:
        """Make something with the text, or with a plain one if that is refused."""
        try:
            made = await make(self.text)
        except InputRefused:
            return await make(PLAIN)
        self.accepted += 1
        return made

    async def _licenses(self) -> License:
        house = self.house

        async def license_of(text: str, days: int = 10, reference: str | None = None) -> License:
            terms = LicenseTerms.parse(
                customer=text,
                expires=f"{days}d",
                repositories=["worker", "api/*"],
                fields={"note": text, "seats": 25},
                contact=text,
                customer_reference=text,
                customer_email=self._email(text),
                now=house.now,
            )
            made, _ = await house.licenses.create(APP, terms, house.operation(), reference or text)
            return made

        license_ = await self._said(license_of)
        revoked = await license_of("Initech GmbH", 400, "CRM-2")
        for name, one in (("", license_), ("revoked_", revoked)):
            link, secret = await house.license_links.create(one.id, house.operation())
            self.names |= {f"{name}link": link.id, f"{name}page": secret.reveal()}
        await house.licenses.revoke(revoked.id, house.operation())
        assert license_.customer_id is not None
        self.names |= {"license": license_.id, "customer": license_.customer_id, "revoked_license": revoked.id}
        return license_

    def _email(self, text: str) -> str:
        return f"{''.join(one for one in text.lower() if one in LOCAL_PART)[:40] or PLAIN}@acme.test"

    async def _people(self) -> Member:
        house = self.house
        stored = await house.stores.members.by_email(OWNER)
        assert stored is not None
        owner = stored.record
        by = Actor.of_member(owner)
        await self._said(lambda text: house.tokens.create(text, OWNER, None, "read", house.operation(by)))
        self.names["passkey"] = (await self._said(lambda text: self._passkey(text, owner))).id
        other = await house.members.add(self._email(self.text), TEAM, "developer", (APP,), PASSWORD, house.operation())
        await house.members.disable(other.id, house.operation(by))
        await house.links.invite("invited@acme.test", TEAM, "viewer", (APP,), house.operation(by))
        (invited,) = await house.links.list(by, TEAM, house.now)
        self.names["invitation"] = invited.link.id
        account, _ = await self._said(
            lambda text: house.service_accounts.create(
                text, TEAM, [f"{APP}/**:pull,push"], "manage", None, house.operation(by)
            )
        )
        sessions = Sessions(house.stores)
        await sessions.begin(
            owner.epoch, Client("203.0.113.7", "203.0.113.7", user_agent=self.text), house.operation(by)
        )
        by_owner = house.operation(by)
        disabled, _ = await house.service_accounts.create("old-ci", TEAM, [f"{APP}/x:pull"], None, None, by_owner)
        await house.service_accounts.disable(disabled.id, None, house.operation(by))
        viewer = await house.stores.members.by_email("viewer@acme.test")
        assert viewer is not None
        self.names |= {"member": other.id, "account": account.id, "active_member": viewer.record.id}
        self.names["disabled_account"] = disabled.id
        return owner

    async def _passkey(self, text: str, owner: Member) -> Passkey:
        party, key = RelyingParty(PUBLIC_URL.host, PUBLIC_URL.origin), SoftwareAuthenticator(PUBLIC_URL.origin)
        made = party.registered(party.read_attestation(key.create(party.creation_options(owner, (), bytes(53)))))
        passkeys, operation = Passkeys(self.house.stores), self.house.operation(Actor.of_member(owner))
        return await passkeys.register(text, made, operation)

    async def _images(self) -> None:
        house, index = self.house, RedisImageIndex(self.house.connection, Codec())
        for number, repository in enumerate((f"{APP}/worker", f"{APP}/api/web")):
            image = Image(b"%d" % number)
            manifest = parse_manifest(image.manifest, MANIFEST)
            assert manifest is not None
            described = of_manifest(image.digest, manifest, Platform("linux", "amd64"))
            summary = evolve(described.summary, evidence=(Evidence.SIGNATURE,), size=31_000_000)
            await index.save(APP, [evolve(described, summary=summary)])
            for tag in ("1.0", "latest"):
                await index.apply(repository, APP, [IndexChange(tag, None, image.digest)], house.now)
        self.names |= {"name": f"{APP}/worker:1.0", "digest": Image(b"0").digest}

    async def _activity(self, license_: License, owner: Member) -> None:
        sink = RedisActivitySink(self.house.connection, Codec())
        facts: dict[str, Any] = {
            "repository": f"{APP}/worker",
            "timestamp": self.house.now,
            "digest": self.names["digest"],
        }
        by = {**facts, "subject": f"license:{license_.id}"}
        events = [
            push(tag="1.0", **facts | {"subject": f"member:{owner.id}"}),
            event(tag="1.0", media_type=INDEX, **by),
            blob(2_500_000, **by),
        ]
        assert (await sink.record(events, self.house.now)).accepted == len(events)

    async def _decisions(self, license_: License) -> None:
        """Have the requests of a license and of nobody refused."""
        text, now = self.text, self.house.now
        for number, outcome in ((1, denied(as_license(license_))), (2, refused(text))):
            one = asked(at=now, client_id=text, user_agent=text, number=number)
            self.recorder.record(one, outcome)
        await self.recorder.flush(everything=True)
        self.names["request"] = request_id(now, 1)

    async def _linked(self) -> None:
        """Link an external registry that fails."""
        house = self.house
        terms = LinkTerms.parse("quay", None, "org+robot", Secret("robot key"), ["org/**"])
        link = await house.upstreams.link(APP, "quay", terms, house.operation())
        words = self.text.encode("utf-8", "replace").decode()
        await house.stores.upstreams.note(link, house.now, ProbeStep("token", ok=False, words=words))
        house.checks.steps = [ProbeStep("dns", ok=True, words=PLAIN), ProbeStep("token", ok=False, words=words)]
        house.receivers.attempt = DeliveryAttempt(house.now, 500, PLAIN, 12)
        self.names["upstream"] = link.id

    async def _webhooks(self) -> None:
        """Add a webhook that an event could not be delivered to, and one that is disabled."""
        house, made = self.house, []
        for path in ("authsvc?x=1", "old"):
            terms = WebhookTerms.parse(f"https://hooks.example.net/{path}", None)
            webhook, _ = await house.webhooks.add(terms, house.operation(), team=TEAM)
            made.append(webhook)
        outbox, deliveries = WebhookOutbox(house.connection), RedisWebhookDeliveries(house.connection, Codec())
        assert await outbox.lease("test", 60)
        pushed = an_event("one", TEAM, APP)
        await outbox.add([pushed])
        (raw,) = await outbox.waiting(TEAM, 1)
        waiting = Delivery(pushed.id, pushed.type, house.now, DeliveryState.WAITING)
        await deliveries.share_out("test", TEAM, raw, [NewDelivery(made[0].id, waiting, b"{}")], house.now)
        await deliveries.give_up(DueWebhook(TEAM, made[0].id), PLAIN, house.now)
        old = await house.stores.webhooks.get(made[1].id)
        assert old is not None
        disabled = evolve(old.record, disabled_at=house.now, disabled_reason=PLAIN)
        await house.stores.webhooks.replace(old, disabled, house.operation().entry("webhook.disabled"))
        self.names |= {"webhook": made[0].id, "disabled_webhook": made[1].id}
