"""Apps in the management API: ``/apps``."""

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.records import App
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, created, found
from authsvc.web.api.parameters import (
    CONFIRM_ERRORS,
    PAGE_ERRORS,
    ConfirmQuery,
    PageQuery,
)
from authsvc.web.api.schemas import Instant, Line, Slug


@frozen
class AppView:
    """An app of a vendor: its slug is the namespace of its repositories.

    Attributes:
        slug: never changes.
        team: slug of the vendor.
        name: a display name.
        created_at: when it was created.
        archived_at: since when nobody can push to it or pull from it, or null.
    """

    slug: str
    team: str
    name: str
    created_at: Instant
    archived_at: Instant | None


@frozen
class NewApp:
    """An app to be created.

    Attributes:
        slug: 2 to 40 characters of a-z, 0-9 and single `-` inside; unique across all vendors, and never reused.
        name: a display name; the slug if left out.
        team: slug of the vendor; the caller's own if left out.
    """

    slug: Slug
    name: Line | None = None
    team: Slug | None = None


@frozen
class AppQuery(PageQuery):
    """Selects apps.

    Attributes:
        archived: whether archived apps are listed too.
    """

    archived: bool = False


def app_view(app: App) -> AppView:
    """Return an app as the API shows it."""
    return AppView(app.slug, app.team, app.name, app.created_at, app.archived_at)


async def _list(use_cases: UseCases, call: Call[AppQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.teams.apps(call.actor, None, archived=query.archived, after=query.after, limit=query.limit)
    return ListAnswer(tuple(map(app_view, page.items)), page.next)


async def _create(use_cases: UseCases, call: Call[NoQuery, NewApp]) -> ObjectAnswer:
    wanted = call.body
    team = wanted.team if wanted.team is not None else call.team
    app = await use_cases.teams.create_app(wanted.slug, team, wanted.name, call.operation)
    return created(app, app_view(app), "apps", app.slug)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    app = await use_cases.teams.app(call.actor, call.path["app"])
    return found(app, app_view(app))


async def _archive(use_cases: UseCases, call: Call[ConfirmQuery, NoBody]) -> ObjectAnswer:
    app = await use_cases.teams.archive_app(call.path["app"], call.operation, call.query.confirm)
    return found(app, app_view(app))


async def _reinstate(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    app = await use_cases.teams.reinstate_app(call.path["app"], call.operation)
    return found(app, app_view(app))


EXAMPLE = AppView("myapp", "acme", "My App", datetime(2026, 11, 2, 9, 30, tzinfo=UTC), None)

ONE = ApiErrors(not_found=("app_not_found",), refused=("slug_invalid", "slug_reserved"))
"""Errors of every endpoint that names an app."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/apps", "listApps", "List apps, by slug", Permission.APP_LIST, _list, AppView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/apps", "createApp", "Create an app", Permission.APP_CREATE, _create, AppView),
        status=HTTPStatus.CREATED,
        has_etag=True,
        errors=ApiErrors(
            refused=("slug_invalid", "slug_reserved", "length_invalid", "text_not_printable"),
            not_found=("team_not_found",),
            conflict=("slug_taken", "app_archived"),
        ),
        request_example={"slug": "myapp", "name": "My App"},
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("GET", "/apps/{app}", "getApp", "Read an app", Permission.APP_SHOW, _show, AppView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/apps/{app}/archive", "archiveApp", "Archive an app", Permission.APP_ARCHIVE, _archive, AppView),
        has_etag=True,
        if_match=True,
        errors=ONE | CONFIRM_ERRORS,
        answer_example=EXAMPLE,
        description=(
            "Nobody can push to it or pull from it any more. If that ends access for others, it has to be confirmed."
        ),
    ),
    Endpoint(
        *("POST", "/apps/{app}/reinstate", "reinstateApp", "Reinstate an app"),
        *(Permission.APP_REINSTATE, _reinstate, AppView),
        has_etag=True,
        if_match=True,
        errors=ONE,
        answer_example=EXAMPLE,
        description="Undoes archiving: everyone has the access that they would have without it.",
    ),
)
