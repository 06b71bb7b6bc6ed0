"""Errors: what they carry, that each raised one says which it is, and that the page of codes lists them all."""

import ast
import re
from pathlib import Path
from typing import get_args

import pytest

from authsvc import errors
from authsvc.errors import AuthsvcError, Conflict, ErrorCode, FieldProblem, InputRefused, LastOwner, NotFound

ROOT = Path(__file__).parent.parent
HOUSE = ROOT / "authsvc"
CODES = set(get_args(ErrorCode))

CODED_ROOMS = ("credentials/", "keys/", "manage/", "store/", "tenancy/")
"""Folders whose errors a caller of the use cases can get."""

OF_INPUT = {"InputRefused", "NotFound", "Conflict"}
"""Classes that are too wide for their own code to say anything."""


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
            named = isinstance(call.args[-1], ast.Name) and call.args[-1].id == "CHANGED_MEANWHILE"
            if not named and "code" not in given:
                found.append(f"line {call.lineno}: {call.func.attr} without code")
    return found


def used_codes(source: str) -> set[str]:
    """Return the codes that a module names."""
    return {str(node.value) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)} & CODES


def house(*rooms: str) -> dict[str, str]:
    """Return the sources of some folders of authsvc."""
    return {
        path.relative_to(HOUSE).as_posix(): path.read_text(encoding="utf-8")
        for room in rooms
        for path in sorted((HOUSE / room).rglob("*.py"))
    }


def test_every_error_of_a_use_case_has_a_code() -> None:
    """No input error is made without its code, and none about an argument without the argument's name."""
    assert {path: found for path, text in house(*CODED_ROOMS).items() if (found := uncoded(text))} == {}


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("raise InputRefused('x')", ["line 1: InputRefused without code", "line 1: InputRefused without field"]),
        ("raise InputRefused('x', code='date_invalid')", ["line 1: InputRefused without field"]),
        ("return NotFound('x')", ["line 1: NotFound without code"]),
        ("raise Conflict('x', field='app')", ["line 1: Conflict without code"]),
        ("raise Conflict('x', code='slug_taken')", []),
        ("raise InputRefused('x', code='date_invalid', field=what)", []),
        ("raise InputRefused('x', code='input_refused', errors=found)", []),
        ("change.expect_absent(key, 'it is taken')", ["line 1: expect_absent without code"]),
        ("change.expect(key, raw, CHANGED_MEANWHILE)", []),
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
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, AuthsvcError)]
    elsewhere = [text for path, text in house("").items() if path != "errors.py"]
    assert {kind.default_code for kind in kinds}.union(*map(used_codes, elsewhere)) == CODES


def test_each_class_has_its_own_code() -> None:
    """Without a code of its own an error has the one of its class."""
    assert (InputRefused("x").code, NotFound("x").code, Conflict("x").code) == (
        "input_refused",
        "not_found",
        "conflict",
    )
    assert LastOwner("x").code == "last_owner"
    assert NotFound("x", code="slug_invalid").code == "slug_invalid"


def test_an_error_about_an_argument_lists_it() -> None:
    """One refused argument is a list of one; several are handed over as they are; none is an empty list."""
    one = InputRefused("expires: 'x' is no date", code="date_invalid", field="expires")
    several = (FieldProblem("expires", "date_invalid", "no date"), FieldProblem("type", "license_type_invalid", "none"))
    assert one.errors == (FieldProblem("expires", "date_invalid", "expires: 'x' is no date"),)
    assert InputRefused("two arguments are wrong", errors=several).errors == several
    assert NotFound("there is no such team").errors == ()
