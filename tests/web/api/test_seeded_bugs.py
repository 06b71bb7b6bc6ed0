"""What the tests of the management API are worth: each of these wrong lines fails one of them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from attrs import frozen

from authsvc.manage.actor import Actor
from authsvc.manage.operation import Operation
from authsvc.tenancy.machine_records import ApiAccess, PersonalToken
from authsvc.web.api import application, authentication, json_body, problem
from tests.support.api_server import ApiServer
from tests.web.api import test_authentication, test_changes, test_hostile
from tests.web.api.conftest import People

Patch = pytest.MonkeyPatch
Check = Callable[[ApiServer, People], Awaitable[None]]


@frozen
class SeededBug:
    """One wrong line.

    Attributes:
        seed: puts it in.
        check: the test that notices.
    """

    seed: Callable[[Patch], None]
    check: Check


def _accept_ended_accounts(patch: Patch) -> None:
    patch.setattr(authentication, "decided", lambda *_: None)
    patch.setattr(Actor, "denial", lambda *_: None)


def _accept_tokens_for_the_registry(patch: Patch) -> None:
    patch.setattr(PersonalToken, "__getattribute__", _with_access)


def _with_access(token: PersonalToken, name: str) -> Any:
    found = object.__getattribute__(token, name)
    return found or ApiAccess.READ if name == "api" else found


def _take_the_first_of_two(patch: Patch) -> None:
    secret = authentication.bearer_secret
    patch.setattr(authentication, "bearer_secret", lambda headers: secret(headers[:1]))


def _ignore_conditions(patch: Patch) -> None:
    patch.setattr(Operation, "require_match", lambda *_: None)


def _ignore_what_is_asked(patch: Patch) -> None:
    keyed = Operation.keyed
    patch.setattr(Operation, "keyed", lambda actor, now, key, _request, entropy: keyed(actor, now, key, b"", entropy))


def _read_the_body_first(patch: Patch) -> None:
    patch.setattr(Actor, "require", lambda *_: None)


def _accept_names_twice(patch: Patch) -> None:
    patch.setattr(json_body, "_once", dict)


def _accept_forms(patch: Patch) -> None:
    patch.setattr(application, "require_json", lambda _: None)


def _log_the_query(patch: Patch) -> None:
    log = application.ManagementApi._log

    def talkative(api: Any, request: Any, status: int, facts: Any) -> None:
        log(api, request, status, {**facts, "query": request.query_string})

    patch.setattr(application.ManagementApi, "_log", talkative)


def _forget_what_is_allowed(patch: Patch) -> None:
    def render(error: Any, request_id: str) -> Any:
        answer = problem.render_http_error(error, request_id)
        answer.headers.pop("Allow", None)
        return answer

    patch.setattr(application, "render_http_error", render)


async def _wrong_method(api: ApiServer, people: People) -> None:
    await test_hostile.test_addresses_that_are_not_served(api, people, "PUT", "/api/v1/apps", 405)


async def _names_twice(api: ApiServer, people: People) -> None:
    await test_hostile.test_bodies_that_are_not_understood(api, people, b'{"app": "a", "app": "b"}', "twice")


async def _form(api: ApiServer, people: People) -> None:
    await test_hostile.test_bodies_that_are_not_json(api, people, {"Content-Type": "text/plain"})


BUGS = {
    "an account that has ended goes on": SeededBug(
        _accept_ended_accounts, test_authentication.test_an_ended_account_is_told_precisely
    ),
    "a token for the registry reads": SeededBug(
        _accept_tokens_for_the_registry, test_authentication.test_tokens_without_access_are_not
    ),
    "of two credentials the first one counts": SeededBug(
        _take_the_first_of_two, test_authentication.test_two_credentials_are_none
    ),
    "If-Match is ignored": SeededBug(_ignore_conditions, test_changes.test_a_change_of_what_was_read),
    "an idempotency key is enough": SeededBug(
        _ignore_what_is_asked, test_changes.test_another_request_under_the_same_key
    ),
    "a body is parsed before the permission": SeededBug(_read_the_body_first, test_changes.test_who_may_not),
    "a name may be there twice": SeededBug(_accept_names_twice, _names_twice),
    "a form in a browser is accepted": SeededBug(_accept_forms, _form),
    "the query is logged": SeededBug(_log_the_query, test_hostile.test_secrets_and_values_are_not_logged),
    "what is allowed is not said": SeededBug(_forget_what_is_allowed, _wrong_method),
}


@pytest.mark.parametrize("sentence", BUGS)
async def test_a_seeded_bug_is_caught(
    api: ApiServer, people: People, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the wrong line the test fails."""
    bug = BUGS[sentence]
    bug.seed(monkeypatch)
    with pytest.raises(AssertionError):
        await bug.check(api, people)
