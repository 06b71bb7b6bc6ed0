"""``authsvc gc``."""

import os
from pathlib import Path

import click

from authsvc.cli.console import find, local_options, print_json, refuse, remark, say
from authsvc.cli.hints import explained
from authsvc.counts import counted
from authsvc.errors import AuthsvcError, SetupRefused


@click.command("gc")
@local_options
@click.option("--dry-run", is_flag=True, help="Say what would be freed, and change nothing.")
def gc_command(data_dir: Path | None, *, dry_run: bool, as_json: bool) -> None:
    """Free the layers that no image has any more; pushes are refused meanwhile."""
    import asyncio

    from authsvc.cli.image_format import size
    from authsvc.local.garbage_collection import collect
    from authsvc.setup.data_dir import recognise

    try:
        _, folder = find(data_dir, os.environ)
        if folder is None:
            refuse(
                "garbage is collected where the images are: name the installation of `authsvc up` with --data-dir DIR; "
                "with compose.yaml: docker compose run --rm gc",
                code=2,
            )
        layout = recognise(folder)
        result = asyncio.run(collect(layout, os.environ, dry_run=dry_run, say=remark))
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except AuthsvcError as error:
        refuse(explained(error))
    except OSError as error:
        refuse(f"{error.strerror or error}: {error.filename}" if error.filename else str(error))
    if as_json:
        facts = {"blobs": 0, "bytes": 0} if result is None else {"blobs": result.blobs, "bytes": result.size}
        print_json({"dry_run": dry_run, **facts})
    elif result is None:
        say(f"there is no image in {layout.registry}")
    else:
        amount = f"{counted(result.blobs, 'blob')}, {size(result.size)}"
        say(f"{'would free' if dry_run else 'freed'} {amount}")
