"""Two hosts that do the same work, set up as docs/scaling.md says, with this machine as the third one."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from attrs import Factory, define

from authsvc.local.programs import find_binaries
from tests.compose.later_version import FIELD
from tests.support.http_client import ask
from tests.support.ports import free_port
from tests.support.processes import children_of
from tests.support.stack import GOOD_PATH, PATIENT, Ran, run, short_folder
from tests.support.two_networks import OURS, address, hosts, inside
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE, until

ROOT = Path(__file__).parents[2]
EDGE, REDIS, SENTINEL = 5000, 6379, 26379


def block(language: str) -> str:
    """Return the one block in a language of docs/scaling.md, with the addresses of the test."""
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return re.sub(r"\b10\.0\.0\.([123])\b", lambda match: address(int(match[1])), found)


def changed(text: str, *changes: tuple[str, str]) -> str:
    """Return a text of the page with the folders of the test; each change must have something to change."""
    for old, new in changes:
        assert old in text, (old, text)
        text = text.replace(old, new)
    return text


def answers(port: int) -> bool:
    """Whether the balancer answers at a port, and a host behind it."""
    try:
        return ask(port, "GET", "/livez").status == 200
    except OSError:
        return False


@define
class Host:
    """A host with its programs.

    Attributes:
        folder: everything of it.
        number: last of its address.
        namespace: None for this machine.
        running: its programs by name.
        package: folder with another version of authsvc; None for this one.
    """

    folder: Path
    number: int
    namespace: str | None
    running: dict[str, "subprocess.Popen[bytes]"] = Factory(dict)
    package: Path | None = None
    settings: dict[str, str] = Factory(dict)

    @property
    def place(self) -> tuple[str, int]:
        """Where its nginx listens."""
        return (address(self.number), EDGE)

    @property
    def data_dir(self) -> Path:
        """The folder that the page calls /srv/authsvc."""
        return self.folder / "d"

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its programs."""
        version = {} if self.package is None else {"PYTHONPATH": str(self.package)}
        return {"PATH": GOOD_PATH, "HOME": str(self.folder), "LANG": "C.UTF-8", **version, **self.settings}

    def command(self, *argv: str) -> tuple[str, ...]:
        """Return the command that runs ``argv`` here."""
        return argv if self.namespace is None else inside(self.namespace, *argv)

    def start(self, name: str, *argv: str, **environ: str) -> None:
        """Start a program; what it says is in a file of its name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                self.command(*argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={**self.environ, **environ},
            )

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a program."""
        process = self.running[name]
        process.send_signal(number)
        process.wait(PATIENCE)
        del self.running[name]

    def said(self, name: str) -> str:
        """Return what a program said last."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def authsvc(self, *arguments: str, stdin: str = "", **environ: str) -> Ran:
        """Run a command here that succeeds."""
        argv = self.command(sys.executable, "-m", "authsvc", *arguments)
        return run(*argv, environ={**self.environ, **environ}, cwd=self.folder, stdin=stdin, check=True)

    def serve_images(self, *, read_only: bool = False) -> None:
        """Start the registry, and wait until it answers."""
        self.start("registry", *_registry("serve", self, read_only=read_only), **_credentials(self))
        until(lambda: ask(self.place, "GET", "/v2/").status == 401, "the registry answers")

    def collect_garbage(self) -> str:
        """Return what the registry's program says of what it has deleted."""
        argv = self.command(*_registry("garbage-collect", self, read_only=True))
        return run(*argv, environ={**self.environ, **_credentials(self)}, cwd=self.folder, check=True).out

    def is_ready(self) -> bool:
        """Whether tokens can be issued here; fails when its server has ended."""
        assert self.running["serve"].poll() is None, self.said("serve")
        try:
            return ask(self.place, "GET", "/readyz").status == 200
        except OSError:
            return False

    def serve(self) -> None:
        """Start the server, and wait until it can issue tokens."""
        self.start("serve", sys.executable, "-m", "authsvc", "serve", "--workers", "1")
        until(self.is_ready, f"host {self.number} can issue tokens")


@define
class Site:
    """Both hosts, and on this machine the balancer, the third sentinel and the bucket.

    Attributes:
        port: of the balancer.
        tls: certificates, which the page has in /etc/authsvc/tls.
    """

    folder: Path
    port: int
    tls: UpstreamAuthority
    first: Host
    second: Host
    third: Host

    @cached_property
    def later(self) -> Path:
        """The folder of an authsvc that stores a field more in each record."""
        return _later_version(self.folder / "later")

    @property
    def name(self) -> str:
        """The registry's name in image references."""
        return f"localhost:{self.port}"

    def balance(self, *without: Host) -> None:
        """Configure the balancer to send requests to all hosts but these; wait until it does."""
        text = changed(
            block("nginx"),
            ("listen 443 ssl;", f"listen 127.0.0.1:{self.port};"),
            *(
                (f"{address(host.number)}:{EDGE} max_fails=0;", f"{address(host.number)}:{EDGE} down;")
                for host in without
            ),
        )
        text = "".join(line for line in text.splitlines(keepends=True) if "ssl_certificate" not in line)
        temporary = "".join(
            f"{kind}_temp_path {self.folder}/b-{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        before_http = f"daemon off;\nuser root;\npid {self.folder}/balancer.pid;\nevents {{}}\n"
        (self.folder / "balancer.conf").write_text(f"{before_http}http {{\naccess_log off;\n{temporary}{text}}}\n")
        if "balancer" not in self.third.running:
            nginx = find_binaries(GOOD_PATH).nginx
            self.third.start("balancer", nginx, "-e", "stderr", "-c", str(self.folder / "balancer.conf"))
            until(lambda: answers(self.port), "the balancer answers")
            return
        process = self.third.running["balancer"]
        before = set(children_of(process.pid))
        process.send_signal(signal.SIGHUP)
        until(lambda: not before & set(children_of(process.pid)), "the balancer's old workers are gone")

    def redis(self, *command: str) -> str:
        """Ask the primary of the moment as authsvc does; nothing when there is none."""
        for host in (self.first, self.second):
            if "redis" in host.running and "role:master" in self._ask(host, "info", "replication"):
                return self._ask(host, *command)
        return ""

    def watched(self) -> dict[str, str]:
        """Return what the sentinel of this machine says of the primary, which authsvc may ask, too."""
        who = ("--user", "authsvc", "--pass", "PASSWORD-4", "--no-auth-warning")
        asked = (*self._cli(address(OURS), SENTINEL), *who, "sentinel", "masters")
        lines = run(*asked, environ=self.third.environ, cwd=self.folder).out.splitlines()
        return dict(zip(lines[::2], lines[1::2], strict=False))

    def _ask(self, host: Host, *command: str) -> str:
        who = ("--user", "authsvc", "--pass", "PASSWORD-1", "--no-auth-warning")
        return run(
            *self._cli(address(host.number), REDIS), *who, *command, environ=self.third.environ, cwd=self.folder
        ).out

    def _cli(self, host: str, port: int) -> tuple[str, ...]:
        return ("redis-cli", "-h", host, "-p", str(port), "--tls", "--cacert", str(self.tls.file))


def _later_version(folder: Path) -> Path:
    """Return the folder of an authsvc that stores a field more in each record."""
    shutil.copytree(ROOT / "authsvc", folder / "authsvc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "registry-config", folder / "registry-config")
    codec = folder / "authsvc" / "store" / "codec.py"
    codec.write_text(changed(codec.read_text(), ('"v": VERSION, **self', f'"v": VERSION, "{FIELD}": 1, **self')))
    return folder


@contextmanager
def two_hosts() -> Iterator[Site]:
    """Yield them when both can issue tokens; needs root."""
    with short_folder() as folder, hosts(2) as names, ExitStack() as ending:
        third, first, second = (
            Host(folder / str(number), number, name) for number, name in ((OURS, None), (1, names[0]), (2, names[1]))
        )
        site = Site(folder, free_port(), UpstreamAuthority.make(folder / "tls"), first, second, third)
        for host in (third, first, second):
            host.folder.mkdir()
            ending.callback(_end, host)
        bucket = free_port()
        third.start("bucket", sys.executable, "-u", str(ROOT / "tests/compose/s3_server.py"), str(bucket))
        for host in (first, second, third):
            _start_redis(site, host)
        until(lambda: "state=online" in site.redis("info", "replication"), "the standby follows")
        until(lambda: _all_known(site.watched()), "the sentinels know each other and the standby")
        _start_authsvc(site, first, bucket)
        shutil.copytree(first.data_dir / "secrets", second.data_dir / "secrets")
        _start_authsvc(site, second, bucket)
        site.balance()
        yield site


def _all_known(watched: Mapping[str, str]) -> bool:
    return (watched.get("num-other-sentinels"), watched.get("num-slaves")) == ("2", "1")


def _end(host: Host) -> None:
    """End its programs. They are asked: the workers of an nginx that is killed would stay."""
    for process in host.running.values():
        process.terminate()
    for process in host.running.values():
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE)


def _start_redis(site: Site, host: Host) -> None:
    """Start Redis, except on this machine, and the sentinel."""
    files, own = site.tls.issue(address(host.number)), address(host.number)
    tls = (
        ("/etc/authsvc/tls/cert.pem", str(files.certificate)),
        ("/etc/authsvc/tls/key.pem", str(files.key)),
        ("/etc/authsvc/tls/ca.pem", str(site.tls.file)),
    )
    for kind, folder in (("redis", "/var/lib/redis"), ("sentinel", "/var/lib/redis-sentinel")):
        text = changed(
            block(kind), *tls, (f"dir {folder}\n", f"dir {host.folder}\n"), (f"bind {address(1)}\n", f"bind {own}\n")
        )
        if kind == "redis" and host.number == OURS:
            continue
        if kind == "redis" and host.number == 2:
            text += f"replicaof {address(1)} {REDIS}\n"
        (host.folder / f"{kind}.conf").write_text(text)
        options = ("--sentinel",) if kind == "sentinel" else ()
        host.start(kind, "redis-server", str(host.folder / f"{kind}.conf"), *options)


def _start_authsvc(site: Site, host: Host, bucket: int) -> None:
    """Type what the page says, and start the three programs."""
    host.data_dir.mkdir(exist_ok=True)
    host.authsvc(
        *("init", "--data-dir", str(host.data_dir)),
        *("--listen", f"{address(host.number)}:{EDGE}", "--public-url", f"http://{site.name}"),
        AUTHSVC_TRUSTED_PROXIES=f"{address(OURS)}/32",
    )
    host.settings.update(_environment(site, host))
    storage = changed(
        block("yaml"),
        ("    region:", f"    regionendpoint: http://{address(OURS)}:{bucket}\n    forcepathstyle: true\n    region:"),
    )
    for name in ("registry.yml", "registry-read-only.yml"):
        rendered = (host.data_dir / "config" / name).read_text()
        text = re.sub(r"^  filesystem:\n.*\n", lambda _: storage, rendered, flags=re.MULTILINE)
        assert "s3:" in text
        (host.folder / name).write_text(text)
    (host.folder / "s3").write_text("[default]\naws_access_key_id = AKIDTEST\naws_secret_access_key = of-the-test\n")
    nginx = ("-p", f"{host.data_dir}/nginx/", "-c", str(host.data_dir / "config" / "nginx.conf"))
    host.start("nginx", find_binaries(GOOD_PATH).nginx, "-e", "stderr", *nginx)
    host.serve()
    host.serve_images()


def _registry(task: str, host: Host, *, read_only: bool) -> tuple[str, ...]:
    name = "registry-read-only.yml" if read_only else "registry.yml"
    return (str(find_binaries(GOOD_PATH).registry), task, str(host.folder / name))


def _credentials(host: Host) -> dict[str, str]:
    return {"AWS_SHARED_CREDENTIALS_FILE": str(host.folder / "s3")}


def _environment(site: Site, host: Host) -> Mapping[str, str]:
    text = changed(
        block("env"),
        ("https://registry.vendor.com", f"http://{site.name}"),
        ("/srv/authsvc", str(host.data_dir)),
        ("/etc/authsvc/tls/ca.pem", str(site.tls.file)),
    )
    return {"AUTHSVC_REDIS_DEADLINE": PATIENT, **dict(line.split("=", 1) for line in text.splitlines())}
