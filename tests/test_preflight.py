"""What a preflight asks the registry, and how teams share that."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from authsvc import preflight
from authsvc.client import Client
from authsvc.credentials.machine_secret import PERSONAL_KIND, REFRESH_KIND, MachineSecret
from authsvc.credentials.subject import LicensesSubject, Subject
from authsvc.errors import CredentialsRefused
from authsvc.preflight import FoundManifest, Preflight
from authsvc.redaction import Secret
from authsvc.spec.token_request import Presented, RefreshGrant, UserPassword
from authsvc.system_token import SystemTokens
from tests.support.builders import NOW, SERVICE, Knows, Root, as_license, as_member, make_app, make_license, make_member

LEAF = Root.make().leaf()
ASKS = UserPassword("me", Secret("x" * 20))
THERE = FoundManifest(exists=True, digest="sha256:" + "a" * 64, size=7)


class Registry:
    """Keeps what it is asked, and answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.running = 0
        self.may_answer = asyncio.Event()

    async def find(self, repository: str, reference: str, token: Secret) -> FoundManifest:
        """Answer that the image is there."""
        del token
        self.asked.append(f"{repository}:{reference}")
        self.running += 1
        try:
            await self.may_answer.wait()
        finally:
            self.running -= 1
        return THERE


def of(subject: Subject, registry: Registry, shared: Preflight | None = None) -> Preflight:
    """Return the preflight of one worker for ``subject``; ``shared`` is the same worker's for another."""
    made = Preflight(Knows(subject), registry, SystemTokens(LEAF, SERVICE, lambda: "t1"), SERVICE)
    if shared is not None:
        object.__setattr__(made, "_share", shared._share)
        object.__setattr__(made, "_in_flight", shared._in_flight)
    return made


def check(made: Preflight, *images: str) -> "asyncio.Task[Any]":
    """Begin a preflight of images given without the registry's name."""
    return asyncio.create_task(made.check(ASKS, [f"{SERVICE}/{image}" for image in images], Client(), NOW))


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_equal_images_are_asked_about_once() -> None:
    """Fifty times one image, in four requests of one team, is one question."""
    registry = Registry()
    made = of(as_license(make_license()), registry)
    tasks = [check(made, *["acme/x:1"] * 50) for _ in range(4)]
    await settle()
    registry.may_answer.set()

    reports = await asyncio.gather(*tasks)

    assert ["acme/x:1"] == registry.asked
    assert all([True] * 50 == [verdict.ok for verdict in report.verdicts] for report in reports)


async def test_one_team_leaves_places_for_the_others() -> None:
    """While two hundred questions of one team wait, the question of another is asked at once."""
    registry = Registry()
    flood = of(as_license(make_license()), registry)
    tasks = [check(flood, *(f"acme/x:{n}-{task}" for n in range(50))) for task in range(4)]
    await settle()
    assert preflight.PER_TEAM == registry.running

    other = of(as_member(make_member(team="other-team"), make_app("other", team="other-team")), registry, flood)
    tasks.append(check(other, "other/x:1"))
    await settle()

    assert "other/x:1" in registry.asked
    assert preflight.PER_TEAM + 1 == registry.running
    registry.may_answer.set()
    await asyncio.gather(*tasks)


async def test_work_ends_with_its_client() -> None:
    """A preflight that is cancelled asks nothing more, and gives its places back."""
    registry = Registry()
    made = of(as_license(make_license()), registry)
    task = check(made, *(f"acme/x:{n}" for n in range(50)))
    await settle()
    task.cancel()
    await settle()

    assert (preflight.PER_TEAM, 0) == (len(registry.asked), registry.running)
    registry.may_answer.set()
    assert (await check(made, "acme/x:1")).verdicts[0].ok


@pytest.mark.parametrize("spelling", [f"{SERVICE.upper()}", f"{SERVICE.capitalize()}"])
async def test_another_spelling_of_the_registry(spelling: str) -> None:
    """It would not be pulled: clients sign in by the exact name. The row says which."""
    registry = Registry()
    (verdict,) = (
        await of(as_license(make_license()), registry).check(ASKS, [f"{spelling}/acme/x:1"], Client(), NOW)
    ).verdicts

    assert (False, False, []) == (verdict.ok, verdict.may_pull, registry.asked)
    assert f"take {spelling} for another registry than {SERVICE}; write {SERVICE}" in str(verdict.reason)


async def test_a_registry_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits for too long gets an answer that says so, not an error."""
    monkeypatch.setattr(preflight, "LOOKUP_DEADLINE", 0.05)
    report = await check(of(as_license(make_license()), Registry()), "acme/x:1")

    assert (False, "the registry did not answer; try again") == (report.verdicts[0].ok, report.verdicts[0].reason)


@pytest.mark.parametrize("presents", [partial(UserPassword, "<token>"), RefreshGrant])
async def test_a_refresh_token_is_not_for_preflights(presents: Callable[[Secret], Presented]) -> None:
    """It lies on people's disks and is valid at ``/auth/token`` alone (design #8); a personal token is taken."""
    refused, taken = (MachineSecret.build(kind, "r" * 16, bytes(32)).text for kind in (REFRESH_KIND, PERSONAL_KIND))
    made = of(as_member(make_member(), make_app()), Registry())

    with pytest.raises(CredentialsRefused, match="refresh token"):
        await made.check(presents(refused), [], Client(), NOW)
    assert (await made.check(presents(taken), [], Client(), NOW)).subject.id.startswith("member:")


async def test_the_team_of_one_among_several_licenses() -> None:
    """A question counts for the vendor whose image it is, whatever other licenses come along."""
    registry = Registry()
    registry.may_answer.set()
    mine, theirs = make_license(), evolve(make_license(), id="other", app="other", team="other-team")
    apps = {"acme": make_app(), "other": make_app("other", team="other-team")}
    subject = LicensesSubject((mine, theirs), apps)

    assert "acme-team" == preflight._team(subject, "acme")
    assert "other-team" == preflight._team(subject, "other")
    assert (await check(of(subject, registry), "other/x:1")).verdicts[0].ok
