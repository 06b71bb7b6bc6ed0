"""Records as JSON: what a newer version added survives a change, and what it made unreadable is refused."""

import json
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import StoreUnavailable
from authsvc.store.codec import Codec
from authsvc.tenancy.records import License, TokenDigest
from tests.support.builders import NOW, make_license

NAMES = st.text("abcxyz_", min_size=1, max_size=8).map("new_{}".format)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ADDED = st.dictionaries(NAMES, VALUES, max_size=4)


def fields(raw: bytes) -> dict[str, Any]:
    """Return the JSON of a record."""
    found: dict[str, Any] = json.loads(raw)
    return found


def with_fields(raw: bytes, **added: Any) -> bytes:
    """Return the record as a newer version would have written it."""
    return json.dumps({**fields(raw), **added}).encode()


@given(added=ADDED, nested=ADDED)
def test_unknown_fields_survive_a_change(added: dict[str, Any], nested: dict[str, Any]) -> None:
    """A changed license keeps every field that only a newer version knows, also within its registry token."""
    codec, license_ = Codec(), make_license()
    plain = codec.encode(license_)
    token = {**fields(plain)["tokens"][0], **nested}
    newer = with_fields(plain, **added, tokens=[token])
    changed = evolve(codec.decode(newer, License), revoked_at=NOW, contact="new@acme.test")

    raw = codec.encode_change(newer, changed)
    assert changed == codec.decode(raw, License)
    assert {**fields(codec.encode(changed)), **added, "tokens": [token]} == fields(raw)


def test_a_field_that_is_known_can_be_removed() -> None:
    """What this version knows is written as it is now: an optional field that is None again goes."""
    codec = Codec()
    old = codec.encode(evolve(make_license(), revoked_at=NOW, fields={"seats": 25, "tier": "x"}))

    changed = evolve(codec.decode(old, License), revoked_at=None, fields={"seats": 30})
    assert codec.encode(changed) == codec.encode_change(old, changed)


def test_a_new_token_does_not_take_over_what_belongs_to_the_old_one() -> None:
    """After a rotation the old generation keeps its unknown fields, whatever its new end, and the new one has none."""
    codec, license_ = Codec(), make_license()
    plain = codec.encode(license_)
    newer = with_fields(plain, tokens=[{**fields(plain)["tokens"][0], "used_from": "eu"}])
    old = license_.tokens[0]
    rotated = evolve(license_, tokens=(TokenDigest(old.generation + 1, "0" * 64), evolve(old, ends_at=NOW)))

    first, second = fields(codec.encode_change(newer, rotated))["tokens"]
    assert "used_from" not in first
    assert ("eu", NOW.isoformat()) == (second["used_from"], second["ends_at"])


def test_a_newer_version_is_refused_and_named() -> None:
    """A record with a higher version is not guessed, neither read nor written over."""
    codec, license_ = Codec(), make_license()
    newer = with_fields(codec.encode(license_), v=2)

    for work in (lambda: codec.decode(newer, License), lambda: codec.encode_change(newer, license_)):
        with pytest.raises(StoreUnavailable, match="written by a newer authsvc") as refused:
            work()
        assert ("record_too_new", "License v2") == (refused.value.code, refused.value.detail)


def test_unknown_fields_make_no_other_record() -> None:
    """Equality and hash are those of the known fields, so everything that compares records goes on working."""
    codec, license_ = Codec(), make_license()

    assert license_ == codec.decode(with_fields(codec.encode(license_), later="x"), License)


def test_one_end_of_many_licenses_is_one_object() -> None:
    """A worker caches thousands of licenses that end on the same day."""
    codec = Codec()
    one, other = (codec.decode(codec.encode(make_license(name, expires_at=NOW)), License) for name in ("one", "other"))

    assert one.expires_at == NOW
    assert one.expires_at is other.expires_at
