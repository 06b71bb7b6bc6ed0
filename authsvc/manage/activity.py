"""Activity: lists of pushes and pulls, and summaries of licenses, customers, apps and images."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta

from attrs import evolve, frozen

from authsvc.activity.activity_filter import ActivityFilter
from authsvc.activity.history import AccountActivity, AppDay, LicenseDownloads, Version, versions_of
from authsvc.errors import InputRefused
from authsvc.manage.activity_tokens import token_rows
from authsvc.manage.activity_view import (
    REGISTRY,
    TOKEN,
    ActivityLine,
    ActivitySummary,
    LicenseNames,
    LicenseUse,
)
from authsvc.manage.actor import Actor
from authsvc.manage.audit import AuditReader
from authsvc.manage.authorization import permitted
from authsvc.manage.lookup import (
    find_app,
    find_app_of_image,
    find_customer,
    find_license,
    find_team,
    require_license,
)
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.tenancy.license_filter import LicenseFilter
from authsvc.tenancy.pages import MAX_PAGE, Page, page_size, read_cursor, write_cursor
from authsvc.tenancy.records import License

MAX_DOWNLOADS = 10
"""Most customers that are shown, those that downloaded most."""

DOWNLOADS_OF = timedelta(days=30)
"""How far back, at least, downloads of customers are added up."""

MAX_LICENSES = 100
"""Most licenses of a customer that a summary reads."""


@frozen
class ActivityQuery:
    """The conditions of a list of activity, as entered; None for any.

    Attributes:
        app: slug.
        license: id, or reference.
        customer: id, reference, or exact name.
        image: repository, with a tag or digest or without.
        since: a date, an instant, or a span back from now; None for everything that is stored.
        until: in the same forms; None for now.
        resolution: ``hour`` or ``day``; None for days.
        source: ``registry`` or ``token``; None for the registry's events.
        team: slug: the team of the apps and the customer.
    """

    app: str | None = None
    license: str | None = None
    customer: str | None = None
    image: str | None = None
    since: str | None = None
    until: str | None = None
    resolution: str | None = None
    source: str | None = None
    team: str | None = None


@frozen
class CustomerDownloads:
    """The downloads of a customer.

    Attributes:
        customer: name on the licenses.
        customer_id: of the customer's record, or None.
        bytes: of all of the customer's licenses for the app together.
    """

    customer: str
    customer_id: str | None
    bytes: int


@frozen
class AppDownloads:
    """The downloads of the customers of an app.

    Attributes:
        since: since when they are counted.
        customers: those that downloaded most, most first; :data:`MAX_DOWNLOADS` at most.
        rest: bytes of all others together.
        more: whether the app has so many accounts that not all were examined.
    """

    since: datetime
    customers: tuple[CustomerDownloads, ...]
    rest: int
    more: bool


@frozen(eq=False, repr=False)
class Activity:
    """Lists and sums up activity within the actor's apps. Every method raises StoreUnavailable without the store.

    Attributes:
        stores: the records.
        audit: has the decisions on tokens.
    """

    stores: Stores
    audit: AuditReader

    @permitted(Permission.ACTIVITY_LIST)
    async def rows(
        self, actor: Actor, wanted: ActivityQuery, now: datetime, *, after: str | None = None, limit: int = 100
    ) -> Page[ActivityLine]:
        """Return one page of the activity of accounts by hour or day.

        Args:
            actor: the caller.
            wanted: the conditions.
            now: the time from which spans are counted back.
            after: cursor of the previous page, or None.
            limit: most rows, up to 100; a page may be short or empty even if there is a next one.

        Raises:
            InputRefused: something is not acceptable; ``after`` is not a cursor of this list.
            NotFound: there is no such app, license or customer for the actor.
            Conflict: licenses of several apps have the reference.
        """
        size, source = page_size(limit), _source(wanted.source)
        filter_, license_ids = await self._filter(actor, wanted, now)
        if filter_ is None:
            return Page(())
        if source == TOKEN:
            apps = await self._apps(actor, filter_)
            found = await token_rows(self.audit, filter_, apps, license_ids, after, size)
        else:
            found = await self.stores.activity.rows(filter_, after, size)
        names = await LicenseNames.of(self.stores, actor, (row.subject for row in found.items))
        return Page(tuple(names.line(row, filter_.resolution, source) for row in found.items), found.next)

    async def _filter(
        self, actor: Actor, wanted: ActivityQuery, now: datetime
    ) -> tuple[ActivityFilter | None, frozenset[str] | None]:
        """Return the filter within the actor's apps, None if nothing can match it; and the only licenses, or None."""
        parsed = ActivityFilter.parse(
            now, since=wanted.since, until=wanted.until, resolution=wanted.resolution, image=wanted.image
        )
        parsed = evolve(parsed, team=actor.team, apps=actor.apps)
        if wanted.team is not None:
            parsed = evolve(parsed, team=(await find_team(self.stores, actor, wanted.team)).slug)
        if wanted.app is not None:
            app = (await find_app(self.stores, actor, wanted.app)).record
            parsed = evolve(parsed, app=app.slug, team=app.team)
        if parsed.image is not None:
            app = await find_app_of_image(self.stores, actor, parsed.image, proxied=True)
            if parsed.app not in {None, app.slug}:
                return None, None
            parsed = evolve(parsed, app=app.slug, team=app.team)
        license_ = None
        if wanted.license is not None:
            license_ = (await find_license(self.stores, actor, wanted.license, wanted.app)).record
            if parsed.app not in {None, license_.app}:
                return None, None
            parsed = evolve(parsed, app=license_.app, team=license_.team, license_id=license_.id)
        only = None if license_ is None else frozenset({license_.id})
        if wanted.customer is not None:
            customer = (await find_customer(self.stores, actor, wanted.customer, parsed.team)).record
            if license_ is not None and license_.customer_id != customer.id:
                return None, None
            parsed = evolve(parsed, team=customer.team, customer_id=customer.id)
            if only is None and _source(wanted.source) == TOKEN:
                only = frozenset([one.id async for one in self._licenses(customer.id, customer.team, actor, now)])
        return parsed, only

    async def _apps(self, actor: Actor, wanted: ActivityFilter) -> frozenset[str] | None:
        """Return the slugs of the apps in a list; None for all."""
        if wanted.app is not None:
            return frozenset({wanted.app})
        if wanted.team is None:
            return None
        return frozenset(a.slug for a in await self.stores.apps.of_team(wanted.team) if actor.sees(a.team, a.slug))

    async def _licenses(self, customer: str, team: str, actor: Actor, now: datetime) -> AsyncIterator[License]:
        """Yield a customer's licenses that the actor sees, archived ones last."""
        for state in (None, "archived"):
            wanted = LicenseFilter(team=team, apps=actor.apps, customer_id=customer, state=state)
            after: str | None = None
            while True:
                page = await self.stores.licenses.page(wanted, after, MAX_PAGE, now)
                for license_ in page.items:
                    yield license_
                after = page.next
                if after is None:
                    break

    @permitted(Permission.ACTIVITY_LICENSE)
    async def license(
        self,
        actor: Actor,
        license_name: str,
        now: datetime,
        *,
        app: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> ActivitySummary:
        """Return the activity of a license: versions (by pages), networks and downloads.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such license, or no such app, for the actor.
            Conflict: licenses of several apps have the reference.
        """
        size = page_size(limit)
        license_ = (await find_license(self.stores, actor, license_name, app)).record
        return await self._summary([license_], now, after, size)

    @permitted(Permission.ACTIVITY_LICENSES)
    async def licenses(self, actor: Actor, licenses: Sequence[License], now: datetime) -> list[LicenseUse]:
        """Return the activity of each of the licenses of one page of a list, in order; at most 100.

        Raises:
            NotFound: one of them does not exist for the actor.
        """
        for license_ in licenses:
            require_license(actor, license_)
        found = await self.stores.activity.accounts([(one.app, one.subject) for one in licenses], now)
        return [_use(license_, one) for license_, one in zip(licenses, found, strict=True)]

    @permitted(Permission.ACTIVITY_CUSTOMER)
    async def customer(
        self,
        actor: Actor,
        customer: str,
        now: datetime,
        team: str | None = None,
        *,
        after: str | None = None,
        limit: int = 100,
    ) -> ActivitySummary:
        """Return the combined activity of a customer's licenses, within the actor's apps.

        Raises:
            InputRefused: ``after`` is not a cursor of this list.
            NotFound: there is no such customer, or no such team, for the actor.
        """
        size = page_size(limit)
        record = (await find_customer(self.stores, actor, customer, team)).record
        licenses: list[License] = []
        async for license_ in self._licenses(record.id, record.team, actor, now):
            if len(licenses) == MAX_LICENSES:
                return evolve(await self._summary(licenses, now, after, size), more_licenses=True)
            licenses.append(license_)
        return await self._summary(licenses, now, after, size)

    async def _summary(
        self, licenses: Sequence[License], now: datetime, after: str | None, limit: int
    ) -> ActivitySummary:
        found = await self.stores.activity.accounts([(one.app, one.subject) for one in licenses], now)
        active = [one for one in found if one is not None]
        versions = versions_of(use for one in active for use in one.uses)
        shown, following = _page_of(versions, f"versions {[one.id for one in licenses]!r}", after, limit)
        return ActivitySummary(
            since=min((one.since for one in active), default=None),
            licenses=tuple(_use(license_, one) for license_, one in zip(licenses, found, strict=True)),
            networks=tuple(sorted({network for one in active for network in one.networks})),
            versions=shown,
            next=following,
            more_networks=any(one.more_networks for one in active),
            more_versions=any(one.more_images for one in active),
        )

    @permitted(Permission.ACTIVITY_APP)
    async def app(
        self,
        actor: Actor,
        app: str,
        now: datetime,
        *,
        since: str | None = None,
        until: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> Page[AppDay]:
        """Return one page of an app's days, newest first: the activity of all accounts on each.

        Raises:
            InputRefused: a time is not acceptable; ``after`` is not a cursor of this list.
            NotFound: there is no such app for the actor.
        """
        size, wanted = page_size(limit), ActivityFilter.parse(now, since=since, until=until)
        found = (await find_app(self.stores, actor, app)).record
        return await self.stores.activity.days(found.slug, wanted.since, wanted.until, after=after, limit=size)

    @permitted(Permission.ACTIVITY_DOWNLOADS)
    async def downloads(self, actor: Actor, app: str, now: datetime) -> AppDownloads:
        """Return the customers of an app that downloaded most within :data:`DOWNLOADS_OF` or somewhat longer.

        Raises:
            NotFound: there is no such app for the actor.
        """
        slug = (await find_app(self.stores, actor, app)).record.slug
        found = await self.stores.activity.downloads(slug, now - DOWNLOADS_OF, now)
        return _downloads(found, await LicenseNames.of(self.stores, actor, found.sizes))


def _downloads(found: LicenseDownloads, names: LicenseNames) -> AppDownloads:
    """Return the bytes of licenses, added up by customer."""
    sums: dict[str, CustomerDownloads] = {}
    rest = found.rest
    for subject, size in found.sizes.items():
        license_ = names.by_subject.get(subject)
        if license_ is None:
            rest += size
            continue
        key = license_.customer_id or license_.customer
        known = sums.get(key) or CustomerDownloads(license_.customer, license_.customer_id, 0)
        sums[key] = evolve(known, bytes=known.bytes + size)
    ordered = sorted(sums.values(), key=lambda one: (-one.bytes, one.customer))
    rest += sum(one.bytes for one in ordered[MAX_DOWNLOADS:])
    return AppDownloads(found.since, tuple(ordered[:MAX_DOWNLOADS]), rest, found.more)


def _source(text: str | None) -> str:
    """Return the source of the rows.

    Raises:
        InputRefused: there is no such source.
    """
    if text not in {None, REGISTRY, TOKEN}:
        raise InputRefused(
            f"{str(text)[:40]!r} is not a source of activity; use {REGISTRY} or {TOKEN}",
            code="activity_source_invalid",
            field="source",
        )
    return text or REGISTRY


def _page_of(
    versions: Sequence[Version], query: str, after: str | None, limit: int
) -> tuple[tuple[Version, ...], str | None]:
    """Return the versions after a cursor, and the cursor of the next ones; they are in order."""
    place = read_cursor(query, after)
    left = [one for one in versions if place is None or _place(one) > place]
    more = len(left) > limit
    return tuple(left[:limit]), write_cursor(query, _place(left[limit - 1])) if more else None


def _place(version: Version) -> str:
    """Return a text that sorts like the versions: the last used first."""
    return f"{2**40 - int(version.last_use.timestamp()):013d} {version.repository}@{version.digest}"


def _use(license_: License, found: AccountActivity | None) -> LicenseUse:
    return LicenseUse(
        license_.id,
        license_.app,
        license_.customer,
        license_.customer_id,
        None if found is None else found.first_pull,
        None if found is None else found.last_pull,
        0 if found is None else found.pulls,
        0 if found is None else found.size,
        0 if found is None else len(found.networks),
    )
