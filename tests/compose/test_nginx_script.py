"""nginx.sh, run by this machine's shell with real nginx and openssl: which new certificates it has nginx take."""

import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from attrs import evolve, frozen
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from authsvc.public_url import parse_public_url
from authsvc.setup import render
from authsvc.setup.compose import nginx_values, parse_options
from authsvc.setup.edge_settings import EdgeSettings
from authsvc.setup.pull_through import PullThrough
from tests.compose.engine import ROOT
from tests.support.ports import free_port
from tests.support.stack import GOOD_PATH, short_folder
from tests.support.upstream_tls import CertificateFiles, UpstreamAuthority
from tests.support.waiting import PATIENCE, until

HOST = "registry.vendor.test"
TAKEN, REFUSED = "nginx: read new certificates", "fullchain.pem is not taken: "


def pem(authority: UpstreamAuthority) -> bytes:
    """Return the certificate of an authority."""
    return authority.certificate.public_bytes(serialization.Encoding.PEM)


@frozen
class Nginx:
    """The script with its nginx.

    Attributes:
        folder: with everything.
        port: where nginx does TLS.
        root: that this machine trusts, and nothing else.
        between: that it vouches for, and that issues.
    """

    folder: Path
    port: int
    root: UpstreamAuthority
    between: UpstreamAuthority

    def put(self, pair: CertificateFiles, *authorities: UpstreamAuthority, key: Path | None = None) -> int:
        """Put a pair where nginx looks, with the certificates of authorities behind it; return its serial number."""
        chain = pair.certificate.read_bytes() + b"".join(map(pem, authorities))
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "privkey.pem").write_bytes((key or pair.key).read_bytes())
        (folder / "fullchain.pem").write_bytes(chain)
        # Both files at once: on a slow machine a look, or two of them, might come between.
        (folder / "link").symlink_to(folder)
        (folder / "link").replace(self.folder / "certificates")
        return x509.load_pem_x509_certificate(chain).serial_number

    def put_good(self, *hosts: str) -> int:
        """Put a good pair."""
        return self.put(self.between.issue(*(hosts or (HOST,)), days=90), self.between)

    @property
    def log(self) -> str:
        """What was said."""
        return (self.folder / "log").read_text()

    def outcome(self, before: str) -> str:
        """Return what is said of a new pair once something is, besides what was said ``before``."""

        def said() -> str:
            lines = self.log.removeprefix(before).splitlines()
            return "".join(line for line in lines if TAKEN in line or REFUSED in line)

        return until(said, "a word on the new pair")

    @property
    def served(self) -> int:
        """The serial number of the certificate that is shown."""
        return x509.load_pem_x509_certificate(
            ssl.get_server_certificate(("127.0.0.1", self.port), timeout=PATIENCE).encode()
        ).serial_number

    def serves(self, serial: int) -> None:
        """Wait until this one is shown: the old workers of nginx go on for a moment."""
        until(lambda: self.served == serial, "the certificate is served")


@contextmanager
def running(nginx: Nginx, host: str = HOST, **environ: str) -> Iterator[None]:
    """Run the script, with each of its paths in a folder."""
    folder, places = nginx.folder, {"/tmp": "tmp", "/etc/authsvc": "etc"}
    options = parse_options(ROOT, parse_public_url(f"https://{host}"), "", "", None, "198.18.213")
    values = evolve(
        nginx_values(options, "5e" * 32, PullThrough(), EdgeSettings()),
        listen=f"127.0.0.1:{nginx.port}",
        pid_file=str(folder / "nginx.pid"),
        temp_dir=str(folder / "tmp"),
        cache_dir=str(folder / "cache"),
        certificate=str(folder / "certificates/fullchain.pem"),
        certificate_key=str(folder / "certificates/privkey.pem"),
        user="root" if os.geteuid() == 0 else None,
    )
    script = (ROOT / "registry-config/nginx.sh").read_text()
    for place, name in places.items():
        (folder / name).mkdir(exist_ok=True)
        script = script.replace(f"{place}/", f"{folder / name}/")
    (folder / "etc/nginx.conf").write_text(render.render(values))
    (folder / "etc/host").write_text(f"{host}\n")
    (folder / "nginx.sh").write_text(script.replace("day=86400", f"day={environ.pop('day', '86400')}"))
    given = {
        "PATH": GOOD_PATH,
        "AUTHSVC_CERTIFICATE_INTERVAL": "0.1",
        "SSL_CERT_FILE": str(nginx.root.file),
        "SSL_CERT_DIR": str(folder / "none"),
        **environ,
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["sh", folder / "nginx.sh"], env=given, stderr=log, stdout=log, start_new_session=True
        )
    try:
        until(lambda: answers(process, nginx), "nginx does TLS")
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(process: "subprocess.Popen[bytes]", nginx: Nginx) -> bool:
    """Return whether something is shown."""
    assert process.poll() is None, nginx.log
    try:
        return nginx.served > 0
    except OSError:
        return False


@pytest.fixture
def nginx() -> Iterator[Nginx]:
    """Yield one that does not run yet, with a good pair."""
    with short_folder() as folder:
        root = UpstreamAuthority.make(folder / "ca")
        made = Nginx(folder, free_port(), root, root.intermediate())
        made.put_good()
        yield made


@pytest.mark.parametrize("names", [(HOST,), ("*.vendor.test",), ("vendor.test", HOST)])
def test_a_good_one_is_taken(nginx: Nginx, names: tuple[str, ...]) -> None:
    """By its name, by a wildcard, or by one of several names; nothing else is said."""
    with running(nginx):
        serial = nginx.put_good(*names)
        assert nginx.outcome("") == TAKEN
        nginx.serves(serial)

    assert "but" not in nginx.log


Put = Callable[[Nginx], int]


BAD: dict[str, tuple[Put, str]] = {
    "other host": (lambda n: n.put_good("other.test", "b.test"), "it is for DNS:other.test, DNS:b.test and not for"),
    "wildcard of another level": (lambda n: n.put_good("*.test"), "it is for DNS:*.test and not"),
    "no name but the subject": (lambda n: n.put(n.root.issue(HOST, days=90, named=False)), "it is for no host and not"),
    "ended": (lambda n: n.put(n.between.issue(HOST, expired=True), n.between), "it ended on "),
    "not begun": (lambda n: n.put(n.between.issue(HOST, begins_in=3, days=90), n.between), "it begins on "),
    "half a pair": (
        lambda n: n.put(n.between.issue(HOST, days=90), n.between, key=n.between.issue(HOST).key),
        "nginx cannot use it: ",
    ),
    "out of order": (
        lambda n: n.put(n.between.issue(HOST, days=90), n.root, n.between),
        "number 2 of its certificates has not signed number 1;",
    ),
    "no intermediate": (
        lambda n: n.put(n.between.issue(HOST, days=90)),
        "no authority that this container knows has signed it (unable to get local issuer certificate);",
    ),
    "signed by itself": (lambda n: n.put(n.root.issue(HOST, days=90, trusted=False)), "no authority that"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_one_is_not_taken(nginx: Nginx, case: str) -> None:
    """The one before it goes on being served; it is said once what is wrong, and a good one is taken after it."""
    put, words = BAD[case]
    with running(nginx):
        before = nginx.served
        put(nginx)
        said = nginx.outcome("")
        assert f"{REFUSED}{words}" in said
        assert "the one before it goes on being served until it ends on " in said
        until(lambda: nginx.served == before, "nginx answers")

        serial = nginx.put_good()
        assert TAKEN in until(lambda: nginx.log if TAKEN in nginx.log else "", "the good one is taken")
        nginx.serves(serial)
        assert nginx.log.count(REFUSED) == 1


def test_the_same_fault_is_said_again(nginx: Nginx) -> None:
    """When other files have it, and once a day; here a day has a second."""
    with running(nginx):
        nginx.put_good("other.test")
        first = nginx.outcome("")
        nginx.put_good("other.test")
        assert REFUSED in nginx.outcome(first + "\n")
    with running(nginx, day="1"):
        good = nginx.put_good()
        nginx.serves(good)
        nginx.put_good("other.test")
        until(lambda: nginx.log.count(REFUSED) > 4, "it is said again")
        assert nginx.served == good


def test_a_bad_one_at_the_start(nginx: Nginx) -> None:
    """There is no other one to serve: each fault is said, and a better one is taken."""
    bad = nginx.put(nginx.between.issue("other.test", expired=True))
    with running(nginx):
        assert nginx.served == bad
        for words in ("it is for DNS:other.test and not", "it ended on", "no authority that this container knows"):
            assert f"fullchain.pem is served, but {words}" in nginx.log
        nginx.serves(nginx.put_good())


def test_a_private_authority(nginx: Nginx) -> None:
    """Whom only clients trust was no fault before and is none now; another host or an end is one all the same."""
    private = UpstreamAuthority.make(nginx.folder / "private")
    nginx.put(private.issue(HOST, days=90), private)
    with running(nginx):
        nginx.serves(nginx.put(private.issue(HOST, days=90), private))
        assert REFUSED not in nginx.log
        before = nginx.log
        nginx.put(private.issue("other.test", days=90), private)
        assert f"{REFUSED}it is for DNS:other.test" in nginx.outcome(before)
        nginx.serves(nginx.put_good())


def test_an_address(nginx: Nginx) -> None:
    """The public URL may have an address in place of a name."""
    nginx.put_good("192.0.2.7")
    with running(nginx, host="192.0.2.7"):
        assert "is served, but" not in nginx.log
        nginx.put_good("192.0.2.8")
        assert f"{REFUSED}it is for IP Address:192.0.2.8 and not" in nginx.outcome("")


def test_one_that_ends_soon(nginx: Nginx) -> None:
    """Two weeks before its end somebody should hear of it, once."""
    nginx.put(nginx.between.issue(HOST, days=13), nginx.between)
    words = "the certificate that is served ends on "
    with running(nginx):
        until(lambda: words in nginx.log, "it is said")
        nginx.serves(nginx.put_good())

    assert nginx.log.count(words) == 1


def test_its_notes_are_lost(nginx: Nginx) -> None:
    """Somebody clears /tmp: the looks go on, and what is bad is still not taken."""
    with running(nginx):
        shutil.rmtree(nginx.folder / "tmp/certificates")
        nginx.put_good("other.test")
        assert f"{REFUSED}it is for DNS:other.test" in nginx.outcome("")
        nginx.serves(nginx.put_good())


def test_an_image_without_openssl(nginx: Nginx) -> None:
    """It is said once, and all goes on as without a look."""
    folder = nginx.folder / "bin"
    folder.mkdir()
    for place in GOOD_PATH.split(":"):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            if program.name != "openssl" and not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    with running(nginx, PATH=str(folder)):
        serial = nginx.put_good("other.test")
        assert nginx.outcome("") == TAKEN
        nginx.serves(serial)

    assert nginx.log.count("this image has no command openssl") == 1
