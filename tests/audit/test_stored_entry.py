"""Reading the audit back: whatever stands in a stream is shown, and nothing in it stops a reader."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.audit.sentences import sentences, summary, when
from authsvc.audit.stored_entry import TRUNCATED, UNREADABLE, StoredEntry

NOW_TEXT = "2026-11-23T20:00:03+00:00"

KEYS = st.sampled_from(
    [
        *("at", "event", "actor", "id", "last_at", "last_id", "count", "asked", "granted", "refused", "credential"),
        *("reason", "detail", "kind", "dropped", "addresses", "address", "cut", "truncated", "degraded", "x"),
    ]
)
EVENTS = st.sampled_from(["token.issued", "token.denied", "token.refused", "license.changed"])
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["\udc80", "\ud83d", "2026-11-24T10:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "{id}"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.just("state"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.builds(lambda facts, event: {"event": event, **facts}, st.dictionaries(KEYS, JSON), EVENTS)
ENTRIES = st.binary(max_size=60) | JSON.map(lambda o: json.dumps(o).encode()) | OBJECTS.map(
    lambda o: json.dumps(o).encode()
)  # fmt: skip


@given(ENTRIES, st.integers(0, 100))
def test_whatever_it_is_can_be_shown(text: bytes, missing: int) -> None:
    """Bytes of any kind, whole or cut off, make a row, sentences and a line for a file."""
    kept = StoredEntry("1-0", text, b"", length=len(text) + missing)
    facts = kept.facts

    assert all(isinstance(facts[name], str) for name in ("at", "event", "actor", "id"))
    assert isinstance(when(facts["at"]) + summary(facts) + "".join(sentences(facts)), str)
    assert "1-0" == json.loads(kept.line().encode("utf-8"))["cursor"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\xff{",
        b"[]",
        b"7",
        b"{}",
        b"[" * 100_000,
        b'{"event": "x", "n": ' + b"[" * 100_000,
        b'{"event": "x", "n": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"event": "x", "n": ' + b"1" * 5000 + b"}",
        b'{"event": 7}',
        b'{"event": "token.issued", "refused": ["x"]}',
    ],
    ids=[
        "empty",
        "bytes",
        "list",
        "number",
        "object",
        "brackets",
        "bracket",
        "deep",
        "long number",
        "event",
        "refused",
    ],
)
def test_what_is_no_entry_says_so(text: bytes) -> None:
    """A reader sees that something is there, and how it begins."""
    facts = StoredEntry("1-0", text).facts

    assert UNREADABLE == facts["event"]
    assert text[:20].decode("utf-8", "replace") == facts["text"][:20]


def test_a_line_of_an_exported_file_is_the_entry() -> None:
    """With its request ids, and whatever its texts are."""
    text = json.dumps(
        {"at": NOW_TEXT, "event": "token.denied", "actor": "license:x", "id": "ab" * 8, "count": 2}
    ).encode()
    entry = StoredEntry("1700000000000-3", text, bytes(range(16)), length=len(text))
    read = StoredEntry.of_line(entry.line().encode())
    assert (entry.to_json(), entry.ids) == (read.to_json(), read.ids)
    assert read.is_about(bytes(range(8, 16)).hex())


@given(st.text(max_size=30))
def test_every_text_survives_the_file(text: str) -> None:
    """Line breaks and characters that terminals heed, too."""
    facts = {"at": NOW_TEXT, "event": "x.y", "actor": "a", "id": "b", "user_agent": text}
    entry = StoredEntry("1-0", json.dumps(facts).encode(), length=1)
    assert entry.to_json() == StoredEntry.of_line(entry.line().encode()).to_json()


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"3", b"{}", b'{"cursor":1}', b'{"cursor":"1"}', b"[" * 2000, b"\xff"]
)
def test_other_lines_are_no_entries(line: bytes) -> None:
    """Whatever is given as a file ends in one error."""
    with pytest.raises(ValueError):  # noqa: PT011  its text is not shown
        StoredEntry.of_line(line)


def test_an_entry_of_megabytes_shows_its_beginning() -> None:
    """What an older version wrote of thousands of actions is shown with who, what was granted, and what is missing."""
    entry: dict[str, Any] = {
        "at": "2026-11-24T10:00:00+00:00",
        "event": "token.issued",
        "actor": "license:c1",
        "id": "6923cc5f01a2b3c4",
        "asked": ["repository:other/x:" + ",".join(f"a{n}" for n in range(2000)), "repository:acme/x:pull"],
        "granted": ["repository:acme/x:pull"],
        "refused": [{"scope": "repository:other/x", "action": f"a{n}", "reason": "no" * 50} for n in range(20_000)],
        "count": 1,
    }
    text = json.dumps(entry).encode()
    kept = StoredEntry("1-0", text[: 64 * 1024], b"", length=len(text))

    facts = {name: entry[name] for name in ("at", "event", "actor", "id", "asked", "granted")}
    assert {**facts, TRUNCATED: len(text) - 64 * 1024} == kept.facts
    assert "repository:acme/x:pull" == summary(kept.facts)
    assert f"not shown of it: {len(text) - 64 * 1024:,} bytes" in sentences(kept.facts)[-1]


def test_half_a_character_of_a_client_stops_no_copy() -> None:
    """A User-Agent may hold any byte, which Python reads as half of a character that no file takes."""
    text = json.dumps({"event": "token.issued", "user_agent": "M\udcfcller \U0001f433"}).encode()

    assert "M?ller \U0001f433" == json.loads(StoredEntry("1-0", text).line().encode("utf-8"))["user_agent"]
