"""Redaction of secrets: a type that never prints its value, and a function that removes our secrets from any text."""

import hmac
import re

_OUR_SECRET = re.compile(r"asv_[a-z]+_\w*", re.ASCII)


class Secret:
    """A secret text: ``str`` and ``repr`` are redacted; only :meth:`reveal` returns the value.

    Comparison is constant-time in the length of the shorter value.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """Wrap ``value``."""
        self._value = value

    def reveal(self) -> str:
        """Return the secret itself."""
        return self._value

    def __str__(self) -> str:
        return "<redacted>"

    def __repr__(self) -> str:
        return "Secret(<redacted>)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = (text.encode("utf-8", "surrogatepass") for text in (self._value, other._value))
        return hmac.compare_digest(mine, theirs)

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)


def unsecret(text: str) -> str:
    """Return ``text`` without anything that looks like one of our secrets."""
    return _OUR_SECRET.sub("<redacted>", text) if "asv_" in text else text
