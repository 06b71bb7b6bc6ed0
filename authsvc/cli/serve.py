"""``authsvc serve`` and ``authsvc key-service``."""

import os
from pathlib import Path

import click

from authsvc.cli.console import refuse
from authsvc.cli.hints import explained
from authsvc.errors import SetupRefused

MAX_WORKERS = 64
"""Most worker processes of one server."""


@click.command("serve")
@click.option("--edge", default="127.0.0.1:8080", show_default=True, metavar="HOST:PORT", help="Address for nginx.")
@click.option(
    "--inside",
    default="127.0.0.1:8081",
    show_default=True,
    metavar="HOST:PORT",
    help="Address for events, health and metrics.",
)
@click.option("--edge-socket", metavar="fd:N", help="An inherited unix socket only for nginx.")
@click.option(
    "--inside-socket", metavar="fd:N", help="An inherited unix socket for health and metrics, instead of --inside."
)
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    metavar="N",
    show_default="one per core",
    help="Worker processes.",
)
def serve_command(
    edge: str, inside: str, edge_socket: str | None, inside_socket: str | None, workers: int | None
) -> None:
    """Run only the token server, as compose does. Settings come from AUTHSVC_* (docs/configuration.md)."""
    import asyncio

    from authsvc.processes.listening_sockets import ListeningSockets
    from authsvc.server.parent import bind, serve

    try:
        listeners = ListeningSockets(
            bind(edge, "--edge"),
            bind(inside, "--inside"),
            None if edge_socket is None else bind(edge_socket, "--edge-socket"),
            None if inside_socket is None else bind(inside_socket, "--inside-socket"),
        )
        count = workers or min(os.cpu_count() or 1, MAX_WORKERS)
        asyncio.run(serve(os.environ, listeners, count, inherited=edge.startswith("fd:")))
    except SetupRefused as error:
        refuse(explained(error), code=2)


@click.command("key-service")
@click.option("--keys-dir", type=click.Path(path_type=Path), required=True, metavar="DIR", help="Folder of the keys.")
@click.option(
    "--socket", "users", type=click.Path(path_type=Path), required=True, metavar="PATH", help="Socket for authsvc."
)
@click.option(
    "--admin-socket", type=click.Path(path_type=Path), metavar="PATH", help="Socket for init and for changes of keys."
)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", metavar="LEVEL")
def key_service_command(keys_dir: Path, users: Path, admin_socket: Path | None, log_level: str) -> None:
    """Run only the key service, as compose does. It holds the license-signing, license-token and sealing keys."""
    import asyncio

    from authsvc.server.key_sockets import serve_sockets

    try:
        asyncio.run(serve_sockets(keys_dir.absolute(), users.absolute(), admin_socket, log_level))
    except SetupRefused as error:
        refuse(explained(error), code=2)
