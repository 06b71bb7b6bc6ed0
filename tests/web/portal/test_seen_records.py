"""A form changes only what its page has shown: what somebody else has taken away meanwhile does not come back."""

from collections.abc import Mapping

import pytest

from authsvc.tenancy.terms import LicenseTerms
from tests.manage.use_cases import LINK
from tests.support.installation import APP, TEAM
from tests.support.portal_server import PortalServer

pytestmark = pytest.mark.usefixtures("people")

FORMS: Mapping[str, tuple[str, str, str, str, str]] = {
    "license": ("edit", "repositories", "", "worker", "contact"),
    "member": ("role", "apps", "", APP, "role"),
    "service account": ("grants", "grants", f"{APP}/**:pull,push", f"{APP}/x:pull", ""),
    "upstream": ("repositories", "repositories", "org/**", "org/api", ""),
}
"""By what is changed: the form, its field, what it had, what it is narrowed to, and another field of it."""

OTHERS = {"contact": "sales@acme.test", "role": "viewer"}


async def page_of(portal: PortalServer, kind: str) -> str:
    """Make something of this kind and return the path of its page."""
    house = portal.house
    if kind == "license":
        terms = LicenseTerms.parse(customer="Globex", expires="90d", now=house.now)
        return f"/portal/licenses/{(await house.licenses.create(APP, terms, house.operation()))[0].id}"
    if kind == "member":
        stored = await house.stores.members.by_email("developer@acme.test")
        assert stored is not None
        return f"/portal/team/{stored.record.id}"
    if kind == "upstream":
        return f"/portal/upstreams/{(await house.upstreams.link(APP, 'quay', LINK, house.operation())).id}"
    grants = [f"{APP}/**:pull,push"]
    made, _ = await house.service_accounts.create("ci", TEAM, grants, None, None, house.operation())
    return f"/portal/service-accounts/{made.id}"


@pytest.mark.parametrize("kind", FORMS)
async def test_a_form_changes_what_its_page_has_shown(portal: PortalServer, kind: str) -> None:
    """An owner narrows access; another one saves an older page, is told, and sees how it is now."""
    form, field, wide, narrow, other = FORMS[kind]
    path = await page_of(portal, kind)
    action = f"{path}/{form}"
    page = action if kind == "license" else path
    owner = await portal.browser().sign_in("owner@acme.test")
    old = await owner.get(page)
    assert old.form(action).fields[field].strip() == wide
    assert (await owner.submit(old, action, **{field: narrow})).status == 303

    mine = {other: OTHERS[other]} if other else {}
    late = await owner.submit(old, action, **mine)
    assert (late.status, "was changed since you read it" in late.page.text) == (412, True)
    assert late.form(action).fields[field].strip() == narrow
    assert (await owner.get(page)).form(action).fields[field].strip() == narrow
    assert (await owner.submit(late, action, **mine)).status == 303
    assert (await owner.get(page)).form(action).fields[field].strip() == narrow
