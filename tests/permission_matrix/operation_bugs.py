"""Authorization bugs that are easily made in the management API: what the requests of the table must catch.

Each takes monkeypatch and puts something wrong into authsvc; the source stays as it is.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web
from attrs import evolve, frozen

from authsvc.client import Client
from authsvc.credentials.proof import MachineProof
from authsvc.credentials.subject import MemberSubject
from authsvc.errors import CredentialsRefused, NotFound
from authsvc.manage import licenses as licenses_module
from authsvc.manage.actor import Actor
from authsvc.manage.lookup import find_license
from authsvc.manage.permissions import Permission
from authsvc.manage.stores import Stores
from authsvc.manage.use_cases import UseCases
from authsvc.tenancy.machine_records import ApiAccess, PersonalToken
from authsvc.tenancy.records import License
from authsvc.tenancy.versioned import Versioned
from authsvc.web.api import authentication, collections
from authsvc.web.api.apps import AppQuery, app_view
from authsvc.web.api.authentication import ApiAuthentication, RequestActor, bearer_secret
from authsvc.web.api.endpoint import Call, ListAnswer, NoBody, ObjectAnswer, found
from authsvc.web.api.licenses import LicenseQuery, license_view


@frozen
class Bug:
    """One bug.

    Attributes:
        seed: puts it in.
        operations: whose answers must show it.
    """

    seed: Callable[[pytest.MonkeyPatch], None]
    operations: tuple[str, ...]


BUGS: dict[str, Bug] = {}


def bug(sentence: str, owner: object, attribute: str, *names: str) -> Callable[[Any], Any]:
    """Note a function that takes the place of ``owner``'s ``attribute``."""

    def note(wrong: Any) -> Any:
        BUGS[sentence] = Bug(lambda monkeypatch: monkeypatch.setattr(owner, attribute, wrong), names)
        return wrong

    return note


def endpoint_bug(sentence: str, name: str, **changes: Any) -> None:
    """Note an endpoint that is declared otherwise."""

    def seed(monkeypatch: pytest.MonkeyPatch) -> None:
        assert name in {one.name for one in collections.ENDPOINTS}
        wrong = tuple(evolve(one, **changes) if one.name == name else one for one in collections.ENDPOINTS)
        monkeypatch.setattr(collections, "ENDPOINTS", wrong)

    BUGS[sentence] = Bug(seed, (name,))


async def _from_the_store(use_cases: UseCases, call: Call[LicenseQuery, NoBody]) -> ObjectAnswer:
    stored = await use_cases.stores.licenses.get(call.path["license"])
    if stored is None:
        raise NotFound("there is none", code="license_not_found", field="license")
    app = await use_cases.stores.apps.get(stored.record.app)
    assert app is not None
    return found(stored.record, license_view(stored.record, app.record, call))


async def _everybodys_apps(use_cases: UseCases, call: Call[AppQuery, NoBody]) -> ListAnswer:
    page = await use_cases.teams.apps(Actor.operator(), None, after=call.query.after, limit=call.query.limit)
    return ListAnswer(tuple(map(app_view, page.items)), page.next)


endpoint_bug("an endpoint asks for more than its use case", "getLicense", permission=Permission.LICENSE_EXTEND)
endpoint_bug("an endpoint asks for less than its use case", "extendLicense", permission=Permission.LICENSE_SHOW)
endpoint_bug("an endpoint asks for what people alone may", "listApps", permission=Permission.MEMBER_LIST)
endpoint_bug("an endpoint reads the store itself", "getLicense", call=_from_the_store)
endpoint_bug("an endpoint calls a use case as the operator", "listApps", call=_everybodys_apps)


@bug("a lookup forgets the team", licenses_module, "find_license", "revokeLicense")
async def _any_license(stores: Stores, actor: Actor, name: str, app: str | None = None) -> Versioned[License]:
    return await find_license(stores, Actor.operator(), name, app)


@bug("what is foreign gets a sentence of its own", licenses_module, "find_license", "getLicense")
async def _told_apart(stores: Stores, actor: Actor, name: str, app: str | None = None) -> Versioned[License]:
    stored = await stores.licenses.get(name)
    if stored is not None and not actor.sees(stored.record.team, stored.record.app):
        raise NotFound("it is not yours", code="license_not_found", field="license_id")
    return await find_license(stores, actor, name, app)


@bug("a token for the registry alone is accepted", ApiAuthentication, "caller", "listApps")
async def _any_token(self: ApiAuthentication, request: web.Request, client: Client, now: datetime) -> RequestActor:
    proof = MachineProof(bearer_secret(request.headers.getall("Authorization", [])))
    subject = await self.authenticator.authenticate(proof, (), client, now)
    match subject:
        case MemberSubject(member, by=PersonalToken() as token):
            wrong = evolve(token, api=token.api or ApiAccess.READ)
            return RequestActor(Actor.of_personal_token(wrong, member, now), subject)
        case _:
            raise CredentialsRefused("a machine", detail="")


@bug("an account that has ended is let in", authentication, "decided", "listApps")
def _not_decided(*_: object) -> None:
    """Accept everybody."""
