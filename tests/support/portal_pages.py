"""Where every page of the portal is: what tests, pictures and measurements walk through.

A page with a new address is added to :data:`PAGES`, and what it shows to tests/support/portal_content.py. Tests fail
until it is: tests/web/portal/test_pages.py compares the table with the routes.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from authsvc.web.portal.route import PREFIX, Route
from tests.support.builders import PASSWORD

LINK = "asv_link_" + "0" * 16 + "_" + "0" * 49
"""A one-time link that nobody made."""

UNKNOWN_PAGE = LINK.replace("link", "page")
"""A link to a customer's page that nobody made."""

PAGES: Mapping[str, tuple[str, ...]] = {
    "/": (),
    "/sign-in": (),
    "/join": ("", "?done=x"),
    "/join/{link}": (),
    "/team": ("",),
    "/team/{member}": ("",),
    "/team/{member}/remove": ("",),
    "/team/links/{invitation}/revoke": ("",),
    "/service-accounts": ("",),
    "/service-accounts/{account}": ("",),
    "/service-accounts/{account}/revoke": ("",),
    "/tokens": ("",),
    "/account": ("", "?done=password"),
    "/account/passkeys": ("", "?done=registered"),
    "/account/passkeys/{passkey}": ("",),
    "/images": ("?app=acme", "?app=acme&find=worker", "?app=acme&find=nothing", "?app=annex", "?app=zoo"),
    "/images/{name:.+}/-/delete": ("",),
    "/images/{name:.+}": ("",),
    "/customers": ("", "?text=nobody", "?state=revoked", "?state=odd"),
    "/customers/{customer}": ("",),
    "/activity": ("", "?app=annex", "?source=token", "?since=odd"),
    "/activity/csv": (),
    "/activity/refusals": ("", "?app=annex"),
    "/activity/explain": ("", "?request={request}", "?subject=license:{license}", "?request=0000000000000000"),
    "/settings": ("", "?archived=yes"),
    "/settings/new-app": ("",),
    "/apps/{app}": ("",),
    "/apps/{app}/archive": ("",),
    "/upstreams": ("", "?app=zoo"),
    "/upstreams/new": ("", "?provider=quay&app=acme", "?provider=odd"),
    "/upstreams/{upstream}": ("",),
    "/upstreams/{upstream}/anonymous": ("",),
    "/upstreams/{upstream}/purge": ("",),
    "/upstreams/{upstream}/unlink": ("",),
    "/webhooks": ("",),
    "/webhooks/{webhook}": ("",),
    "/webhooks/{webhook}/disable": ("",),
    "/webhooks/{webhook}/remove": ("",),
    "/audit": ("", "?event=license&about={license}", "?event=odd", "?to=2001-01-01"),
    "/audit/export.csv": (),
    "/audit/export.jsonl": (),
    "/licenses/new": ("",),
    "/licenses/import": ("",),
    "/licenses/renew": ("",),
    "/licenses/{license}/edit": ("",),
    "/licenses/{license}": ("", "?done=created"),
    "/licenses/{license}/links": ("",),
    "/licenses/{license}/links/{link}/revoke": ("",),
    "/licenses/{license}/revoke": ("",),
    "/licenses/{license}/archive": ("",),
    "/licenses/{license}/rotate": ("",),
}
"""By the path of a route: what is put behind it, once for each state of the page; none if it shows no page of its own.

Names in braces, here and in the paths, are those of tests/support/portal_content.py.
"""

STATES = (
    *("/portal/apps/{archived_app}", "/portal/licenses/{revoked_license}", "/portal/team/{active_member}"),
    *("/portal/service-accounts/{disabled_account}", "/portal/images?app={archived_app}"),
    *("/portal/webhooks/{disabled_webhook}", "/portal/images/acme/worker", "/portal/images/acme/worker?tag=nothing"),
)
"""The same pages of things that are in another state."""

NOT_SIGNED_IN = (
    *("/portal/sign-in", "/portal/join", f"/portal/join/{LINK}", "/portal/nowhere"),
    *("/c/{page}", "/c/{revoked_page}", f"/c/{UNKNOWN_PAGE}"),
)
"""Pages of those who are not signed in: before they do, and of customers, who never do."""

NOWHERE = "/portal/nowhere"
"""There is no such page."""


@frozen
class SentForm:
    """A form whose answer is a page and no redirect.

    Attributes:
        page: path of the page that has the form.
        action: where it is sent.
        fields: what is typed.
        button: name and value of the button, if it has any.
        file: name and text of the file that is chosen, if the form has one.
    """

    page: str
    action: str
    fields: Mapping[str, str]
    button: tuple[str, str] | None = field(default=None)
    file: tuple[str, str] | None = field(default=None)


FORMS = (
    SentForm("/portal/team", "/portal/team/invite", {"email": "new@acme.test"}),
    SentForm("/portal/team", "/portal/team/invite", {"email": "me@x"}),
    SentForm("/portal/tokens", "/portal/tokens", {"name": "laptop"}),
    SentForm("/portal/service-accounts", "/portal/service-accounts", {"name": "build", "grants": "acme/**:pull"}),
    SentForm("/portal/service-accounts/{account}", "/portal/service-accounts/{account}/rotate", {"overlap": "x"}),
    SentForm("/portal/account", "/portal/account/password", {"present": "a", "new": "b", "again": "c"}),
    SentForm("/portal/account/passkeys", "/portal/account/passkeys/new", {"present": PASSWORD.reveal()}),
    SentForm("/portal/account/passkeys", "/portal/account/passkeys/new", {"present": "a"}),
    SentForm("/portal/account/passkeys/{passkey}", "/portal/account/passkeys/{passkey}/remove", {"present": "a"}),
    SentForm("/portal/upstreams/{upstream}", "/portal/upstreams/{upstream}/test", {"repository": "org/api"}),
    SentForm("/portal/webhooks", "/portal/webhooks", {"url": "https://hooks.example.net/new"}),
    SentForm("/portal/webhooks/{webhook}", "/portal/webhooks/{webhook}/test", {}),
    SentForm("/portal/webhooks/{webhook}", "/portal/webhooks/{webhook}/change", {"url": "x"}),
    SentForm("/portal/webhooks/{webhook}", "/portal/webhooks/{webhook}/rotate", {"overlap": "x"}),
    SentForm("/portal/settings", "/portal/settings/name", {"name": ""}),
    SentForm("/portal/settings/new-app", "/portal/settings/new-app", {"slug": "Not a slug"}),
    SentForm("/portal/licenses/{license}/links", "/portal/licenses/{license}/links", {"last_day": ""}),
    SentForm("/portal/licenses/new", "/portal/licenses/new", {"customer": "Initech GmbH"}, ("do", "preview")),
    SentForm("/portal/licenses/new", "/portal/licenses/new", {"customer": "Initech", "custom": "x"}, ("do", "create")),
    SentForm("/portal/licenses/{license}/rotate", "/portal/licenses/{license}/rotate", {"overlap": "x"}),
    SentForm("/portal/licenses/{license}/edit", "/portal/licenses/{license}/edit", {"customer": ""}),
    *(
        SentForm("/portal/licenses/import", "/portal/licenses/import", {"app": "acme"}, file=file)
        for file in (
            ("new.csv", "customer,expires\nGlobex,2031-01-01\n"),
            ("known.csv", "reference,customer,expires\nCRM-2,Initech GmbH,2031-01-01\n"),
            ("wrong.csv", "customer,expires\n,never\n"),
        )
    ),
    SentForm(
        *("/portal/licenses/renew", "/portal/licenses/renew", {"app": "acme"}),
        file=("ends.csv", "reference,expires\nCRM-2,2031-01-01\n"),
    ),
)
"""Pages that are the answer to a form: what is shown once, previews, and what was wrong."""


PASTED = SentForm("/c/{page}", "/c/{page}/images#check", {"text": "image: registry.example.com/acme/worker:1.0"})
"""The form of the customer's page."""


def check_table(routes: Iterable[Route]) -> None:
    """Compare the table with the routes.

    Raises:
        AssertionError: a route is not in the table, or the table has one that is not there.
    """
    gets = {route.path for route in routes if route.method == "GET"}
    missing, odd = gets - PAGES.keys(), PAGES.keys() - gets
    assert not missing, f"add to PAGES in tests/support/portal_pages.py: {sorted(missing)}"
    assert not odd, f"there is no such route; take it out of PAGES in tests/support/portal_pages.py: {sorted(odd)}"


def page_paths(names: Mapping[str, str]) -> list[str]:
    """Return the path of every page of those who are signed in, in every state."""
    paths = [f"{PREFIX}{path}{more}" for path, states in PAGES.items() for more in states]
    return [filled(path, names) for path in (*paths, *STATES, NOWHERE)]


def filled(path: str, names: Mapping[str, Any]) -> str:
    """Return a path with its names replaced."""
    return re.sub(r"\{(\w+)(:[^}]*)?\}", lambda found: str(names[found[1]]), path)


def find_route(routes: Iterable[Route], method: str, path: str) -> Route | None:
    """Return the route that a path leads to, as the server decides it: the first one that fits."""
    plain = path.partition("#")[0].partition("?")[0].removeprefix(PREFIX)
    for route in routes:
        parts = re.split(r"(\{\w+(?::[^}]*)?\})", route.path)
        pattern = "".join(_expression(part) if part.startswith("{") else re.escape(part) for part in parts)
        if route.method == method and re.fullmatch(pattern, plain):
            return route
    return None


def _expression(part: str) -> str:
    _, colon, expression = part.strip("{}").partition(":")
    return expression if colon else "[^/]+"
