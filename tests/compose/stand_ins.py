"""Stand-ins for the base images of compose.yaml, under their real names, made of programs of this machine.

No hub is asked. Each holds the files of a few Debian packages and what they link to, and nothing else: a command
that the real image lacks should be missing here too. They differ from the real ones in what makes a machine special:
its certificate authorities, and where its pip looks for packages.
"""

import io
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from attrs import frozen

from tests.support.waiting import PATIENCE

_USR = ("bin", "sbin", "lib", "lib64")
"""Folders that are links into /usr since Debian 12."""

_SHELL = (
    *("sh", "cat", "chmod", "cksum", "cp", "cut", "date", "dirname", "echo", "env", "false", "grep", "head", "id"),
    *("kill", "ln", "ls", "mkdir", "mv", "rm", "rmdir", "sed", "sleep", "sort", "stat", "tail", "tar", "test"),
    *("touch", "gzip", "tr", "true", "uname", "wc"),
)
"""What both Alpine's busybox and Debian's essential packages bring, of what a script may use."""

_BASE_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}

_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


@frozen
class StandIn:
    """An image to make.

    Attributes:
        programs: commands of this machine, each with the path in the image or None for the same.
        packages: Debian packages whose files it holds too.
        busybox: further busybox commands.
        changes: instructions as `docker import --change` takes them.
        folders: empty folders that the real image has.
        files: texts by path.
    """

    programs: tuple[tuple[str, str | None], ...] = ()
    packages: tuple[str, ...] = ()
    busybox: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


PYTHON = StandIn(
    packages=(
        *("python3", "python3-minimal", "libpython3-stdlib", "python3-venv", "python3-distutils", "python3-lib2to3"),
        *("python3.11", "python3.11-minimal", "python3.11-venv", "libpython3.11-minimal", "libpython3.11-stdlib"),
        *("python3-pip-whl", "python3-setuptools-whl", "libc6", "libgcc-s1", "libstdc++6"),
    ),
    busybox=("chown",),
    changes=('CMD ["python3"]',),
)
REGISTRY = StandIn(
    programs=(("docker-registry", "/usr/bin/registry"), ("flock", None), ("wget", None)),
    busybox=("awk", "mkfifo"),
    # Its default has no authentication: whoever starts it with that shows it.
    files=(("etc/docker/registry/config.yml", "version: 0.1\nstorage: {inmemory: {}}\nhttp: {addr: ':5000'}\n"),),
    folders=("var/lib/registry",),
    changes=('ENTRYPOINT ["registry", "serve"]', 'CMD ["/etc/docker/registry/config.yml"]', "EXPOSE 5000"),
)
REDIS = StandIn(
    programs=(("redis-server", None), ("redis-cli", None)),
    folders=("data",),
    changes=('CMD ["redis-server"]', "WORKDIR /data", "EXPOSE 6379"),
)
NGINX = StandIn(
    # openssl comes with ca-certificates.
    programs=(("nginx", None), ("curl", None), ("openssl", None)),
    folders=("var/lib/nginx", "var/log/nginx"),
    changes=('CMD ["nginx", "-g", "daemon off;"]', "EXPOSE 80"),
)

_BY_NAME = {"python": PYTHON, "registry": REGISTRY, "redis": REDIS, "nginx": NGINX}


def known(image: str) -> bool:
    """Return whether there is a stand-in for ``image``."""
    return _name(image) in _BY_NAME


def make(docker: Sequence[str], image: str) -> None:
    """Import the stand-in for ``image``, such as ``redis:7.4.5-bookworm``.

    Raises:
        KeyError: there is no stand-in for it.
    """
    stand_in = _BY_NAME[_name(image)]
    changes = [argument for change in stand_in.changes for argument in ("--change", change)]
    command = [*docker, "import", *changes, "-", image]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as importing:
        assert importing.stdin is not None
        with tarfile.open(fileobj=importing.stdin, mode="w|") as tar:
            _fill(tar, stand_in)
        importing.stdin.close()
        assert importing.wait(timeout=PATIENCE) == 0


def _name(image: str) -> str:
    return image.rpartition("/")[2].partition(":")[0]


def _fill(tar: tarfile.TarFile, stand_in: StandIn) -> None:
    for name in _USR:
        _add_link(tar, name, f"usr/{name}")
    for folder in ("tmp", "run", "proc", "sys", "dev", "root", *stand_in.folders):
        _add_folder(tar, folder, 0o1777 if folder == "tmp" else 0o755)
    pip = (("etc/pip.conf", _pip_settings()),) if stand_in is PYTHON else ()
    for name, text in (*_BASE_FILES.items(), *stand_in.files, *pip):
        _add_text(tar, name, text)
    for place, path in sorted(_wanted(stand_in).items()):
        _add_file(tar, place, path)
    # Commands of busybox that only Debian's coreutils have are their own programs.
    applets = set(_output("busybox", "--list").split())
    for name in (*_SHELL, *stand_in.busybox):
        if name in applets:
            _add_link(tar, f"usr/bin/{name}", "busybox")
        else:
            _add_file(tar, f"/usr/bin/{name}", _program(name).resolve())


def _wanted(stand_in: StandIn) -> dict[str, Path]:
    """Return where which file of this machine goes."""
    wanted: dict[str, Path] = {_CERTIFICATES: Path(_CERTIFICATES)}
    for command, place in (("busybox", None), *stand_in.programs):
        found = _program(command)
        wanted[place or str(found)] = found.resolve()
    for package in stand_in.packages:
        listed = subprocess.run(["dpkg", "-L", package], check=True, capture_output=True, text=True).stdout
        for line in listed.splitlines():
            if not line.startswith(("/usr/share/doc", "/usr/share/man")) and not Path(line).is_dir():
                wanted[line] = Path(line)
    for library in _libraries(wanted.values()):
        wanted.setdefault(library, Path(library))
    return wanted


def _program(name: str) -> Path:
    found = shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin")
    assert found, f"{name} is not installed"
    return Path(found)


def _libraries(paths: Iterable[Path]) -> set[str]:
    """Return what the programs and shared objects among ``paths`` link to, names of links included."""
    objects = [str(path) for path in paths if path.is_file() and _starts_with(path, b"\x7fELF")]
    text = subprocess.run(["ldd", *objects], check=False, capture_output=True, text=True).stdout
    return set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", text, re.MULTILINE))


def _starts_with(path: Path, magic: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(magic)) == magic


def _add_file(tar: tarfile.TarFile, place: str, path: Path) -> None:
    name = place.lstrip("/")
    if name.split("/", 1)[0] in _USR:
        name = f"usr/{name}"
    if path.is_symlink():
        target = path.readlink()
        if path.exists() and (target.is_absolute() or not str(path).startswith("/usr/bin")):
            path = path.resolve()
        else:
            _add_link(tar, name, str(target))
            return
    info = tar.gettarinfo(path, name)
    info.uid = info.gid = 0
    info.uname = info.gname = "root"
    info.mode &= ~(stat.S_ISUID | stat.S_ISGID)
    info.type, info.linkname = tarfile.REGTYPE, ""
    info.size = path.stat().st_size
    with path.open("rb") as file:
        tar.addfile(info, file)


def _add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    tar.addfile(info)


def _add_folder(tar: tarfile.TarFile, name: str, mode: int) -> None:
    info = tarfile.TarInfo(name)
    info.type, info.mode = tarfile.DIRTYPE, mode
    tar.addfile(info)


def _add_text(tar: tarfile.TarFile, name: str, text: str) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(text.encode()), 0o644
    tar.addfile(info, io.BytesIO(text.encode()))


def _pip_settings() -> str:
    """Return a pip.conf with where this machine's pip looks; folders of this machine are left out."""
    lines = {"cert": _CERTIFICATES, "timeout": "60"}
    for line in _output(sys.executable, "-m", "pip", "config", "list").splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2].strip(":")
        addresses = [word for word in value.strip("'").replace("\\n", " ").split() if word.startswith("http")]
        if key in {"index-url", "extra-index-url", "proxy"} and addresses:
            lines[key] = " ".join(addresses)
        elif key == "trusted-host":
            lines[key] = value.strip("'")
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in lines.items())


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
