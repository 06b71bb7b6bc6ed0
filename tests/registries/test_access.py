"""Which token a request gets."""

from datetime import datetime, timedelta

from authsvc.registries.access import MAX_KEPT, RegistryAccess
from authsvc.system_token import LIFE, SystemTokens
from tests.support.builders import NOW, SERVICE, Root


class Clock:
    """A present that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        """Return the present."""
        return self.now


def access(clock: Clock) -> RegistryAccess:
    """Return access with tokens that all differ."""
    numbers = iter(range(10_000))
    return RegistryAccess(SystemTokens(Root.make().leaf(), SERVICE, lambda: str(next(numbers))), clock)


def test_a_token_is_used_for_half_its_life() -> None:
    """Then a new one is made; also when the clock was set back, since the old one may not have begun."""
    clock = Clock()
    tokens = access(clock)
    first = tokens.to("acme/api", "pull").reveal()

    clock.now = NOW + LIFE / 2 - timedelta(seconds=1)
    assert tokens.to("acme/api", "pull").reveal() == first
    clock.now = NOW + LIFE / 2
    second = tokens.to("acme/api", "pull").reveal()
    assert second != first
    clock.now = NOW - timedelta(hours=1)
    assert tokens.to("acme/api", "pull").reveal() not in {first, second}


def test_each_scope_has_its_own_token() -> None:
    """Repository, actions and the catalog are told apart."""
    tokens = access(Clock())
    made = {
        tokens.to("acme/api", "pull").reveal(),
        tokens.to("acme/api", "pull", "delete").reveal(),
        tokens.to("acme/web", "pull").reveal(),
        tokens.to_catalog().reveal(),
    }
    assert len(made) == 4


def test_few_are_kept() -> None:
    """Those used last stay."""
    tokens = access(Clock())
    first = tokens.to("acme/api", "pull").reveal()
    for number in range(MAX_KEPT - 1):
        tokens.to(f"acme/r{number}", "pull")
    assert tokens.to("acme/api", "pull").reveal() == first
    for number in range(MAX_KEPT):
        tokens.to(f"acme/s{number}", "pull")
    assert tokens.to("acme/api", "pull").reveal() != first
