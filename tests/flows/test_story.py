"""The first pull, with skopeo and with bare HTTP: a vendor pushes, a license holder pulls and gets nothing else."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.http_client import Reply, claims_of, get_token, post_token
from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_license, make_member, make_team, unique


@pytest.fixture(scope="session")
def app(stack: Stack) -> str:
    """Return an app."""
    slug = unique("app")
    make_team(stack, slug)
    return slug


@pytest.fixture(scope="session")
def license_(stack: Stack, app: str) -> License:
    """Return a license for the app."""
    return make_license(stack, app)


def test_the_story_with_skopeo(stack: Stack, tmp_path: Path) -> None:
    """A vendor pushes, a license holder pulls and gets nothing else, and a revoked license says why."""
    app, other = unique("app"), unique("app")
    team = make_team(stack, app, other)
    product, api = Image(f"product {app}".encode()), Image(f"api {app}".encode())
    (tmp_path / "vendor").mkdir()
    vendor = Skopeo(stack, tmp_path / "vendor")
    assert "Login Succeeded!" in vendor.log_in(make_member(stack, team, "owner")).out
    for image, reference in ((product, f"{app}/worker:1.0.1"), (api, f"{other}/api:1")):
        pushed = vendor.push(image, reference)
        assert pushed.code == 0, pushed

    (tmp_path / "holder").mkdir()
    holder = Skopeo(stack, tmp_path / "holder")
    license_ = make_license(stack, app, "--contact", "sales@acme.test")
    assert "Login Succeeded!" in holder.log_in(license_.account).out
    pulled = holder.pull(f"{app}/worker:1.0.1")
    assert pulled.code == 0, pulled
    for refused in (
        holder.push(product, f"{app}/worker:evil"),
        holder.pull(f"{other}/api:1"),
        holder.copy(f"{app}/worker:1.0.1", f"{other}/worker:1.0.1"),
    ):
        assert refused.code == 1
        assert "requested access to the resource is denied" in refused.err

    stack.authsvc("license", "revoke", license_.id)
    refused = holder.pull(f"{app}/worker:1.0.1")
    assert refused.code == 1
    assert re.search(
        rf"denied: license {license_.id} of Globex was revoked on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC; "
        r"contact sales@acme\.test \(request [0-9a-f]{16}\)",
        refused.err,
    )
    stack.authsvc("license", "reinstate", license_.id)
    assert holder.pull(f"{app}/worker:1.0.1").code == 0


@pytest.mark.parametrize("ask_token", [get_token, post_token], ids=["GET with Basic", "POST with a form"])
@pytest.mark.parametrize(
    "form",
    [
        lambda license_: license_.file,
        lambda license_: license_.file.strip(),
        lambda license_: license_.file.replace("\n", ""),
        lambda license_: license_.file.replace("\n", "\r\n"),
        lambda license_: f"\ufeff{license_.file}",
        lambda license_: license_.token,
        lambda license_: f"{license_.token}\n",
    ],
    ids=["as it is", "trimmed", "one line", "CRLF", "BOM", "its token", "its token with a line break"],
)
def test_a_license_file_is_a_password(
    stack: Stack,
    app: str,
    license_: License,
    form: Callable[[License], str],
    ask_token: Callable[[int, Account, str], Reply],
) -> None:
    """However shells and editors bend the file, it opens the same: pulling from one app."""
    account = Account("license", form(license_))
    reply = ask_token(stack.port, account, f"repository:{app}/worker:pull,push")
    assert reply.status == 200, reply
    facts = reply.json()
    assert facts["token"] == facts["access_token"]
    claims = claims_of(facts["token"])
    assert claims["access"] == [{"type": "repository", "name": f"{app}/worker", "actions": ["pull"]}]
    assert claims["sub"] == f"license:{license_.id}"
    assert claims["aud"] == stack.name


def test_a_reply_names_its_request(stack: Stack, license_: License) -> None:
    """The id in the header is the one in the log, and a refusal tells it to people as well."""
    good = get_token(stack.port, license_.account)
    bad = get_token(stack.port, Account("license", "asv_lic_nonsense"))
    issued, refused = (stack.event_of(reply.headers["x-request-id"]) for reply in (good, bad))
    assert (issued["event"], issued["subject"]) == ("token.issued", f"license:{license_.id}")
    assert refused["event"] == "token.refused"
    assert bad.error()[1].endswith(f"(request {bad.headers['x-request-id']})")
    assert bad.headers["x-request-id"] in bad.reason


def test_every_change_is_one_event(stack: Stack) -> None:
    """Each change is written down once, with who, what and when; reading and refused changes are not."""
    team = make_team(stack, app := unique("app"))
    license_ = make_license(stack, app)
    stack.authsvc("license", "show", license_.id)
    stack.authsvc("team", "create", team, check=False)
    for name in ("Acme Software", "Acme Software"):
        assert stack.authsvc("team", "set", team, "--name", name).out == f"team {team} is {name}\n"
    for command in ("revoke", "revoke", "reinstate"):
        stack.authsvc("license", command, license_.id)
    changes = [event for event in stack.events("changes.log") if event.get("team") == team]
    assert [(event["event"], event.get("state")) for event in changes] == [
        ("team.created", None),
        ("app.created", None),
        ("license.created", None),
        ("team.changed", None),
        ("license.changed", "revoked"),
        ("license.changed", "active"),
    ]
    assert {event["actor"] for event in changes} == {"system:authsvc"}
    assert all("at" in event for event in changes)


def test_tokens_live_as_long_as_the_settings_say(stack: Stack, app: str, license_: License) -> None:
    """A pull token lives five minutes and a push token fifteen, and the registry takes both."""
    owner = make_member(stack, app_team(stack, app), "owner")
    lives = []
    for account, actions in ((license_.account, "pull"), (owner, "pull"), (owner, "pull,push")):
        facts = get_token(stack.port, account, f"repository:{app}/x:{actions}").json()
        claims = claims_of(facts["token"])
        lives.append((claims["exp"] - claims["iat"], facts["expires_in"]))
        assert claims["nbf"] == claims["iat"] - 60
    assert lives == [(300, 270), (300, 270), (900, 870)]
    Client(stack.port, owner).push(f"{app}/x", "1", Image(b"x"))


def app_team(stack: Stack, app: str) -> str:
    """Return the team that owns ``app``."""
    team: str = stack.json("app", "show", app)["team"]
    return team
