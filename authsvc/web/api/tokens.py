"""The caller's own tokens in the management API: ``/tokens``."""

from datetime import UTC, datetime
from http import HTTPStatus

from attrs import frozen

from authsvc.manage.permissions import Permission
from authsvc.manage.tokens import TokenLine
from authsvc.manage.use_cases import UseCases
from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import ApiAccess
from authsvc.web.api.api_errors import ApiErrors
from authsvc.web.api.endpoint import Call, Endpoint, ListAnswer, NoBody, NoQuery, ObjectAnswer
from authsvc.web.api.parameters import PAGE_ERRORS, PageQuery
from authsvc.web.api.schemas import Instant, Line, When


@frozen
class PersonalTokenView:
    """A token with which a member signs in instead of the password, without its secret.

    Attributes:
        id: never changes.
        kind: `personal`, or `sign-in` for a token that `docker login` stores.
        name: of the token, or of the client that signed in.
        created_at: when it was created.
        expires_at: when it expires, or null.
        used_at: when it last signed in, or null.
        live: whether it is valid now.
        api: its access to this API, or null.
    """

    id: str
    kind: str
    name: str
    created_at: Instant
    expires_at: Instant | None
    used_at: Instant | None
    live: bool
    api: ApiAccess | None


@frozen
class NewPersonalToken:
    """A token to be created for the caller.

    Attributes:
        name: unique among the caller's tokens.
        expires: `2027-01-31` (00:00 UTC at its start), `2027-01-31T12:00:00Z`, or `90d` from now; never if left out.
        api: `read` or `manage` for access to this API too; only the registry if left out.
    """

    name: Line
    expires: When | None = None
    api: ApiAccess | None = None


@frozen
class PersonalTokenSecret:
    """A token with its secret, which is shown only this once.

    Attributes:
        id: never changes.
        name: unique among the caller's tokens.
        expires_at: when it expires, or null.
        api: its access to this API, or null.
        token: the secret.
    """

    id: str
    name: str
    expires_at: Instant | None
    api: ApiAccess | None
    token: Secret


def _view(line: TokenLine) -> PersonalTokenView:
    return PersonalTokenView(
        id=line.id,
        kind=line.kind,
        name=line.name,
        created_at=line.created_at,
        expires_at=line.ends_at,
        used_at=line.used_at,
        live=line.live,
        api=None if line.api is None else ApiAccess(line.api),
    )


async def _list(use_cases: UseCases, call: Call[PageQuery, NoBody]) -> ListAnswer:
    query = call.query
    page = await use_cases.tokens.list(call.actor, call.actor.id, call.now, after=query.after, limit=query.limit)
    return ListAnswer(tuple(map(_view, page.items)), page.next)


async def _show(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    return ObjectAnswer(_view(await use_cases.tokens.show(call.actor, call.path["token"], call.now)))


async def _create(use_cases: UseCases, call: Call[NoQuery, NewPersonalToken]) -> ObjectAnswer:
    wanted = call.body
    token, secret = await use_cases.tokens.create(
        wanted.name, call.actor.id, wanted.expires, wanted.api, call.operation
    )
    body = PersonalTokenSecret(token.id, token.name, token.expires_at, token.api, secret)
    return ObjectAnswer(body, location=f"/tokens/{token.id}")


async def _revoke(use_cases: UseCases, call: Call[NoQuery, NoBody]) -> ObjectAnswer:
    await use_cases.tokens.revoke(call.path["token"], call.operation)
    return ObjectAnswer()


EXAMPLE = PersonalTokenView(
    id="3t8w5q1mzk9x2b7f",
    kind="personal",
    name="laptop",
    created_at=datetime(2026, 11, 2, 9, 30, tzinfo=UTC),
    expires_at=datetime(2027, 2, 1, tzinfo=UTC),
    used_at=None,
    live=True,
    api=ApiAccess.READ,
)

ONE = ApiErrors(not_found=("token_not_found",))

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        *("GET", "/tokens", "listTokens", "List the caller's own tokens and sign-ins"),
        *(Permission.TOKEN_LIST, _list, PersonalTokenView),
        is_list=True,
        errors=PAGE_ERRORS,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/tokens", "createToken", "Create a personal token for the caller"),
        *(Permission.TOKEN_CREATE, _create, PersonalTokenSecret),
        status=HTTPStatus.CREATED,
        errors=ApiErrors(
            refused=("length_invalid", "text_not_printable", "date_invalid", "date_not_in_future"),
            conflict=("name_taken", "tokens_too_many"),
        ),
        request_example={"name": "laptop", "expires": "90d", "api": "read"},
        answer_example=PersonalTokenSecret(
            EXAMPLE.id, "laptop", EXAMPLE.expires_at, ApiAccess.READ, Secret("asv_pat_3t8w5q1mzk9x2b7f_…")
        ),
        description=(
            "The secret is shown only this once; a repeat with the same `Idempotency-Key` does not show it again."
        ),
    ),
    Endpoint(
        *("GET", "/tokens/{token}", "getToken", "Read a token or a sign-in of the caller"),
        *(Permission.TOKEN_SHOW, _show, PersonalTokenView),
        errors=ONE,
        answer_example=EXAMPLE,
    ),
    Endpoint(
        *("POST", "/tokens/{token}/revoke", "revokeToken", "Revoke a personal token of the caller"),
        *(Permission.TOKEN_REVOKE, _revoke),
        status=HTTPStatus.NO_CONTENT,
        errors=ONE,
        description="A sign-in can be ended only by the member in person, not with a token.",
    ),
)
