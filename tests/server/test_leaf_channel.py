"""How a worker gets its certificate, over a real socket pair."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.errors import SecretsRefused, SignerUnavailable
from authsvc.keys.authority import Authority
from authsvc.keys.files import public_pem
from authsvc.server.leaf_channel import LeafIssuer, LeafRequester
from authsvc.signing.root import fingerprint
from tests.support.builders import NOW, Root
from tests.support.waiting import PATIENCE

LIFE = timedelta(hours=24)
P_384 = public_pem(ec.generate_private_key(ec.SECP384R1()).public_key()).decode()


@define
class Parent:
    """The parent's side with what it was told."""

    load: Callable[[], Authority]
    leaves: int = 0
    ready: asyncio.Event = field(factory=asyncio.Event)
    alive: asyncio.Event = field(factory=asyncio.Event)

    def count(self) -> None:
        """Note one certificate."""
        self.leaves += 1


@asynccontextmanager
async def channel(parent: Parent) -> AsyncIterator[LeafRequester]:
    """Yield a worker's end while the parent answers."""
    ours, theirs = socket.socketpair()
    issuer = LeafIssuer(parent.load, LIFE, lambda: NOW)
    answering = asyncio.create_task(issuer.answer(ours, parent.count, parent.ready.set, parent.alive.set))
    requester = await LeafRequester.open(theirs)
    try:
        yield requester
    finally:
        await requester.close()
    await asyncio.wait_for(answering, PATIENCE)


def authority(root: Root, *, offline: bool = False) -> Authority:
    """Return what a secrets directory with ``root`` holds."""
    return Authority(root.certificate, None if offline else root.key, {"keys": [{"kid": "k"}]})


async def test_a_leaf_is_for_a_key_that_never_left_the_worker() -> None:
    """The certificate is under the root and for the worker's own fresh key; the license keys come with it."""
    root = Root.make()
    parent = Parent(lambda: authority(root))
    async with channel(parent) as worker:
        (first, grant), (second, _) = await worker.request(), await worker.request()
    first.certificate.verify_directly_issued_by(root.certificate)
    assert first.key.public_key() == first.certificate.public_key()
    assert (True, 2) == (first.key.public_key() != second.key.public_key(), parent.leaves)
    assert (NOW + LIFE, fingerprint(root.certificate), {"keys": [{"kid": "k"}]}) == (
        first.not_after,
        grant.root,
        grant.license_keys,
    )


async def test_keys_are_read_again_for_every_leaf() -> None:
    """A root that was switched counts from the next request on, without a restart."""
    roots = [Root.make(serial=1), Root.make(serial=2)]
    parent = Parent(lambda: authority(roots[0]))
    async with channel(parent) as worker:
        before, _ = await worker.request()
        parent.load = lambda: authority(roots[1])
        roots.reverse()
        after, _ = await worker.request()
    assert before.certificate.issuer != after.certificate.issuer


async def test_a_damaged_directory_is_an_answer_and_not_the_end() -> None:
    """The worker hears why, keeps its leaf, and the next request works."""
    root, broken = Root.make(), [True]

    def load() -> Authority:
        if broken[0]:
            raise SecretsRefused("the file is open to others")
        return authority(root)

    async with channel(Parent(load)) as worker:
        with pytest.raises(SignerUnavailable) as refused:
            await worker.request()
        broken[0] = False
        leaf, _ = await worker.request()
    assert ("the file is open to others", NOW + LIFE) == (refused.value.detail, leaf.not_after)


async def test_without_the_root_key_nothing_is_signed() -> None:
    """An offline root gives the published keys and no certificate."""
    root = Root.make()
    async with channel(Parent(lambda: authority(root, offline=True))) as worker:
        grant = await worker.published()
        with pytest.raises(SignerUnavailable):
            await worker.request()
    assert (None, {"keys": [{"kid": "k"}]}) == (grant.certificate, grant.license_keys)


async def test_the_parent_hears_when_a_worker_serves() -> None:
    """Between two requests, the message needs no answer."""
    root = Root.make()
    parent = Parent(lambda: authority(root))
    async with channel(parent) as worker:
        await worker.request()
        assert not parent.ready.is_set()
        await worker.tell_ready()
        await worker.request()
        assert parent.ready.is_set()


async def test_the_parent_hears_heartbeats() -> None:
    """Again and again, beside everything else that is said, until the channel ends."""
    parent = Parent(lambda: authority(Root.make()))
    async with channel(parent) as worker:
        beating = asyncio.create_task(worker.send_heartbeats(0.01))
        for _ in range(3):
            parent.alive.clear()
            await asyncio.wait_for(parent.alive.wait(), PATIENCE)
            await worker.request()
    await asyncio.wait_for(beating, PATIENCE)
    assert not parent.ready.is_set()


async def test_a_parent_that_is_gone_is_noticed() -> None:
    """The end of the channel is told at once, and is an error for who waits and for who asks later."""
    ours, theirs = socket.socketpair()
    worker = await LeafRequester.open(theirs)
    asking = asyncio.create_task(worker.request())
    ours.setblocking(False)
    await asyncio.get_running_loop().sock_recv(ours, 1)
    ours.close()
    await asyncio.wait_for(worker.gone.wait(), PATIENCE)
    for question in (asking, worker.request(), worker.published(), worker.tell_ready()):
        with pytest.raises(ConnectionError):
            await question
    await worker.close()


async def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    """A parent that was stopped for a moment answers both questions: the second key gets the second certificate."""
    ours, theirs = socket.socketpair()
    worker = await LeafRequester.open(theirs, deadline=1.0)
    parent = Parent(lambda: authority(Root.make()))
    with pytest.raises(TimeoutError):
        await worker.request()
    asking = asyncio.create_task(worker.request())
    answering = asyncio.create_task(
        LeafIssuer(parent.load, LIFE, lambda: NOW).answer(ours, parent.count, parent.ready.set, parent.alive.set)
    )
    leaf, _ = await asking
    assert 2 == parent.leaves
    assert leaf.key.public_key() == leaf.certificate.public_key()
    await worker.close()
    await answering


async def test_a_mad_parent_is_none() -> None:
    """What is no answer ends the channel, as its end would."""
    for line in (b"nonsense\n", b"[]\n", b"{}\n"):
        ours, theirs = socket.socketpair()
        worker = await LeafRequester.open(theirs)
        ours.send(line)
        await asyncio.wait_for(worker.gone.wait(), PATIENCE)
        await worker.close()
        ours.close()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"[]\n",
        b"{}\n",
        b'{"number": 1, "public_key": 5}\n',
        b'{"number": 1, "public_key": "nonsense"}\n',
        json.dumps({"number": 1, "public_key": P_384}).encode() + b"\n",
    ],
    ids=["no JSON", "no object", "no key", "no text", "no PEM", "another curve"],
)
async def test_a_mad_worker_gets_nothing(line: bytes, tmp_path: Path) -> None:
    """Whatever else a worker says ends the channel, without a certificate and without harm to the parent."""
    ours, theirs = socket.socketpair()
    root = Root.make()
    parent = Parent(lambda: authority(root))
    answering = asyncio.create_task(
        LeafIssuer(parent.load, LIFE, lambda: NOW).answer(ours, parent.count, parent.ready.set, parent.alive.set)
    )
    reader, writer = await asyncio.open_connection(sock=theirs)
    writer.write(line)
    assert (b"", 0) == (await asyncio.wait_for(reader.read(), PATIENCE), parent.leaves)
    writer.close()
    await answering
