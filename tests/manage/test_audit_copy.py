"""Copies of the audit: files that go on where they end."""

from datetime import timedelta
from pathlib import Path

import pytest

from authsvc.errors import InputRefused
from tests.manage.test_audit import OTHER, Office, copy, filled, ids, named, office
from tests.support.audit_stream import forget
from tests.support.decisions import asked, denied

__all__ = ["filled", "office"]


async def test_a_copy_goes_on_where_it_ends(filled: Office, tmp_path: Path) -> None:
    """Copying again adds what is new, once; a torn last line is written anew; the file is private."""
    path = tmp_path / "audit.jsonl"
    assert not await copy(filled, path)
    assert not await copy(filled, path)
    assert named(1, 2, 4) == ids(path)
    request = asked(at=filled.now)
    filled.trail.record(request, denied(OTHER))
    await filled.flush()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    assert not await copy(filled, path)

    assert [*named(1, 2, 4), request.request_id] == ids(path)
    assert 0o600 == path.stat().st_mode & 0o777


async def test_a_copy_tells_of_a_gap(filled: Office, tmp_path: Path) -> None:
    """Entries that were trimmed before they were copied are missed; entries that were copied before are not."""
    path, fresh = tmp_path / "audit.jsonl", tmp_path / "fresh.jsonl"
    await copy(filled, path)
    everything = await filled.stream.after("", 10)
    await forget(filled.stream, everything)
    assert not await copy(filled, path)
    for _ in range(2):
        filled.trail.record(asked(at=filled.now), denied(OTHER))
        await filled.flush()
        filled.now += timedelta(hours=2)
    later = await filled.stream.after("", 10)
    await forget(filled.stream, later[:1])

    assert await copy(filled, path)
    assert not await copy(filled, fresh)
    assert 4 == len(ids(path))


@pytest.mark.parametrize("content", ["hello\n", "hello", '{"x": 1}\n', "[]\n", '{"cursor": "x"}\n', "\n"])
async def test_a_file_of_something_else_is_left_alone(office: Office, tmp_path: Path, content: str) -> None:
    """What is no copy of an audit is refused and not changed."""
    path = tmp_path / "precious"
    path.write_text(content)
    with pytest.raises(InputRefused, match="is not a copy of an audit"):
        await copy(office, path)

    assert content == path.read_text()


async def test_a_copy_that_can_not_be_made(office: Office, tmp_path: Path) -> None:
    """A folder that does not exist is refused in a sentence."""
    with pytest.raises(InputRefused, match="cannot write"):
        await copy(office, tmp_path / "nowhere" / "x")
