"""The certificate that a server shows is judged as clients judge it, and a change is reported once."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from attrs import define, field
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from authsvc.tls.certificate import TlsServer
from authsvc.tls.verdict import CertificateStatus
from authsvc.tls.watch import FAILURES, CertificateWatch
from tests.support.ports import free_port
from tests.support.upstream_tls import CertificateFiles, UpstreamAuthority

HOST = "registry.vendor.test"
OK, SOON, WRONG, UNKNOWN = "ok", "ends soon", "wrong", "unknown"


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> UpstreamAuthority:
    """Return an authority that is the system's only one."""
    made = UpstreamAuthority.make(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return made


@define
class Watched:
    """A server that speaks TLS, and what watches it.

    Attributes:
        server: its context.
        watch: what watches it.
        told: the statuses that were reported.
        ahead: of the watch's clock.
    """

    server: ssl.SSLContext
    watch: CertificateWatch
    told: list[str] = field(factory=list)
    ahead: timedelta = timedelta()

    async def look(self, shown: CertificateFiles | None = None, behind: Path | None = None) -> str:
        """Show another certificate, with what is in the file ``behind`` after it, and return the status then."""
        if shown is not None:
            if behind is not None:
                with shown.certificate.open("ab") as chain:
                    chain.write(behind.read_bytes())
            self.server.load_cert_chain(shown.certificate, shown.key)
        await self.watch.look()
        return str(self.watch.facts()["status"])

    @property
    def detail(self) -> str:
        """What is said of it."""
        return self.watch.facts()["detail"] or ""


@asynccontextmanager
async def watched(host: str = HOST, address: str = "127.0.0.1") -> AsyncIterator[Watched]:
    """Run a server without a certificate yet."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    port = free_port()

    def hear(watch: CertificateWatch) -> None:
        one.told.append(watch.verdict.status.value)

    def now() -> datetime:
        return datetime.now(UTC) + one.ahead

    one = Watched(context, CertificateWatch(TlsServer(address, port, host), now, hear))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port, ssl=context)
    async with server:
        yield one


async def test_a_good_one(authority: UpstreamAuthority) -> None:
    """There is nothing to say, but when it ends."""
    async with watched() as one:
        assert OK == await one.look(authority.issue(HOST, days=90))
    facts = one.watch.facts()

    assert (None, []) == (facts["detail"], one.told)
    assert datetime.fromisoformat(str(facts["not_after"])) > datetime.now(UTC) + timedelta(days=89)


async def test_a_name_of_a_strange_kind_ends_nothing(authority: UpstreamAuthority) -> None:
    """The next certificate is looked at."""
    party = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, bytes.fromhex("3008a506a1040c026162"))
    async with watched() as one:
        assert WRONG == await one.look(authority.issue(HOST, days=90, named=False, extension=party))
        assert OK == await one.look(authority.issue(HOST, days=90))


BAD: dict[str, tuple[Callable[[UpstreamAuthority], CertificateFiles], str]] = {
    "other host": (lambda a: a.issue("other.test", days=90), f"it is for other.test and not for {HOST}, so every"),
    "expired": (lambda a: a.issue(HOST, expired=True), "it ended on 20"),
    "not begun": (lambda a: a.issue(HOST, begins_in=3, days=90), "it begins on 20"),
    "no name but the subject": (lambda a: a.issue(HOST, days=90, named=False), f"it is for no host and not for {HOST}"),
    "private, other host": (lambda a: a.issue("other.test", days=90, trusted=False), "it is for other.test and not"),
    "private, expired": (lambda a: a.issue(HOST, expired=True, trusted=False), "it ended on 20"),
    "for clients": (
        lambda a: a.issue(HOST, days=90, extension=x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])),
        "it is not one that a server can show",
    ),
    "wildcard of another level": (lambda a: a.issue("*.test", days=90), "it is for *.test and not for"),
}


@pytest.mark.parametrize("case", BAD)
async def test_what_clients_refuse(authority: UpstreamAuthority, case: str) -> None:
    """A client that trusts the authority refuses it all the same: for its host, or for its dates."""
    make, words = BAD[case]
    async with watched() as one:
        assert WRONG == await one.look(make(authority))
        assert one.detail.startswith(words)
        assert WRONG == await one.look()
        assert OK == await one.look(authority.issue(HOST, days=90))

    assert [WRONG, OK] == one.told


async def test_others_that_clients_accept(authority: UpstreamAuthority) -> None:
    """A wildcard, a longer list of names, and an intermediate authority that is sent too."""
    between = authority.intermediate()
    chain = authority.folder / "intermediate.pem"
    chain.write_bytes(between.certificate.public_bytes(serialization.Encoding.PEM))
    async with watched() as one:
        assert OK == await one.look(authority.issue("*.vendor.test", days=90))
        assert OK == await one.look(authority.issue("vendor.test", HOST, days=90))
        assert OK == await one.look(between.issue(HOST, days=90), chain)
        assert not one.detail

    assert [] == one.told


async def test_one_that_ends_soon(authority: UpstreamAuthority) -> None:
    """Two weeks before its end it is reported."""
    async with watched() as one:
        assert OK == await one.look(authority.issue(HOST, days=15))
        one.ahead = timedelta(days=2)
        assert SOON == await one.look()
        assert ", in 12 days; renew it" in one.detail

    assert [SOON] == one.told


async def test_a_private_authority_is_no_fault(authority: UpstreamAuthority) -> None:
    """Clients may trust it; if it is not private, the intermediate certificates are missing. Both is said."""
    async with watched() as one:
        assert OK == await one.look(authority.intermediate().issue(HOST, days=90))
        assert "the file lacks intermediate certificates" in one.detail

    assert [] == one.told


async def test_an_address(authority: UpstreamAuthority) -> None:
    """A public URL may have an address in place of a name."""
    async with watched("127.0.0.1") as one:
        assert WRONG == await one.look(authority.issue("127.0.0.2", days=90))
        assert OK == await one.look(authority.issue("127.0.0.1", days=90))


async def test_a_server_that_is_down(authority: UpstreamAuthority) -> None:
    """What is not known is no fault at once, but after minutes it is worth a word."""
    async with watched() as one:
        assert OK == await one.look(authority.issue(HOST, days=90))
    for _ in range(FAILURES - 1):
        assert UNKNOWN == await one.look()
    assert "there was no certificate to see at 127.0.0.1:" in one.detail
    assert [] == one.told

    await one.look()
    assert [UNKNOWN] == one.told
    assert one.watch.facts()["not_after"] is None


async def test_nothing_to_look_at() -> None:
    """Where no address is given, nothing is asked."""
    watch = CertificateWatch(None, lambda: datetime.now(UTC))
    await watch.keep_looking()

    assert watch.verdict.status is CertificateStatus.NOT_CONFIGURED
    assert {"status": "not configured", "not_after": None, "detail": None} == watch.facts()
