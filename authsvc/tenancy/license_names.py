"""File names of license files."""

import re
import unicodedata

from authsvc.tenancy.records import License

SUFFIX = ".license.json"

KEYS = "license-key.json"
"""The file with the public keys that verify the others."""

MAX_NAME = 60
"""Most characters of the reference in a file name."""


def file_name(license_: License) -> str:
    """Return the name of a license's file: readable for people, and unique by the license's id."""
    plain = unicodedata.normalize("NFKD", license_.reference or license_.customer)
    letters = "".join(one for one in plain if not unicodedata.combining(one))  # ü becomes u
    word = re.sub(r"[^A-Za-z0-9._-]+", "-", letters)[:MAX_NAME].strip("-.")
    return f"{word or 'license'}-{license_.id}{SUFFIX}"
