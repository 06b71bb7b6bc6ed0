"""What the file of a license is called."""

import pytest

from authsvc.tenancy.license_names import file_name
from tests.support.builders import make_license


@pytest.mark.parametrize(
    ("customer", "word"),
    [
        ("Globex & Co", "Globex-Co"),
        ("Müller & Söhne Gerätebau", "Muller-Sohne-Geratebau"),
        ("../../etc/passwd\r\n", "etc-passwd"),
        ("東京株式会社", "license"),
        ("x" * 80, "x" * 60),
    ],
)
def test_names_are_readable_and_plain(customer: str, word: str) -> None:
    """ASCII alone, for headers and shells: a letter with an accent becomes the letter, anything else a hyphen."""
    assert file_name(make_license("h6nbs6gx7120w4nk", customer=customer)) == f"{word}-h6nbs6gx7120w4nk.license.json"
