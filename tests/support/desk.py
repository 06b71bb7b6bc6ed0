"""An authenticator over a store in memory, with everybody in it."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime

import pytest
from attrs import define, field

from authsvc.client import Client
from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.proof import Proof
from authsvc.credentials.subject import Subject
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.credentials.verifier import PasswordVerifier
from authsvc.errors import CredentialsRefused
from authsvc.redaction import Secret
from tests.support.builders import (
    NOW,
    MemoryFacts,
    check_plainly,
    make_app,
    make_license,
    make_member,
    make_personal_token,
    make_refresh_token,
    make_service_account,
)

HOME = Client(network="192.0.2.1")
RECORDS = (
    make_app("acme"),
    make_app("api"),
    make_member(),
    make_license(),
    make_personal_token(),
    make_refresh_token(),
    make_service_account(),
)


@define
class Desk:
    """An authenticator over a store in memory.

    Attributes:
        facts_reader: the store.
        authenticator: what is tested.
        hashes: how many passwords were checked.
        used: the credentials that were told to have signed in.
        during_hash: what happens while a password is being checked.
    """

    facts_reader: MemoryFacts = field(factory=lambda: MemoryFacts.of(*RECORDS))
    hashes: int = 0
    used: list[str] = field(factory=list)
    during_hash: Callable[[], None] = field(default=lambda: None)
    authenticator: Authenticator = field(init=False)

    def check(self, password: Secret, password_hash: Secret) -> bool:
        """Check, count, and let happen what happens meanwhile."""
        self.hashes += 1
        self.during_hash()
        return check_plainly(password, password_hash)

    async def __call__(self, proof: Proof, *slugs: str, now: datetime = NOW, client: Client = HOME) -> Subject:
        """Ask who it is."""
        return await self.authenticator.authenticate(proof, slugs, client, now)

    async def refusal(self, proof: Proof, now: datetime = NOW, slug: str = "acme") -> CredentialsRefused:
        """Return the error with which ``proof`` is refused."""
        with pytest.raises(CredentialsRefused) as refused:
            await self(proof, slug, now=now)
        return refused.value


@asynccontextmanager
async def opened(*, believing: bool = False) -> AsyncIterator[Desk]:
    """Yield a desk with threads of its own; ``believing`` in what the store had, while it is away."""
    desk = Desk()
    throttle = desk.facts_reader.throttle
    with ThreadPoolExecutor(1) as executor:
        verifier = PasswordVerifier(executor, 1, verify=desk.check)
        passwords = ThrottledPasswords(verifier, PasswordCache(b"k" * 32), throttle, b"g" * 32)
        desk.authenticator = Authenticator(
            desk.facts_reader,
            passwords,
            throttle,
            on_use=lambda name, _: desk.used.append(name),
            recent=desk.facts_reader if believing else None,
        )
        yield desk
