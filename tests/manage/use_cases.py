"""Use cases that create or change something, each on an installation of one member, service account and license."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from authsvc.manage.operation import Operation
from authsvc.manage.upstreams import LinkChange
from authsvc.redaction import Secret
from authsvc.tenancy.terms import LicenseTerms
from authsvc.upstreams.terms import LinkTerms
from authsvc.webhooks.terms import WebhookTerms
from tests.support.builders import PASSWORD
from tests.support.installation import APP, TEAM, Installation, confirmed

EMAIL, NEW = "kim@acme.test", "new@acme.test"
LINK = LinkTerms.parse("quay", None, "org+robot", Secret("a key"), ["org/**"])
HOOK = WebhookTerms.parse("https://hooks.example.com/in", None)
UseCase = Callable[[Installation, Operation], Awaitable[Any]]


def terms(house: Installation) -> LicenseTerms:
    """Return the terms of a license."""
    return LicenseTerms.parse(customer="Globex", expires="90d", now=house.now)


def license_id(house: Installation) -> str:
    """Return the id of the license that is there."""
    return str(next(entry.facts["license"] for entry in house.told if entry.event == "license.created"))


async def fill(house: Installation) -> None:
    """Add a member, a service account and a license."""
    await house.members.add(EMAIL, TEAM, "viewer", (), PASSWORD, house.operation())
    await house.service_accounts.create("ci", TEAM, ["acme/**:pull"], None, None, house.operation())
    await house.licenses.create(APP, terms(house), house.operation())
    await house.upstreams.link(APP, "quay", LINK, house.operation())


CREATING: dict[str, UseCase] = {
    "team": lambda house, operation: house.teams.create("other", None, operation),
    "app": lambda house, operation: house.teams.create_app("tools", TEAM, None, operation),
    "member": lambda house, operation: house.members.add(NEW, TEAM, "viewer", (), PASSWORD, operation),
    "license": lambda house, operation: house.licenses.create(APP, terms(house), operation),
    "upstream": lambda house, operation: house.upstreams.link(APP, "hub", LINK, operation),
}
"""What is created and can be read again."""

CHANGING: dict[str, UseCase] = {
    "team renamed": lambda house, operation: house.teams.set(TEAM, "Acme Software", operation),
    "app archived": lambda house, operation: confirmed(house.teams.archive_app, "annex", operation),
    "member disabled": lambda house, operation: house.members.disable(EMAIL, operation),
    "member's role": lambda house, operation: house.members.set_role(EMAIL, "developer", None, operation),
    "member's password": lambda house, operation: house.members.set_password(EMAIL, PASSWORD, operation),
    "member removed": lambda house, operation: house.members.remove(EMAIL, operation),
    "account's grants": lambda house, operation: house.service_accounts.set_grants(
        "ci", TEAM, ["acme/x:pull"], operation
    ),
    "account disabled": lambda house, operation: house.service_accounts.disable("ci", TEAM, operation),
    "account revoked": lambda house, operation: house.service_accounts.revoke("ci", TEAM, operation),
    "license extended": lambda house, operation: house.licenses.extend(license_id(house), "200d", operation),
    "license rotated": lambda house, operation: house.licenses.rotate(license_id(house), timedelta(1), operation),
    "license revoked": lambda house, operation: house.licenses.revoke(license_id(house), operation),
    "upstream changed": lambda house, operation: house.upstreams.set(
        "quay", APP, LinkChange(username="org+other", secret=Secret("another key")), operation
    ),
    "upstream purged": lambda house, operation: house.upstreams.purge("quay", APP, operation),
    "license archived": lambda house, operation: house.licenses.archive(license_id(house), operation),
}
"""What is changed and can be read again."""

SECRET: dict[str, UseCase] = {
    "token": lambda house, operation: house.tokens.create("laptop", EMAIL, None, None, operation),
    "account": lambda house, operation: house.service_accounts.create(
        "new", TEAM, ["acme/**:pull"], None, None, operation
    ),
    "account rotated": lambda house, operation: house.service_accounts.rotate("ci", TEAM, timedelta(1), operation),
    "invite": lambda house, operation: house.links.invite(NEW, TEAM, "viewer", (), operation),
    "reset": lambda house, operation: house.links.reset(EMAIL, operation),
    "webhook": lambda house, operation: house.webhooks.add(HOOK, operation, team=TEAM),
    "license link": lambda house, operation: house.license_links.create(license_id(house), operation),
}
"""What shows a secret once."""
