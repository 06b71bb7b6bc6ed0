"""A repeated request gets the first answer: one after the other, at once, and after a lost reply."""

import asyncio
import hashlib
import importlib
import inspect
import json
import pkgutil
from typing import Any

import pytest
from attrs import evolve
from typing_extensions import override

from authsvc import manage
from authsvc.errors import Conflict, NotFound, OperationRepeated, PermissionDenied, StoreUnavailable
from authsvc.manage.actor import Actor
from authsvc.manage.idempotency import is_repeatable
from authsvc.manage.licenses import Licenses
from authsvc.manage.links import Links
from authsvc.manage.members import Members
from authsvc.manage.operation import Operation
from authsvc.manage.service_accounts import ServiceAccounts
from authsvc.manage.teams import Teams
from authsvc.manage.tokens import Tokens
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.batched_writes import ScriptCall
from authsvc.store.connection import Connection
from authsvc.store.licenses import RedisLicenses
from authsvc.tenancy.records import Role
from tests.manage.use_cases import CHANGING, CREATING, EMAIL, NEW, SECRET, UseCase, license_id, terms
from tests.support.builders import PASSWORD, SERVICE
from tests.support.installation import APP, OPERATOR, TEAM, Installation
from tests.support.stores import replaced

AT_ONCE = 8


def shown(result: Any) -> Any:
    """Return a result without the signature of a license file, which is another one each time."""
    if not isinstance(result, tuple):
        return result
    record, file = result
    return record, {**json.loads(file), "signature": None}


def keyed(house: Installation, request: bytes = b"POST /a", key: str = "k-1", actor: Actor = OPERATOR) -> Operation:
    """Begin, or repeat, an operation as a client with an idempotency key does."""
    return Operation.keyed(actor, house.now, key, request, house.random.randbytes)


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize("name", [*CREATING, *CHANGING])
async def test_a_repeat_gets_the_first_result(filled: Installation, name: str, by_key: bool) -> None:
    """Nothing is made again; what is returned is what is stored, hours later too."""
    use_case, operation = {**CREATING, **CHANGING}[name], filled.operation()
    first = await use_case(filled, keyed(filled) if by_key else operation)
    before, logged = await filled.everything_stored(), len(filled.told)
    filled.pass_time(hours=3)
    again = await use_case(filled, keyed(filled) if by_key else operation)

    assert shown(first) == shown(again)
    assert before == await filled.everything_stored()
    assert logged == len(filled.told)


async def test_the_file_of_a_repeat_opens_what_the_first_does(filled: Installation) -> None:
    """A license that is returned is in the store, and its file is the one that was sent first."""
    first, file = await CREATING["license"](filled, keyed(filled))
    again, same = await CREATING["license"](filled, keyed(filled))

    assert shown((first, file)) == shown((again, same))
    assert again == await filled.licenses.show(OPERATOR, first.id)
    assert "pull" == await filled.gets(Secret(same), scope=f"repository:{APP}/x:pull")


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize("name", [*CREATING, *CHANGING])
async def test_repeats_at_the_same_moment_get_one_result(filled: Installation, name: str, by_key: bool) -> None:
    """Whoever is faster, all of them are told of the same thing, which is made and logged once."""
    use_case, logged, operation = {**CREATING, **CHANGING}[name], len(filled.told), filled.operation()
    attempts = (use_case(filled, keyed(filled) if by_key else operation) for _ in range(AT_ONCE))
    results = await asyncio.gather(*attempts)

    assert [shown(results[0])] * AT_ONCE == list(map(shown, results))
    assert 1 == len(filled.told) - logged


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("name", SECRET)
async def test_a_secret_is_shown_once(filled: Installation, name: str, at_once: bool) -> None:
    """A repeat makes no second secret, and is told that it was made already."""
    attempts = [SECRET[name](filled, keyed(filled)) for _ in range(AT_ONCE)]
    logged = len(filled.told)
    if at_once:
        results = await asyncio.gather(*attempts, return_exceptions=True)
    else:
        results = [(await asyncio.gather(attempt, return_exceptions=True))[0] for attempt in attempts]
    refused = [result for result in results if isinstance(result, OperationRepeated)]

    assert AT_ONCE - 1 == len(refused)
    assert {"operation_repeated"} == {error.code for error in refused}
    assert all("shown only once" in str(error) for error in refused)
    assert 1 == len(filled.told) - logged


UNCHANGED: dict[str, tuple[UseCase, UseCase]] = {
    "app reinstated": (
        lambda house, operation: house.teams.reinstate_app("annex", operation),
        CHANGING["app archived"],
    ),
    "member enabled": (
        lambda house, operation: house.members.enable(EMAIL, operation),
        CHANGING["member disabled"],
    ),
    "account enabled": (
        lambda house, operation: house.service_accounts.enable("ci", TEAM, operation),
        CHANGING["account disabled"],
    ),
    "license reinstated": (
        lambda house, operation: house.licenses.reinstate(license_id(house), operation),
        CHANGING["license revoked"],
    ),
}
"""Use cases that find nothing to change, each with what somebody else does next."""


@pytest.mark.parametrize("name", UNCHANGED)
async def test_a_repeat_of_what_changed_nothing_changes_nothing(filled: Installation, name: str) -> None:
    """A late repeat does not undo what somebody else did meanwhile, and the key stands for this request alone."""
    use_case, other = UNCHANGED[name]
    logged = len(filled.told)
    await use_case(filled, keyed(filled))
    assert logged == len(filled.told)
    await other(filled, filled.operation())
    before = await filled.everything_stored()
    await use_case(filled, keyed(filled))

    with pytest.raises(Conflict, match="another request"):
        await use_case(filled, keyed(filled, b"POST /b"))
    assert before == await filled.everything_stored()


async def test_a_revoked_token_is_revoked_once_for_a_key(filled: Installation) -> None:
    """A use case that returns nothing is answered again too."""
    token, _ = await filled.tokens.create("laptop", EMAIL, None, None, filled.operation())
    for _ in range(2):
        await filled.tokens.revoke(token.id, filled.operation())
    for request in (b"POST /a", b"POST /a"):
        await filled.tokens.revoke(token.id, keyed(filled, request))

    with pytest.raises(Conflict, match="another request"):
        await filled.tokens.revoke(token.id, keyed(filled, b"POST /b"))


async def test_a_link_is_redeemed_once_and_answered_twice(filled: Installation) -> None:
    """Who joined, and did not hear of it, is answered as the first time."""
    link = await filled.links.invite(NEW, TEAM, "viewer", (), filled.operation())
    first = await filled.links.redeem(link, PASSWORD, keyed(filled))

    assert first == await filled.links.redeem(link, PASSWORD, keyed(filled))


@pytest.mark.parametrize("name", [*CREATING, *CHANGING, *SECRET])
async def test_another_request_under_the_same_key_is_refused(filled: Installation, name: str) -> None:
    """A key stands for one request, whatever the second one would do; nothing of the first result is shown."""
    use_case = {**CREATING, **CHANGING, **SECRET}[name]
    await use_case(filled, keyed(filled, b"POST /a"))
    before = await filled.everything_stored()

    with pytest.raises(Conflict, match="another request") as told:
        await use_case(filled, keyed(filled, b"POST /b"))
    assert "idempotency_conflict" == told.value.code
    assert before == await filled.everything_stored()


async def test_a_stored_hash_says_nothing_of_the_request(filled: Installation) -> None:
    """A request may have a password in it: whoever has the store, and not the key, cannot try passwords on its hash."""
    request = b'POST /members {"password": "a bad one"}'
    await CREATING["member"](filled, keyed(filled, request))
    operation = keyed(filled, request)
    raw = await filled.connection.get(keys.operation(operation.operation_id))

    assert raw is not None
    assert operation.request_hash == json.loads(raw)["request"]
    plain = (request, b"%d:%b" % (len(request), request))
    assert not any(hashlib.sha256(text).hexdigest().encode() in raw for text in plain)
    assert keyed(filled, request, "k-2").request_hash != operation.request_hash


async def test_a_refused_request_may_be_repeated_with_its_key(filled: Installation) -> None:
    """A refusal is no result: when the obstacle is gone, the same request is carried out."""
    with pytest.raises(Conflict, match="exists already"):
        await filled.teams.create_app(APP, TEAM, None, keyed(filled))
    made = await filled.teams.create_app("tools", TEAM, None, keyed(filled))

    assert "tools" == made.slug


async def test_equal_keys_of_two_actors_do_not_meet(filled: Installation) -> None:
    """A key is the actor's own, however the two are written side by side."""
    member = (await filled.all_members(OPERATOR, TEAM))[0]
    actors = [
        *(Actor.of_member(evolve(member, id=member_id, role=Role.OWNER)) for member_id in ("a", "a1", "b", "")),
        OPERATOR,
    ]
    pairs = [(actor, key) for actor in actors for key in ("1", "a1", "", "11", "member:a")]
    made = [(await CREATING["license"](filled, keyed(filled, key=key, actor=actor)))[0].id for actor, key in pairs]

    assert len(pairs) == len(set(made))
    again = [(await CREATING["license"](filled, keyed(filled, key=key, actor=actor)))[0].id for actor, key in pairs]
    assert made == again


async def test_a_repeat_shows_no_more_than_the_actor_sees_now(filled: Installation) -> None:
    """Whoever was limited to another app since then does not get the file again by the old key."""
    member = (await filled.all_members(OPERATOR, TEAM))[0]
    owner = Actor.of_member(evolve(member, role=Role.OWNER))
    await CREATING["license"](filled, keyed(filled, actor=owner))
    limited = evolve(owner, apps=frozenset({"annex"}))

    with pytest.raises(NotFound):
        await CREATING["license"](filled, keyed(filled, actor=limited))
    with pytest.raises(PermissionDenied):
        await CREATING["license"](filled, keyed(filled, actor=evolve(owner, role=Role.VIEWER)))


class Deaf(Connection):
    """Loses the replies to the first commands, which are done all the same."""

    losses = 0

    @override
    async def run_script(self, call: ScriptCall) -> Any:
        reply = await super().run_script(call)
        if self.losses:
            self.losses -= 1
            raise StoreUnavailable("no answer", uncertain=True)
        return reply


@pytest.mark.parametrize("losses", [1, 2])
async def test_after_a_lost_reply_the_license_is_the_one_in_the_store(filled: Installation, losses: int) -> None:
    """One lost reply is not noticed; after two, the client repeats its request and gets what the first one made."""
    deaf = Deaf(Secret(f"unix://{filled.connection.redis.connection_pool.connection_kwargs['path']}"))
    deaf.losses = losses
    records = evolve(filled.records, connection=deaf)
    behind = Licenses(replaced(filled.stores, licenses=RedisLicenses(records)), filled.licenses.signer, SERVICE)
    if losses == 2:
        with pytest.raises(StoreUnavailable):
            await behind.create(APP, terms(filled), keyed(filled))
    made, file = await behind.create(APP, terms(filled), keyed(filled))
    await deaf.close()

    assert {made.id, license_id(filled)} == {one.id for one in await filled.listed(APP)}
    assert shown((made, file)) == shown((made, await filled.licenses.download(OPERATOR, made.id)))


async def test_a_mark_of_an_older_version_makes_nothing_again(filled: Installation) -> None:
    """What it made is not known, so the repeat is refused."""
    operation = filled.operation()
    await filled.connection.redis.set(keys.operation(operation.operation_id), "1")
    before = await filled.everything_stored()

    with pytest.raises(OperationRepeated, match="done already"):
        await CREATING["license"](filled, operation)
    assert before == await filled.everything_stored()


OTHERS = {"Keys", "LicenseImport"}
"""Not called with an idempotency key: keys are changed on the command line alone, and an import begins one operation
for each license, and finds by its reference what an earlier import made."""


ASK_AGAIN = {"ImageDeletions.preview", "Upstreams.test", "Webhooks.test"}
"""Change nothing that the audit records: a repeat asks the other server again, and that is what it is repeated for."""


def use_cases() -> list[type]:
    """Return every class of manage/ that has use cases."""
    modules = [
        importlib.import_module(f"authsvc.manage.{found.name}") for found in pkgutil.iter_modules(manage.__path__)
    ]
    kinds = [kind for module in modules for kind in vars(module).values() if inspect.isclass(kind)]
    return [kind for kind in kinds if kind.__module__.startswith("authsvc.manage.") and kind.__name__ not in OTHERS]


def unrepeatable(kind: type) -> list[str]:
    """Return the use cases that begin an operation and do not answer a repeat."""
    methods = inspect.getmembers(kind, inspect.isfunction)
    changing = [(name, method) for name, method in methods if "operation" in inspect.signature(method).parameters]
    found = [f"{kind.__name__}.{name}" for name, method in changing if name[0] != "_" and not is_repeatable(method)]
    return [name for name in found if name not in ASK_AGAIN]


def test_every_use_case_answers_a_repeat() -> None:
    """None that changes something was forgotten."""
    assert {Licenses, Links, Members, ServiceAccounts, Teams, Tokens} <= set(use_cases())
    assert [] == [name for kind in use_cases() for name in unrepeatable(kind)]


def test_a_forgotten_use_case_is_noticed() -> None:
    """The search finds one without the decorator, and lets those pass that have it."""

    class Forgetful(Licenses):
        async def sell(self, operation: Operation) -> None:
            """Change something."""

    assert ["Forgetful.sell"] == unrepeatable(Forgetful)
