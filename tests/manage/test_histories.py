"""Whatever happens, every secret that was ever given out opens exactly what it should: the core proof (threat 14)."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from authsvc.credentials.facts import C, CredentialFacts
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.credentials.verifier import PasswordRecord
from authsvc.issuance import Issuance
from authsvc.store.codec import Codec
from authsvc.store.facts import RedisCredentialFacts
from authsvc.store.throttle import RedisThrottle
from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member
from tests.manage.histories import RIVALS, Histories, Twin
from tests.support.installation import APP, OTHER_APP, TEAM, Installation
from tests.support.redis_server import RedisServer

QUIET = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


def histories_on(server: RedisServer, of: Twin | None = None) -> type[Histories]:
    """Return the machine on a server, with a right token path or a broken one."""

    class Here(Histories):
        url = server.url
        twin = staticmethod(of) if of else None

    return Here


def test_every_secret_opens_exactly_what_it_should(server: RedisServer) -> None:
    """In random histories of joining, leaving, rotating and revoking, the token path agrees with a plain table."""
    run_state_machine_as_test(
        histories_on(server),
        settings=settings(max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=QUIET),
    )


class EpochForgotten(RedisCredentialFacts):
    """Believes in a sign-in for as long as its member lives."""

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts, with the sign-in moved to the member's epoch."""
        found = await super().credential_facts(kind, credential_id, member_id, slugs)
        token, member = found.credential, found.member
        if isinstance(token, RefreshToken) and member is not None:
            return evolve(found, credential=evolve(token, epoch=member.epoch))
        return found


class FoundByAddress(RedisCredentialFacts):
    """Finds the member behind a token by the address, as if that were the person."""

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts, with whoever has the address now."""
        found = await super().credential_facts(kind, credential_id, member_id, slugs)
        if found.member is None:
            return found
        member, _ = await self.member_by_email(found.member.email, "192.0.2.1")
        return evolve(found, member=member or found.member)


class NeverReadAgain(RedisCredentialFacts):
    """Keeps what it has read once."""

    def __init__(self, *arguments: object) -> None:
        """Begin with nothing."""
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.kept: dict[object, object] = {}

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts of the first time."""
        if credential_id not in self.kept:
            self.kept[credential_id] = await super().credential_facts(kind, credential_id, member_id, slugs)
        return self.kept[credential_id]  # type: ignore[return-value]


class CreatorForgotten(RedisCredentialFacts):
    """Asks nobody who made a service account."""

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts, with every account made by the operator."""
        found = await super().credential_facts(kind, credential_id, member_id, slugs)
        if isinstance(found.credential, ServiceAccount):
            return evolve(found, credential=evolve(found.credential, creator=None), member=None)
        return found


class RemovalForgotten(RedisCredentialFacts):
    """Takes somebody who left for a member."""

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts, with nobody removed."""
        found = await super().credential_facts(kind, credential_id, member_id, slugs)
        return found if found.member is None else evolve(found, member=evolve(found.member, removed_at=None))


class DisablingForgotten(RedisCredentialFacts):
    """Lets everybody in who has the password."""

    async def member_facts(self, member_id: str, slugs: Collection[str]) -> tuple[Member | None, Mapping[str, App]]:
        """Return the facts, with nobody disabled."""
        member, apps = await super().member_facts(member_id, slugs)
        return None if member is None else evolve(member, disabled_at=None), apps


class RevocationForgotten(RedisCredentialFacts):
    """Reads everything but the end of a token."""

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts, with no token revoked."""
        found = await super().credential_facts(kind, credential_id, member_id, slugs)
        if isinstance(found.credential, PersonalToken | RefreshToken | License):
            return evolve(found, credential=evolve(found.credential, revoked_at=None))
        return found


class OverlapForgotten(RedisCredentialFacts):
    """Lets every old secret that is still in the record log in."""

    async def credential(self, kind: type[C], credential_id: str) -> C | None:
        """Return the credential without ends."""
        return without_ends(await super().credential(kind, credential_id))

    async def credential_facts(
        self, kind: type[C], credential_id: str, member_id: str | None, slugs: Collection[str]
    ) -> CredentialFacts[C]:
        """Return the facts without ends."""
        found = await super().credential_facts(kind, credential_id, member_id, slugs)
        return evolve(found, credential=without_ends(found.credential))


def without_ends(found: C | None) -> C | None:
    """Return a credential whose old secrets never end."""
    if isinstance(found, ServiceAccount | License):
        return evolve(found, tokens=tuple(evolve(token, ends_at=None) for token in found.tokens))
    return found


class RememberedByAddress(ThrottledPasswords):
    """Remembers a password by its address alone, whatever has become of the account since."""

    @staticmethod
    def _account(record: PasswordRecord | None, email: str) -> str:
        """Return the address."""
        del record
        return email


class RememberedForEver(PasswordCache):
    """Never forgets."""

    def has(self, guess: str, network: str, now: datetime) -> bool:
        """Whether it was ever right."""
        del now
        return self._entry(guess, network) in self._remembered


def reading(facts_reader: type[RedisCredentialFacts]) -> Twin:
    """Return a token path that reads through ``facts_reader``."""
    return lambda house: house.issues(facts_reader(house.connection, Codec()))


def remembering(house: Installation) -> Issuance:
    """Return a token path that remembers passwords without their epoch."""
    throttle = RedisThrottle(house.connection)
    passwords = RememberedByAddress(house.verifier, RememberedForEver(b"k" * 32), throttle, b"g" * 32)
    return house.issues(house.facts_reader, passwords=passwords)


ANN = "ann@acme.test"
Story = Callable[[Histories], None]


def begun(world: Histories) -> None:
    """Let Ann join as an owner with a token, a sign-in, an account and a customer, and look at everybody."""
    world.join(ANN, TEAM, "owner", limited=False, invited=True)
    world.make_token(ANN, ends=True)
    world.sign_in(ANN)
    world.make_account(APP, ANN, "owner")
    world.make_license(APP)
    world.everybody_gets_what_is_theirs()


def after(*steps: Story) -> Story:
    """Return the story in which Ann begins, and then ``steps`` happen, with a look at everybody after each."""

    def story(world: Histories) -> None:
        begun(world)
        for step in steps:
            step(world)
            world.everybody_gets_what_is_theirs()

    return story


def leaves(world: Histories) -> None:
    """Remove Ann."""
    world.change_member(ANN, "remove")


TWINS: dict[str, tuple[Twin, Story]] = {
    "an epoch that is not looked at": (
        reading(EpochForgotten),
        after(lambda world: world.change_password(ANN, reset=True)),
    ),
    "a member found by the address": (
        reading(FoundByAddress),
        after(leaves, lambda world: world.join(ANN, RIVALS, "viewer", limited=False, invited=False)),
    ),
    "facts that are read once": (
        reading(NeverReadAgain),
        after(lambda world: world.change_role(ANN, "viewer", limited=None)),
    ),
    "a maker who is demoted and not looked at": (
        reading(CreatorForgotten),
        after(lambda world: world.change_role(ANN, "viewer", limited=None)),
    ),
    "a maker who is limited and not looked at": (
        reading(CreatorForgotten),
        after(
            lambda world: world.change_role(ANN, "owner", limited=True),
            lambda world: world.make_account(OTHER_APP, ANN, "owner"),
        ),
    ),
    "a maker who is disabled and not looked at": (
        reading(CreatorForgotten),
        after(lambda world: world.change_member(ANN, "disable")),
    ),
    "a removal that is not looked at": (reading(RemovalForgotten), after(leaves)),
    "a disabled account that is not looked at": (
        reading(DisablingForgotten),
        after(lambda world: world.change_member(ANN, "disable")),
    ),
    "a revoked token that is not looked at": (
        reading(RevocationForgotten),
        after(lambda world: world.revoke_token(0)),
    ),
    "a revoked license that is not looked at": (
        reading(RevocationForgotten),
        after(lambda world: world.change_license(0, "revoke", 0)),
    ),
    "an overlap without an end": (
        reading(OverlapForgotten),
        after(
            lambda world: world.rotate_license(0, timedelta(hours=10)),
            lambda world: world.pass_time(10),
        ),
    ),
    "a password that is remembered without its epoch": (
        remembering,
        after(lambda world: world.change_password(ANN, reset=False)),
    ),
}
"""Token paths with one check missing, each of which somebody has shipped, and a story that shows it."""


def tell(machine: type[Histories], story: Story) -> None:
    """Let a story happen in a world of its own."""
    world = machine()
    try:
        world.begin()
        story(world)
    finally:
        world.teardown()


@pytest.mark.parametrize("name", TWINS)
def test_a_missing_check_is_found(server: RedisServer, name: str) -> None:
    """The look that a right token path passes in a story convicts one that forgets one thing."""
    twin, story = TWINS[name]
    tell(histories_on(server), story)

    with pytest.raises(AssertionError):
        tell(histories_on(server, twin), story)


def test_chance_finds_a_missing_check_too(server: RedisServer) -> None:
    """Nobody has to think of the story: random histories convict a broken token path within a few."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            histories_on(server, reading(NeverReadAgain)),
            settings=settings(
                max_examples=100,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=QUIET,
                phases=[Phase.generate],
                report_multiple_bugs=False,
                database=None,
                print_blob=False,
            ),
        )
