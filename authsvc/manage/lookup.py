"""Looks up records that an actor named (design #17); use cases look up records by name or id only here.

Records of another team, or of an app outside the actor's limits, do not exist for the actor: the error is literally the
same as for records that do not exist at all, and it is raised after the same reads. The operator sees everything.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from authsvc.activity.image_name import ImageName
from authsvc.credentials.machine_secret import is_id
from authsvc.errors import Conflict, NotFound
from authsvc.manage.actor import Actor, ActorKind
from authsvc.manage.stores import Stores
from authsvc.policy import locate
from authsvc.tenancy.customers import Customer
from authsvc.tenancy.machine_records import ServiceAccount
from authsvc.tenancy.names import parse_email, parse_slug
from authsvc.tenancy.pages import MAX_PAGE, Page
from authsvc.tenancy.records import App, License, Member, Team
from authsvc.tenancy.versioned import Versioned

if TYPE_CHECKING:
    from authsvc.upstreams.link import UpstreamLink
    from authsvc.webhooks.webhook import Webhook

T = TypeVar("T")

MAX_SHOWN = 5
"""Most apps that an error message names."""

SERVICE_ACCOUNT_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*", re.ASCII)


async def find_team(stores: Stores, actor: Actor, slug: str) -> Team:
    """Return the team for reading; raises the errors of :func:`find_team_to_change`."""
    return (await find_team_to_change(stores, actor, slug)).record


async def find_team_to_change(stores: Stores, actor: Actor, slug: str) -> Versioned[Team]:
    """Return the team with its version.

    Raises:
        InputRefused: ``slug`` is not a valid slug.
        NotFound: there is no such team for the actor.
    """
    team = await stores.teams.get(parse_slug(slug, "team"))
    if team is None or not actor.sees(team.record.slug):
        raise NotFound(f"there is no team {slug!r}", code="team_not_found", field="team", facts={"team": slug})
    return team


async def find_app(stores: Stores, actor: Actor, slug: str) -> Versioned[App]:
    """Return the app, archived or not.

    Raises:
        InputRefused: ``slug`` is not a valid slug.
        NotFound: there is no such app for the actor.
    """
    app = await stores.apps.get(parse_slug(slug, "app"))
    if app is None or not actor.sees(app.record.team, app.record.slug):
        raise no_app(slug)
    return app


async def find_open_app(stores: Stores, actor: Actor, slug: str) -> Versioned[App]:
    """Return the app, if licenses for it can be made.

    Raises:
        InputRefused: ``slug`` is not a valid slug.
        NotFound: there is no such app for the actor.
        Conflict: it is archived.
    """
    app = await find_app(stores, actor, slug)
    if app.record.archived_at is not None:
        raise Conflict(
            f"the app {slug!r} is archived; a license for it could pull nothing", code="app_archived", field="app"
        )
    return app


async def find_app_of_image(
    stores: Stores, actor: Actor, image: ImageName, field: str = "image", *, proxied: bool = False
) -> App:
    """Return the app that an image belongs to, archived or not; whether the image exists is not checked.

    Args:
        stores: the records.
        actor: the caller.
        image: its name.
        field: the argument that named it.
        proxied: whether images of linked registries count too; our own registry does not have them.

    Raises:
        NotFound: there is no such app for the actor; the sentence is the same as for an unknown image.
    """
    location = locate(image.repository)
    slug = "" if location is None or (location.upstream is not None and not proxied) else location.app
    app = await stores.apps.get(slug)
    if app is None or not actor.sees(app.record.team, app.record.slug):
        raise no_image(image, field)
    return app.record


def no_image(image: ImageName, field: str = "image") -> NotFound:
    """Return the error about an image that does not exist for an actor."""
    return NotFound(f"there is no image {str(image)!r}", code="image_not_found", field=field)


def require_app(actor: Actor, app: App) -> None:
    """Check that the actor sees an app that was looked up earlier, perhaps for another actor.

    Raises:
        NotFound: there is no such app for the actor.
    """
    if not actor.sees(app.team, app.slug):
        raise no_app(app.slug)


async def find_apps_of(stores: Stores, slugs: Sequence[str], team: str) -> tuple[str, ...] | None:
    """Return the slugs, sorted and each once, if all are apps of ``team``; None for none.

    Raises:
        InputRefused: a slug is not valid.
        NotFound: the team has no such app; the same sentence when another team has it.
    """
    for slug in dict.fromkeys(slugs):
        app = await stores.apps.get(parse_slug(slug, "app"))
        if app is None or app.record.team != team:
            raise NotFound(
                f"the team {team!r} has no app {slug!r}", code="app_not_found", field="apps", facts={"team": team}
            )
    return tuple(sorted(set(slugs))) or None


async def find_license(stores: Stores, actor: Actor, name: str, app: str | None = None) -> Versioned[License]:
    """Return the license, archived or not.

    Args:
        stores: the records.
        actor: the caller.
        name: its id, or its reference, if only one license of the actor's apps has it.
        app: slug of the only app that is searched; None for all that the actor sees.

    Raises:
        InputRefused: ``app`` is not a valid slug.
        NotFound: there is no such license, or no such app, for the actor.
        Conflict: licenses of several apps have the reference.
    """
    slug = None if app is None else (await find_app(stores, actor, app)).record.slug
    found = await stores.licenses.get(name) if is_id(name) else None
    if found is None or not actor.sees(found.record.team, found.record.app) or slug not in {None, found.record.app}:
        found = await _by_reference(stores, actor, name, slug)
    if found is None:
        raise _no_license(name)
    return found


async def _by_reference(stores: Stores, actor: Actor, reference: str, app: str | None) -> Versioned[License] | None:
    chosen = [app] if app is not None else None if actor.apps is None else sorted(actor.apps)
    portions = _all_apps(stores, actor) if chosen is None else _one(chosen)
    found = [one async for slugs in portions for one in await stores.licenses.with_reference(slugs, reference)]
    seen = [license_ for license_ in found if actor.sees(license_.team, license_.app)]
    if len(seen) > 1:
        apps = ", ".join(sorted(license_.app for license_ in seen)[:MAX_SHOWN])
        raise Conflict(
            f"licenses of several apps have the reference {reference[:60]!r}: {apps}; name the app, or the license by "
            "its id",
            code="license_ambiguous",
            field="app",
        )
    return await stores.licenses.get(seen[0].id) if seen else None


async def _all_apps(stores: Stores, actor: Actor) -> AsyncIterator[list[str]]:
    """Yield the slugs of all apps that an actor without a limit sees, a page at a time."""
    teams = _one([actor.team]) if actor.team is not None else _pages(stores.teams.page, lambda team: team.slug)
    async for slugs in teams:
        for team in slugs:
            async for apps in _pages(partial(stores.apps.page, team, archived=True), lambda app: app.slug):
                yield apps


async def _pages(
    page: Callable[[str | None, int], Awaitable[Page[T]]], slug: Callable[[T], str]
) -> AsyncIterator[list[str]]:
    after = None
    while True:
        found = await page(after, MAX_PAGE)
        yield [slug(item) for item in found.items]
        after = found.next
        if after is None:
            return


async def _one(slugs: list[str]) -> AsyncIterator[list[str]]:
    yield slugs


async def find_customer(stores: Stores, actor: Actor, name: str, team: str | None = None) -> Versioned[Customer]:
    """Return the customer, archived or not.

    Args:
        stores: the records.
        actor: the caller.
        name: its id; within the team also its reference, or exactly its name.
        team: slug; None for the actor's own.

    Raises:
        InputRefused: ``team`` is not a valid slug.
        NotFound: there is no such customer, or no such team, for the actor: an actor that is limited to some apps sees
            the customers with a license of them.
    """
    owner = actor.team if team is None else (await find_team(stores, actor, team)).slug
    by_id = await stores.customers.get(name) if is_id(name) else None
    if by_id is not None and (not actor.sees(by_id.record.team) or (team is not None and by_id.record.team != owner)):
        by_id = None
    # A record that the actor does not see takes the same reads as a missing one, so all lookups are always made.
    found = await _shown_customer(stores, actor, owner, by_id)
    if found is None and owner is not None:
        named = await stores.customers.by_reference(owner, name) or await stores.customers.by_name(owner, name)
        found = await _shown_customer(stores, actor, owner, named)
    if found is None:
        raise NotFound(f"there is no customer {name[:40]!r}", code="customer_not_found", field="customer")
    return found


async def _shown_customer(
    stores: Stores, actor: Actor, team: str | None, found: Versioned[Customer] | None
) -> Versioned[Customer] | None:
    """Return a customer of the team if the actor sees it; a missing one takes the same reads as an invisible one."""
    if actor.apps is None:
        return found
    customer_id = None if found is None else found.record.id
    return found if await stores.customers.has_license(team or "", customer_id, actor.apps) else None


def require_license(actor: Actor, license_: License) -> None:
    """Check that the actor sees a license that was looked up earlier, perhaps for another actor.

    Raises:
        NotFound: there is no such license for the actor.
    """
    if not actor.sees(license_.team, license_.app):
        raise _no_license(license_.id)


def parse_member(text: str) -> str:
    """Return an id of a member unchanged, or an e-mail address in its canonical form.

    Raises:
        InputRefused: it is neither.
    """
    return text if is_id(text) else parse_email(text)


async def find_member(stores: Stores, actor: Actor, member: str) -> Versioned[Member]:
    """Return the member with this id or address, without those who were removed.

    Raises:
        InputRefused: it is neither an id nor an address.
        NotFound: no member of the actor's team has it.
    """
    named = parse_member(member)
    if is_id(named):
        found = await stores.members.get(named)
        return _seen_member(actor, None if found is None or found.record.removed_at else found, named)
    found = await stores.members.by_email(named)
    if found is None or not actor.sees(found.record.team):
        raise NotFound(f"no member has the address {member[:80]!r}", code="member_not_found", field="email")
    return found


async def find_member_by_id(stores: Stores, actor: Actor, member_id: str) -> Member:
    """Return the member with this id, even a removed one.

    Raises:
        NotFound: there is none for the actor.
    """
    found = await stores.members.get(member_id) if is_id(member_id) else None
    return _seen_member(actor, found, member_id).record


def _seen_member(actor: Actor, found: Versioned[Member] | None, member_id: str) -> Versioned[Member]:
    if found is None or not actor.sees(found.record.team):
        raise NotFound(f"there is no member {member_id[:40]!r}", code="member_not_found", field="member")
    return found


async def find_service_account(
    stores: Stores, actor: Actor, account: str, team: str | None = None
) -> Versioned[ServiceAccount]:
    """Return the service account, revoked or not; a service account sees none but itself.

    Args:
        stores: the records.
        actor: the caller.
        account: its id; within the team also its name.
        team: slug; None for the actor's own.

    Raises:
        InputRefused: ``team`` is not a valid slug.
        NotFound: there is no such account, or no such team, for the actor.
    """
    owner = actor.team if team is None else (await find_team(stores, actor, team)).slug
    if actor.kind is ActorKind.SERVICE_ACCOUNT:
        # Whatever the name is, only the actor's own record is read, so that nothing reveals which other accounts exist.
        found = await stores.service_accounts.get(actor.id)
        named = found is not None and account in {found.record.id, found.record.name}
        found = found if named else None
    else:
        found = await stores.service_accounts.get(account) if is_id(account) else None
        foreign = found is not None and not actor.sees(found.record.team)
        if found is not None and (foreign or (team is not None and found.record.team != owner)):
            found = None
        if found is None and owner is not None and SERVICE_ACCOUNT_NAME.fullmatch(account):
            found = await stores.service_accounts.by_name(owner, account)
    if found is not None:
        return found
    if owner is None:
        raise NotFound(f"there is no service account {account[:60]!r}", code="service_account_not_found", field="name")
    raise NotFound(
        f"the team {owner!r} has no service account {account[:60]!r}",
        code="service_account_not_found",
        field="name",
        facts={"team": owner},
    )


async def find_upstream(
    stores: Stores, actor: Actor, upstream: str, app: str | None = None
) -> "Versioned[UpstreamLink]":
    """Return the link to an external registry.

    Args:
        stores: the records.
        actor: the caller.
        upstream: its id; with ``app`` its name there.
        app: slug, or None.

    Raises:
        InputRefused: ``app`` is not a valid slug.
        NotFound: there is no such link, or no such app, for the actor.
    """
    from authsvc.upstreams.link import LINK_NAME  # noqa: PLC0415  most commands look for no link

    found = None
    if app is None:
        found = await stores.upstreams.get(upstream) if is_id(upstream) else None
    else:
        slug = (await find_app(stores, actor, app)).record.slug
        found = await stores.upstreams.by_name(slug, upstream) if LINK_NAME.fullmatch(upstream) else None
    if found is not None and actor.sees(found.record.team, found.record.app):
        return found
    if app is None:
        raise NotFound(f"there is no upstream {upstream[:60]!r}", code="upstream_link_not_found", field="upstream")
    raise NotFound(
        f"the app {app!r} has no upstream {upstream[:60]!r}",
        code="upstream_link_not_found",
        field="upstream",
        facts={"app": app},
    )


async def find_webhook(stores: Stores, actor: Actor, webhook: str) -> "Versioned[Webhook]":
    """Return the webhook with this id.

    Raises:
        NotFound: there is no such webhook for the actor.
    """
    found = await stores.webhooks.get(webhook) if is_id(webhook) else None
    if found is None or not actor.sees(found.record.team):
        raise NotFound(f"there is no webhook {webhook[:60]!r}", code="webhook_not_found", field="webhook")
    return found


async def names_around(stores: Stores, email: str, team: str) -> list[str]:
    """Return texts that others may know of a member, which must not make up a password."""
    found = await stores.teams.get(team)
    apps = await stores.apps.of_team(team)
    names = [name for app in apps for name in (app.slug, app.name)]
    return [email, team, *([found.record.name] if found is not None else []), *names]


def no_app(slug: str) -> NotFound:
    """Return the error about an app that does not exist for an actor."""
    return NotFound(f"there is no app {slug!r}", code="app_not_found", field="app", facts={"app": slug})


def _no_license(license_id: str) -> NotFound:
    return NotFound(f"there is no license {license_id[:40]!r}", code="license_not_found", field="license_id")
