"""Forms from other sites, and the headers that keep other sites out."""

import pytest

from authsvc.web.portal.cookies import FORM_COOKIE, SESSION_COOKIE
from authsvc.web.portal.form_token import form_token
from authsvc.web.portal.headers import HEADERS
from authsvc.web.portal.rendering import STATIC, static_path
from tests.support.builders import PASSWORD
from tests.support.portal_server import Browser, PortalServer

pytestmark = pytest.mark.usefixtures("people")

OWNER = "owner@acme.test"

ELSEWHERE = {
    "no origin": {"Origin": ""},
    "null": {"Origin": "null"},
    "another site": {"Origin": "https://evil.example"},
    "another port": {"Origin": "https://registry.example.com:8443"},
    "plain http": {"Origin": "http://registry.example.com"},
    "a longer name": {"Origin": "https://registry.example.com.evil.example"},
    "same site": {"Sec-Fetch-Site": "same-site"},
    "cross site": {"Sec-Fetch-Site": "cross-site"},
    "no site": {"Sec-Fetch-Site": "none"},
    "json": {"Content-Type": "application/json"},
    "text": {"Content-Type": "text/plain"},
    "a file": {"Content-Type": "multipart/form-data; boundary=x"},
}


@pytest.mark.parametrize("case", ELSEWHERE)
async def test_a_form_from_elsewhere_changes_nothing(portal: PortalServer, case: str) -> None:
    """Each check alone is enough, for every form: also before anyone is signed in (login CSRF)."""
    browser = await portal.browser().sign_in(OWNER)
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    for action in ("/portal/sign-out", "/portal/account/sign-out-everywhere", "/portal/account/password"):
        reply = await browser.post(action, {"form_token": token}, ELSEWHERE[case])
        assert reply.status in {400, 403}, (action, reply.text)
    assert (await browser.get("/portal/account")).status == 200

    visitor = portal.browser()
    form = (await visitor.get("/portal/sign-in")).form("/portal/sign-in").fields
    sent = {**form, "email": OWNER, "password": PASSWORD.reveal()}
    assert (await visitor.post("/portal/sign-in", sent, ELSEWHERE[case])).status in {400, 403}
    assert SESSION_COOKIE not in visitor.cookies
    assert (await visitor.post("/portal/sign-in", sent, {"Sec-Fetch-Site": ""})).status == 303


@pytest.mark.parametrize("which", ["none", "empty", "of another session", "of an earlier page", "of no cookie"])
async def test_a_form_needs_its_token(portal: PortalServer, which: str) -> None:
    """That of this session, and not the one from before the sign-in."""
    visitor = portal.browser()
    before = (await visitor.get("/portal/sign-in")).form("/portal/sign-in").fields["form_token"]
    browser, another = await portal.browser().sign_in(OWNER), await portal.browser().sign_in(OWNER)
    right = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    others = (await another.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    tokens = {"empty": "", "of another session": others, "of an earlier page": before, "of no cookie": form_token("")}
    fields = {} if which == "none" else {"form_token": tokens[which]}
    assert (await browser.post("/portal/sign-out", fields)).status == 403
    assert (await browser.post("/portal/sign-out", {"form_token": right})).status == 303


async def test_a_planted_cookie_makes_no_form_valid(portal: PortalServer) -> None:
    """Without its cookie a sign-in form is refused, and so is one with another cookie."""
    visitor = portal.browser()
    form = (await visitor.get("/portal/sign-in")).form("/portal/sign-in").fields
    sent = {**form, "email": OWNER, "password": PASSWORD.reveal()}
    for cookies in ({}, {FORM_COOKIE: "other"}, {FORM_COOKIE: ""}):
        assert (await Browser(portal, dict(cookies)).post("/portal/sign-in", sent)).status == 403


async def test_every_answer_has_the_headers(portal: PortalServer) -> None:
    """Pages, redirects, errors and files; what is not such a file is stored nowhere."""
    browser = await portal.browser().sign_in(OWNER)
    for path in ("/", "/portal/", "/portal/images", "/portal/account", "/portal/nothing", "/portal/sign-in"):
        reply = await browser.get(path)
        assert HEADERS.items() <= {name.title(): value for name, value in reply.headers.items()}.items() | {
            (name, reply.headers[name.lower()]) for name in HEADERS
        }
        assert reply.headers["cache-control"] == "no-store", path
        assert reply.headers["x-content-type-options"] == "nosniff"
    links = (await browser.get("/portal/account")).page.all("link")
    icons = [one.attributes["href"] for one in links if one.attributes["rel"] == "icon"]
    assert icons == [static_path("svg")]
    for name in STATIC:
        reply = await portal.browser().get(static_path(name))
        assert (reply.status, reply.headers["cache-control"]) == (200, "public, max-age=31536000, immutable")
        assert reply.headers["content-security-policy"].startswith("default-src 'none'")
        assert (await portal.browser().get(static_path(name).replace("static/", "static/0"))).status == 404
    for path in ("/portal/static/x/../application.py", "/portal/static/x/application.py", "/portal/static/"):
        assert (await portal.browser().get(path)).status == 404


async def test_a_page_asks_no_other_host(portal: PortalServer) -> None:
    """And has no script or style of its own: the policy would refuse them."""
    browser = await portal.browser().sign_in(OWNER)
    for path in ("/portal/images", "/portal/account", "/portal/nothing"):
        page = (await browser.get(path)).page
        for element in page.walk():
            assert element.name not in {"style", "iframe", "object", "embed", "base"}
            assert not {name for name in element.attributes if name.startswith("on") or name == "style"}
            for name in ("src", "href", "action"):
                assert element.attributes.get(name, "/").startswith(("/", "#")), element
                assert not element.attributes.get(name, "/").startswith("//"), element
            if element.name == "script":
                assert element.attributes["src"] == static_path("js")
                assert element.text == ""


async def test_an_error_is_a_page(portal: PortalServer) -> None:
    """With what is wrong, where to go, and the request id; who is signed in keeps the navigation."""
    browser = await portal.browser().sign_in(OWNER)
    for path, status in (
        ("/portal/nothing", 404),
        ("/portal/images/myapp/none:1", 404),
        ("/portal/images?after=x", 400),
    ):
        reply = await browser.get(path)
        assert reply.status == status, reply.text
        assert reply.headers["x-request-id"] in reply.page.text
        assert reply.page.all("nav")
        assert [one.text for one in reply.page.all("h1")]
    too_long = await browser.post("/portal/sign-out", {"form_token": "x" * 70_000})
    assert too_long.status == 413
    assert (await browser.ask("DELETE", "/portal/account")).status == 405
