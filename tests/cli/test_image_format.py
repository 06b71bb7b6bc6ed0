"""How images look to people: what is not known is a question mark."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from authsvc.cli import image_format
from authsvc.tenancy.dates import render_instant
from tests.support.builders import NOW


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "?"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (45_120_377, "45.1 MB"), (2 * 10**16, "20.0 PB")],
)
def test_sizes(number: int | None, text: str) -> None:
    """In powers of a thousand, as docker writes them."""
    assert image_format.size(number) == text


@pytest.mark.parametrize(
    ("passed", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=60), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=1), "1 hour ago"),
        (timedelta(hours=47), "1 day ago"),
        (timedelta(days=400), "400 days ago"),
    ],
)
def test_times(passed: timedelta, text: str) -> None:
    """The largest whole unit; a clock that is a little ahead is now."""
    assert image_format.when(render_instant(NOW - passed), NOW) == text
    assert image_format.when(None, NOW) == "?"


@pytest.mark.parametrize(("value", "text"), [(True, "yes"), (False, "no"), (None, "?")])
def test_three_answers(value: bool | None, text: str) -> None:
    """Unknown is not no."""
    assert image_format.yes_or_no(value=value) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"platforms": None, "artifact_type": None}, "?"),
        ({"platforms": [], "artifact_type": "application/x.helm"}, "application/x.helm"),
        ({"platforms": [], "artifact_type": None}, "-"),
        ({"platforms": [{"platform": "linux/amd64"}, {"platform": None}], "artifact_type": None}, "linux/amd64, ?"),
    ],
)
def test_platforms(facts: dict[str, Any], text: str) -> None:
    """Or what else lies under the tag."""
    assert image_format.platforms(facts) == text


def test_json() -> None:
    """Instants are texts at any depth, and nothing else changes."""
    at = datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=UTC)
    found = image_format.as_json({"at": at, "rows": ({"at": at, "n": None},), "n": 5, "one": {"at": at}})
    text = "2026-01-02T03:04:05Z"
    assert found == {"at": text, "rows": [{"at": text, "n": None}], "n": 5, "one": {"at": text}}
