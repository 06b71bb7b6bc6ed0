"""Which licenses a client gets: all in force, one file each, what AUTHSVC_LICENSE names first, and eight at most."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.installer.license_selection import MAX_JOINED, select
from authsvc.installer.license_store import InstalledLicense
from tests.installer.conftest import Tool
from tests.support.license_files import FACTS, put_file, put_keys

HOST = FACTS["registry"]
NOW = 1790000000.0
"""2026-09-21T14:13:20Z."""
ENDED: dict[str, Any] = {"expires_at": "2026-09-01T00:00:00Z"}
PENDING: dict[str, Any] = {"not_before": "2098-01-01T00:00:00Z"}


@pytest.fixture
def folder(home: Path) -> Path:
    """Return this user's folder of licenses."""
    return home / ".config/authsvc/licenses"


def put(folder: Path, name: str, came: int = 0, **facts: Any) -> Path:
    """Write the license NAME, whose token is its name, with a file that came here at an instant."""
    path = put_file(folder / f"{name}.license.json", **{"id": name, "registry_token": name} | facts)
    os.utime(path, (1_700_000_000 + came, 1_700_000_000 + came))
    return path


def got(helper: Tool, server: str = HOST, **more: str) -> list[str]:
    """Return the tokens that the helper gives for ``server``, in its order."""
    ran = helper("get", stdin=server, **more)
    assert 0 == ran.code, ran
    return str(json.loads(ran.out)["Secret"]).split(".")


def test_all_apps_of_the_registry(helper: Tool, folder: Path) -> None:
    """The licenses of every app and of one app are handed over together; those of another registry are not."""
    for name, app in (("a", "one"), ("b", "two"), ("c", "two"), ("x", "one")):
        put(folder, name, app=app, registry="other.test" if name == "x" else HOST)

    assert {"a", "b", "c"} == set(got(helper))


def test_the_key_beside_the_license_is_no_damaged_license(helper: Tool, tmp_path: Path) -> None:
    """A folder may hold all files that the vendor sent; the key file is passed over without a warning."""
    put(tmp_path / "sent", "a", app="one")
    put_keys(tmp_path / "sent/acme.license-key.json")

    ran = helper("get", stdin=HOST, AUTHSVC_LICENSE=str(tmp_path / "sent"))

    assert "a" == json.loads(ran.out)["Secret"]
    assert "license-key" not in ran.err


def test_only_what_is_in_force(helper: Tool, folder: Path) -> None:
    """One that has ended or not begun is left out, as long as another one is in force."""
    put(folder, "ended", app="one", **ENDED)
    put(folder, "pending", app="two", **PENDING)
    assert ["ended"] == got(helper) or ["pending"] == got(helper)
    put(folder, "good", app="three")
    assert ["good"] == got(helper)


def test_one_file_for_each_license(helper: Tool, folder: Path) -> None:
    """Of a license that was renewed or rotated the newest file counts; an older one is no second license."""
    put(folder, "a", registry_token="old", issued_at="2026-01-01T00:00:00Z")
    put(folder, "a-renewed", id="a", registry_token="renewed")
    put(folder, "b", app="two")

    assert {"renewed", "b"} == set(got(helper))


@pytest.mark.parametrize("where", ["file", "folder"])
def test_what_the_variable_names_comes_first(helper: Tool, folder: Path, tmp_path: Path, where: str) -> None:
    """For an app that AUTHSVC_LICENSE names a license for no other file counts, however new."""
    named = put(tmp_path / "named", "named", app="one", issued_at="2026-01-01T00:00:00Z")
    put(folder, "newer", came=9, app="one", issued_at="2026-09-01T00:00:00Z")
    put(folder, "other", app="two")

    assert {"newer", "other"} == set(got(helper))
    assert {"named", "other"} == set(got(helper, AUTHSVC_LICENSE=str(named if where == "file" else named.parent)))


def test_two_that_the_variable_names(helper: Tool, tmp_path: Path) -> None:
    """Several named licenses of one app all count."""
    paths = [put(tmp_path, name, app="one") for name in ("a", "b")]

    assert {"a", "b"} == set(got(helper, AUTHSVC_LICENSE=os.pathsep.join(map(str, paths))))


def test_eight_are_the_most(helper: Tool, folder: Path) -> None:
    """Of nine in force the eight that were logged in with last are sent, newest first, and the ninth is named."""
    for number in range(9):
        put(folder, f"c{number}", came=number, app=f"app{number}")
    put(folder, "ended", came=99, app="app9", **ENDED)

    ran = helper("get", stdin=HOST)

    assert [f"c{number}" for number in range(8, 0, -1)] == json.loads(ran.out)["Secret"].split(".")
    assert "a client gets 8 licenses at most, those that were logged in with last; left out: c0 for app0" in ran.err


def test_what_the_variable_names_is_not_left_out(helper: Tool, folder: Path, tmp_path: Path) -> None:
    """A license that AUTHSVC_LICENSE names is among the eight, however long ago its file was made."""
    named = put(tmp_path / "named", "named", app="named")
    for number in range(1, 9):
        put(folder, f"c{number}", came=number, app=f"app{number}")

    assert ["named", *(f"c{number}" for number in range(8, 1, -1))] == got(helper, AUTHSVC_LICENSE=str(named))


def test_a_repository_gets_its_app(helper: Tool, folder: Path) -> None:
    """A client that names the repository gets the licenses of its app, also one that would not have fitted."""
    for number in range(9):
        put(folder, f"c{number}", came=number, app=f"app{number}")

    assert ["c0"] == got(helper, f"{HOST}/app0/worker")
    assert 8 == len(got(helper, f"{HOST}/unknown/worker"))


def test_storing_what_would_be_handed_over(helper: Tool, folder: Path) -> None:
    """``docker login`` stores what it got, be it one of the licenses or all of them; anything else is refused."""
    for name in ("a", "b"):
        put(folder, name, app=f"app-{name}")
    codes = [
        helper("store", stdin=json.dumps({"ServerURL": HOST, "Username": "license", "Secret": secret})).code
        for secret in (".".join(got(helper)), "a", "b", "a.x")
    ]

    assert [0, 0, 0, 1] == codes


FILES = st.lists(
    st.tuples(
        st.sampled_from("abcdefghijkl"),
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from([{}, {}, {}, ENDED, PENDING]),
        st.booleans(),
        st.integers(0, 5),
    ),
    max_size=20,
)


@given(FILES)
def test_nothing_that_ended_beside_something_in_force(files: list[tuple[str, str, dict[str, str], bool, int]]) -> None:
    """Whatever files there are: at most eight, each license once, in force if any is, and named ones before others."""
    held = []
    for license_id, app, changes, named, day in files:
        says = FACTS | {"id": license_id, "app": app, "registry_token": license_id, "not_before": None}
        license_ = InstalledLicense("nowhere", "", says | {"issued_at": f"2026-08-0{day + 1}T00:00:00Z"} | changes)
        license_.named = named
        held.append(license_)
    selection = select(held, HOST, NOW)
    chosen = [*selection.licenses, *selection.omitted]

    assert len(selection.licenses) <= MAX_JOINED
    assert len({one.says["id"] for one in chosen}) == len(chosen)
    assert len({one.in_force(NOW) for one in chosen}) <= 1
    assert bool(chosen) == bool(held)
    named_apps = {one.says["app"] for one in held if one.named}
    assert not [one for one in chosen if one.says["app"] in named_apps and not one.named]
    assert "" not in selection.secret.split(".") or not held
