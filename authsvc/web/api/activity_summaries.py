"""Summaries of activity in the management API: of a license, a customer, an app and an image."""

from datetime import UTC, datetime

from authsvc.activity.history import AppDay, ImageHistory, LastUse, Version
from authsvc.manage.activity_view import ActivitySummary, ImageUser
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.activity_views import (
    ActivitySummaryView,
    AppActivityQuery,
    AppDayView,
    ImageActivityQuery,
    ImageActivityView,
    ImageHistoryView,
    ImageUserView,
    LastUseView,
    LicenseActivityQuery,
    LicenseUseView,
    UnusedTagsQuery,
    VersionView,
)
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, ObjectAnswer
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery


def version_view(version: Version) -> VersionView:
    """Return a version of an image that an account has."""
    return VersionView(
        version.repository,
        version.digest,
        version.tags,
        version.first_pull,
        version.last_pull,
        version.last_head,
        version.pulls,
        version.is_part,
    )


def _summary(summary: ActivitySummary) -> ActivitySummaryView:
    licenses = (
        LicenseUseView(
            one.license,
            one.app,
            one.customer,
            one.customer_id,
            one.first_pull,
            one.last_pull,
            one.pulls,
            one.bytes,
            one.networks,
        )
        for one in summary.licenses
    )
    return ActivitySummaryView(
        first_pull_at=summary.first_pull,
        last_pull_at=summary.last_pull,
        since=summary.since,
        licenses=tuple(licenses),
        networks=summary.networks,
        versions=tuple(map(version_view, summary.versions)),
        next=summary.next,
        more_licenses=summary.more_licenses,
        more_networks=summary.more_networks,
        more_versions=summary.more_versions,
    )


def _day(day: AppDay) -> AppDayView:
    return AppDayView(day.start, day.app, day.pulls, day.heads, day.pushes, day.deletes, day.size)


def _history(history: ImageHistory) -> ImageHistoryView:
    return ImageHistoryView(
        repository=history.image.repository,
        tag=history.image.tag,
        digest=history.digest,
        pushed=_use(history.pushed),
        found=_use(history.found),
        pulled=_use(history.pulled),
        pulled_by_license=_use(history.pulled_by_license),
        deleted_at=history.deleted_at,
        is_part=history.is_part,
    )


def _use(use: LastUse | None) -> LastUseView | None:
    return None if use is None else LastUseView(use.at, use.subject, use.digest)


def _user(user: ImageUser) -> ImageUserView:
    versions = None if user.versions is None else tuple(map(version_view, user.versions))
    facts = (user.subject, user.license, user.customer, user.customer_id, user.last_pull)
    return ImageUserView(*facts, versions, user.more_versions, user.name)


async def _license(use_cases: UseCases, call: Call[LicenseActivityQuery, NoBody]) -> ObjectAnswer:
    query = call.query
    summary = await use_cases.activity.license(
        call.actor, call.path["license"], call.now, app=query.app, after=query.after, limit=query.limit
    )
    return ObjectAnswer(_summary(summary))


async def _customer(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ObjectAnswer:
    query = call.query
    summary = await use_cases.activity.customer(
        call.actor, call.path["customer"], call.now, after=query.after, limit=query.limit
    )
    return ObjectAnswer(_summary(summary))


async def _app(use_cases: UseCases, call: Call[AppActivityQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.activity.app(
        call.actor,
        call.path["app"],
        call.now,
        since=query.since,
        until=query.until,
        after=query.after,
        limit=query.limit,
    )
    return ListAnswer(tuple(map(_day, page.items)), page.next)


async def _image(use_cases: UseCases, call: Call[ImageActivityQuery, NoBody]) -> ObjectAnswer:
    query = call.query
    found = await use_cases.image_users.show(
        call.actor, call.path["image"], call.now, since=query.since, after=query.after, limit=query.limit
    )
    return ObjectAnswer(ImageActivityView(_history(found.history), tuple(map(_user, found.users)), found.next))


async def _unused(use_cases: UseCases, call: Call[UnusedTagsQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.image_users.unused(
        call.actor, query.repository, call.now, unused_for=query.unused_for, after=query.after, limit=query.limit
    )
    return ListAnswer(tuple(map(_history, page.items)), page.next)


_AT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
_DIGEST, _LICENSE, _CUSTOMER = f"sha256:{'3f' * 32}", "7h2m4k9q1wz8x3tb", "43kyqh9g1mn5m42g"

VERSION = VersionView("myapp/worker", _DIGEST, ("1.2", "latest"), _AT, _AT, _AT, 3, is_part=False)

SUMMARY = ActivitySummaryView(
    first_pull_at=_AT,
    last_pull_at=_AT,
    since=datetime(2025, 7, 13, tzinfo=UTC),
    licenses=(LicenseUseView(_LICENSE, "myapp", "Acme Corp", _CUSTOMER, _AT, _AT, 3, 45_120_377, 1),),
    networks=("203.0.113.7",),
    versions=(VERSION,),
    next=None,
    more_licenses=False,
    more_networks=False,
    more_versions=False,
)

_PULLED = LastUseView(_AT, f"license:{_LICENSE}", _DIGEST)

HISTORY = ImageHistoryView(
    repository="myapp/worker",
    tag="1.2",
    digest=_DIGEST,
    pushed=LastUseView(_AT, "member:5w8xk2m4q1wz9h3t", _DIGEST),
    found=None,
    pulled=_PULLED,
    pulled_by_license=_PULLED,
    deleted_at=None,
    is_part=False,
)

_TIMES = ApiErrors(refused=("date_invalid", "span_invalid"))

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/activity/licenses/{license}", "getLicenseActivity", "Read what a license pulled"),
        *(Permission.ACTIVITY_LICENSE, _license, ActivitySummaryView),
        errors=PAGE_ERRORS
        | ApiErrors(
            refused=("slug_invalid", "slug_reserved"),
            not_found=("license_not_found", "app_not_found"),
            conflict=("license_ambiguous",),
        ),
        answer_example=SUMMARY,
        description="Its versions come in pages: repeat the request with the `next` of the answer as `?after=`.",
    ),
    Endpoint(
        *("GET", "/activity/customers/{customer}", "getCustomerActivity", "Read what a customer's licenses pulled"),
        *(Permission.ACTIVITY_CUSTOMER, _customer, ActivitySummaryView),
        errors=PAGE_ERRORS | ApiErrors(not_found=("customer_not_found",)),
        answer_example=SUMMARY,
        description="All licenses that the caller sees together, including archived ones; at most 100.",
    ),
    Endpoint(
        *("GET", "/activity/apps/{app}", "listAppActivity", "List what everyone did in an app, day by day"),
        *(Permission.ACTIVITY_APP, _app, AppDayView),
        is_list=True,
        errors=PAGE_ERRORS
        | _TIMES
        | ApiErrors(refused=("slug_invalid", "slug_reserved", "period_invalid"), not_found=("app_not_found",)),
        answer_example=AppDayView(datetime(2026, 11, 2, tzinfo=UTC), "myapp", 120, 300, 4, 0, 5_414_445_240),
        description="The newest days come first; those without activity are left out.",
    ),
    Endpoint(
        *("GET", "/activity/images/{image}", "getImageActivity", "Read who has which version of an image"),
        *(Permission.ACTIVITY_IMAGE, _image, ImageActivityView),
        errors=PAGE_ERRORS | _TIMES | ApiErrors(refused=("image_invalid",), not_found=("image_not_found",)),
        answer_example=ImageActivityView(
            HISTORY,
            (
                ImageUserView(
                    f"license:{_LICENSE}", _LICENSE, "Acme Corp", _CUSTOMER, _AT, None, more_versions=False, name=None
                ),
            ),
            None,
        ),
        description=(
            "For a tag, these are the accounts that pulled it by its name or by its current digest. A repository may "
            "be named without tag and digest."
        ),
    ),
    Endpoint(
        *("GET", "/activity/unused-tags", "listUnusedTags", "List the tags that no license pulled for some time"),
        *(Permission.ACTIVITY_UNUSED, _unused, ImageHistoryView),
        is_list=True,
        errors=PAGE_ERRORS | ApiErrors(refused=("image_invalid", "span_invalid"), not_found=("image_not_found",)),
        answer_example=HISTORY,
    ),
)
