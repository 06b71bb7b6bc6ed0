"""Spans, ends, generations of tokens, and the life of a sign-in."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_end, parse_span
from authsvc.tenancy.records import TokenDigest, live_tokens, rotated
from tests.support.builders import NOW, make_refresh_token

FIRST: tuple[TokenDigest, ...] = (TokenDigest(1, "1"),)
SPANS = st.sampled_from([timedelta(0), timedelta(minutes=1), timedelta(hours=24), timedelta(days=90)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", timedelta(0)), ("0h", timedelta(0)), ("30m", timedelta(minutes=30)), ("24h", timedelta(days=1)),
     ("7d", timedelta(days=7)), ("90d", timedelta(days=90)), ("2160h", timedelta(days=90))],
)  # fmt: skip
def test_spans(text: str, expected: timedelta) -> None:
    """A span is a number and its unit; 0 needs none."""
    assert expected == parse_span(text, "overlap")


@pytest.mark.parametrize(
    "text", ["", "1", "-1h", "1.5h", "24", "24H", "1w", "91d", "2161h", "9999999m", "1h30m", "\u0661h", "1h\n", " 1h"]
)
def test_no_spans(text: str) -> None:
    """Anything else, or more than 90 days, is refused with a sentence that shows a right one."""
    with pytest.raises(
        InputRefused, match=r"^overlap: .* is not a span of time up to 90 days; write 24h, 30m, 7d or 0$"
    ):
        parse_span(text, "overlap")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90d", NOW + timedelta(days=90)), ("1d", NOW + timedelta(days=1)),
     ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)), ("2026-08-01T12:00:01Z", NOW + timedelta(seconds=1))],
)  # fmt: skip
def test_ends(text: str, expected: datetime) -> None:
    """An end is a day, an instant, or a number of days from now."""
    assert expected == parse_end(text, NOW, "expires")


def test_days_from_now_end_on_a_whole_second() -> None:
    """The end that is kept is the one that is written into files and lists, which have no fractions."""
    assert NOW + timedelta(days=1) == parse_end("1d", NOW + timedelta(microseconds=999_999), "expires")


@pytest.mark.parametrize("text", ["0d", "2026-08-01", "2026-08-01T12:00:00Z", "1999-12-31"])
def test_ends_in_the_past(text: str) -> None:
    """What has ended already is refused."""
    with pytest.raises(InputRefused, match=r"^expires: .* is not in the future$"):
        parse_end(text, NOW, "expires")


@pytest.mark.parametrize("text", ["", "-1d", "100000d", "1h", "soon", "d", "1.5d", "\u0661d", "9d\n"])
def test_no_ends(text: str) -> None:
    """Anything else is refused with a sentence that shows a right one."""
    with pytest.raises(
        InputRefused, match=r"^expires: .* is not a date; write 2027-01-31 .*, or 90d for days from now$"
    ):
        parse_end(text, NOW, "expires")


@given(st.lists(SPANS, min_size=1, max_size=8), st.lists(SPANS, min_size=8, max_size=8))
def test_rotation(overlaps: list[timedelta], pauses: list[timedelta]) -> None:
    """After any rotations: two generations at most, the newest first and endless, the other for its overlap at most."""
    tokens, now = FIRST, NOW
    for number, (overlap, pause) in enumerate(zip(overlaps, pauses, strict=False), start=2):
        before, now = tokens, now + pause
        tokens = rotated(before, str(number), overlap, now)
        newest, *old = tokens

        assert TokenDigest(number, str(number)) == newest
        assert len(old) <= bool(overlap)
        assert [token.sha256 for token in old] == [before[0].sha256] * len(old)
        assert all(token.ends_at is not None and token.ends_at <= now + overlap for token in old)
        assert {token.sha256 for token in live_tokens(tokens, now)} == {str(number), *(token.sha256 for token in old)}
        assert (newest,) == live_tokens(tokens, now + overlap)


@given(st.lists(SPANS, min_size=2, max_size=6))
def test_an_overlap_is_never_prolonged(overlaps: list[timedelta]) -> None:
    """A generation that is to end ends then or earlier, whatever is rotated afterwards."""
    tokens, ends = FIRST, dict[str, datetime]()
    for number, overlap in enumerate(overlaps, start=2):
        tokens = rotated(tokens, str(number), overlap, NOW)
        for token in tokens[1:]:
            assert token.ends_at is not None
            assert token.ends_at <= ends.setdefault(token.sha256, token.ends_at)


@pytest.mark.parametrize(
    ("age", "idle", "expected"),
    [
        (0, None, False),
        (29, None, False),
        (30, None, True),
        (89, 1, False),
        (89, 30, True),
        (90, 0, True),
        (400, 0, True),
    ],
)
def test_a_sign_in_ends(age: int, idle: int | None, expected: bool) -> None:
    """Unused for 30 days or made 90 days ago, a refresh token has ended (design #8)."""
    token = make_refresh_token(created_at=NOW - timedelta(days=age))
    used_at = None if idle is None else NOW - timedelta(days=idle)

    assert expected == token.ended(used_at, NOW)
