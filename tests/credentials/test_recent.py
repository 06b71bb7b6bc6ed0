"""What a worker remembers of licenses is bounded, in number and in time."""

from datetime import timedelta

from authsvc.credentials.recent import BELIEVED_FOR, MAX_REMEMBERED, RecentLicenses
from tests.support.builders import NOW, as_license, license_token, make_license

SUBJECT = as_license(make_license())


def test_what_is_over_is_let_go() -> None:
    """After a minute nothing is held any more, not only not believed."""
    recent = RecentLicenses()
    for generation in range(1, 50):
        recent.remember(license_token(generation=generation), SUBJECT, NOW, 0)
    recent.remember(license_token(), SUBJECT, NOW + BELIEVED_FOR - timedelta(seconds=1), 0)
    assert 49 == len(recent._remembered)
    recent.remember(license_token(), SUBJECT, NOW + BELIEVED_FOR, 0)
    assert 1 == len(recent._remembered)


def test_the_newest_are_kept() -> None:
    """Beyond the bound the oldest goes, the newest stays believed."""
    recent = RecentLicenses()
    for generation in range(1, MAX_REMEMBERED + 10):
        recent.remember(license_token(generation=generation), SUBJECT, NOW, 0)
    assert MAX_REMEMBERED == len(recent._remembered)
    assert recent.recall(license_token(generation=1), NOW) is None


def test_a_revocation_that_was_seen_is_not_forgotten_for_an_older_word() -> None:
    """A read that began before the revocation was seen, and is answered after, changes nothing; a later one does."""
    recent, secret = RecentLicenses(), license_token()
    asked = recent.asking()
    recent.remember(secret, as_license(make_license(revoked_at=NOW)), NOW, recent.asking())
    recent.remember(secret, SUBJECT, NOW, asked)
    found = recent.recall(secret, NOW)
    assert found is not None
    assert found.license.revoked_at == NOW
    recent.remember(secret, SUBJECT, NOW, recent.asking())  # reinstated
    assert found != recent.recall(secret, NOW)


def test_a_rotation_that_was_seen_is_not_forgotten_for_an_older_word() -> None:
    """A secret that the store has refused is not believed because of a read that began before."""
    recent, secret = RecentLicenses(), license_token()
    asked = recent.asking()
    recent.forget(secret)
    recent.remember(secret, SUBJECT, NOW, asked)
    assert recent.recall(secret, NOW) is None
    recent.remember(secret, SUBJECT, NOW, recent.asking())
    assert recent.recall(secret, NOW) is not None


def test_guesses_are_not_remembered_for_ever() -> None:
    """Refused secrets, which anybody can make up, take a bounded place and push no license out."""
    recent, secret = RecentLicenses(), license_token(generation=1)
    recent.remember(secret, SUBJECT, NOW, 0)
    for generation in range(2, MAX_REMEMBERED + 10):
        recent.forget(license_token(generation=generation))
    assert MAX_REMEMBERED == len(recent._refused)
    assert recent.recall(secret, NOW) is not None
