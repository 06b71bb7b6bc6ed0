"""What commands say of licenses that a person would otherwise misread."""

from pathlib import Path

import pytest

from tests.support.stack import Stack
from tests.support.tenants import make_team, unique


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app."""
    slug = unique("words")
    make_team(stack, slug)
    return slug


def test_the_last_day_is_said(stack: Stack, app: str) -> None:
    """A license ends when its date begins, and contracts name the last day."""
    made = stack.authsvc("license", "create", "--app", app, "--customer", "Globex", "--expires", "2031-01-31")
    assert "until 2031-01-31T00:00:00Z (its last day is 2031-01-30)" in made.out
    noon = stack.authsvc("license", "create", "--app", app, "--customer", "Globex", "--expires", "2031-01-31T12:00:00Z")
    assert "(its last day is 2031-01-31)" in noon.out


def test_a_pattern_with_the_app_in_it_is_warned_of(stack: Stack, app: str) -> None:
    """It is accepted, for there may be such a repository, and what it covers is said."""
    terms = ("license", "create", "--app", app, "--customer", "Globex", "--expires", "2031-01-31")
    warned = stack.authsvc(*terms, "--repository", f"{app}/worker")
    assert f"the pattern {app}/worker covers {app}/{app}/worker" in warned.err
    assert "--repository worker" in warned.err
    assert not stack.authsvc(*terms, "--repository", "worker").err


def test_a_refused_import_leaves_no_folder(stack: Stack, app: str, tmp_path: Path) -> None:
    """One that was there stays, and one that an import fills too."""
    rows, folder = tmp_path / "rows.csv", tmp_path / "out"
    arguments = ("license", "import", str(rows), "--app", app, "--output-dir", str(folder))
    rows.write_text("customer,expires\nGlobex,never\n", encoding="utf-8")
    assert stack.authsvc(*arguments, check=False).code == 1
    assert not folder.exists()
    folder.mkdir()
    assert stack.authsvc(*arguments, check=False).code == 1
    assert folder.exists()
    folder.rmdir()
    rows.write_text("customer,expires\nGlobex,2031-01-31\n", encoding="utf-8")
    stack.authsvc(*arguments)
    assert list(folder.glob("*.license.json"))
