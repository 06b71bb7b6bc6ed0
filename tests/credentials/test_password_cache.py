"""The cache of right passwords: a minute, one network, bounded, and worth nothing to anybody else."""

from datetime import timedelta

import pytest

from authsvc.credentials import password_cache as module
from authsvc.credentials.password_cache import PasswordCache
from tests.support.builders import NOW

HOME = "192.0.2.1"


@pytest.fixture
def cache() -> PasswordCache:
    """Return a cache in which one guess was right at home."""
    made = PasswordCache(b"k" * 32)
    made.add("guess", HOME, NOW)
    return made


@pytest.mark.parametrize(("seconds", "expected"), [(0, True), (59.999, True), (60, False), (3600, False), (-1, False)])
def test_a_success_is_remembered_for_a_minute(cache: PasswordCache, seconds: float, expected: bool) -> None:
    """Not longer, and not when the clock was set back."""
    assert expected == cache.has("guess", HOME, NOW + timedelta(seconds=seconds))


@pytest.mark.parametrize(("guess", "network"), [("other", HOME), ("guess", "192.0.2.2"), ("guess192.0.2", ".1")])
def test_what_is_remembered(cache: PasswordCache, guess: str, network: str) -> None:
    """Exactly that guess from exactly that network."""
    assert not cache.has(guess, network, NOW)


def test_asking_prolongs_nothing(cache: PasswordCache) -> None:
    """The minute begins with the check."""
    found = [cache.has("guess", HOME, NOW + timedelta(seconds=seconds)) for seconds in (20, 40, 59, 60)]

    assert [True, True, True, False] == found


def test_it_is_bounded(cache: PasswordCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more successes than fit, the newest stay."""
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    for number in range(3):
        cache.add(f"guess {number}", HOME, NOW)

    assert [False, True, True, True] == [cache.has(f"guess{n}", HOME, NOW) for n in ("", " 0", " 1", " 2")]


def test_it_shows_nothing(cache: PasswordCache) -> None:
    """What is remembered is an HMAC under the key of this process: another process can do nothing with it."""
    other = PasswordCache(b"l" * 32)
    other.add("guess", HOME, NOW)

    assert [32] == [len(entry) for entry in cache._remembered]
    assert cache._remembered.keys().isdisjoint(other._remembered)
