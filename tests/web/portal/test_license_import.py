"""Licenses from a file in the portal, and new ends for many: shown before, done as shown, and nothing twice."""

import io
import json
import zipfile
from datetime import UTC, datetime

import pytest

from authsvc.tenancy.terms import LicenseTerms
from authsvc.web import row_deadline
from authsvc.web.portal.form_body import MAX_FIELDS
from authsvc.web.portal.row_upload import MAX_BODY, MAX_FILE, MAX_ROWS
from tests.support.html_page import Element, forms_of
from tests.support.installation import APP
from tests.support.portal_server import Browser, PageReply, PortalServer

pytestmark = pytest.mark.usefixtures("people")

IMPORT, RENEW = "/portal/licenses/import", "/portal/licenses/renew"
FILES = f"{IMPORT}/files"
WRITER = "developer@acme.test"

ROWS = b"reference,customer,expires,field.seats\norder-1,Globex,2027-12-31,25\norder-2,Initech GmbH,2027-06-30,5\n"


async def shown(browser: Browser, content: bytes, name: str = "licenses.csv", action: str = IMPORT) -> PageReply:
    """Choose a file, and return what it would do."""
    return await browser.upload(await browser.get(action), action, name, content, app=APP)


def applied(reply: PageReply) -> dict[str, str]:
    """Return what the form that confirms sends, with its button."""
    (form,) = [one for one in _forms(reply) if "mark" in one]
    return {**form, "do": "apply"}


def _forms(reply: PageReply) -> list[dict[str, str]]:
    return [one.fields for one in forms_of(reply.page)]


def can_confirm(reply: PageReply) -> bool:
    """Whether the page offers to do what it shows."""
    return any("mark" in one for one in _forms(reply))


async def count(portal: PortalServer) -> int:
    """Return how many licenses there are."""
    return len(await portal.house.listed(APP))


async def test_a_file_is_shown_and_then_imported(portal: PortalServer) -> None:
    """Each row makes a license; the files come in one zip; the same file again makes none."""
    browser = await portal.browser().sign_in(WRITER)
    preview = await shown(browser, ROWS)
    assert (preview.status, await count(portal)) == (200, 0)
    for words in ("New licenses 2", "Globex", "Initech GmbH", "2027-12-30", "Make 2 licenses"):
        assert words in preview.page.text, words
    done = await browser.post(IMPORT, applied(preview))
    assert (done.status, await count(portal)) == (200, 2)
    assert "2 licenses were made" in done.page.text
    entry = portal.house.told[-1]
    assert entry.facts["batch"] == {"kind": "import", "rows": 2, "file": "licenses.csv"}

    files = await browser.submit(done, FILES)
    assert files.headers["content-type"] == "application/zip"
    assert files.headers["content-disposition"] == f'attachment; filename="licenses-{APP}.zip"'
    archive = zipfile.ZipFile(io.BytesIO(files.body))
    assert archive.testzip() is None
    customers = {
        json.loads(archive.read(name))["license"]["customer"]: json.loads(archive.read(name))["license"]["fields"]
        for name in archive.namelist()
        if name.endswith(".license.json")
    }
    assert customers == {"Globex": {"seats": 25}, "Initech GmbH": {"seats": 5}}
    assert "license-key.json" in archive.namelist()
    assert not any("/" in name or name.startswith(".") for name in archive.namelist())

    again = await browser.post(IMPORT, applied(preview))
    assert (again.status, await count(portal)) == (409, 2)
    assert "has changed since it was shown" in again.page.text
    third = await shown(browser, ROWS)
    assert ("There is nothing to do" in third.page.text, can_confirm(third)) == (True, False)


async def test_only_what_was_shown_is_done(portal: PortalServer) -> None:
    """Another file, another app, or a license that has come meanwhile: it is shown again, and nothing is made."""
    browser = await portal.browser().sign_in(WRITER)
    fields = applied(await shown(browser, ROWS))
    other = applied(await shown(browser, ROWS.replace(b"Globex", b"Evil")))
    for changed in ({"content": other["content"]}, {"app": "annex"}, {"mark": ""}, {"mark": "0" * 32}):
        refused = await browser.post(IMPORT, {**fields, **changed})
        assert (refused.status, await count(portal)) == (409, 0), changed
    terms = LicenseTerms.parse(customer="Globex", expires="2027-12-31", now=portal.house.now)
    await portal.house.licenses.create(APP, terms, portal.house.operation(), "order-1")
    refused = await browser.post(IMPORT, fields)
    assert (refused.status, await count(portal)) == (409, 1)
    assert "left as it is" in refused.page.text
    assert "the file differs in field.seats" in refused.page.text
    assert (await browser.post(IMPORT, applied(refused))).status == 200
    kept = {one.reference: one.fields for one in await portal.house.listed(APP)}
    assert kept == {"order-1": {}, "order-2": {"seats": 5}}


async def test_an_import_that_takes_too_long_goes_on(portal: PortalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is made stays, and the page offers the rest."""
    monkeypatch.setattr(row_deadline, "PATIENCE", -1.0)
    rows = b"customer,expires\n" + b"".join(b"Customer %d,2027-12-31\n" % number for number in range(40))
    browser = await portal.browser().sign_in(WRITER)
    page, counts = await shown(browser, rows), list[int]()
    for _ in range(3):
        page = await browser.post(IMPORT, applied(page))
        counts.append(await count(portal))
    assert counts == [16, 32, 40]
    assert "8 licenses were made" in page.page.text


async def test_many_licenses_get_another_end(portal: PortalServer) -> None:
    """Shown with the end of now and the new one; the same file again changes nothing."""
    browser = await portal.browser().sign_in(WRITER)
    await browser.post(IMPORT, applied(await shown(browser, ROWS)))
    file = b"\xef\xbb\xbfexpires,reference\r\n2029-01-01,order-1\r\n2027-06-30,order-2\r\n"
    preview = await shown(browser, file, "ends.csv", RENEW)
    for words in ("Get a new last day 1", "Have that last day already 1", "2027-12-30", "2028-12-31"):
        assert words in preview.page.text, words
    done = await browser.post(RENEW, applied(preview))
    assert "1 license was renewed" in done.page.text
    ends = {one.reference: one.expires_at for one in await portal.house.listed(APP)}
    assert ends == {"order-1": datetime(2029, 1, 1, tzinfo=UTC), "order-2": datetime(2027, 6, 30, tzinfo=UTC)}
    assert zipfile.ZipFile(io.BytesIO((await browser.submit(done, FILES)).body)).testzip() is None
    again = await shown(browser, file, "ends.csv", RENEW)
    assert ("There is nothing to do" in again.page.text, can_confirm(again)) == (True, False)
    wrong = await shown(browser, b"reference,expires\nnowhere,2029-01-01\norder-1,2001-01-01\n", "x.csv", RENEW)
    assert ("2 problems" in wrong.page.text, can_confirm(wrong)) == (True, False)


HEAD = b"customer,expires\n"

HOSTILE = {
    "empty": (b"", 400, "not empty"),
    "blank": (b"\n\n\n", 200, "the column is missing"),
    "too long a file": (b"x" * (MAX_FILE + 1), 400, "KiB"),
    "too many rows": (HEAD + b"A,2027-12-31\n" * (MAX_ROWS + 1), 400, "more than 1,000 rows"),
    "10,000 columns": (b",".join(b"c%d" % n for n in range(10_000)) + b"\n", 200, "there is no such column"),
    "10,000 columns of one name": (b",".join([b"customer"] * 7_000) + b"\n", 200, "the column occurs twice"),
    "a huge row": (HEAD + b"A" * 70_000 + b",2027-12-31\n", 200, "longer than 65,536 characters"),
    "NUL": (HEAD + b"A\x00B,2027-12-31\n", 200, "customer"),
    "UTF-16": ("customer,expires\nA,2027-12-31\n".encode("utf-16"), 200, "no such column"),
    "Latin-1": (HEAD + "Müller,2027-12-31\n".encode("latin-1"), 200, "save the file as UTF-8"),
    "binary": (bytes(range(256)) * 4, 200, "problem"),
    "an open quote": (HEAD + b'"A,2027-12-31\n', 200, "it is not CSV"),
    "bars": (b"customer|expires\nA|2027-12-31\n", 200, "no such column"),
    "markup": (HEAD + b"<b id=x>,never\n", 200, "expires"),
}


@pytest.mark.parametrize("case", HOSTILE)
async def test_a_hostile_file_is_refused_in_words(portal: PortalServer, case: str) -> None:
    """It says what is wrong and where; nothing can be confirmed, and no element comes out of it."""
    content, status, words = HOSTILE[case]
    browser = await portal.browser().sign_in(WRITER)
    reply = await shown(browser, content)
    assert (reply.status, can_confirm(reply)) == (status, False), reply.page.text
    assert words in reply.page.text
    assert not [one for one in reply.page.walk() if one.attributes.get("id") == "x"]
    assert await count(portal) == 0


async def test_texts_of_a_file_are_texts(portal: PortalServer) -> None:
    """Formulas and markup are names like others: made, shown, and in the license file as they are."""
    names = ["=HYPERLINK(1)", "<script>alert(1)</script>", "{{7*7}}", "../../etc/passwd", "Ω 株式会社"]
    rows = "customer,expires\n" + "".join(f"{name},2027-12-31\n" for name in names)
    browser = await portal.browser().sign_in(WRITER)
    preview = await shown(browser, rows.encode(), name='<b id="x">"/../évil.csv')
    assert all(name in preview.page.text for name in names)
    assert not [one for one in preview.page.walk() if one.attributes.get("id") == "x"]
    assert [one.attributes for one in preview.page.all("script")] == [
        one.attributes for one in (await browser.get(IMPORT)).page.all("script")
    ]
    await browser.post(IMPORT, applied(preview))
    assert {one.customer for one in await portal.house.listed(APP)} == set(names)


BROKEN: dict[str, tuple[bytes, str]] = {
    "no boundary": (b"x", "multipart/form-data"),
    "no end": (b'--b\r\nContent-Disposition: form-data; name="app"\r\n\r\nx\r\n', "multipart/form-data; boundary=b"),
    "no name": (b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "no headers": (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
    "long headers": (
        b'--b\r\nContent-Disposition: form-data; name="' + b"x" * 9000 + b'"\r\n\r\nx\r\n--b--\r\n',
        "multipart/form-data; boundary=b",
    ),
    "many parts": (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n' * (MAX_FIELDS + 9) + b"--b--\r\n",
        "multipart/form-data; boundary=b",
    ),
    "JSON": (b"{}", "application/json"),
}


@pytest.mark.parametrize("case", BROKEN)
async def test_a_broken_form_is_refused(portal: PortalServer, case: str) -> None:
    """Whatever stands in for the parts of a form."""
    browser = await portal.browser().sign_in(WRITER)
    assert (await browser.post_body(IMPORT, *BROKEN[case])).status == 400


async def test_a_file_from_elsewhere_is_refused(portal: PortalServer) -> None:
    """A form with a file is protected like every other one."""
    browser = await portal.browser().sign_in(WRITER)
    head, end = b'--b\r\nContent-Disposition: form-data; name="', b"\r\n--b--\r\n"
    sent = head + b'file"; filename="x.csv"\r\n\r\n' + ROWS + end
    assert (await browser.post_body(IMPORT, sent, "multipart/form-data; boundary=b")).status == 403
    browser.headers["Origin"] = "https://evil.example"
    page = await browser.get(IMPORT)
    fields = {"form_token": page.form(IMPORT).fields["form_token"], "app": APP}
    assert (await browser.post(IMPORT, fields, {"Origin": "https://evil.example"})).status == 403
    assert (await browser.post_body(IMPORT, b"x" * (MAX_BODY + 1), "multipart/form-data; boundary=b")).status == 413
    assert await count(portal) == 0


@pytest.mark.parametrize("name", ["viewer", "limited", "stranger"])
async def test_who_may_not_import(portal: PortalServer, name: str) -> None:
    """Viewers have no button; who is limited imports into their app alone; another team's app does not exist."""
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    links = {one.attributes["href"] for one in (await browser.get("/portal/customers")).page.all("a")}
    assert ({IMPORT, RENEW} <= links) is (name != "viewer")
    if name == "viewer":
        for path in (IMPORT, RENEW):
            assert (await browser.get(path)).status == 403
            token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
            for action in (path, FILES):
                assert (await browser.post(action, {"form_token": token, "app": APP})).status == 403
        return
    for action in (IMPORT, RENEW):
        foreign = {"limited": "annex", "stranger": APP}[name]
        page = await browser.get(action)
        assert foreign not in options(page.page)
        assert (await browser.upload(page, action, "x.csv", ROWS, app=foreign)).status == 404


def options(page: Element) -> set[str]:
    """Return the choices of a page."""
    return {one.attributes.get("value", one.text) for one in page.all("option")}
