"""The caller's team in the management API: ``/teams``."""

from datetime import UTC, datetime

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.records import Team
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer, found
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Instant


@frozen
class TeamView:
    """A vendor.

    Attributes:
        slug: never changes.
        name: a display name.
        created_at: when it was created.
    """

    slug: str
    name: str
    created_at: Instant


@frozen
class TeamChange:
    """Changes to a team.

    Attributes:
        name: a display name.
    """

    name: str


def _view(team: Team) -> TeamView:
    return TeamView(team.slug, team.name, team.created_at)


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    page = await use_cases.teams.teams(call.actor, after=call.query.after, limit=call.query.limit)
    return ListAnswer(tuple(map(_view, page.items)), page.next)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    team = await use_cases.teams.team(call.actor, call.path["team"])
    return found(team, _view(team))


async def _change(use_cases: UseCases, call: Call[NoQuery, TeamChange]) -> ObjectAnswer:
    team = await use_cases.teams.set(call.path["team"], call.body.name, call.operation)
    return found(team, _view(team))


EXAMPLE = TeamView("acme", "Acme Software", datetime(2026, 11, 2, 9, 0, tzinfo=UTC))

ONE = ApiErrors(not_found=("team_not_found",), refused=("slug_invalid", "slug_reserved"))
"""Errors of every endpoint that names a team."""

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/teams", "listTeams", "List teams: the caller's own", Permission.TEAM_LIST, _list, TeamView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=EXAMPLE,
        description="Teams are created by the operator of the installation.",
    ),
    Endpoint(
        *("GET", "/teams/{team}", "getTeam", "Read a team", Permission.TEAM_SHOW, _show, TeamView),
        has_etag=True,
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("PATCH", "/teams/{team}", "changeTeam", "Give a team another name"),
        *(Permission.TEAM_SET, _change, TeamView),
        has_etag=True,
        if_match=True,
        errors=ONE | ApiErrors(refused=("length_invalid", "text_not_printable")),
        request_example={"name": "Acme Software"},
        answer_example=EXAMPLE,
        description="Customers see the name on the pages of their licenses. The slug never changes.",
    ),
)
