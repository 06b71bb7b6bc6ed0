"""Caches signing secrets that were just unsealed, so that a burst of deliveries does not overload the key service."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable

from attrs import define, field, frozen

from authsvc.redaction import Secret
from authsvc.webhooks.webhook import SealedSigningSecret

KEPT_FOR = 30.0
"""Seconds for which an unsealed secret is used without asking the key service again."""

MAX_KEPT = 256
"""Most unsealed secrets in a process at one time."""


@frozen
class _RecentSecret:
    secret: Secret
    until: float


@define(eq=False, repr=False)
class RecentSecrets:
    """Unseals the signing secrets of webhooks.

    Attributes:
        unseal: asks the key service.
        monotonic: seconds of a clock that never goes back.
    """

    unseal: Callable[[SealedSigningSecret], Awaitable[Secret]] = field(repr=False)
    monotonic: Callable[[], float] = field(repr=False)
    _opened: OrderedDict[tuple[str, str], _RecentSecret] = field(init=False, factory=OrderedDict, repr=False)

    async def open(self, one: SealedSigningSecret) -> Secret:
        """Return a signing secret; raises the errors of :attr:`unseal`."""
        key = (one.context.id, one.sealed)
        found = self._opened.get(key)
        if found is not None and self.monotonic() < found.until:
            return found.secret
        secret = await self.unseal(one)
        self._opened[key] = _RecentSecret(secret, self.monotonic() + KEPT_FOR)
        self._opened.move_to_end(key)
        while len(self._opened) > MAX_KEPT:
            self._opened.popitem(last=False)
        return secret
