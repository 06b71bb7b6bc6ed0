"""The caller's team in the management API: ``/teams``."""

from datetime import UTC, datetime

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Instant


@frozen
class TeamView:
    """A vendor.

    Attributes:
        slug: never changes.
        name: for people.
        created_at: when it was created.
    """

    slug: str
    name: str
    created_at: Instant


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    page = await use_cases.teams.teams(call.actor, after=call.query.after, limit=call.query.limit)
    return ListAnswer(tuple(TeamView(team.slug, team.name, team.created_at) for team in page.items), page.next)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/teams", "listTeams", "List teams: the caller's own", Permission.TEAM_LIST, _list, TeamView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=TeamView("acme", "Acme Software", datetime(2026, 11, 2, 9, 0, tzinfo=UTC)),
        description="Teams are created by the operator of the installation.",
    ),
)
