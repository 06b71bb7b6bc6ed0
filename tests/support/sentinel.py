"""A primary, its replica and a sentinel that watches them, all real."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attrs import define

from authsvc.redaction import Secret
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, redis_server
from tests.support.upstream_tls import CertificateFiles, UpstreamAuthority
from tests.support.waiting import PATIENCE

USER, PASSWORD = "authsvc", "of-the-store"
SENTINEL_USER, SENTINEL_PASSWORD = "watcher", "of-the-sentinels"
"""Who signs in where an authority is given."""


@define
class Watched:
    """A primary, its replica and the sentinel that watches them.

    Attributes:
        port: of the sentinel.
        replica_port: of the one who is to be primary next.
        authority: of the certificates of all three; None when nothing is encrypted and nobody signs in.
    """

    primary: RedisServer
    port: int
    replica_port: int
    authority: UpstreamAuthority | None = None

    @property
    def url(self) -> Secret:
        """What names the primary of the moment."""
        if self.authority is None:
            return Secret(f"redis+sentinel://127.0.0.1:{self.port}/main")
        signed_in = f"sentinel_username={SENTINEL_USER}&sentinel_password={SENTINEL_PASSWORD}"
        options = f"{signed_in}&ssl_ca_certs={self.authority.file}"
        return Secret(f"rediss+sentinel://{USER}:{PASSWORD}@127.0.0.1:{self.port}/main?{options}")

    async def ask(self, *command: str) -> list[str]:
        """Ask the sentinel something and return the lines of its answer."""
        client: tuple[str, ...] = ("redis-cli", "-p", str(self.port))
        if self.authority is not None:
            signed_in = ("--user", SENTINEL_USER, "--pass", SENTINEL_PASSWORD, "--no-auth-warning")
            client = (*client, "--tls", "--cacert", str(self.authority.file), *signed_in)
        asked = await asyncio.create_subprocess_exec(*client, *command, stdout=asyncio.subprocess.PIPE)
        return (await asked.communicate())[0].decode().splitlines()

    async def until(self, line: str, *command: str) -> None:
        """Ask until an answer has this line."""
        async with asyncio.timeout(PATIENCE):
            while line not in await self.ask(*command):
                await asyncio.sleep(0.1)


def tls_lines(authority: UpstreamAuthority, files: CertificateFiles) -> dict[str, str]:
    """Return the settings with which a Redis or a sentinel speaks TLS, also to the others."""
    return {
        "tls-cert-file": str(files.certificate),
        "tls-key-file": str(files.key),
        "tls-ca-cert-file": str(authority.file),
        "tls-auth-clients": "no",
        "tls-replication": "yes",
    }


@asynccontextmanager
async def watched_primary(authority: UpstreamAuthority | None = None) -> AsyncIterator[Watched]:
    """Yield them once the sentinel knows the replica.

    Args:
        authority: with it all three speak nothing but TLS, and the client signs in to both Redis and the sentinel.
    """
    first, second, third = free_port(), free_port(), free_port()
    port, lines = ("--port", {"port": str(third)}) if authority is None else _encrypted(third)
    secure = {} if authority is None else tls_lines(authority, authority.issue("127.0.0.1"))
    options = [word for name, value in secure.items() for word in (f"--{name}", value)]
    if authority is not None:
        options += ["--user", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all"]
    local = ("--bind", "127.0.0.1", "--repl-diskless-sync-delay", "0", *options, port)
    async with (
        redis_server(*local, str(first)) as primary,
        redis_server(*local, str(second), "--replicaof", "127.0.0.1", str(first)) as replica,
    ):
        file = replica.folder / "sentinel.conf"
        settings = "".join(f"{name} {value}\n" for name, value in {**lines, **secure}.items())
        users = "" if authority is None else f"user default off\nuser {SENTINEL_USER} on >{SENTINEL_PASSWORD} +@all\n"
        file.write_text(f"{settings}{users}bind 127.0.0.1\nsentinel monitor main 127.0.0.1 {first} 1\n")
        sentinel = await asyncio.create_subprocess_exec(
            *("redis-server", str(file), "--sentinel"), stdout=asyncio.subprocess.DEVNULL
        )
        try:
            watched = Watched(primary, third, second, authority)
            await watched.until(f"127.0.0.1:{second}", "SENTINEL", "REPLICAS", "main")
            await watched.until("ok", "SENTINEL", "REPLICAS", "main")  # master-link-status
            yield watched
        finally:
            sentinel.terminate()
            await sentinel.wait()


def _encrypted(port: int) -> tuple[str, dict[str, str]]:
    """Return the option of a Redis for its port, and the settings of a sentinel for its own."""
    return "--tls-port", {"port": "0", "tls-port": str(port)}
