"""What a passkey is refused for, one check at a time: each test fails with the check taken out."""

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from authsvc.credentials import passkey_challenge
from authsvc.credentials.facts import CredentialFacts
from authsvc.manage.actor import Actor
from authsvc.store import passkey_keys
from authsvc.store.facts import RedisCredentialFacts
from authsvc.tenancy.passkey import Passkey
from authsvc.web.portal import passkey_check
from tests.support.portal_server import Browser, PortalServer
from tests.web.portal.test_passkeys import LIST, NEW, OWNER, SIGN_IN, Device, options_of

pytestmark = pytest.mark.usefixtures("people")


@pytest.fixture
async def device(portal: PortalServer) -> Device:
    """Return a browser that the owner is signed in with, and an authenticator with a passkey of theirs."""
    made = Device(await portal.browser().sign_in(OWNER))
    assert (await made.register()).location == f"{LIST}?done=registered"
    return made


async def ended_member_signs_in(portal: PortalServer, device: Device, how: str) -> None:
    """Disable or remove the passkey's member, and sign in: it is refused, and no session begins.

    The record of the passkey is put back after the removal, as by a backup that is older: that it is deleted too must
    not be the only thing that keeps the member out.
    """
    house, redis = portal.house, portal.house.connection.redis
    (entry,) = [one for one in house.told if one.event == "passkey.registered"]
    key = passkey_keys.passkey(entry.facts["passkey"])
    record, begun = await redis.get(key), sum(one.event == "session.begun" for one in house.told)
    assert record is not None
    await getattr(house.members, how)(OWNER, house.operation())
    await redis.set(key, record)
    reply = await device.sign_in()
    assert (reply.status, device.is_signed_in) == ({"disable": 403, "remove": 401}[how], False)
    assert sum(one.event == "session.begun" for one in house.told) == begun


async def second_browser_answers(portal: PortalServer, device: Device, purpose: str) -> None:
    """Answer what one browser was asked in another one: it is refused there, and still good in the first."""
    first, second = portal.browser(), portal.browser()
    page, action = "/portal/sign-in", SIGN_IN
    if purpose == "confirm":
        page, action = LIST, NEW
        first.cookies, second.cookies = dict(device.browser.cookies), dict((await second.sign_in(OWNER)).cookies)
    asked, theirs = await first.get(page), await second.get(page)
    answer = device.key.get(options_of(asked, action))
    refused = await _answered(second, theirs, action, answer)
    assert refused.status == (401 if action == SIGN_IN else 400), refused.status
    accepted = await _answered(first, asked, action, answer)
    assert accepted.status == (303 if action == SIGN_IN else 200)


async def _answered(browser: Browser, page: Any, action: str, answer: str) -> Any:
    """Send an answer with the token of a page's own form."""
    token = next(one.attributes["value"] for one in page.page.all("input") if one.attributes["name"] == "form_token")
    return await browser.post(action, {"form_token": token, "next": "", "answer": answer})


@pytest.mark.parametrize("how", ["disable", "remove"])
async def test_an_ended_member_has_no_way_in(portal: PortalServer, device: Device, how: str) -> None:
    """Neither a disabled member nor a removed one signs in with a passkey."""
    await ended_member_signs_in(portal, device, how)


@pytest.mark.parametrize("purpose", ["sign in", "confirm"])
async def test_a_challenge_is_answered_in_its_browser(portal: PortalServer, device: Device, purpose: str) -> None:
    """Whoever lures a member into answering a challenge of theirs gets no session, and confirms nothing."""
    await second_browser_answers(portal, device, purpose)


def without_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a removed member for one who is not."""
    read = RedisCredentialFacts.credential_facts

    async def credential_facts(self: RedisCredentialFacts, kind: type[Any], *names: Any) -> CredentialFacts[Any]:
        facts = await read(self, kind, *names)
        member = None if facts.member is None else evolve(facts.member, removed_at=None)
        return evolve(facts, member=member) if kind is Passkey else facts

    monkeypatch.setattr(RedisCredentialFacts, "credential_facts", credential_facts)


def without_disabled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask nobody whether the account may be used, neither before the session nor when it begins."""
    of_member = Actor.of_member
    monkeypatch.setattr(passkey_check, "decided", lambda *_: None)
    monkeypatch.setattr(Actor, "of_member", lambda member: of_member(evolve(member, disabled_at=None)))


def without_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a challenge for any browser."""
    tag = passkey_challenge._tag
    monkeypatch.setattr(
        passkey_challenge, "_tag", lambda key, purpose, _browser, *rest: tag(key, purpose, "any", *rest)
    )


MUTANTS: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], Callable[..., Any], str]] = {
    "removed members": (without_removed, ended_member_signs_in, "remove"),
    "disabled members": (without_disabled, ended_member_signs_in, "disable"),
    "other browsers, sign in": (without_browser, second_browser_answers, "sign in"),
    "other browsers, confirm": (without_browser, second_browser_answers, "confirm"),
}
"""By what is no longer looked at: what takes the check out, and the test that must notice."""


@pytest.mark.parametrize("name", MUTANTS)
async def test_without_the_check_the_test_fails(
    portal: PortalServer, device: Device, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passkey gets in, and the assertion says so."""
    take_out, check, case = MUTANTS[name]
    take_out(monkeypatch)
    with pytest.raises(AssertionError):
        await check(portal, device, case)
