"""Two vendors on one registry, and everybody who might want what is not theirs."""

from collections.abc import Mapping

import pytest
from attrs import frozen

from tests.support.oci import Image
from tests.support.registry_client import Client
from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_license, make_member, make_team, unique

ANNEX, EVIL = Image(b"the annex"), Image(b"evil")
"""In ``ANNEX-APP/img:1`` and ``EVIL-APP/img:1``."""

ATTACKERS = (
    "another team's owner",
    "a colleague limited to another app",
    "a license of another app of the team",
    "a license of another team",
    "nobody",
)


@frozen
class World:
    """Two teams; the first has two apps, and an image in the first of them is what the others are after.

    Attributes:
        stack: that serves them.
        vault: the app with the image, ``VAULT/product:1``.
        annex: the other app of the same team.
        rivals: the other team.
        evil: the app of the other team, whose slug begins like the vault's.
        owner: of the first team.
        customer: who holds a license for the vault.
        attackers: by name; with the repository that is their own, if they have one.
        image: in the vault.
    """

    stack: Stack
    vault: str
    annex: str
    rivals: str
    evil: str
    owner: Account
    customer: License
    attackers: Mapping[str, tuple[Account | None, str]]
    image: Image

    @property
    def product(self) -> str:
        """The repository that the others are after."""
        return f"{self.vault}/product"

    def client(self, attacker: str) -> Client:
        """Return a client that signs in as ``attacker``."""
        return Client(self.stack.port, self.attackers[attacker][0])

    def own(self, attacker: str) -> str:
        """Return the repository that ``attacker`` may use."""
        return self.attackers[attacker][1]


@pytest.fixture(scope="session")
def world(stack: Stack) -> World:
    """Return the two vendors."""
    vault, annex = unique("vault"), unique("annex")
    evil = f"{vault}-evil"
    team = make_team(stack, vault, annex)
    other = make_team(stack, evil)
    owner = make_member(stack, team, "owner")
    image = Image(f"the product of {vault}".encode())
    client = Client(stack.port, owner)
    client.push(f"{vault}/product", "1", image)
    client.push(f"{annex}/img", "1", ANNEX)
    rival = make_member(stack, other, "owner")
    Client(stack.port, rival).push(f"{evil}/img", "1", EVIL)
    accounts = (
        (rival, f"{evil}/img"),
        (make_member(stack, team, "owner", annex), f"{annex}/img"),
        (make_license(stack, annex).account, f"{annex}/img"),
        (make_license(stack, evil).account, f"{evil}/img"),
        (None, f"{evil}/img"),
    )
    attackers = dict(zip(ATTACKERS, accounts, strict=True))
    return World(stack, vault, annex, other, evil, owner, make_license(stack, vault), attackers, image)
