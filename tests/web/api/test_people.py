"""Teams, members, tokens and service accounts in the management API."""

from urllib.parse import quote

import pytest

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.passkeys import Passkeys
from authsvc.redaction import Secret
from tests.support.api_server import ApiServer
from tests.support.builders import PASSWORD, made_passkey
from tests.support.installation import APP, OTHER_APP, TEAM
from tests.web.api.conftest import People

OWNER, DEVELOPER, VIEWER = "owner@acme.test", "developer@acme.test", "viewer@acme.test"


async def test_a_team_is_its_owners_business(api: ApiServer, people: People) -> None:
    """An owner reads the one team that there is for them."""
    reply = await api.ask("GET", "/teams", people["owner-read"])
    assert [one["slug"] for one in reply.json()["items"]] == [TEAM]
    for name in ("developer", "viewer", "limited", "machine"):
        assert (await api.ask("GET", "/teams", people[name])).status == 403


async def test_a_member_from_invitation_to_removal(api: ApiServer, people: People) -> None:
    """Invited by link, given another role, disabled, enabled, reset and removed."""
    owner, email = people["owner"], "kim@acme.test"
    invited = await api.ask("POST", "/members", owner, {"email": email, "role": "developer", "apps": [APP]})
    assert (invited.status, invited.json()["email"]) == (200, email)
    joined = await api.house.links.redeem(Secret(invited.json()["link"]), PASSWORD, api.house.operation())

    shown = await api.ask("GET", f"/members/{email}", people["viewer-read"])
    assert (shown.json()["id"], shown.json()["apps"]) == (joined.id, [APP])
    listed = await api.ask("GET", "/members?limit=100", owner)
    assert shown.json() in listed.json()["items"]

    changed = await api.ask(
        "PATCH", f"/members/{joined.id}", owner, {"role": "viewer", "apps": None}, headers={"If-Match": shown.etag}
    )
    assert (changed.json()["role"], changed.json()["apps"]) == ("viewer", None)
    stale = await api.ask("PATCH", f"/members/{email}", owner, {"role": "owner"}, headers={"If-Match": shown.etag})
    assert stale.status == 412
    kept = await api.ask("PATCH", f"/members/{email}", owner, {"role": "viewer", "apps": [OTHER_APP]})
    assert (await api.ask("PATCH", f"/members/{email}", owner, {"role": "viewer"})).json() == kept.json()

    assert (await api.ask("POST", f"/members/{email}/disable", owner)).json()["disabled_at"] is not None
    assert (await api.ask("POST", f"/members/{email}/enable", owner)).json()["disabled_at"] is None
    reset = await api.ask("POST", f"/members/{email}/reset", owner)
    assert MachineSecret.parse(reset.json()["link"]) is not None
    assert (await api.ask("DELETE", f"/members/{email}", owner)).status == 204
    assert (await api.ask("GET", f"/members/{email}", owner)).status == 404
    assert (await api.ask("GET", f"/members/{joined.id}", owner)).json()["removed_at"] is not None


async def test_an_empty_list_of_apps_lifts_no_limit(api: ApiServer, people: People) -> None:
    """It is refused: a program whose list became empty must not give a member every app of the team."""
    owner, path = people["owner"], "/members/limited@acme.test"
    limited = await api.ask("GET", path, owner)
    for method, where, body in (
        ("PATCH", path, {"role": "developer", "apps": []}),
        ("POST", "/members", {"email": "kim@acme.test", "role": "viewer", "apps": []}),
    ):
        reply = await api.ask(method, where, owner, body)
        assert (reply.status, reply.code) == (400, "value_missing")
        assert [one["field"] for one in reply.json()["errors"]] == ["apps"]
    assert (await api.ask("GET", path, owner)).json() == limited.json()
    assert limited.json()["apps"] == [APP]


async def test_a_link_is_shown_once(api: ApiServer, people: People) -> None:
    """A repeat of the invitation does not show it again, and makes no other."""
    body, key = {"email": "kim@acme.test", "role": "viewer"}, {"Idempotency-Key": "k"}
    first = await api.ask("POST", "/members", people["owner"], body, headers=key)
    before = len(api.house.told)
    again = await api.ask("POST", "/members", people["owner"], body, headers=key)
    assert (first.status, again.status, again.code) == (200, 409, "operation_repeated")
    assert len(api.house.told) == before


async def test_open_links(api: ApiServer, people: People) -> None:
    """They are listed without their secret, with who made them, and taken back by id or by address, once."""
    owner, path = people["owner"], "/member-links"
    secrets = [
        (await api.ask(*request)).json()["link"]
        for request in (
            ("POST", "/members", owner, {"email": "kim@acme.test", "role": "developer", "apps": [APP]}),
            ("POST", "/members", owner, {"email": "jo@acme.test", "role": "viewer"}),
            ("POST", f"/members/{VIEWER}/reset", owner),
        )
    ]
    listed = await api.ask("GET", path, people["viewer-read"])
    items = {one["email"]: one for one in listed.json()["items"]}
    made_by = (await api.ask("GET", f"/members/{OWNER}", owner)).json()["id"]
    assert {email: (one["purpose"], one["role"], one["apps"]) for email, one in items.items()} == {
        "kim@acme.test": ("invite", "developer", [APP]),
        "jo@acme.test": ("invite", "viewer", None),
        VIEWER: ("reset", "viewer", None),
    }
    assert {(one["created_by"], one["works"]) for one in items.values()} == {(made_by, True)}
    assert not any(secret[-20:] in listed.body.decode() for secret in secrets)
    await api.ask("PATCH", f"/members/{VIEWER}", owner, {"role": "developer"})
    again = (await api.ask("GET", path, owner)).json()["items"]
    assert {one["email"] for one in again if not one["works"]} == {VIEWER}

    one, keyed = f"{path}/{items['kim@acme.test']['id']}", {"Idempotency-Key": "k"}
    for name in ("developer", "owner-read", "machine"):
        assert (await api.ask("DELETE", one, people[name])).status == 403
    stranger = await api.ask("DELETE", one, people["stranger"])
    assert (stranger.status, stranger.code) == (404, "link_not_found")
    assert [(await api.ask("DELETE", one, owner, headers=keyed)).status for _ in range(2)] == [204, 204]
    assert (await api.ask("DELETE", one, owner)).code == "link_not_found"
    assert (await api.ask("DELETE", f"{path}/jo@acme.test", owner)).status == 204
    left = (await api.ask("GET", path, owner)).json()["items"]
    assert [link["email"] for link in left] == [VIEWER]
    with pytest.raises(InputRefused, match="the link is not valid"):
        await api.house.links.redeem(Secret(secrets[0]), PASSWORD, api.house.operation())


async def test_passkeys_are_counted(api: ApiServer, people: People) -> None:
    """In lists and of one member: how many, and nothing of them; none is left of one who was removed."""
    house, owner = api.house, people["owner"]
    stored = await house.stores.members.by_email(VIEWER)
    assert stored is not None
    for _ in range(2):
        operation = house.operation(Actor.of_member(stored.record))
        await Passkeys(house.stores).register("laptop", made_passkey(), operation)
    listed = (await api.ask("GET", "/members", people["viewer-read"])).json()["items"]
    assert {one["email"]: one["passkeys"] for one in listed if one["passkeys"]} == {VIEWER: 2}
    shown = await api.ask("GET", f"/members/{VIEWER}", owner)
    assert shown.json()["passkeys"] == 2
    changed = await api.ask("PATCH", f"/members/{VIEWER}", owner, {"role": "developer"})
    assert changed.json()["passkeys"] == 2
    await api.ask("DELETE", f"/members/{VIEWER}", owner)
    assert (await api.ask("GET", f"/members/{stored.record.id}", owner)).json()["passkeys"] == 0


async def test_the_last_owner_stays(api: ApiServer, people: People) -> None:
    """Whoever asks through the API: only the operator may leave a team without one."""
    owner = people["owner"]
    for method, path, body in (
        ("PATCH", f"/members/{OWNER}", {"role": "viewer"}),
        ("POST", f"/members/{OWNER}/disable", None),
        ("DELETE", f"/members/{OWNER}", None),
    ):
        reply = await api.ask(method, path, owner, body)
        assert (reply.status, reply.code) == (409, "last_owner")


async def test_a_token_changes_no_password_of_its_own_member(api: ApiServer, people: People) -> None:
    """A stolen token must not become a password; an owner resets other members."""
    reply = await api.ask("POST", f"/members/{OWNER}/reset", people["owner"])
    assert (reply.status, reply.code) == (403, "permission_denied")
    assert (await api.ask("POST", f"/members/{VIEWER}/reset", people["owner"])).status == 200


async def test_removing_the_creator_of_a_service_account(api: ApiServer, people: People) -> None:
    """It ends the account too, so it has to be confirmed."""
    await api.ask("PATCH", f"/members/{DEVELOPER}", people["owner"], {"role": "owner"})
    await api.ask("POST", "/service-accounts", people["developer"], {"name": "deploy", "grants": [f"{APP}/**:pull"]})
    disabling = await api.ask("POST", f"/members/{DEVELOPER}/disable", people["owner"])
    asked = await api.ask("DELETE", f"/members/{DEVELOPER}", people["owner"])
    assert [disabling.code, asked.code] == ["confirmation_needed"] * 2
    gone = await api.ask("DELETE", f"/members/{DEVELOPER}?confirm={asked.json()['mark']}", people["owner"])
    assert gone.status == 204


async def test_own_tokens(api: ApiServer, people: People) -> None:
    """A member creates, reads and revokes tokens of their own, and sees nobody else's."""
    developer = people["developer"]
    made = await api.ask("POST", "/tokens", developer, {"name": "laptop", "expires": "90d", "api": "read"})
    token = made.json()
    assert made.headers["location"] == f"/api/v1/tokens/{token['id']}"
    assert (await api.ask("GET", "/apps", token["token"])).status == 200
    listed = await api.ask("GET", "/tokens", token["token"])
    assert {one["name"] for one in listed.json()["items"]} == {"tool", "tool-read", "tool-registry", "laptop"}
    assert "token" not in listed.json()["items"][0]
    for path in (f"/tokens/{token['id']}", f"/tokens/{'0' * 16}"):
        assert (await api.ask("GET", path, people["owner"])).status == 404
        assert (await api.ask("POST", f"{path}/revoke", people["owner"])).status == 404
    assert (await api.ask("POST", f"/tokens/{token['id']}/revoke", token["token"])).status == 403
    assert (await api.ask("POST", f"/tokens/{token['id']}/revoke", developer)).status == 204
    assert (await api.ask("GET", f"/tokens/{token['id']}", developer)).json()["live"] is False
    assert (await api.ask("GET", "/apps", token["token"])).code == "account_denied"


async def test_a_sign_in_is_ended_in_person(api: ApiServer, people: People) -> None:
    """A token lists its member's sign-ins, and ends none."""
    member = await api.house.stores.members.by_email(OWNER)
    assert member is not None
    await api.house.sign_ins.keep(member.record, "docker", api.house.now)
    items = (await api.ask("GET", "/tokens", people["owner"])).json()["items"]
    (sign_in,) = [one["id"] for one in items if one["kind"] == "sign-in"]
    reply = await api.ask("POST", f"/tokens/{sign_in}/revoke", people["owner"])
    assert (reply.status, reply.code) == (403, "permission_denied")


async def test_machines_have_no_tokens_of_their_own(api: ApiServer, people: People) -> None:
    """A service account makes nothing that has rights of its own."""
    machine = people["machine"]
    for method, path, body in (
        ("POST", "/tokens", {"name": "x"}),
        ("GET", "/tokens", None),
        ("POST", "/service-accounts", {"name": "x", "grants": [f"{APP}/**:pull"]}),
        ("POST", "/members", {"email": "x@acme.test", "role": "owner"}),
        ("GET", "/members", None),
        ("GET", "/service-accounts", None),
    ):
        assert (await api.ask(method, path, machine, body)).status == 403, path


async def test_a_service_account_from_its_beginning_to_its_end(api: ApiServer, people: People) -> None:
    """Created, given other grants, rotated, disabled, enabled and revoked by an owner."""
    owner = people["owner"]
    body = {"name": "deploy", "grants": [f"{APP}/**:pull,push"], "api": "read", "expires": "90d"}
    made = await api.ask("POST", "/service-accounts", owner, body)
    secret = made.json()["token"]
    path = made.headers["location"].removeprefix("/api/v1")
    assert (await api.ask("GET", "/apps", secret)).status == 200
    await api.house.usage.flush()
    shown = await api.ask("GET", "/service-accounts/deploy", people["viewer-read"])
    assert shown.json() == (await api.ask("GET", path, owner)).json()
    assert (shown.json()["grants"], shown.json()["api"]) == ([f"{APP}/**:pull,push"], "read")
    assert shown.json()["used_at"] is not None
    assert shown.json() in (await api.ask("GET", "/service-accounts", owner)).json()["items"]

    narrowed = await api.ask("PATCH", path, owner, {"grants": [f"{APP}/x:pull"]}, headers={"If-Match": shown.etag})
    assert narrowed.json()["grants"] == [f"{APP}/x:pull"]
    rotated = await api.ask("POST", f"{path}/rotate", owner, {"overlap": "0"})
    assert (await api.ask("GET", "/apps", secret)).status == 401
    assert (await api.ask("GET", "/apps", rotated.json()["token"])).status == 200
    assert (await api.ask("POST", f"{path}/disable", owner)).json()["disabled_at"] is not None
    assert (await api.ask("POST", f"{path}/enable", owner)).json()["disabled_at"] is None
    ended = await api.ask("POST", f"{path}/revoke", owner)
    assert (ended.json()["revoked_at"] is not None, ended.json()["tokens"]) == (True, [])
    again = await api.ask("POST", f"{path}/rotate", owner)
    assert (again.status, again.code) == (409, "service_account_revoked")


async def test_a_service_account_rotates_itself_and_no_other(api: ApiServer, people: People) -> None:
    """Its own token it may replace; another account does not exist for it."""
    machine = people["machine"]
    other = await api.ask("POST", "/service-accounts/machine-read/rotate", machine)
    nowhere = await api.ask("POST", "/service-accounts/nowhere/rotate", machine)
    assert (other.status, nowhere.status) == (404, 404)
    own = await api.ask("POST", "/service-accounts/machine/rotate", machine, {})
    assert (await api.ask("GET", "/apps", own.json()["token"])).status == 200


async def test_another_vendors_people_are_not_there(api: ApiServer, people: People) -> None:
    """Neither by name nor by id; the answer is that of somebody who exists nowhere."""
    account = await api.house.stores.service_accounts.by_name(TEAM, "machine")
    member = await api.house.stores.members.by_email(VIEWER)
    assert account is not None
    assert member is not None
    stranger = people["stranger"]

    async def told(method: str, path: str, name: str, body: object) -> tuple[int, str]:
        reply = await api.ask(method, path.replace("NAME", quote(name)), stranger, body)
        return reply.status, reply.body.decode().replace(reply.json()["request_id"], "").replace(name, "NAME")

    for method, path, body in (
        ("GET", "/members/NAME", None),
        ("PATCH", "/members/NAME", {"role": "viewer"}),
        ("DELETE", "/members/NAME", None),
        ("POST", "/members/NAME/disable", None),
        ("POST", "/members/NAME/enable", None),
        ("POST", "/members/NAME/reset", None),
    ):
        for name, nowhere in ((VIEWER, "nobody@acme.test"), (member.record.id, "0" * 16)):
            foreign = await told(method, path, name, body)
            assert foreign == await told(method, path, nowhere, body)
            assert foreign[0] == 404
    grants = {"grants": ["globex/x:pull"]}
    for method, path in (
        ("GET", "/service-accounts/NAME"),
        ("PATCH", "/service-accounts/NAME"),
        ("POST", "/service-accounts/NAME/rotate"),
        ("POST", "/service-accounts/NAME/disable"),
        ("POST", "/service-accounts/NAME/enable"),
        ("POST", "/service-accounts/NAME/revoke"),
    ):
        for name, nowhere in (("machine", "nowhere"), (account.record.id, "0" * 16)):
            sent = grants if method == "PATCH" else None
            foreign = await told(method, path, name, sent)
            assert foreign == await told(method, path, nowhere, sent)
            assert foreign[0] == 404
    limited = await api.ask("GET", "/members", people["limited"])
    assert (limited.status, limited.code) == (403, "permission_denied")


async def test_grants_stay_within_the_team_and_its_creator(api: ApiServer, people: People) -> None:
    """No grant on another vendor's app, and none of a form that means nothing."""
    for grants, status in (
        (["globex/**:pull"], 404),
        ([f"{APP}/**:admin"], 400),
        ([f"{APP}:pull"], 400),
        ([], 400),
        ([f"{APP}/**:pull"] * 200, 400),
    ):
        reply = await api.ask("POST", "/service-accounts", people["owner"], {"name": "x", "grants": grants})
        assert reply.status == status, (grants, reply)
