"""``authsvc init`` and ``authsvc up``."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from authsvc.cli.console import print_json, refuse, say
from authsvc.cli.hints import explained
from authsvc.counts import counted
from authsvc.errors import SetupRefused
from authsvc.printable import printable_lines

if TYPE_CHECKING:
    from authsvc.listen_address import ListenAddress
    from authsvc.local.up import Ready
    from authsvc.public_url import PublicUrl
    from authsvc.setup.compose import ComposeOptions as ComposeRequest


def _site_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that ``init`` and ``up`` share."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option(
            "--public-url",
            envvar="AUTHSVC_PUBLIC_URL",
            metavar="URL",
            help="The address that clients use.  [default: http://localhost:PORT]",
        ),
        click.option(
            "--listen",
            default="127.0.0.1:5000",
            show_default=True,
            metavar="HOST:PORT",
            help="The address to listen on.",
        ),
        click.option(
            "--data-dir",
            envvar="AUTHSVC_DATA_DIR",
            default="./authsvc-data",
            show_default=True,
            type=click.Path(path_type=Path),
            help="Folder for all data.",
        ),
    ):
        command = option(command)
    return command


@click.command("init")
@_site_options
@click.option("--check", is_flag=True, help="Check the configuration and the settings without writing anything.")
@click.option("--compose", is_flag=True, help="Render for the containers of compose.yaml; DIR holds their volumes.")
@click.option("--token-root", is_flag=True, help="With --compose: renew only the registry's copy of the token root.")
@click.option("--profiles", metavar="NAMES", help="With --compose: the profiles in use.")
@click.option(
    "--tls", type=click.Choice(["on", "off", ""]), metavar="WORD", help="With --compose: whether nginx uses TLS."
)
@click.option("--store-network", default="198.18.213", metavar="A.B.C", help="With --compose: redis' network.")
@click.option("--s3", nargs=4, metavar="BUCKET REGION ENDPOINT FOLDER", help="With --compose and the profile s3.")
def init_command(
    data_dir: Path,
    listen: str,
    public_url: str | None,
    profiles: str | None,
    tls: str | None,
    store_network: str,
    s3: tuple[str, str, str, str] | None,
    *,
    check: bool,
    compose: bool,
    token_root: bool,
    as_json: bool,
) -> None:
    """Create secrets and configuration in DIR; existing secrets stay."""
    from authsvc.setup.compose import parse_options

    if token_root and (check or not compose):
        raise click.UsageError("--token-root goes with --compose, and without --check")
    with _refusals():
        bind, url = _addresses(listen, public_url)
        if compose:
            root = data_dir.absolute()
            request = parse_options(root, url, tls or "", profiles or "", s3, store_network)
            names = _init_compose(request, check=check, token_root=token_root)
        else:
            root, names = _init(data_dir, bind, url, check=check)
    _report_init(root, names, check=check, as_json=as_json)


def _init_compose(request: "ComposeRequest", *, check: bool, token_root: bool) -> tuple[str, ...]:
    from datetime import UTC, datetime

    from authsvc.setup.compose import check_compose, init_compose, renew_token_root

    if token_root:
        return renew_token_root(request.root)
    return check_compose(request, os.environ) if check else init_compose(request, os.environ, datetime.now(UTC))


def _init(data_dir: Path, bind: "ListenAddress", url: "PublicUrl", *, check: bool) -> tuple[Path, tuple[str, ...]]:
    from datetime import UTC, datetime

    from authsvc.setup import data_dir as directory
    from authsvc.setup import init
    from authsvc.setup.edge_settings import edge_settings_of
    from authsvc.setup.layout import locked
    from authsvc.setup.pull_through import pull_through_of

    site = init.Site(
        listen=bind,
        public_url=url,
        edge=init.ANY_EDGE,
        inside=init.ANY_INSIDE,
        pull_through=pull_through_of(os.environ),
        edge_settings=edge_settings_of(os.environ),
    )
    layout = directory.check(data_dir)
    would_write = init.check(layout, site, os.environ)
    if check:
        return layout.root, would_write
    with locked(directory.prepare(data_dir)):
        return layout.root, init.init(layout, site, datetime.now(UTC))


def _report_init(root: Path, names: tuple[str, ...], *, check: bool, as_json: bool) -> None:
    if as_json:
        facts = {"written": [], "would_write": list(names)} if check else {"written": list(names)}
        print_json({"data_dir": str(root), **facts}, None)
    elif check:
        change = f"init would write {', '.join(names)}" if names else "init would change nothing"
        say(f"{root}: the configuration is good; {change}")
    else:
        say(f"{root}: {'wrote ' + ', '.join(names) if names else 'nothing to do'}")


@click.command("up")
@_site_options
@click.option("--workers", type=click.IntRange(1, 64), metavar="N", help="Worker processes of authsvc.")
def up_command(data_dir: Path, listen: str, public_url: str | None, workers: int | None, *, as_json: bool) -> None:
    """Run redis, the registry, authsvc and nginx in the foreground until Ctrl-C."""
    import asyncio

    from authsvc.local.quickstart import exposure_warning
    from authsvc.local.up import UpOptions, up

    with _refusals():
        bind, url = _addresses(listen, public_url)
        request = UpOptions(data_dir=data_dir, listen=bind, public_url=url, workers=workers)
        report = _print_json if as_json else _print_story
        with _saying() as report_line:
            warning = exposure_warning(bind, url)
            if warning is not None:
                report_line(warning)
            asyncio.run(up(request, os.environ, on_ready=report, say=report_line))


def _addresses(listen: str, public_url: str | None) -> tuple["ListenAddress", "PublicUrl"]:
    from authsvc.listen_address import parse_listen
    from authsvc.public_url import parse_public_url

    bind = parse_listen(listen)
    return bind, parse_public_url(public_url or f"http://localhost:{bind.port}")


def _print_json(ready: "Ready") -> None:
    facts = {"ready": ready.public_url.text, "data_dir": str(ready.data_dir), "edge": ready.edge}
    print_json(facts, None)  # one line, at once, also into a pipe


def _print_story(ready: "Ready") -> None:
    from authsvc.local import quickstart

    command = Path(sys.argv[0]).absolute()
    on_path = shutil.which("authsvc") is not None or command.name != "authsvc"
    scripts = None if on_path else command.parent
    say(f"ready {ready.public_url.text}\n")
    tell = (
        quickstart.first_start(ready.public_url, ready.data_dir, scripts)
        if ready.first
        else quickstart.later_start(ready.data_dir, scripts)
    )
    say(tell)
    sys.stdout.flush()


@contextmanager
def _saying() -> Iterator[Callable[[str], None]]:
    """Yield a function that prints one line and neither waits for a terminal or pipe nor fails with it."""
    from authsvc.log_writer import STANDARD_ERROR, LogWriter

    def lost_lines(lost: int, why: str) -> str:
        return f"authsvc: {counted(lost, 'line')} could not be shown here: {why}\n"

    writer = LogWriter(STANDARD_ERROR, lost_lines)
    try:
        yield lambda line: writer.write(f"authsvc: {printable_lines(line)}\n")
    finally:
        writer.close(1.0)


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn a refused start into one sentence and exit code 2."""
    try:
        yield
    except SetupRefused as error:
        refuse(explained(error), code=2)
    except OSError as error:
        # A full disk or a lost mount: the system's message names the file.
        refuse(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), code=2)
