"""What a test of a linked registry found, step by step."""

from attrs import frozen

STEPS = ("dns", "address", "tls", "challenge", "token", "manifest")
"""The steps, in order: its name, its address, its certificate, what it asks for, a token, an image."""


@frozen
class ProbeStep:
    """One step of a test.

    Attributes:
        step: one of :data:`STEPS`.
        ok: whether it went well; None when it was not tried.
        words: what was found.
        remedy: what a vendor can do about it, or None.
    """

    step: str
    ok: bool | None
    words: str
    remedy: str | None = None
