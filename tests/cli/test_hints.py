"""Hints: the command line tells what to type next, where the sentence itself names no command."""

import ast
import itertools
from functools import cache
from pathlib import Path

import pytest

from authsvc.cli.hints import HINTS, REMEDIES, explained, named_facts
from authsvc.error_codes import ErrorCode
from authsvc.errors import Conflict, NotFound, SecretsRefused
from tests.test_docs import unknown_command

HOUSE = Path(__file__).parent.parent.parent / "authsvc"


@cache
def given_facts() -> list[tuple[str, set[str]]]:
    """Return, for each place where an error with a code is made, the code and the facts that it is given."""
    found = []
    for path in HOUSE.rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)):
            words = {word.arg: word.value for word in call.keywords}
            code, facts = words.get("code"), words.get("facts")
            if isinstance(code, ast.Constant) and isinstance(code.value, str):
                keys = facts.keys if isinstance(facts, ast.Dict) else []
                found.append((code.value, {str(key.value) for key in keys if isinstance(key, ast.Constant)}))
    return found


def test_a_hint_stands_behind_its_sentence() -> None:
    """With a hint for the code both are shown, without one the sentence alone."""
    assert explained(SecretsRefused("x is missing", code="secret_missing")) == "x is missing; `authsvc init` makes it"
    assert explained(Conflict("x is taken", code="slug_taken")) == "x is taken"


@pytest.mark.parametrize("code", HINTS)
def test_every_error_has_a_hint_that_it_can_fill(code: ErrorCode) -> None:
    """Each place that makes an error of this code gives the facts of one of the hints, and each hint has a place."""
    places = [facts for found, facts in given_facts() if found == code]
    hints = [named_facts(hint) for hint in HINTS[code]]
    # What the store refuses has no facts: the use case looked before, so only a race gets there. Commands name a
    # service account with its team.
    bare = code in {"email_taken", "service_account_not_found"}
    assert all(any(hint <= facts for hint in hints) for facts in places if facts or not bare)
    assert all(any(hint <= facts for facts in places) for hint in hints)


@pytest.mark.parametrize("hint", [*itertools.chain(*HINTS.values()), *REMEDIES.values()])
def test_hints_name_commands_that_exist(hint: str) -> None:
    """What a hint tells to type is a command with its options."""
    words = hint.rpartition("authsvc ")[2].replace("`", " ").split()
    assert words
    assert unknown_command(["authsvc", *words]) is None


def test_facts_are_shown_as_they_are() -> None:
    """Braces of a fact are no part of the hint's form."""
    error = NotFound("there is no x", code="secret_missing", facts={"path": "{code}"})
    assert explained(error) == "there is no x; `authsvc init` makes it"
