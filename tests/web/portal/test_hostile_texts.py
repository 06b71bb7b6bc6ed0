"""Hostile texts in every field that a page shows: they stay texts, whoever wrote them.

Two things are compared. Pages that show stored texts have the same elements and attributes as with a plain text in
their place. And no page, whatever was typed into its forms and searches, has an element or attribute beyond those that
templates have (:data:`ALLOWED`), a script of its own, or an address that leads out of the portal.
"""

import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from unittest.mock import patch
from urllib.parse import quote, urlencode

import jinja2
import pytest

from tests.support.html_page import Element, forms_of, read_page
from tests.support.portal_content import PLAIN, PortalContent
from tests.support.portal_pages import NOT_SIGNED_IN, filled, page_paths
from tests.support.portal_server import Browser, PageReply, PortalServer
from tests.web.api.conftest import People

pytestmark = pytest.mark.usefixtures("people")

PICTURE = "<img src=x onerror=alert(1)>"

HOSTILE: Mapping[str, str] = {
    "script": f"<script>alert(1)</script>{PICTURE}",
    "end of an attribute": f'">{PICTURE}',
    "end of a quoted one": f"'>{PICTURE}",
    "attribute": "' onmouseover='alert(1)' x='",
    "quoted attribute": '" onmouseover="alert(1)" autofocus onfocus="alert(2)" x="',
    "template": "{{7*7}}${7*7}{%raw%}{{ member.email }}",
    "address": "javascript:alert(1)",
    "data": f"data:text/html,{PICTURE}",
    "end of a control": f"</textarea></select></button>{PICTURE}",
    "end of the title": f"</title></head></style>{PICTURE}",
    "comment": f"--!><!--{PICTURE}-->",
    "escaped": "&lt;img src=x&gt; &#60;img&#62; &amp;lt;",
    "right to left": f"\u202e\u2066moc.live\u200b\u200d\ufeff{PICTURE}",
    "controls": f"\0\x01\x1b[31m\x85\u2028\r\n{PICTURE}",
    "long": f"{PICTURE}{'x' * 10_000}",
    "half a character": f"\ud800{PICTURE}\udcff",
}
"""What is typed, by what it tries."""

SHORT = ("script", "quoted attribute", "attribute", "template", "escaped", "address", "end of the title")
"""Those that names and notes accept: one printable line of at most 200 characters."""

FOREIGN = ("right to left", "controls", "long", "half a character")
"""Those that reach a page from clients and servers of others only."""

ALLOWED: Mapping[str, frozenset[str]] = {
    name: frozenset(attributes.split())
    for name, attributes in {
        "*": "class id data-label",
        "html": "lang",
        "meta": "charset name content",
        "link": "rel href type",
        "script": "src defer",
        "a": "href aria-current download",
        "nav": "aria-label",
        "main": "tabindex",
        "form": "method action role enctype data-passkey data-options",
        "p": "role data-wait",
        "input": "type name value autocomplete required placeholder aria-describedby checked min max accept hidden "
        "maxlength inputmode pattern readonly spellcheck autocapitalize",
        "select": "name aria-describedby required data-choose hidden",
        "option": "value selected",
        "textarea": "name rows aria-describedby required readonly spellcheck",
        "button": "type data-copy hidden name value aria-label data-passkey aria-describedby",
        "label": "for",
        "time": "datetime title",
        "svg": "viewbox height role aria-label aria-labelledby aria-hidden",
        "line": "x1 y1 x2 y2",
        "rect": "x y width height rx",
        "text": "x y text-anchor",
        "th": "scope colspan",
        "td": "colspan",
        "details": "open",
        "section": "aria-label aria-labelledby hidden data-tool",
        "div": "hidden role aria-live",
        "span": "aria-hidden hidden role",
        "h1": "tabindex",
    }.items()
}
"""Attributes that an element may have; each may have those of ``*``. A template with another one adds it here.

What runs, or is fetched or framed, is not among them: no handler of an event, no style, no picture.
"""

OURS = ("/portal/", "/c/", "/auth/license-keys.json", "#")
"""How every address in a page begins."""

ELEMENTS = ALLOWED.keys() | {
    *("head", "title", "body", "header", "footer", "h2", "h3", "strong", "em", "code", "pre", "small", "br", "hr"),
    *("table", "thead", "tbody", "tfoot", "tr", "caption", "dl", "dt", "dd", "ul", "ol", "li", "fieldset", "legend"),
    *("summary", "g", "polyline", "path", "circle", "desc", "article", "figure", "figcaption", "abbr"),
}
"""Elements that a page may have."""


def wrongs(page: Element) -> Iterator[str]:
    """Yield what a page has that no template has put there."""
    scripts = page.all("script")
    if len(scripts) != 1 or set(scripts[0].attributes) != {"src", "defer"} or scripts[0].text:
        yield f"scripts: {[(one.attributes, one.text[:80]) for one in scripts]}"
    for one in page.walk():
        if one.name not in ELEMENTS:
            yield f"<{one.name}>"
        for name in one.attributes.keys() - ALLOWED["*"] - ALLOWED.get(one.name, frozenset()):
            yield f"<{one.name} {name}>"
        for name in {"href", "src", "action", "formaction"} & one.attributes.keys():
            if not one.attributes[name].startswith(OURS):
                yield f"<{one.name} {name}={one.attributes[name][:80]!r}>"
        if one.attributes.get("http-equiv"):
            yield "<meta http-equiv>"


def shape(page: Element) -> Counter[tuple[str, ...]]:
    """Return the elements of a page, each with the names of its attributes, and how often they are there."""
    return Counter((one.name, *sorted(one.attributes)) for one in page.walk())


async def stored_pages(portal: PortalServer, text: str) -> tuple[PortalContent, dict[str, PageReply]]:
    """Return every page of an installation whose names and notes are ``text``."""
    content = PortalContent(portal.house, portal.recorder, text)
    await content.fill()
    browser, visitor = await portal.browser().sign_in("owner@acme.test"), portal.browser()
    pages = {path: await browser.get(path) for path in page_paths(content.names)}
    return content, pages | {path: await visitor.get(filled(path, content.names)) for path in NOT_SIGNED_IN}


@pytest.mark.parametrize("case", [*SHORT, *FOREIGN])
async def test_stored_texts(portal: PortalServer, case: str) -> None:
    """In every name and note that accepts them, in what clients call themselves, and in what others' servers say."""
    text = HOSTILE[case]
    content, pages = await stored_pages(portal, text)
    assert {path: found for path, reply in pages.items() if (found := [*wrongs(reply.page)])} == {}
    assert {path: reply.status for path, reply in pages.items() if reply.status >= 500} == {}
    assert (content.accepted >= 3) is (case in SHORT)
    said = " ".join(reply.page.text for reply in pages.values())
    assert case in FOREIGN or " ".join(text.split()) in said
    assert portal.logged("request.failed") == []


@pytest.mark.parametrize("case", ["script", "quoted attribute"])
async def test_pages_have_the_same_elements(portal: PortalServer, saved: People, case: str) -> None:
    """As with a plain text: not one more or less."""
    _, hostile = await stored_pages(portal, HOSTILE[case])
    await portal.house.connection.redis.flushall()
    await saved.restore(portal.house.connection)
    _, plain = await stored_pages(portal, PLAIN)
    assert len(hostile) == len(plain) >= 30
    for one, other in zip(hostile.values(), plain.values(), strict=True):
        assert (one.status, shape(one.page)) == (other.status, shape(other.page))


TYPED = {"text", "search", "email", "date", "password", "url", "number", "hidden", ""}
"""Types of controls that a hostile text is typed into; a hidden one is sent by whoever likes to."""


def typed(form: Element, text: str) -> dict[str, str] | None:
    """Return a form's fields with the text in every control that takes one; None if there is none."""
    fields, found = forms_of(form)[0].fields, False
    for one in form.walk():
        name = one.attributes.get("name", "")
        is_text = one.name == "input" and one.attributes.get("type", "") in TYPED
        if name != "form_token" and (one.name in {"textarea", "select"} or is_text):
            fields[name] = text
            found = True
    return fields if found else None


async def sent(browser: Browser, form: Element, fields: Mapping[str, str]) -> PageReply:
    """Send a form, also with what no browser would send."""
    body = urlencode(fields, errors="surrogatepass")
    action = form.attributes["action"].partition("#")[0]
    if form.attributes["method"] == "get":
        return await browser.get(f"{action}?{body}")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Origin": browser.portal.public_url.origin,
        "Sec-Fetch-Site": "same-origin",
    }
    return await browser.ask("POST", action, body.encode(), headers)


async def echoes(portal: PortalServer, content: PortalContent, text: str) -> AsyncIterator[tuple[str, PageReply]]:
    """Yield the answer to every form of every page that takes a text, and to a search for it; answers lead nowhere."""
    member, visitor = await portal.browser().sign_in("owner@acme.test"), portal.browser()
    member.headers["User-Agent"] = "".join(one for one in text if " " <= one <= "~")[:200]
    seen = set[str]()
    paths = [(member, path) for path in page_paths(content.names)]
    for browser, path in [*paths, *((visitor, filled(path, content.names)) for path in NOT_SIGNED_IN)]:
        page = (await browser.get(path)).page
        for form in page.all("form"):
            action, fields = form.attributes["action"], typed(form, text)
            if fields is None or action in seen:
                continue
            seen.add(action)
            buttons = {one.attributes.get("value", "") for one in form.all("button") if "name" in one.attributes}
            for button in sorted(buttons) or [""]:
                yield f"{action} {button}", await sent(browser, form, {**fields, "do": button})
    for path in ("/portal/nowhere/", "/portal/images/", "/portal/customers/", "/portal/join/", "/c/"):
        quoted = quote(text.encode("utf-8", "surrogatepass"), safe="")[:2000]
        yield path, await member.get(path + quoted)


@pytest.mark.parametrize("part", range(4))
async def test_typed_texts(portal: PortalServer, part: int) -> None:
    """What was typed is shown again when it is refused: as a text."""
    content = PortalContent(portal.house, portal.recorder)
    await content.fill()
    found, count = dict[str, list[str]](), 0
    for case in list(HOSTILE)[part::4]:
        async for name, reply in echoes(portal, content, HOSTILE[case]):
            assert reply.status < 500, (case, name, reply.text)
            if reply.status != 303 and reply.headers["content-type"].startswith("text/html"):
                count += 1
                if wrong := [*wrongs(reply.page)]:
                    found[f"{name}: {case}"] = wrong
    assert found == {}
    assert count >= 60
    assert portal.logged("request.failed") == []


BROKEN = {"rows": "script", "license": "end of the title", "account": "script", "explain": "script"}
"""Templates in which nothing is escaped, by the text that shows it."""


@pytest.mark.parametrize("template", BROKEN)
async def test_a_template_that_does_not_escape_is_found(portal: PortalServer, template: str) -> None:
    """Seeded bugs: ``safe`` behind each value of a template."""
    get_source = jinja2.PackageLoader.get_source

    def broken(self: jinja2.PackageLoader, environment: jinja2.Environment, name: str) -> Any:
        source, *others = get_source(self, environment, name)
        if name == f"{template}.html":
            source = re.sub(r"\{\{ (.*?) \}\}", r"{{ (\1) | safe }}", source)
        return (source, *others)

    with patch.object(jinja2.PackageLoader, "get_source", broken):
        _, pages = await stored_pages(portal, HOSTILE[BROKEN[template]])
    assert any(found_in(reply.text) for reply in pages.values())


def found_in(text: str) -> list[str]:
    """Return what is wrong with a page, or that it is not whole any more."""
    try:
        return [*wrongs(read_page(text))]
    except AssertionError as error:
        return [str(error)]
