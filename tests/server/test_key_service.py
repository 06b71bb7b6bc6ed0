"""The key service answers what it should, refuses the rest, and survives hostile peers."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest

from authsvc.credentials.machine_secret import derive_license_token
from authsvc.errors import Conflict, InputRefused, Overloaded, SignerUnavailable
from authsvc.keys import messages
from authsvc.keys.client import DONE, REFUSED, UNAVAILABLE, KeyServiceClient
from authsvc.keys.file_names import LICENSE_SIGNING_KEY, SERVICE_KEYS
from authsvc.keys.messages import (
    MAX_REPLY,
    MAX_REQUEST,
    DeriveLicenseToken,
    InstallKey,
    ListLicenseKeys,
    encode_request,
)
from authsvc.keys.seal_context import SealContext
from authsvc.keys.service_key_files import load_license_token_key
from authsvc.keys.service_keys import present_keys
from authsvc.logs import make_logger
from authsvc.server import key_service as key_service_module
from authsvc.server import key_sockets
from authsvc.server.key_service import KeyService
from tests.support.key_service import exchange, key_service, make_keys, real_key_service
from tests.support.stack import short_folder
from tests.support.waiting import PATIENCE

ID = "0" * 16
NOBODY = 65534
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to become another user")
CONTEXT = SealContext("ecr_token", "acme", "link1", 1)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a directory with new keys."""
    return make_keys(tmp_path / "keys")


async def works(client: KeyServiceClient) -> bool:
    """Return whether an operation succeeds."""
    try:
        return bool(await client.license_keys())
    except SignerUnavailable:
        return False


async def test_every_operation(keys: Path) -> None:
    """All that workers may ask for, over a socket pair, counted by name and outcome."""
    counted: list[tuple[str, str]] = []
    async with key_service(keys) as channel:
        client = KeyServiceClient.on_socket(channel, lambda *one: counted.append(one))
        signature = await client.sign_license(b'{"id":"x"}')
        token = await client.derive_license_token(ID, 1)
        (jwk,) = await client.license_keys()
        sealed = await client.seal(b"\x00secret", CONTEXT)
        opened = await client.unseal(sealed, CONTEXT)
        with pytest.raises(Conflict, match="sealed for something else"):
            await client.unseal(sealed, SealContext("ecr_token", "globex", "link1", 1))
        with pytest.raises(InputRefused):
            await client.sign_license(b"x")

    assert signature.count(".") == 2
    assert token == derive_license_token(load_license_token_key(keys), ID, 1)
    assert jwk["kty"] == "EC"
    assert "d" not in jwk
    assert opened == b"\x00secret"
    assert counted == [
        *((name, DONE) for name in ("sign_license", "derive_license_token", "list_license_keys", "seal", "unseal")),
        ("unseal", REFUSED),
        ("sign_license", REFUSED),
    ]


HOSTILE = {
    "junk": b"\x00\xff junk",
    "half a message": encode_request(9, DeriveLicenseToken(ID, 1))[:-9],
    "too long": b'{"number": 9, "operation": "' + b"x" * MAX_REQUEST,
    "longer than any buffer for it": b"x" * (MAX_REQUEST * 4),
    "administration": encode_request(9, InstallKey("sealing.key", b"x")),
    "deep": b"[" * (MAX_REQUEST - 1),
}


@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_messages(keys: Path, kind: str) -> None:
    """Each is refused and logged without its content, and the next request is answered as if nothing had been."""
    log = StringIO()
    async with key_service(keys, log=log) as channel:
        refused = await exchange(channel, HOSTILE[kind])
        answered = await exchange(channel, encode_request(2, DeriveLicenseToken(ID, 1)))

    assert "result" not in refused
    assert refused["refused"] in {messages.INVALID, messages.TOO_LONG}
    assert "result" in answered
    (line,) = log.getvalue().splitlines()
    assert json.loads(line)["event"] == "key_service.refused"
    assert "xxx" not in line


async def test_no_secret_is_logged(keys: Path) -> None:
    """Refusals that had a secret in them do not show it, and nothing that is answered is logged."""
    log = StringIO()
    async with key_service(keys, log=log) as channel:
        client = KeyServiceClient.on_socket(channel)
        token = await client.derive_license_token(ID, 1)
        sealed = await client.seal(b"upstream-password", CONTEXT)
        with pytest.raises(Conflict):
            await client.unseal(sealed, SealContext("ecr_token", "acme", "link1", 2))
        with pytest.raises(InputRefused):
            await client.sign_license(b"upstream-password")
    said = log.getvalue()

    assert said.count("key_service.refused") == 1, "refusals of one second are one line"
    assert token.text.reveal() not in said
    assert "upstream-password" not in said
    assert sealed not in said


async def test_the_rate_is_bounded(keys: Path) -> None:
    """Above its rate a worker waits; what would wait longer than its deadline is refused as overloaded."""
    seconds = asyncio.get_running_loop().time
    async with key_service(keys, rate=20, burst=5) as channel:
        client = KeyServiceClient.on_socket(channel)
        began = seconds()
        await asyncio.gather(*(client.license_keys() for _ in range(15)))
        assert seconds() - began >= (15 - 5) / 20
        client.turn_deadline = 0.2
        ended = await asyncio.gather(*(client.license_keys() for _ in range(20)), return_exceptions=True)
        assert isinstance(ended[0], list)
        assert isinstance(ended[-1], Overloaded)
        assert await client.license_keys()


async def test_an_older_key_service_refuses_above_the_rate() -> None:
    """One that does not let operations wait is understood as well."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        far.send(b'{"number": 1, "refused": "too_fast", "reason": "too many operations"}')
        with pytest.raises(Overloaded):
            await KeyServiceClient.on_socket(near).license_keys()


async def test_one_that_does_not_answer_costs_its_deadline_once() -> None:
    """Operations that wait behind one without an answer end with it, and do not wait as long again."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    seconds = asyncio.get_running_loop().time
    with near, far:
        client = KeyServiceClient.on_socket(near, deadline=0.3)
        began = seconds()
        ended = await asyncio.gather(*(client.license_keys() for _ in range(50)), return_exceptions=True)
        assert all(isinstance(one, SignerUnavailable) for one in ended)
        assert seconds() - began < 0.3 * 25


async def test_one_that_floods_does_not_starve_others(keys: Path) -> None:
    """While one peer sends as fast as it can, another one is answered."""
    async with key_service(keys) as noisy, key_service(keys) as calm:

        async def flood() -> None:
            loop = asyncio.get_running_loop()
            while True:
                await loop.sock_sendall(noisy, b"junk")
                await loop.sock_recv(noisy, MAX_REPLY)

        flooding = asyncio.create_task(flood())
        client = KeyServiceClient.on_socket(calm, deadline=PATIENCE)
        for _ in range(20):
            assert await client.license_keys()
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)


async def test_one_that_takes_no_replies_is_hung_up_on(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that sends and never reads costs a bounded buffer and not the process."""
    monkeypatch.setattr(key_service_module, "REPLY_DEADLINE", 0.2)
    async with key_service(keys) as channel:
        packet = encode_request(1, ListLicenseKeys())

        async def send() -> None:
            while True:
                await asyncio.get_running_loop().sock_sendall(channel, packet)

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            await asyncio.wait_for(send(), PATIENCE)


async def test_late_replies_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reply that comes after its deadline is not taken for that to the next request."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        client = KeyServiceClient.on_socket(near, deadline=0.1)
        with pytest.raises(SignerUnavailable):
            await client.seal(b"x", CONTEXT)
        far.send(b'{"number": 1, "result": {"sealed": "late"}}')
        far.send(b'{"number": 2, "result": {"sealed": "right"}}')
        client.deadline = PATIENCE
        assert await client.seal(b"x", CONTEXT) == "right"


@pytest.mark.parametrize("reply", [b"junk", b"[]", b'{"number": 1, "result": {}}', b'{"number": 1, "result": 3}'])
async def test_strange_replies(reply: bytes) -> None:
    """A reply that makes no sense is as good as none."""
    counted: list[tuple[str, str]] = []
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        far.send(reply)
        client = KeyServiceClient.on_socket(near, lambda *one: counted.append(one))
        with pytest.raises(SignerUnavailable):
            await client.derive_license_token(ID, 1)


async def test_keys_that_cannot_be_used(keys: Path) -> None:
    """A key file that is open to others is refused; the caller learns that keys are unavailable and no path."""
    counted: list[tuple[str, str]] = []
    (keys / LICENSE_SIGNING_KEY).chmod(0o644)
    async with key_service(keys) as channel:
        client = KeyServiceClient.on_socket(channel, lambda *one: counted.append(one))
        with pytest.raises(SignerUnavailable) as refusal:
            await client.license_keys()

    assert str(keys) not in str(refusal.value)
    assert LICENSE_SIGNING_KEY in str(refusal.value.detail)
    assert counted == [("list_license_keys", UNAVAILABLE)]


async def test_a_process_of_its_own(tmp_path: Path) -> None:
    """It starts without keys, creates them when it is told to, and rotates them; users cannot do that."""
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    async with real_key_service(tmp_path, folder) as service:
        client, admin = service.client(), service.admin()
        with pytest.raises(SignerUnavailable):
            await client.license_keys()
        assert await admin.present_keys() == ()
        assert set(await admin.create_keys()) < set(SERVICE_KEYS)
        (before,) = await client.license_keys()
        sealed = await client.seal(b"secret", CONTEXT)
        kid, name = await admin.rotate_license_key(), await admin.rotate_sealing_key()
        with pytest.raises(InputRefused):
            await client.rotate_license_key()
        with pytest.raises(InputRefused):
            await client.install_key("sealing.key", b"x")
        assert [key["kid"] for key in await client.license_keys()] == [kid, before["kid"]]
        assert (await client.seal(b"secret", CONTEXT)).split(".")[1] == name
        assert await client.unseal(sealed, CONTEXT) == b"secret"
        assert set(await admin.present_keys()) == set(SERVICE_KEYS) == set(present_keys(folder))
        assert service.socket.stat().st_mode & 0o777 == 0o660
        service.process.terminate()
        assert await asyncio.wait_for(service.process.wait(), PATIENCE) == 0
        assert not service.socket.exists()
        with pytest.raises(SignerUnavailable):
            await client.license_keys()


async def test_a_stopped_process_costs_the_deadline(tmp_path: Path, keys: Path) -> None:
    """A client waits for one that is stopped no longer than its deadline, and is served when it goes on."""
    async with real_key_service(tmp_path, keys) as service:
        assert await works(service.client())
        service.process.send_signal(signal.SIGSTOP)
        began = asyncio.get_running_loop().time()
        assert not await works(service.client(deadline=0.5))
        assert asyncio.get_running_loop().time() - began < PATIENCE / 10
        service.process.send_signal(signal.SIGCONT)
        assert await works(service.client(deadline=PATIENCE))


async def test_a_killed_process_leaves_no_dead_socket(tmp_path: Path, keys: Path) -> None:
    """The next one listens in the place of the socket that a killed one left."""
    async with real_key_service(tmp_path, keys) as service:
        service.process.kill()
        await service.process.wait()
        assert service.socket.exists()
        assert not await works(service.client())
        async with real_key_service(tmp_path, keys) as again:
            client = again.client()

            async def served() -> None:
                while not await works(client):
                    await asyncio.sleep(0.05)

            await asyncio.wait_for(served(), PATIENCE)


ASK = f"""
import socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
    channel.settimeout({PATIENCE})
    channel.connect(sys.argv[1])
    channel.send(b'{{"number": 1, "operation": "list_license_keys"}}')
    sys.exit(0 if b"result" in channel.recv(65536) else 3)
"""


@pytest.mark.parametrize(
    ("uid", "gid", "served"),
    [
        (os.geteuid(), os.getegid(), True),
        pytest.param(NOBODY, os.getegid(), True, marks=AS_ROOT),
        pytest.param(NOBODY, NOBODY, False, marks=AS_ROOT),
    ],
)
async def test_who_may_connect(
    keys: Path, monkeypatch: pytest.MonkeyPatch, uid: int, gid: int, *, served: bool
) -> None:
    """The kernel says who connects: the same user and the same group are served, whatever the mode of the socket."""
    monkeypatch.setattr(key_sockets, "SOCKET_MODE", 0o666)
    log = StringIO()
    with short_folder() as folder:
        folder.chmod(0o755)
        async with key_sockets.listening(KeyService(keys, make_logger("info", log)), folder / "keys.sock"):
            process = await asyncio.create_subprocess_exec(
                *("/usr/bin/python3", "-ISc", ASK, str(folder / "keys.sock")), user=uid, group=gid, extra_groups=[]
            )
            code = await asyncio.wait_for(process.wait(), PATIENCE)

    assert (code == 0) == served
    assert ("key_service.peer_refused" in log.getvalue()) != served


FLOOD = """
import socket, sys, threading
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
    channel.connect(sys.argv[1])

    def send():
        while True:
            channel.send(b'{"number": 1, "operation": "list_license_keys"}')

    threading.Thread(target=send, daemon=True).start()
    while channel.recv(65536):
        print(flush=True)
"""

CONNECT = """
import socket, sys
while True:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
        channel.connect(sys.argv[1])
"""


@asynccontextmanager
async def hostile(code: str, path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program of the same user against a socket."""
    process = await asyncio.create_subprocess_exec(
        *("/usr/bin/python3", "-ISc", code, str(path)), stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def test_held_connections_lock_nobody_out(tmp_path: Path, keys: Path) -> None:
    """One that holds as many connections as there may be loses the oldest to whoever comes next."""
    async with real_key_service(tmp_path, keys) as service:
        with ExitStack() as held:
            for _ in range(key_sockets.MAX_CONNECTIONS + 10):
                one = held.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
                await asyncio.to_thread(one.connect, str(service.socket))
            assert [await works(service.client(PATIENCE)) for _ in range(20)] == [True] * 20


async def test_a_flooded_socket_serves_the_others(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One connection that uses up the rate of its user gets its share, and another one of that user the same."""
    monkeypatch.setattr(key_sockets, "SOCKET_RATE", 100.0)
    monkeypatch.setattr(key_sockets, "SOCKET_BURST", 10.0)
    with short_folder() as folder:
        path = folder / "keys.sock"
        service = KeyService(keys, make_logger("info", StringIO()))
        async with key_sockets.listening(service, path), hostile(FLOOD, path) as flood:
            assert flood.stdout is not None
            began = asyncio.get_running_loop().time()
            for _ in range(20):
                await asyncio.wait_for(flood.stdout.readline(), PATIENCE)
            assert [await works(KeyServiceClient.at(path, deadline=PATIENCE)) for _ in range(20)] == [True] * 20
            assert asyncio.get_running_loop().time() - began >= (20 + 20 - 10) / 100


async def test_many_who_connect_do_not_starve_others(tmp_path: Path, keys: Path) -> None:
    """While processes connect as fast as they can, another one is served, and the log does not grow with them."""
    async with real_key_service(tmp_path, keys) as service:
        async with hostile(CONNECT, service.socket), hostile(CONNECT, service.socket):
            assert [await works(service.client(PATIENCE)) for _ in range(20)] == [True] * 20
        assert len(service.log.read_text().splitlines()) < 20
