"""Tokens for our own requests to the registry: each for exactly one repository, and used for half of its lifetime."""

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from authsvc.redaction import Secret
from authsvc.system_token import LIFE, SystemTokens

MAX_KEPT = 32
"""Most tokens that are cached."""

_Scope = tuple[str, tuple[str, ...]]

_CATALOG: _Scope = ("", ())


@frozen
class RegistryAccess:
    """Makes and caches tokens.

    Attributes:
        tokens: signs them.
        clock: the current time.
    """

    tokens: SystemTokens
    clock: Callable[[], datetime]
    _kept: OrderedDict[_Scope, tuple[Secret, datetime]] = field(init=False, repr=False, factory=OrderedDict, eq=False)

    def to_catalog(self) -> Secret:
        """Return a token that lists all repositories.

        Raises:
            SignerUnavailable: the signing certificate ends before the token would.
        """
        return self._token(_CATALOG)

    def to(self, repository: str, *actions: str) -> Secret:
        """Return a token for ``actions`` on exactly one repository.

        Raises:
            ValueError: as :meth:`authsvc.system_token.SystemTokens.for_repository`.
            SignerUnavailable: the signing certificate ends before the token would.
        """
        return self._token((repository, actions))

    def _token(self, scope: _Scope) -> Secret:
        now = self.clock()
        token, made_at = self._kept.get(scope, (None, now))
        if token is None or not made_at <= now < made_at + LIFE / 2:
            repository, actions = scope
            new = self.tokens.for_repository(repository, actions, now) if repository else self.tokens.for_catalog(now)
            self._kept[scope] = (new, now)
            token = new
        self._kept.move_to_end(scope)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return token
