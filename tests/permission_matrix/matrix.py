"""Every use case as a call, and what authsvc does about each cell of the table."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

from attrs import evolve, frozen

from authsvc.client import Client
from authsvc.errors import Conflict, InputRefused, NotFound, PermissionDenied
from authsvc.manage.activity import ActivityQuery
from authsvc.manage.audit_query import AuditQuery
from authsvc.manage.license_files import LicenseFiles
from authsvc.manage.license_import import LicenseImport
from authsvc.manage.license_renewal import LicenseRenewal
from authsvc.manage.license_rows import LicenseRow, RenewalRow
from authsvc.manage.upstreams import LinkChange
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.records import App, License
from authsvc.tenancy.versioned import Versioned
from authsvc.upstreams.terms import LinkTerms
from authsvc.webhooks.terms import WebhookChange, WebhookTerms
from tests.permission_matrix.oracle import DENIED, FILE, MISSING, NOTHING, NOWHERE, SELF, YES, Cell, load
from tests.permission_matrix.world import PASSWORD, RECEIVER, Someone, Things, World
from tests.support.builders import made_passkey
from tests.support.installation import confirmed

ORACLE = load(FILE.read_text(encoding="utf-8"))

CHANGES = LicenseUpdate(contact="new@x.test")
LATER = "2099-01-31"
SPAN = timedelta(hours=1)
ANY = AuditQuery()
TERMS = LinkTerms.parse("quay", None, None, None, ["org/**"])
HOOK = WebhookTerms.parse(RECEIVER, ["license.ending"])
OTHER_HOOK = WebhookChange.parse(None, ["license.denied"])
NARROWED = LinkChange(repositories=("org/api",))


@frozen
class Call:
    """One call of a use case.

    Attributes:
        world: where.
        who: calls.
        at: what lies at the place of the cell.
    """

    world: World
    who: Someone
    at: Things

    def app(self) -> Versioned[App]:
        """Return the app as it was looked up before."""
        assert self.at.records is not None
        return self.at.records[0]

    def license(self) -> License:
        """Return the license as it was looked up before."""
        assert self.at.records is not None
        return self.at.records[1]

    def rows(self) -> list[Any]:
        """Return the rows of an import."""
        return [LicenseRow(2, "ref-1", self.world.terms())]

    def renewals(self) -> list[Any]:
        """Return the rows of a renewal."""
        return [RenewalRow(2, "renewed", self.world.now + timedelta(days=60))]


Use = Callable[[Call], Any]


def _simple(use: Callable[[Call, World, Any, Things], Any]) -> Use:
    return lambda c: use(c, c.world, c.who.actor, c.at)


def _change(use: Callable[[World, Things, Any], Any]) -> Use:
    return lambda c: use(c.world, c.at, c.world.operation(c.who.actor))


CALLS: dict[str, Use] = {
    "Teams.create": _change(lambda w, _, o: w.teams.create("fresh-team", None, o)),
    "Teams.teams": _simple(lambda _, w, a, __: w.teams.teams(a)),
    "Teams.team": _simple(lambda _, w, a, t: w.teams.team(a, t.team)),
    "Teams.set": _change(lambda w, t, o: w.teams.set(t.team, "Fresh Ltd", o)),
    "Teams.create_app": _change(lambda w, t, o: w.teams.create_app("fresh", t.team, None, o)),
    "Teams.apps": _simple(lambda _, w, a, t: w.teams.apps(a, t.team)),
    "Teams.app": _simple(lambda _, w, a, t: w.teams.app(a, t.app)),
    "Teams.use_of": _simple(lambda _, w, a, t: w.teams.use_of(a, t.app, w.now)),
    "Teams.archive_app": _change(lambda w, t, o: confirmed(w.teams.archive_app, t.app, o)),
    "Teams.reinstate_app": _change(lambda w, t, o: w.teams.reinstate_app(t.app, o)),
    "Images.list": _simple(lambda _, w, a, t: w.images.list(a, app=t.app)),
    "Images.show": _simple(lambda _, w, a, t: w.images.show(a, t.image, w.now)),
    "ImageDeletions.delete": _change(lambda w, t, o: confirmed(w.image_deletions.delete, t.image, o)),
    "ImageDeletions.preview": _change(lambda w, t, o: w.image_deletions.preview(t.image, o)),
    "Images.repository": _simple(lambda _, w, a, t: w.images.repository(a, f"{t.app}/api", w.now)),
    "Repositories.list": _simple(lambda _, w, a, t: w.repositories.list(a, t.app, w.now)),
    "Repositories.versions": _simple(lambda _, w, a, t: w.repositories.versions(a, f"{t.app}/api", (), w.now)),
    "Images.sum": _simple(lambda _, w, a, t: w.images.sum(a, t.app)),
    "Members.add": _change(lambda w, t, o: w.members.add("fresh@x.test", t.team, "viewer", (), PASSWORD, o)),
    "Members.list": _simple(lambda _, w, a, t: w.members.list(a, t.team)),
    "Members.show": _simple(lambda _, w, a, t: w.members.show(a, t.email)),
    "Members.disable": _change(lambda w, t, o: w.members.disable(t.email, o)),
    "Members.enable": _change(lambda w, t, o: w.members.enable(t.email, o)),
    "Members.set_role": _change(lambda w, t, o: w.members.set_role(t.email, "viewer", None, o)),
    "Members.remove": _change(lambda w, t, o: w.members.remove(t.email, o)),
    "Members.set_password": _change(lambda w, t, o: w.members.set_password(t.email, PASSWORD, o)),
    "Members.person": _simple(lambda _, w, a, t: w.members.person(a, t.email)),
    "Links.invite": _change(lambda w, t, o: w.links.invite("fresh@x.test", t.team, "viewer", (), o)),
    "Links.reset": _change(lambda w, t, o: w.links.reset(t.email, o)),
    "Links.list": _simple(lambda _, w, a, t: w.links.list(a, t.team, w.now)),
    "Links.revoke": _change(lambda w, t, o: w.links.revoke(f"invited@{t.team}.test", t.team, o)),
    "Links.redeem": _change(lambda w, _, o: w.links.redeem(w.link, PASSWORD, o)),
    "Tokens.create": _change(lambda w, t, o: w.tokens.create("fresh", t.email, None, None, o)),
    "Tokens.list": _simple(lambda _, w, a, t: w.tokens.list(a, t.email, w.now)),
    "Tokens.show": _simple(lambda _, w, a, t: w.tokens.show(a, t.token, w.now)),
    "Tokens.revoke": _change(lambda w, t, o: w.tokens.revoke(t.token, o)),
    "SignIns.keep": _simple(lambda c, w, _, __: w.sign_ins.keep(c.who.member, "docker", w.now)),  # type: ignore[arg-type]
    "Sessions.begin": lambda c: c.world.sessions.begin(1, Client(), c.world.operation(c.who.actor)),
    "Sessions.list": _simple(lambda _, w, a, __: w.sessions.list(a, w.now)),
    "Sessions.end": lambda c: c.world.sessions.end(c.who.session, c.world.operation(c.who.actor)),
    "Sessions.end_all": _change(lambda w, _, o: w.sessions.end_all(o)),
    "Passkeys.list": _simple(lambda _, w, a, __: w.passkeys.list(a)),
    "Passkeys.register": _change(lambda w, _, o: w.passkeys.register("fresh", made_passkey(), o)),
    "Passkeys.rename": lambda c: c.world.passkeys.rename(c.who.passkey, "fresh", c.world.operation(c.who.actor)),
    "Passkeys.remove": lambda c: c.world.passkeys.remove(c.who.passkey, c.world.operation(c.who.actor)),
    "Passkeys.counts": _simple(lambda _, w, a, t: w.passkeys.counts(a, t.team, ())),
    "ServiceAccounts.create": _change(
        lambda w, t, o: w.service_accounts.create("fresh", t.team, (), "manage", None, o)
    ),
    "ServiceAccounts.list": _simple(lambda _, w, a, t: w.service_accounts.list(a, t.team)),
    "ServiceAccounts.show": _simple(lambda _, w, a, t: w.service_accounts.show(a, t.account, t.team)),
    "ServiceAccounts.set_grants": _change(
        lambda w, t, o: w.service_accounts.set_grants(t.account, t.team, (f"{t.app}/**:pull",), o)
    ),
    "ServiceAccounts.rotate": _change(lambda w, t, o: w.service_accounts.rotate(t.account, t.team, SPAN, o)),
    "ServiceAccounts.disable": _change(lambda w, t, o: w.service_accounts.disable(t.account, t.team, o)),
    "ServiceAccounts.enable": _change(lambda w, t, o: w.service_accounts.enable(t.account, t.team, o)),
    "ServiceAccounts.revoke": _change(lambda w, t, o: w.service_accounts.revoke(t.account, t.team, o)),
    "Upstreams.link": _change(lambda w, t, o: w.upstreams.link(t.app, "fresh", TERMS, o)),
    "Upstreams.list": _simple(lambda _, w, a, t: w.upstreams.list(a, app=t.app)),
    "Upstreams.show": _simple(lambda _, w, a, t: w.upstreams.show(a, t.upstream)),
    "Upstreams.use": _simple(lambda _, w, a, t: w.upstreams.use(a, t.upstream, None, w.now)),
    "Upstreams.set": _change(lambda w, t, o: w.upstreams.set(t.upstream, None, NARROWED, o)),
    "Upstreams.test": _change(lambda w, t, o: w.upstreams.test(t.upstream, None, None, o)),
    "Upstreams.purge": _change(lambda w, t, o: w.upstreams.purge(t.upstream, None, o)),
    "Upstreams.unlink": _change(lambda w, t, o: w.upstreams.unlink(t.upstream, None, o)),
    "Webhooks.add": _change(lambda w, t, o: w.webhooks.add(HOOK, o, team=t.team)),
    "Webhooks.list": _simple(lambda _, w, a, t: w.webhooks.list(a, team=t.team)),
    "Webhooks.show": _simple(lambda _, w, a, t: w.webhooks.show(a, t.webhook)),
    "Webhooks.deliveries": _simple(lambda _, w, a, t: w.webhooks.deliveries(a, t.webhook)),
    "Webhooks.test": _change(lambda w, t, o: w.webhooks.test(t.webhook, o)),
    "Webhooks.set": _change(lambda w, t, o: w.webhooks.set(t.webhook, OTHER_HOOK, o)),
    "Webhooks.rotate": _change(lambda w, t, o: w.webhooks.rotate(t.webhook, SPAN, o)),
    "Webhooks.disable": _change(lambda w, t, o: w.webhooks.disable(t.webhook, o)),
    "Webhooks.enable": _change(lambda w, t, o: w.webhooks.enable(t.webhook, o)),
    "Webhooks.remove": _change(lambda w, t, o: w.webhooks.remove(t.webhook, o)),
    "Customers.list": _simple(lambda _, w, a, t: w.customers.list(a, t.team)),
    "Customers.show": _simple(lambda _, w, a, t: w.customers.show(a, t.customer)),
    "Customers.licenses": _simple(lambda _, w, a, t: w.customers.licenses(a, t.customer, w.now)),
    "Customers.create": _change(lambda w, t, o: w.customers.create(t.team, "Fresh Ltd", o)),
    "Customers.set": _change(lambda w, t, o: w.customers.set(t.customer, o, email="x@fresh.test")),
    "Licenses.open_app": _simple(lambda _, w, a, t: w.licenses.open_app(a, t.app)),
    "Licenses.check": _simple(lambda c, w, a, _: w.licenses.check(a, c.app(), w.terms(), w.now)),
    "Licenses.create_in": lambda c: c.world.licenses.create_in(
        c.app(), c.world.terms(), c.world.operation(c.who.actor)
    ),
    "Licenses.file_of": _simple(lambda c, w, a, _: w.licenses.file_of(a, c.license())),
    "Licenses.list": _simple(lambda _, w, a, t: w.licenses.list(a, w.now, app=t.app)),
    "Licenses.index_progress": _simple(lambda _, w, a, __: w.licenses.index_progress(a)),
    "Licenses.set": _change(lambda w, t, o: w.licenses.set(t.license, CHANGES, o)),
    "Licenses.show": _simple(lambda _, w, a, t: w.licenses.show(a, t.license)),
    "Licenses.create": _change(lambda w, t, o: w.licenses.create(t.app, w.terms(), o)),
    "Licenses.extend": _change(lambda w, t, o: w.licenses.extend(t.license, LATER, o)),
    "Licenses.rotate": _change(lambda w, t, o: w.licenses.rotate(t.license, SPAN, o)),
    "Licenses.revoke": _change(lambda w, t, o: w.licenses.revoke(t.license, o)),
    "Licenses.archive": _change(lambda w, t, o: w.licenses.archive(t.license, o)),
    "Licenses.reinstate": _change(lambda w, t, o: w.licenses.reinstate(t.license, o)),
    "Licenses.download": _simple(lambda _, w, a, t: w.licenses.download(a, t.license)),
    "Licenses.verification_keys": _simple(lambda _, w, __, ___: w.licenses.verification_keys()),
    "LicenseLinks.create": _change(lambda w, t, o: w.license_links.create(t.license, o)),
    "LicenseLinks.list": _simple(lambda _, w, a, t: w.license_links.list(a, t.license, w.now)),
    "LicenseLinks.revoke": _change(lambda w, t, o: w.license_links.revoke(t.license, o)),
    "LicenseByLink.open": _simple(lambda _, w, __, ___: w.license_by_link.open(w.page, w.now)),
    "LicenseByLink.images": _simple(lambda _, w, __, ___: w.of_page(w.license_by_link.images)),
    "LicenseByLink.sign_in": _simple(lambda _, w, __, ___: w.of_page(w.license_by_link.sign_in)),
    "LicenseByLink.download": _change(lambda w, _, o: w.license_by_link.download(w.page, "192.0.2.0/24", o)),
    "LicensePreview.images": _simple(lambda _, w, a, t: w.license_preview.images(a, t.app, None)),
    "LicenseRenewal.check": _simple(
        lambda c, w, a, _: LicenseRenewal(w.stores, c.app().record).check(a, c.renewals(), w.now)
    ),
    "LicenseRenewal.carry_out": _simple(
        lambda c, w, a, _: LicenseRenewal(w.stores, c.app().record).carry_out(
            a, c.renewals(), lambda: w.operation(a), lambda _: None
        )
    ),
    "LicenseImport.check": _simple(lambda c, w, a, _: LicenseImport(w.licenses, c.app()).check(a, c.rows(), w.now)),
    "LicenseFiles.of_references": _simple(
        lambda c, w, a, _: LicenseFiles(w.licenses, c.app().record).of_references(
            a, [row.reference for row in c.rows()]
        )
    ),
    "LicenseImport.carry_out": _simple(
        lambda c, w, a, _: LicenseImport(w.licenses, c.app()).carry_out(
            a, c.rows(), lambda: w.operation(a), lambda _: None
        )
    ),
    "Activity.rows": _simple(lambda _, w, a, t: w.activity.rows(a, ActivityQuery(app=t.app), w.now)),
    "Activity.licenses": _simple(lambda c, w, a, _: w.activity.licenses(a, [c.license()], w.now)),
    "Activity.license": _simple(lambda _, w, a, t: w.activity.license(a, t.license, w.now)),
    "Activity.customer": _simple(lambda _, w, a, t: w.activity.customer(a, t.customer, w.now)),
    "Activity.app": _simple(lambda _, w, a, t: w.activity.app(a, t.app, w.now)),
    "Activity.downloads": _simple(lambda _, w, a, t: w.activity.downloads(a, t.app, w.now)),
    "ImageUsers.show": _simple(lambda _, w, a, t: w.image_users.show(a, t.image, w.now)),
    "ImageUsers.unused": _simple(lambda _, w, a, t: w.image_users.unused(a, f"{t.app}/api", w.now)),
    "Audit.entries": _simple(lambda _, w, a, __: w.audit.entries(a, ANY, w.now, unproven=True)),
    "Audit.filter_of": _simple(lambda _, w, a, __: w.audit.filter_of(a, ANY, w.now)),
    "Audit.follow": _simple(lambda _, w, a, __: w.audit.follow(a, ANY, "0-1", w.now)),
    "Audit.pages": _simple(lambda _, w, a, __: w.audit.pages(a, ANY, w.now)),
    "Audit.names": _simple(lambda _, w, a, __: w.audit.names(a, ())),
    "Audit.trimmed_until": _simple(lambda _, w, a, __: w.audit.trimmed_until(a)),
    "Audit.refusals": _simple(lambda _, w, a, t: w.audit.refusals(a, w.now, app=t.app)),
    "Audit.explain": _simple(lambda _, w, a, __: w.audit.explain(a, "op-3")),
    "Audit.decisions": _simple(lambda _, w, a, __: w.audit.decisions(a, "member:x", w.now)),
    "Keys.show": _simple(lambda _, w, a, __: w.keys.show(a)),
    "Keys.rotate": _change(lambda w, _, o: w.keys.rotate(o)),
    "Keys.rotate_license_key": _change(lambda w, _, o: w.keys.rotate_license_key(o)),
    "Keys.rotate_sealing_key": _change(lambda w, _, o: w.keys.rotate_sealing_key(o)),
    "Keys.prepare_root": _change(lambda w, _, o: w.keys.prepare_root(o)),
    "Keys.switch_root": _change(lambda w, _, o: w.keys.switch_root(o, force=True)),
    "Keys.drop_old_roots": _change(lambda w, _, o: w.keys.drop_old_roots(o, force=True)),
}
"""What is called for each use case of the table."""


@frozen
class Answer:
    """What came back.

    Attributes:
        outcome: as the table says it.
        told: what the actor learned: the result of a call, or sentence, code and argument of a refusal.
        commands: how many commands Redis got meanwhile.
        changed: whether anything is stored otherwise than before.
    """

    outcome: str
    told: str
    commands: int
    changed: bool


async def answer(world: World, cell: Cell, *, by_id: bool = False) -> Answer:
    """Call the use case of a cell; afterwards everything is as before.

    Args:
        world: as it was built.
        cell: which.
        by_id: whether the call names a member and a service account by its id.
    """
    who = world.actors[cell.actor]
    at = _things(world, who, cell.place)
    if by_id:
        at = evolve(at, email=at.member_id, account=at.account_id)
    writes, world.commands, told, outcome = await world.writes(), 0, "", YES
    try:
        told = repr(await _result(CALLS[cell.use_case](Call(world, who, at))))
    except PermissionDenied as error:
        outcome, told = DENIED, f"{error} [{error.code}]"
    except NotFound as error:
        outcome, told = MISSING, f"{error} [{error.code} {error.field} {sorted(error.facts)}]"
    except (Conflict, InputRefused) as error:
        if not cell.use_case.startswith("Keys."):  # there is no old root to drop
            raise
        told = str(error)
    commands = world.commands
    changed = await world.writes() != writes and await world.content() != world.digest
    if changed:
        await world.restore()
    return Answer(outcome, _unnamed(told, at) if outcome == MISSING else told, commands, changed)


def _things(world: World, who: Someone, place: str) -> Things:
    if place == NOTHING:
        return world.places[NOWHERE]
    if place != SELF:
        return world.places[place]
    nothing = world.places[NOWHERE]
    email = nothing.email if who.member is None else who.member.email
    name, team = (nothing.account, nothing.team) if who.account is None else (who.account.name, who.account.team)
    member_id = nothing.member_id if who.member is None else who.member.id
    account_id = nothing.account_id if who.account is None else who.account.id
    own = (email, member_id, who.token, name, account_id)
    return Things(
        team,
        nothing.app,
        *own,
        nothing.license,
        nothing.customer,
        nothing.image,
        nothing.upstream,
        nothing.webhook,
        nothing.link,
    )


async def _result(result: Any) -> Any:
    if isinstance(result, AsyncIterator):
        return [item async for item in result]
    return await result if isinstance(result, Awaitable) else result


def _unnamed(told: str, at: Things) -> str:
    """Return a sentence without the names that the actor gave, so that two can be compared."""
    names = (
        at.team,
        at.app,
        at.email,
        at.token,
        at.account,
        at.license,
        at.customer,
        at.image,
        f"{at.app}/api",
        at.upstream,
        at.webhook,
        at.link,
    )
    for name in sorted(names, key=len, reverse=True):
        told = told.replace(f"'{name}'", "NAME")
    return told


def reads(cell: Cell) -> bool:
    """Whether the use case of a cell changes nothing."""
    facts = ORACLE.rows[ORACLE.use_cases[cell.use_case]["row"]]
    level = facts["owner"] if facts["owner"] != "-" else "manage"
    return bool(level == "read" and not facts.get("public"))
