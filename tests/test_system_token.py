"""The server's own tokens: who, for how long, and exactly what for, by the registry's rules of every version."""

from datetime import timedelta

import pytest

from authsvc.issuance import ISSUER
from authsvc.system_token import LIFE, SystemTokens
from tests.support.builders import NOW, SERVICE, Root
from tests.support.registry_rules import Major, Refused, Registry

ROOT = Root.make()
TOKENS = SystemTokens(ROOT.leaf(), SERVICE, lambda: "t1")


@pytest.mark.parametrize("major", [2, 3])
def test_what_a_token_opens(major: Major) -> None:
    """One repository with the actions named, the catalog alone, or nothing; for a minute and the registry's leeway."""
    rules = Registry(major, (ROOT.certificate,), ISSUER, SERVICE)
    delete = TOKENS.for_repository("acme/api", ("pull", "delete"), NOW).reveal()

    assert rules.check(delete, NOW) == {("repository", "acme/api"): {"delete", "pull"}}
    assert rules.check(TOKENS.for_catalog(NOW).reveal(), NOW) == {("registry", "catalog"): {"*"}}
    assert rules.check(TOKENS.for_probe(NOW).reveal(), NOW) == {}
    assert LIFE <= timedelta(minutes=1)
    with pytest.raises(Refused, match="A3"):
        rules.check(delete, NOW + LIFE + timedelta(seconds=61))


@pytest.mark.parametrize(
    ("repository", "actions"),
    [("acme/*", ("pull",)), ("", ("pull",)), ("HOST:5000/x", ("pull",)), ("acme/api", ()), ("acme/api", ("*",))],
)
def test_no_token_for_more_than_is_named(repository: str, actions: tuple[str, ...]) -> None:
    """A pattern, another host, all actions and none are mistakes of the caller."""
    with pytest.raises(ValueError, match=r"repository|no token"):
        TOKENS.for_repository(repository, actions, NOW)
