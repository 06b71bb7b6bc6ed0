"""``make bench-linked``: what pulls of linked images take, beside plain nginx that passes on the same bytes.

A stack of its own links a registry over TLS that only serves files. Every kind of pull is measured in each round, so
that the noise of a shared machine meets all of them; a figure is the median of the rounds, and a ratio is taken within
its round first. What was cached is deleted after each round: writing costs several times as much where the kernel gets
memory that it never had before, which would say more of the machine than of us. What authsvc takes while nobody pulls
is taken off.
"""

import argparse
import asyncio
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.linked_beside import BEFORE_NEXT, CLIENTS, Waits, black_hole, pulling, slow_registry, waits
from tests.bench.linked_pulls import BlobPull
from tests.bench.linked_report import beside_ratios, figures, table
from tests.bench.linked_servers import REPOSITORY
from tests.bench.linked_stack import APP, OTHERS, Bench, bench, link
from tests.support.http_client import ask, get_token
from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.registry_client import Client


def arguments() -> argparse.ArgumentParser:
    """Return the options."""
    parser = argparse.ArgumentParser(prog="make bench-linked", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved runs of each kind  [default: %(default)s]")
    parser.add_argument("--blobs", type=int, default=16, help="pulled in a run  [default: %(default)s]")
    parser.add_argument("--mebibytes", type=int, default=64, help="size of a blob  [default: %(default)s]")
    parser.add_argument("--parallel", type=int, default=200, help="pulls of 8 MiB at once  [default: %(default)s]")
    parser.add_argument("--seconds", type=float, default=4, help="beside a dead registry  [default: %(default)s]")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON there")
    return parser


async def beside(bench: Bench, rounds: int, seconds: float, pause: float = BEFORE_NEXT) -> dict[str, Any]:
    """Return how long tokens and pulls of an image of our own took beside a dead and a slow registry."""
    context = bench.registry.authority.issue().server_context()
    with black_hole() as dead:
        async with slow_registry(context) as slow:
            crowds = {name: _crowd(bench, name, port) for name, port in zip(OTHERS, (dead, slow), strict=True)}
            requests = _own_requests(bench)
            found: dict[str, list[list[Waits]]] = {"alone": [], **{name: [] for name in crowds}}
            for _ in range(rounds):
                found["alone"].append(await asyncio.to_thread(waits, list(requests.values()), seconds))
                for name, crowd in crowds.items():
                    async with pulling(crowd, pause):
                        found[name].append(await asyncio.to_thread(waits, list(requests.values()), seconds))
    return {
        f"{request} beside a {name} registry": beside_ratios(
            [one[at] for one in found[name]], [one[at] for one in found["alone"]]
        )
        for name in crowds
        for at, request in enumerate(requests)
    }


def _crowd(bench: Bench, name: str, port: int) -> list[BlobPull]:
    """Link a registry, and return what its clients pull."""
    link(bench.stack, name, f"https://localhost:{port}")
    digests = [f"sha256:{number:064x}" for number in range(CLIENTS)]
    return bench.linked(REPOSITORY, digests, 0, upstream=name)


def _own_requests(bench: Bench) -> dict[str, Callable[[], None]]:
    """Push an image of our own, and return how to ask for a token, for its manifest and for its layer."""
    repository, image = f"{APP}/worker", Image(os.urandom(1 << 20))
    Client(bench.stack.port, bench.member).push(repository, "1.0", image)
    client, scope = bench.client(), f"repository:{repository}:pull"
    token = client.token(scope)

    def read(path: str) -> None:
        reply = ask(bench.stack.port, "GET", path, headers={"Authorization": f"Bearer {token}", "Accept": MANIFEST})
        assert reply.status == 200, reply

    def new_token() -> None:
        reply = get_token(bench.stack.port, bench.licenses[0].account, scope)
        assert reply.status == 200, reply

    return {
        "tokens": new_token,
        "native manifests": lambda: read(f"/v2/{repository}/manifests/1.0"),
        "native layers of 1 MiB": lambda: read(f"/v2/{repository}/blobs/{digest_of(image.layer)}"),
    }


def main() -> None:
    """Measure, print tables, and write the figures as JSON."""
    chosen = arguments().parse_args()
    with tempfile.TemporaryDirectory(prefix="asv-") as folder, bench(Path(folder), chosen.mebibytes << 20) as running:
        running.round(-1, min(chosen.blobs, 4))
        rounds = [running.round(number, chosen.blobs) for number in range(chosen.rounds)]
        memory = {
            f"{chosen.parallel} pulls at once, {what}": running.growth(number, chosen.parallel, cached=what == "cached")
            for number, what in enumerate(("fetched", "cached"))
        }
        others = asyncio.run(beside(running, chosen.rounds, chosen.seconds))
    result = {"pulls": figures(rounds), "memory": memory, "beside": others}
    print(table(result))  # noqa: T201  what the command is for
    text = json.dumps(result, indent=2)
    if chosen.output is None:
        print(text)  # noqa: T201  same
    else:
        chosen.output.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
