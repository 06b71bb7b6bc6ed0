"""What a license would pull, before there is one: the same that it is granted afterwards."""

import pytest

from authsvc.manage import license_images
from authsvc.policy import decide
from authsvc.spec.scope import merge_scopes
from tests.support.api_server import ApiServer
from tests.support.builders import NOW, as_license, make_license
from tests.support.installation import APP, OTHER_APP
from tests.support.oci import Image
from tests.web.api.conftest import THEIR_APP, People
from tests.web.api.test_images import index

NAMES = ("worker", "api/web", "api/v2/web", "proxy/hub/x", "tools")
REPOSITORIES = [f"{APP}/{name}" for name in NAMES]


@pytest.fixture(autouse=True)
async def images(api: ApiServer) -> None:
    """Put images of both teams into the index."""
    for name in (*REPOSITORIES, f"{OTHER_APP}/worker", f"{THEIR_APP}/worker"):
        await index(api, name, "1.0", Image(name.encode()))
    await index(api, f"{APP}/worker", "2.0", Image(b"two"))


async def previewed(api: ApiServer, people: People, *patterns: str | None, query: str = "") -> list[str]:
    """Return the tags that a license with some patterns would pull; None stands for the whole app."""
    body = {"app": APP, "repositories": None if patterns == (None,) else list(patterns)}
    reply = await api.ask("POST", f"/licenses/preview{query}", people["viewer-read"], body)
    assert reply.status == 200, reply
    return [f"{one['repository']}:{one['tag']}" for one in reply.json()["items"]]


@pytest.mark.parametrize(
    "patterns",
    [
        (None,),
        (),
        ("worker",),
        ("api/*",),
        ("api/**",),
        ("**",),
        ("*",),
        ("w*", "api/*/web"),
        ("proxy/hub/**",),
        ("x",),
    ],
)
async def test_it_is_what_the_license_gets(api: ApiServer, people: People, patterns: tuple[str | None, ...]) -> None:
    """Each repository by the policy that tokens are issued by."""
    license_ = make_license(repositories=None if patterns == (None,) else tuple(map(str, patterns)))
    scopes = merge_scopes([f"repository:{name}:pull" for name in REPOSITORIES]).scopes
    granted = {access.name for access in decide(as_license(license_), scopes, NOW).access}

    assert {name.partition(":")[0] for name in await previewed(api, people, *patterns)} == granted


async def test_pages(api: ApiServer, people: People) -> None:
    """A page begins with what the license pulls, whatever is before it, and the next one goes on."""
    found, after, pages = list[str](), "", 0
    while True:
        body = {"app": APP, "repositories": ["worker", "api/*"]}
        reply = (await api.ask("POST", f"/licenses/preview?limit=1{after}", people["machine-read"], body)).json()
        found += [f"{one['repository']}:{one['tag']}" for one in reply["items"]]
        pages += 1
        if reply["next"] is None:
            break
        after = f"&after={reply['next']}"
    assert ([f"{APP}/api/web:1.0", f"{APP}/worker:1.0", f"{APP}/worker:2.0"], 3) == (found, pages)


async def test_what_it_refuses(api: ApiServer, people: People) -> None:
    """Bad patterns, too many of them, cursors of another app, and apps that are not there for the caller."""
    for repositories, code in (
        (["Worker"], "pattern_invalid"),
        (["proxy/x"], "pattern_invalid"),
        (["x"] * 101, "patterns_too_many"),
    ):
        body = {"app": APP, "repositories": repositories}
        reply = await api.ask("POST", "/licenses/preview", people["viewer"], body)
        assert (400, {"repositories": code}) == (reply.status, reply.fields())
    first = await api.ask("POST", "/licenses/preview?limit=1", people["viewer"], {"app": APP})
    assert "link" not in first.headers
    other = await api.ask(
        "POST", f"/licenses/preview?after={first.json()['next']}", people["viewer"], {"app": OTHER_APP}
    )
    assert {"after": "cursor_invalid"} == other.fields()
    for who, app in (("viewer", THEIR_APP), ("limited", OTHER_APP), ("stranger", APP), ("viewer", "nothing")):
        missing = await api.ask("POST", "/licenses/preview", people[who], {"app": app})
        assert (404, "app_not_found") == (missing.status, missing.code)


async def test_a_team(api: ApiServer, people: People) -> None:
    """One's own is read; another one is not there."""
    mine = await api.ask("GET", "/teams/acme-team", people["owner-read"])
    assert (200, "acme-team") == (mine.status, mine.json()["slug"])
    assert (await api.ask("GET", "/teams", people["owner"])).json()["items"] == [mine.json()]
    for slug in ("globex-team", "nothing"):
        assert 404 == (await api.ask("GET", f"/teams/{slug}", people["owner"])).status


async def test_a_team_gets_another_name(api: ApiServer, people: People) -> None:
    """From an owner who has seen the one that it has; its slug stays."""
    path, owner = "/teams/acme-team", people["owner"]
    seen = (await api.ask("GET", path, owner)).etag
    changed = await api.ask("PATCH", path, owner, {"name": " Acme Software "}, headers={"If-Match": seen})
    assert (changed.status, changed.json()["slug"], changed.json()["name"]) == (200, "acme-team", "Acme Software")
    assert (await api.ask("GET", path, owner)).etag == changed.etag
    late = await api.ask("PATCH", path, owner, {"name": "Acme"}, headers={"If-Match": seen})
    assert (late.status, late.code) == (412, "version_conflict")
    for name, code in (("", "length_invalid"), ("x" * 201, "length_invalid"), ("a\nb", "text_not_printable")):
        refused = await api.ask("PATCH", path, owner, {"name": name})
        assert (refused.status, refused.fields()) == (400, {"name": code})
    for who, status in (("developer", 403), ("viewer", 403), ("owner-read", 403), ("stranger", 404)):
        assert (await api.ask("PATCH", path, people[who], {"name": "Theirs"})).status == status
    assert (await api.ask("GET", path, owner)).json() == changed.json()


async def test_patterns_that_are_slow(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is to compare, a page ends, and the pages together have everything."""
    monkeypatch.setattr(license_images, "MAX_STEPS", 1)
    body: dict[str, object] = {"app": APP, "repositories": ["*a" * 100, "w*"]}
    found, path, pages = list[str](), "/licenses/preview", 0
    while path:
        reply = (await api.ask("POST", path, people["machine-read"], body)).json()
        found += [one["tag"] for one in reply["items"]]
        path, pages = f"/licenses/preview?after={reply['next']}" if reply["next"] else "", pages + 1
    assert (["1.0", "2.0"], len(REPOSITORIES) + 1) == (found, pages)
