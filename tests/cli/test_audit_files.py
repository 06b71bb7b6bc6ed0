"""``authsvc audit list --file``: exported files are read from their ends, with the filters of the audit itself."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from authsvc.audit.stored_entry import StoredEntry
from authsvc.cli import audit_files
from authsvc.cli.audit_files import newest_first
from authsvc.errors import InputRefused
from authsvc.manage.actor import Actor
from authsvc.manage.audit_query import AuditFilter
from authsvc.manage.audit_view import AuditView
from tests.support.command import call, sentence
from tests.support.http_client import get_token
from tests.support.stack import Stack
from tests.support.tenants import make_license, make_team, unique
from tests.support.waiting import until

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)
EVERYTHING = AuditFilter(AuditView(Actor.operator()))


def entry(number: int) -> StoredEntry:
    """Return the entry of a minute."""
    at = BEGAN + timedelta(minutes=number)
    event = "token.denied" if number % 3 == 0 else "token.issued"
    facts = {
        "at": at.isoformat(),
        "event": event,
        "actor": "license:x",
        "id": f"{number:016x}",
        "app": f"app{number % 2}",
    }
    text = json.dumps(facts).encode()
    return StoredEntry(f"{int(at.timestamp() * 1000)}-0", text, length=len(text))


def write(path: Path, numbers: Iterable[int]) -> Path:
    """Write a file as an export does."""
    path.write_text("".join(f"{entry(number).line()}\n" for number in numbers), encoding="utf-8")
    return path


def found(*paths: Path, filter_: AuditFilter = EVERYTHING, before: str = "") -> list[int]:
    """Return the numbers of the entries that are found, in their order; no file ends in the middle of a line."""
    return [int(one.facts["id"], 16) for one in newest_first(paths, filter_, before, _unexpected)]


def _unexpected(path: Path) -> None:
    pytest.fail(f"{path} is said to end in the middle of a line")


def refusal(*paths: Path, filter_: AuditFilter = EVERYTHING) -> str:
    """Return why files are refused."""
    with pytest.raises(InputRefused) as refused:
        found(*paths, filter_=filter_)
    return str(refused.value)


@pytest.mark.parametrize("block", [400, 401, 997, 100_000])
def test_a_file_is_read_from_its_end(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of it is read at once; a line that was not written whole does not count."""
    monkeypatch.setattr(audit_files, "BLOCK", block)
    path = write(tmp_path / "a.jsonl", range(20))
    assert list(range(19, -1, -1)) == found(path)


def test_several_files_are_one_list(tmp_path: Path) -> None:
    """In whatever order they are given; the newest file comes first."""
    paths = [write(tmp_path / f"{start}.jsonl", range(start, start + 5)) for start in (5, 0, 10)]
    assert list(range(14, -1, -1)) == found(*paths)
    assert [7, 6, 5, 4, 3, 2, 1, 0] == found(*paths, before=entry(8).cursor)


def test_files_that_overlap_are_one_list(tmp_path: Path) -> None:
    """A copy that was made later repeats what an earlier one has, and a file may be named twice."""
    numbers = {"a": range(10), "b": range(4, 15), "c": range(0, 15, 3), "d": (0, 14)}
    paths = [write(tmp_path / f"{name}.jsonl", those) for name, those in numbers.items()]
    assert list(range(14, -1, -1)) == found(*paths, *paths)


def test_a_file_without_entries_is_one_of_them(tmp_path: Path) -> None:
    """An export of an audit without entries is an empty file; editors end files with blank lines."""
    empty, path = write(tmp_path / "empty.jsonl", ()), write(tmp_path / "a.jsonl", range(3))
    path.write_text(f"{path.read_text()}\n\r\n")
    assert [2, 1, 0] == found(empty, path)
    assert [] == found(empty)


def test_a_last_line_without_a_line_break_counts_if_it_is_whole(tmp_path: Path) -> None:
    """What is not whole is left out, and said: the file may be one that is being written."""
    path = write(tmp_path / "a.jsonl", range(3))
    path.write_text(path.read_text().removesuffix("\n"))
    assert [2, 1, 0] == found(path)
    for part in ('{"cur', entry(3).line()[:-1]):
        write(path, range(3))
        path.write_text(path.read_text() + part)
        said = list[Path]()
        assert [2, 1, 0] == [int(one.facts["id"], 16) for one in newest_first([path], EVERYTHING, "", said.append)]
        assert [path] == said


def test_filters_are_those_of_the_audit(tmp_path: Path) -> None:
    """By event, by app and by time, each alone and together."""
    path, view = write(tmp_path / "a.jsonl", range(30)), EVERYTHING.view
    since = BEGAN + timedelta(minutes=20)
    assert [27, 24, 21] == found(path, filter_=AuditFilter(view, since=since, events=("token.denied",)))
    assert [27, 21, 15, 9, 3] == found(path, filter_=AuditFilter(view, events=("token.denied",), app="app1"))
    assert [2, 1, 0] == found(path, filter_=AuditFilter(view, until=BEGAN + timedelta(minutes=3)))


@pytest.mark.parametrize("content", [b"x", b"x\n", b"{}\n", b"\n[]\n", b'{"cursor": "no"}\n', b"\xff\xfe\n"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """With a sentence that names the file."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    assert "a.jsonl: line " in refusal(path)


DAMAGES = (entry(5).line()[:-1], "x" * 3000, entry(5).line().replace("token", 'to"ken'), "null")


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("block", [400, 100_000])
def test_a_damaged_line_is_refused(damage: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been an entry that is wanted: the file, the line and what to do are said, whatever is searched."""
    monkeypatch.setattr(audit_files, "BLOCK", block)
    monkeypatch.setattr(audit_files, "MAX_LINE", 2000)
    path = write(tmp_path / "a.jsonl", range(20))
    lines = path.read_text().splitlines()
    lines[7] = damage
    path.write_text("\n".join((*lines, "")))
    sentence = f"{path}: line 8 is not an entry of the audit; take another copy of the file, or remove this line"
    assert sentence == refusal(path)
    assert sentence == refusal(path, filter_=AuditFilter(EVERYTHING.view, app="elsewhere"))
    since = BEGAN + timedelta(minutes=15)
    assert [19, 18, 17, 16, 15] == found(path, filter_=AuditFilter(EVERYTHING.view, since=since))


def test_a_file_in_another_order_is_refused(tmp_path: Path) -> None:
    """As when two copies were joined in the wrong order: what is read from its end would be no list."""
    path = write(tmp_path / "a.jsonl", (0, 1, 5, 6, 2, 3))
    assert f"{path}: line 4 is newer than the one below it; name the copies that it was made of one by one" == refusal(
        path
    )
    assert [1, 0] == found(write(path, (0, 0, 1, 1)))


def test_an_exported_file_is_searched(stack: Stack, tmp_path: Path) -> None:
    """It lists what the audit lists, page by page, and says where the rest begins."""
    app = unique("filed")
    make_team(stack, app, slug=app)
    license_ = make_license(stack, app)
    stack.authsvc("license", "revoke", license_.id)
    path = tmp_path / "copy.jsonl"
    stack.authsvc("audit", "export", str(path))
    wanted = ("audit", "list", "--subject", f"license:{license_.id}")

    filed = stack.json(*wanted, "--file", str(path))
    assert ["license.changed", "license.created"] == [one["event"] for one in filed]
    assert stack.json(*wanted) == filed
    one = call(*wanted, "--file", str(path), "--limit", "1", "--json", "--data-dir", str(stack.data_dir))
    assert filed[:1] == json.loads(one.out)
    assert f"older ones: --before {filed[0]['cursor']}" in one.err
    rest = stack.json(*wanted, "--file", str(path), "--before", filed[0]["cursor"])
    assert filed[1:] == rest


def test_what_is_exported_is_never_followed(tmp_path: Path) -> None:
    """The two options contradict each other."""
    refused = call("audit", "list", "--file", str(write(tmp_path / "a.jsonl", range(1))), "--follow")
    assert "--file has what was exported: leave out --follow and --unproven" == sentence(refused, 2)


def test_a_damaged_file_prints_nothing(tmp_path: Path) -> None:
    """Neither as a table nor as JSON is anything printed that looks like a whole list."""
    path = write(tmp_path / "a.jsonl", range(300))
    path.write_text(path.read_text().replace(entry(20).cursor, "gone"))
    for form in ((), ("--json",)):
        refused = call("audit", "list", "--file", str(path), "--limit", "10000", *form)
        assert f"{path}: line 21 is not an entry" in sentence(refused, 1)
        assert 0 == call("audit", "list", "--file", str(path), "--limit", "200", *form).code


def test_no_installation_is_needed_to_read_a_file(tmp_path: Path) -> None:
    """Unless somebody is named who is found by records only."""
    path, environ = write(tmp_path / "a.jsonl", range(4)), {"AUTHSVC_DATA_DIR": str(tmp_path / "none")}
    for asked in ((), ("--app", "app1", "--since", f"{BEGAN:%Y-%m-%d}"), ("--actor", "license:x")):
        listed = call("audit", "list", "--file", str(path), *asked, "--limit", "1", "--json", environ=environ)
        assert ["3".zfill(16)] == [one["id"] for one in json.loads(listed.out)]
        assert listed.err.startswith("older ones: --before ")
    refused = call("audit", "list", "--file", str(path), "--subject", "Globex", environ=environ)
    assert "there is no installation in" in sentence(refused, 2)


def test_what_is_not_whole_is_said(tmp_path: Path) -> None:
    """Beside the list, on standard error."""
    path = write(tmp_path / "a.jsonl", range(2))
    path.write_text(path.read_text() + '{"cursor": "')
    listed = call("audit", "list", "--file", str(path), "--json")
    assert (0, 2) == (listed.code, len(json.loads(listed.out)))
    assert (
        f"authsvc: {path} ends in the middle of a line, which is left out; is it still being written?\n" == listed.err
    )


def test_a_customer_of_the_same_name_elsewhere_is_another_one(stack: Stack, tmp_path: Path) -> None:
    """Exports name the team of an entry; in those of earlier versions the app of the license says whose it is."""
    name, ids = unique("Twin"), list[str]()
    for app in (unique("one"), unique("other")):
        team = make_team(stack, app)
        license_ = make_license(stack, app, "--customer", name)
        get_token(stack.port, license_.account, f"repository:{app}/x:pull")
        customer = stack.json("license", "show", license_.id)["customer_id"]
        ids += (team, license_.id, customer)
    for license_id in (ids[1], ids[4]):
        until(partial(stack.json, "audit", "list", "--actor", f"license:{license_id}"), "the token is recorded")
    path, older = tmp_path / "copy.jsonl", tmp_path / "older.jsonl"
    stack.authsvc("audit", "export", str(path))
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    assert {ids[0]} == {one["team"] for one in entries if one["actor"] == f"license:{ids[1]}"}
    older.write_text("".join(f"{json.dumps({**one, 'team': ''})}\n" for one in entries))
    for file in (path, older):
        for license_id, customer in ((ids[1], ids[2]), (ids[4], ids[5])):
            listed = stack.json("audit", "list", "--event", "token", "--subject", customer, "--file", str(file))
            assert [f"license:{license_id}"] == [one["actor"] for one in listed]
