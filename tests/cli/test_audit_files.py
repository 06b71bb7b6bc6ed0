"""``authsvc audit list --file``: exported files are read from their ends, with the filters of the audit itself."""

import json
from datetime import UTC, datetime, timedelta
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
from tests.support.stack import Stack
from tests.support.tenants import make_license, make_team, unique

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


def write(path: Path, numbers: range) -> Path:
    """Write a file as an export does, oldest first."""
    path.write_text("".join(f"{entry(number).line()}\n" for number in numbers), encoding="utf-8")
    return path


def found(*paths: Path, filter_: AuditFilter = EVERYTHING, before: str = "") -> list[int]:
    """Return the numbers of the entries that are found, in their order."""
    return [int(one.facts["id"], 16) for one in newest_first(paths, filter_, before)]


@pytest.mark.parametrize("block", [400, 401, 997, 100_000])
def test_a_file_is_read_from_its_end(block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever part of it is read at once; a line that was not written whole does not count."""
    monkeypatch.setattr(audit_files, "BLOCK", block)
    path = write(tmp_path / "a.jsonl", range(20))
    with path.open("a", encoding="utf-8") as file:
        file.write('{"cursor":"99')
    assert list(range(19, -1, -1)) == found(path)


def test_several_files_are_one_list(tmp_path: Path) -> None:
    """In whatever order they are given; the newest file comes first."""
    paths = [write(tmp_path / f"{start}.jsonl", range(start, start + 5)) for start in (5, 0, 10)]
    assert list(range(14, -1, -1)) == found(*paths)
    assert [7, 6, 5, 4, 3, 2, 1, 0] == found(*paths, before=entry(8).cursor)


def test_filters_are_those_of_the_audit(tmp_path: Path) -> None:
    """By event, by app and by time, each alone and together."""
    path, view = write(tmp_path / "a.jsonl", range(30)), EVERYTHING.view
    since = BEGAN + timedelta(minutes=20)
    assert [27, 24, 21] == found(path, filter_=AuditFilter(view, since=since, events=("token.denied",)))
    assert [27, 21, 15, 9, 3] == found(path, filter_=AuditFilter(view, events=("token.denied",), app="app1"))
    assert [2, 1, 0] == found(path, filter_=AuditFilter(view, until=BEGAN + timedelta(minutes=3)))


@pytest.mark.parametrize("content", [b"", b"x", b"x\n", b"{}\n", b"\n\n"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    """With a sentence that names the file."""
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputRefused, match=r"a\.jsonl is not a copy of the audit"):
        found(path)


def test_a_line_without_an_end_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory stays bounded, whatever file is named."""
    monkeypatch.setattr(audit_files, "BLOCK", 500)
    monkeypatch.setattr(audit_files, "MAX_LINE", 1000)
    path = write(tmp_path / "a.jsonl", range(1))
    with path.open("a", encoding="utf-8") as file:
        file.write("x" * 10_000 + "\n")
    with pytest.raises(InputRefused, match="is not a copy of the audit"):
        found(path)


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
