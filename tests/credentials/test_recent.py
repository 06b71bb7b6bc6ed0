"""What a worker remembers of licenses is bounded, in number and in time."""

from datetime import timedelta

from authsvc.credentials.recent import BELIEVED_FOR, MAX_KEPT, RecentLicenses
from tests.support.builders import NOW, as_license, license_token, make_license

SUBJECT = as_license(make_license())


def test_what_is_over_is_let_go() -> None:
    """After a minute nothing is held any more, not only not believed."""
    recent = RecentLicenses()
    for generation in range(1, 50):
        recent.keep(license_token(generation=generation), SUBJECT, NOW, 0)
    recent.keep(license_token(), SUBJECT, NOW + BELIEVED_FOR - timedelta(seconds=1), 0)
    assert 49 == len(recent._kept)
    recent.keep(license_token(), SUBJECT, NOW + BELIEVED_FOR, 0)
    assert 1 == len(recent._kept)


def test_the_newest_are_kept() -> None:
    """Beyond the bound the oldest goes, the newest stays believed."""
    recent = RecentLicenses()
    for generation in range(1, MAX_KEPT + 10):
        recent.keep(license_token(generation=generation), SUBJECT, NOW, 0)
    assert MAX_KEPT == len(recent._kept)
    assert recent.recall(license_token(generation=1), NOW) is None


def test_a_revocation_that_was_seen_is_not_forgotten_for_an_older_word() -> None:
    """A read that began before the revocation was seen, and is answered after, changes nothing; a later one does."""
    recent, secret = RecentLicenses(), license_token()
    asked = recent.asking()
    recent.keep(secret, as_license(make_license(revoked_at=NOW)), NOW, recent.asking())
    recent.keep(secret, SUBJECT, NOW, asked)
    found = recent.recall(secret, NOW)
    assert found is not None
    assert found.license.revoked_at == NOW
    recent.keep(secret, SUBJECT, NOW, recent.asking())  # reinstated
    assert found != recent.recall(secret, NOW)


def test_a_rotation_that_was_seen_is_not_forgotten_for_an_older_word() -> None:
    """A secret that the store has refused is not believed because of a read that began before."""
    recent, secret = RecentLicenses(), license_token()
    asked = recent.asking()
    recent.forget(secret)
    recent.keep(secret, SUBJECT, NOW, asked)
    assert recent.recall(secret, NOW) is None
    recent.keep(secret, SUBJECT, NOW, recent.asking())
    assert recent.recall(secret, NOW) is not None


def test_guesses_are_not_remembered_for_ever() -> None:
    """Refused secrets, which anybody can make up, take a bounded place and push no license out."""
    recent, secret = RecentLicenses(), license_token(generation=1)
    recent.keep(secret, SUBJECT, NOW, 0)
    for generation in range(2, MAX_KEPT + 10):
        recent.forget(license_token(generation=generation))
    assert MAX_KEPT == len(recent._refused)
    assert recent.recall(secret, NOW) is not None
