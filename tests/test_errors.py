"""Errors: what they carry, that each raised one says which it is, and that the page of codes lists them all."""

import ast
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from authsvc.error_codes import ErrorCode
from authsvc.errors import (
    FieldProblem,
    InputRefused,
    LastOwner,
    NotFound,
    SecretsRefused,
    StoreRefused,
)

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "authsvc"
CODES = set(get_args(ErrorCode))

OF_INPUT = {"InputRefused", "NotFound", "Conflict"}
"""Classes whose code says what is wrong."""


def uncoded(source: str) -> list[str]:
    """Return what is missing where an error is made: its code, or the argument that is refused."""
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        given = {word.arg for word in call.keywords}
        if name in OF_INPUT and "code" not in given:
            found.append(f"line {call.lineno}: {name} without code")
        if name == "InputRefused" and not given & {"field", "errors"}:
            found.append(f"line {call.lineno}: InputRefused without field")
        if name == "" and isinstance(call.func, ast.Attribute) and call.func.attr.startswith("expect"):
            meanwhile = isinstance(call.args[-1], ast.Name) and call.args[-1].id == "CHANGED_MEANWHILE"
            by_place = any(isinstance(word, ast.Constant) and word.value in CODES for word in call.args)
            if not meanwhile and not by_place and "code" not in given:
                found.append(f"line {call.lineno}: {call.func.attr} without code")
    return found


def codes_in(source: str) -> list[str]:
    """Return the codes that a module names, each as often as it does."""
    found = [str(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    return [text for text in found if text in CODES]


def house() -> dict[str, str]:
    """Return the sources of authsvc."""
    return {
        path.relative_to(HOUSE).as_posix(): path.read_text(encoding="utf-8") for path in sorted(HOUSE.rglob("*.py"))
    }


def test_every_error_of_input_has_a_code() -> None:
    """No input error is made without its code, and none about an argument without the argument's name."""
    assert {path: found for path, text in house().items() if (found := uncoded(text))} == {}


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("raise InputRefused('x')", ["line 1: InputRefused without code", "line 1: InputRefused without field"]),
        ("raise InputRefused('x', code='date_invalid')", ["line 1: InputRefused without field"]),
        ("return NotFound('x')", ["line 1: NotFound without code"]),
        ("raise Conflict('x', field='app')", ["line 1: Conflict without code"]),
        ("raise Conflict('x', code='slug_taken')", []),
        ("raise InputRefused('x', code='date_invalid', field=what)", []),
        ("raise InputRefused('x', code='date_invalid', errors=found)", []),
        ("change.expect_absent(key, 'it is taken')", ["line 1: expect_absent without code"]),
        ("change.expect(key, raw, CHANGED_MEANWHILE)", []),
        ("change.expect(key, raw, CHANGED_MEANWHILE, 'slug_taken')", []),
    ],
)
def test_errors_without_a_code_are_noticed(source: str, missing: list[str]) -> None:
    """The search finds each way of leaving something out."""
    assert uncoded(source) == missing


def test_every_code_is_documented() -> None:
    """The table of docs/errors.md has the codes of the code, sorted, each once."""
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z_]+)` \| \S", page, re.MULTILINE)
    assert documented == sorted(CODES)


def test_every_code_is_used() -> None:
    """A code that no error has any more does not stay in the list."""
    named = Counter(code for text in house().values() for code in codes_in(text))
    assert {code for code in CODES if named[code] < 2} == set()  # once is the list itself


def test_a_code_stays_when_the_class_changes() -> None:
    """An error of input has the code that it was given, others have that of their class unless they are given one."""
    assert NotFound("x", code="team_not_found").code == "team_not_found"
    assert LastOwner("x").code == "last_owner"
    assert (StoreRefused("x").code, SecretsRefused("x", code="secret_missing").code) == (
        "store_refused",
        "secret_missing",
    )


def test_an_error_about_an_argument_lists_it() -> None:
    """One refused argument is a list of one; several are handed over as they are; none is an empty list."""
    one = InputRefused("expires: 'x' is not a date", code="date_invalid", field="expires")
    several = (FieldProblem("expires", "date_invalid", "no date"), FieldProblem("type", "license_type_invalid", "none"))
    assert one.errors == (FieldProblem("expires", "date_invalid", "expires: 'x' is not a date"),)
    assert InputRefused("two arguments are wrong", code="date_invalid", errors=several).errors == several
    assert NotFound("there is no such team", code="team_not_found").errors == ()
