"""What docs/deploy.md types for an upgrade and for the way back, while customers go on pulling."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.compose.engine import Project, own_image
from tests.compose.later_version import FIELD, HEADER, LUA_LIMIT, make_later_version
from tests.compose.page import commands, typed
from tests.compose.story import Shop, open_shop
from tests.compose.visitors import Visits, visitors
from tests.support.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # the first one has an engine made, and the image

LATER = "authsvc:later"

STAY = ("redis", "registry", "nginx")
"""Services whose containers a new version of ours does not make anew."""


@pytest.fixture(scope="module")
def shop(project: Project) -> Shop:
    """Return a shop of this version; the image of a later one is there, too."""
    project.up("--build")
    make_later_version(project.engine, own_image(), LATER)
    return open_shop(project, "localhost:5000")


def ask_redis(project: Project, question: str) -> Any:
    """Return what Redis answers to authsvc; None while it does not."""
    ask = (
        "import json, tomllib\nfrom redis import Redis\n"
        "redis = Redis.from_url(tomllib.load(open('/tmp/authsvc.toml', 'rb'))['redis_url'], decode_responses=True)\n"
        f"print(json.dumps({question}))"
    )
    ran = project.compose("exec", "-T", "authsvc", "python3", "-c", ask, check=False)
    return json.loads(ran.out) if ran.code == 0 else None


def record(project: Project, license_id: str) -> dict[str, Any]:
    """Return the record of a license as Redis has it."""
    found: dict[str, Any] = json.loads(ask_redis(project, f"redis.get('authsvc:license:{license_id}')"))
    return found


def taken_up(project: Project) -> set[str] | None:
    """Return which services go by what the later version renders; None while one of them does not answer."""
    asked = ("http://localhost:5000/v2/", "http://localhost:5000/auth/token")
    heads = [project.engine.inside("curl", "-si", address).out for address in asked]
    found = {line.split()[1] for head in heads for line in head.splitlines() if line.startswith(f"{HEADER}: ")}
    limit = ask_redis(project, "redis.config_get('lua-time-limit')")
    if limit is None or not all(head.startswith("HTTP/1.1 401 ") for head in heads):
        return None
    return found | {"redis"} if limit == {"lua-time-limit": LUA_LIMIT} else found


def nobody_was_dropped(visits: Visits) -> None:
    """Every answer is as usual, or says when to come again."""
    print(visits.said())  # noqa: T201  a figure worth seeing
    assert not [answer for answer in visits.answers if not answer.good and not answer.asks_to_wait]
    for kind in ("challenge", "token", "pull"):
        mine = [answer.good for answer in visits.answers if answer.kind == kind]
        assert (True, True) == (mine[0], mine[-1]), kind


def test_an_upgrade_and_the_way_back(shop: Shop, tmp_path: Path) -> None:
    """Only our own containers are made anew, each new rendering is taken up, and no record is lost, there and back."""
    before, later = shop.project, shop.project.with_settings(AUTHSVC_IMAGE=LATER)
    containers = {service: before.container(service) for service in STAY}
    swap = commands("## Upgrade")[1]

    with visitors(shop) as upgrading:
        typed(later, tmp_path, swap)
        until(lambda: taken_up(later) == {*STAY}, "the rendering of the later version is taken up")
        until(lambda: shop.pull().code == 0, "a pull")
    terms = ("--app", "myapp", "--customer", "Initech", "--expires", "2031-01-31", "--output", "-")
    of_later = json.loads(later.authsvc("license", "create", *terms))
    later.authsvc("license", "revoke", shop.license_id)
    written = record(later, of_later["license"]["id"])

    with visitors(Shop(before, shop.name, json.dumps(of_later))) as going_back:
        typed(before, tmp_path, swap)
        until(lambda: taken_up(before) == set(), "the rendering of before is back")
        until(lambda: "was revoked on" in shop.pull().said, "the revocation counts")
    before.authsvc("license", "extend", of_later["license"]["id"], "--expires", "2032-01-31")
    before.authsvc("license", "reinstate", shop.license_id)

    nobody_was_dropped(upgrading)
    nobody_was_dropped(going_back)
    assert containers == {service: before.container(service) for service in STAY}
    assert written[FIELD] == record(before, of_later["license"]["id"])[FIELD]
    assert record(before, of_later["license"]["id"])["expires_at"].startswith("2032")
    shop.still_sells()
