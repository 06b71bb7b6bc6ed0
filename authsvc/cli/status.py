"""``authsvc status``: the state of the parts of this installation, a line for each."""

import os
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import click

from authsvc.cli.console import find, local_options, print_json, print_table, refuse
from authsvc.cli.hints import explained
from authsvc.cli.status_parts import PartState, State, parts_of
from authsvc.errors import AuthsvcError, SetupRefused

SETTLES_WITHIN, ASK_AGAIN = 5.0, 1.0
"""Seconds for which a failing part is checked again, and between two checks."""


@click.command("status")
@local_options
def status_command(data_dir: Path | None, *, as_json: bool) -> None:
    """Show the state of this installation's parts: servers, disks, certificates, clocks and queues.

    Exits with 1 if something is unhealthy.
    """
    from authsvc.wiring import clock

    try:
        settings, _ = find(data_dir, os.environ)
        if settings.control_socket is None:
            refuse("this server has no control socket (AUTHSVC_CONTROL_SOCKET); ask its /readyz inside instead")
        parts = _parts(settings.control_socket, clock)
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except AuthsvcError as error:
        parts = [PartState("server", State.FAILED, explained(error))]
    is_healthy = not has_failed(parts)
    if as_json:
        shown = [{"name": part.name, "state": part.state.value, "detail": part.detail} for part in parts]
        print_json({"healthy": is_healthy, "parts": shown})
    else:
        print_table(
            ("STATE", "PART", "DETAIL"),
            [(part.state.value, part.name, part.detail) for part in parts],
            "nothing is known",
        )
    sys.exit(0 if is_healthy else 1)


def _parts(control_socket: Path, clock: Callable[[], datetime]) -> list[PartState]:
    """Return the state of the parts; if one has failed, check again for some seconds, since it may be starting."""
    import asyncio

    from authsvc.server.health_client import read_health

    async def ask() -> list[PartState]:
        ends = asyncio.get_running_loop().time() + SETTLES_WITHIN
        while True:
            parts = parts_of(await read_health(control_socket), clock())
            if not has_failed(parts) or asyncio.get_running_loop().time() >= ends:
                return parts
            await asyncio.sleep(ASK_AGAIN)

    return asyncio.run(ask())


def has_failed(parts: Iterable[PartState]) -> bool:
    """Whether one of the parts has failed."""
    return any(part.state is State.FAILED for part in parts)
