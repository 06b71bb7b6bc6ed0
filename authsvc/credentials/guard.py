"""Passwords behind the throttle: who guesses is slowed down, who knows the password gets in (design #15)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol

from authsvc.credentials.origin import Origin
from authsvc.credentials.verifier import PasswordRecord, PasswordVerifier
from authsvc.errors import Overloaded, Throttled
from authsvc.redaction import Secret
from authsvc.throttle import ACCOUNT, PAIR, Buckets, Limit, wait


class Throttle(Protocol):
    """Where failures are counted."""

    async def look(self, buckets: Buckets, known: str) -> tuple[Mapping[Limit, float | None], bool]:
        """Return the state of each bucket, and whether ``known`` was ever used."""
        ...

    async def count(self, buckets: Buckets, method: str, now: datetime) -> float:
        """Count one failure; return for how long the worst bucket was over its limit before."""
        ...

    async def forgive(self, buckets: Buckets) -> None:
        """Forget the failures of this account from this address."""
        ...


class PasswordGuard:
    """Looks at a password in the lane that its account and address deserve."""

    def __init__(self, verifier: PasswordVerifier, throttle: Throttle, on_use: Callable[[str, datetime], None]) -> None:
        """Hash with ``verifier``, count with ``throttle``, and tell ``on_use`` from where an account signed in."""
        self._verifier = verifier
        self._throttle = throttle
        self._on_use = on_use

    async def verify(
        self, record: PasswordRecord | None, email: str, password: Secret, origin: Origin, now: datetime
    ) -> bool:
        """Whether ``password`` is the account's; None for ``record`` costs as much and is never right.

        Raises:
            Throttled: it is wrong, one too many; or so many are wrong that this one was not looked at.
            Overloaded: too many checks wait.
            StoreUnavailable: the throttle can not be asked.
        """
        if self._verifier.remembers(record, email, password, now):
            return True
        account = record.account_id if record is not None else f"?{email}"
        buckets, place = Buckets(account, origin.network), f"{account}@{origin.network}"
        states, has_signed_in_from_here = await self._throttle.look(buckets, place)
        # Somebody else's guesses at my account do not slow me down where I am at home.
        over = max(
            wait(tat, limit, now.timestamp())
            for limit, tat in states.items()
            if not (limit is ACCOUNT and has_signed_in_from_here)
        )
        try:
            right = await self._verifier.verify(record, email, password, now, slow=over > 0)
        except Overloaded:
            if over > 0:
                raise throttled(over, f"{account} from {origin.network}, not looked at") from None
            raise
        if right:
            self._on_use(place, now)
            if states[PAIR] is not None:
                await self._throttle.forgive(buckets)
            return True
        await self._throttle.count(buckets, origin.method, now)
        if over > 0:
            raise throttled(over, f"{account} from {origin.network}")
        return False


def throttled(over: float, detail: str) -> Throttled:
    """Return the refusal of one wrong secret too many."""
    seconds = max(1, round(over))
    return Throttled(f"too many wrong sign-ins; check what you type and wait {seconds} seconds", over, detail=detail)
