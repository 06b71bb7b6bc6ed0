"""``make scale``: an installation with 1,000,000 licenses, 100,000 members and 10,000 apps, beside a small one.

Everything is of one team, and half of the licenses are of one app: what lists and indexes find hardest. The exit code
is 1 when a figure misses its aim.
"""

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from attrs import asdict, evolve

from authsvc.cli.console import find
from authsvc.credentials.password import SALT_BYTES, hash_password
from authsvc.keys.service_key_files import load_license_token_key
from authsvc.redaction import Secret
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
from authsvc.wiring.management import Management, management
from tests.bench.figure import Figure, table
from tests.bench.installation import APP, TEAM, installation, target
from tests.bench.load import basic, run_load, write_credentials
from tests.bench.measuring import Cores
from tests.bench.scale_audit import fill_audit, measure_audit
from tests.bench.scale_filling import World, fill
from tests.bench.scale_import import measure_imports
from tests.bench.scale_lists import measure_lists
from tests.bench.scale_start import measure_starts
from tests.support.stack import PASSWORD, Stack

ASKING = 10_000
CHECKED = 1000
"""Random records that are compared with what the use cases say of them."""

MOST_BYTES = 1200
"""Of Redis, for a license with every index."""

MOST_TOKEN = 1.05
"""Times the CPU of a token in the small installation."""

DEADLINE = 60
PARTS = ("tokens", "lists", "start", "audit", "import")


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--licenses", type=int, default=1_000_000, help="[default: %(default)s]")
    parser.add_argument("--members", type=int, default=100_000, help="[default: %(default)s]")
    parser.add_argument("--apps", type=int, default=10_000, help="[default: %(default)s]")
    parser.add_argument("--import-rows", type=int, default=100_000, help="of the long import  [default: %(default)s]")
    parser.add_argument(
        "--audit", type=int, default=256, help="MiB, its budget, which is filled  [default: %(default)s]"
    )
    parser.add_argument("--rounds", type=int, default=15, help="of tokens  [default: %(default)s]")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS, help="what is measured besides bytes")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON there")
    return parser.parse_args(argv)


async def filled(
    stack: Stack, licenses: int, members: int, apps: int, asking: int = ASKING
) -> tuple[World, list[Figure]]:
    """Fill an installation, and compare random records with what the use cases say of them."""
    settings, _ = find(stack.data_dir, {})
    token_key = load_license_token_key(stack.data_dir / "secrets")
    password_hash = hash_password(Secret(PASSWORD), salt=os.urandom(SALT_BYTES))
    now = datetime.now(UTC)
    world = World(licenses, members, apps, min(asking, licenses), stack.name, token_key, password_hash, now)
    connection = Connection(settings.redis_url, deadline=DEADLINE)
    async with management(settings, lambda _: None) as manage:
        try:
            await manage.teams.create(TEAM, None, manage.operation())
            _ = await connection.redis.config_set("appendfsync", "no")
            found = await fill(Records(connection, Codec()), world)
            _ = await connection.redis.config_set("appendfsync", "always")
        finally:
            await connection.close()
        await _check(manage, world)
    return world, [
        Figure("Redis for a license", found.license, "bytes", MOST_BYTES),
        *(
            Figure(f"Redis for {name}", value, "bytes")
            for name, value in (("a customer", found.customer), ("a member", found.member), ("an app", found.app))
        ),
    ]


async def _check(manage: Management, world: World) -> None:
    random, actor = Random(2), manage.actor
    for _ in range(CHECKED):
        license_ = world.license(random.randrange(world.licenses))
        assert license_ == await manage.licenses.show(actor, license_.id), license_
        assert license_ == await manage.licenses.show(actor, str(license_.reference), license_.app), license_
        member = world.member(random.randrange(world.members))
        assert member == await manage.members.show(actor, member.email), member
        app = world.app(random.randrange(world.apps))
        assert app == await manage.teams.app(actor, app.slug), app
        customer = world.customer(random.randrange(world.customers))
        assert customer == await manage.customers.show(actor, customer.name, TEAM), customer
        last = await manage.members.list(actor, TEAM, limit=1)
        assert last.items


def tokens(stacks: Sequence[tuple[Stack, World]], folder: Path, rounds: int, core: int | None) -> list[Figure]:
    """Return the CPU of a token in the last installation to that in the first one, of as many licenses."""
    asked = []
    for number, (stack, world) in enumerate(stacks):
        values = [basic("license", world.token(one).text.reveal()) for one in range(world.asking)]
        file = write_credentials(folder / f"licenses-{number}", values)
        to = evolve(target(stack), scope=f"repository:{APP}/worker:pull")
        run_load(to, file, max(2, world.asking // 1000), core)
        asked.append((to, file, world.asking))
    least = [math.inf] * len(asked)
    for number in range(rounds):
        loads = [run_load(to, file, 1, core, first=many * number // rounds) for to, file, many in asked]
        assert not any(load.refused or load.broken for load in loads), loads
        least = [min(known, load.processor or math.inf) for known, load in zip(least, loads, strict=True)]
    small, large = least
    return [Figure("CPU of a token to the small installation's", large / small, "times", MOST_TOKEN)]


async def lists(stack: Stack, world: World) -> list[Figure]:
    """Measure the pages of lists."""
    settings, _ = find(stack.data_dir, {})
    connection = Connection(settings.redis_url, deadline=DEADLINE)
    try:
        return await measure_lists(Records(connection, Codec()), stack.pid("redis"), world, world.now)
    finally:
        await connection.close()


async def audit(stack: Stack, world: World, mebibytes: int) -> list[Figure]:
    """Fill the audit and measure reading it."""
    settings, _ = find(stack.data_dir, {})
    async with management(settings, lambda _: None) as manage:
        ids = [world.license(number).id for number in range(min(5000, world.licenses))]
        full = await fill_audit(manage.connection, mebibytes << 20, world.license(0), ids, datetime.now(UTC))
        return await measure_audit(manage, stack.pid("redis"), full, ids[7])


def measured(chosen: argparse.Namespace, folder: Path) -> list[Figure]:
    """Measure everything."""
    cores, figures = Cores.of(os.sched_getaffinity(0)), list[Figure]()

    def say(what: str) -> None:
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} {what}\n")

    with ExitStack() as running:
        small, large = (running.enter_context(installation(cores.server, cores.generator)) for _ in range(2))
        say("filling")
        small_world, _ = asyncio.run(filled(small, min(ASKING, chosen.licenses), min(100, chosen.members), 10))
        world, bytes_ = asyncio.run(filled(large, chosen.licenses, chosen.members, chosen.apps))
        figures += bytes_
        parts: dict[str, Callable[[], list[Figure]]] = {
            "tokens": lambda: tokens(((small, small_world), (large, world)), folder, chosen.rounds, cores.generator),
            "lists": lambda: asyncio.run(lists(large, world)),
            "start": lambda: measure_starts(small, large),
            "audit": lambda: asyncio.run(audit(large, world, chosen.audit)),
            "import": lambda: measure_imports(large, folder, APP, chosen.import_rows // 5, chosen.import_rows),
        }
        for name, work in parts.items():
            if name in chosen.only:
                say(name)
                found = work()
                sys.stderr.write(f"{table(found)}\n")
                figures += found
    return figures


def main(argv: Sequence[str]) -> int:
    """Measure, print a table, and return the exit code."""
    chosen = arguments(argv)
    with tempfile.TemporaryDirectory(prefix="asv-scale-") as folder:
        figures = measured(chosen, Path(folder))
    print(table(figures))  # noqa: T201  what the command is for
    if chosen.output is not None:
        chosen.output.write_text(json.dumps([asdict(one) for one in figures], indent=2, ensure_ascii=False) + "\n")
    return int(any(one.misses for one in figures))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
