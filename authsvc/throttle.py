"""How often one may be wrong: named limits and the arithmetic of GCRA (the generic cell rate algorithm).

Only wrong secrets count (design #15). A right one is always looked at: one that comes while its account or address is
over a limit takes the slow lane, where few are looked at at once, and a wrong one there is answered with 429. So a
guesser is slowed down, and nobody is locked out by somebody else's failures.

A bucket's whole state is one instant, the theoretical arrival time (TAT): the moment at which all failures so far
would have been forgiven. It lives in the store; :mod:`authsvc.store.throttle` does :func:`spend` there, in one step.
"""

import ipaddress
from datetime import timedelta
from functools import lru_cache

from attrs import frozen

MAX_DEBT = 2
"""How many times its burst a bucket can be over: an attack that has ended is forgiven in bounded time."""

IPV6_NETWORK = 64
"""Prefix length that one customer of a provider controls (RFC 6177)."""


@frozen
class Limit:
    """A limit on failures.

    Attributes:
        name: part of the bucket's key.
        burst: failures that are free.
        interval: after how long one more is.
    """

    name: str
    burst: int
    interval: timedelta


PAIR = Limit("pair", 10, timedelta(seconds=30))
"""One account from one address: somebody who has forgotten the password, or guesses it."""

ADDRESS = Limit("address", 100, timedelta(seconds=5))
"""One address, all accounts: somebody who tries one password on many."""

ACCOUNT = Limit("account", 100, timedelta(seconds=60))
"""One account, all addresses: somebody with many machines (NIST SP 800-63B-4 §3.2.2: at most 100)."""


@frozen
class Buckets:
    """The buckets that one failure counts in.

    Attributes:
        account: what was tried: an id, or an address that belongs to nobody.
        network: from where, as :func:`network` says.
    """

    account: str
    network: str

    def all(self) -> tuple[tuple[Limit, str], ...]:
        """Return each limit with the text that its bucket is named by."""
        return (
            (PAIR, f"{self.account}\0{self.network}"),
            (ADDRESS, self.network),
            (ACCOUNT, self.account),
        )


def wait(tat: float | None, limit: Limit, now: float) -> float:
    """Return for how many seconds the bucket is over its limit; 0 when it is not.

    Args:
        tat: the bucket's state in Unix seconds, or None when nothing failed lately.
        limit: the bucket's limit.
        now: in Unix seconds.
    """
    if tat is None:
        return 0.0
    return max(0.0, tat - now - (limit.burst - 1) * limit.interval.total_seconds())


def spend(tat: float | None, limit: Limit, now: float) -> float:
    """Return the bucket's state after one more failure."""
    interval = limit.interval.total_seconds()
    return min(max(tat or now, now) + interval, now + MAX_DEBT * limit.burst * interval)


@lru_cache(4096)
def network(address: str | None) -> str:
    """Return what an address counts as: itself for IPv4, its /64 for IPv6, and one name for everything unknown."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, IPV6_NETWORK), strict=False))
    return str(parsed)
