"""Runs the whole stack in the foreground: prepares it, checks that it can work, runs it, and ends it cleanly."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from attrs import frozen

from authsvc.disk_room import MIB, DiskWatch, describe_images, describe_store, share_disk
from authsvc.errors import SetupRefused
from authsvc.keys.secrets_dir import root_is_offline
from authsvc.listen_address import ListenAddress, join_authority
from authsvc.local import port_conflict, probes, programs
from authsvc.local.programs import Binaries, find_binaries
from authsvc.local.registry_choice import RegistryChoice
from authsvc.processes import stale_processes, supervisor
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.log_rotation import keep_rotating, rotate
from authsvc.processes.process import ManagedProcess
from authsvc.public_url import PublicUrl
from authsvc.settings import Settings
from authsvc.setup import data_dir
from authsvc.setup.data_dir import prepare
from authsvc.setup.edge_settings import edge_settings_of
from authsvc.setup.init import ANY_INSIDE, Site, check, init, rendered_settings
from authsvc.setup.layout import Layout, locked, was_used, write_file
from authsvc.setup.pull_through import pull_through_of
from authsvc.setup.start_check import check_settings, load_signing_keys

_BACKLOG = 1024
"""Connections that wait in the kernel while serve restarts."""

_PRIVATE = 0o600
"""Of a socket: for this user alone, as whom nginx runs, too."""


@frozen
class UpOptions:
    """The options of ``authsvc up``."""

    data_dir: Path
    listen: ListenAddress
    public_url: PublicUrl
    workers: int | None
    """None leaves the number to serve."""


@frozen
class Ready:
    """A running stack."""

    public_url: PublicUrl
    data_dir: Path
    """Absolute."""
    edge: str
    """``host:port`` of authsvc without nginx."""
    first: bool
    """Whether no stack in this directory was ready before."""


async def up(
    options: UpOptions,
    environ: Mapping[str, str],
    *,
    on_ready: Callable[[Ready], None],
    say: Callable[[str], None],
) -> None:
    """Run the stack until SIGTERM, SIGINT or the end of its terminal. Must be called in the main thread.

    Another SIGHUP is passed on to serve, which replaces its workers.

    Args:
        options: of the command.
        environ: the environment, for PATH and the settings of authsvc.
        on_ready: called once a push would work.
        say: prints one line.

    Raises:
        SetupRefused: the stack cannot run; no process is left running.
    """
    if environ.get("AUTHSVC_CONFIG"):
        raise SetupRefused(
            "AUTHSVC_CONFIG is for `authsvc serve`; `authsvc up` writes that file itself, so unset it and give "
            "other settings as AUTHSVC_* variables"
        )
    binaries = find_binaries(environ.get("PATH"))
    if not was_used(options.data_dir):
        # A first start that is refused here leaves no folder behind; later ones clear what an earlier run left first.
        port_conflict.refuse_if_taken(options.listen, also_loopback=options.public_url.is_localhost)
    settings = _check(options, environ)
    layout = prepare(options.data_dir)
    with locked(layout):
        await stale_processes.clear(layout.root, layout.run, (layout.edge_address, layout.inside_address))
        port_conflict.refuse_if_taken(options.listen, also_loopback=options.public_url.is_localhost)
        with _sockets(layout) as sockets, _signals(say) as (stopping, hurry, hung_up):
            edge, inside = map(_address, (sockets.edge, sockets.inside))
            site = _site(options, environ, layout, inside)
            init(layout, site, datetime.now(UTC))
            write_file(layout.edge_address, f"{edge}\n")
            write_file(layout.inside_address, f"{inside}\n")
            parts = _parts(layout, binaries, options, environ, sockets, say)

            hung_up.extend(part.child for part in parts if part.child.program.name == "serve")

            def ready() -> None:
                first = write_file(layout.quickstart_shown, "The first start has said what to type next.\n")
                on_ready(Ready(options.public_url, layout.root, edge, first))

            beside = [*(watch.keep_looking() for watch in _disks(settings, say)), keep_rotating(_rotated(parts))]
            tasks = [asyncio.create_task(one) for one in beside]
            try:
                await supervisor.run(parts, stopping=stopping, hurry=hurry, on_ready=ready, say=say)
            finally:
                for task in tasks:
                    task.cancel()
                layout.edge_address.unlink(missing_ok=True)
                layout.inside_address.unlink(missing_ok=True)


def _disks(settings: Settings, say: Callable[[str], None]) -> Iterator[DiskWatch]:
    """Return the watches of the disks; one that Redis and the images share is reported only once."""
    reserve = settings.redis_disk_reserve * MIB
    yield DiskWatch(settings.redis_disk, reserve, lambda watch: say(describe_store(watch)))
    if not share_disk(settings.registry_disk, settings.redis_disk):
        reserve = settings.registry_disk_reserve * MIB
        yield DiskWatch(settings.registry_disk, reserve, lambda watch: say(describe_images(watch)))


def _check(options: UpOptions, environ: Mapping[str, str]) -> Settings:
    """Make the checks of serve's start, before anything is written or started; return its settings."""
    layout = data_dir.check(options.data_dir)
    site = _site(options, environ, layout, ANY_INSIDE)
    check(layout, site, environ)
    settings = check_settings(environ, rendered_settings(layout, site))
    if root_is_offline(layout.secrets):
        load_signing_keys(settings)
    return settings


def _site(options: UpOptions, environ: Mapping[str, str], layout: Layout, inside: str) -> Site:
    return Site(
        options.listen,
        options.public_url,
        f"unix:{layout.edge_socket}",
        inside,
        pull_through=pull_through_of(environ),
        edge_settings=edge_settings_of(environ),
    )


def _parts(
    layout: Layout,
    binaries: Binaries,
    options: UpOptions,
    environ: Mapping[str, str],
    sockets: ListeningSockets,
    say: Callable[[str], None],
) -> list[supervisor.Part]:
    """Return the children in the order of their dependencies."""
    url = options.public_url
    serve = programs.serve(layout, environ, sockets, options.workers)
    registry = programs.registry(layout, binaries, environ)
    read_only = programs.registry(layout, binaries, environ, read_only=True)
    parts = (
        (programs.redis(layout, binaries, environ), partial(probes.redis_answers, layout.redis_socket)),
        # Started before the registry and stopped after it, to receive its events.
        (serve, partial(probes.serve_is_ready, layout.inside_socket)),
        (registry, partial(probes.registry_challenges, layout.registry_socket, url)),
        (programs.nginx(layout, binaries, environ), partial(probes.push_would_work, options.listen, url)),
    )
    for program, _ in parts:
        rotate(program.log)
    data = {"redis": layout.redis, "registry": layout.registry}
    before_stop = {"registry": partial(probes.events_have_arrived, layout.inside_socket)}
    choices = {"registry": RegistryChoice(layout, registry, read_only, say)}
    return [
        supervisor.Part(
            ManagedProcess(program),
            ask,
            data.get(program.name),
            before_stop.get(program.name),
            choices.get(program.name),
        )
        for program, ask in parts
    ]


def _rotated(parts: Sequence[supervisor.Part]) -> dict[Path, Callable[[], None]]:
    """Return the logs that are rotated while they are written, each with the function that notifies its writer.

    serve notices this itself, and the file that this process writes for the registry is opened again each time.
    """
    told: dict[str, Callable[[ManagedProcess], None]] = {
        "serve": lambda _: None,
        "registry": lambda _: None,
        "nginx": lambda child: child.send(signal.SIGUSR1),
    }
    children = [part.child for part in parts if part.child.program.name in told]
    return {child.program.log: partial(told[child.program.name], child) for child in children}


@contextmanager
def _sockets(layout: Layout) -> Iterator[ListeningSockets]:
    with ExitStack() as stack:
        edge, inside = (stack.enter_context(_listening()) for _ in range(2))
        paths = (layout.edge_socket, layout.inside_socket)
        yield ListeningSockets(edge, inside, *(stack.enter_context(_listening_at(path)) for path in paths))


@contextmanager
def _listening() -> Iterator[socket.socket]:
    """Open a listening socket on a free port; children get it by number and it outlives them."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.listen(_BACKLOG)
        yield opened


@contextmanager
def _listening_at(path: Path) -> Iterator[socket.socket]:
    """Open a listening unix socket, in a folder that is private: nothing of an earlier run is there any more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as opened:
        opened.bind(str(path))
        try:
            path.chmod(_PRIVATE)
            opened.listen(_BACKLOG)
            yield opened
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _signals(say: Callable[[str], None]) -> Iterator[tuple[asyncio.Event, asyncio.Event, list[ManagedProcess]]]:
    """Turn the first signal into "stop" and the next one into "hurry"; a closed terminal is a signal too.

    SIGHUP while the terminal lives, or without one, goes to the children in the list that comes third.
    """
    stopping, hurry = asyncio.Event(), asyncio.Event()
    hung_up: list[ManagedProcess] = []
    had_terminal = _has_terminal()

    def received() -> None:
        if stopping.is_set():
            hurry.set()
            return
        stopping.set()
        say("stopping; interrupt again to stop without waiting")

    def hang_up() -> None:
        if had_terminal and not _has_terminal():
            received()
            return
        say("replacing the workers of serve")
        for child in hung_up:
            child.send(signal.SIGHUP)

    loop = asyncio.get_running_loop()
    watched = {signal.SIGTERM: received, signal.SIGINT: received}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is below nohup(1)
        watched[signal.SIGHUP] = hang_up
    for number, handler in watched.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stopping, hurry, hung_up
    finally:
        for number in watched:
            loop.remove_signal_handler(number)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal; one that was closed is none (tty(4))."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _address(listening: socket.socket) -> str:
    host, port = listening.getsockname()
    return join_authority(host, port)
