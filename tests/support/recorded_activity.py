"""What Redis of a running stack has of the activity, and what its server counts."""

import asyncio
from collections import Counter

from redis import Redis

from authsvc.activity.history import ImageHistory
from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.activity_images import RedisActivityImages
from authsvc.store.activity_layout import KIND_LETTERS
from authsvc.store.connection import Connection
from tests.support.http_client import ask
from tests.support.stack import Stack


def redis_url(stack: Stack) -> str:
    """Return where Redis is."""
    return f"unix://{stack.data_dir / 'run' / 'redis.sock'}"


def inside_port(stack: Stack) -> int:
    """Return the port for the registry's events."""
    return int((stack.data_dir / "run" / "inside-address").read_text().rpartition(":")[2])


def recorded(stack: Stack, app: str) -> Counter[ActivityKind]:
    """Return how often each thing was done in an app, by the counts of its days."""
    kinds = {letter.encode(): kind for kind, letter in KIND_LETTERS.items()}
    found = Counter[ActivityKind]()
    with Redis.from_url(redis_url(stack)) as client:
        for key in client.scan_iter(f"{keys.activity_counts('day', app, 0, 0)[:-1]}*", count=10_000):
            for field, value in client.hgetall(key).items():
                found[kinds[field[1:2]]] += int(value[6:].split(b" ")[0])
    return found


def downloaded(stack: Stack, app: str) -> int:
    """Return the bytes of all downloads in an app."""
    with Redis.from_url(redis_url(stack)) as client:
        values = [
            value
            for key in client.scan_iter(f"{keys.activity_counts('day', app, 0, 0)[:-1]}*", count=10_000)
            for field, value in client.hgetall(key).items()
            if field[1:2] == KIND_LETTERS[ActivityKind.DOWNLOAD].encode()
        ]
    return sum(int(value[6:].split(b" ")[1]) for value in values)


def history(stack: Stack, image: ImageName) -> ImageHistory:
    """Return what is known of an image."""

    async def read() -> ImageHistory:
        connection = Connection(Secret(redis_url(stack)), deadline=60.0)
        try:
            (found,) = await RedisActivityImages(connection).histories([image])
            return found
        finally:
            await connection.close()

    return asyncio.run(read())


def metric(stack: Stack, name: str, label: str) -> int:
    """Return the value of one series, whose label's value is ``label``."""
    text = ask(stack.inside, "GET", "/metrics").body.decode()
    lines = [line for line in text.splitlines() if line.startswith(f"{name}{{") and f'="{label}"' in line]
    return sum(int(float(line.rpartition(" ")[2])) for line in lines)
