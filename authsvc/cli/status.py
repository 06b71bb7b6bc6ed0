"""``authsvc status``: how the parts of this installation are, a line for each."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from authsvc.cli.console import find, local_options, print_json, print_table, refuse
from authsvc.cli.hints import explained
from authsvc.cli.status_parts import PartState, State, parts_of
from authsvc.errors import AuthsvcError, SetupRefused


@click.command("status")
@local_options
def status_command(data_dir: Path | None, *, as_json: bool) -> None:
    """Say how the parts of this installation are: servers, disks, certificates, clocks and what waits.

    Exits with 1 if something is unhealthy.
    """
    from authsvc.wiring import clock

    try:
        settings, _ = find(data_dir, os.environ)
        if settings.control_socket is None:
            refuse("this server has no control socket (AUTHSVC_CONTROL_SOCKET); ask its /readyz inside instead")
        parts = parts_of(_ask(settings.control_socket), clock())
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except AuthsvcError as error:
        parts = [PartState("server", State.FAILED, explained(error))]
    is_healthy = all(part.state is not State.FAILED for part in parts)
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


def _ask(control_socket: Path) -> dict[str, Any]:
    import asyncio

    from authsvc.server.health_client import read_health

    return asyncio.run(read_health(control_socket))
