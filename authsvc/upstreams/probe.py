"""The result of a test of a linked registry, step by step."""

from attrs import frozen

STEPS = ("dns", "address", "tls", "challenge", "token", "manifest")
"""The steps, in order: name, address, certificate, challenge, token, image."""


@frozen
class ProbeStep:
    """One step of a test.

    Attributes:
        step: one of :data:`STEPS`.
        ok: whether it succeeded; None when it was not tried.
        words: the result in words.
        remedy: what a vendor can do about it, or None.
    """

    step: str
    ok: bool | None
    words: str
    remedy: str | None = None
