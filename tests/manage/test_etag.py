"""Entity tags: another one for every change of a record, and asked for by every use case that changes one."""

import ast
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields

from authsvc.errors import PreconditionFailed
from authsvc.manage.etag import etag
from authsvc.manage.operation import Operation
from authsvc.redaction import Secret
from tests.manage.use_cases import CHANGING, UseCase
from tests.support.builders import make_license, make_member, make_service_account
from tests.support.installation import OPERATOR, Installation

MANAGE = Path(__file__).parent.parent.parent / "authsvc/manage"

LOOKUPS = {
    *("find_app", "find_license", "find_customer", "find_member", "find_service_account", "find_token"),
    "find_team_to_change",
    "find_upstream",
    "find_webhook",
}
"""What use cases look records up with that they change."""

MAKES_ANOTHER = {"create", "invite", "register", "reset", "link", "test"}
"""Use cases that look a record up and create another one, or change none."""


def unconditional(source: str) -> list[str]:
    """Return the methods that look up what is to be changed and do not ask whether the client has seen it."""
    found = []
    for function in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.AsyncFunctionDef)):
        names = {ast.unparse(call.func).split(".")[-1] for call in ast.walk(function) if isinstance(call, ast.Call)}
        takes = {argument.arg for argument in function.args.args} >= {"self", "operation"}
        changes = function.name not in MAKES_ANOTHER and not function.name.startswith("_first")
        if takes and changes and names & LOOKUPS and "require_match" not in names:
            found.append(function.name)
    return found


def test_every_change_can_be_made_conditional() -> None:
    """Each use case that changes what it looked up asks for the entity tag."""
    modules = {path.name: unconditional(path.read_text(encoding="utf-8")) for path in MANAGE.glob("*.py")}
    assert {name: found for name, found in modules.items() if found} == {}


def test_a_change_without_a_condition_is_noticed() -> None:
    """The search finds one."""
    source = "class A:\n async def set(self, name, operation):\n  stored = await find_app(self.stores, name)\n"
    assert unconditional(source) == ["set"]


@pytest.mark.parametrize("use_case", CHANGING.values(), ids=CHANGING)
async def test_a_condition_that_does_not_hold(filled: Installation, use_case: UseCase) -> None:
    """Nothing is changed."""
    before = len(filled.told)
    operation = Operation(OPERATOR, filled.now, "0" * 32, filled.random.randbytes, if_match=('"other"',))
    with pytest.raises(PreconditionFailed):
        await use_case(filled, operation)
    assert len(filled.told) == before


@pytest.mark.parametrize("use_case", CHANGING.values(), ids=CHANGING)
async def test_any_record_will_do(filled: Installation, use_case: UseCase) -> None:
    """With * the change is made."""
    before = len(filled.told)
    await use_case(filled, Operation(OPERATOR, filled.now, "0" * 32, filled.random.randbytes, if_match=("*",)))
    assert len(filled.told) == before + 1


@pytest.mark.parametrize("record", [make_license(), make_member(), make_service_account()])
def test_a_tag_stands_for_the_content(record: Any) -> None:
    """Equal records have equal tags, and every field counts but a secret, whose change raises the epoch."""
    assert etag(record) == etag(evolve(record))
    tags = {etag(record)}
    now = datetime(2030, 1, 1, tzinfo=UTC)
    for attribute in fields(type(record)):
        value = getattr(record, attribute.name)
        if isinstance(value, Secret):
            continue
        other = {str: "other", int: 7, tuple: ()}.get(type(value), now)
        if isinstance(value, datetime):
            other = value + timedelta(seconds=1)
        if value in (None, ()):
            other = "x"
        if isinstance(value, dict):
            other = {"more": 1}
        tags.add(etag(evolve(record, **{attribute.name.lstrip("_"): other})))
    secrets = sum(isinstance(getattr(record, one.name), Secret) for one in fields(type(record)))
    assert len(tags) == len(fields(type(record))) + 1 - secrets


def test_a_tag_does_not_tell_the_password() -> None:
    """It is the same for two hashes of one epoch."""
    member = make_member()
    assert etag(member) == etag(evolve(member, password_hash=Secret("another")))
