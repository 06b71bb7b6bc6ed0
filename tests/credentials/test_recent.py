"""What a worker remembers of licenses is bounded, in number and in time."""

from datetime import timedelta

from authsvc.credentials.recent import BELIEVED_FOR, MAX_KEPT, RecentLicenses
from tests.support.builders import NOW, as_license, license_token, make_license

SUBJECT = as_license(make_license())


def test_what_is_over_is_let_go() -> None:
    """After a minute nothing is held any more, not only not believed."""
    recent = RecentLicenses()
    for generation in range(1, 50):
        recent.keep(license_token(generation=generation), SUBJECT, NOW)
    recent.keep(license_token(), SUBJECT, NOW + BELIEVED_FOR - timedelta(seconds=1))
    assert 49 == len(recent._kept)
    recent.keep(license_token(), SUBJECT, NOW + BELIEVED_FOR)
    assert 1 == len(recent._kept)


def test_the_newest_are_kept() -> None:
    """Beyond the bound the oldest goes, the newest stays believed."""
    recent = RecentLicenses()
    for generation in range(1, MAX_KEPT + 10):
        recent.keep(license_token(generation=generation), SUBJECT, NOW)
    assert MAX_KEPT == len(recent._kept)
    assert recent.recall(license_token(generation=1), NOW) is None
