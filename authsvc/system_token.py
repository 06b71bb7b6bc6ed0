"""The tokens with which authsvc itself queries the registry: subject ``system:authsvc``, one minute, exactly one scope.

The token endpoint never grants the catalog to anyone; these tokens never leave the installation.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta

from attrs import frozen

from authsvc.issuance import ISSUER
from authsvc.policy import ACTIONS, REPOSITORY
from authsvc.redaction import Secret
from authsvc.signing.jws import Signer
from authsvc.spec.claims import Access, Claims
from authsvc.spec.reference import Repository

SUBJECT = "system:authsvc"
"""The ``sub`` of these tokens, and so ``actor.name`` in the registry's events about our own requests."""

LIFE = timedelta(minutes=1)
"""Lifetime of such a token."""

CATALOG = Access("registry", "catalog", ("*",))
"""What the registry requires to list all repositories; it has no lesser action."""


@frozen
class SystemTokens:
    """Signs them.

    Attributes:
        signer: a leaf that the registry trusts.
        service: the registry's name.
        new_token_id: makes the ids of tokens.
    """

    signer: Signer
    service: str
    new_token_id: Callable[[], str]

    def for_repository(self, repository: str, actions: Collection[str], now: datetime) -> Secret:
        """Return a token for ``actions`` on exactly one repository.

        Raises:
            ValueError: it is not the name of a repository, or there are other actions than pull, push and delete.
            SignerUnavailable: the signing certificate ends before the token would.
        """
        if Repository.parse(repository).domain is not None or not actions or not ACTIONS.issuperset(actions):
            raise ValueError(f"no token is made for {sorted(actions)} on {repository!r}")
        return self._token(now, Access(REPOSITORY, repository, tuple(sorted(actions))))

    def for_catalog(self, now: datetime) -> Secret:
        """Return a token that lists the repositories of every team.

        Raises:
            SignerUnavailable: the signing certificate ends before the token would.
        """
        return self._token(now, CATALOG)

    def for_probe(self, now: datetime) -> Secret:
        """Return a token that gives access only to ``/v2/``.

        Raises:
            SignerUnavailable: the signing certificate ends before the token would.
        """
        return self._token(now)

    def _token(self, now: datetime, *access: Access) -> Secret:
        claims = Claims(
            issuer=ISSUER,
            subject=SUBJECT,
            audience=self.service,
            issued_at=now,
            expires_at=now + LIFE,
            token_id=self.new_token_id(),
            access=access,
        )
        return Secret(self.signer.sign(claims.to_json()))
