"""The four programs of a stack: their binaries, arguments and environments, and how each is stopped."""

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from authsvc.errors import SetupRefused
from authsvc.local.registry_log import is_ordinary
from authsvc.processes.listening_sockets import ListeningSockets
from authsvc.processes.process import Program
from authsvc.setup.init import configuration_of
from authsvc.setup.layout import Layout
from authsvc.setup.start_check import without_rendered

_ADMIN_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Folders in which Debian installs nginx; not on the PATH of ordinary users."""

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
"""The only variables that redis, registry and nginx get from our environment: REGISTRY_AUTH=none would switch
authentication off, and NGINX holds inherited sockets."""

_FOR_SERVE = ("AUTHSVC_", "PYTHON", "LC_", "SSL_CERT_")
"""Prefixes of the variables that authsvc gets in addition: its settings, those of its interpreter, and trusted
authorities. So a compromised worker has none of the operator's own secrets, such as those of a cloud."""


@frozen
class Binaries:
    """Absolute paths of the three servers that are not ours."""

    redis: str
    registry: str
    nginx: str


def find_binaries(path: str | None) -> Binaries:
    """Search for the servers on ``path`` (as in PATH) and in Debian's folders for administrators' programs.

    Raises:
        SetupRefused: one is missing; the sentence names Debian's package.
    """
    folders = os.pathsep.join((path or os.defpath, *_ADMIN_FOLDERS))
    return Binaries(
        redis=_find(("redis-server",), "redis-server", folders),
        registry=_find(("docker-registry", "registry"), "docker-registry", folders),
        nginx=_find(("nginx",), "nginx-light", folders),
    )


def redis(layout: Layout, binaries: Binaries, environ: Mapping[str, str]) -> Program:
    """Return redis, the system of record. SIGTERM makes it write a snapshot, which takes time when it holds much."""
    return _program(
        layout,
        "redis",
        (binaries.redis, redis_file_argument(configuration_of(layout).redis)),
        _few(environ),
        ending=((signal.SIGTERM, 30.0),),
    )


def registry(layout: Layout, binaries: Binaries, environ: Mapping[str, str], *, read_only: bool = False) -> Program:
    """Return the stock registry. When it is stopped for good, nginx has ended, so no requests are left.

    It gets no proxy from our environment: it sends its events to authsvc on this machine.
    """
    files = configuration_of(layout)
    return _program(
        layout,
        "registry",
        (binaries.registry, "serve", str(files.read_only_registry if read_only else files.registry)),
        # 3.x would try to reach a trace collector on this machine.
        {**_few(environ), "OTEL_TRACES_EXPORTER": "none"},
        ending=((signal.SIGTERM, 10.0),),
        is_noise=is_ordinary,
    )


def serve(layout: Layout, environ: Mapping[str, str], sockets: ListeningSockets, workers: int | None) -> Program:
    """Return authsvc itself, on sockets that stay open in this process, so that they survive its restarts.

    Args:
        layout: the data directory.
        environ: settings that the rendered file does not answer.
        sockets: on which it listens, all four.
        workers: number of processes; None to let serve choose.
    """
    names = ("--edge", "--inside", "--edge-socket", "--inside-socket")
    given = {name: number for name, number in zip(names, sockets.descriptors, strict=True) if number is not None}
    command = [sys.executable, "-m", "authsvc", "serve"]
    for name, number in given.items():
        command += [name, f"fd:{number}"]
    if workers is not None:
        command += ["--workers", str(workers)]
    return _program(
        layout,
        "serve",
        command,
        # Nothing is imported from the working directory, not even by serve's workers.
        {**serve_environment(layout, environ), "PYTHONSAFEPATH": "1"},
        ending=((signal.SIGTERM, 15.0),),
        descriptors=tuple(given.values()),
    )


def serve_environment(layout: Layout, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment from which serve loads its settings: the needed part of ours, less rendered settings."""
    passed = {name: value for name, value in environ.items() if name in _PASSED_ON or name.startswith(_FOR_SERVE)}
    return {**without_rendered(passed), "AUTHSVC_CONFIG": str(configuration_of(layout).authsvc)}


def nginx(layout: Layout, binaries: Binaries, environ: Mapping[str, str]) -> Program:
    """Return nginx, the only public listener. SIGQUIT lets running transfers finish, SIGTERM cuts them."""
    return _program(
        layout,
        "nginx",
        (
            *(binaries.nginx, "-e", "stderr", "-p", f"{layout.nginx}/"),
            *("-c", str(configuration_of(layout).nginx)),
        ),
        _few(environ),
        ending=((signal.SIGQUIT, 10.0), (signal.SIGTERM, 5.0)),
    )


def redis_file_argument(path: Path) -> str:
    """Return ``path`` as redis must be given it.

    A name with ``*``, ``?`` or ``[`` is a glob pattern to redis 7 (loadServerConfig in config.c), and one that
    matches nothing starts a redis with default settings, on port 6379 for everyone.
    """
    text = str(path)
    return re.sub(r"([*?\[\\])", r"\\\1", text) if re.search(r"[*?\[]", text) else text


def _program(
    layout: Layout,
    name: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    ending: tuple[tuple[signal.Signals, float], ...],
    descriptors: tuple[int, ...] = (),
    is_noise: Callable[[bytes], bool] | None = None,
) -> Program:
    return Program(
        name=name,
        argv=tuple(argv),
        environment=environment,
        folder=layout.run,
        log=layout.log / f"{name}.log",
        pid_file=layout.run / f"{name}.pid",
        ending=ending,
        descriptors=descriptors,
        is_noise=is_noise,
    )


def _few(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: environ[name] for name in _PASSED_ON if name in environ}


def _find(names: Sequence[str], package: str, path: str) -> str:
    for name in names:
        found = shutil.which(name, path=path)
        if found is not None:
            return str(Path(found).absolute())
    raise SetupRefused(f"{' or '.join(names)} is not installed; on Debian and Ubuntu: sudo apt-get install {package}")
