"""Signing by turns: single requests wait for nothing, and of concurrent ones each gets its own token or error."""

import asyncio
from typing import Any

from attrs import Factory, define

from authsvc.batch_signer import BatchSigner
from authsvc.errors import SignerUnavailable


@define
class Signs:
    """Stands for the signer, which is a boundary: notes what it signs, and refuses what is to be refused."""

    signed: list[int] = Factory(list)

    def sign(self, claims: dict[str, Any]) -> str:
        """Return a text that belongs to these claims."""
        self.signed.append(claims["exp"])
        if claims.get("refused"):
            raise SignerUnavailable(f"not {claims['exp']}")
        return f"token {claims['exp']}"


def at_once(signer: BatchSigner, number: int) -> str | None:
    """Return the token for a request, or None if it has to wait."""
    signing = signer.sign({"exp": number})
    try:
        signing.send(None)
    except StopIteration as done:
        return str(done.value)
    finally:
        signing.close()
    return None


async def gathering(signer: BatchSigner) -> BatchSigner:
    """Return the signer after a turn with two requests."""
    await asyncio.gather(*(signer.sign({"exp": number}) for number in range(2)))
    await asyncio.sleep(0)
    return signer


async def test_single_requests_wait_for_nothing() -> None:
    """One request a turn, however many turns, is answered in its own turn."""
    signer = BatchSigner(Signs())
    for number in range(5):
        assert f"token {number}" == at_once(signer, number)
        await asyncio.sleep(0)


async def test_concurrent_requests_are_signed_together() -> None:
    """After a turn with several, those of a turn wait for its end; after one with one, nobody waits any more."""
    signs = Signs()
    signer = await gathering(BatchSigner(signs))
    signs.signed.clear()
    asked = [asyncio.create_task(signer.sign({"exp": number})) for number in range(16)]
    await asyncio.sleep(0)
    assert [] == signs.signed

    assert [f"token {number}" for number in range(16)] == await asyncio.gather(*asked)
    assert list(range(16)) == signs.signed
    assert "token 99" == await signer.sign({"exp": 99})
    await asyncio.sleep(0)
    assert "token 100" == at_once(signer, 100)


async def test_each_request_gets_its_own_error() -> None:
    """An error about one token does not affect the others in its batch."""
    signer = await gathering(BatchSigner(Signs()))
    claims = [{"exp": number, "refused": number == 1} for number in range(3)]
    first, second, third = await asyncio.gather(*map(signer.sign, claims), return_exceptions=True)

    assert ("token 0", "token 2") == (first, third)
    assert isinstance(second, SignerUnavailable)
    assert "not 1" == str(second)


async def test_whoever_has_gone_gets_no_token() -> None:
    """A request that was cancelled while it waited is not signed, and the others are."""
    signs = Signs()
    signer = await gathering(BatchSigner(signs))
    signs.signed.clear()
    asked = [asyncio.create_task(signer.sign({"exp": number})) for number in range(3)]
    await asyncio.sleep(0)
    asked[1].cancel()
    done = await asyncio.gather(*asked, return_exceptions=True)

    assert ["token 0", "token 2"] == [done[0], done[2]]
    assert isinstance(done[1], asyncio.CancelledError)
    assert [0, 2] == signs.signed
