"""``authsvc serve``."""

import asyncio
import os

import click

from authsvc.cli.console import refuse
from authsvc.errors import SetupRefused

MAX_WORKERS = 64
"""Most worker processes of one server."""


@click.command("serve")
@click.option("--edge", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="For nginx.")
@click.option("--inside", default="127.0.0.1:8081", show_default=True, metavar="HOST:PORT", help="Health and metrics.")
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    show_default="one per core",
    help="Worker processes.",
)
def serve_command(edge: str, inside: str, workers: int | None) -> None:
    """Run the token server alone: what compose runs. Settings come from AUTHSVC_* (docs/configuration.md)."""
    from authsvc.server.parent import bind, serve
    from authsvc.server.worker_pool import ListeningSockets

    try:
        listeners = ListeningSockets(bind(edge, "--edge"), bind(inside, "--inside"))
        count = workers or min(os.cpu_count() or 1, MAX_WORKERS)
        asyncio.run(serve(os.environ, listeners, count, inherited=edge.startswith("fd:")))
    except SetupRefused as error:
        refuse(str(error), code=2)
