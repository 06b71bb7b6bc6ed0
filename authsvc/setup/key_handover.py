"""Hands the service keys over to a key service in a separate container, through its administration socket.

An installation of an earlier version has them in the secrets volume. Rule: a key is removed there only when the key
service has every key on its disk. If this is interrupted, the next run continues: an existing key is accepted when it
is the same, and refused otherwise.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

from authsvc.atomic_file import sync_folder
from authsvc.errors import Conflict, Overloaded, SetupRefused, SignerUnavailable
from authsvc.keys.client import KeyServiceClient
from authsvc.keys.file_names import LICENSE_SIGNING_KEY, RETIRED_LICENSE_KEYS, SERVICE_KEYS
from authsvc.keys.files import read
from authsvc.keys.service_keys import present_keys, remove_service_keys

STARTED_WITHIN = 30.0
"""Seconds in which the key service, whose container starts at the same time, must answer."""

_ASK_AGAIN = 0.1


def missing_service_keys(socket: Path, secrets: Path) -> tuple[str, ...]:
    """Return the names of the key files that :func:`hand_over` would move or have created.

    Raises:
        SetupRefused: the key service does not answer.
    """
    moved, there = present_keys(secrets), asyncio.run(_present(KeyServiceClient.at(socket)))
    return tuple(name for name in SERVICE_KEYS if name in moved or (name not in there and name != RETIRED_LICENSE_KEYS))


def hand_over(socket: Path, secrets: Path) -> tuple[str, ...]:
    """Move the service keys from the secrets directory to the key service, and have it create those that are missing.

    Args:
        socket: its administration socket.
        secrets: the secrets directory.

    Returns:
        The names of the files that were moved or created.

    Raises:
        SecretsRefused: a key file is unusable.
        SetupRefused: the key service does not answer, or has another key than ``secrets``; nothing is removed.
    """
    return asyncio.run(_hand_over(KeyServiceClient.at(socket), secrets))


def leave_link(secrets: Path, keys: str) -> None:
    """Leave a symbolic link in place of the license-signing key.

    A version without a key service then refuses to start, and reports that the key named by the link belongs in its
    place. Otherwise it would create new keys, with which no issued license could be verified.

    Args:
        secrets: the secrets directory, whose keys have been handed over.
        keys: the key service's directory, as the key service sees it.

    Raises:
        SetupRefused: it cannot be created.
    """
    try:
        with suppress(FileExistsError):
            (secrets / LICENSE_SIGNING_KEY).symlink_to(f"{keys}/{LICENSE_SIGNING_KEY}")
        sync_folder(secrets)
    except OSError as error:
        raise SetupRefused(f"cannot write {secrets / LICENSE_SIGNING_KEY}: {error.strerror}") from error


async def _hand_over(client: KeyServiceClient, secrets: Path) -> tuple[str, ...]:
    await _present(client)
    moved = present_keys(secrets)
    try:
        for name in moved:
            await _install(client, secrets / name)
        created = await client.create_keys()
    except (SignerUnavailable, Overloaded) as error:
        raise SetupRefused(f"the key service cannot take its keys: {error.detail or error}") from error
    if moved:
        remove_service_keys(secrets)
    return (*moved, *created)


async def _install(client: KeyServiceClient, path: Path) -> None:
    try:
        await client.install_key(path.name, read(path))
    except Conflict as error:
        raise SetupRefused(
            f"{path} is another key than the {path.name} that the key service has; look which of the two is right "
            "(docs/deploy.md, Restore), and remove the other one"
        ) from error


async def _present(client: KeyServiceClient) -> tuple[str, ...]:
    """Return which key files the key service has, once it answers."""
    deadline = asyncio.get_running_loop().time() + STARTED_WITHIN
    while True:
        try:
            return await client.present_keys()
        except (SignerUnavailable, Overloaded) as error:
            if asyncio.get_running_loop().time() > deadline:
                raise SetupRefused(
                    f"the key service does not answer ({error.detail or error}); its log says why: docker compose logs "
                    "key-service"
                ) from error
        await asyncio.sleep(_ASK_AGAIN)
