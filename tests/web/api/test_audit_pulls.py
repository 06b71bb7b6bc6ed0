"""Pulls that a linked registry did not serve, in the audit: explained to the team of the link, and to no other."""

import json
from datetime import UTC, datetime

import pytest

from authsvc.audit.upstream_pull import UpstreamImage, UpstreamPull
from authsvc.client import Client
from authsvc.errors import UpstreamLimited
from tests.support.api_server import ApiServer
from tests.support.installation import APP, TEAM, Installation
from tests.web.api.conftest import People

LICENSE = "license:c000000000000001"


@pytest.fixture(autouse=True)
def present(house: Installation) -> None:
    """Let entries be written at the time that the requests' ids say."""
    house.now = datetime.now(UTC).replace(microsecond=0)


def pull(house: Installation, number: int, subject: str = LICENSE) -> UpstreamPull:
    """Return a pull through a link of the team's app."""
    image = UpstreamImage(TEAM, APP, "hub", f"proxy/{APP}/hub/org/image", "1.0")
    request_id = f"{int(house.now.timestamp()):08x}{number:08x}"
    return UpstreamPull(request_id, house.now, Client("203.0.113.7"), subject, image, UpstreamLimited("too many", 7.0))


async def test_who_has_it_explained(api: ApiServer, people: People, house: Installation) -> None:
    """Owners and developers of the team; every request id of the repeats is found, and they are one entry."""
    made = [pull(house, number) for number in range(20)]
    for one in made:
        api.recorder.record_pull(one)
    await api.recorder.flush(everything=True)

    (entry,) = (await api.ask("GET", "/audit?event=pull", people["owner"])).json()["items"]
    assert (entry["event"], entry["count"], entry["facts"]["team"]) == ("pull.failed", 20, TEAM)
    for one in (made[0], made[-1]):
        for name in ("owner", "developer"):
            found = (await api.ask("GET", f"/audit/explain/{one.request_id}", people[name])).json()["found"]
            assert "The client was told: too many" in found["sentences"]
        assert (await api.ask("GET", f"/audit/explain/{one.request_id}", people["stranger"])).json()["found"] is None


async def test_licenses_of_several_vendors(api: ApiServer, people: People, house: Installation) -> None:
    """An entry that names the license of another vendor is nobody's but the operator's."""
    one = pull(house, 1, f"{LICENSE},c000000000000002")
    api.recorder.record_pull(one)
    await api.recorder.flush(everything=True)

    for name in ("owner", "developer", "stranger"):
        assert (await api.ask("GET", f"/audit/explain/{one.request_id}", people[name])).json()["found"] is None
    assert "c000000000000002" not in json.dumps((await api.ask("GET", "/audit", people["owner"])).json())
