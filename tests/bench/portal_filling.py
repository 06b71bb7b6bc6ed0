"""Fills a real stack for ``make bench-portal`` as a big vendor would: with something to show on every page."""

import asyncio
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from attrs import evolve

from authsvc.cli.console import find
from authsvc.credentials.relying_party import RelyingParty
from authsvc.images.index import IndexChange
from authsvc.images.manifest import Platform, parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.manage.actor import Actor
from authsvc.manage.operation import Operation
from authsvc.redaction import Secret
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store import keys
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_index import RedisImageIndex
from authsvc.store.records import Records
from authsvc.store.webhook_outbox import WebhookOutbox
from authsvc.tenancy.license_link import MAX_LINKS
from authsvc.tenancy.records import License
from authsvc.upstreams.terms import LinkTerms
from authsvc.webhooks.terms import WebhookTerms
from authsvc.wiring.management import Management, management
from authsvc.wiring.stores import make_stores
from tests.bench.bulk import fill_licenses
from tests.bench.lists import APP, TEAM
from tests.support.activity import INDEX, blob, event, push
from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.software_authenticator import SoftwareAuthenticator
from tests.support.stack import PASSWORD, Stack
from tests.webhook_sender.world import an_event

OWNER = "owner@bench.test"
"""Who opens the pages."""

PULLERS = 500
"""Licenses that pulled lately."""

DAYS = 30

LINKED, WEBHOOKS, DELIVERIES, PASSKEYS = 10, 5, 60, 5
"""External registries, webhooks, events for them, and passkeys of the owner."""

REPOSITORIES = ("worker", "api/web", "api/jobs")

IMAGES = tuple(Image(b"%d" % number) for number in range(50))


def image_of(tag: int) -> Image:
    """Return the image of a tag."""
    return IMAGES[tag % len(IMAGES)]


def write_registry(folder: Path, count: int) -> None:
    """Write tags into the registry's storage, as it would (distribution's layout): 30 times as fast as pushing them."""
    root = folder / "docker/registry/v2"

    def link(path: Path, digest: str) -> None:
        path.mkdir(parents=True, exist_ok=True)
        (path / "link").write_text(digest)

    for image in IMAGES:
        for content in (image.manifest, image.config, image.layer):
            hexadecimal = digest_of(content).removeprefix("sha256:")
            blob_folder = root / "blobs/sha256" / hexadecimal[:2] / hexadecimal
            blob_folder.mkdir(parents=True, exist_ok=True)
            (blob_folder / "data").write_bytes(content)
    for number, repository in enumerate(REPOSITORIES):
        place = root / "repositories" / APP / repository
        for image in IMAGES:
            for content in (image.config, image.layer):
                link(place / "_layers/sha256" / digest_of(content).removeprefix("sha256:"), digest_of(content))
            link(place / "_manifests/revisions/sha256" / image.digest.removeprefix("sha256:"), image.digest)
        for tag in range(number, count, len(REPOSITORIES)):
            digest = image_of(tag).digest
            tag_folder = place / "_manifests/tags" / f"1.{tag}"
            link(tag_folder / "current", digest)
            link(tag_folder / "index/sha256" / digest.removeprefix("sha256:"), digest)


async def write_tags(connection: Connection, count: int) -> None:
    """Write the same tags into the index of images, as the first crawl would."""
    index, now = RedisImageIndex(connection, Codec()), datetime.now(UTC)
    described = []
    for image in IMAGES:
        manifest = parse_manifest(image.manifest, MANIFEST)
        assert manifest is not None
        described.append(of_manifest(image.digest, manifest, Platform("linux", "amd64")))
    await index.save(APP, described)
    for number, repository in enumerate(REPOSITORIES):
        tags = range(number, count, len(REPOSITORIES))
        changes = [IndexChange(f"1.{tag}", None, image_of(tag).digest) for tag in tags]
        await index.apply(f"{APP}/{repository}", APP, changes, now)


def pulls(ids: list[str]) -> Iterator[RegistryEvent]:
    """Yield what was pushed and pulled lately."""
    now, random = datetime.now(UTC).replace(microsecond=0), Random(2)
    for number in range(50):
        tag = 3 * number
        yield push(repository=f"{APP}/worker", tag=f"1.{tag}", digest=image_of(tag).digest, timestamp=now)
    for license_id in ids:
        for day in range(0, DAYS, 3):
            at = now - timedelta(days=day, seconds=random.randrange(80_000))
            tag = 3 * random.randrange(50)
            facts: dict[str, Any] = {"repository": f"{APP}/worker", "timestamp": at, "subject": f"license:{license_id}"}
            address = f"203.0.{random.randrange(200)}.{random.randrange(250)}"
            digest = image_of(tag).digest
            yield event(tag=f"1.{tag}", media_type=INDEX, digest=digest, address=address, **facts)
            yield blob(30_000_000, address=address, **facts)


async def prepare(stack: Stack, licenses: int, tags: int) -> dict[str, str]:
    """Fill the installation; return what stands in the addresses of pages."""
    settings, _ = find(stack.data_dir, {})
    async with management(settings, lambda _: None) as manage:
        await manage.teams.create(TEAM, None, manage.operation())
        for app in (APP, "other", "attic"):
            await manage.teams.create_app(app, TEAM, None, manage.operation())
        await manage.teams.archive_app("attic", manage.operation())
        names = await make_people(manage)
        connection = Connection(settings.redis_url, deadline=60)
        try:
            records = Records(connection, Codec())
            _ = await connection.redis.config_set("appendfsync", "no")  # while it is filled
            await fill_licenses(records, licenses, licenses // 2)
            write_registry(stack.data_dir / "registry", tags)
            await write_tags(connection, tags)
            found_ids: list[Any] = await connection.redis.zrange(keys.app_licenses(APP), -PULLERS, -1)
            ids = [one.decode() for one in found_ids]
            sink, events = RedisActivitySink(connection, Codec()), list(pulls(ids))
            for start in range(0, len(events), 50):
                await sink.record(events[start : start + 50], datetime.now(UTC))
            _ = await connection.redis.config_set("appendfsync", "always")
            active = await active_license(records, ids)
            names |= {"license": active.id, "customer": str(active.customer_id), "revoked_license": ids[0]}
            names |= await make_license_links(manage, active.id, ids[0])
            names |= await make_linked(manage) | await make_webhooks(manage, connection)
        finally:
            await connection.close()
    return names


async def active_license(records: Records, ids: list[str]) -> License:
    """Return the newest of some licenses that is in force."""
    stores, now = make_stores(records), datetime.now(UTC)
    app = await stores.apps.get(APP)
    assert app is not None
    for one in reversed(ids):
        found = await stores.licenses.get(one)
        if found is not None and found.record.state_in(app.record, now) == "active":
            return found.record
    raise AssertionError("no license is in force")


async def make_people(manage: Management) -> dict[str, str]:
    """Make members and service accounts; return what stands in the addresses of their pages."""
    password = Secret(PASSWORD)
    await manage.members.add(OWNER, TEAM, "owner", (), password, manage.operation())
    members = [
        await manage.members.add(f"m{number}@bench.test", TEAM, "developer", (), password, manage.operation())
        for number in range(20)
    ]
    grants = [f"{APP}/**:pull,push"]
    accounts = [
        (await manage.service_accounts.create(f"ci-{number}", TEAM, grants, None, None, manage.operation()))[0]
        for number in range(120)
    ]
    await manage.service_accounts.disable(accounts[0].id, None, manage.operation())
    return {
        "member": members[0].id,
        "active_member": members[1].id,
        "account": accounts[1].id,
        "disabled_account": accounts[0].id,
        "name": f"{APP}/worker:1.0",
        "app": APP,
        "archived_app": "attic",
        "passkey": await make_passkeys(manage),
        "invitation": await make_invitations(manage),
    }


async def make_passkeys(manage: Management) -> str:
    """Let the owner have passkeys; return the id of one."""
    stored = await manage.stores.members.by_email(OWNER)
    assert stored is not None
    party, made = RelyingParty("localhost", "http://localhost"), ""
    for number in range(PASSKEYS):
        options = party.creation_options(stored.record, (), secrets.token_bytes(53))
        key = party.registered(party.read_attestation(SoftwareAuthenticator("http://localhost").create(options)))
        operation = await by_owner(manage)
        made = (await manage.passkeys.register(f"key {number}", key, operation)).id
    return made


async def make_invitations(manage: Management) -> str:
    """Invite people; return the id of one of the links."""
    for number in range(20):
        await manage.links.invite(f"new{number}@bench.test", TEAM, "viewer", (APP,), await by_owner(manage))
    return (await manage.links.list((await by_owner(manage)).actor, TEAM, datetime.now(UTC)))[0].link.id


async def by_owner(manage: Management) -> Operation:
    """Begin one change by the owner."""
    stored = await manage.stores.members.by_email(OWNER)
    assert stored is not None
    return evolve(manage.operation(), actor=Actor.of_member(stored.record))


async def make_license_links(manage: Management, license_id: str, revoked: str) -> dict[str, str]:
    """Make as many links to the pages of two licenses as there may be, and revoke one license."""
    found = dict[str, str]()
    for name, one in (("", license_id), ("revoked_", revoked)):
        for _ in range(MAX_LINKS):
            link, secret = await manage.license_links.create(one, manage.operation())
            found |= {f"{name}link": link.id, f"{name}page": secret.reveal()}
    license_ = await manage.licenses.show(Actor.operator(), revoked)
    if license_.revoked_at is None:
        await manage.licenses.revoke(revoked, manage.operation())
    return found


async def make_linked(manage: Management) -> dict[str, str]:
    """Link external registries; return the id of one."""
    made = ""
    for number in range(LINKED):
        terms = LinkTerms.parse("quay", None, "org+robot", Secret("robot key"), ["org/**"])
        made = (await manage.upstreams.link(APP, f"quay{number}", terms, manage.operation())).id
    return {"upstream": made}


async def make_webhooks(manage: Management, connection: Connection) -> dict[str, str]:
    """Add webhooks, one with deliveries and one disabled; return their ids."""
    made = []
    for number in range(WEBHOOKS):
        terms = WebhookTerms.parse(f"https://hooks{number}.bench.invalid/", None)
        made.append((await manage.webhooks.add(terms, manage.operation(), team=TEAM))[0].id)
    outbox = WebhookOutbox(connection)
    await outbox.add([an_event(str(number), TEAM, APP) for number in range(DELIVERIES)])
    while await outbox.count([TEAM]):  # the worker makes deliveries of them, all of which fail
        await asyncio.sleep(0.1)
    await manage.webhooks.disable(made[1], manage.operation())
    return {"webhook": made[0], "disabled_webhook": made[1]}
