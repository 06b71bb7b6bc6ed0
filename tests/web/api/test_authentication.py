"""Who may call the management API: tokens made for it, and nothing else that the product gives out."""

import base64

import pytest

from authsvc.credentials.machine_secret import LICENSE_KIND, LINK_KIND, REFRESH_KIND, MachineSecret
from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from authsvc.tenancy.terms import LicenseTerms
from authsvc.throttle import MACHINE
from tests.support.api_server import ApiServer
from tests.support.builders import PASSWORD
from tests.support.installation import APP, TEAM
from tests.web.api.conftest import People


async def test_tokens_with_access_are_accepted(api: ApiServer, people: People) -> None:
    """Personal and service-account tokens, whatever the case of the scheme."""
    for name in ("owner", "developer", "viewer", "limited", "machine"):
        for suffix in ("", "-read"):
            reply = await api.ask("GET", "/apps", people[name + suffix])
            assert reply.status == 200, (name, suffix, reply)
    lower = {"Authorization": f"bearer {people['owner'].reveal()}"}
    assert (await api.ask("GET", "/apps", headers=lower)).status == 200


async def test_tokens_without_access_are_not(api: ApiServer, people: People) -> None:
    """A token for the registry says what it lacks."""
    for name in ("owner-registry", "machine-registry"):
        reply = await api.ask("GET", "/apps", people[name])
        assert (reply.status, reply.code) == (401, "credentials_refused")
        assert "registry only" in reply.json()["detail"]
        assert reply.headers["www-authenticate"] == "Bearer"


async def test_other_credentials_are_refused(api: ApiServer, people: People) -> None:
    """A password, a refresh, license, link or registry token opens nothing, in whatever header it comes."""
    house = api.house
    terms = LicenseTerms.parse(customer="Globex", expires="90d", now=house.now)
    license_, file = await house.licenses.create(APP, terms, house.operation())
    issued = await house.ask(PASSWORD, "owner@acme.test", refresh=False)
    offline = await house.sign_ins.keep(
        (await house.stores.members.by_email("owner@acme.test")).record,  # type: ignore[union-attr]
        "docker",
        house.now,
    )
    assert offline is not None
    made_up = [MachineSecret.build(kind, "0" * 16, bytes(32)).text.reveal() for kind in (REFRESH_KIND, LINK_KIND)]
    for secret in (
        PASSWORD.reveal(),
        offline.reveal(),
        house.registry_token(license_),
        issued.response.token.reveal(),
        file.replace("\n", ""),
        *made_up,
        f"{people['owner'].reveal()}.{people['owner'].reveal()}",
        people["owner"].reveal()[:-1] + "x",
        "",
    ):
        reply = await api.ask("GET", "/apps", secret)
        assert (reply.status, reply.code) == (401, "credentials_refused"), secret
    basic = base64.b64encode(f"owner@acme.test:{people['owner'].reveal()}".encode()).decode()
    for value in (f"Basic {basic}", people["owner"].reveal(), "Bearer", f"Token {people['owner'].reveal()}"):
        reply = await api.ask("GET", "/apps", headers={"Authorization": value})
        assert reply.status == 401, value
    query = await api.ask("GET", f"/apps?access_token={people['owner'].reveal()}")
    assert query.status == 401


async def test_two_credentials_are_none(api: ApiServer, people: People) -> None:
    """Two readers of one request must not see two people in it."""
    raw = "GET /api/v1/apps HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    both = [f"Authorization: Bearer {people[name].reveal()}\r\n" for name in ("owner", "stranger")]
    answer = await api.say(f"{raw}{''.join(both)}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_unknown_tokens_are_counted(api: ApiServer) -> None:
    """From some on they are answered 429, with the time to wait; a right token from there goes on working."""
    unknown = MachineSecret.build("pat", "0" * 16, b"x" * 32).text
    statuses = [(await api.ask("GET", "/apps", unknown)).status for _ in range(MACHINE.burst + 1)]
    assert statuses == [*[401] * MACHINE.burst, 429]
    late = await api.ask("GET", "/apps", unknown)
    assert (late.code, int(late.headers["retry-after"]) > 0) == ("throttled", True)


async def test_an_ended_account_is_told_precisely(api: ApiServer, people: People) -> None:
    """After proof the answer says what ended and when; a change counts from the next request on."""
    house = api.house
    operator = house.operation()
    await house.members.disable("developer@acme.test", operator)
    reply = await api.ask("GET", "/apps", people["developer"])
    assert (reply.status, reply.code) == (401, "account_denied")
    assert "developer@acme.test was disabled on" in reply.json()["detail"]
    await house.service_accounts.disable("machine", TEAM, house.operation())
    assert (await api.ask("GET", "/apps", people["machine"])).code == "account_denied"
    await house.members.remove("viewer@acme.test", house.operation())
    assert (await api.ask("GET", "/apps", people["viewer"])).code == "credentials_refused"


async def test_an_expired_token(api: ApiServer, people: People) -> None:
    """A token ends at its end, and a revoked one at once."""
    house = api.house
    member = await house.stores.members.by_email("owner@acme.test")
    assert member is not None
    operation = house.operation(Actor.of_member(member.record))
    token, secret = await house.tokens.create("short", "owner@acme.test", "1d", "read", operation)
    assert (await api.ask("GET", "/apps", secret)).status == 200
    house.pass_time(days=1)
    assert (await api.ask("GET", "/apps", secret)).code == "account_denied"
    house.pass_time(days=-1)
    await house.tokens.revoke(token.id, house.operation())
    assert (await api.ask("GET", "/apps", secret)).code == "account_denied"


async def test_the_role_of_now_counts(api: ApiServer, people: People) -> None:
    """An owner who becomes a viewer manages nothing with the token of before."""
    house = api.house
    assert (await api.ask("POST", "/apps", people["owner"], {"slug": "one"})).status == 201
    await house.members.set_role("owner@acme.test", "viewer", None, house.operation())
    reply = await api.ask("POST", "/apps", people["owner"], {"slug": "two"})
    assert (reply.status, reply.code) == (403, "permission_denied")


@pytest.mark.parametrize("token", ["unknown", None])
async def test_what_exists_is_not_told_to_strangers(api: ApiServer, people: People, token: str | None) -> None:
    """Without a valid token every address of the API answers the same."""
    secret = None if token is None else Secret("asv_pat_0_x")
    for path in ("/apps/acme", "/apps/nothing", "/licenses/x", "/apps/UPPER"):
        assert (await api.ask("GET", path, secret)).status == 401


async def test_the_last_use_is_noted(api: ApiServer, people: People) -> None:
    """As for registry tokens."""
    secret = MachineSecret.parse(people["owner"].reveal())
    assert secret is not None
    await api.ask("GET", "/apps", people["owner"])
    await api.house.usage.flush()
    assert await api.house.stores.usage.used_at([secret.id]) == {secret.id: api.house.now}


def test_kinds_are_those_of_the_product() -> None:
    """The kinds that are refused exist."""
    assert len({LICENSE_KIND, LINK_KIND, REFRESH_KIND}) == 3
