"""A restored backup: what was given out or ended since does not come back."""

import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import frozen

from authsvc.backup_file import BackupDescription, backup_parts
from authsvc.errors import Conflict, InputRefused, SetupRefused
from authsvc.settings import Settings, load
from authsvc.setup.restore import Restored, RestoreRequest, restore
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.snapshot import take_snapshot
from authsvc.tenancy.records import License
from tests.manage.use_cases import HOOK, LINK, terms
from tests.support.builders import PASSWORD
from tests.support.installation import (
    APP,
    DENIED,
    OPERATOR,
    OTHER_APP,
    REFUSED,
    TEAM,
    Installation,
    confirmed,
    installed,
)
from tests.support.redis_server import RedisServer, patient, redis_server

URL = "http://localhost:5000"
READ = f"repository:{APP}/x:pull"


@frozen
class Backed:
    """An installation of which there is a backup.

    Attributes:
        house: the installation; its Redis runs.
        server: of it.
        settings: of it.
        file: the backup.
        licenses: by what happens to them.
        secrets: of members' tokens and service accounts, by what happens to them.
        revoked_token: id of the personal token that is revoked.
    """

    house: Installation
    server: RedisServer
    settings: Settings
    file: Path
    licenses: dict[str, License]
    secrets: dict[str, tuple[str, str]]
    revoked_token: str

    def request(self, *audit: Path, without_audit: bool = False, moved: bool = False) -> RestoreRequest:
        """Return the request for a restore."""
        return RestoreRequest(io.BytesIO(self.file.read_bytes()), audit, without_audit, moved, self.house.now)

    def restore(self, request: RestoreRequest) -> Restored:
        """Restore, and confirm."""
        return restore(self.settings, None, request, lambda _description, _records: None)

    async def exported(self) -> Path:
        """Return the audit in a file."""
        path = self.server.folder / "audit.jsonl"
        entries = await RedisAudit(self.house.connection, 1 << 28).after("", 1000)
        path.write_text("".join(f"{entry.line()}\n" for entry in entries))
        return path

    async def restart(self) -> None:
        """Start Redis with what was restored."""
        await self.server.start()
        self.house.connection.distrust_older()


async def back_up(house: Installation, server: RedisServer, file: Path) -> None:
    """Write a backup as of the installation's time."""

    def describe(size: int, sha256: str) -> BackupDescription:
        return BackupDescription(house.now, URL, "0", "7", size, sha256)

    with await take_snapshot(house.connection, [server.folder]) as snapshot:
        file.write_bytes(b"".join(backup_parts(snapshot, describe)))


@pytest.fixture
async def backed() -> AsyncIterator[Backed]:
    """Yield an installation with a bit of everything, and its backup of an hour ago."""
    async with redis_server() as server:
        connection = patient(server)
        async with installed(connection) as house:
            secrets: dict[str, tuple[str, str]] = {}
            for name in ("kept", "disabled", "removed", "password", "demoted", "token"):
                email = f"{name}@acme.test"
                await house.members.add(email, TEAM, "owner", (), PASSWORD, house.operation())
                secrets[f"member {name}"] = email, PASSWORD.reveal()
            token_ids = {}
            for name in ("kept", "revoked"):
                token, secret = await house.tokens.create(name, "token@acme.test", None, None, house.operation())
                secrets[f"token {name}"], token_ids[name] = ("token@acme.test", secret.reveal()), token.id
            for name in ("kept", "revoked", "rotated", "narrowed"):
                grants = [f"{APP}/**:pull", f"{OTHER_APP}/**:pull"]
                _, secret = await house.service_accounts.create(name, TEAM, grants, None, None, house.operation())
                secrets[f"account {name}"] = name, secret.reveal()
            licenses = {}
            for name in ("kept", "revoked", "archived", "rotated", "overlap", "reinstated"):
                licenses[name], _ = await house.licenses.create(APP, terms(house), house.operation())
            licenses["app"], _ = await house.licenses.create(OTHER_APP, terms(house), house.operation())
            await house.upstreams.link(APP, "kept", LINK, house.operation())
            await house.upstreams.link(APP, "unlinked", LINK, house.operation())
            await house.webhooks.add(HOOK, house.operation(), team=TEAM)
            await house.links.reset("kept@acme.test", house.operation())
            await house.ask(PASSWORD, "kept@acme.test", offline=True)
            file = server.folder / "backup.tar"
            await back_up(house, server, file)
            house.pass_time(hours=1)
            settings = load(
                {
                    "AUTHSVC_PUBLIC_URL": URL,
                    "AUTHSVC_REDIS_URL": server.url.reveal(),
                    "AUTHSVC_REDIS_DISK": str(server.folder),
                    "AUTHSVC_SECRETS_DIR": "/nowhere",
                }
            )
            yield Backed(house, server, settings, file, licenses, secrets, token_ids["revoked"])
            await connection.close()


async def take_away(backed: Backed) -> None:
    """End what is named for its end."""
    house, licenses = backed.house, backed.licenses
    for name in ("revoked", "reinstated"):
        await house.licenses.revoke(licenses[name].id, house.operation())
    await house.licenses.reinstate(licenses["reinstated"].id, house.operation())
    await house.licenses.archive(licenses["archived"].id, house.operation())
    await house.licenses.rotate(licenses["rotated"].id, timedelta(0), house.operation())
    await house.licenses.rotate(licenses["overlap"].id, timedelta(days=9), house.operation())
    await confirmed(house.teams.archive_app, OTHER_APP, house.operation())
    await house.members.disable("disabled@acme.test", house.operation())
    await house.members.remove("removed@acme.test", house.operation())
    await house.members.set_password("password@acme.test", PASSWORD, house.operation())
    await house.members.set_role("demoted@acme.test", "viewer", [OTHER_APP], house.operation())
    await house.tokens.revoke(backed.revoked_token, house.operation())
    await house.service_accounts.revoke("revoked", TEAM, house.operation())
    await house.service_accounts.rotate("rotated", TEAM, timedelta(0), house.operation())
    await house.service_accounts.set_grants("narrowed", TEAM, [f"{OTHER_APP}/**:pull"], house.operation())
    await house.upstreams.unlink("unlinked", APP, house.operation())


async def outcomes(backed: Backed) -> dict[str, str]:
    """Return what everything of before the backup gets now."""
    house = backed.house
    licenses = {
        f"license {name}": await house.gets(
            house.registry_token(one), scope=f"repository:{OTHER_APP if name == 'app' else APP}/x:pull"
        )
        for name, one in backed.licenses.items()
    }
    others = {name: await house.gets(secret, user, READ) for name, (user, secret) in backed.secrets.items()}
    return licenses | others


async def test_everything_works_that_was_not_taken_away(backed: Backed) -> None:
    """Without a word of the audit, everything is as it was at the time of the backup."""
    await take_away(backed)
    await backed.server.stop()
    restored = backed.restore(backed.request(without_audit=True))
    await backed.restart()
    assert set((await outcomes(backed)).values()) == {"pull"}
    assert restored.taken_away == {}
    assert restored.records["license"] == 7


async def test_what_was_taken_away_stays_away(backed: Backed) -> None:
    """Each is refused as it was; what was reinstated since is in force."""
    await take_away(backed)
    audit = await backed.exported()
    await backed.server.stop()
    restored = backed.restore(backed.request(audit))
    await backed.restart()
    assert await outcomes(backed) == {
        "license kept": "pull",
        "license reinstated": "pull",
        "license overlap": "pull",
        "license revoked": DENIED,
        "license archived": DENIED,
        "license rotated": REFUSED,
        "license app": DENIED,
        "member kept": "pull",
        "member token": "pull",
        "member disabled": DENIED,
        "member removed": REFUSED,
        "member password": REFUSED,
        "member demoted": "",
        "token kept": "pull",
        "token revoked": DENIED,
        "account kept": "pull",
        "account revoked": DENIED,
        "account rotated": REFUSED,
        "account narrowed": "",
    }
    assert restored.taken_away == {
        "app": 1,
        "license": 4,
        "member": 4,
        "personal-token": 1,
        "service-account": 3,
        "upstream": 1,
    }
    assert restored.audit_until == backed.house.now
    backed.house.pass_time(days=9)
    assert await backed.house.gets(backed.house.registry_token(backed.licenses["overlap"])) == REFUSED


async def test_sign_ins_and_links_end(backed: Backed) -> None:
    """No session, refresh token or one-time link of before counts; epochs and purges are further."""
    await backed.server.stop()
    backed.restore(backed.request(without_audit=True))
    await backed.restart()
    redis = backed.house.connection.redis
    for kind in ("portal-session", "refresh-token", "member-refresh-tokens", "link", "pending-link"):
        assert await redis.keys(f"authsvc:{kind}:*") == []
    members = await backed.house.all_members(OPERATOR, TEAM)
    assert {member.epoch for member in members} == {2}
    raw = await redis.get(keys.upstream(APP, "kept"))
    assert raw is not None
    assert json.loads(raw)["purge_count"] == 1000


async def test_a_rotation_makes_no_token_of_the_time_that_was_lost(backed: Backed) -> None:
    """A token that was given out after the backup, and ended, is not given out a second time."""
    house, kept = backed.house, backed.licenses["kept"]
    lost, _ = await house.licenses.rotate(kept.id, timedelta(0), house.operation())
    token = house.registry_token(lost)
    await backed.server.stop()
    backed.restore(backed.request(without_audit=True))
    await backed.restart()
    rotated, _ = await house.licenses.rotate(kept.id, timedelta(0), house.operation())
    assert await house.gets(house.registry_token(rotated), scope=READ) == "pull"
    assert await house.gets(token, scope=READ) == REFUSED
    again, _ = await house.licenses.rotate(kept.id, timedelta(0), house.operation())
    assert again.tokens[0].generation == rotated.tokens[0].generation + 1


async def test_the_audit_knows_of_it(backed: Backed) -> None:
    """The restore is its last entry, and it is counted anew."""
    await backed.server.stop()
    backed.restore(backed.request(without_audit=True))
    await backed.restart()
    (entry,) = await RedisAudit(backed.house.connection, 1 << 28).before("", 1)
    facts = json.loads(entry.line())
    assert (facts["event"], facts["actor"]) == ("backup.restored", "system:authsvc")


async def test_files_of_before_are_kept_and_lead_back(backed: Backed) -> None:
    """Their manifest is that of before, and Redis starts with it."""
    later, _ = await backed.house.licenses.create(APP, terms(backed.house), backed.house.operation())
    await backed.server.stop()
    kept = backed.restore(backed.request(without_audit=True)).kept
    assert kept is not None
    folder = backed.server.folder / "appendonlydir"
    assert len(list(folder.iterdir())) == 3
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    (kept / "appendonlydir").rename(folder)
    await backed.restart()
    assert await backed.house.gets(backed.house.registry_token(later), scope=READ) == "pull"


async def test_a_running_redis_is_refused(backed: Backed) -> None:
    """It would go on with what it has in memory, and write over what was restored."""
    with pytest.raises(Conflict, match="Redis is running"):
        backed.restore(backed.request(without_audit=True))


DAMAGED = {
    "another archive": (b"redis.rdb", b"other.rdb", "not a backup of authsvc"),
    "another format": (b"REDIS0", b"REDIS9", "damaged"),
    "a bit": (b"authsvc:license:", b"authsvc:lizense:", "damaged"),
    "a newer one": (b'"version": 1', b'"version": 2', "newer authsvc"),
    "another address": (URL.encode(), b"http://localhosd:5000", "backup of http://localhosd:5000"),
    "another program": (b'"kind": "authsvc-backup"', b'"kind": "another-backup"', "not a backup of authsvc"),
}
"""What is in the place of what in the file, and why it is refused."""


async def test_what_is_not_a_whole_backup_of_ours_is_refused(backed: Backed) -> None:
    """Nothing is changed then, and no draft is left."""
    content = backed.file.read_bytes()
    await backed.server.stop()
    before = sorted(path.name for path in backed.server.folder.rglob("*"))
    for was, becomes, why in DAMAGED.values():
        assert was in content
        backed.file.write_bytes(content.replace(was, becomes))
        with pytest.raises(InputRefused, match=why):
            backed.restore(backed.request(without_audit=True))
    for length in (0, 100, 512, 5000, len(content) // 2, len(content) - 1024, len(content) - 1):
        backed.file.write_bytes(content[:length])
        with pytest.raises(InputRefused, match="nothing was changed"):
            backed.restore(backed.request(without_audit=True))
    assert sorted(path.name for path in backed.server.folder.rglob("*")) == before


async def test_an_audit_that_is_older_than_the_backup_is_not_enough(backed: Backed) -> None:
    """What was revoked since would be valid again: that has to be accepted in words."""
    audit = await backed.exported()
    await backed.server.stop()
    lines = audit.read_text().splitlines(keepends=True)
    old = [line.replace("2026-08-01", "2026-07-01") for line in lines]
    for content, why in (([], "--without-audit"), (old, "--without-audit"), (["nonsense\n"], "line 1 of")):
        audit.write_text("".join(content))
        with pytest.raises(InputRefused, match=why):
            backed.restore(backed.request(audit))


async def test_nothing_is_changed_unless_it_is_confirmed(backed: Backed) -> None:
    """What is asked knows what is in the backup."""
    await backed.server.stop()
    before = {path: path.read_bytes() for path in backed.server.folder.rglob("*.aof*")}

    def refused(_description: BackupDescription, records: dict[str, int]) -> None:
        assert records["member"] == 6
        raise SetupRefused("no")

    with pytest.raises(SetupRefused, match="no"):
        restore(backed.settings, None, backed.request(without_audit=True), refused)  # type: ignore[arg-type]
    assert {path: path.read_bytes() for path in backed.server.folder.rglob("*.aof*")} == before


async def test_a_crash_before_the_last_step_changes_nothing(backed: Backed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is the last thing to change; until then Redis starts with the old data."""
    later, _ = await backed.house.licenses.create(APP, terms(backed.house), backed.house.operation())
    await backed.server.stop()

    def dies(path: Path, _content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("authsvc.store.append_only._put_manifest", dies)
        with pytest.raises(KeyboardInterrupt):
            backed.restore(backed.request(without_audit=True))
    await backed.restart()
    assert await backed.house.gets(backed.house.registry_token(later), scope=READ) == "pull"
    await backed.server.stop()
    backed.house.pass_time(hours=1)
    backed.restore(backed.request(without_audit=True))
    await backed.restart()
    assert await backed.house.gets(backed.house.registry_token(later), scope=READ) == REFUSED
