"""The context that a sealed secret is bound to, and its longest size; :mod:`authsvc.keys.sealing` seals and unseals."""

import re

from attrs import frozen

from authsvc.errors import InputRefused

MAX_SECRET = 8 * 1024
"""Longest secret in bytes. The registry tokens of Amazon ECR have about 2,700 bytes."""

MAX_VERSION = 2**53 - 1
"""Largest integer that every JSON parser represents exactly."""

_KIND = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_NAME = re.compile(r"[!-~]{1,128}", re.ASCII)


@frozen
class SealContext:
    """What a sealed secret is for; it can be unsealed only for the same context.

    Attributes:
        kind: what kind of secret, such as ``upstream_credential``.
        team: slug of the team that owns it.
        id: of the record that contains it.
        version: of the secret, increased with every change.
    """

    kind: str
    team: str
    id: str
    version: int

    def __attrs_post_init__(self) -> None:
        """Check the fields.

        Raises:
            InputRefused: one is empty, too long or has characters that identifiers do not have.
        """
        if not _KIND.fullmatch(self.kind) or not _NAME.fullmatch(self.team) or not _NAME.fullmatch(self.id):
            raise InputRefused(
                "a sealed secret needs a kind, a team and an id in printable ASCII",
                code="seal_context_invalid",
                field="context",
            )
        if not 0 <= self.version <= MAX_VERSION:
            raise InputRefused(
                f"the version of a sealed secret must be from 0 to {MAX_VERSION}",
                code="seal_context_invalid",
                field="context",
            )
