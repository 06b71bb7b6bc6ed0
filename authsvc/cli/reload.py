"""``authsvc reload``."""

import os
import sys
from pathlib import Path

import click

from authsvc.cli.console import find, local_options, print_json, refuse, remark, say
from authsvc.cli.hints import explained
from authsvc.counts import counted
from authsvc.errors import AuthsvcError, SetupRefused


@click.command("reload")
@local_options
def reload_command(data_dir: Path | None, *, as_json: bool) -> None:
    """Replace the workers of this installation without dropping a request, and wait until it is done."""
    import asyncio

    from authsvc.server.control_socket import request_reload

    try:
        settings, _ = find(data_dir, os.environ)
        if settings.control_socket is None:
            refuse("this server has no control socket (AUTHSVC_CONTROL_SOCKET); send its process SIGHUP instead")
        result = asyncio.run(request_reload(settings.control_socket))
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except AuthsvcError as error:
        refuse(explained(error))
    reloaded = result.reason is None
    if as_json:
        print_json({"reloaded": reloaded, "workers": result.workers, "reason": result.reason})
    if not reloaded:
        remark(f"the old workers stay: {result.reason}")
        sys.exit(1)
    if not as_json:
        say(f"{counted(result.workers, 'worker was', 'workers were')} replaced")
