"""Rate limits for wrong passwords: named limits, and the arithmetic of GCRA (the generic cell rate algorithm).

A guess is counted in every bucket **before** it is evaluated, in one atomic step, and taken back when it was
right or was not evaluated after all. So the number of wrong guesses that are ever evaluated is bounded, however many
come at once (design #15, docs/throttle.md).

The state of a bucket is one instant, the theoretical arrival time (TAT): the moment at which all its guesses would
expire. It is kept in the store; :mod:`authsvc.store.throttle` does the same arithmetic there.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from datetime import timedelta

from attrs import frozen

WRONG_LIFE = timedelta(hours=1)
"""How long a wrong password is recognised when it is repeated."""

MAX_WRONG = 16
"""Most wrong passwords that are remembered for one account and network; the oldest are dropped first."""

KNOWN_LIFE = timedelta(days=90)
"""How long after the last sign-in from a network it stays known to the account."""

MAX_KNOWN = 32
"""Most networks that are known to one account; the longest unused are dropped first."""


@frozen(eq=False)
class Limit:
    """A limit on wrong secrets. Each is a constant of its own, compared by identity: they are the keys of :data:`TATs`.

    Attributes:
        name: part of the bucket's key.
        burst: how many wrong secrets are free.
        interval: time after which one more is free.
    """

    name: str
    burst: int
    interval: timedelta


PAIR = Limit("pair", 10, timedelta(seconds=30))
"""One account from one network: a person who has forgotten the password, or guesses it."""

NETWORK = Limit("network", 100, timedelta(seconds=5))
"""One network, all accounts: a client that tries one password on many."""

ACCOUNT = Limit("account", 100, timedelta(seconds=60))
"""One account, all networks that it has not signed in from before (NIST SP 800-63B-4 §3.2.2: at most 100)."""

PASSWORD_LIMITS = (PAIR, NETWORK, ACCOUNT)

MACHINE = Limit("machine", 10, timedelta(seconds=30))
"""Unknown secrets for one machine credential from one network. Separate from the buckets
of passwords: a cluster with an outdated token must not prevent people behind the same address from signing in."""

MACHINE_NETWORK = Limit("machine-network", 100, timedelta(seconds=5))
"""Unknown machine secrets from one network."""

MACHINE_LIMITS = (MACHINE, MACHINE_NETWORK)

CHOICE = Limit("choice", 10, timedelta(seconds=30))
"""New passwords for one member or by one one-time link. Each occupies a core for some tenths of a second."""

TATs = Mapping[Limit, float | None]
"""State of each bucket in Unix seconds; None when nothing is counted in it."""


@frozen
class Attempt:
    """One password that is tried for one account from one network.

    Attributes:
        email: canonical; the key of the buckets, whether an account has it or not.
        account_id: of the member, or None when the address belongs to none.
        network: of the client (:func:`authsvc.client.network_of`).
        guess: keyed digest of the password (:func:`guess_digest`); hexadecimal.
        exempts: whether a network that the account has signed in from is exempt from :data:`ACCOUNT`.
    """

    email: str
    account_id: str | None
    network: str
    guess: str
    exempts: bool = True


@frozen
class Admission:
    """The throttle's reply to an attempt.

    Attributes:
        repeated: this password was wrong here within the last hour: it is not counted, and need not be evaluated again.
        wait: seconds until a guess may be evaluated; if above 0, this one may not be, and is not counted.
        known: the account has signed in from this network before, and that exempts it from :data:`ACCOUNT`.
    """

    repeated: bool = False
    wait: float = 0.0
    known: bool = False

    @property
    def admitted(self) -> bool:
        """Whether the password may be evaluated; if so, the attempt is counted and must be settled."""
        return not self.repeated and self.wait <= 0

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The limits that apply; an admitted attempt is counted in their buckets."""
        return limits_of(known=self.known)


def limits_of(*, known: bool) -> tuple[Limit, ...]:
    """Return the limits for a network that is ``known`` to the account, or not."""
    return (PAIR, NETWORK) if known else PASSWORD_LIMITS


def bucket(limit: Limit, who: str, network: str) -> str:
    """Return the key of the bucket of ``limit``; it is never shown, and always hashed.

    Args:
        limit: the limit.
        who: an e-mail address, or the id of a machine credential.
        network: of the client.
    """
    if limit in {NETWORK, MACHINE_NETWORK}:
        return network
    return who if limit is ACCOUNT else f"{who}\0{network}"


def wait(tat: float | None, limit: Limit, now: float) -> float:
    """Return for how many seconds the bucket is over its limit; 0 when it is not.

    Args:
        tat: the bucket's state in Unix seconds, or None when nothing is counted in it.
        limit: the bucket's limit.
        now: in Unix seconds.
    """
    if tat is None:
        return 0.0
    return max(0.0, tat - now - (limit.burst - 1) * limit.interval.total_seconds())


def longest_wait(tats: TATs, limits: Iterable[Limit], now: float) -> float:
    """Return for how many seconds the worst bucket of ``limits`` is over its limit; 0 when none is."""
    return max(wait(tats.get(limit), limit, now) for limit in limits)


def spend(tat: float | None, limit: Limit, now: float) -> float:
    """Return the bucket's state after one more guess. It never exceeds the burst; one guess per interval is free."""
    interval = limit.interval.total_seconds()
    return min(max(tat or now, now) + interval, now + limit.burst * interval)


def refund(tat: float | None, limit: Limit, now: float) -> float | None:
    """Return the bucket's state after a guess is taken back, or None when the bucket is then empty."""
    if tat is None:
        return None
    earlier = tat - limit.interval.total_seconds()
    return earlier if earlier > now else None


def guess_digest(key: bytes, account: str, password: bytes) -> str:
    """Return the keyed digest that represents a password in the store, hexadecimal.

    Args:
        key: 32 random bytes that are never stored beside it (docs/decisions/0017-throttle-before-evaluation.md).
        account: everything that the right password depends on, so that no guess is recognised after a change.
        password: UTF-8.
    """
    return hmac.digest(key, account.encode() + b"\0" + password, hashlib.sha256).hex()
